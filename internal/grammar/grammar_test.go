package grammar_test

import (
	"strings"
	"testing"

	"github.com/authctx/authctx/internal/grammar"
)

// TestWhatTokensHold has the characters as the RFCs list them.
func TestWhatTokensHold(t *testing.T) {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for name, c := range map[string]struct {
		is    func(string) bool
		holds string
	}{
		"a token (RFC 9110 section 5.6.2)":     {grammar.IsToken, "!#$%&'*+-.^_`|~" + letters},
		"a scope token (RFC 6749 section 3.3)": {grammar.IsScopeToken, "!#$%&'()*+,-./:;<=>?@[]^_`{|}~" + letters},
	} {
		if c.is("") || c.is("a\xff") {
			t.Errorf("%s is empty or no text", name)
		}
		for r := range rune(0x180) {
			if want := strings.ContainsRune(c.holds, r); c.is("a"+string(r)) != want || c.is(string(r)) != want {
				t.Errorf("%s holds %q: %v", name, r, !want)
			}
		}
	}
}
