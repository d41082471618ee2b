package cli

import (
	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// newDeleteCommand is an apply that puts nothing, so it has the base, the dry run and the wait of one.
func newDeleteCommand(a *app) *cobra.Command {
	var wait waitFlag
	req := &gatehousev1.ApplyRequest{}
	var base int64
	cmd := &cobra.Command{
		Use:               "delete KIND/NAME…",
		Short:             "delete objects, all of them or none, as one revision",
		Example:           "  gwctl delete servers/postgres policies/backend --wait",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeReferences,
		RunE: func(cmd *cobra.Command, args []string) error {
			// A reference that cannot exist is the caller's mistake; one that does not exist is for the control plane to say.
			for _, ref := range args {
				if _, _, err := config.ParseRef(ref); err != nil {
					return fail(codeUsage, err, "")
				}
			}
			req.Delete, req.Author = args, a.author()
			// 0 is a base, too, so that it was given is what counts.
			if cmd.Flags().Changed("base") {
				req.Base = &base
			}
			return a.commit(cmd.Context(), req, commitOptions{wait: wait})
		},
	}
	cmd.Flags().BoolVar(&req.DryRun, "dry-run", false, "do everything but the commit")
	cmd.Flags().Int64Var(&base, "base", 0, "refuse unless this is the newest revision")
	messageFlag(cmd, &req.Message)
	wait.declare(cmd)
	return cmd
}
