// Package seal makes what the gateway hands to agents and takes back later: session ids, and values such as cursors and ids
// of requests. Any proxy with the same key opens them, so proxies share no state; nobody else reads or changes them. It
// refuses what was changed, made with another key, for another purpose, or in another format, and says no more than that.
//
// Both are encrypted and authenticated with AES-256-GCM, each under a key of its own that HKDF derives from the one given,
// and written in URL-safe base64 without padding. A session id is, before base64:
//
//	18  id, random: what names the session elsewhere; its first 12 are the nonce, all are authenticated
//	 4  protocol version, as the number 20251125                    ┐
//	 4  when it began, in seconds since 1970                        │
//	 8  SHA-256 of the principal's name, its first bytes            │ encrypted
//	 1  length of the home's address, then the address              │
//	 2  length of the client's capabilities, then those             │
//	 …  the client's name and version                               ┘
//	16  tag
//
// and a value:
//
//	12  nonce, random
//	 8  when it expires, in seconds since 1970; 0 for never         ┐
//	 1  length of the address, then the address                     │ encrypted
//	 …  payload                                                     ┘
//	16  tag, which covers the kind and what the value is bound to as well
//
// Nonces are random, which is safe for some 2^32 sessions and as many values under one key. A session id is never a proof of
// who calls: the caller proves that with each request, and the front compares the principal with the one in the token.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
)

// ErrSeal says that a token was not made with this key, for this purpose, or was changed since, or has expired.
var ErrSeal = errors.New("the token is not one of ours")

// What the two keys are derived for. Another format gets another text, and is then opened by nobody who does not know it.
const (
	forSessions = "gatehouse session id, format 2"
	forValues   = "gatehouse sealed value, format 1"
)

const (
	nonceBytes = 12
	tagBytes   = 16
	// maxAddress bounds an address in bytes: its length has one byte.
	maxAddress = 255
)

// Sealer makes and opens tokens with one key. It is safe for concurrent use.
type Sealer struct{ sessions, values cipher.AEAD }

// New returns a sealer for a key, of which 32 random bytes are enough. The key is not kept.
func New(key []byte) *Sealer { return &Sealer{derive(key, forSessions), derive(key, forValues)} }

// derive makes the cipher for one purpose.
func derive(key []byte, purpose string) cipher.AEAD {
	k, err := hkdf.Key(sha256.New, key, nil, purpose, 32)
	if err != nil {
		panic("deriving a key: " + err.Error()) // only where the process is told to refuse short keys, and was given one
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		panic("making a cipher: " + err.Error()) // 32 bytes are a key
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("making a cipher: " + err.Error()) // the block is one of AES
	}
	return gcm
}

// encoding takes one text for each token: no bits are left over that could differ.
func encoding() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// decode decodes a token into memory, which it grows where needed.
func decode(memory []byte, token string) ([]byte, error) {
	size := base64.RawURLEncoding.DecodedLen(len(token))
	memory = slices.Grow(memory[:0], size)[:size]
	n, err := encoding().Decode(memory, []byte(token))
	if err != nil || base64.RawURLEncoding.EncodedLen(n) != len(token) { // it skips line breaks
		return memory, ErrSeal
	}
	return memory, nil
}

// appendAddress appends an address behind its length; one that is too long is no address, and left out.
func appendAddress(dst []byte, address string) []byte {
	if len(address) > maxAddress {
		address = ""
	}
	return append(append(dst, byte(len(address))), address...)
}

// cutAddress cuts an address off, and says whether there was one.
func cutAddress(b []byte) (address, rest []byte, ok bool) {
	if len(b) == 0 || len(b) <= int(b[0]) {
		return nil, nil, false
	}
	end := 1 + int(b[0])
	return b[1:end], b[end:], true
}
