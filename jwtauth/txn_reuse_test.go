package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

func TestReuseSharesATokenPerCaller(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Reuse = 30 * time.Second
	})
	alice := jwtauthtest.User(t)
	first := must(inject(t.Context(), w.edge, alice))
	if got := must(inject(t.Context(), w.edge, jwtauthtest.User(t))); got != first {
		t.Error("an equal caller got another token")
	}
	for name, change := range map[string]func(*authctx.Attributes){
		"another subject": func(a *authctx.Attributes) { a.Subject = "bob" },
		"another issuer":  func(a *authctx.Attributes) { a.Issuer = "https://other.test" },
		"another role":    func(a *authctx.Attributes) { a.Roles = []string{"admin"} },
		"another scope":   func(a *authctx.Attributes) { a.Scopes = []string{"orders.write"} },
		"another actor":   func(a *authctx.Attributes) { a.Actors = []authctx.Actor{{Issuer: "i", Subject: "s"}} },
		"another session": func(a *authctx.Attributes) { a.SessionID = "session-2" },
	} {
		if got := must(inject(t.Context(), w.edge, jwtauthtest.User(t, change))); got == first {
			t.Errorf("%s: got the token of somebody else", name)
		}
	}
	first = must(inject(t.Context(), w.edge, alice)) // callers of another role or actor took the place
	w.Advance(30*time.Second - 1)
	if got := must(inject(t.Context(), w.edge, alice)); got != first {
		t.Error("not reused within the window")
	}
	w.Advance(1)
	if got := must(inject(t.Context(), w.edge, alice)); got == first {
		t.Error("reused after the window")
	}
	if got := testing.AllocsPerRun(100, func() { _ = w.edge.Inject(t.Context(), alice, func(string, string) {}) }); got > 1 {
		t.Errorf("a reused token costs %v allocations, more than the copy of the caller's scopes", got)
	}
}

// Two logins of one caller, and two routes with scopes of their own, take turns.
func TestReuseSharesATokenPerLoginAndScopes(t *testing.T) {
	type route struct{}
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Reuse = time.Minute
		e.Scopes = func(ctx context.Context, _ authctx.Principal) ([]string, error) {
			scopes, _ := ctx.Value(route{}).([]string)
			return scopes, nil
		}
	})
	login := func(change func(*authctx.Attributes)) authctx.Principal {
		return jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes, a.TokenID = nil, ""; change(a) })
	}
	tokens := map[string]bool{}
	const logins, routes = 3, 4
	for range 5 {
		for _, p := range []authctx.Principal{
			login(func(a *authctx.Attributes) { a.SessionID = "1" }),
			login(func(a *authctx.Attributes) { a.SessionID = "2" }),
			login(func(a *authctx.Attributes) { a.SessionID, a.Expires = "2", w.Now().Add(time.Hour) }),
		} {
			for _, scopes := range [routes][]string{nil, {"a"}, {"b"}, {"a", "b"}} {
				tokens[must(inject(context.WithValue(t.Context(), route{}, scopes), w.edge, p))] = true
			}
		}
	}
	if len(tokens) != logins*routes {
		t.Errorf("%d tokens, want %d", len(tokens), logins*routes)
	}
}

func TestReuseEndsWithTheKeyAndTheScopes(t *testing.T) {
	scope := "a"
	key := newTestKey(t, jwtauth.EdDSA)
	w := newTxnWorld(t, key, func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Reuse = time.Minute
		e.Scopes = func(context.Context, authctx.Principal) ([]string, error) { return []string{scope}, nil }
	})
	p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes = nil })
	first := must(inject(t.Context(), w.edge, p))
	scope = "b"
	if got := must(inject(t.Context(), w.edge, p)); got == first || tokenClaims(t, got)["scope"] != "b" {
		t.Error("a decision of Scopes was overridden by reuse")
	}
	first = must(inject(t.Context(), w.edge, p))
	if err := errors.Join(w.keys.Rotate(newTestKey(t, jwtauth.EdDSA)), w.keys.Withdraw(key.ID())); err != nil {
		t.Fatal(err)
	}
	if got := must(inject(t.Context(), w.edge, p)); got == first {
		t.Error("reused a token of a key that was withdrawn")
	}
}

func TestReuseEndsWithTheSubject(t *testing.T) {
	subject, refusal := "alice", error(nil)
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Reuse = time.Minute
		e.Subject = func(context.Context, authctx.Principal) (string, error) { return subject, refusal }
	})
	p := jwtauthtest.User(t)
	first := must(inject(t.Context(), w.edge, p))
	if got := must(inject(t.Context(), w.edge, p)); got != first {
		t.Error("not reused for the same subject")
	}
	subject = "alice of sales"
	second := must(inject(t.Context(), w.edge, p))
	if got := tokenClaims(t, second)["sub"]; got != subject {
		t.Errorf("the token of another subject, %v, was reused", got)
	}
	if got := must(inject(t.Context(), w.edge, p)); got != second {
		t.Error("not reused for the new subject")
	}
	refusal = authctx.PermissionDenied
	if _, err := inject(t.Context(), w.edge, p); !errors.Is(err, authctx.PermissionDenied) {
		t.Errorf("a refusal of Subject was overridden by reuse: %v", err)
	}
}

func TestReuseForgetsCallers(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Reuse = time.Minute
	})
	for n := range 200 {
		p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Subject = fmt.Sprint(n) })
		must(inject(t.Context(), w.edge, p))
		w.Advance(time.Minute)
	}
	if n := jwtauth.RememberedCallers(w.edge); n > 2*16 {
		t.Errorf("%d tokens are kept of callers who left", n)
	}
}

func TestReuseIsSafeForManyCallersAtOnce(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Reuse = time.Minute
	})
	var callers []authctx.Principal
	for n := range 10 {
		callers = append(callers, jwtauthtest.User(t, func(a *authctx.Attributes) { a.Subject = fmt.Sprint(n) }))
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 50 {
				p := callers[n%len(callers)]
				token, err := inject(context.Background(), w.edge, p)
				if err != nil {
					t.Error(err)
					return
				}
				if got := tokenClaims(t, token)["sub"]; got != "https://idp.test#"+p.Subject() {
					t.Errorf("%v got the token of %v", p, got)
				}
			}
		})
	}
	wg.Wait()
}
