package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// contextFile is what gwctl remembers between runs: where control planes and gateways are. It holds no key, only the
// place of one.
type contextFile struct {
	Current  string             `yaml:"current,omitempty"`
	Contexts map[string]*target `yaml:"contexts,omitempty"`
}

// target is one place to work at.
type target struct {
	// ControlPlane is host:port.
	ControlPlane string `yaml:"controlPlane,omitempty"`
	// Gateway is an MCP URL.
	Gateway string `yaml:"gateway,omitempty"`
	// KeyFile is an absolute path.
	KeyFile string `yaml:"keyFile,omitempty"`
}

// contextPath is where the file lies: XDG_CONFIG_HOME, else ~/.config.
func (a *app) contextPath() string {
	dir := a.env["XDG_CONFIG_HOME"]
	if dir == "" {
		dir = filepath.Join(a.env["HOME"], ".config")
	}
	return filepath.Join(dir, "gwctl", "config.yaml")
}

// readContexts reads the file; where there is none, there are no contexts.
func (a *app) readContexts() (*contextFile, error) {
	f := &contextFile{Contexts: map[string]*target{}}
	data, err := os.ReadFile(a.contextPath())
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading contexts: %w", err)
	}
	err = yaml.NewDecoder(bytes.NewReader(data), yaml.DisallowUnknownField()).Decode(f)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading contexts from %s: %w", a.contextPath(), err)
	}
	if f.Contexts == nil {
		f.Contexts = map[string]*target{}
	}
	return f, nil
}

// writeContexts replaces the file whole, for its owner alone.
func (a *app) writeContexts(f *contextFile) error {
	data, err := yaml.Marshal(f)
	if err != nil {
		return fmt.Errorf("writing contexts: %w", err)
	}
	path := a.contextPath()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("writing contexts: %w", err)
	}
	// A rename replaces the file at once, so that a command that reads it meanwhile sees the old or the new one.
	tmp := path + ".new"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("writing contexts: %w", err)
	}
	return os.Rename(tmp, path)
}

// flagsFromContext fills the flags that neither the command line nor the environment gave.
func (a *app) flagsFromContext(cmd *cobra.Command) error {
	// The verbs that mend a context file must work while it names a context that is gone.
	if cmd.HasParent() && cmd.Parent().Name() == "context" {
		return nil
	}
	f, err := a.readContexts()
	if err != nil {
		return err
	}
	name := a.context
	if name == "" {
		name = f.Current
	}
	if name == "" {
		return nil
	}
	t, ok := f.Contexts[name]
	if !ok || t == nil {
		return usagef("there is no context %s; `gwctl context list` lists them", name)
	}
	fill := map[string]string{"control-plane": t.ControlPlane, "gateway": t.Gateway, "key-file": t.KeyFile}
	for flag, value := range fill {
		if f := cmd.Root().PersistentFlags().Lookup(flag); value != "" && !f.Changed {
			if err := f.Value.Set(value); err != nil {
				return fmt.Errorf("reading context %s: %w", name, err)
			}
			f.Changed = true // stdio, for one, asks whether a gateway was named
		}
	}
	return nil
}

// newContextCommand groups the verbs of the context file.
func newContextCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "context",
		Short: "remember control planes and gateways by name",
		Args:  noSubcommand,
		RunE:  showHelp,
	}
	cmd.AddCommand(newContextListCommand(a), newContextUseCommand(a), newContextAddCommand(a))
	return cmd
}

// contextItem is one context in JSON.
type contextItem struct {
	Name         string `json:"name"`
	ControlPlane string `json:"controlPlane"`
	Gateway      string `json:"gateway"`
	KeyFile      string `json:"keyFile"`
}

// newContextListCommand shows where keys lie, never the keys.
func newContextListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the contexts; * marks the current one",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := a.readContexts()
			if err != nil {
				return err
			}
			return a.show(f.view())
		},
	}
}

// view lists the contexts, sorted by name.
func (f *contextFile) view() view {
	items := []contextItem{}
	g := &grid{header: []string{"CURRENT", "NAME", "CONTROL PLANE", "GATEWAY", "KEY FILE"}}
	for _, name := range sortedKeys(f.Contexts) {
		t, mark := f.Contexts[name], " "
		if name == f.Current {
			mark = "*"
		}
		items = append(items, contextItem{Name: name, ControlPlane: t.ControlPlane, Gateway: t.Gateway, KeyFile: t.KeyFile})
		g.row(mark, name, t.ControlPlane, t.Gateway, t.KeyFile)
	}
	return view{
		data:  map[string]any{"current": f.Current, "contexts": items},
		names: sortedKeys(f.Contexts), people: g.write,
	}
}

// newContextUseCommand refuses a name that is not there: every later command would fail on it.
func newContextUseCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "use NAME",
		Short: "make a context the current one",
		Args:  cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			f, err := a.readContexts()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return sortedKeys(f.Contexts), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := a.readContexts()
			if err != nil {
				return err
			}
			if f.Contexts[args[0]] == nil {
				return usagef("there is no context %s", args[0])
			}
			f.Current = args[0]
			return a.saveContexts(f)
		},
	}
}

// newContextAddCommand takes the place to remember from the same flags that name it for one command.
func newContextAddCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "add NAME [--control-plane ADDR] [--gateway URL] [--key-file FILE]",
		Short:   "remember a context, or change it; the first one becomes the current one",
		Example: "  gwctl context add laptop --control-plane 127.0.0.1:9090 --key-file ~/.gatehouse/key",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := a.readContexts()
			if err != nil {
				return err
			}
			t, err := a.target(cmd)
			if err != nil {
				return err
			}
			// The whole place is replaced. What is not given now is not kept from before, or a key could go to a new gateway.
			f.Contexts[args[0]] = t
			if f.Current == "" {
				f.Current = args[0]
			}
			return a.saveContexts(f)
		},
	}
}

// target is the place that the flags name. A key itself is not remembered.
func (a *app) target(cmd *cobra.Command) (*target, error) {
	if a.key != "" {
		return nil, usagef("a context holds no key: keep it in a file and name that with --key-file")
	}
	t := &target{}
	for flag, into := range map[string]*string{"control-plane": &t.ControlPlane, "gateway": &t.Gateway, "key-file": &t.KeyFile} {
		if f := cmd.Root().PersistentFlags().Lookup(flag); f.Changed {
			*into = f.Value.String()
		}
	}
	if t.KeyFile == "" {
		return t, nil
	}
	// The context is used from any folder, the flag was given in this one.
	abs, err := filepath.Abs(t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("naming key file: %w", err)
	}
	t.KeyFile = abs
	return t, nil
}

// saveContexts writes the file and says which context is the current one.
func (a *app) saveContexts(f *contextFile) error {
	if err := a.writeContexts(f); err != nil {
		return err
	}
	v := f.view()
	v.people = sentence("current context: %s", f.Current)
	return a.show(v)
}
