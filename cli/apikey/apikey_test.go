package apikey_test

import (
	"regexp"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/cli/apikey"
)

func TestNewKeysAreRecognisableAndDiffer(t *testing.T) {
	form := regexp.MustCompile(`^gwk_[A-Z2-7]{52}$`)
	seen := make(map[string]bool)
	for range 100 {
		key := apikey.New()
		if !form.MatchString(key) || seen[key] {
			t.Errorf("New() = %s, want a new key of the form %s", key, form)
		}
		seen[key] = true
	}
}

func TestDigestIsSHA256OfTheWholeKey(t *testing.T) {
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := apikey.Digest("abc"); got != want {
		t.Errorf("Digest(abc) = %s, want %s", got, want)
	}
}
