package auth

import "strings"

// maxKey bounds an API key, in bytes. Ours have 47; the rest is room for other ways of making them.
const maxKey = 256

// bearer appends the token of an Authorization header to dst. The scheme's case does not matter (RFC 9110 §11.1).
func bearer(dst []byte, header string) ([]byte, error) {
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.Trim(token, " ")
	switch {
	case token == "" || !strings.EqualFold(scheme, "Bearer"):
		return nil, ErrNoKey
	case len(token) > maxKey: // no key of ours, and hashing it would be work for whoever asks
		return nil, ErrWrongKey
	}
	return append(dst, token...), nil
}
