package jwtauth_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// What is remembered of a caller saves encoding and changes nothing that a token
// says.
func TestEveryCallHasATokenOfItsOwn(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	for _, attrs := range []authctx.Attributes{fullAttributes(w.Now()), jwtauthtest.User(t).Attributes()} {
		p := must(authctx.New(attrs))
		first := tokenClaims(t, must(inject(t.Context(), w.edge, p)))
		w.Advance(time.Second)
		token := must(inject(t.Context(), w.edge, p))
		again := tokenClaims(t, token)
		for _, name := range []string{"txn", "iat", "exp"} {
			if first[name] == again[name] {
				t.Errorf("two calls share %s", name)
			}
			delete(first, name)
			delete(again, name)
		}
		if fmt.Sprint(first) != fmt.Sprint(again) {
			t.Errorf("the second token says\n%v, the first\n%v", again, first)
		}
		if res, err := w.authenticate(token); err != nil || res.Principal.Name() != p.Name() {
			t.Errorf("%v, %v", res.Principal, err)
		}
	}
}

func TestARememberedCallerIsComparedInFull(t *testing.T) {
	subject, scope := "alice", "orders.read"
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Subject = func(context.Context, authctx.Principal) (string, error) { return subject, nil }
		e.Scopes = func(context.Context, authctx.Principal) ([]string, error) { return []string{scope}, nil }
	})
	alice := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes = nil })
	claims := func(p authctx.Principal) map[string]any {
		c := tokenClaims(t, must(inject(t.Context(), w.edge, p)))
		return map[string]any{"sub": c["sub"], "scope": c["scope"], "tctx": fmt.Sprint(c["tctx"])}
	}
	seen := []map[string]any{claims(alice)}
	other := func(what string, p authctx.Principal) {
		t.Helper()
		got := claims(p)
		for _, c := range seen {
			if maps.Equal(got, c) {
				t.Errorf("%s: got %v once more", what, got)
			}
		}
		seen = append(seen, got)
	}
	subject = "alice of sales"
	other("another subject", alice)
	scope = "orders.write"
	other("another scope", alice)
	other("another role", jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes, a.Roles = nil, []string{"admin"} }))
	other("another end", jwtauthtest.User(t, func(a *authctx.Attributes) {
		a.Scopes, a.Expires = nil, w.Now().Add(90*time.Minute)
	}))
}

// Each request has a slice of its own, which it changes when it is done with it.
func TestRule12_WhatScopesReturnsStaysItsOwn(t *testing.T) {
	for name, reuse := range map[string]time.Duration{"each call": 0, "reuse": time.Minute} {
		type key struct{}
		w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
			e.Reuse = reuse
			e.Scopes = func(ctx context.Context, _ authctx.Principal) ([]string, error) {
				return ctx.Value(key{}).([]string), nil
			}
		})
		alice := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes = nil })
		scope := func(scopes ...string) any {
			return tokenClaims(t, must(inject(context.WithValue(t.Context(), key{}, scopes), w.edge, alice)))["scope"]
		}
		var all sync.WaitGroup // for the race detector
		for range 4 {
			all.Go(func() {
				own := []string{"read", "write"}
				if got := scope(own...); got != "read write" {
					t.Errorf("%s: %v", name, got)
				}
				own[1] = "read" // now narrower
				if got := scope(own...); got != "read read" {
					t.Errorf("%s: a token says %q after that was narrowed", name, got)
				}
			})
		}
		all.Wait()
	}
}

// A caller whose own end is near gets a shorter token each time.
func TestARememberedCallerStillEnds(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	end := w.Now().Add(3 * time.Minute)
	p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Expires = end })
	for range 3 {
		want := min(end.Unix(), w.Now().Add(jwtauth.DefaultTxnLifetime).Unix())
		if got := tokenClaims(t, must(inject(t.Context(), w.edge, p)))["exp"]; got != float64(want) {
			t.Errorf("exp is %v, want %d", got, want)
		}
		w.Advance(time.Minute)
	}
	if token, err := inject(t.Context(), w.edge, p); err == nil {
		t.Errorf("after the end: %s", token)
	}
}

