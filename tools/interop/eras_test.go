package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	fixturePackage = "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"
	// legacyFixture is the last version of the fixture that knows the legacy era alone. It is a version of a module that this
	// one needs in another version, so it is installed, not built.
	legacyFixture = fixturePackage + "@v1.6.1"
)

// interactive are the scored scenarios of 2026-07-28 in which the server asks something. The first wants a question under the
// name "user_name", which the legacy wire does not carry: the definition says it (questions.keys).
var interactive = []string{
	"input-required-result-basic-elicitation", "input-required-result-basic-sampling", "input-required-result-basic-list-roots",
	"input-required-result-request-state", "input-required-result-multiple-input-requests", "input-required-result-multi-round",
	"input-required-result-non-tool-request", "input-required-result-result-type", "input-required-result-tampered-state",
	"input-required-result-capability-check",
}

// unscored are scenarios that the suite runs for 2026-07-28 and does not score, and which need of a server what the legacy
// era does not have.
var unscored = []string{"tasks-", "json-schema-2020-12", "http-custom-header-server-validation"}

// untestable are the checks of server-stateless that need tools which v1.6.1 of the fixture does not have.
var untestable = []string{
	"sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400",
	"sep-2575-http-server-no-independent-requests-on-stream", "sep-2575-server-no-log-without-loglevel",
}

// fixtures builds the fixture in its two versions; legacy is empty where the older one is not to be had.
func fixtures(t *testing.T) (both, legacy string) {
	t.Helper()
	dir := t.TempDir()
	both = filepath.Join(dir, "everything-server")
	run(t, []string{"go", "build", "-o", both, fixturePackage})
	cmd := exec.Command("go", "install", legacyFixture)
	cmd.Env = append(os.Environ(), "GOBIN="+filepath.Join(dir, "legacy"), "GOFLAGS=-mod=mod")
	cmd.Dir = dir // away from this module, whose go.mod names another version
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("the older fixture is not to be had: %v\n%s", err, out)
		return both, ""
	}
	return both, filepath.Join(dir, "legacy", "everything-server")
}

// manifest are the objects that let everybody use the servers.
func manifest(t *testing.T, servers map[string]object) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.json")
	var out bytes.Buffer
	write := func(kind, name string, spec object) {
		b, err := json.Marshal(object{"apiVersion": "gatehouse/v1", "kind": kind, "metadata": object{"name": name}, "spec": spec})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(b, '\n'))
	}
	for name, spec := range servers {
		write("Server", name, spec)
	}
	write("Policy", "default", object{"allow": object{"servers": []string{"*"}}})
	write("Settings", "default", object{"denyOnMissingAgent": false})
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// stdioSpec and httpSpec are specs of servers with a tier; an empty one says nothing of questions.
func stdioSpec(tier string, env object, argv ...string) object {
	return withTier(object{"stdio": object{"command": argv[0], "args": argv[1:], "env": env}}, tier)
}

func httpSpec(tier, url string) object { return withTier(object{"http": object{"url": url}}, tier) }

func withTier(spec object, tier string) object {
	if tier != "" {
		// The suite wants one question under the key that the server's modern version gives it.
		questions := object{"tier": tier, "keys": []object{{"key": "user_name", "message": "What is your name?"}}}
		if tier == "replay" {
			questions["idempotentTools"] = []string{"*"}
		}
		spec["questions"] = questions
	}
	return spec
}

