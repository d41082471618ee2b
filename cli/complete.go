package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// completionBudget is how long a person who presses TAB waits for names.
const completionBudget = 300 * time.Millisecond

// completion is what cobra asks for the words that may follow.
type completion = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// listObjects reads objects for completion. Cobra skips start for completions, so the flags' other sources are read here;
// whoever cannot be reached in time has no names.
func (a *app) listObjects(cmd *cobra.Command, kind string) []*gatehousev1.Object {
	if a.flagsFromEnv(cmd) != nil || a.flagsFromContext(cmd) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionBudget)
	defer cancel()
	resp, err := a.objects(ctx, &gatehousev1.GetRequest{Kind: kind})
	if err != nil {
		return nil
	}
	return resp.GetObjects()
}

// completeFirst offers the names of one kind for the first argument, and nothing for further ones.
func (a *app) completeFirst(kind string) completion {
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.completeNames(kind)(cmd, args, toComplete)
	}
}

// completeCall offers servers, then the tools that proxies have seen there.
func (a *app) completeCall(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeFirst(config.Servers)(cmd, args, toComplete)
	}
	if a.flagsFromEnv(cmd) != nil || a.flagsFromContext(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionBudget)
	defer cancel()
	fleet, err := a.fleet(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return fleet.tools(args[0]), cobra.ShellCompDirectiveNoFileComp
}

// completeNames offers the names of one kind.
func (a *app) completeNames(kind string) completion {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var out []string
		for _, o := range a.listObjects(cmd, kind) {
			out = append(out, o.GetName())
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeReferences offers all objects as references.
func (a *app) completeReferences(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, o := range a.listObjects(cmd, "") {
		out = append(out, config.Ref(o))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeGet offers kinds, then names of the kind.
func (a *app) completeGet(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 { // KIND/NAME is understood too, but words complete better
		return getKinds(), cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	kind, _, err := selection(args[:1])
	switch {
	case err != nil || len(args) > 1:
	case kind == kindRevisions:
		return a.completeRevisions(cmd, nil, "")
	case kind != kindProxies:
		for _, o := range a.listObjects(cmd, kind) {
			out = append(out, o.GetName())
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeRevisions offers the newest revisions with their messages.
func (a *app) completeRevisions(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	if a.flagsFromEnv(cmd) != nil || a.flagsFromContext(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionBudget)
	defer cancel()
	revisions, err := a.revisions(ctx, &gatehousev1.HistoryRequest{Limit: 20})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, r := range revisions {
		out = append(out, strconv.FormatInt(r.Revision, 10)+"\t"+r.Message)
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
