package up

import (
	"errors"
	"io"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cli/examples"
	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// source is one input that loads on its own: all manifests together, or one of the seed's two files.
type source struct {
	paths []string // to watch; none for what is built in
	load  func() (*manifest.Set, error)
	good  *manifest.Set // what it held when it was last in order
}

// sources are all inputs of one run.
type sources []*source

// newSources makes sources of what was given, or the quickstart where nothing was.
func newSources(c Config) sources {
	var out sources
	if len(c.Files) > 0 {
		out = append(out, manifestSource(c.Files, c.Stdin))
	}
	if c.MCPConfig != "" {
		out = append(out, &source{paths: []string{c.MCPConfig}, load: func() (*manifest.Set, error) {
			return manifest.LoadMCPConfig(c.MCPConfig)
		}})
	}
	if c.Rules != "" {
		out = append(out, &source{paths: []string{c.Rules}, load: func() (*manifest.Set, error) {
			return manifest.LoadRules(c.Rules, c.DefaultAgent)
		}})
	}
	if len(out) == 0 {
		out = append(out, &source{load: func() (*manifest.Set, error) {
			return manifest.Load([]string{"-"}, strings.NewReader(examples.Quickstart()))
		}})
	}
	return out
}

// manifestSource reads manifests. Standard input can be read once, so it is kept.
func manifestSource(files []string, stdin io.Reader) *source {
	s := &source{}
	var piped []byte
	for _, f := range files {
		if f != "-" {
			s.paths = append(s.paths, f)
		}
	}
	s.load = func() (*manifest.Set, error) {
		if len(s.paths) < len(files) && piped == nil && stdin != nil {
			data, err := io.ReadAll(stdin)
			if err != nil {
				return nil, err
			}
			piped = data
		}
		return manifest.Load(files, strings.NewReader(string(piped)))
	}
	return s
}

// paths are all that is to be watched.
func (ss sources) paths() []string {
	var out []string
	for _, s := range ss {
		out = append(out, s.paths...)
	}
	return out
}

// read loads every source. One that is wrong keeps what it held before, and its problems are in the error; the set is the
// union of all, nil where a source has never been in order.
func (ss sources) read() (*manifest.Set, error) {
	var wrong trouble
	next := make([]*manifest.Set, len(ss))
	for i, s := range ss {
		set, err := s.check()
		if err != nil {
			wrong.add(err)
			set = s.good
		}
		next[i] = set
	}
	return ss.accept(next, &wrong)
}

// trouble collects what is wrong with several sources: problems in one list, and what kept a file from being read.
type trouble struct {
	problems manifest.Problems
	others   []error
}

// add takes an error in, its problems one by one.
func (t *trouble) add(err error) {
	if problems, ok := errors.AsType[manifest.Problems](err); ok {
		t.problems = append(t.problems, problems...)
		return
	}
	t.others = append(t.others, err)
}

// err is all of it, nil where there is none.
func (t *trouble) err() error {
	if len(t.problems) == 0 {
		return errors.Join(t.others...)
	}
	return errors.Join(append(t.others, t.problems)...)
}

// accept joins what the sources hold and, if that makes sense together, keeps it.
func (ss sources) accept(next []*manifest.Set, wrong *trouble) (*manifest.Set, error) {
	for _, set := range next {
		if set == nil {
			return nil, wrong.err()
		}
	}
	// Two sources that define one object contradict each other; neither is better, so all stays as it was.
	all, err := manifest.Join(next...)
	if err != nil {
		wrong.add(err)
		return nil, wrong.err()
	}
	for i, s := range ss {
		s.good = next[i]
	}
	return all, wrong.err()
}

// check loads a source and asks the control plane's own rules what they make of it, so that what is wrong in one source
// is found before it is mixed with the others.
func (s *source) check() (*manifest.Set, error) {
	set, err := s.load()
	if err != nil {
		return nil, err
	}
	// A copy of the list, since sorting must not change the order in which problems are told.
	c := &gatehousev1.Config{Objects: append([]*gatehousev1.Object(nil), set.Objects...)}
	config.Sort(c)
	// Warnings are left to the control plane: a rule's server may be defined by another source.
	violations, _ := config.Validate(c)
	var problems manifest.Problems
	for _, v := range violations {
		problems = append(problems, set.Locate(v.Object, v.Field, v.Message))
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return set, nil
}