// TestConformanceAcrossEras runs the suite as a modern agent in front of legacy servers, and as a legacy agent in front of a
// modern one. What needs no questions passes; what needs them passes where they are carried.
func TestConformanceAcrossEras(t *testing.T) {
	both, legacy := fixtures(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	heldToLegacy := object{"INTEROP_LEGACY_ONLY": both}
	for _, c := range []struct {
		name   string
		server func(tier string) object
		old    bool // the fixture has none of the tools that ask
	}{
		{"HTTP", func(tier string) object { return httpSpec(tier, serveFixture(t, both, "-stateless=false")) }, false},
		{"stdio", func(tier string) object { return stdioSpec(tier, heldToLegacy, self) }, false},
		{"HTTP, v1.6.1", func(tier string) object { return httpSpec(tier, serveFixture(t, legacy)) }, true},
		{"stdio, v1.6.1", func(tier string) object { return stdioSpec(tier, object{}, legacy) }, true},
	} {
		t.Run("modern agent, legacy server over "+c.name, func(t *testing.T) {
			if c.old && legacy == "" {
				t.Skip("the older fixture is not to be had")
			}
			servers := map[string]object{"parks": c.server("park"), "replays": c.server("replay"), "refuses": c.server("")}
			url := startManifest(t, manifest(t, servers))
			for name := range servers {
				warm(t, url+"/"+name)
				for _, failure := range failures(across(t, url+"/"+name, "2026-07-28")) {
					scenario, check, _ := strings.Cut(failure, ": ")
					asks := slices.Contains(interactive, scenario)
					switch {
					case slices.ContainsFunc(unscored, func(s string) bool { return strings.HasPrefix(scenario, s) }):
					case c.old && (asks || slices.Contains(untestable, check)):
					case name == "refuses" && asks:
					default:
						t.Errorf("%s: %s fails", name, failure)
					}
				}
			}
		})
	}
	t.Run("legacy agent, modern server over HTTP", func(t *testing.T) {
		upstream := serveFixture(t, both, "-stateless=true")
		url := startManifest(t, manifest(t, map[string]object{"fixture": httpSpec("", upstream)}))
		// Alone it fails the same four: without sessions it has nobody to ask.
		for _, loss := range worse(across(t, upstream, "2025-11-25"), across(t, url+"/fixture", "2025-11-25")) {
			t.Error(loss)
		}
	})
}

// warm has a server on stdio start what the suite, which is not patient, will need.
func warm(t *testing.T, url string) {
	t.Helper()
	var starting sync.WaitGroup
	for _, capabilities := range []object{{}, {"elicitation": object{}}, {"elicitation": object{}, "sampling": object{}, "roots": object{}}} {
		starting.Go(func() {
			modernCall(t, url, "tools/call", object{"name": "test_simple_text", "arguments": object{}}, capabilities)
		})
	}
	starting.Wait()
}

// across runs the suite, which may fail.
func across(t *testing.T, url, requirements string) map[string]outcome {
	t.Helper()
	suite := path(t, "node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")
	folder := t.TempDir()
	run(t, []string{node(t), suite, "server", "--url", url, "--requirements", requirements, "-o", folder}, 1)
	return outcomes(t, folder)
}

// failures are the checks that failed.
func failures(all map[string]outcome) (list []string) {
	for name, o := range all {
		if o.failed > 0 {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// modernReply is an answer to a modern request.
type modernReply struct {
	status int
	Result struct {
		ResultType    string                     `json:"resultType"`
		InputRequests map[string]json.RawMessage `json:"inputRequests"`
		RequestState  string                     `json:"requestState"`
		IsError       bool                       `json:"isError"`
		Content       []struct{ Text string }    `json:"content"`
	} `json:"result"`
	Error struct {
		Code int             `json:"code"`
		Data json.RawMessage `json:"data"`
	} `json:"error"`
	raw string
}

// modernCall sends one request of the modern era.
func modernCall(t *testing.T, url, method string, params, capabilities object) modernReply {
	t.Helper()
	full := object{"_meta": object{
		"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
		"io.modelcontextprotocol/clientCapabilities": capabilities,
	}}
	maps.Copy(full, params)
	body, err := json.Marshal(object{"jsonrpc": "2.0", "id": 1, "method": method, "params": full})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": fmt.Sprint(params["name"]),
	} {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := modernReply{status: resp.StatusCode, raw: string(text)}
	if err := json.Unmarshal(jsonOf(text), &r); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return r
}

// all is what an agent declares that takes every question.
var all = object{"elicitation": object{}, "sampling": object{}, "roots": object{}}

// TestLegacyServersAskModernAgents holds the conversations that the suite cannot: under the keys of the gateway, with the
// older fixture, through three gateways of which another gets each answer, and the codes where nothing is carried.
func TestLegacyServersAskModernAgents(t *testing.T) {
	both, legacy := fixtures(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	servers := map[string]object{
		"http":    httpSpec("park", serveFixture(t, both, "-stateless=false")),
		"stdio":   stdioSpec("park", object{"INTEROP_LEGACY_ONLY": both}, self),
		"replays": stdioSpec("replay", object{"INTEROP_LEGACY_ONLY": both}, self),
		"refuses": stdioSpec("", object{"INTEROP_LEGACY_ONLY": both}, self),
		"asks":    stdioSpec("", object{"INTEROP_ASKER": "1"}, self),
	}
	tools := map[string]string{}
	for _, server := range []string{"http", "stdio", "replays"} {
		tools[server] = "test_input_required_result_elicitation"
	}
	if legacy != "" {
		servers["http161"], servers["stdio161"] = httpSpec("park", serveFixture(t, legacy)), stdioSpec("park", object{}, legacy)
		servers["replays161"] = stdioSpec("replay", object{}, legacy)
		for _, server := range []string{"http161", "stdio161", "replays161"} {
			tools[server] = "test_elicitation" // which the suite has for older agents
		}
	}
	for name, url := range map[string]string{"one gateway": startManifest(t, manifest(t, servers)), "three gateways": startThreeFrom(t, manifest(t, servers))} {
		t.Run(name, func(t *testing.T) {
			for server, tool := range tools {
				arguments := object{}
				if tool == "test_elicitation" {
					arguments["message"] = "who are you?"
				}
				converse(t, url+"/"+server, tool, arguments)
			}
			call := object{"name": "test_input_required_result_elicitation", "arguments": object{}}
			if r := modernCall(t, url+"/refuses", "tools/call", call, all); r.Error.Code != -32603 {
				t.Errorf("a server that sees that it may not ask = %s, want its own error, as -32603", r.raw)
			}
			call = object{"name": "ask", "arguments": object{}}
			r := modernCall(t, url+"/asks", "tools/call", call, object{})
			if r.status != http.StatusBadRequest || r.Error.Code != -32021 || string(r.Error.Data) != `{"requiredCapabilities":{"elicitation":{}}}` {
				t.Errorf("a server that asks an agent without the capability = %d %s, want 400 and -32021", r.status, r.raw)
			}
			r = modernCall(t, url+"/asks", "tools/call", call, all)
			if r.status != http.StatusOK || !r.Result.IsError || !strings.Contains(r.raw, "UPSTREAM_ERROR") || !strings.Contains(r.raw, "spec.questions.tier") {
				t.Errorf("a server that asks where nothing is carried = %d %s, want UPSTREAM_ERROR", r.status, r.raw)
			}
		})
	}
}

// converse has a tool ask for a name, tries what is refused, and answers.
func converse(t *testing.T, url, tool string, arguments object) {
	t.Helper()
	call := object{"name": tool, "arguments": arguments}
	key := "user_name" // as the definition says; another question has the gateway's own
	if tool == "test_elicitation" {
		key = "r1"
	}
	r := modernCall(t, url, "tools/call", call, all)
	if r.Result.ResultType != "input_required" || len(r.Result.InputRequests) != 1 || !bytes.Contains(r.Result.InputRequests[key], []byte(`"elicitation/create"`)) {
		t.Errorf("%s asks %s, want one elicitation", url, r.raw)
		return
	}
	call["inputResponses"] = object{key: object{"action": "accept", "content": object{"name": "Alice", "username": "Alice", "email": "a@example.com"}}}
	call["requestState"] = r.Result.RequestState + "x"
	if r := modernCall(t, url, "tools/call", call, all); r.Error.Code != -32602 {
		t.Errorf("%s takes a changed state: %s, want -32602", url, r.raw)
	}
	call["requestState"] = r.Result.RequestState
	r = modernCall(t, url, "tools/call", call, all)
	if r.Result.ResultType != "complete" || len(r.Result.Content) != 1 || !strings.Contains(r.Result.Content[0].Text, "Alice") {
		t.Errorf("%s answers %s, want Alice in it", url, r.raw)
	}
}

// serveLegacyOnly runs a server of both eras, and keeps from it the request by which it would be known for one.
func serveLegacyOnly(program string, in io.Reader, out io.Writer) error {
	cmd := exec.Command(program)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	both := &lockedWriter{to: out}
	cmd.Stdout = both
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if json.Unmarshal(line, &m) == nil && m.Method == "server/discover" {
			fmt.Fprintf(both, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`+"\n", m.ID)
			continue
		}
		if _, failed := stdin.Write(line); err != nil || failed != nil {
			stdin.Close()
			return cmd.Wait()
		}
	}
}

// lockedWriter is written to by two; each writes whole lines.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

// serveAsker is a legacy server that asks whatever its client declared, and makes do with any answer.
func serveAsker(in io.Reader, out io.Writer) {
	lines := bufio.NewScanner(in)
	var call json.RawMessage
	for lines.Scan() {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		switch {
		case json.Unmarshal(lines.Bytes(), &m) != nil || m.ID == nil:
		case m.Method == "initialize":
			reply(out, m.ID, `{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"asker","version":"1"}}`)
		case m.Method == "tools/list":
			reply(out, m.ID, `{"tools":[{"name":"ask","inputSchema":{"type":"object"}}]}`)
		case m.Method == "tools/call":
			call = m.ID
			fmt.Fprintln(out, `{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"who?","requestedSchema":{"type":"object","properties":{}}}}`)
		case m.Method == "":
			reply(out, call, `{"content":[{"type":"text","text":"went on without"}]}`)
		default:
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no such method"}}`+"\n", m.ID)
		}
	}
}
