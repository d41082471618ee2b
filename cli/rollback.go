package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// newRollbackCommand goes back by going on: proxies only ever move to higher revisions.
func newRollbackCommand(a *app) *cobra.Command {
	var base int64
	var message string
	var wait waitFlag
	cmd := &cobra.Command{
		Use:   "rollback REVISION",
		Short: "bring the configuration of an older revision back, as a new revision",
		Long: "rollback commits the configuration of an older revision once more, under a new number: what all proxies serve only\n" +
			"ever moves on. It is the whole configuration, API keys included: a key that was revoked since works again, and one\n" +
			"that was made since no longer does. Each of them is a warning.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeRevisions,
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := parseRevision(args[0])
			if err != nil {
				return err
			}
			// Only the number is sent: the old configuration is in the store, and copied there without a way through here.
			req := &gatehousev1.RollbackRequest{Revision: n, Author: a.author(), Message: message}
			if cmd.Flags().Changed("base") {
				req.Base = &base
			}
			return a.rollback(cmd.Context(), req, wait)
		},
	}
	cmd.Flags().Int64Var(&base, "base", 0, "refuse unless this is the newest revision")
	messageFlag(cmd, &message)
	wait.declare(cmd)
	return cmd
}

// rollback commits an old configuration anew and, where asked, waits for the proxies.
func (a *app) rollback(ctx context.Context, req *gatehousev1.RollbackRequest, wait waitFlag) error {
	client, err := a.admin()
	if err != nil {
		return err
	}
	bounded, cancel := a.within(ctx)
	defer cancel()
	resp, err := client.Rollback(bounded, req)
	if err != nil {
		return err
	}
	out := newApplied(resp)
	out.Warnings = append(out.Warnings, keyWarnings(out.Changes)...)
	return a.finish(ctx, out, wait)
}

// keyWarnings names the API keys that a rollback moves in or out of service. Keys are objects like any other, so going back
// to before a revocation undoes it, which nobody should find out from the audit log.
func keyWarnings(changes []change) []warning {
	says := map[string]string{
		"created": "this API key works again", "deleted": "this API key no longer works", "updated": "this API key has other rights now",
	}
	var out []warning
	for _, c := range changes {
		if strings.HasPrefix(c.Object, config.Credentials+"/") {
			out = append(out, warning{Object: c.Object, Message: says[c.Action]})
		}
	}
	return out
}

// parseRevision reads the number of a revision, with or without the kind before it.
func parseRevision(s string) (int64, error) {
	n, err := strconv.ParseInt(trimKind(s, "revisions"), 10, 64)
	if err != nil || n < 1 {
		return 0, usagef("%s is no revision: want a number from 1", s)
	}
	return n, nil
}
