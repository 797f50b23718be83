package jwtauth_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// What is kept of a token for longer than its cache keeps it must not hold its
// claims in memory, of which every text that a verifier returns is a part.
func TestWhatOutlivesATokenDoesNotHoldItsClaims(t *testing.T) {
	s := signerFor(t, jwtauth.HS256)
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Cache = jwtauth.CacheConfig{Disabled: true} })
	now := func() time.Time { return testNow }
	list := &jwtauth.MemoryRevocations{Now: now}
	refresh := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{
		Store: &jwtauth.MemoryRefreshStore{Now: now}, Lifetime: time.Hour, Now: now,
	}))
	const n, note = 250, 8 << 10
	for name, test := range map[string]struct {
		most int64
		keep func(authctx.Principal) error
	}{
		"a revoked token":   {1 << 10, func(p authctx.Principal) error { return list.RevokeToken(p.Issuer(), p.TokenID(), p.Expires()) }},
		"a revoked session": {1 << 10, func(p authctx.Principal) error { return list.RevokeSession(p.Issuer(), p.SessionID(), p.Expires()) }},
		"a revoked subject": {1 << 10, func(p authctx.Principal) error {
			return list.RevokeSubject(p.Issuer(), p.Subject(), testNow, p.Expires())
		}},
		"a login": {4 << 10, func(p authctx.Principal) error {
			_, err := refresh.Issue(t.Context(), p)
			return err
		}},
	} {
		heap := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := heap()
		for i := range n {
			id := fmt.Sprint(name, i)
			p := must(v.Verify(t.Context(), s.token(t, goodClaims(map[string]any{
				"sub": id, "jti": id, "sid": id, "client_id": "web", "roles": []string{"a", "b"}, "note": strings.Repeat("x", note),
			}))))
			if err := test.keep(p); err != nil {
				t.Fatal(err)
			}
		}
		if each := (heap() - before) / n; each > test.most {
			t.Errorf("%s takes %d bytes", name, each)
		}
	}
	runtime.KeepAlive(list)
	runtime.KeepAlive(refresh)
}
