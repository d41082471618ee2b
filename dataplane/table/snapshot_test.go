package table_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"google.golang.org/protobuf/proto"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// key is an API key; keyDigest is how a credential holds it.
const key = "gwk_0123456789abcdef0123456789abcdef"

func keyDigest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func server(name string, s *gatehousev1.Server) *gatehousev1.Object {
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Server{Server: s}}
}

func credential(name, digest string, agents ...string) *gatehousev1.Object {
	c := &gatehousev1.Credential{ApiKey: &gatehousev1.ApiKey{Sha256: digest}, Agents: agents}
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Credential{Credential: c}}
}

func stdio(command string, args ...string) *gatehousev1.Server {
	return &gatehousev1.Server{Transport: &gatehousev1.Server_Stdio{Stdio: &gatehousev1.Stdio{Command: command, Args: args}}}
}

func http(url string) *gatehousev1.Server {
	return &gatehousev1.Server{Transport: &gatehousev1.Server_Http{Http: &gatehousev1.Http{Url: url}}}
}

// content holds one object of each kind.
func content() *gatehousev1.SnapshotContent {
	policy := &gatehousev1.Policy{Allow: &gatehousev1.Access{Servers: []string{"*"}}}
	return &gatehousev1.SnapshotContent{Revision: 7, SealKey: make([]byte, 32), Config: &gatehousev1.Config{Objects: []*gatehousev1.Object{
		server("web", http("https://example.com/mcp")),
		server("local", stdio("npx", "-y", "${PACKAGE}")),
		{Name: "backend", Spec: &gatehousev1.Object_Policy{Policy: policy}},
		{Name: "default", Spec: &gatehousev1.Object_Settings{Settings: &gatehousev1.Settings{}}},
		credential("laptop", keyDigest(key), "researcher", "backend"),
	}}}
}

// snapshot seals content as the control plane does.
func snapshot(t testing.TB, c *gatehousev1.SnapshotContent) *gatehousev1.Snapshot {
	t.Helper()
	b, err := proto.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return &gatehousev1.Snapshot{
		Position: &gatehousev1.Position{StoreId: "s", Epoch: 1, Revision: c.GetRevision(), Digest: sum[:]}, Content: b,
	}
}

// build makes the table of content.
func build(t testing.TB, c *gatehousev1.SnapshotContent) *table.Table {
	t.Helper()
	got, err := table.Build(snapshot(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// one is the table of a configuration with these objects alone.
func one(objects ...*gatehousev1.Object) (*table.Table, error) {
	return table.Compile(nil, &gatehousev1.SnapshotContent{Config: &gatehousev1.Config{Objects: objects}})
}
