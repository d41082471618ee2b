package mcp_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// outline reads a message in parts of these sizes, in turn.
func outline(data []byte, sizes []byte) (*mcp.Outline, mcp.Message, error) {
	o := mcp.NewOutline("isError", "resultType")
	for i := 0; len(data) > 0; i++ {
		n := 1
		if len(sizes) > 0 {
			n = 1 + int(sizes[i%len(sizes)])
		}
		n = min(n, len(data))
		if _, err := o.Write(bytes.Clone(data[:n])); err != nil {
			break
		}
		data = data[n:]
	}
	m, err := o.Close()
	return o, m, err
}

// agree compares an outline with what ScanMessage says of the whole.
func agree(t *testing.T, data, sizes []byte) {
	t.Helper()
	want, wrong := mcp.ScanMessage(data)
	o, got, err := outline(data, sizes)
	if (err == nil) != (wrong == nil) {
		t.Fatalf("outline of %q in parts of %v = %v, want %v", data, sizes, err, wrong)
	}
	if err != nil {
		return
	}
	if got.Kind != want.Kind || !bytes.Equal(got.ID, want.ID) || got.Method != want.Method {
		t.Errorf("outline of %q = %v %s %s, want %v %s %s", data, got.Kind, got.ID, got.Method, want.Kind, want.ID, want.Method)
	}
	for _, part := range []struct {
		at   mcp.Extent
		want []byte
	}{{o.Params(), want.Params}, {o.Result(), want.Result}, {o.Fault(), want.Error}} {
		if text := data[part.at.Start:part.at.End]; want.Kind != 0 && part.want != nil && !bytes.Equal(text, part.want) {
			t.Errorf("outline of %q has %q, want %q", data, text, part.want)
		}
	}
	if want.Result != nil && o.IsObject() != (want.Result[0] == '{') {
		t.Errorf("outline of %q: IsObject = %v", data, o.IsObject())
	}
	if o.IsObject() {
		agreeOnMembers(t, o, want.Result)
	}
}

func agreeOnMembers(t *testing.T, o *mcp.Outline, result []byte) {
	t.Helper()
	want := make([][]byte, 2)
	_, wrong := mcp.Pick(result, []string{"isError", "resultType"}, want)
	got, err := o.Members()
	if err != nil && wrong == nil {
		t.Fatalf("members of %q = %v, want %q", result, err, want)
	}
	if wrong != nil || err != nil {
		return // others that stand twice do not count
	}
	for i := range want {
		if (got[i] == nil) != (want[i] == nil) || len(got[i]) > 0 && !bytes.HasPrefix(want[i], got[i]) {
			t.Errorf("members of %q = %q, want %q", result, got, want)
		}
	}
}

// messages are seeds: what is usual, and what is odd at one place each.
func messages() []string {
	return []string{
		`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a\\\"b"}],"isError":true,"resultType":"complete"}}`,
		` { "result" : { } , "id" : "x" , "jsonrpc" : "2.0" } ` + "\n",
		`{"jsonrpc":"2.0","id":-7,"error":{"code":-32601,"message":"no"}}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no"}}`,
		`{"jsonrpc":"2.0","method":"notifications/x","params":{"a":[1,-0.5e+10,0,1E5,true,false,null]}}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}`, `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":1.0,"method":"ping"}`, `{"jsonrpc":"2.0","id":1,"Method":"ping"}`,
		`{"jsonrpc":"2.0","id":1,"r\u0065sult":{"isErr\u006fr":false}}`, `{"jsonrpc":"2.0","id":1,"result":{},"result":{}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"IsError":true}}`, `{"jsonrpc":"2.0","id":1,"result":{"isError":1,"isError":2}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"x":{"isError":true},"y":["isError"],"isError":[]}}`,
		`{"jsonrpc":"2.0","id":1,"result":"x"}`, `{"jsonrpc":"2.0","id":1,"result":7}`, `{"jsonrpc":"2.0","id":1,"result":[{"isError":1}]}`,
		`[{"jsonrpc":"2.0","id":1,"result":{}}]`, `{}`, ``, ` `, `7`, `"x"`, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":1e}`, `{"a":.5}`, `{"a":tru}`,
		`{"a":"\u12g4"}`, `{"a":"\x"}`, "{\"a\":\"\x01\"}", `{"a":1,}`, `{,}`, `{"a"}`, `{"a":[1,]}`, `{"a":1]`, `{"a":[1}}`, `{"a":1}}`, `{"a":1} x`,
		"{\"jsonrpc\":\"2.0\",\"id\":\"\xc3\xa9\U0001F600\",\"result\":{}}", "{\"a\":\"\xc3\"}", "{\"a\":\"\xff\"}", "{\"a\":\"\xed\xa0\x80\"}", "{\"a\":1}\xc3",
		`{"jsonrpc":"2.0","id":1,"result":` + strings.Repeat("[", 127) + strings.Repeat("]", 127) + `}`,
		`{"jsonrpc":"2.0","id":1,"result":` + strings.Repeat("[", 128) + strings.Repeat("]", 128) + `}`,
		`{"jsonrpc":"2.0","id":1,"result":{},"` + strings.Repeat(`a":1,"b`, 20) + `":2}`,
	}
}

func TestOutlineAgreesWithTheWhole(t *testing.T) {
	for _, m := range messages() {
		for _, sizes := range []string{"\x00", "\x01", "\x02\x00\x04", "\x07", "\xff"} {
			agree(t, []byte(m), []byte(sizes))
		}
	}
}

func TestOutlineOfWhatIsLarge(t *testing.T) {
	big := fmt.Sprintf(`{"jsonrpc":"2.0","result":{"content":[{"type":"text","text":"%s"}],"isError":false},"id":5}`, strings.Repeat("0123456789\\n", 1<<20))
	agree(t, []byte(big), []byte{255})
	for _, m := range []string{
		`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 65<<10) + `","result":{}}`,
		`{"jsonrpc":"2.0","id":1,"result":{},"` + strings.Repeat("x", 65<<10) + `":1}`,
	} {
		if _, _, err := outline([]byte(m), []byte{255}); err == nil {
			t.Errorf("outline of %d bytes, most of them an id or a name = nil, want a refusal", len(m))
		}
	}
}

func FuzzOutline(f *testing.F) {
	for _, m := range messages() {
		f.Add([]byte(m), []byte{3, 0, 20})
	}
	f.Fuzz(func(t *testing.T, data, sizes []byte) {
		if len(data) <= 32<<10 {
			agree(t, data, sizes)
		}
	})
}

func BenchmarkOutline(b *testing.B) {
	part := []byte(strings.Repeat(`{"type":"text","text":"`+strings.Repeat("0123456789abcdef", 64)+`"},`, 60))
	b.SetBytes(int64(len(part)))
	b.ReportAllocs()
	o := mcp.NewOutline()
	if _, err := o.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[`)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := o.Write(part); err != nil {
			b.Fatal(err)
		}
	}
}
