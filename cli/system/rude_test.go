package system_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rudeCallers is how many do each rude thing at the same time.
const rudeCallers = 15

// TestRudeAgentsHurtThemselves: agents with one key send half of things, or without end, or do not read what they asked for. The
// proxy ends each in its own way, its memory stays bounded, its goroutines and descriptors come back, and all calls of
// another agent beside them succeed.
func TestRudeAgentsHurtThemselves(t *testing.T) {
	c := startControlPlane(t)
	c.waitReady(t)
	p := startProxy(t, c, "p0", "--auth", "key", "--limit",
		"connections=150,header-timeout=3s,idle-timeout=10s,patience=2s,body=1MiB,headers=16KiB,streams=10,calls=60,held=4MiB")
	p.waitReady(t)
	mustGwctl(t, c, nil, "apply", "-f", manifest(t, demo("demo")+policy("a", "{allow: {servers: [demo]}}")+
		credential("rude", "gwk_rude")+credential("good", "gwk_good")), "--wait", "--timeout", "60s")
	r := &rude{t: t, p: p}

	var over atomic.Bool
	var caller sync.WaitGroup
	calls := 0
	good := &http.Client{Transport: &http.Transport{MaxIdleConns: 1, IdleConnTimeout: time.Second}} // a connection of its own
	call := func() string { return r.good(good, calls) }
	eventually(t, "the demo server answers", func() bool { return call() == "" })
	goroutines, files, memory := p.goroutines(t), p.files(t), p.memory(t)
	caller.Go(func() {
		for ; !over.Load(); calls++ {
			if wrong := call(); wrong != "" {
				t.Errorf("call beside the rude ones: %s", wrong)
				return
			}
		}
	})
	for _, step := range []func(){r.halves, r.endlessHeaders, r.slowBodies, r.smugglers, r.pipelines, r.deaf, r.streams, r.flood} {
		step()
	}
	over.Store(true)
	caller.Wait()
	t.Logf("%d calls beside; memory %d → at most %d KiB", calls, memory, p.peak(t))
	if peak := p.peak(t); peak > memory+256<<10 {
		t.Errorf("memory grew from %d to %d KiB", memory, peak)
	}
	eventually(t, "goroutines and descriptors are back where they were", func() bool {
		return p.goroutines(t) <= goroutines+5 && p.files(t) <= files+5
	})
}

// credential is a manifest of a key that may act as agent a.
func credential(name, key string) string {
	sum := sha256.Sum256([]byte(key))
	return fmt.Sprintf("apiVersion: gatehouse/v1\nkind: Credential\nmetadata: {name: %s}\nspec: {apiKey: {sha256: %q}, agents: [a]}\n---\n", name, hex.EncodeToString(sum[:]))
}

// rude does what agents should not.
type rude struct {
	t *testing.T
	p *proxy
}

// good calls a tool as another principal, and says what is wrong with the answer.
func (r *rude) good(client *http.Client, n int) string {
	want := fmt.Sprintf("good %d", n)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.p.addr+"/mcp", strings.NewReader(echoing(want)))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer gwk_good")
	res, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || !bytes.Contains(body, []byte(want)) {
		return fmt.Sprintf("%d %.200s, %v", res.StatusCode, body, err)
	}
	return ""
}

