package table_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"

	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

func TestBuildIndexesEverything(t *testing.T) {
	got := build(t, content())
	if got.Revision != 7 || got.Position.GetStoreId() != "s" || len(got.SealKey) != 32 {
		t.Errorf("Build = revision %d of %q with a key of %d bytes, want 7 of s with 32", got.Revision, got.Position.GetStoreId(), len(got.SealKey))
	}
	if len(got.Servers) != 2 || got.Servers[0].Name != "local" || got.Servers[1] != got.Server("web") || got.Server("nope") != nil {
		t.Errorf("Servers = %v, want local and web, and no other", got.Servers)
	}
	if d := got.Policies.Agent("backend").Tool("web", "x"); !d.Allow {
		t.Errorf("Tool(web, x) of backend = %+v, want it allowed", d)
	}
}

func TestServersGetTheirTimeouts(t *testing.T) {
	tests := []struct {
		call, most         string
		wantCall, wantMost time.Duration
	}{
		{"", "", time.Minute, 10 * time.Minute},
		{"90s", "2m", 90 * time.Second, 2 * time.Minute},
		{"", "5s", 5 * time.Second, 5 * time.Second}, // the cap holds for the default too
		{"1h", "", 10 * time.Minute, 10 * time.Minute},
	}
	for _, tt := range tests {
		s := stdio("true")
		s.CallTimeout, s.MaxCallTimeout = tt.call, tt.most
		got, err := one(server("s", s))
		if err != nil {
			t.Fatal(err)
		}
		if s := got.Server("s"); s.CallTimeout != tt.wantCall || s.MaxCallTimeout != tt.wantMost {
			t.Errorf("timeouts of %q and %q = %v and %v, want %v and %v", tt.call, tt.most, s.CallTimeout, s.MaxCallTimeout, tt.wantCall, tt.wantMost)
		}
	}
}

func TestBuildRefusesSnapshots(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*gatehousev1.Snapshot)
		want  error
		text  string
	}{
		{"with a feature it lacks", func(s *gatehousev1.Snapshot) { s.RequiredFeatures = []string{"rate-limits"} }, table.ErrFeature, "rate-limits"},
		{"with a feature it lacks, before looking at the content", func(s *gatehousev1.Snapshot) {
			s.RequiredFeatures, s.Content = []string{"rate-limits"}, nil
		}, table.ErrFeature, "rate-limits"},
		{"with one byte changed", func(s *gatehousev1.Snapshot) { s.Content[len(s.Content)-1] ^= 1 }, table.ErrDigest, ""},
		{"without a position", func(s *gatehousev1.Snapshot) { s.Position = nil }, table.ErrDigest, ""},
		{"under the number of another revision", func(s *gatehousev1.Snapshot) { s.Position.Revision = 8 }, table.ErrDigest, "revision 7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := snapshot(t, content())
			tt.spoil(s)
			got, err := table.Build(s)
			if got != nil || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Build = %v, %v; want %v with %q", got, err, tt.want, tt.text)
			}
		})
	}
}

// An empty key would let anybody sign what agents carry.
func TestBuildRefusesWeakSealKeys(t *testing.T) {
	for _, n := range []int{0, 31, 33} {
		c := content()
		c.SealKey = make([]byte, n)
		if _, err := table.Build(snapshot(t, c)); err == nil {
			t.Errorf("Build with a seal key of %d bytes = nil, want an error", n)
		}
	}
}

func TestBuildRefusesContentThatIsNotOne(t *testing.T) {
	s := snapshot(t, content())
	s.Content = []byte("\xff\xff\xff")
	s.Position.Digest = snapshotDigest(s.Content)
	if _, err := table.Build(s); err == nil {
		t.Error("Build of noise = nil, want an error")
	}
}

