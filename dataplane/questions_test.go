package dataplane_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane"
	"github.com/gatehouse-mcp/gatehouse/dataplane/auth"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// asking is the server of these tests with a tier for what it asks.
func asking(name string, tier gatehousev1.QuestionTier) *gatehousev1.Object {
	o := child(name)
	o.GetServer().Questions = &gatehousev1.Questions{Tier: tier}
	return o
}

// modern has a modern agent call the tool ask of a server; more are further members of params.
func (p *proxy) modern(server, capabilities, more string) (status int, body string) {
	p.t.Helper()
	message := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","arguments":{}%s,"_meta":{`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":%s}}}`, more, capabilities)
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.Addr()+"/mcp/"+server, strings.NewReader(message))
	if err != nil {
		p.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Gatehouse-Agent": "researcher",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "ask",
	} {
		req.Header.Set(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// stateIn returns the requestState of a question.
func stateIn(t *testing.T, body string) string {
	t.Helper()
	var m struct {
		Result struct {
			ResultType   string `json:"resultType"`
			RequestState string `json:"requestState"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil || m.Result.ResultType != "input_required" || m.Result.RequestState == "" {
		t.Fatalf("answer = %s, want a question (%v)", body, err)
	}
	return m.Result.RequestState
}

func TestQuestionsOfLegacyServersAndTheirCodes(t *testing.T) {
	control := startControlPlane(t)
	control.apply(child("refuses"), asking("parks", gatehousev1.QuestionTier_QUESTION_TIER_PARK), policy("researcher", "refuses", "parks"))
	one := startProxy(t, dataplane.Config{ControlPlane: control.addr, ID: "one", Auth: auth.None})
	two := startProxy(t, dataplane.Config{ControlPlane: control.addr, ID: "two", Auth: auth.None})
	one.waitReady()
	two.waitReady()
	for _, server := range []string{"refuses", "parks"} { // neither asks an agent that cannot answer
		status, body := one.modern(server, `{}`, "")
		if status != http.StatusBadRequest || !strings.Contains(body, `"code":-32021`) || !strings.Contains(body, `"data":{"requiredCapabilities":{"elicitation":{}}}`) {
			t.Errorf("%s answers %d %s, want 400 and -32021", server, status, body)
		}
	}
	if status, body := one.modern("refuses", `{"elicitation":{}}`, ""); status != http.StatusOK || !strings.Contains(body, `"isError":true`) || !strings.Contains(body, "UPSTREAM_ERROR") {
		t.Errorf("a question that is not carried = %d %s, want UPSTREAM_ERROR", status, body)
	}
	// The answer comes to the other proxy, which passes it on.
	_, body := one.modern("parks", `{"elicitation":{}}`, "")
	answer := fmt.Sprintf(`,"inputResponses":{"r1":{"action":"accept","content":{"n":1.0}}},"requestState":%q`, stateIn(t, body))
	if status, body := two.modern("parks", `{"elicitation":{}}`, answer); status != http.StatusOK || !strings.Contains(body, `"heard":{"action":"accept","content":{"n":1.0}}`) {
		t.Errorf("an answer through the other proxy = %d %s, want what the server heard", status, body)
	}
	if _, body := two.modern("parks", `{"elicitation":{}}`, answer); !strings.Contains(body, `"code":-32602`) || !strings.Contains(body, "TIMEOUT") {
		t.Errorf("the same answer again = %s, want -32602 and TIMEOUT", body)
	}
	// A call that is parked when its proxy ends does not hold it up, and is gone.
	_, body = one.modern("parks", `{"elicitation":{}}`, "")
	answer = fmt.Sprintf(`,"inputResponses":{"r1":{"action":"accept","content":{}}},"requestState":%q`, stateIn(t, body))
	one.stop()
	if _, body := two.modern("parks", `{"elicitation":{}}`, answer); !strings.Contains(body, `"code":-32602`) || !strings.Contains(body, "TIMEOUT") {
		t.Errorf("an answer to a call whose proxy has gone = %s, want -32602 and TIMEOUT", body)
	}
}
