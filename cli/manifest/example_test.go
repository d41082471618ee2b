package manifest_test

import (
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
)

func ExampleLoad() {
	_, err := manifest.Load([]string{"-"}, strings.NewReader(`
apiVersion: gatehouse/v1
kind: Policy
metadata: {name: backend}
spec:
  allow: {servers: [postgres]}
  dney: {tools: {postgres: ["drop_*"]}}
  deny: {servers: 3}
`))
	fmt.Println(err)
	// Output:
	// -:7:3: spec.dney: unknown field "dney", did you mean "deny"?
	// -:8:19: spec.deny.servers: must be a list, got the number 3
}

func ExampleSet_Locate() {
	set, err := manifest.Load([]string{"-"}, strings.NewReader(`apiVersion: gatehouse/v1
kind: Server
metadata: {name: files}
spec:
  stdio:
    command: npx
    args:
      - "-y"
      - "bad\0argument"
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(set.Locate("servers/files", "spec.stdio.args[1]", "a NUL byte is not allowed here"))
	fmt.Println(set.Locate("servers/files", "spec.stdio.cwd", "is missing"))
	// Output:
	// -:9:9: spec.stdio.args[1]: a NUL byte is not allowed here
	// -:5:3: spec.stdio.cwd: is missing
}

func ExampleMarshal() {
	set, err := manifest.Load([]string{"-"}, strings.NewReader(`{"apiVersion": "gatehouse/v1", "kind": "Server",
		"metadata": {"name": "web"}, "spec": {"http": {"url": "${BASE}/mcp", "headers": {"X-Token": "on"}}, "disabled": false}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := manifest.Marshal(set.Objects, manifest.YAML)
	fmt.Print(string(text), err)
	// Output:
	// apiVersion: gatehouse/v1
	// kind: Server
	// metadata:
	//   name: web
	// spec:
	//   http:
	//     url: ${BASE}/mcp
	//     headers:
	//       X-Token: "on"
	// <nil>
}