func TestCompileNamesObjectAndField(t *testing.T) {
	bad := func(change func(*gatehousev1.Server)) *gatehousev1.Object {
		s := http("https://example.com/mcp")
		change(s)
		return server("web", s)
	}
	late := credential("laptop", keyDigest(key), "a")
	late.GetCredential().Expires = &timestamppb.Timestamp{Nanos: -1}
	tests := []struct {
		object *gatehousev1.Object
		field  string
	}{
		{server("", stdio("true")), "metadata.name"},
		{server("web", &gatehousev1.Server{}), "spec"},
		{server("web", stdio("")), "spec.stdio.command"},
		{bad(func(s *gatehousev1.Server) { s.GetHttp().Url = "" }), "spec.http.url"},
		{bad(func(s *gatehousev1.Server) { s.GetHttp().Transport = 99 }), "spec.http.transport"},
		{bad(func(s *gatehousev1.Server) { s.Session = 99 }), "spec.session"},
		{bad(func(s *gatehousev1.Server) { s.CallTimeout = "60" }), "spec.callTimeout"},
		{bad(func(s *gatehousev1.Server) { s.CallTimeout = "0s" }), "spec.callTimeout"},
		{bad(func(s *gatehousev1.Server) { s.MaxCallTimeout = "-1s" }), "spec.maxCallTimeout"},
		{credential("", keyDigest(key), "a"), "metadata.name"},
		{credential("laptop", "9f86", "a"), "spec.apiKey.sha256"},
		{credential("laptop", strings.ToUpper(keyDigest(key)), "a"), "spec.apiKey.sha256"},
		{credential("laptop", strings.Repeat("g", 64), "a"), "spec.apiKey.sha256"},
		{credential("laptop", keyDigest(key)), "spec.agents"},
		{credential("laptop", keyDigest(key), "a", ""), "spec.agents"},
		{late, "spec.expires"},
		{&gatehousev1.Object{Name: "nothing"}, "spec"},
	}
	for _, tt := range tests {
		_, err := one(tt.object)
		var at *policy.FieldError
		if !errors.As(err, &at) || at.Field != tt.field || !strings.HasSuffix(at.Object, tt.object.GetName()) {
			t.Errorf("Compile(%v) = %v, want an error at %s", tt.object, err, tt.field)
		}
	}
}

func TestCompileRefusesTwoOfAName(t *testing.T) {
	for _, objects := range [][]*gatehousev1.Object{
		{server("a", stdio("true")), server("a", stdio("false"))},
		{credential("a", keyDigest(key), "x"), credential("b", keyDigest(key), "y")}, // one key, two holders
		{{Name: "a", Spec: &gatehousev1.Object_Policy{}}, {Name: "a", Spec: &gatehousev1.Object_Policy{}}},
	} {
		if _, err := one(objects...); err == nil {
			t.Errorf("Compile(%v) = nil, want an error", objects)
		}
	}
}

// A newer control plane may know kinds that this build does not. Whether they matter is for required_features to say.
func TestBuildLetsUnknownKindsPass(t *testing.T) {
	o := &gatehousev1.Object{Name: "new"}
	o.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), nil))
	if _, err := one(o); err != nil {
		t.Errorf("Compile of an unknown kind = %v, want nil", err)
	}
}

func TestUnchangedConnectionsKeepTheirKey(t *testing.T) {
	keyOf := func(name string, change func(*gatehousev1.Server)) string {
		s := stdio("npx", "-y")
		s.GetStdio().Env = map[string]string{"A": "1", "B": "2", "C": "${C}"}
		change(s)
		got, err := one(server(name, s))
		if err != nil {
			t.Fatal(err)
		}
		return got.Server(name).Key
	}
	same := keyOf("s", func(*gatehousev1.Server) {})
	tests := []struct {
		what   string
		keeps  bool
		name   string
		change func(*gatehousev1.Server)
	}{
		{"description", true, "s", func(s *gatehousev1.Server) { s.Description = "x" }},
		{"timeouts", true, "s", func(s *gatehousev1.Server) { s.CallTimeout, s.MaxCallTimeout = "1s", "2s" }},
		{"disabled", true, "s", func(s *gatehousev1.Server) { s.Disabled = true }},
		{"the default session mode, written", true, "s", func(s *gatehousev1.Server) { s.Session = gatehousev1.SessionMode_SESSION_MODE_SHARED }},
		{"session mode", false, "s", func(s *gatehousev1.Server) { s.Session = gatehousev1.SessionMode_SESSION_MODE_CALL }},
		{"args", false, "s", func(s *gatehousev1.Server) { s.GetStdio().Args = []string{"-y", "x"} }},
		{"env", false, "s", func(s *gatehousev1.Server) { s.GetStdio().Env["C"] = "${D}" }},
		{"transport", false, "s", func(s *gatehousev1.Server) { s.Transport = http("http://x").GetTransport() }},
		{"name", false, "t", func(*gatehousev1.Server) {}},
	}
	for _, tt := range tests {
		if got := keyOf(tt.name, tt.change) == same; got != tt.keeps {
			t.Errorf("changing %s keeps the key: %t, want %t", tt.what, got, tt.keeps)
		}
	}
}

// Whatever arrives, Build answers: it returns a table or an error, never both and never neither.
func FuzzBuild(f *testing.F) {
	good, err := proto.Marshal(content())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte("\x12\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &gatehousev1.SnapshotContent{}
		revision := int64(0)
		if proto.Unmarshal(b, c) == nil {
			revision = c.GetRevision()
		}
		got, err := table.Build(&gatehousev1.Snapshot{
			Position: &gatehousev1.Position{Revision: revision, Digest: snapshotDigest(b)}, Content: b,
		})
		if (got == nil) == (err == nil) {
			t.Fatalf("Build = %v, %v; want one of the two", got, err)
		}
		if got != nil && (len(got.SealKey) != 32 || got.Policies == nil) {
			t.Errorf("Build = %+v, want a seal key and policies", got)
		}
	})
}
