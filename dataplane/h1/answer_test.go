package h1_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
)

// answers are well formed; again says whether the connection serves another request.
func TestAnswersAreReadToTheirEnd(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 10<<10)
	for name, tt := range map[string]struct {
		answer, want string
		status       int
		again        bool
	}{
		"length":           {ok, "ok", 200, true},
		"no body":          {"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "", 202, true},
		"204":              {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, true},
		"204 with a body":  {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "", 204, false},
		"no reason":        {"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "ok", 200, true},
		"bare LF":          {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "ok", 200, true},
		"one length twice": {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\nok", "ok", 200, true},
		"chunked":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n", "ok", 200, true},
		"trailers":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n000\r\nX: y\r\nZ:\r\n\r\n", "ok", 200, true},
		"upper case sizes": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA \r\n0123456789\r\n0\r\n\r\n", "0123456789", 200, true},
		"until the end":    {"HTTP/1.1 200 OK\r\n\r\nok", "ok", 200, false},
		"close":            {"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok", "ok", 200, false},
		"HTTP/1.0":         {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", 200, false},
		"HTTP/1.0 kept":    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "ok", 200, true},
		"interim":          {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok, "ok", 200, true},
		"more than asked":  {ok + "HTTP/1.1 200 OK\r\n", "ok", 200, false},
		"big":              {"HTTP/1.1 200 OK\r\nContent-Length: 163840\r\n\r\n" + big, big, 200, true},
		"big chunks":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n28000\r\n" + big + "\r\n0\r\n\r\n", big, 200, true},
		"long head":        {"HTTP/1.1 200 OK\r\nX: " + big[:20000] + "\r\nContent-Length: 2\r\n\r\nok", "ok", 200, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, func(c *peer) {
				io.WriteString(c, tt.answer)
				if !tt.again {
					c.Close()
				}
			})
			h := client(t, s, h1.Config{})
			for range 2 {
				status, text, err := post(soon(t), h, request(t, s, "hello"))
				if err != nil || status != tt.status || text != tt.want {
					t.Fatalf("Post = %d %.50q, %v, want %d %.50q", status, text, err, tt.status, tt.want)
				}
			}
			if conns, _ := s.count(); (conns == 1) != tt.again {
				t.Errorf("%d connections for two requests, want one: %v", conns, tt.again)
			}
		})
	}
}

func TestBrokenAnswersAreRefused(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	const chunked = head + "Transfer-Encoding: chunked\r\n\r\n"
	for name, answer := range map[string]string{
		"folded line":          head + "X: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
		"folded first line":    head + " X: a\r\n\r\n",
		"length and coding":    head + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"two lengths":          head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
		"list of lengths":      head + "Content-Length: 2, 2\r\n\r\nok",
		"negative length":      head + "Content-Length: -2\r\n\r\nok",
		"signed length":        head + "Content-Length: +2\r\n\r\nok",
		"huge length":          head + "Content-Length: 99999999999999999999\r\n\r\nok",
		"empty length":         head + "Content-Length:\r\n\r\nok",
		"other coding":         head + "Transfer-Encoding: gzip\r\n\r\nok",
		"two codings":          head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"list of codings":      head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"coding in 1.0":        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"space before colon":   head + "Content-Length : 2\r\n\r\nok",
		"no name":              head + ": 2\r\n\r\nok",
		"no colon":             head + "Content-Length\r\n\r\nok",
		"bare CR":              head + "X: a\rContent-Length: 2\r\n\r\nok",
		"NUL":                  head + "X: \x00\r\n\r\nok",
		"HTTP/2":               "HTTP/2.0 200 OK\r\n\r\n",
		"no HTTP":              "<html>hello</html>\r\n\r\n",
		"empty first line":     "\r\n" + ok,
		"two digits":           "HTTP/1.1 20 OK\r\n\r\n",
		"four digits":          "HTTP/1.1 2000 OK\r\n\r\n",
		"status below 100":     "HTTP/1.1 000 OK\r\n\r\n",
		"switching protocols":  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"endless interim":      strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 10) + ok,
		"head too long":        head + "X: " + strings.Repeat("x", 100<<10) + "\r\n\r\n",
		"endless head":         head + strings.Repeat("X: y\r\n", 20<<10),
		"no chunk size":        chunked + "\r\n",
		"chunk size not hex":   chunked + "2x\r\nok\r\n0\r\n\r\n",
		"signed chunk size":    chunked + "+2\r\nok\r\n0\r\n\r\n",
		"huge chunk size":      chunked + "ffffffffffffffff\r\nok",
		"chunk line ends LF":   chunked + "2\nok\r\n0\r\n\r\n",
		"chunk longer":         chunked + "2\r\nokay\r\n0\r\n\r\n",
		"chunk line too long":  chunked + "2;" + strings.Repeat("x", 1000) + "\r\nok\r\n0\r\n\r\n",
		"folded trailer":       chunked + "0\r\nX: a\r\n b\r\n\r\n",
		"trailers without end": chunked + "0\r\n" + strings.Repeat("X: y\r\n", 20<<10),
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, say(answer))
			status, text, err := post(soon(t), client(t, s, h1.Config{}), request(t, s, "hello"))
			if _, broken := errors.AsType[*h1.FaultError](err); !broken {
				t.Errorf("Post = %d %.50q, %v, want a fault", status, text, err)
			}
			if conns, requests := s.count(); conns != 1 || requests != 1 {
				t.Errorf("%d connections and %d requests, want one each", conns, requests)
			}
		})
	}
}

