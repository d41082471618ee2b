package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// sources are the files of a command that reads a whole configuration: manifests and the seed's two.
type sources struct {
	files        []string
	mcpConfig    string
	rules        string
	defaultAgent string
}

// declare adds the flags.
func (s *sources) declare(cmd *cobra.Command) {
	fileFlag(cmd, &s.files)
	cmd.Flags().StringVar(&s.mcpConfig, "mcp-config", "", "seed file that defines servers (.mcp.json)")
	cmd.Flags().StringVar(&s.rules, "rules", "", "seed file that holds the agents' rules")
	cmd.Flags().StringVar(&s.defaultAgent, "default-agent", "", "agent of calls that name none, with --rules")
}

// empty says whether no file is named.
func (s *sources) empty() bool { return len(s.files) == 0 && s.mcpConfig == "" && s.rules == "" }

// load reads all files and makes one set of them. Its error holds the problems of every file; the set then holds the
// objects that are in order.
func (s *sources) load(stdin io.Reader) (*manifest.Set, error) {
	if s.defaultAgent != "" && s.rules == "" {
		return nil, usagef("--default-agent needs --rules; manifests have a Settings object for it")
	}
	var loads []func() (*manifest.Set, error)
	if len(s.files) > 0 {
		loads = append(loads, func() (*manifest.Set, error) { return manifest.Load(s.files, stdin) })
	}
	if s.mcpConfig != "" {
		loads = append(loads, func() (*manifest.Set, error) { return manifest.LoadMCPConfig(s.mcpConfig) })
	}
	if s.rules != "" {
		loads = append(loads, func() (*manifest.Set, error) { return manifest.LoadRules(s.rules, s.defaultAgent) })
	}
	return loadAll(loads)
}

// loadAll joins several sets, and all problems found on the way.
func loadAll(loads []func() (*manifest.Set, error)) (*manifest.Set, error) {
	var sets []*manifest.Set
	var problems manifest.Problems
	for _, load := range loads {
		set, err := load()
		found, ok := asProblems(err)
		if err != nil && !ok {
			return nil, err
		}
		problems = append(problems, found...)
		if set != nil {
			sets = append(sets, set)
		}
	}
	set, err := manifest.Join(sets...)
	found, _ := asProblems(err) // Join has no other errors
	if problems = append(problems, found...); len(problems) > 0 {
		return set, problems
	}
	return set, nil
}

// asProblems are the problems that an error holds; not ok for any other error.
func asProblems(err error) (problems manifest.Problems, ok bool) {
	ok = errors.As(err, &problems)
	return problems, ok
}

// findings are what a look at files gives, in JSON.
type findings struct {
	Errors   manifest.Problems `json:"errors"`
	Warnings manifest.Problems `json:"warnings"`

	set *manifest.Set // the objects that are in order
}

// check reads the files and examines what they hold.
func (s *sources) check(stdin io.Reader) (*findings, error) { return examine(s.load(stdin)) }

// examine validates what was read, as a whole configuration. The error is for files that cannot be read at all.
func examine(set *manifest.Set, err error) (*findings, error) {
	problems, ok := asProblems(err)
	if err != nil && !ok {
		return nil, err
	}
	if set == nil {
		set = &manifest.Set{}
	}
	f := &findings{Errors: append(manifest.Problems{}, problems...), set: set}
	f.Warnings = append(manifest.Problems{}, set.Warnings...)
	// Objects that could not be read are not in the set; the others are looked at all the same.
	violations, warnings := config.Validate(f.config())
	for _, v := range violations {
		f.Errors = append(f.Errors, set.Locate(v.Object, v.Field, v.Message))
	}
	if len(problems) > 0 {
		return f, nil // what is missing may be what the warnings are about
	}
	for _, w := range warnings {
		f.Warnings = append(f.Warnings, set.Locate(w.GetObject(), w.GetField(), w.GetMessage()))
	}
	return f, nil
}

// config is the configuration that the files make.
func (f *findings) config() *gatehousev1.Config {
	c := &gatehousev1.Config{Objects: append([]*gatehousev1.Object{}, f.set.Objects...)}
	config.Sort(c)
	return c
}

// err is a failure where anything is wrong.
func (f *findings) err() error {
	if len(f.Errors) == 0 {
		return nil
	}
	return f.Errors
}

// print writes the result for people. Warnings go to standard error, as everywhere.
func (f *findings) print(a *app) func(io.Writer, bool) error {
	return func(w io.Writer, _ bool) error {
		for _, warning := range f.Warnings {
			a.warnf("%s", warning.Error())
		}
		if len(f.Errors) > 0 {
			return f.Errors
		}
		_, err := fmt.Fprintf(w, "%d objects, no errors, %d warnings\n", len(f.set.Objects), len(f.Warnings))
		return err
	}
}

// newValidateCommand makes `gwctl validate`.
func newValidateCommand(a *app) *cobra.Command {
	var s sources
	cmd := &cobra.Command{
		Use:   "validate -f PATH… | --rules FILE | --mcp-config FILE",
		Short: "check files without a control plane",
		Long: "validate reads files as apply and up do and says all that is wrong with them, with file, line and column.\n" +
			"It needs no control plane. Exit code 7 means that there are errors; warnings change nothing.",
		Example: "  gwctl validate -f servers.yaml -f policies/\n" +
			"  gwctl validate --mcp-config .mcp.json --rules rules.json -o json",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.validate(&s) },
	}
	s.declare(cmd)
	return cmd
}

// validate checks files. The findings are its answer, so JSON and YAML hold them also where it fails.
func (a *app) validate(s *sources) error {
	if s.empty() {
		return usagef("nothing to validate: name files with -f, --rules or --mcp-config")
	}
	f, err := s.check(a.io.Stdin)
	if err != nil {
		return err
	}
	if err := a.show(view{data: f, names: referencesOf(f.set), people: f.print(a)}); err != nil {
		return err
	}
	if a.output == formatJSON || a.output == formatYAML {
		return quietly(f.err())
	}
	return f.err()
}

// quietly keeps an error's exit code and prints nothing more.
func quietly(err error) error {
	if err == nil {
		return nil
	}
	return exitWith(exitValidation)
}

// referencesOf are the references of a set's objects.
func referencesOf(set *manifest.Set) []string {
	refs := make([]string, 0, len(set.Objects))
	for _, o := range set.Objects {
		refs = append(refs, config.Ref(o))
	}
	return refs
}
