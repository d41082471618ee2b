package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// The kinds that get shows besides those of objects.
const (
	kindProxies   = "proxies"
	kindRevisions = "revisions"
)

// getKinds are all that get shows.
func getKinds() []string {
	return []string{config.Servers, config.Policies, config.Settings, config.Credentials, kindProxies, kindRevisions}
}

// newGetCommand reads what others made. Proxies and revisions are no objects, but people look for them in the same place.
func newGetCommand(a *app) *cobra.Command {
	var rev int64
	cmd := &cobra.Command{
		Use:   "get KIND [NAME]",
		Short: "show objects, proxies or revisions",
		Long: "get shows " + strings.Join(getKinds(), ", ") + ".\n" +
			"References such as ${API_TOKEN} are shown as they were written.",
		Example: "  gwctl get servers\n  gwctl get policies backend -o yaml\n  gwctl get servers/postgres --revision 7",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name, err := selection(args)
			if err != nil {
				return err
			}
			if asked := cmd.Flags().Changed("revision"); asked && (kind == kindProxies || kind == kindRevisions) {
				return usagef("--revision is for objects; %s are not part of the configuration", kind)
			}
			return a.get(cmd.Context(), &gatehousev1.GetRequest{Kind: kind, Name: name, Revision: rev})
		},
		ValidArgsFunction: a.completeGet,
	}
	cmd.Flags().Int64Var(&rev, "revision", 0, "read at this revision instead of the newest")
	return cmd
}

// selection reads KIND, KIND NAME or KIND/NAME. The singular of a kind is understood too.
func selection(args []string) (kind, name string, err error) {
	kind, name, _ = strings.Cut(args[0], "/")
	if len(args) == 2 {
		if name != "" {
			return "", "", usagef("%s and %s: name one object", args[0], args[1])
		}
		name = args[1]
	}
	// People type "get server x" as readily as "get servers x".
	for _, k := range getKinds() {
		if kind == k || kind == singular(k) {
			return k, name, nil
		}
	}
	return "", "", usagef("%s is no kind: want one of %s", kind, strings.Join(getKinds(), ", "))
}

// singular is what people call one of a kind.
func singular(kind string) string {
	switch {
	case strings.HasSuffix(kind, "ies"):
		return strings.TrimSuffix(kind, "ies") + "y"
	case kind == config.Settings:
		return kind
	}
	return strings.TrimSuffix(kind, "s")
}

// trimKind takes the kind off a reference, for arguments whose kind is known.
func trimKind(ref, kind string) string { return strings.TrimPrefix(ref, kind+"/") }

// get shows one kind, from where it is kept.
func (a *app) get(ctx context.Context, req *gatehousev1.GetRequest) error {
	switch req.GetKind() {
	case kindProxies:
		return a.getProxies(ctx, req.GetName())
	case kindRevisions:
		return a.getRevisions(ctx, req.GetName())
	}
	resp, err := a.objects(ctx, req)
	if err != nil {
		return err
	}
	list, err := newListing(resp)
	if err != nil {
		return err
	}
	v := viewObjects(resp, req.GetKind())
	v.data = list
	if req.GetName() != "" { // the control plane has refused a name that is not there
		v.data = list.Items[0]
	}
	return a.show(v)
}

// objects reads objects of one revision.
func (a *app) objects(ctx context.Context, req *gatehousev1.GetRequest) (*gatehousev1.GetResponse, error) {
	client, err := a.admin()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.within(ctx)
	defer cancel()
	return client.Get(ctx, req)
}

// listing is a list of things at one revision, in JSON.
type listing struct {
	Revision int64 `json:"revision"`
	Items    []any `json:"items"`
}

// newListing holds objects as manifests, so that what is printed can be applied again.
func newListing(resp *gatehousev1.GetResponse) (*listing, error) {
	list := &listing{Revision: resp.GetRevision(), Items: []any{}}
	for _, o := range resp.GetObjects() {
		doc, err := manifest.NewDocument(o)
		if err != nil {
			return nil, fmt.Errorf("printing %s: %w", config.Ref(o), err)
		}
		list.Items = append(list.Items, doc)
	}
	return list, nil
}

// viewObjects shows objects as one line each.
func viewObjects(resp *gatehousev1.GetResponse, kind string) view {
	var names []string
	g := gridOf(kind)
	for _, o := range resp.GetObjects() {
		names = append(names, config.Ref(o))
		g.row(cellsOf(o)...)
	}
	return view{names: names, people: g.write}
}

// gridOf is the empty table of a kind.
func gridOf(kind string) *grid {
	switch kind {
	case config.Servers:
		return &grid{header: []string{"NAME", "TRANSPORT", "TARGET", "SESSION", "STATE", "DESCRIPTION", "LABELS", "OWNER"}, narrow: 5}
	case config.Policies:
		return &grid{header: []string{"NAME", "ALLOWED SERVERS", "DENIED SERVERS", "RULES", "LABELS", "OWNER"}, narrow: 4}
	case config.Credentials:
		return &grid{header: []string{"NAME", "AGENTS", "EXPIRES", "LABELS", "OWNER"}, narrow: 3}
	}
	return &grid{header: []string{"NAME", "DENY ON MISSING AGENT", "DEFAULT AGENT", "LABELS", "OWNER"}, narrow: 3}
}