// echoing is a call of the demo server's echo.
func echoing(message string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"execute_tool","arguments":{"server":"demo","tool":"echo","args":{"message":"` + message + `"}}}}`
}

// request is a request of the rude agent, with more headers.
func request(line, body string, more ...string) string {
	if body != "" {
		more = append(more, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	head := append([]string{line + " HTTP/1.1", "Host: localhost", "Authorization: Bearer gwk_rude", "Content-Type: application/json"}, more...)
	return strings.Join(head, "\r\n") + "\r\n\r\n" + body
}

// dial opens a connection and sends text; both may be refused.
func (r *rude) dial(text string) net.Conn {
	c, err := net.Dial("tcp", r.p.addr)
	if err != nil {
		r.t.Errorf("connecting: %v", err)
		return nil
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(c, text)
	return c
}

// each does something on many connections at the same time, and closes them.
func (r *rude) each(text string, then func(c net.Conn)) {
	var all sync.WaitGroup
	for range rudeCallers {
		all.Go(func() {
			if c := r.dial(text); c != nil {
				defer c.Close()
				then(c)
			}
		})
	}
	all.Wait()
}

// expect reads one answer and then the end of the connection; status 0 is no answer.
func (r *rude) expect(what string, status int) func(c net.Conn) {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		got := 0
		if res, err := http.ReadResponse(in, nil); err == nil {
			got = res.StatusCode
			_, _ = io.Copy(io.Discard, res.Body)
		}
		if _, err := io.Copy(io.Discard, in); isTimeout(err) || got != status {
			r.t.Errorf("%s: answer %d, end %v, want %d and the end of the connection", what, got, err, status)
		}
	}
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}

func (r *rude) halves() {
	r.each("", r.expect("nothing at all", 0))
	r.each("POST /mcp HTTP/1.1\r\nHost: localhost\r\nX", r.expect("half a head", http.StatusBadRequest))
	r.each("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", r.expect("another protocol", http.StatusBadRequest))
}

func (r *rude) endlessHeaders() {
	head := strings.TrimSuffix(request("POST /mcp", ""), "\r\n")
	r.each(head, func(c net.Conn) {
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("h", 500)); err != nil || i == 100_000 {
				if err == nil {
					r.t.Error("100,000 headers were read")
				}
				return
			}
		}
	})
}

func (r *rude) slowBodies() {
	r.each(request("POST /mcp", "", "Content-Length: 1000")+"{", r.expect("a body that stops", http.StatusRequestTimeout))
	r.each(request("POST /mcp", "", "Transfer-Encoding: chunked")+"1\r\n{\r\n", r.expect("a chunk and no more", http.StatusRequestTimeout))
	r.each(request("POST /mcp", "", "Content-Length: 100000000"), r.expect("a body that is announced too large", http.StatusRequestEntityTooLarge))
}

// smugglers send what two readers could understand differently.
func (r *rude) smugglers() {
	ping := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for _, headers := range [][]string{
		{"Content-Length: 40", "Content-Length: 5"}, {"Transfer-Encoding: gzip, chunked"}, {"Content-Length: +40"}, {"X: a\r\n b: c\x00"}, {"Content-Length : 40"},
	} {
		c := r.dial(request("POST /mcp", "", headers...) + ping)
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || res.StatusCode < 400 {
			r.t.Errorf("%q: %v, %v, want a refusal", headers, res, err)
		}
		c.Close()
	}
}

func (r *rude) pipelines() {
	const n = 40
	var text strings.Builder
	for i := range n {
		text.WriteString(request("POST /mcp", fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"ping"}`, i)))
	}
	r.each(text.String(), func(c net.Conn) {
		in := bufio.NewReader(c)
		for i := range n {
			var m struct{ ID int }
			res, err := http.ReadResponse(in, nil)
			if err != nil || json.NewDecoder(res.Body).Decode(&m) != nil || m.ID != i {
				r.t.Errorf("answer %d of a pipeline: id %d, %v", i, m.ID, err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
		}
	})
}

// deaf agents ask for much and read nothing. What waits for them is bounded, and then they are cut off.
func (r *rude) deaf() {
	big := request("POST /mcp", echoing(strings.Repeat("m", 900_000)))
	var all sync.WaitGroup
	for range rudeCallers {
		all.Go(func() {
			c := r.dial("")
			defer c.Close()
			_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
			for range 6 { // until nothing more is taken
				_ = c.SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := io.WriteString(c, big); err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	r.t.Logf("refused: %v for memory, %v for calls", r.p.metric(r.t, `gatehouse_limit_refusals_total{limit="held"}`), r.p.metric(r.t, `gatehouse_limit_refusals_total{limit="calls"}`))
	eventually(r.t, "nothing is held any more", func() bool { return r.p.metric(r.t, "gatehouse_calls_under_way") <= 1 })
}

func (r *rude) streams() {
	c := r.dial(request("POST /mcp", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"r","version":"1"}}}`))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	c.Close()
	get := request("GET /mcp", "", "Accept: text/event-stream", "Mcp-Session-Id: "+res.Header.Get("Mcp-Session-Id"))
	opened := map[int]int{}
	for range rudeCallers {
		c := r.dial(get)
		defer c.Close()
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			r.t.Fatal(err)
		}
		opened[res.StatusCode]++
	}
	if opened[http.StatusOK] != 10 || opened[http.StatusTooManyRequests] != rudeCallers-10 {
		r.t.Errorf("streams = %v, want 10 open and the rest refused with 429", opened)
	}
}

// flood opens more connections than there may be. Those over the bound hear so at once.
func (r *rude) flood() {
	var conns []net.Conn
	for range 300 {
		if c := r.dial("POST /mcp HTTP/1.1\r\n"); c != nil {
			conns = append(conns, c)
		}
	}
	refused := 0
	for _, c := range conns {
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil && res.StatusCode == http.StatusServiceUnavailable {
			refused++
		}
		c.Close()
	}
	if refused < 100 {
		r.t.Errorf("%d of 300 connections were refused, want those over 150", refused)
	}
}
