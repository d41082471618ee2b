package upstream_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

func TestEraIsTheServersWhateverItAnswersToTheProbe(t *testing.T) {
	for kind, modern := range map[string]bool{
		"legacy":     false,
		"modern":     true,
		"halfmodern": false, // success alone proves nothing
		"silent":     false,
		"latemodern": true, // the answer came after the probe's time
		"touchy":     false,
	} {
		conf := upstream.Config{}
		if kind == "silent" || kind == "latemodern" { // the others answer, however long they take to start
			conf.ProbeTimeout = 100 * time.Millisecond
		}
		u := one(t, conf, child(kind))
		got := sent(t, mustCall(t, u, tool("params")))
		if strings.Contains(got, `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`) != modern {
			t.Errorf("%s: server got params %s, want modern = %v", kind, got, modern)
		}
	}
}

func TestModernRequestsCarryOurMetaBesideTheAgents(t *testing.T) {
	u := one(t, upstream.Config{Version: "1.2.3"}, child("modern"))
	params := `{"name":"params","arguments":{"n":1.0},"_meta":{"traceparent":"00-1","progressToken":1}}`
	got := sent(t, mustCall(t, u, &mcp.Call{Method: "tools/call", Name: "params", Params: []byte(params)}))
	want := `{"name":"params","arguments":{"n":1.0},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"gatehouse","version":"1.2.3"},"traceparent":"00-1"}}`
	if got != want {
		t.Errorf("server got params %s, want %s", got, want)
	}
}

func TestUnknownVersionIsRefused(t *testing.T) {
	u := one(t, upstream.Config{}, child("ancient"))
	_, err := u.Call(soon(t), tool("empty"))
	if !errors.Is(err, mcp.ErrUnavailable) || !strings.Contains(err.Error(), "1999-01-01") {
		t.Errorf("Call = %v, want %v and the version", err, mcp.ErrUnavailable)
	}
}

func TestEraOfASilentServerIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "probes")
	s := child("silent")
	s.GetStdio().Env["PROBES"] = path
	s.Session = gatehousev1.SessionMode_SESSION_MODE_CALL
	u := one(t, upstream.Config{ProbeTimeout: 50 * time.Millisecond}, s)
	for range 4 {
		mustCall(t, u, tool("empty"))
	}
	probes, err := os.ReadFile(path)
	if err != nil || len(probes) != 1 {
		t.Errorf("server was probed %d times (%v), want once", len(probes), err)
	}
}
