package h1_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/h1"
)

func TestHeadsAreRenderedOnce(t *testing.T) {
	u, err := url.Parse("http://host:81/a%20b?c=d#e")
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"X-B": {" 1 ", "2"}, "Accept": {"a, b"}, "Host": {"ignored"}}
	got, ok := h1.Render(u, "", header)
	if want := "POST /a%20b?c=d HTTP/1.1\r\nHost: host:81\r\nAccept: a, b\r\nX-B: 1\r\nX-B: 2\r\n"; !ok || string(got) != want {
		t.Errorf("Render = %q, %v, want %q", got, ok, want)
	}
	if got, ok = h1.Render(u, "other", nil); !ok || string(got) != "POST /a%20b?c=d HTTP/1.1\r\nHost: other\r\n" {
		t.Errorf("Render with a host = %q, %v", got, ok)
	}
}

func TestUnusualRequestsAreLeftToNetHTTP(t *testing.T) {
	for name, tt := range map[string]struct {
		u      url.URL
		host   string
		header http.Header
	}{
		"https":         {url.URL{Scheme: "https", Host: "h"}, "", nil},
		"no host":       {url.URL{Scheme: "http"}, "", nil},
		"umlaut":        {url.URL{Scheme: "http", Host: "bücher.example"}, "", nil},
		"opaque":        {url.URL{Scheme: "http", Host: "h", Opaque: "x y"}, "", nil},
		"host in lines": {url.URL{Scheme: "http", Host: "h"}, "a\r\nX: y", nil},
		"connection":    {url.URL{Scheme: "http", Host: "h"}, "", http.Header{"Connection": {"close"}}},
		"expect":        {url.URL{Scheme: "http", Host: "h"}, "", http.Header{"Expect": {"100-continue"}}},
		"length":        {url.URL{Scheme: "http", Host: "h"}, "", http.Header{"Content-Length": {"1"}}},
		"value":         {url.URL{Scheme: "http", Host: "h"}, "", http.Header{"X": {"a\r\nY: b"}}},
		"name":          {url.URL{Scheme: "http", Host: "h"}, "", http.Header{"X Y": {"a"}}},
	} {
		if got, ok := h1.Render(&tt.u, tt.host, tt.header); ok {
			t.Errorf("%s: Render = %q, want none", name, got)
		}
	}
	for _, bad := range [][2]string{{"", "x"}, {"a:b", "x"}, {"a", "x\ny"}, {"a", "\x7f"}, {"a ", "x"}} {
		if got, ok := h1.AppendField(nil, bad[0], bad[1]); ok {
			t.Errorf("AppendField(%q, %q) = %q, want none", bad[0], bad[1], got)
		}
	}
}
