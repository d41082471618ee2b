package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cli/up"
	"github.com/gatehouse-mcp/gatehouse/dataplane"
)

// newStdioCommand is for clients that can only start a program, such as desktop applications.
func newStdioCommand(a *app) *cobra.Command {
	var c up.Config
	cmd := &cobra.Command{
		Use:   "stdio",
		Short: "speak MCP on standard input and output, for clients that start their server",
		Long: "stdio runs both planes inside, as up does, and serves one client on its pipe. The client may act as any agent\n" +
			"of the files. With --gateway URL, and no files, it passes everything to a running gateway instead, with the key of\n" +
			"--key or --key-file.\n\n" +
			"Standard output carries nothing but MCP.",
		Example: "  gwctl stdio --mcp-config .mcp.json --rules rules.json\n" +
			"  gwctl stdio --gateway http://127.0.0.1:8080/mcp --key-file .gatehouse/key",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.bridges(cmd, &c) {
				return a.bridge(cmd.Context())
			}
			return a.serveStdio(cmd.Context(), &c)
		},
	}
	declareUp(cmd, &c)
	// The system chooses ports unless told otherwise: several clients may each start their own.
	for _, name := range []string{"listen", "control-listen", "admin-listen"} {
		f := cmd.Flags().Lookup(name)
		f.DefValue = "127.0.0.1:0"
		_ = f.Value.Set(f.DefValue) // a string takes anything
	}
	return cmd
}

// bridges says whether a running gateway is to be used.
func (a *app) bridges(cmd *cobra.Command, c *up.Config) bool {
	given := cmd.Root().PersistentFlags().Lookup("gateway").Changed
	return given && len(c.Files) == 0 && c.MCPConfig == "" && c.Rules == ""
}

// bridge passes messages between the pipe and a gateway.
func (a *app) bridge(ctx context.Context) error {
	client, err := a.agent()
	if err != nil {
		return err
	}
	return client.Bridge(ctx, a.io.Stdin, a.io.Stdout)
}

// serveStdio runs both planes until the client closes the pipe.
func (a *app) serveStdio(ctx context.Context, c *up.Config) error {
	if err := a.completeUp(c); err != nil {
		return err
	}
	c.Stdin = nil // it belongs to the client
	c.Notes = prefixed(a.io.Stderr)
	c.Serve = func(ctx context.Context, gateway *dataplane.Server) error {
		return gateway.Stdio(ctx, a.io.Stdin, a.io.Stdout)
	}
	return upFailure(up.Run(ctx, *c))
}

// prefixed marks lines that end up among those of other servers in a client's log.
func prefixed(w io.Writer) io.Writer { return prefixWriter{w} }

type prefixWriter struct{ to io.Writer }

// Write puts the program's name before what is written; notes come a line at a time.
func (p prefixWriter) Write(b []byte) (int, error) {
	if _, err := p.to.Write(append([]byte("gwctl: "), b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}
