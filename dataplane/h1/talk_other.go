//go:build !unix

package h1

// canPeek says whether an idle connection can be looked at without waiting; where it cannot, none is kept.
const canPeek = false

// converse is for systems where canPeek is true.
func (c *conn) converse(uintptr) (done bool) { return true }
