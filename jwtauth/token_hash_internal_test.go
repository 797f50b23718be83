package jwtauth

import (
	"strings"
	"testing"
)

// hashes are the two ways to hash a token.
func hashes() map[string]*tokenHash {
	plain := newTokenHash()
	plain.ghash = nil
	return map[string]*tokenHash{"GHASH": newTokenHash(), "SHA-256 alone": plain}
}

func TestTokenHashTellsTokensApart(t *testing.T) {
	tokens := []string{"", "\x00", "\x00\x00", strings.Repeat("a", 15), strings.Repeat("a", 16), strings.Repeat("a", 16) + "\x00",
		strings.Repeat("a", 17), "a.b.c", "a.b.d", strings.Repeat("x", 4096), strings.Repeat("x", 4095) + "y"}
	for name, h := range hashes() {
		seen := map[digest]string{}
		for _, token := range tokens {
			d := h.sum(token)
			if other, twice := seen[d]; twice {
				t.Errorf("%s: tokens of %d and %d bytes have one digest", name, len(other), len(token))
			}
			if seen[d] = token; h.sum(token) != d {
				t.Errorf("%s: a token of %d bytes has two digests", name, len(token))
			}
		}
	}
}

// Both keys count, or what is in memory could be found out by hashing guesses.
func TestTokenHashIsKeyed(t *testing.T) {
	for name, h := range hashes() {
		d, other := h.sum("a.b.c"), *h
		other.secret[0] ^= 1
		if other.sum("a.b.c") == d {
			t.Errorf("%s: the secret does not count", name)
		}
	}
	h, other := newTokenHash(), newTokenHash()
	if h.ghash == nil {
		return
	}
	if other.secret = h.secret; other.sum("a.b.c") == h.sum("a.b.c") {
		t.Error("the key of GHASH does not count")
	}
}

func TestTokenHashAllocatesNothing(t *testing.T) {
	token := strings.Repeat("x", 800)
	for name, h := range hashes() {
		if n := testing.AllocsPerRun(100, func() { h.sum(token) }); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// Where only what FIPS 140 approves may run, GCM takes no nonce of ours.
func TestTokenHashInFIPS140OnlyMode(t *testing.T) {
	if !inFIPS140OnlyMode(t) {
		return
	}
	if h := newTokenHash(); h.ghash != nil || h.sum("a.b.c") == h.sum("a.b.d") {
		t.Error("no hash without GCM")
	}
}
