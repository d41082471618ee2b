package h1_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
)

// serve serves a handler until the test ends.
func serve(t testing.TB, c h1.ServerConfig) (addr string, s *h1.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = h1.NewServer(c)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve = %v, want ErrServerClosed", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil { // the connections are closed, and go now
			t.Errorf("Shutdown after Close = %v", err)
		}
	})
	return l.Addr().String(), s
}

// agent is a connection to a server.
type agent struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func dial(t testing.TB, addr string) *agent {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return &agent{c, t, bufio.NewReader(c)}
}

func (a *agent) send(text string) {
	a.t.Helper()
	if _, err := io.WriteString(a, text); err != nil {
		a.t.Fatal(err)
	}
}

// answer reads an answer to a request of a method.
func (a *agent) answer(method string) (*http.Response, string) {
	a.t.Helper()
	resp, err := http.ReadResponse(a.in, &http.Request{Method: method})
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatalf("body = %.100q, %v", text, err)
	}
	return resp, string(text)
}

// closed says whether the server has closed the connection in good order.
func (a *agent) closed() bool {
	_, err := a.in.ReadByte()
	return errors.Is(err, io.EOF)
}

const get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

func postOf(body string) string {
	return fmt.Sprintf("POST /b?c HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// tell answers with what a handler sees of a request, and in the way that the path says.
func tell(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	text := fmt.Sprintf("%s %s host=%s length=%d x=%q proto=%s body=%q %v", r.Method, r.RequestURI, r.Host, r.ContentLength, r.Header["X"], r.Proto, body, err)
	w.Header().Set("Content-Type", "text/plain")
	switch r.URL.Path {
	case "/status":
		w.WriteHeader(http.StatusTeapot)
	case "/empty":
		w.WriteHeader(http.StatusNoContent)
		return
	case "/none":
		return
	case "/flush":
		_ = http.NewResponseController(w).Flush()
	case "/parts":
		for _, part := range strings.SplitAfter(text, " ") {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
		}
		return
	case "/long":
		text += strings.Repeat("x", 100_000)
	case "/counted":
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	case "/close":
		w.Header().Set("Connection", "close")
	}
	_, _ = io.WriteString(w, text)
}

// TestServerAnswersAsNetHTTPDoes sends the same bytes to both, twice on one connection.
func TestServerAnswersAsNetHTTPDoes(t *testing.T) {
	ours, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(tell)})
	theirs := httptest.NewServer(http.HandlerFunc(tell))
	defer theirs.Close()
	chunks := "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n"
	for _, text := range []string{
		get, postOf("hello"), postOf(strings.Repeat("y", 300_000)), chunks,
		"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nX: 1\r\nx: 2\r\n\r\nok",
		"GET http://y:80/a HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS /a HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD /long HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /counted HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /status HTTP/1.1\r\nHost: x\r\n\r\n", "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n", "GET /none HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /flush HTTP/1.1\r\nHost: x\r\n\r\n", "GET /parts HTTP/1.1\r\nHost: x\r\n\r\n", "GET /long HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /counted HTTP/1.1\r\nHost: x\r\n\r\n", "GET /close HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET /long HTTP/1.0\r\n\r\n", "GET /a HTTP/1.0\r\n\r\n",
		"GET /a\r\n\r\n", "GET /a HTTP/1.1\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x y\r\n\r\n",
		"GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "G@T /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x\r\nX : 1\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\na", "GET /a HTTP/1.1\r\nHost: x\r\nX: \x01\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
	} {
		name := text[:min(len(text), 60)]
		a, b := dial(t, ours), dial(t, theirs.Listener.Addr().String())
		a.send(text)
		b.send(text)
		method, _, _ := strings.Cut(text, " ")
		got, gotText := a.answer(method)
		want, wantText := b.answer(method)
		if got.StatusCode != want.StatusCode || got.Close != want.Close || got.StatusCode < 400 && gotText != wantText {
			t.Errorf("%q = %d %q close %v, want %d %q close %v", name, got.StatusCode, gotText, got.Close, want.StatusCode, wantText, want.Close)
		}
		if got.Header.Get("Date") == "" || got.StatusCode < 300 && got.Header.Get("Content-Type") != want.Header.Get("Content-Type") {
			t.Errorf("%q: headers %v, want %v", name, got.Header, want.Header)
		}
		if want.Close {
			if !a.closed() {
				t.Errorf("%q: the connection stays open", name)
			}
			continue
		}
		a.send(get)
		if _, text := a.answer(http.MethodGet); !strings.HasPrefix(text, "GET /a ") {
			t.Errorf("%q: the next answer on its connection is %q", name, text)
		}
	}
}

