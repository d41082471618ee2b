package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cli"
)

// echoGateway answers every call with the arguments that it got, as one text.
func echoGateway(t testing.TB) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Params struct {
				Arguments struct {
					Args json.RawMessage `json:"args"`
				} `json:"arguments"`
			} `json:"params"`
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		content := []map[string]string{{"type": "text", "text": string(call.Params.Arguments.Args)}}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": 1, "result": map[string]any{"content": content}})
	}))
	t.Cleanup(s.Close)
	return s
}

// run performs one command line and returns what it printed and its exit code.
func run(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	var out, errs bytes.Buffer
	code = cli.Run(t.Context(), cli.IO{
		Env: []string{"HOME=" + t.TempDir()}, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs,
	}, args)
	return out.String(), errs.String(), code
}

func TestCallTypesItsArguments(t *testing.T) {
	gateway := echoGateway(t)
	cases := []struct {
		words []string
		stdin string
		want  string
	}{
		{nil, "", `{}`},
		{[]string{"a=1", "b:=1"}, "", `{"a":"1","b":1}`},
		{[]string{"a=", "b:=null", "c=x=y"}, "", `{"a":"","b":null,"c":"x=y"}`},
		{[]string{`a:={"b":[1,"x"]}`, "n:=9007199254740993"}, "", `{"a":{"b":[1,"x"]},"n":9007199254740993}`},
		{[]string{"a=-1", "--", "-b=2"}, "", `{"-b":"2","a":"-1"}`},
		{[]string{"-"}, `{"z": 1.50, "a": []}`, `{"z":1.50,"a":[]}`},
	}
	for _, c := range cases {
		args := append([]string{"call", "s", "t", "--gateway", gateway.URL}, c.words...)
		stdout, stderr, code := run(t, c.stdin, args...)
		if got := strings.TrimSpace(stdout); got != c.want || code != 0 {
			t.Errorf("call %q sent %s (exit %d, %s), want %s", c.words, got, code, stderr, c.want)
		}
	}
}

func TestCallRefusesArgumentsThatAreNone(t *testing.T) {
	for _, words := range [][]string{{"a"}, {"=x"}, {":=1"}, {"a:={"}, {"a:="}, {"a=1", "a:=2"}, {"-"}, {"-", "a=1"}} {
		_, stderr, code := run(t, "[]", append([]string{"call", "s", "t", "--gateway", "http://127.0.0.1:1"}, words...)...)
		if code != 1 {
			t.Errorf("call with %q exits with %d (%s), want 1", words, code, stderr)
		}
	}
}

// FuzzCallArguments gives any word as an argument: either it is refused as usage, or what is sent is a JSON object.
func FuzzCallArguments(f *testing.F) {
	for _, seed := range []string{"a=b", "a:=1", ":=", "=", "-", "a:=\"", "\x00=\xff", "a==b", "a::=1"} {
		f.Add(seed)
	}
	gateway := echoGateway(f)
	f.Fuzz(func(t *testing.T, word string) {
		stdout, stderr, code := run(t, "{}", "call", "s", "t", "--gateway", gateway.URL, "--", word)
		var object map[string]any
		if code == 0 && json.Unmarshal([]byte(stdout), &object) != nil || code != 0 && code != 1 {
			t.Errorf("call with %q sent %q and exited with %d (%s)", word, stdout, code, stderr)
		}
	})
}

func TestUnreadableStandardInputIsAnError(t *testing.T) {
	var errs bytes.Buffer
	code := cli.Run(t.Context(), cli.IO{Stdin: io.MultiReader(failing{}), Stderr: &errs}, []string{"call", "s", "t", "-"})
	if code != 1 || !strings.Contains(errs.String(), "multiple Read calls") {
		t.Errorf("exit %d with %q, want 1 and the cause", code, errs.String())
	}
}

// failing is a stream that cannot be read.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrNoProgress }
