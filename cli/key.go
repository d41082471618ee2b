package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/cli/apikey"
	"github.com/gatehouse-mcp/gatehouse/controlplane/config"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// newKeyCommand groups the verbs of API keys, which are Credential objects under a friendlier name.
func newKeyCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "make, list and revoke API keys",
		Args:  noSubcommand,
		RunE:  showHelp,
	}
	cmd.AddCommand(newKeyCreateCommand(a), newKeyListCommand(a), newKeyRevokeCommand(a))
	return cmd
}

// createdKey is the only answer that ever holds a key.
type createdKey struct {
	Name     string   `json:"name"`
	Key      string   `json:"key"`
	Agents   []string `json:"agents"`
	Expires  *string  `json:"expires"`
	Revision int64    `json:"revision"`
}

// newKeyCreateCommand makes the key on the operator's machine: neither the control plane nor the store ever sees it.
func newKeyCreateCommand(a *app) *cobra.Command {
	var agents []string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:     "create NAME --agent A[,B]",
		Short:   "make an API key and print it once",
		Example: "  gwctl key create laptop --agent researcher,admin --ttl 2160h",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(agents) == 0 {
				return usagef("no agent given: --agent names those that the key may act as")
			}
			if ttl < 0 || ttl == 0 && cmd.Flags().Changed("ttl") {
				return usagef("--ttl %s: want more than 0", ttl)
			}
			return a.createKey(cmd.Context(), args[0], agents, ttl)
		},
	}
	cmd.Flags().StringSliceVar(&agents, "agent", nil, "agents that the key may act as")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how long the key works, such as 2160h; without it, until it is revoked")
	_ = cmd.RegisterFlagCompletionFunc("agent", a.completeNames(config.Policies)) // the flag is there
	return cmd
}

// createKey stores the digest, and prints the key only once that is done.
func (a *app) createKey(ctx context.Context, name string, agents []string, ttl time.Duration) error {
	key := apikey.New()
	cred := &gatehousev1.Credential{ApiKey: &gatehousev1.ApiKey{Sha256: apikey.Digest(key)}, Agents: agents}
	out := createdKey{Name: name, Key: key, Agents: agents}
	if ttl > 0 {
		// An end in whole seconds is the same text in the manifest, in this answer and in the store.
		end := time.Now().Add(ttl).UTC().Truncate(time.Second)
		cred.Expires, out.Expires = timestamppb.New(end), new(end.Format(time.RFC3339))
	}
	client, err := a.admin()
	if err != nil {
		return err
	}
	bounded, cancel := a.within(ctx)
	defer cancel()
	// Create, since a second key under one name would silently end the first.
	resp, err := client.Apply(bounded, &gatehousev1.ApplyRequest{
		Put:    []*gatehousev1.Object{{Name: name, Spec: &gatehousev1.Object_Credential{Credential: cred}}},
		Create: true, Author: a.author(), Message: "key create " + name,
	})
	if err != nil {
		return located(ctx, nil, err)
	}
	out.Revision = resp.GetRevision()
	// The warnings are about the whole configuration; only those about the key belong here.
	for _, w := range newApplied(resp).Warnings {
		if w.Object == config.Credentials+"/"+name {
			a.warnf("%s", w)
		}
	}
	return a.show(view{data: out, names: []string{config.Credentials + "/" + name}, people: out.print(a)})
}

// print gives the key alone on standard output, so that it can be piped; what it is goes to standard error.
func (k createdKey) print(a *app) func(io.Writer, bool) error {
	return func(w io.Writer, _ bool) error {
		until := "until it is revoked"
		if k.Expires != nil {
			until = "until " + *k.Expires
		}
		fmt.Fprintf(a.io.Stderr, "key %s acts as %s, %s (revision %d); it is not shown again:\n",
			k.Name, strings.Join(k.Agents, ", "), until, k.Revision)
		_, err := fmt.Fprintln(w, k.Key)
		return err
	}
}

// newKeyListCommand is `gwctl get credentials` where people look for it.
func newKeyListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "list the API keys, without the keys themselves",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.get(cmd.Context(), &gatehousev1.GetRequest{Kind: config.Credentials})
		},
	}
}

// newKeyRevokeCommand deletes the credential. That is a revision like any other, so it reaches every proxy the same way.
func newKeyRevokeCommand(a *app) *cobra.Command {
	var wait waitFlag
	cmd := &cobra.Command{
		Use:               "revoke NAME",
		Short:             "take an API key out of service",
		Long:              "revoke deletes the key's object. With --wait it returns when no connected proxy accepts the key any more.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeFirst(config.Credentials),
		RunE: func(cmd *cobra.Command, args []string) error {
			// `key list -o name` prints references, and its lines are piped into this command.
			name := trimKind(args[0], config.Credentials)
			return a.commit(cmd.Context(), &gatehousev1.ApplyRequest{
				Delete: []string{config.Credentials + "/" + name}, Author: a.author(), Message: "key revoke " + name,
			}, commitOptions{wait: wait})
		},
	}
	wait.declare(cmd)
	return cmd
}
