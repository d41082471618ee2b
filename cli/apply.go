package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// change is one changed object in JSON.
type change struct {
	Object string `json:"object"`
	Action string `json:"action"`
}

// warning is something to look at, in JSON.
// Object and Field are empty where it is about the whole.
type warning struct {
	Object  string `json:"object"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

// applied is the answer of every command that makes a revision.
type applied struct {
	Revision int64     `json:"revision"`
	Outcome  string    `json:"outcome"`
	Changes  []change  `json:"changes"`
	Warnings []warning `json:"warnings"`
}

// newApplied converts the control plane's answer; both kinds of it have the same fields.
func newApplied(r interface {
	GetRevision() int64
	GetOutcome() gatehousev1.Outcome
	GetChanges() []*gatehousev1.Change
	GetWarnings() []*gatehousev1.Warning
}) *applied {
	out := &applied{
		Revision: r.GetRevision(), Outcome: word(r.GetOutcome(), "OUTCOME_"),
		Changes: changesOf(r.GetChanges()), Warnings: []warning{},
	}
	for _, w := range r.GetWarnings() {
		out.Warnings = append(out.Warnings, warning{Object: w.GetObject(), Field: w.GetField(), Message: w.GetMessage()})
	}
	return out
}

// changesOf converts changes; no changes are an empty list, not null.
func changesOf(changes []*gatehousev1.Change) []change {
	out := make([]change, 0, len(changes))
	for _, c := range changes {
		out = append(out, change{Object: c.GetObject(), Action: word(c.GetAction(), "ACTION_")})
	}
	return out
}

// word is an enum's value as the contract writes it: OUTCOME_COMMITTED is "committed".
func word(value fmt.Stringer, prefix string) string {
	return strings.ToLower(strings.TrimPrefix(value.String(), prefix))
}

// applyFlags are what `gwctl apply` is told.
type applyFlags struct {
	files   []string
	dryRun  bool
	base    int64 // means something only where it is given
	prune   bool
	message string
	wait    waitFlag
}

// newApplyCommand is the operator's main verb. Like kubectl it does not ask back: `gwctl diff` is the question, and --base
// makes sure that what was looked at is what is changed.
func newApplyCommand(a *app) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f PATH…",
		Short: "make the configuration what the files say, as one revision",
		Long: "apply creates and replaces the objects of the files, all of them or none, as one revision.\n" +
			"Objects that the files do not hold stay, unless --prune is given.",
		Example: "  gwctl apply -f servers.yaml -f policies/ --wait -m 'open postgres to backend'\n" +
			"  gwctl apply -f . --dry-run -o json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.apply(cmd, &f) },
	}
	fileFlag(cmd, &f.files)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "do everything but the commit")
	cmd.Flags().Int64Var(&f.base, "base", 0, "refuse unless this is the newest revision (0: there is none yet)")
	cmd.Flags().BoolVar(&f.prune, "prune", false, "delete every server and policy that the files do not hold")
	messageFlag(cmd, &f.message)
	f.wait.declare(cmd)
	return cmd
}

// messageFlag declares -m, which says why.
func messageFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "message", "m", "", "why, for the history")
}

// apply sends the files' objects and, where asked, waits for the proxies.
func (a *app) apply(cmd *cobra.Command, f *applyFlags) error {
	set, err := a.load(f.files)
	if err != nil {
		return err
	}
	req := &gatehousev1.ApplyRequest{Put: set.Objects, DryRun: f.dryRun, Author: a.author(), Message: f.message}
	if f.prune {
		req.Prune = gatehousev1.Prune_PRUNE_ALL
	}
	if cmd.Flags().Changed("base") { // 0 is a base too: the one of an empty store
		req.Base = &f.base
	}
	return a.commit(cmd.Context(), req, commitOptions{set: set, wait: f.wait})
}

// commitOptions are what a commit needs besides the request.
type commitOptions struct {
	// set leads complaints back to files; nil where there are none.
	set  *manifest.Set
	wait waitFlag
}

// commit performs an apply, waits if asked to, and prints the outcome.
func (a *app) commit(ctx context.Context, req *gatehousev1.ApplyRequest, o commitOptions) error {
	client, err := a.admin()
	if err != nil {
		return err
	}
	bounded, cancel := a.within(ctx)
	defer cancel()
	resp, err := client.Apply(bounded, req)
	if err != nil {
		return located(ctx, o.set, err)
	}
	out := newApplied(resp)
	if o.set != nil {
		for _, w := range o.set.Warnings {
			out.Warnings = append(out.Warnings, warning{Field: w.Field, Message: w.Message})
		}
	}
	if req.GetDryRun() { // there is no revision that anybody could serve
		o.wait = ""
	}
	return a.finish(ctx, out, o.wait)
}

// finish waits for the proxies where asked, prints the answer, and says by its error whether all are there.
func (a *app) finish(ctx context.Context, out *applied, w waitFlag) error {
	// The answer is printed after the wait, since with -o json there may be only one document; the progress is on standard
	// error meanwhile.
	missing, err := a.await(ctx, out, w)
	if err != nil && ctx.Err() == nil { // nobody should apply it again because of this
		return fmt.Errorf("revision %d is %s, waiting for the proxies: %w", out.Revision, out.Outcome, err)
	}
	if err != nil {
		return err
	}
	if err := a.show(view{data: out, names: objectsOf(out.Changes), people: out.print(a)}); err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	for _, line := range missing {
		a.warnf("%s", line)
	}
	return exitWith(exitDifference)
}

// objectsOf are the references of changes.
func objectsOf(changes []change) []string {
	out := make([]string, 0, len(changes))
	for _, c := range changes {
		out = append(out, c.Object)
	}
	return out
}

// print writes the outcome for people; warnings go to standard error, as everywhere.
func (r *applied) print(a *app) func(io.Writer, bool) error {
	return func(w io.Writer, _ bool) error {
		for _, c := range r.Changes {
			fmt.Fprintf(w, "%s  %s\n", a.paint(w, actionColour(c.Action), fmt.Sprintf("%-7s", c.Action)), c.Object)
		}
		for _, warning := range r.Warnings {
			a.warnf("%s", warning)
		}
		_, err := fmt.Fprintf(w, "revision %d %s\n", r.Revision, r.Outcome)
		return err
	}
}

// String is the warning on one line.
func (w warning) String() string {
	var parts []string
	for _, p := range []string{w.Object, w.Field, w.Message} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, ": ")
}

// actionColour paints what comes green, what goes red, and what stays in another form yellow.
func actionColour(action string) string {
	switch action {
	case "created":
		return green
	case "deleted":
		return red
	}
	return yellow
}

// load reads the manifests that -f names. There must be some.
func (a *app) load(files []string) (*manifest.Set, error) {
	if len(files) == 0 {
		return nil, usagef("no manifest given: -f names a file, a folder, or - for standard input")
	}
	set, err := manifest.Load(files, a.io.Stdin)
	if err != nil {
		return nil, err
	}
	if len(set.Objects) == 0 {
		return nil, usagef("no objects in %s", strings.Join(files, ", "))
	}
	return set, nil
}

// located leads the fields that the control plane complains about back to the places they were read from.
func located(ctx context.Context, set *manifest.Set, err error) error {
	f := failureOf(ctx, err)
	if set == nil {
		return f
	}
	for i, d := range f.details {
		object, field, ok := strings.Cut(d.Field, "#")
		if ok {
			f.details[i] = set.Locate(object, field, d.Message)
		}
	}
	return f
}
