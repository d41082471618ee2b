package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cli/up"
	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
	"github.com/gatehouse-mcp/gatehouse/dataplane"
)

// defaultDataDir is where `gwctl up` keeps everything.
const defaultDataDir = ".gatehouse"

// gwctlVariable names the program that the quickstart starts as its server.
const gwctlVariable = "GATEHOUSE_GWCTL"

// declareUp declares the flags of up and stdio.
func declareUp(cmd *cobra.Command, c *up.Config) {
	f := cmd.Flags()
	f.StringVar(&c.DataDir, "data-dir", defaultDataDir, "folder of the store, the key and the audit log")
	f.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "address of the MCP endpoint")
	f.StringVar(&c.ControlListen, "control-listen", defaultControlPlane, "address for gwctl and further gateways")
	f.StringVar(&c.AdminListen, "admin-listen", "127.0.0.1:8081", "address of health and metrics")
	f.StringVar(&c.ControlAdminListen, "control-admin-listen", "127.0.0.1:0", "address of the control plane's health and metrics")
	fileFlag(cmd, &c.Files)
	f.StringVar(&c.MCPConfig, "mcp-config", "", "servers in the form of .mcp.json")
	f.StringVar(&c.Rules, "rules", "", "rules file: what each agent may use")
	f.StringVar(&c.DefaultAgent, "default-agent", "", "agent of calls that name none, where the rules file allows them")
	f.StringVar(&c.Auth, "auth", "key", "key: API keys; none: everybody on this machine may act as any agent")
	f.Var(&c.Limits, "limit", "a bound, such as body=4MiB; repeatable. They are: "+dataplane.LimitNames())
	f.BoolVar(&c.Debug, "debug", false, "tell agents which rule refused them, offer get_gateway_status, log more")
}

// newUpCommand is the whole of Gatehouse for one machine, and the first command that anybody runs.
func newUpCommand(a *app) *cobra.Command {
	var c up.Config
	cmd := &cobra.Command{
		Use:   "up",
		Short: "run a control plane and a gateway on this machine, and follow files",
		Long: "up runs both planes in one process. The files are watched: an edit is live at once, and one that is wrong is\n" +
			"refused and changes nothing. SIGHUP reads them again. Without files, up runs a quickstart with a demo server.\n\n" +
			"The objects of the files belong to up: one that vanishes from them is deleted. Keys, and objects applied\n" +
			"by other means, stay. While it runs, DIR/up.json in the data folder holds the addresses.",
		Example: "  gwctl up\n  gwctl up -f gatehouse.yaml\n  gwctl up --mcp-config .mcp.json --rules rules.json --auth none",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.completeUp(&c); err != nil {
				return err
			}
			c.Ready = func(r up.Ready) error {
				return a.show(view{data: r, names: []string{r.Gateway}, people: func(w io.Writer, _ bool) error {
					_, err := io.WriteString(w, banner(r))
					return err
				}})
			}
			return upFailure(up.Run(cmd.Context(), c))
		},
	}
	declareUp(cmd, &c)
	return cmd
}

// completeUp adds what no flag says.
func (a *app) completeUp(c *up.Config) error {
	if c.Auth != "key" && c.Auth != "none" {
		return usagef("--auth %s: want key or none", c.Auth)
	}
	if c.DefaultAgent != "" && c.Rules == "" {
		return usagef("--default-agent is for --rules; manifests say it in settings/default")
	}
	level := slog.LevelWarn
	if c.Debug {
		level = slog.LevelDebug
	}
	c.Version, c.Stdin, c.Notes = a.version(), a.io.Stdin, a.io.Stderr
	c.Logger = slog.New(slog.NewTextHandler(a.io.Stderr, &slog.HandlerOptions{Level: level}))
	c.Environ = a.upstreamEnviron
	return nil
}

// upstreamEnviron resolves references in server definitions: the environment, and this program's own path.
func (a *app) upstreamEnviron(name string) (string, bool) {
	if v, ok := a.environ(name); ok || name != gwctlVariable {
		return v, ok
	}
	self, err := os.Executable()
	return self, err == nil
}

// upFailure adds what to do where that is not plain from the error.
func upFailure(err error) error {
	switch {
	case errors.Is(err, store.ErrInUse):
		return fail(codeInternal, err, "stop that one, use another --data-dir, or reach it with `gwctl stdio --gateway URL`")
	case errors.Is(err, syscall.EADDRINUSE):
		return fail(codeInternal, err, "--listen, --control-listen and --admin-listen name other addresses; port 0 lets the system choose")
	}
	return err
}

// banner is what a person needs to go on from here. Exactly one line begins with "curl ".
func banner(r up.Ready) string {
	var b strings.Builder
	what := "your files"
	if r.Quickstart {
		what = "the quickstart"
	}
	fmt.Fprintf(&b, "Gatehouse is up with %s, at revision %d.\n\n", what, r.Revision)
	fmt.Fprintf(&b, "  MCP endpoint   %s\n", r.Gateway)
	fmt.Fprintf(&b, "  servers        %s\n", orNone(r.Servers))
	fmt.Fprintf(&b, "  agents         %s\n", orNone(r.Agents))
	if r.KeyFile != "" && r.NewKey {
		fmt.Fprintf(&b, "  API key        %s\n", r.Key)
	}
	if r.KeyFile != "" {
		fmt.Fprintf(&b, "  key file       %s\n", r.KeyFile)
	}
	fmt.Fprintf(&b, "  control plane  %s\n", r.ControlPlane)
	fmt.Fprintf(&b, "  health         http://%s/readyz, metrics at /metrics (control plane: http://%s)\n", r.Admin, r.ControlAdmin)
	fmt.Fprintf(&b, "\nAdd it to an MCP client:\n\n%s\n", addLine(r))
	fmt.Fprintf(&b, "\nTry it:\n\n%s\n", curlLine(r))
	if len(r.Watched) > 0 {
		fmt.Fprintf(&b, "\nEdits of %s go live at once.", strings.Join(r.Watched, ", "))
	}
	b.WriteString("\nCtrl-C stops it.\n")
	return b.String()
}

// orNone lists words, and says so where there are none.
func orNone(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

// header is the shell word that carries the key; it reads the file, so that the key stays out of the shell's history.
func header(r up.Ready) string {
	return `"Authorization: Bearer $(cat ` + quote(r.KeyFile) + `)"`
}

// addLine adds the gateway to Claude Code, whose form other clients have in some variation.
func addLine(r up.Ready) string {
	line := "claude mcp add --transport http gatehouse " + r.Gateway
	if r.KeyFile != "" {
		line += " --header " + header(r)
	}
	return line
}

// curlLine is one call that works as printed: the demo server's echo, else a list of the first agent's servers.
func curlLine(r up.Ready) string {
	params := `{"name":"list_servers"}`
	switch {
	case r.Quickstart:
		params = `{"name":"execute_tool","arguments":{"agent_id":"researcher","server":"demo","tool":"echo","args":{"message":"hello"}}}`
	case len(r.Agents) > 0:
		params = `{"name":"list_servers","arguments":{"agent_id":"` + r.Agents[0] + `"}}` // an agent's id needs no escapes
	}
	line := "curl -sS " + r.Gateway + " -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream'"
	if r.KeyFile != "" {
		line += " -H " + header(r)
	}
	// -w: the answer is one line without an end, and the prompt would stand behind it.
	return line + ` -w '\n' -d ` + quote(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":`+params+`}`)
}

// quote makes one word for a shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