// What two servers could understand differently is refused here, whatever net/http does.
func TestServerRefusesWhatIsAmbiguous(t *testing.T) {
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(tell), MaxHeadBytes: 1000})
	for text, want := range map[string]int{
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": http.StatusBadRequest,
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\na":                  http.StatusBadRequest,
		"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n":             http.StatusNotImplemented,
		"GET /a HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n":                                                http.StatusBadRequest,
		"GET /a HTTP/1.1\r\nHost: x\r\nX: a\rY: b\r\n\r\n":                                                http.StatusBadRequest,
		"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n":                                                       http.StatusNotImplemented,
		"GET /a HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2000) + "\r\n\r\n":                      http.StatusRequestHeaderFieldsTooLarge,
	} {
		a := dial(t, addr)
		a.send(text)
		if got, body := a.answer(http.MethodGet); got.StatusCode != want || !got.Close || !strings.Contains(body, `"jsonrpc":"2.0"`) {
			t.Errorf("%.60q = %d %s, want %d and the connection closed", text, got.StatusCode, body, want)
		}
	}
}

// A head that is known may come with another length, and with nothing else that differs.
func TestServerKnowsHeadsAgain(t *testing.T) {
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(tell)})
	a := dial(t, addr)
	for _, body := range []string{"a", "bb", "", strings.Repeat("c", 12345), "d"} {
		a.send(postOf(body))
		if _, text := a.answer(http.MethodPost); !strings.Contains(text, fmt.Sprintf("length=%d ", len(body))) || !strings.Contains(text, fmt.Sprintf("body=%q <nil>", body)) {
			t.Errorf("answer to %d bytes = %.100q", len(body), text)
		}
	}
	for text, want := range map[string]string{
		"POST /b?c HTTP/1.1\r\nHost: y\r\nContent-Length: 1\r\n\r\na":           "host=y length=1",
		"POST /b?c HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nX: z\r\n\r\na":   `x=["z"]`,
		"POST /b?c HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\naaaaaaaaaa": "length=10",
	} {
		a.send(postOf("known"))
		a.answer(http.MethodPost)
		a.send(text)
		if _, got := a.answer(http.MethodPost); !strings.Contains(got, want) {
			t.Errorf("%q = %q, want %s", text, got, want)
		}
	}
	for _, text := range []string{"Content-Length: 1 1\r\n", "Content-Length: 1a\r\n", "Content-Length: \r\n", "Content-Length: 99999999999999999999\r\n"} {
		a := dial(t, addr)
		a.send(postOf("known"))
		a.answer(http.MethodPost)
		a.send("POST /b?c HTTP/1.1\r\nHost: x\r\n" + text + "\r\n")
		if got, body := a.answer(http.MethodPost); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%q after a head that is known = %d %s, want 400", text, got.StatusCode, body)
		}
	}
}

func TestServerAnswersRequestsThatCameTogether(t *testing.T) {
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(tell)})
	a := dial(t, addr)
	a.send("\r\n" + postOf("one") + get + postOf("two") + "\r\n" + get)
	for _, want := range []string{`body="one"`, "GET /a", `body="two"`, "GET /a"} {
		if _, text := a.answer(http.MethodPost); !strings.Contains(text, want) {
			t.Errorf("answer = %q, want %s", text, want)
		}
	}
}

