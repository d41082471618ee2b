package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// difference is the answer of diff in JSON.
// From is compared with To, which is 0 where files stand for it.
type difference struct {
	From    int64          `json:"from"`
	To      int64          `json:"to"`
	Changes []change       `json:"changes"`
	Access  []accessChange `json:"access"`

	details  []*gatehousev1.ObjectDiff
	warnings []*gatehousev1.Warning
}

// accessChange is what an agent gains or loses, in JSON: one tool, one resource or one prompt.
type accessChange struct {
	Agent    string `json:"agent"`
	Server   string `json:"server"`
	Tool     string `json:"tool,omitempty"`
	Resource string `json:"resource,omitempty"`
	Prompt   string `json:"prompt,omitempty"`
	Before   string `json:"before"`
	After    string `json:"after"`
}

// what names it for people, who read a name without a word before it as a tool's.
func (c *accessChange) what() string {
	switch {
	case c.Resource != "":
		return "resource " + c.Resource
	case c.Prompt != "":
		return "prompt " + c.Prompt
	}
	return c.Tool
}

// newDiffCommand shows the consequence beside the change: a glob that is one character wider may open a hundred tools.
func newDiffCommand(a *app) *cobra.Command {
	var files []string
	var prune bool
	cmd := &cobra.Command{
		Use:   "diff -f PATH… | diff REVISION [REVISION]",
		Short: "show what files or revisions change: objects, and who gains or loses which access",
		Long: "diff compares the newest revision with what applying the files would make of it, or two revisions.\n" +
			"With one revision, it is compared with the newest. Exit code 2 says that there is a difference.",
		Args:              cobra.MaximumNArgs(2),
		ValidArgsFunction: a.completeRevisions,
		RunE: func(cmd *cobra.Command, args []string) error {
			// Files go against the newest revision alone; against an older one, the answer would be about what nobody serves.
			if len(files) > 0 == (len(args) > 0) {
				return usagef("compare what: -f PATH…, or one or two revisions")
			}
			if prune && len(files) == 0 {
				return usagef("--prune is for -f: two revisions are compared as they are")
			}
			if len(files) > 0 {
				return a.diffFiles(cmd.Context(), files, prune)
			}
			return a.diffRevisions(cmd.Context(), args)
		},
	}
	fileFlag(cmd, &files)
	cmd.Flags().BoolVar(&prune, "prune", false, "as `gwctl apply --prune` would do")
	return cmd
}

// diffFiles compares the newest revision with what the files would make of it.
func (a *app) diffFiles(ctx context.Context, files []string, prune bool) error {
	set, err := a.load(files)
	if err != nil {
		return err
	}
	// The request that apply would send, so that the control plane merges and checks it by the same code.
	req := &gatehousev1.ApplyRequest{Put: set.Objects}
	if prune {
		req.Prune = gatehousev1.Prune_PRUNE_ALL
	}
	return a.diff(ctx, &gatehousev1.DiffRequest{Proposed: req}, set)
}

// diffRevisions compares two revisions; a missing second one is the newest.
func (a *app) diffRevisions(ctx context.Context, args []string) error {
	req := &gatehousev1.DiffRequest{}
	for i, to := range []*int64{&req.From, &req.To} {
		if i == len(args) {
			newest, err := a.revisions(ctx, &gatehousev1.HistoryRequest{Limit: 1})
			if err != nil {
				return err
			}
			if len(newest) == 0 {
				return usagef("there is no revision yet")
			}
			*to = newest[0].Revision
			continue
		}
		n, err := parseRevision(args[i])
		if err != nil {
			return err
		}
		*to = n
	}
	return a.diff(ctx, req, nil)
}

// diff asks for a difference and prints it.
func (a *app) diff(ctx context.Context, req *gatehousev1.DiffRequest, set *manifest.Set) error {
	client, err := a.admin()
	if err != nil {
		return err
	}
	bounded, cancel := a.within(ctx)
	defer cancel()
	resp, err := client.Diff(bounded, req)
	if err != nil {
		return located(ctx, set, err)
	}
	d := newDifference(resp)
	if err := a.show(view{data: d, names: objectsOf(d.Changes), people: d.print(a)}); err != nil {
		return err
	}
	// As diff(1) and terraform do; a failure has another code, so that scripts can tell.
	if len(d.Changes)+len(d.Access) > 0 {
		return exitWith(exitDifference)
	}
	return nil
}

// newDifference converts the control plane's answer; what has no changes has empty lists, not null.
func newDifference(resp *gatehousev1.DiffResponse) *difference {
	d := &difference{
		From: resp.GetFrom(), To: resp.GetTo(), Changes: changesOf(resp.GetChanges()), Access: []accessChange{},
		details: resp.GetDetails(), warnings: resp.GetWarnings(),
	}
	for _, c := range resp.GetAccess() {
		d.Access = append(d.Access, accessChange{
			Agent: c.GetAgent(), Server: c.GetServer(), Tool: c.GetTool(), Resource: c.GetResource(), Prompt: c.GetPrompt(),
			Before: c.GetBefore(), After: c.GetAfter(),
		})
	}
	return d
}

// print writes the difference for people: each object's lines, then access.
func (d *difference) print(a *app) func(io.Writer, bool) error {
	return func(w io.Writer, _ bool) error {
		if len(d.Changes)+len(d.Access) == 0 {
			_, err := fmt.Fprintln(w, "no difference")
			return err
		}
		for i, c := range d.Changes {
			fmt.Fprintf(w, "%s %s\n", a.paint(w, actionColour(c.Action), c.Action), c.Object)
			if i >= len(d.details) { // an older control plane sends none
				continue
			}
			if err := printObjectDiff(a, w, d.details[i]); err != nil {
				return err
			}
		}
		for _, warning := range d.warnings {
			a.warnf("%s: %s: %s", warning.GetObject(), warning.GetField(), warning.GetMessage())
		}
		return d.printAccess(a, w)
	}
}

// printAccess says who gains and who loses.
func (d *difference) printAccess(a *app, w io.Writer) error {
	if len(d.Access) == 0 {
		_, err := fmt.Fprintln(w, "\nno agent gains or loses access")
		return err
	}
	fmt.Fprintln(w, "\naccess:")
	for _, c := range d.Access {
		line := a.paint(w, green, "+")
		if c.After == "deny" {
			line = a.paint(w, red, "-")
		}
		if _, err := fmt.Fprintf(w, "  %s %s: %s/%s  %s → %s\n", line, c.Agent, c.Server, c.what(), c.Before, c.After); err != nil {
			return err
		}
	}
	return nil
}

// printObjectDiff writes the lines of both manifests of an object, marked.
func printObjectDiff(a *app, w io.Writer, d *gatehousev1.ObjectDiff) error {
	before, err := manifestLines(d.GetBefore())
	if err != nil {
		return err
	}
	after, err := manifestLines(d.GetAfter())
	if err != nil {
		return err
	}
	// Manifests are compared as text: that is the form in which the operator wrote them and has to find the place again.
	colours := map[byte]string{'+': green, '-': red}
	for _, line := range diffLines(before, after) {
		if colour, ok := colours[line[0]]; ok {
			line = a.paint(w, colour, line)
		}
		fmt.Fprintln(w, "  "+line)
	}
	return nil
}

// manifestLines is an object as YAML, in lines; an absent one has none.
func manifestLines(o *gatehousev1.Object) ([]string, error) {
	if o == nil {
		return nil, nil
	}
	text, err := manifest.Marshal([]*gatehousev1.Object{o}, formatYAML)
	if err != nil {
		return nil, fmt.Errorf("printing %s: %w", config.Ref(o), err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), nil
}
