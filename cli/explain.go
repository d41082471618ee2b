package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// explanation is a decision in JSON. Null stands for what does not apply.
type explanation struct {
	Decision string  `json:"decision"`
	Code     *string `json:"code"`
	Rule     *string `json:"rule"`
	Agent    *string `json:"agent"`
	Revision int64   `json:"revision"`
}

// newExplanation converts the answer of whoever decided: the same message comes from files and from the control plane.
func newExplanation(r *gatehousev1.ExplainResponse) *explanation {
	decision := "deny"
	if r.GetAllow() {
		decision = "allow"
	}
	return &explanation{
		Decision: decision,
		Code:     orNull(r.GetCode()),
		Rule:     orNull(r.GetRule()),
		Agent:    orNull(r.GetAgent()),
		Revision: r.GetRevision(),
	}
}

// orNull is the string, or null where it is empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// explainFlags are what `gwctl explain` is told.
type explainFlags struct {
	sources sources
	request *gatehousev1.ExplainRequest
	// One of these goes into the request where its flag was given, also as the empty name.
	tool, resource, prompt string
	exit                   bool // --exit-code
}

// newExplainCommand makes `gwctl explain`.
func newExplainCommand(a *app) *cobra.Command {
	f := &explainFlags{request: &gatehousev1.ExplainRequest{}}
	cmd := &cobra.Command{
		Use:   "explain [--agent A] --server S [--tool T | --resource URI | --prompt P]",
		Short: "say whether an agent may use a server, tool, resource or prompt, and which rule decides",
		Long: "explain asks the code that enforces. Without --tool, --resource or --prompt it asks about the server; without\n" +
			"--agent it asks for a caller that named none. With -f or --rules it decides by files and needs no control plane.",
		Example: "  gwctl explain --agent backend --server postgres --tool drop_table\n" +
			"  gwctl explain --rules rules.json --agent backend --server postgres --exit-code",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.explain(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.request.Agent, "agent", "", "agent that the caller names; empty means none")
	flags.StringVar(&f.request.Server, "server", "", "server")
	flags.StringVar(&f.tool, "tool", "", "tool; leave the flag out to ask about the server")
	flags.StringVar(&f.resource, "resource", "", "URI of a resource, or the text of a template, instead of a tool")
	flags.StringVar(&f.prompt, "prompt", "", "prompt, instead of a tool")
	flags.Int64Var(&f.request.Revision, "revision", 0, "decide at this revision instead of the newest")
	flags.BoolVar(&f.exit, "exit-code", false, "exit with 2 where the decision is deny")
	f.sources.declare(cmd)
	a.completeExplain(cmd, f)
	return cmd
}

// completeExplain offers the names that the control plane and the proxies know.
func (a *app) completeExplain(cmd *cobra.Command, f *explainFlags) {
	tools := func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		return a.completeCall(cmd, []string{f.request.GetServer()}, toComplete)
	}
	for flag, complete := range map[string]completion{
		"agent": a.completeNames(config.Policies), "server": a.completeNames(config.Servers),
		"tool": tools, "revision": a.completeRevisions,
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, complete) // the flag is there
	}
}

// explain decides one access, by files or by the control plane.
func (a *app) explain(cmd *cobra.Command, f *explainFlags) error {
	// Not the empty string: that is a name to decide about, as a caller may send it.
	if !cmd.Flags().Changed("server") {
		return usagef("--server is missing")
	}
	if err := f.ask(cmd.Flags().Changed); err != nil {
		return err
	}
	// A default agent without files is a slip that the offline path refuses; online it would be ignored.
	decide := a.explainOnline
	if !f.sources.empty() || f.sources.defaultAgent != "" {
		decide = a.explainOffline
	}
	resp, err := decide(cmd.Context(), f)
	if err != nil {
		return err
	}
	out := newExplanation(resp)
	if err := a.show(view{data: out, names: []string{out.Decision}, people: out.print}); err != nil {
		return err
	}
	// Without --exit-code a denial is an answer like any other, so that `set -e` scripts can read it.
	if f.exit && !resp.GetAllow() {
		return exitWith(exitDifference)
	}
	return nil
}

// ask puts what was given into the request: the empty name is a name. Of several the answer would be about one.
func (f *explainFlags) ask(given func(flag string) bool) error {
	asked := 0
	for flag, to := range map[string]struct {
		value *string
		place **string
	}{
		"tool":     {&f.tool, &f.request.Tool},
		"resource": {&f.resource, &f.request.Resource},
		"prompt":   {&f.prompt, &f.request.Prompt},
	} {
		if given(flag) {
			*to.place = to.value
			asked++
		}
	}
	if asked > 1 {
		return usagef("ask about one thing: --tool, --resource or --prompt")
	}
	return nil
}

// explainOnline asks the control plane.
func (a *app) explainOnline(ctx context.Context, f *explainFlags) (*gatehousev1.ExplainResponse, error) {
	client, err := a.admin()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.within(ctx)
	defer cancel()
	return client.Explain(ctx, f.request)
}

// explainOffline decides by files, which must be in order: a rule that was misread must not pass for an answer.
func (a *app) explainOffline(_ context.Context, f *explainFlags) (*gatehousev1.ExplainResponse, error) {
	if f.request.GetRevision() != 0 {
		return nil, usagef("--revision asks the control plane; leave it out to decide by files")
	}
	found, err := f.sources.check(a.io.Stdin)
	if err != nil {
		return nil, err
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	return config.Explain(found.config(), f.request), nil
}

// print writes the decision for people.
func (e *explanation) print(w io.Writer, wide bool) error {
	g := grid{header: []string{"DECISION", "CODE", "RULE", "AGENT", "REVISION"}}
	g.row(e.Decision, value(e.Code), value(e.Rule), value(e.Agent), fmt.Sprint(e.Revision))
	return g.write(w, wide)
}

// value is the string, empty for null.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
