package jwtauth_test

import (
	"testing"

	"github.com/authctx/authctx/jwtauth"
)

// BenchmarkRemoteKeys compares finding a key, and refusing one that is known to
// be unknown, with the bare read of a map.
func BenchmarkRemoteKeys(b *testing.B) {
	keys := keysFrom(b, newKeyServer(edSet(1, 2, 3, 4)))
	wantFind(b, keys, "k3", "found")
	wantFind(b, keys, "absent", "unknown_key")
	b.Run("limit", func(b *testing.B) {
		bare := map[string]*jwtauth.Key{"k1": nil, "k2": nil, "k3": {}, "k4": nil}
		for b.Loop() {
			if bare["k3"] == nil {
				b.Fatal("not found")
			}
		}
	})
	b.Run("known", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := keys.Key(b.Context(), "k3", jwtauth.EdDSA); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := keys.Key(b.Context(), "absent", jwtauth.EdDSA); err == nil {
				b.Fatal("found")
			}
		}
	})
}