func TestServerInvitesABodyThatWaits(t *testing.T) {
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/no" {
			tell(w, r)
		}
	})})
	head := "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
	a := dial(t, addr)
	a.send(fmt.Sprintf(head, "/a"))
	if resp, _ := a.answer(http.MethodPost); resp.StatusCode != http.StatusContinue {
		t.Fatalf("answer = %d, want 100", resp.StatusCode)
	}
	a.send("hello")
	if _, text := a.answer(http.MethodPost); !strings.Contains(text, `body="hello"`) {
		t.Errorf("answer = %q", text)
	}
	a.send(fmt.Sprintf(head, "/no"))
	if resp, _ := a.answer(http.MethodPost); resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("answer to a body that nobody wants = %d close %v, want 200 and the end", resp.StatusCode, resp.Close)
	}
}

// A body that the handler does not want is read if it is small, and else ends the connection; its sender gets the answer.
func TestServerAnswersBodiesThatNobodyReads(t *testing.T) {
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})})
	for size, again := range map[int]bool{1000: true, 200_000: true, 512 << 10: false} {
		a := dial(t, addr)
		for range 2 {
			a.send(postOf(strings.Repeat("x", size)))
			if resp, _ := a.answer(http.MethodPost); resp.StatusCode != http.StatusRequestEntityTooLarge || resp.Close == again {
				t.Errorf("%d bytes: answer = %d, close %v", size, resp.StatusCode, resp.Close)
			}
			if !again {
				break
			}
		}
	}
}

// TestServerSeesAgentsLeave also has agents that stay, and say more meanwhile.
func TestServerSeesAgentsLeave(t *testing.T) {
	begun, left, goOn := make(chan struct{}), make(chan error), make(chan struct{})
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		begun <- struct{}{}
		select {
		case <-r.Context().Done():
			left <- r.Context().Err()
		case <-goOn:
			tell(w, r)
		}
	})})
	for _, text := range []string{get, postOf("hello"), "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		a := dial(t, addr)
		for range 2 { // watched, and so that the connection is good for more
			a.send(text)
			<-begun
			time.Sleep(40 * time.Millisecond) // the watch has looked; if it has not, the test proves less and holds as well
			goOn <- struct{}{}
			a.answer(http.MethodPost)
		}
		a.send(text)
		<-begun
		time.Sleep(40 * time.Millisecond)
		a.send(get) // before its turn
		goOn <- struct{}{}
		a.answer(http.MethodPost)
		<-begun
		a.Close()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("%.20q: the context of an agent that left = %v", text, err)
		}
	}
}

func TestServerBoundsReadingAndWriting(t *testing.T) {
	outcome := make(chan error, 1)
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if r.Method == http.MethodPost {
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			_, err := io.ReadAll(r.Body)
			outcome <- err
			w.WriteHeader(http.StatusRequestTimeout)
			return
		}
		_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		for err := error(nil); ; _, err = w.Write(make([]byte, 1<<20)) {
			if err != nil {
				outcome <- err
				return
			}
		}
	})})
	a := dial(t, addr)
	a.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
	if err := <-outcome; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading half a body = %v, want the deadline", err)
	}
	if resp, _ := a.answer(http.MethodPost); resp.StatusCode != http.StatusRequestTimeout || !a.closed() {
		t.Errorf("answer = %d, want 408 and the end", resp.StatusCode)
	}
	dial(t, addr).send(get) // and reads nothing
	if err := <-outcome; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing to an agent that does not read = %v, want the deadline", err)
	}
}

