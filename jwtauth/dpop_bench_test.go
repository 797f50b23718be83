package jwtauth_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx/jwtauth"
)

// freshStore lets one proof stand for many.
type freshStore struct{}

func (freshStore) Use(context.Context, [32]byte, time.Time) (bool, error) { return true, nil }

// BenchmarkDPoP/{limit,request,thief}: the bare signature check of a proof, all
// that a request with a token seen before costs, and one with the wrong key.
func BenchmarkDPoP(b *testing.B) {
	c := newDPoPCase(b, func(cfg *jwtauth.DPoPConfig) { cfg.Replays = freshStore{} })
	b.Run("limit", func(b *testing.B) {
		client := signerFor(b, jwtauth.ES256)
		proof := client.compact(b, strings.Repeat("h", 180), strings.Repeat("c", 180))
		input, tail := cutLast(proof)
		signature, err := base64.RawURLEncoding.DecodeString(tail)
		if err != nil {
			b.Fatal(err)
		}
		public := &client.private.(*ecdsa.PrivateKey).PublicKey
		for b.Loop() {
			if err := jwt.SigningMethodES256.Verify(input, signature, public); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("request", func(b *testing.B) {
		request := c.request(c.proof().Sign())
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.dpop.Authenticate(b.Context(), request); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("thief", func(b *testing.B) {
		request := c.request(c.issuer.NewDPoPKey("").Proof("GET", "https://api.example/orders", c.token).Sign())
		for b.Loop() {
			if _, err := c.dpop.Authenticate(b.Context(), request); err == nil {
				b.Fatal("another key passed")
			}
		}
	})
}

// cutLast cuts around the last dot.
func cutLast(token string) (before, after string) {
	i := strings.LastIndexByte(token, '.')
	return token[:i], token[i+1:]
}
