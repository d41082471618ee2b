package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/upstream"
)

func TestResultsPassThroughByteForByte(t *testing.T) {
	for _, kind := range []string{"legacy", "modern"} {
		u := one(t, upstream.Config{}, child(kind))
		for name, want := range odd {
			if got := mustCall(t, u, tool(name)); got != want {
				t.Errorf("%s: Call(%s) = %s, want %s", kind, name, got, want)
			}
		}
	}
}

func TestParamsPassThroughByteForByte(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	params := `{"name":"params", "arguments":{"z":1.0,"a":9007199254740993,"é":"\u0041"},"task":{"x":[ ]}}`
	got := sent(t, mustCall(t, u, &mcp.Call{Method: "tools/call", Name: "params", Params: []byte(params)}))
	if got != params {
		t.Errorf("server got params %s, want %s", got, params)
	}
}

func TestLineEndsInParamsDoNotBreakFraming(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	params := "{\n\t\"name\": \"params\",\r\n \"arguments\": {}}"
	got := sent(t, mustCall(t, u, &mcp.Call{Method: "tools/call", Name: "params", Params: []byte(params)}))
	if want := strings.NewReplacer("\n", " ", "\r", " ").Replace(params); got != want {
		t.Errorf("server got params %q, want %q", got, want)
	}
}

// sent is what the tool params reports.
func sent(t *testing.T, result string) string {
	t.Helper()
	var r struct {
		Got string `json:"got"`
	}
	if err := json.Unmarshal([]byte(result), &r); err != nil {
		t.Fatalf("Unmarshal(%s) = %v", result, err)
	}
	return r.Got
}

func TestErrorsOfTheServerKeepCodeMessageAndData(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	reply, err := u.Call(soon(t), tool("fault"))
	if err != nil || reply.Error == nil {
		t.Fatalf("Call(fault) = %v, %v, want an error of the server", reply, err)
	}
	e := reply.Error
	if e.Code != -32099 || e.Message != "custom" || string(e.Data) != `{"n":9007199254740993}` {
		t.Errorf("Error = %d %q %s, want -32099 custom with its data", e.Code, e.Message, e.Data)
	}
}

func TestManyCallersGetTheirOwnAnswers(t *testing.T) {
	u := one(t, upstream.Config{}, child("mcpgo"))
	done := make(chan string, 16)
	for i := range cap(done) {
		go func() {
			done <- echoes(u, soon(t), strings.Repeat("x", i*200))
		}()
	}
	for range cap(done) {
		if problem := <-done; problem != "" {
			t.Error(problem)
		}
	}
}

// echoes says what is wrong with 20 answers of the tool echo.
func echoes(u *upstream.Upstream, ctx context.Context, text string) string {
	for range 20 {
		reply, err := u.Call(ctx, &mcp.Call{
			Method: "tools/call", Name: "echo", Params: []byte(`{"name":"echo","arguments":{"message":"` + text + `"}}`),
		})
		if err != nil {
			return err.Error()
		}
		ok := strings.Contains(string(reply.Result), `"text":"`+text+`"`)
		if reply.Close(); !ok {
			return "another caller's answer"
		}
	}
	return ""
}

func TestChildGetsOnlyTheMinimalEnvironment(t *testing.T) {
	t.Setenv("GATEHOUSE_LEAK", "1")
	s := child("legacy")
	s.GetStdio().Env["MINE"] = "${GATEHOUSE_LEAK}"
	u := one(t, upstream.Config{}, s)
	var env []string
	if err := json.Unmarshal([]byte(mustCall(t, u, tool("env"))), &env); err != nil {
		t.Fatal(err)
	}
	allowed := []string{"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "MINE", serverEnv, raceEnv}
	for _, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); !slices.Contains(allowed, name) {
			t.Errorf("child has %s, want none but %v", kv, allowed)
		}
	}
	if !slices.Contains(env, "MINE=1") {
		t.Errorf("child has %v, want MINE=1 among it", env)
	}
}

