// Package apikey makes API keys. A key is shown once, to whoever asked for it; everything else sees its digest. It
// refuses to shorten either.
package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// prefix marks a key, so that people and scanners of leaked secrets recognise one.
const prefix = "gwk_"

// New returns a fresh random key: "gwk_" and 52 characters that carry 260 random bits.
func New() string { return prefix + rand.Text() + rand.Text() }

// Digest returns the lower-case hex SHA-256 of the whole key, which is all that a Credential object holds.
func Digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