// A deadline that passes while nothing is read or written, and is set anew, ends nothing.
func TestServerForgetsDeadlinesThatEndedNothing(t *testing.T) {
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond))
		time.Sleep(50 * time.Millisecond)
		_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
		tell(w, r)
	})})
	a := dial(t, addr)
	for range 3 {
		a.send(postOf("x"))
		if resp, text := a.answer(http.MethodPost); resp.Close || !strings.Contains(text, `body="x"`) {
			t.Errorf("answer = %q, close %v", text, resp.Close)
		}
	}
}

func TestServerClosesConnectionsThatSayNothing(t *testing.T) {
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(tell), HeaderTimeout: 3 * time.Second, IdleTimeout: 3 * time.Second})
	// Long enough for what is sent below to be there in time, on a busy machine too.
	silent, half, quiet, halfAgain := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
	half.send("GET /a HT")
	quiet.send(get)
	quiet.answer(http.MethodGet)
	halfAgain.send(get + "GET")
	halfAgain.answer(http.MethodGet)
	for name, a := range map[string]*agent{"half a head": half, "half of the next head": halfAgain} {
		if resp, body := a.answer(http.MethodGet); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s = %d %s, want 400", name, resp.StatusCode, body)
		}
	}
	for name, a := range map[string]*agent{"silent": silent, "half a head": half, "idle": quiet, "half of the next head": halfAgain} {
		if !a.closed() {
			t.Errorf("%s: the connection is not closed", name)
		}
	}
}

func TestServerCutsConnectionsWhoseHandlersPanic(t *testing.T) {
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "half")
		if r.URL.Path == "/a" {
			panic(http.ErrAbortHandler)
		}
		panic("broken")
	})})
	for _, text := range []string{get, postOf("")} {
		a := dial(t, addr)
		a.send(text)
		if !a.closed() {
			t.Errorf("%.20q: the connection is not closed", text)
		}
	}
}

// An answer shorter or longer than it was announced must not run into the next one.
func TestServerKeepsToAnnouncedLengths(t *testing.T) {
	var over error
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "4")
		if r.URL.Path == "/a" {
			_, _ = io.WriteString(w, "abc")
			return
		}
		_, _ = io.WriteString(w, "abcd")
		_, over = io.WriteString(w, "e")
	})})
	a := dial(t, addr)
	a.send(postOf(""))
	if _, text := a.answer(http.MethodPost); text != "abcd" || !errors.Is(over, http.ErrContentLength) {
		t.Errorf("answer = %q, the fifth byte %v", text, over)
	}
	a.send(get)
	resp, err := http.ReadResponse(a.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short answer = %q, %v, want an unexpected end", text, err)
	}
}

func TestServerCopiesFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(strings.Repeat("0123456789", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		if r.URL.Path == "/a" {
			w.Header().Set("Content-Length", "1000004")
		}
		_, _ = io.WriteString(w, "<<")
		if n, err := io.Copy(w, f); n != 1_000_000 || err != nil {
			panic(fmt.Sprint("copied ", n, err))
		}
		_, _ = io.WriteString(w, ">>")
	})})
	a := dial(t, addr)
	for _, text := range []string{get, postOf(""), get} {
		a.send(text)
		if _, got := a.answer(http.MethodGet); len(got) != 1_000_004 || !strings.HasPrefix(got, "<<0123") || !strings.HasSuffix(got, "6789>>") {
			t.Errorf("%.20q = %d bytes", text, len(got))
		}
	}
}

