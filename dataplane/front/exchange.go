package front

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/dataplane/gateway"
	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/seal"
)

// exchange is one message of an agent and the memory that its answer needs. Exchanges are used again, which saves the
// path of a call its three largest allocations: everything in one is valid until it is freed, and MUST NOT be kept.
type exchange struct {
	body []byte // as it came; the slices below are parts of it
	held int64  // counted for the body, where that is large
	out  []byte // what is written around the result, or the whole answer where that is small

	msg     mcp.Message
	params  params
	era     mcp.Era
	session seal.Session    // of a legacy request that names one
	direct  *gateway.Direct // where the request is to a single server
	call    gateway.Call    // who and whence are filled in by the transport, the rest by callTool
}

// maxKept bounds the memory, in bytes, that an exchange keeps for the next one, and what a Content-Length alone can make
// us allocate: the rest of a body costs memory only as it arrives.
const maxKept = 256 << 10

// exchanges is a pool of them; its zero value is ready.
type exchanges struct{ pool sync.Pool }

func (e *exchanges) take() *exchange {
	if x, ok := e.pool.Get().(*exchange); ok {
		return x
	}
	return new(exchange)
}

// free gives an exchange's memory back. One that has grown large is left to the collector: a pool keeps what it gets, and
// one large message a minute would otherwise hold that much memory for good.
func (e *exchanges) free(x *exchange) {
	if x.held > 0 {
		x.call.Principal.Use.Held.Give(x.held)
		x.held = 0
	}
	if cap(x.body) > maxKept || cap(x.out) > maxKept {
		return
	}
	x.session.Forget()
	*x = exchange{body: x.body[:0], out: x.out[:0], session: x.session} // nothing of one agent's reaches the next
	e.pool.Put(x)
}

// readAll fills the body from r to its end; size is how much is expected, or negative. It is io.ReadAll into memory that
// is there already. Of a body larger than maxKept it reads a part alone, and returns errMore.
func (x *exchange) readAll(r io.Reader, size int64) error {
	x.body = x.body[:0]
	if need := int(min(max(size, 511), maxKept)) + 1; need > cap(x.body) { // one more: so that the end is seen without growing
		x.body = make([]byte, 0, need)
	}
	return x.readOn(r, maxKept)
}

// errMore says that there is more of a body than was to be read.
var errMore = errors.New("the body goes on")

// readOn reads on from r to its end, or until there are more than most bytes, which is errMore.
func (x *exchange) readOn(r io.Reader, most int) error {
	for {
		n, err := r.Read(x.body[len(x.body):cap(x.body)])
		x.body = x.body[:len(x.body)+n]
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case len(x.body) > most:
			return errMore
		}
		if len(x.body) == cap(x.body) {
			x.body = append(x.body, 0)[:len(x.body)]
		}
	}
}

// scan reads the body as one message, and of its params what the front needs. Nothing is copied: what it finds are parts
// of the body. The error is an *mcp.Error, and the message's id is there even so, where it could be told.
func (x *exchange) scan() error {
	m, err := mcp.ScanMessage(x.body)
	x.msg = m
	x.call.BytesIn = len(x.body)
	if err != nil || m.Params == nil {
		return err
	}
	return x.params.read(m.Params)
}

// params are the members of a request's params that the front looks at, raw; nil where they are absent. They are looked
// for in every request, since a method that does not know one of them ignores it.
type params struct {
	name, arguments, meta, uri, cursor []byte
	version                            string // of _meta
	capabilities                       []byte // of _meta
}

// paramNames and metaNames are the members that read picks, in the order of its results.
func paramNames() []string { return []string{"name", "arguments", "_meta", "uri", "cursor"} }

func metaNames() []string { return []string{mcp.MetaVersion, mcp.MetaCapabilities} }

// read picks the members out of params that were checked. A duplicate, or a member that differs from one of these only
// in case, is refused: some readers behind us take the first, some the last, some any case.
func (p *params) read(raw []byte) error {
	var v [5][]byte
	if _, err := mcp.Pick(raw, paramNames(), v[:]); err != nil {
		return invalidParams("params: " + err.Error())
	}
	p.name, p.arguments, p.meta, p.uri, p.cursor = v[0], v[1], v[2], v[3], v[4]
	if p.meta == nil {
		return nil
	}
	var m [2][]byte
	if _, err := mcp.Pick(p.meta, metaNames(), m[:]); err != nil {
		return invalidParams("params._meta: " + err.Error())
	}
	p.capabilities = m[1]
	if m[0] == nil {
		return nil
	}
	version, ok := mcp.Unquote(m[0])
	if !ok || version == "" {
		return invalidParams("params._meta: " + mcp.MetaVersion + " must be a string")
	}
	p.version = version
	return nil
}

// isObject says whether a raw value that was checked is an object.
func isObject(raw []byte) bool { return bytes.HasPrefix(raw, []byte("{")) }

func invalidParams(message string) *mcp.Error {
	return &mcp.Error{Code: mcp.CodeInvalidParams, Message: message}
}
