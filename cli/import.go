package cli

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// importFlags are what `gwctl import` is told.
type importFlags struct {
	rules        string
	defaultAgent string
	outputs      []string
	apply        bool
	force        bool
	message      string

	dir string // of outputs: the one that is no format
}

// imported is the answer of an import, in JSON. The revision, its outcome and changes are there with --apply only.
type imported struct {
	Objects  []*manifest.Document `json:"objects"`
	Files    []string             `json:"files"`
	Warnings manifest.Problems    `json:"warnings"`
	Revision int64                `json:"revision,omitempty"`
	Outcome  string               `json:"outcome,omitempty"`
	Changes  []change             `json:"changes,omitempty"`

	set     *manifest.Set
	objects []*gatehousev1.Object
}

// newImportCommand makes `gwctl import`. Its -o hides the global one, so it understands the formats too.
func newImportCommand(a *app) *cobra.Command {
	f := &importFlags{}
	cmd := &cobra.Command{
		Use:   "import [FILE…] [--rules FILE] -o DIR | --apply",
		Short: "turn .mcp.json files and a rules file into objects",
		Long: "import makes a Server of each entry of the .mcp.json files, and a Policy of each agent of the rules file.\n" +
			"It writes them to a folder as manifests, applies them, or prints them. References such as ${API_TOKEN} are kept.\n" +
			"What has no counterpart is a warning. -o takes a folder here; the name of a format selects the output as elsewhere.",
		Example: "  gwctl import .mcp.json --rules .mcp-gateway-rules.json -o gatehouse/\n  gwctl import .mcp.json --apply",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.importFiles(cmd, f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.rules, "rules", "", "seed file that holds the agents' rules")
	flags.StringVar(&f.defaultAgent, "default-agent", "", "agent of calls that name none, with --rules")
	flags.StringArrayVarP(&f.outputs, "output", "o", nil, "folder to write manifests to, or a format: table, json, yaml or name")
	flags.BoolVar(&f.apply, "apply", false, "apply the objects instead")
	flags.BoolVar(&f.force, "force", false, "overwrite manifests that are there already")
	messageFlag(cmd, &f.message)
	return cmd
}

// importFiles reads, checks, and then writes or applies.
func (a *app) importFiles(cmd *cobra.Command, f *importFlags, files []string) error {
	if err := a.importOutput(f); err != nil {
		return err
	}
	found, err := a.readSeeds(f, files)
	if err != nil {
		return err
	}
	out := &imported{Files: []string{}, Warnings: found.Warnings, set: found.set, objects: found.config().GetObjects()}
	if out.Objects, err = documentsOf(out.objects); err != nil {
		return err
	}
	if f.dir != "" {
		if out.Files, err = writeManifests(f.dir, out.objects, f.force); err != nil {
			return err
		}
	}
	if f.apply {
		if err := a.applyImported(cmd, f, out); err != nil {
			return err
		}
	}
	return a.show(view{data: out, names: referencesOf(found.set), people: out.print(a)})
}

// importOutput sorts the values of -o into formats and the folder, and checks that they go together.
func (a *app) importOutput(f *importFlags) error {
	for _, o := range f.outputs {
		switch {
		case slices.Contains(formats, o):
			a.output = o
		case f.dir != "":
			return usagef("-o %s and -o %s: import writes to one folder", f.dir, o)
		default:
			f.dir = o
		}
	}
	if f.dir != "" && f.apply {
		return usagef("-o %s and --apply: import does one of them", f.dir)
	}
	return nil
}

// readSeeds reads the files and refuses what a control plane would refuse.
func (a *app) readSeeds(f *importFlags, files []string) (*findings, error) {
	if len(files) == 0 && f.rules == "" {
		return nil, usagef("nothing to import: name an .mcp.json file, or a rules file with --rules")
	}
	if f.defaultAgent != "" && f.rules == "" {
		return nil, usagef("--default-agent needs --rules")
	}
	var loads []func() (*manifest.Set, error)
	for _, file := range files {
		loads = append(loads, func() (*manifest.Set, error) { return manifest.LoadMCPConfig(file) })
	}
	if f.rules != "" {
		loads = append(loads, func() (*manifest.Set, error) { return manifest.LoadRules(f.rules, f.defaultAgent) })
	}
	// Nothing is written unless all of it is in order: half an import would be found out much later.
	found, err := examine(loadAll(loads))
	if err != nil {
		return nil, err
	}
	return found, found.err()
}

// documentsOf are objects as in their manifests.
func documentsOf(objects []*gatehousev1.Object) ([]*manifest.Document, error) {
	docs := make([]*manifest.Document, 0, len(objects))
	for _, o := range objects {
		doc, err := manifest.NewDocument(o)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// writeManifests writes one file for each kind, such as servers.yaml, and returns their names. Files that are there
// already are kept, unless force is set. The files are the owner's alone: headers and environments may hold secrets.
func writeManifests(dir string, objects []*gatehousev1.Object, force bool) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making folder: %w", err)
	}
	byKind := make(map[string][]*gatehousev1.Object)
	for _, o := range objects {
		byKind[config.Kind(o)] = append(byKind[config.Kind(o)], o)
	}
	// All names are looked at before the first file is written: a folder of which half is new is neither import.
	var files []string
	for _, kind := range sortedKeys(byKind) {
		file := filepath.Join(dir, kind+".yaml")
		if _, err := os.Lstat(file); err == nil && !force {
			return nil, fail(codeUsage, fmt.Errorf("writing %s: %w", file, fs.ErrExist), "--force overwrites it")
		}
		files = append(files, file)
	}
	for i, kind := range sortedKeys(byKind) {
		text, err := manifest.Marshal(byKind[kind], manifest.YAML)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(files[i], text, 0o600); err != nil {
			return nil, fmt.Errorf("writing manifests: %w", err)
		}
	}
	return files, nil
}

// applyImported commits the objects.
func (a *app) applyImported(cmd *cobra.Command, f *importFlags, out *imported) error {
	client, err := a.admin()
	if err != nil {
		return err
	}
	bounded, cancel := a.within(cmd.Context())
	defer cancel()
	resp, err := client.Apply(bounded, &gatehousev1.ApplyRequest{Put: out.objects, Author: a.author(), Message: f.message})
	if err != nil {
		return located(cmd.Context(), out.set, err) // not bounded: time being up would read as Ctrl-C
	}
	applied := newApplied(resp)
	out.Revision, out.Outcome, out.Changes = applied.Revision, applied.Outcome, applied.Changes
	// The control plane has looked at the whole configuration; the files alone may lack what it has.
	out.Warnings = append(manifest.Problems{}, out.set.Warnings...)
	for _, w := range resp.GetWarnings() {
		out.Warnings = append(out.Warnings, out.set.Locate(w.GetObject(), w.GetField(), w.GetMessage()))
	}
	return nil
}

// print writes for people what was made, or the manifests themselves where they went nowhere else.
func (r *imported) print(a *app) func(io.Writer, bool) error {
	return func(w io.Writer, _ bool) error {
		for _, warning := range r.Warnings {
			a.warnf("%s", warning.Error())
		}
		switch {
		case r.Outcome != "":
			_, err := fmt.Fprintf(w, "%d objects, revision %d %s\n", len(r.objects), r.Revision, r.Outcome)
			return err
		case len(r.Files) > 0:
			return writeLines(w, r.Files)
		}
		text, err := manifest.Marshal(r.objects, manifest.YAML)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
}
