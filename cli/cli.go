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
	// One place turns whatever happened into an exit code; commands only return errors.
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !a.started { // flags or arguments were not understood, so nothing has been done
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
		Version:           a.version(),
		SilenceErrors:     true,
		RunE:              showHelp,
		SilenceUsage:      true,
		PersistentPreRunE: a.start,
	}
	root.SetIn(a.io.Stdin)
	root.SetOut(a.io.Stdout)
	root.SetErr(a.io.Stderr)
	a.globalFlags(root.PersistentFlags())
	root.AddCommand(helpTopics()...)
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run it:"},
		&cobra.Group{ID: groupChange, Title: "Change the configuration:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupKeep, Title: "Keep it safe:"},
	)
	inGroup(root, groupRun, newUpCommand(a), newStdioCommand(a), newDemoServerCommand(a))
	inGroup(root, groupChange, newApplyCommand(a), newImportCommand(a), newDeleteCommand(a), newRollbackCommand(a), newKeyCommand(a))
	inGroup(root, groupLook, newStatusCommand(a), newGetCommand(a), newDiffCommand(a), newHistoryCommand(a),
		newExplainCommand(a), newValidateCommand(a), newCallCommand(a))
	inGroup(root, groupKeep, newBackupCommand(a), newRestoreCommand(a))
	root.AddCommand(newContextCommand(a), newVersionCommand(a))
	knowShells(root)
	return root
}

// knowShells makes cobra's completion command refuse shells that it does not know; by itself it prints its help.
func knowShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("no completion for %q: bash, fish, powershell or zsh", args[0])
			}
			return cmd.Help()
		}
	}
}

// The groups of the help text.
const (
	groupRun    = "run"
	groupChange = "change"
	groupLook   = "look"
	groupKeep   = "keep"
)

// inGroup puts commands under one heading of the help text, in the order given.
func inGroup(root *cobra.Command, group string, commands ...*cobra.Command) {
	for _, c := range commands {
		c.GroupID = group
	}
	root.AddCommand(commands...)
}
