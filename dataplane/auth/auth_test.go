package auth_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// credential lets key act as the agent researcher until it expires; the zero time is never.
func credential(name, key string, expires time.Time) *gatehousev1.Object {
	sum := sha256.Sum256([]byte(key))
	spec := &gatehousev1.Credential{
		ApiKey: &gatehousev1.ApiKey{Sha256: hex.EncodeToString(sum[:])}, Agents: []string{"researcher"},
	}
	if !expires.IsZero() {
		spec.Expires = timestamppb.New(expires)
	}
	return &gatehousev1.Object{Name: name, Spec: &gatehousev1.Object_Credential{Credential: spec}}
}

// live holds a table of these objects.
func live(t testing.TB, objects ...*gatehousev1.Object) *table.Live {
	t.Helper()
	content := &gatehousev1.SnapshotContent{Config: &gatehousev1.Config{Objects: objects}, SealKey: make([]byte, 32)}
	next, err := table.Compile(nil, content)
	if err != nil {
		t.Fatal(err)
	}
	l := new(table.Live)
	l.Swap(next)
	return l
}

func TestAuthenticateReadsTheHeader(t *testing.T) {
	long := "gwk_" + strings.Repeat("x", 252)
	a := auth.New(live(t, credential("laptop", "gwk_1", time.Time{}), credential("long", long, time.Time{})), auth.Key)
	for _, test := range []struct {
		header, name string
		err          error
	}{
		{"Bearer gwk_1", "laptop", nil},
		{"bearer gwk_1", "laptop", nil},
		{"BEARER   gwk_1 ", "laptop", nil},
		{"Bearer " + long, "long", nil},
		{"", "", auth.ErrNoKey},
		{"Bearer", "", auth.ErrNoKey},
		{"Bearer ", "", auth.ErrNoKey},
		{"gwk_1", "", auth.ErrNoKey},
		{"Basic gwk_1", "", auth.ErrNoKey},
		{"Bearer\tgwk_1", "", auth.ErrNoKey},
		{"Bearer gwk_2", "", auth.ErrWrongKey},
		{"Bearer GWK_1", "", auth.ErrWrongKey},
		{"Bearer gwk_1 x", "", auth.ErrWrongKey},
		{"Bearer " + long + "x", "", auth.ErrWrongKey},
	} {
		p, err := a.Authenticate(test.header)
		if !errors.Is(err, test.err) || p != nil && p.Name != test.name || (p == nil) != (test.err != nil) {
			t.Errorf("Authenticate(%.20q) = %+v, %v, want %q, %v", test.header, p, err, test.name, test.err)
		}
	}
}

func TestAuthenticateRefusesAnExpiredKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := auth.New(live(t, credential("laptop", "gwk_1", time.Now().Add(time.Hour))), auth.Key)
		if p, err := a.Authenticate("Bearer gwk_1"); err != nil || p.Name != "laptop" {
			t.Errorf("Authenticate = %+v, %v, want laptop", p, err)
		}
		time.Sleep(time.Hour) // the bubble's
		if _, err := a.Authenticate("Bearer gwk_1"); !errors.Is(err, auth.ErrExpired) {
			t.Errorf("Authenticate = %v an hour later, want %v", err, auth.ErrExpired)
		}
	})
}

func TestAuthenticateFollowsTheLiveTable(t *testing.T) {
	l := live(t, credential("laptop", "gwk_1", time.Time{}))
	a := auth.New(l, auth.Key)
	old := l.Load()
	l.Swap(live(t).Load()) // the key is revoked
	if _, err := a.Authenticate("Bearer gwk_1"); !errors.Is(err, auth.ErrWrongKey) {
		t.Errorf("Authenticate = %v, want %v", err, auth.ErrWrongKey)
	}
	if p, err := a.Identify(old, "Bearer gwk_1"); err != nil || p.Name != "laptop" {
		t.Errorf("Identify in the old table = %+v, %v, want laptop", p, err)
	}
	l.Swap(nil)
	if _, err := a.Authenticate("Bearer gwk_1"); !errors.Is(err, auth.ErrNotReady) {
		t.Errorf("Authenticate = %v without a table, want %v", err, auth.ErrNotReady)
	}
}

func TestModeNoneBelievesEverybody(t *testing.T) {
	a := auth.New(live(t), auth.None)
	for _, header := range []string{"", "Bearer gwk_1", "nonsense"} {
		p, err := a.Authenticate(header)
		if err != nil || p.Name != "anonymous" || !p.MayActAs("anybody") {
			t.Errorf("Authenticate(%q) = %+v, %v, want anonymous, who may act as anybody", header, p, err)
		}
	}
}

func TestAuthenticateAllocatesNothing(t *testing.T) {
	a := auth.New(live(t, credential("laptop", "gwk_1", time.Time{})), auth.Key)
	for _, header := range []string{"Bearer gwk_1", "Bearer gwk_" + strings.Repeat("x", 200), ""} {
		n := testing.AllocsPerRun(100, func() { _, _ = a.Authenticate(header) })
		if n != 0 {
			t.Errorf("Authenticate(%.20q) allocates %v times, want 0", header, n)
		}
	}
}

func FuzzAuthenticate(f *testing.F) {
	for _, seed := range []string{"Bearer gwk_1", "bearer  gwk_1", "", "Bearer", "Basic x", "Bearer \x00"} {
		f.Add(seed)
	}
	a := auth.New(live(f, credential("laptop", "gwk_1", time.Time{})), auth.Key)
	f.Fuzz(func(t *testing.T, header string) {
		p, err := a.Authenticate(header)
		if (p == nil) == (err == nil) {
			t.Fatalf("Authenticate(%q) = %v, %v, want one of the two", header, p, err)
		}
		if p != nil && !strings.HasSuffix(strings.TrimRight(header, " "), "gwk_1") {
			t.Errorf("Authenticate(%q) = %v, want a refusal", header, p)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	a := auth.New(live(b, credential("laptop", "gwk_1", time.Time{})), auth.Key)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Authenticate("Bearer gwk_1"); err != nil {
			b.Fatal(err)
		}
	}
}
