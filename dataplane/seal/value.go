package seal

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"
)

// Kind says what a value is for, so that no value passes for one of another use.
type Kind byte

// The kinds of values. A new one takes a new number; numbers are never used again.
const (
	// KindCursor is the place in a list where the next page begins.
	KindCursor Kind = 1
	// KindState is the requestState of a question to an agent.
	KindState Kind = 2
	// KindRequest is the id of an upstream's request to an agent.
	KindRequest Kind = 3
	// KindCall is the name of a call that waits for its agent's answer.
	KindCall Kind = 4
	// KindTask is the id of a task that an upstream keeps for an agent.
	KindTask Kind = 5
	// KindReplay is the requestState of a call that is made again from its beginning, with what was answered so far.
	KindReplay Kind = 6
	// KindVisit is the requestState of a call that waits until its user has been to a URL.
	KindVisit Kind = 7
)

// maxValue bounds a value's text, in characters. What was sealed larger does not open: payloads are state of a request.
const maxValue = 1 << 20

// Value is what is handed to an agent and comes back, unreadable and unchanged.
type Value struct {
	// Kind is what the value is for.
	Kind Kind
	// Bound is whom and what the value is for, made by Bind: it does not travel, and who opens the value must say the same.
	Bound string
	// Expires is when the value stops opening, in whole seconds, rounded up; zero for never.
	Expires time.Time
	// Address is that of the proxy that holds more about it, host and port; empty where none does. More than 255 bytes are
	// left out.
	Address string
	// Payload is whatever else there is to say.
	Payload []byte
}

// Bind joins what a value is bound to, such as principal, agent, server and method, so that no two lists look alike.
func Bind(parts ...string) string {
	var dst []byte
	for _, p := range parts {
		dst = append(append(strconv.AppendInt(dst, int64(len(p)), 10), ':'), p...)
	}
	return string(dst)
}

// SealValue makes the text of a value: 50 characters of the URL-safe base64 alphabet, and four for each three bytes of
// address and payload. No two are alike, also of equal values.
func (s *Sealer) SealValue(v Value) string {
	t := make([]byte, nonceBytes, nonceBytes+8+1+len(v.Address)+len(v.Payload)+tagBytes)
	rand.Read(t) // never returns an error: it ends the process where there is no randomness
	var expires uint64
	if !v.Expires.IsZero() {
		expires = uint64(max(v.Expires.Add(time.Second-1).Unix(), 1))
	}
	t = appendAddress(binary.BigEndian.AppendUint64(t, expires), v.Address)
	t = append(t, v.Payload...)
	nonce := t[:nonceBytes]
	return base64.RawURLEncoding.EncodeToString(s.values.Seal(nonce, nonce, t[nonceBytes:], context(v.Kind, v.Bound)))
}

// OpenValue returns the value of a text that was sealed with that kind and bound, and has not expired by now. The error is
// ErrSeal, whatever is wrong, so that nobody learns from it.
func (s *Sealer) OpenValue(text string, kind Kind, bound string, now time.Time) (Value, error) {
	if len(text) > maxValue {
		return Value{}, ErrSeal
	}
	t, err := decode(nil, text)
	if err != nil || len(t) < nonceBytes+8+1+tagBytes {
		return Value{}, ErrSeal
	}
	nonce, box := t[:nonceBytes], t[nonceBytes:]
	plain, err := s.values.Open(box[:0], nonce, box, context(kind, bound))
	if err != nil {
		return Value{}, ErrSeal
	}
	v := Value{Kind: kind, Bound: bound}
	if expires := binary.BigEndian.Uint64(plain); expires != 0 {
		v.Expires = time.Unix(int64(expires), 0)
	}
	address, payload, ok := cutAddress(plain[8:])
	if !ok || !v.Expires.IsZero() && !now.Before(v.Expires) {
		return Value{}, ErrSeal
	}
	v.Address, v.Payload = string(address), payload
	return v, nil
}

// context is what is authenticated beside the value itself.
func context(kind Kind, bound string) []byte { return append([]byte{byte(kind)}, bound...) }
