// Package examples holds manifests that people copy. The quickstart is also built into gwctl, so that a first run needs no
// file. They hold no secret and name no server outside this machine.
package examples

import _ "embed"

//go:embed quickstart/gatehouse.yaml
var quickstart string

// Quickstart returns the manifest that `gwctl up` runs where it is given none.
func Quickstart() string { return quickstart }
