// Package seal makes the session ids of legacy agents: signed tokens that any proxy with the same key can open, so that
// proxies share no session state. It refuses tokens that were changed, made with another key, or of another format.
//
// A token is 51 bytes in URL-safe base64, which makes 68 characters:
//
//	18  id, random: what names the session elsewhere
//	 1  format, so that later builds can change all that follows
//	 4  protocol version, as the number 20251125
//	 4  when it began, in seconds since 1970
//	 8  SHA-256 of the principal's name, its first bytes
//	16  HMAC-SHA256 of all before, its first bytes
//
// A session id is never a proof of who calls: the caller proves that with each request, and the front compares the
// principal with the one that the token was made for.
package seal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"sync"
	"time"
)

// ErrSeal says that a token was not made with this key, or was changed since.
var ErrSeal = errors.New("the session token is not one of ours")

// The layout of a token before base64. The id comes first and fills whole base64 groups, so it can be cut out of the
// token without decoding; the total fills whole groups, so that no two tokens mean the same.
const (
	idBytes        = 18
	formatAt       = idBytes
	versionAt      = formatAt + 1
	timeAt         = versionAt + 4
	principalAt    = timeAt + 4
	signatureAt    = principalAt + principalBytes
	principalBytes = 8
	signatureBytes = 16
	tokenBytes     = signatureAt + signatureBytes

	idChars    = idBytes / 3 * 4
	tokenChars = tokenBytes / 3 * 4

	format = 1
)

// Session is what a token says, once it is opened.
type Session struct {
	// ID names the session: 24 visible ASCII characters, of which 144 bits are random.
	ID string
	// Version is the protocol version that was negotiated, such as "2025-11-25".
	Version string
	// Issued is when the session began, in whole seconds.
	Issued time.Time

	principal [principalBytes]byte
}

// BelongsTo says whether the session was made for the principal of that name.
func (s Session) BelongsTo(principal string) bool { return s.principal == digest(principal) }

// Sealer makes and opens tokens with one key. It is safe for concurrent use.
type Sealer struct {
	pool sync.Pool // of *signer
}

// signer is the memory and the keyed hash of one Seal or Open.
type signer struct {
	mac   hash.Hash
	token [tokenBytes]byte
	sum   [sha256.Size]byte
}

// New returns a sealer for a key, of which 32 random bytes are enough. The key is not kept by reference.
func New(key []byte) *Sealer {
	key = append([]byte(nil), key...)
	s := new(Sealer)
	s.pool.New = func() any { return &signer{mac: hmac.New(sha256.New, key)} }
	return s
}

// Seal makes a token for a new session: 68 characters of the URL-safe base64 alphabet. Version is a protocol version in
// the form of a date; another text is kept as the empty one.
func (s *Sealer) Seal(version, principal string, now time.Time) string {
	g := s.pool.Get().(*signer) //nolint:forcetypeassert // its New makes nothing else
	defer s.pool.Put(g)
	t := g.token[:]
	rand.Read(t[:idBytes]) // never returns an error: it ends the process where there is no randomness
	t[formatAt] = format
	binary.BigEndian.PutUint32(t[versionAt:], packDate(version))
	binary.BigEndian.PutUint32(t[timeAt:], uint32(now.Unix())) // until the year 2106
	p := digest(principal)
	copy(t[principalAt:], p[:])
	copy(t[signatureAt:], g.sign())
	return base64.RawURLEncoding.EncodeToString(t)
}

// Open returns what a token says. The error is ErrSeal, whatever is wrong, so that nobody learns from it.
func (s *Sealer) Open(token string) (Session, error) {
	if len(token) != tokenChars {
		return Session{}, ErrSeal
	}
	g := s.pool.Get().(*signer) //nolint:forcetypeassert // its New makes nothing else
	defer s.pool.Put(g)
	t := g.token[:]
	// Decode skips line breaks, so a token with one would come out short.
	n, err := base64.RawURLEncoding.Decode(t, []byte(token))
	if err != nil || n != tokenBytes || t[formatAt] != format || !hmac.Equal(t[signatureAt:], g.sign()) {
		return Session{}, ErrSeal
	}
	return Session{
		ID:        token[:idChars],
		Version:   unpackDate(binary.BigEndian.Uint32(t[versionAt:])),
		Issued:    time.Unix(int64(binary.BigEndian.Uint32(t[timeAt:])), 0),
		principal: [principalBytes]byte(t[principalAt:]),
	}, nil
}

// sign returns the signature of the token's content; it is valid until the next call.
func (g *signer) sign() []byte {
	g.mac.Reset()
	g.mac.Write(g.token[:signatureAt])
	return g.mac.Sum(g.sum[:0])[:signatureBytes]
}

// digest is what a token keeps of a principal's name, which may be long and is nobody else's to read.
func digest(principal string) [principalBytes]byte {
	sum := sha256.Sum256([]byte(principal))
	return [principalBytes]byte(sum[:])
}
