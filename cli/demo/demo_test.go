package demo_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/cli/agent"
	"github.com/gatehouse-mcp/gatehouse/cli/demo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is what a tool answers.
type result struct {
	IsError bool `json:"isError"`
	Content []struct {
		Text string `json:"text"`
	} `json:"content"`
}

// session is a client of the server on a pipe.
type session struct {
	in  io.Writer
	out *bufio.Reader
	id  int
}

// open starts the server on a pipe; it ends when the test does.
func open(t *testing.T) *session {
	t.Helper()
	in, feed := io.Pipe()
	read, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- demo.Serve(context.WithoutCancel(t.Context()), in, out) }()
	t.Cleanup(func() {
		_ = feed.Close()
		if err := <-ended; err != nil {
			t.Errorf("Serve = %v, want nil after its input ended", err)
		}
	})
	s := &session{in: feed, out: bufio.NewReader(read)}
	s.request(t, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`)
	return s
}

// request sends a request and returns the answer's result.
func (s *session) request(t *testing.T, method, params string) json.RawMessage {
	t.Helper()
	s.id++
	if _, err := fmt.Fprintf(s.in, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`+"\n", s.id, method, params); err != nil {
		t.Fatal(err)
	}
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return answer.Result
}

// call calls a tool and returns its text and whether it failed.
func (s *session) call(t *testing.T, tool, args string) (text string, failed bool) {
	t.Helper()
	var r result
	raw := s.request(t, "tools/call", fmt.Sprintf(`{"name":%q,"arguments":%s}`, tool, args))
	if err := json.Unmarshal(raw, &r); err != nil || len(r.Content) != 1 {
		t.Fatalf("%s = %s, %v, want one text", tool, raw, err)
	}
	return r.Content[0].Text, r.IsError
}

func TestToolsDoWhatTheySay(t *testing.T) {
	s := open(t)
	cases := []struct {
		tool, args, want string
		failed           bool
	}{
		{"echo", `{"message":"größe"}`, "größe", false},
		{"add", `{"a":40,"b":2}`, "42", false},
		{"add", `{"a":0.5,"b":-1}`, "-0.5", false},
		{"fail", `{"message":"no luck"}`, "no luck", true},
		{"slow", `{"ms":1}`, "slept 1ms", false},
		{"slow", `{"ms":-5}`, "slept 0s", false},
	}
	for _, c := range cases {
		if got, failed := s.call(t, c.tool, c.args); got != c.want || failed != c.failed {
			t.Errorf("%s(%s) = %q, failed %t, want %q, failed %t", c.tool, c.args, got, failed, c.want, c.failed)
		}
	}
	for tool, args := range map[string]string{"echo": `{}`, "add": `{"a":1}`, "slow": `{}`} {
		if got, failed := s.call(t, tool, args); !failed {
			t.Errorf("%s(%s) = %q, want a failure", tool, args, got)
		}
	}
	if got, _ := s.call(t, "now", `{}`); !strings.HasSuffix(got, "Z") {
		t.Errorf("now() = %q, want a time in UTC", got)
	}
}

func TestServeHTTPRefusesOtherMachines(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "nonsense"} {
		err := demo.ServeHTTP(t.Context(), addr, func(url string) { t.Errorf("it listens at %s", url) })
		if err == nil {
			t.Errorf("ServeHTTP(%s) = nil, want a refusal", addr)
		}
	}
}

func TestServeHTTPAnswersUntilItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	urls := make(chan string, 1)
	ended := make(chan error, 1)
	go func() { ended <- demo.ServeHTTP(ctx, "127.0.0.1:0", func(url string) { urls <- url }) }()
	transport := &http.Transport{}
	c := &agent.Client{URL: <-urls, HTTP: &http.Client{Transport: transport}}
	in := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}
`
	var out strings.Builder
	if err := c.Bridge(ctx, strings.NewReader(in), &out); err != nil || !strings.Contains(out.String(), `"text":"hi"`) {
		t.Errorf("echo over HTTP = %s, %v, want hi", out.String(), err)
	}
	transport.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ServeHTTP = %v, want nil", err)
	}
}