// cellsOf is an object as a row of its kind's table.
func cellsOf(o *gatehousev1.Object) []string {
	var cells []string
	switch spec := o.GetSpec().(type) {
	case *gatehousev1.Object_Server:
		cells = serverCells(o.GetName(), spec.Server)
	case *gatehousev1.Object_Policy:
		p := spec.Policy
		rules := 0
		for _, side := range []*gatehousev1.Access{p.GetAllow(), p.GetDeny()} {
			rules += len(side.GetTools()) + len(side.GetResources()) + len(side.GetPrompts())
		}
		cells = []string{o.GetName(), join(p.GetAllow().GetServers()), join(p.GetDeny().GetServers()), strconv.Itoa(rules)}
	case *gatehousev1.Object_Credential:
		cells = []string{o.GetName(), join(spec.Credential.GetAgents()), expiry(spec.Credential)}
	case *gatehousev1.Object_Settings:
		// Absent means true: see the field's documentation.
		deny := spec.Settings.DenyOnMissingAgent == nil || spec.Settings.GetDenyOnMissingAgent()
		cells = []string{o.GetName(), strconv.FormatBool(deny), spec.Settings.GetDefaultAgent()}
	}
	return append(cells, labelsOf(o.GetLabels()), o.GetOwner())
}

// serverCells are the columns of a server, without labels and owner.
func serverCells(name string, s *gatehousev1.Server) []string {
	transport, target := "stdio", strings.Join(append([]string{s.GetStdio().GetCommand()}, s.GetStdio().GetArgs()...), " ")
	if h := s.GetHttp(); h != nil {
		transport, target = "http", h.GetUrl()
		if h.GetTransport() == gatehousev1.HttpTransport_HTTP_TRANSPORT_SSE {
			transport = "sse"
		}
	}
	// Unset fields show their defaults, since the table is about what happens; the manifest is about what was written.
	session := "shared"
	if s.GetSession() != gatehousev1.SessionMode_SESSION_MODE_UNSPECIFIED {
		session = word(s.GetSession(), "SESSION_MODE_")
	}
	state := "enabled"
	if s.GetDisabled() {
		state = "disabled"
	}
	return []string{name, transport, target, session, state, s.GetDescription()}
}

// join puts several words into one cell.
func join(words []string) string { return strings.Join(words, ",") }

// labelsOf writes labels as k=v, sorted.
func labelsOf(labels map[string]string) string {
	pairs := make([]string, 0, len(labels))
	for _, k := range sortedKeys(labels) {
		pairs = append(pairs, k+"="+labels[k])
	}
	return join(pairs)
}

// expiry is when a credential ends, "never" where it does not.
func expiry(c *gatehousev1.Credential) string {
	if c.GetExpires() == nil {
		return "never"
	}
	return c.GetExpires().AsTime().Format(time.RFC3339)
}

// getProxies shows the fleet as a kind of objects.
func (a *app) getProxies(ctx context.Context, name string) error {
	fleet, err := a.fleet(ctx)
	if err != nil {
		return err
	}
	if name != "" {
		fleet.Proxies = slices.DeleteFunc(fleet.Proxies, func(p proxy) bool { return p.ID != name })
		// As for an object that is not there; an empty list would read as a proxy without a state.
		if len(fleet.Proxies) == 0 {
			return usagef("there is no proxy %s", name)
		}
	}
	list := &listing{Revision: fleet.Revision, Items: []any{}}
	for _, p := range fleet.Proxies {
		list.Items = append(list.Items, p)
	}
	v := view{data: list, names: fleet.names(), people: fleet.print(a)}
	if name != "" {
		v.data = list.Items[0]
	}
	return a.show(v)
}

// getRevisions shows the history as a kind of objects.
func (a *app) getRevisions(ctx context.Context, name string) error {
	req := &gatehousev1.HistoryRequest{}
	if name != "" {
		n, err := parseRevision(name)
		if err != nil {
			return err
		}
		req.Before, req.Limit = n+1, 1 // the first one below the next is the one
	}
	revisions, err := a.revisions(ctx, req)
	if err != nil {
		return err
	}
	if name != "" && (len(revisions) == 0 || strconv.FormatInt(revisions[0].Revision, 10) != trimKind(name, kindRevisions)) {
		return usagef("there is no revision %s", name)
	}
	return a.show(viewRevisions(revisions, name != ""))
}

// viewRevisions shows a list of revisions, or the one that was named.
func viewRevisions(revisions []revision, one bool) view {
	list := &listing{Items: []any{}}
	for _, r := range revisions {
		list.Items = append(list.Items, r)
		list.Revision = max(list.Revision, r.Revision)
	}
	v := view{data: list, names: revisionNames(revisions), people: printRevisions(revisions)}
	if one {
		v.data = revisions[0]
	}
	return v
}
