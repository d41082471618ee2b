// Package auth finds out who calls: it turns an Authorization header into a principal of the table. It refuses a key
// that is missing, unknown, revoked or expired; which agents a principal may act as is the table's to say, and which of
// them a call acts as is the gateway's.
//
// A key is looked up by its SHA-256, which is all that the configuration holds of it. The lookup tells a wrong key from a
// right one by nothing but the digest, so how long it takes says nothing about keys that exist.
package auth

import (
	"errors"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/table"
)

// Why a caller is not let in. The texts are written for the person at the other end.
var (
	// ErrNoKey says that the request carries no API key.
	ErrNoKey = errors.New("no API key: send the header Authorization: Bearer gwk_…")
	// ErrWrongKey says that no credential has this key: it never existed, or was revoked.
	ErrWrongKey = errors.New("this API key is not known: it may have been revoked")
	// ErrExpired says that the credential's time is over.
	ErrExpired = errors.New("this API key has expired")
	// ErrNotReady says that there is no snapshot yet to look the key up in; it is worth trying again.
	ErrNotReady = errors.New("no configuration has arrived yet")
)

// Mode is how callers prove who they are.
type Mode string

const (
	// Key asks for an API key with each request.
	Key Mode = "key"
	// None believes everybody; it is for loopback alone.
	None Mode = "none"
)

// Verifier proves who calls. Its methods take no lock and allocate nothing.
type Verifier struct {
	live     *table.Live
	everyone *table.Principal // nil where a key is asked for
	now      func() time.Time
}

// New returns a verifier that looks keys up in the live table.
func New(live *table.Live, mode Mode) *Verifier {
	v := &Verifier{live: live, now: time.Now}
	if mode == None {
		v.everyone = table.Everyone("anonymous")
	}
	return v
}

// Authenticate identifies the sender of a request by its Authorization header, in the table that is live now.
func (v *Verifier) Authenticate(authorization string) (*table.Principal, error) {
	return v.Identify(v.live.Load(), authorization)
}

// Identify is Authenticate in a given table; nil gives ErrNotReady.
func (v *Verifier) Identify(t *table.Table, authorization string) (*table.Principal, error) {
	switch {
	case t == nil:
		return nil, ErrNotReady
	case v.everyone != nil:
		return v.everyone, nil
	}
	// The key is copied into an array that stays on the stack: the table wants bytes, and the conversion would allocate.
	var buf [maxKey]byte
	key, err := bearer(buf[:0], authorization)
	if err != nil {
		return nil, err
	}
	p := t.Principal(key)
	switch {
	case p == nil:
		return nil, ErrWrongKey
	case p.Expired(v.now()): // only the holder of the key can learn this
		return nil, ErrExpired
	}
	return p, nil
}
