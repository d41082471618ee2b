package cli

import "github.com/spf13/cobra"

// flagsFromContext fills flags from the context file.
func (a *app) flagsFromContext(*cobra.Command) error { return nil }
