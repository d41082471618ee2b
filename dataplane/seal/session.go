package seal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// MaxDeclaration bounds what a token holds of the client's declaration, in bytes: capabilities and info together. Agents
// send the token with each request, so it must not grow with what they say.
const MaxDeclaration = 1024

// The layout of a session id before base64, as far as it is fixed. The id comes first and fills whole base64 groups, so it
// can be cut out of the token without decoding.
const (
	idBytes        = 18
	idChars        = idBytes / 3 * 4
	principalBytes = 8
	fixedBytes     = 4 + 4 + principalBytes // version, time, principal
	leastSession   = idBytes + fixedBytes + 1 + 2 + tagBytes
	maxSession     = leastSession + maxAddress + MaxDeclaration
)

// Facts are what a session id says, beside its principal.
type Facts struct {
	// Version is the protocol version that was negotiated, such as "2025-11-25".
	Version string
	// Issued is when the session began, in whole seconds.
	Issued time.Time
	// Home is the address of the proxy that began the session, host and port; empty where it has none. More than 255 bytes
	// are left out.
	Home string
	// Capabilities and Info are what the client declared of itself in initialize, raw. Where they are larger than
	// MaxDeclaration together, Info is left out, and Capabilities too if that is not enough.
	Capabilities, Info []byte
}

// Session is what a session id says, once it is opened. It holds the memory for that, which the next Open uses again; its
// zero value is ready for the first.
type Session struct {
	// ID names the session: 24 visible ASCII characters, of which 144 bits are random. It is the token's beginning.
	ID string
	// Version is the protocol version that was negotiated, such as "2025-11-25"; empty where that was no date.
	Version string
	// Issued is when the session began, in whole seconds.
	Issued time.Time
	// Home, Capabilities and Info are as in Facts, empty where they were left out. They are valid until the next Open.
	Home, Capabilities, Info []byte

	principal [principalBytes]byte
	memory    []byte
}

// BelongsTo says whether the session was made for the principal of that name.
func (s *Session) BelongsTo(principal string) bool { return s.principal == digest(principal) }

// Forget empties s, but for its memory.
func (s *Session) Forget() { *s = Session{memory: s.memory} }

// Seal makes the id of a new session: 71 characters of the URL-safe base64 alphabet, and four for each three bytes of home
// and declaration. A version that is not in the form of a date is kept as the empty one.
func (s *Sealer) Seal(f Facts, principal string) string {
	t := make([]byte, idBytes, maxSession)
	rand.Read(t) // never returns an error: it ends the process where there is no randomness
	t = binary.BigEndian.AppendUint32(t, packDate(f.Version))
	t = binary.BigEndian.AppendUint32(t, uint32(f.Issued.Unix())) // until the year 2106
	p := digest(principal)
	t = appendAddress(append(t, p[:]...), f.Home)
	if len(f.Capabilities)+len(f.Info) > MaxDeclaration {
		f.Info = nil
	}
	if len(f.Capabilities) > MaxDeclaration {
		f.Capabilities = nil
	}
	t = binary.BigEndian.AppendUint16(t, uint16(len(f.Capabilities)))
	t = append(append(t, f.Capabilities...), f.Info...)
	id := t[:idBytes]
	return base64.RawURLEncoding.EncodeToString(s.sessions.Seal(id, id[:nonceBytes], t[idBytes:], id))
}

// Open reads a session id into dst. The error is ErrSeal, whatever is wrong, so that nobody learns from it, and dst then
// says nothing.
func (s *Sealer) Open(dst *Session, token string) error {
	dst.Forget()
	if len(token) > base64.RawURLEncoding.EncodedLen(maxSession) {
		return ErrSeal
	}
	t, err := decode(dst.memory, token)
	dst.memory = t
	if err != nil || len(t) < leastSession {
		return ErrSeal
	}
	id, box := t[:idBytes], t[idBytes:]
	plain, err := s.sessions.Open(box[:0], id[:nonceBytes], box, id)
	if err != nil || !dst.read(plain) {
		return ErrSeal
	}
	dst.ID = token[:idChars]
	return nil
}

// read reads what was encrypted, and says whether it has the form that Seal gives it.
func (s *Session) read(b []byte) bool {
	home, rest, ok := cutAddress(b[fixedBytes:])
	if !ok || len(rest) < 2 {
		return false
	}
	size := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	if size > len(rest) {
		return false
	}
	s.Version = unpackDate(binary.BigEndian.Uint32(b))
	s.Issued = time.Unix(int64(binary.BigEndian.Uint32(b[4:])), 0)
	s.principal = [principalBytes]byte(b[8:])
	s.Home, s.Capabilities, s.Info = home, rest[:size], rest[size:]
	return true
}

// digest is what a token keeps of a principal's name, which may be long.
func digest(principal string) [principalBytes]byte {
	sum := sha256.Sum256([]byte(principal))
	return [principalBytes]byte(sum[:])
}