func TestDeadlineCancelsTheCallAtTheServer(t *testing.T) {
	cancels := filepath.Join(t.TempDir(), "cancels")
	s := child("legacy")
	s.GetStdio().Env["CANCELS"] = cancels
	u := one(t, upstream.Config{}, s)
	mustCall(t, u, tool("empty"))
	ctx := passes(t, "the call is under way", func() bool { return mustCall(t, u, tool("hanging")) == "1" })
	if _, err := u.Call(ctx, tool("hang")); !errors.Is(err, mcp.ErrTimeout) {
		t.Errorf("Call(hang) = %v, want %v", err, mcp.ErrTimeout)
	}
	eventually(t, "the server saw notifications/cancelled", func() bool {
		b, err := os.ReadFile(cancels)
		return err == nil && len(b) > 0
	})
	eventually(t, "it knew the id", func() bool { return mustCall(t, u, tool("hanging")) == "0" })
}

func TestAgentThatGoesAwayCancelsTheCallAtTheServer(t *testing.T) {
	cancels := filepath.Join(t.TempDir(), "cancels")
	s := child("legacy")
	s.GetStdio().Env["CANCELS"] = cancels
	u := one(t, upstream.Config{}, s)
	mustCall(t, u, tool("empty"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var leaving sync.WaitGroup
	defer leaving.Wait()
	leaving.Go(func() {
		defer cancel()
		eventually(t, "the call is under way", func() bool { return mustCall(t, u, tool("hanging")) == "1" })
	})
	if _, err := u.Call(ctx, tool("hang")); !errors.Is(err, context.Canceled) {
		t.Errorf("Call(hang) = %v, want %v", err, context.Canceled)
	}
	eventually(t, "the server saw notifications/cancelled", func() bool {
		b, err := os.ReadFile(cancels)
		return err == nil && len(b) > 0
	})
}

func TestCallWithoutDeadlineIsBounded(t *testing.T) {
	u := one(t, upstream.Config{CallTimeout: 200 * time.Millisecond}, child("legacy"))
	mustCall(t, u, tool("empty")) // the server is there
	if _, err := u.Call(t.Context(), tool("hang")); !errors.Is(err, mcp.ErrTimeout) {
		t.Errorf("Call(hang) = %v, want %v", err, mcp.ErrTimeout)
	}
}

func TestOddLinesHarmNobody(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	for name, want := range map[string]string{
		"wrongid": `"right"`,
		"chatty":  `"fine"`,
		"ask":     `["\"s1\" {}","77 {\"code\":-32601,\"message\":\"the gateway does not offer sampling/createMessage\"}"]`,
	} {
		if got := mustCall(t, u, tool(name)); got != want {
			t.Errorf("Call(%s) = %s, want %s", name, got, want)
		}
	}
	if _, err := u.Call(soon(t), tool("garbage")); !errors.Is(err, mcp.ErrInvalidResponse) {
		t.Errorf("Call(garbage) = %v, want %v", err, mcp.ErrInvalidResponse)
	}
}

func TestHugeAnswerIsRefusedAndOthersGoOn(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	s := child("legacy")
	s.GetStdio().Env["GATE"] = gate
	u := one(t, upstream.Config{MaxMessageBytes: 1 << 20}, s)
	other := make(chan error, 1)
	mustCall(t, u, tool("empty"))
	go func() {
		reply, err := u.Call(soon(t), tool("gate"))
		reply.Close()
		other <- err
	}()
	for _, name := range []string{"big", "biglast"} {
		if _, err := u.Call(soon(t), tool(name)); !errors.Is(err, mcp.ErrInvalidResponse) {
			t.Errorf("Call(%s) = %v, want %v", name, err, mcp.ErrInvalidResponse)
		}
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-other; err != nil {
		t.Errorf("Call(gate) = %v beside huge answers, want nil", err)
	}
}

func TestBigAnswersPassWithinTheLimit(t *testing.T) {
	u := one(t, upstream.Config{}, child("legacy"))
	for _, name := range []string{"big", "biglast"} {
		if got, want := len(mustCall(t, u, tool(name))), 3<<20+2; got != want {
			t.Errorf("len(Call(%s)) = %d, want %d", name, got, want)
		}
	}
}
