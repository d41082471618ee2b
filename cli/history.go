package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// revision is one commit in JSON.
// RollbackOf is 0 where it restored none.
type revision struct {
	Revision   int64    `json:"revision"`
	Time       string   `json:"time"`
	Author     string   `json:"author"`
	Message    string   `json:"message"`
	RollbackOf int64    `json:"rollbackOf"`
	Changes    []change `json:"changes"`
}

// newRevision converts the record of a commit.
func newRevision(r *gatehousev1.Revision) revision {
	return revision{
		Revision: r.GetRevision(), Time: r.GetTime().AsTime().Format(time.RFC3339Nano), Author: r.GetAuthor(),
		Message: r.GetMessage(), RollbackOf: r.GetRollbackOf(), Changes: changesOf(r.GetChanges()),
	}
}

// newHistoryCommand lists the commits, which are also the audit trail of the configuration.
func newHistoryCommand(a *app) *cobra.Command {
	req := &gatehousev1.HistoryRequest{}
	cmd := &cobra.Command{
		Use:   "history",
		Short: "list the revisions, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			revisions, err := a.revisions(cmd.Context(), req)
			if err != nil {
				return err
			}
			return a.show(view{
				data: map[string][]revision{"revisions": revisions}, names: revisionNames(revisions), people: printRevisions(revisions),
			})
		},
	}
	cmd.Flags().Int32Var(&req.Limit, "limit", 100, "how many, 1 to 1000")
	cmd.Flags().Int64Var(&req.Before, "before", 0, "only revisions below this one")
	return cmd
}

// revisions asks for records of revisions, newest first.
func (a *app) revisions(ctx context.Context, req *gatehousev1.HistoryRequest) ([]revision, error) {
	client, err := a.admin()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.within(ctx)
	defer cancel()
	resp, err := client.History(ctx, req)
	if err != nil {
		return nil, err
	}
	out := make([]revision, 0, len(resp.GetRevisions()))
	for _, r := range resp.GetRevisions() {
		out = append(out, newRevision(r))
	}
	return out, nil
}

// revisionNames are revisions as references, such as revisions/7.
func revisionNames(revisions []revision) []string {
	names := make([]string, 0, len(revisions))
	for _, r := range revisions {
		names = append(names, "revisions/"+strconv.FormatInt(r.Revision, 10))
	}
	return names
}

// printRevisions writes revisions for people: ages instead of times, unless the form is wide.
func printRevisions(revisions []revision) func(io.Writer, bool) error {
	return func(w io.Writer, wide bool) error {
		g := grid{header: []string{"REVISION", "TIME", "AUTHOR", "CHANGES", "MESSAGE"}}
		for _, r := range revisions {
			when := r.Time
			// People want to know how long ago it was; scripts and the wide form get the time itself.
			if t, err := time.Parse(time.RFC3339Nano, r.Time); err == nil && !wide {
				when = ago(t)
			}
			// The record's own field says it for scripts; people look for it among the reasons.
			message := r.Message
			if r.RollbackOf > 0 && message == "" {
				message = fmt.Sprintf("rollback to %d", r.RollbackOf)
			}
			g.row(strconv.FormatInt(r.Revision, 10), when, r.Author, summary(r.Changes, wide), message)
		}
		return g.write(w, wide)
	}
}

// summary names a few changes, or all of them.
func summary(changes []change, all bool) string {
	marks := map[string]string{"created": "+", "updated": "~", "deleted": "-"}
	var parts []string
	for i, c := range changes {
		if i == 3 && !all { // the line stays on one screen, whatever an import has changed
			parts = append(parts, fmt.Sprintf("and %d more", len(changes)-i))
			break
		}
		parts = append(parts, marks[c.Action]+c.Object)
	}
	return strings.Join(parts, " ")
}

// ago is how long ago something was, in one unit.
func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}