func TestServerWritesTwoTextsAsOne(t *testing.T) {
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var size int
		_, _ = fmt.Sscan(r.URL.RawQuery, &size)
		if r.URL.Path == "/counted" {
			w.Header().Set("Content-Length", fmt.Sprint(size+3))
		}
		both := w.(interface {
			WriteBoth(p, tail []byte) (int, error)
		})
		_, _ = io.WriteString(w, "<")
		if n, err := both.WriteBoth([]byte(strings.Repeat("x", size)), []byte(">>")); n != size+2 || err != nil {
			panic(fmt.Sprint("wrote ", n, err))
		}
		if _, err := both.WriteBoth(make([]byte, 1<<20), nil); r.URL.Path == "/counted" && !errors.Is(err, http.ErrContentLength) {
			panic(fmt.Sprint("wrote more than announced: ", err))
		}
	})})
	a := dial(t, addr)
	for _, size := range []int{0, 10, 17_000, 100_000, 1_000_000} {
		for _, path := range []string{"/counted", "/chunks"} {
			a.send(fmt.Sprintf("GET %s?%d HTTP/1.1\r\nHost: x\r\n\r\n", path, size))
			if _, got := a.answer(http.MethodGet); !strings.HasPrefix(got, "<"+strings.Repeat("x", size)+">>") || path == "/counted" && len(got) != size+3 {
				t.Errorf("%s, %d bytes = %d bytes", path, size, len(got))
			}
		}
	}
}

func TestServerGivesConnectionsAway(t *testing.T) {
	taken := make(chan net.Conn, 1)
	addr, s := serve(t, h1.ServerConfig{IdleTimeout: 20 * time.Millisecond, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		more, _ := rw.Peek(rw.Reader.Buffered())
		fmt.Fprintf(c, "more=%s\n", more)
		if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
			fmt.Fprint(c, "the answer can still be written to: ", err)
		}
		taken <- c
	})})
	a := dial(t, addr)
	a.send(get + "abc")
	c := <-taken
	defer c.Close()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown beside a connection that was taken = %v", err)
	}
	fmt.Fprintln(c, "later")
	for _, want := range []string{"more=abc\n", "later\n"} {
		if line, err := a.in.ReadString('\n'); line != want {
			t.Errorf("read %q, %v, want %q", line, err, want)
		}
	}
}

func TestServerShutsDown(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	addr, s := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			begun <- struct{}{}
			<-goOn
		}
		tell(w, r)
	})})
	fresh, quiet, busy := dial(t, addr), dial(t, addr), dial(t, addr)
	quiet.send(postOf(""))
	quiet.answer(http.MethodPost)
	busy.send(get)
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown beside a request under way = %v, want the deadline", err)
	}
	if !fresh.closed() || !quiet.closed() {
		t.Error("quiet connections stay open")
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
	close(goOn)
	if resp, text := busy.answer(http.MethodGet); !resp.Close || !strings.HasPrefix(text, "GET /a") {
		t.Errorf("answer = %q, close %v, want it whole and the last one", text, resp.Close)
	}
	waiting.Wait()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("connections are still accepted")
	}
}

func TestServerCloseEndsEverything(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error)
	addr, s := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
		ended <- r.Context().Err()
	})})
	a := dial(t, addr)
	a.send(get)
	<-begun
	s.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the context of a request = %v", err)
	}
	if _, err := a.in.ReadByte(); err == nil {
		t.Error("the connection is open")
	}
}

// Many connections at the same time, with requests of which some are watched and some are not.
func TestServerServesManyAtTheSameTime(t *testing.T) {
	addr, _ := serve(t, h1.ServerConfig{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("X"), "slow") {
			time.Sleep(15 * time.Millisecond)
		}
		tell(w, r)
	})})
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			a := dial(t, addr)
			for j := range 40 {
				body, x := strings.Repeat(fmt.Sprintf("%d.%d;", i, j), 1+j*j), "fast"
				if (i+j)%7 == 0 {
					x = "slow"
				}
				a.send(fmt.Sprintf("POST /a HTTP/1.1\r\nHost: x\r\nX: %s\r\nContent-Length: %d\r\n\r\n%s", x, len(body), body))
				if _, text := a.answer(http.MethodPost); !strings.Contains(text, fmt.Sprintf("body=%q <nil>", body)) {
					t.Errorf("answer %d.%d = %.100q", i, j, text)
				}
			}
		})
	}
	all.Wait()
}