func TestAnswersThatEndEarlyAreErrors(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":  "",
		"head":     "HTTP/1.1 200 OK\r\nContent-Le",
		"body":     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		"chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
		"chunks":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"size":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2",
		"trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y",
	} {
		s := listen(t, func(c *peer) {
			io.WriteString(c, answer)
			c.Close()
		})
		_, _, err := post(soon(t), client(t, s, h1.Config{}), request(t, s, "hello"))
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: Post = %v, want the end of the connection", name, err)
		}
	}
}

// An answer's head may be that of the answer before, or all but.
func TestHeadsThatDifferAreNotMixedUp(t *testing.T) {
	s := listen(t, func(c *peer) {
		fmt.Fprintf(c, "HTTP/1.1 20%d OK\r\nX: %s\r\nContent-Length: %d\r\n\r\n%s", len(c.body), c.body, len(c.body), c.body)
	})
	h := client(t, s, h1.Config{})
	for _, body := range []string{"a", "a", "b", "bb", "bb", "a"} {
		resp, err := h.Post(soon(t), request(t, s, body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || string(text) != body || resp.Header.Get("X") != body || resp.StatusCode != 200+len(body) {
			t.Errorf("Post(%s) = %d %q, X: %q, %v", body, resp.StatusCode, text, resp.Header.Get("X"), err)
		}
		resp.Body.Close()
	}
	if conns, _ := s.count(); conns != 1 {
		t.Errorf("%d connections, want 1", conns)
	}
}

func TestHeadersOfAnAnswerAreKept(t *testing.T) {
	s := listen(t, say("HTTP/1.1 200 OK\r\nmcp-session-id: \t abc \r\nSet-Cookie: a\r\nSet-Cookie: b\r\nX-Umlaut: \xc3\xa4\r\nContent-Length: 0\r\n\r\n"))
	resp, err := client(t, s, h1.Config{}).Post(soon(t), request(t, s, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for name, want := range map[string]string{"Mcp-Session-Id": "abc", "Set-Cookie": "a|b", "X-Umlaut": "ä", "None": ""} {
		if got := strings.Join(resp.Header.Values(name), "|"); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
	if resp.ContentLength != 0 || resp.StatusCode != http.StatusOK {
		t.Errorf("answer = %d of %d bytes, want 200 of 0", resp.StatusCode, resp.ContentLength)
	}
}
