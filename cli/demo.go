package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cli/demo"
)

// newDemoServerCommand makes gwctl its own first upstream, so that trying Gatehouse installs nothing else.
func newDemoServerCommand(a *app) *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use:   "demo-server",
		Short: "run a small MCP server to try things with",
		Long: "demo-server speaks MCP on standard input and output. Its tools are echo(message), add(a, b), now(),\n" +
			"fail(message) and slow(ms).",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if addr == "" { // as clients and gateways start a server
				return demo.Serve(cmd.Context(), a.io.Stdin, a.io.Stdout)
			}
			// On standard error, as all that is not data; on a pipe standard output is MCP's anyway.
			return demo.ServeHTTP(cmd.Context(), addr, func(url string) {
				fmt.Fprintln(a.io.Stderr, "demo server at", url)
			})
		},
	}
	cmd.Flags().StringVar(&addr, "http", "", "serve Streamable HTTP at this loopback address instead")
	return cmd
}
