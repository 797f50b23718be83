package jwtauth_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestTheCacheStaysWithinItsBounds(t *testing.T) {
	s := signerFor(t, jwtauth.HS256)
	for name, bound := range map[string]struct {
		jwtauth.CacheConfig
		least, most int
	}{
		"entries":   {jwtauth.CacheConfig{MaxEntries: 64}, 16, 64},
		"one entry": {jwtauth.CacheConfig{MaxEntries: 1}, 1, 2},
		"bytes":     {jwtauth.CacheConfig{MaxBytes: 128 << 10}, 32, 128},
		"few bytes": {jwtauth.CacheConfig{MaxBytes: 16 << 10}, 4, 16},
	} {
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Cache = bound.CacheConfig })
		for i := range 300 {
			if _, err := v.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"jti": fmt.Sprint(i)}))); err != nil {
				t.Fatal(err)
			}
		}
		if n := jwtauth.CacheLen(v); n < bound.least || n > bound.most {
			t.Errorf("%s: %d entries", name, n)
		}
	}
}

func TestTheBoundsOfJoinedVerifiersAddUpToNoLessThanTheirOwn(t *testing.T) {
	s := signerFor(t, jwtauth.HS256)
	bounds := jwtauth.CacheConfig{MaxEntries: math.MaxInt, MaxBytes: math.MaxInt}
	one := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Cache = bounds })
	other := newVerifier(t, signerFor(t, jwtauth.EdDSA), func(c *jwtauth.VerifierConfig) {
		c.Issuer, c.Cache = "https://other.example", bounds
	})
	joined := must(jwtauth.NewMultiVerifier(one, other))
	token := s.token(t, goodClaims(nil))
	cached(t, joined, token, false)
	cached(t, joined, token, true)
}

func TestATokenThatTakesMoreThanTheCacheIsNotRemembered(t *testing.T) {
	s := signerFor(t, jwtauth.HS256)
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Cache.MaxBytes = 16 << 10 })
	small, large := s.token(t, goodClaims(nil)), s.token(t, goodClaims(map[string]any{"x": strings.Repeat("x", 8<<10)}))
	for _, before := range []bool{false, true} {
		cached(t, v, small, before)
		cached(t, v, large, false)
	}
}

func TestWhatIsUsedIsNotForgottenForWhatIsNot(t *testing.T) {
	s := signerFor(t, jwtauth.HS256)
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Cache.MaxEntries = 32 })
	used := s.token(t, goodClaims(nil))
	cached(t, v, used, false)
	for i := range 500 {
		if _, err := v.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"jti": fmt.Sprint(i)}))); err != nil {
			t.Fatal(err)
		}
		cached(t, v, used, true)
	}
}

func TestARepeatedTokenCostsNoAllocation(t *testing.T) {
	s := signerFor(t, jwtauth.RS256)
	revocations := new(jwtauth.MemoryRevocations)
	revocations.RevokeToken("other", "x", testNow.Add(time.Hour))
	single := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Revocations = revocations })
	multi := must(jwtauth.NewMultiVerifier(single, verifierOf(t, "https://other.example", newSigner(t, "k1"))))
	token := s.token(t, goodClaims(nil))
	ctx := t.Context()
	for name, verify := range map[string]func(context.Context, string) (authctx.Principal, error){
		"Verifier": single.Verify, "MultiVerifier": multi.Verify,
	} {
		if n := testing.AllocsPerRun(100, func() { _, _ = verify(ctx, token) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestRefusingGarbageAndWrongAlgorithmsAllocatesNothingToSpeakOf(t *testing.T) {
	s := signerFor(t, jwtauth.RS256)
	v := newVerifier(t, s, nil)
	ctx := t.Context()
	token := s.token(t, goodClaims(nil))
	for name, test := range map[string]struct {
		token string
		max   float64
	}{
		"garbage":            {strings.Repeat("garbage!", 100), 0},
		"no dots":            {"eyJ" + strings.Repeat("garbage", 100), 0},
		"another algorithm":  {signerFor(t, jwtauth.HS256).token(t, goodClaims(nil)), 2},
		"an unreadable tail": {token[:len(token)-1] + "*", 3},
	} {
		_, _ = v.Verify(ctx, token) // its header is known from now on
		if n := testing.AllocsPerRun(100, func() { _, _ = v.Verify(ctx, test.token) }); n > test.max {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestACachedTokenTakesLessThanAKilobyteBesidesItsPrincipal(t *testing.T) {
	s := signerFor(t, jwtauth.HS256)
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Cache.MaxEntries = 1 << 16 })
	const n = 2000
	tokens := make([]string, n)
	principals := make([]authctx.Principal, n)
	for i := range tokens {
		tokens[i] = realisticToken(t, s, i, testNow)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i, token := range tokens {
		principals[i] = must(v.Verify(t.Context(), token))
	}
	with := heap()
	runtime.KeepAlive(v)
	v = nil
	alone := heap()
	if extra := (int64(with) - int64(alone)) / n; extra >= 1024 {
		t.Errorf("%d bytes per token beyond its principal, of %d in all", extra, (with-before)/n)
	}
	runtime.KeepAlive(principals)
	runtime.KeepAlive(tokens)
}

func TestTokensOfManyValuesStayWithinTheBytesOfTheCache(t *testing.T) {
	s := signerFor(t, jwtauth.HS256)
	const bound = 2 << 20
	values := func(n int, format string) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf(format, i))
		}
		return list
	}
	prefixed := must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Roles: []jwtauth.ClaimSource{{Path: []string{"roles"}, AddPrefix: strings.Repeat("p", 1000)}},
	}))
	for name, test := range map[string]struct {
		mapping *jwtauth.ClaimMapping
		claims  map[string]any
	}{
		"short ones":         {nil, map[string]any{"roles": values(3000, "%x")}},
		"with a long prefix": {prefixed, map[string]any{"roles": values(300, "%x")}},
		"made of few by Clerk's masks": {jwtauth.ClerkClaims(), map[string]any{
			"fea": strings.Join(values(300, "o:%d"), ","),
			"o":   map[string]any{"id": "a", "rol": "r", "per": strings.Repeat("p", 500), "fpm": "1" + strings.Repeat(",1", 299)},
		}},
	} {
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.Cache.MaxBytes, c.MaxTokenBytes, c.Claims = bound, 64<<10, test.mapping
		})
		tokens := make([]string, 100)
		for i := range tokens {
			test.claims["jti"] = fmt.Sprint(i)
			tokens[i] = s.token(t, goodClaims(test.claims))
		}
		heap := func() int64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&m)
			return int64(m.HeapAlloc)
		}
		before := heap()
		for _, token := range tokens {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
		if took := heap() - before; took > bound*5/4 {
			t.Errorf("%s: %d bytes with a bound of %d", name, took, bound)
		}
		runtime.KeepAlive(v)
		runtime.KeepAlive(tokens)
	}
}