func TestRequestContextIsOfEachCall(t *testing.T) {
	n := 0
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.RequestContext = func(context.Context, authctx.Principal) (map[string]any, error) {
			n++
			return map[string]any{"n": n}, nil
		}
	})
	alice := jwtauthtest.User(t)
	for want := range 12 { // of all lengths that encoding can have to fill up
		token := must(inject(t.Context(), w.edge, alice))
		if _, err := w.authenticate(token); err != nil {
			t.Fatal(err)
		}
		if got := tokenClaims(t, token)["rctx"]; fmt.Sprint(got) != fmt.Sprintf("map[n:%d]", want+1) {
			t.Errorf("call %d has %v", want+1, got)
		}
	}
}

func TestMintingForAKnownCallerAllocatesLittle(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	alice := jwtauthtest.User(t)
	inject := func() { _ = w.edge.Inject(t.Context(), alice, func(string, string) {}) }
	inject()
	// The token, its signature, what differs from call to call, and the copy of
	// the caller's scopes; under the race detector pools forget now and then.
	if n := testing.AllocsPerRun(100, inject); n > 13 {
		t.Errorf("minting takes %v allocations", n)
	}
}

func TestTheMemoOfCallersIsBoundedAndSharedSafely(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.ES256))
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for n := range 1100 { // 4,400 callers in all, of whom 4,096 are remembered at most
				subject := fmt.Sprint("user ", worker, " ", n)
				p := must(authctx.New(authctx.Attributes{Issuer: "https://idp.test", Subject: subject, Scopes: []string{"read"}}))
				token, err := inject(context.Background(), w.edge, p)
				if n%100 == 0 { // who is known, too
					token, err = inject(context.Background(), w.edge, p)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n%100 == 0 && tokenClaims(t, token)["sub"] != "https://idp.test#"+subject {
					t.Errorf("%s got the token of another", subject)
				}
			}
		})
	}
	wg.Wait()
	if n := jwtauth.RememberedCallers(w.edge); n < 256 || n > 4096 {
		t.Errorf("%d callers are remembered", n)
	}
}

// One client can have many tokens, as large as a verifier takes them.
func TestRule4_TheMemoOfCallersIsBoundedByBytes(t *testing.T) {
	const callers, most = 500, 64 << 20
	claims := `{"x":"` + strings.Repeat("x", 300<<10) + `"}`
	for _, reuse := range []time.Duration{0, time.Minute} {
		w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
			e.Reuse = reuse
		})
		before := heapInUse()
		for n := range callers {
			must(inject(t.Context(), w.edge, jwtauthtest.User(t, func(a *authctx.Attributes) {
				a.TokenID, a.Claims = fmt.Sprint(n), strings.Clone(claims)
			})))
		}
		if took := heapInUse() - before; took > most*5/4 {
			t.Errorf("reuse %v: %d MiB are kept", reuse, took>>20)
		}
		if n := jwtauth.RememberedCallers(w.edge); n < 50 {
			t.Errorf("reuse %v: only %d callers are remembered", reuse, n)
		}
	}
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What is kept for one caller is counted once, however often that is minted for.
func TestMintingAgainForACallerPushesOutNobody(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	alice := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Claims = `{"x":"` + strings.Repeat("x", 500<<10) + `"}` })
	for n := range 50 {
		must(inject(t.Context(), w.edge, jwtauthtest.User(t, func(a *authctx.Attributes) { a.Subject = fmt.Sprint(n) })))
	}
	for range 20 {
		must(inject(t.Context(), w.edge, alice))
	}
	if n := jwtauth.RememberedCallers(w.edge); n != 51 {
		t.Errorf("%d callers are remembered, want 51", n)
	}
}
