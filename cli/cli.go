// Package cli is gwctl, the operator's tool, as a function of its environment: everything it reads and writes comes in
// by IO, so that tests run it as users do. It refuses what it does not know rather than guess, prints data on standard
// output and everything else on standard error, and never prints a secret twice.
package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"
)

// IO is what a run may touch of the world outside. Nil streams are empty or discarded.
type IO struct {
	// Env are the environment variables, as os.Environ gives them.
	Env []string
	// Stdin, Stdout and Stderr are the streams; colour and progress need them to be terminals.
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Version is what `gwctl version` says; empty means the version in the build information.
	Version string
}

// Run performs one command line, without the program's name, and returns the exit code. It returns when ctx ends.
func Run(ctx context.Context, streams IO, args []string) int {
	a := newApp(streams)
	defer a.close()
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !a.started {
		err = a.usageFailure(root, args, err)
	}
	f := failureOf(ctx, err)
	a.report(f)
	return f.exit
}

// newRoot is the command table.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:               "gwctl",
		Short:             "operate Gatehouse, an MCP gateway",
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: a.start,
	}
	root.SetIn(a.io.Stdin)
	root.SetOut(a.io.Stdout)
	root.SetErr(a.io.Stderr)
	a.globalFlags(root.PersistentFlags())
	root.AddCommand()
	return root
}
