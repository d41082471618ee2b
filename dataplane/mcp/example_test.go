package mcp_test

import (
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

func ExampleScanMessage() {
	m, err := mcp.ScanMessage([]byte(`{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"echo"}}`))
	fmt.Println(m.Kind == mcp.Request, string(m.ID), m.Method, string(m.Params), err)
	_, err = mcp.ScanMessage([]byte(`{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`))
	fmt.Println(err)
	// Output:
	// true 9007199254740993 tools/call {"name":"echo"} <nil>
	// reading message: ambiguous member "Method"
}

func ExamplePick() {
	names := []string{"server", "tool"}
	out := make([][]byte, len(names))
	other, err := mcp.Pick([]byte(`{"tool":"echo","timeout":1e3,"server":"everything"}`), names, out)
	fmt.Printf("%s %s %s %v\n", out[0], out[1], other, err)
	// Output: "everything" "echo" timeout <nil>
}

func ExampleAppendResponseHead() {
	result := `{"content":[],"n":1.000}` // written as it came, however large
	head := mcp.AppendResponseHead(nil, []byte(`"abc"`))
	fmt.Println(string(head) + result + mcp.ResponseTail)
	// Output: {"jsonrpc":"2.0","id":"abc","result":{"content":[],"n":1.000}}
}

func ExampleEncodeHeader() {
	fmt.Println(mcp.EncodeHeader("echo"), mcp.EncodeHeader("grüß dich"))
	// Output: echo =?base64?Z3LDvMOfIGRpY2g=?=
}
