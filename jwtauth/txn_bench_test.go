package jwtauth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// BenchmarkTxnMint measures a call's token for a caller with 6 scopes, 4 roles
// and 8 permissions, beside the bare signature.
func BenchmarkTxnMint(b *testing.B) {
	a := authctx.Attributes{
		Issuer: "https://idp.example.com", Subject: "5f2b1c9e-8a51-4f0e-9d3b-7a6f1d2c3b4a", Name: "Alice Example", Tenant: "acme",
		ClientID: "web", SessionID: "s-123", TokenID: "t-456", Expires: time.Now().Add(24 * time.Hour),
	}
	for n := range 8 {
		a.Permissions = append(a.Permissions, fmt.Sprintf("orders:action%d", n))
		if n < 6 {
			a.Scopes = append(a.Scopes, fmt.Sprintf("orders.scope%d", n))
		}
		if n < 4 {
			a.Roles = append(a.Roles, fmt.Sprintf("role%d", n))
		}
	}
	p := must(authctx.New(a))
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(b, jwtauth.EdDSA)}))
	edge := func(reuse time.Duration) *jwtauth.TxnPropagator {
		return must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: testDomain, Workload: "w", Keys: keys, Reuse: reuse}))
	}
	each, reused := edge(0), edge(time.Minute)
	token := must(inject(b.Context(), each, p))
	b.Run("limit", func(b *testing.B) {
		_, private, _ := ed25519.GenerateKey(nil)
		input := []byte(token)[:len(token)-87]
		for b.Loop() {
			must(private.Sign(rand.Reader, input, &ed25519.Options{}))
		}
	})
	for name, prop := range map[string]authctx.Propagator{"each": each, "reuse": reused} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := prop.Inject(b.Context(), p, func(string, string) {}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(token)), "token-bytes")
		})
	}
}
