package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// What a replacement would lose may have been a restriction, or who the caller
// is.
func TestTT6_ATokenThatSaysMoreThanWeWriteIsNotReplaced(t *testing.T) {
	f := newTxnForge(t, func(c *jwtauth.TxnAuthenticatorConfig) { c.AcceptOlderDrafts = true })
	inner := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: testDomain, Workload: "inner", Now: newTestClock().Now,
		Keys: must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)})),
	}))
	details := func(more map[string]any) *jwtauthtest.Token {
		tctx := map[string]any{"src_iss": "https://idp.test", "src_sub": "u-1", "roles": []string{"viewer"}}
		maps.Copy(tctx, more)
		return f.token().Set("tctx", tctx)
	}
	for _, good := range []*jwtauthtest.Token{f.token(), details(nil), f.token().Set("tctx", map[string]any{"roles": []string{"viewer"}})} {
		res, err := authctx.Authenticate(t.Context(), f.svc, txnRequest(good.Sign()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inner.Replace(res.NewContext(t.Context())); err != nil {
			t.Error(err)
		}
	}
	for name, token := range map[string]*jwtauthtest.Token{
		"roles of another spelling":     details(map[string]any{"ROLES": []string{"admin"}}),
		"a subject of another spelling": details(map[string]any{"SRC_SUB": "root"}),
		"an end of another spelling":    details(map[string]any{"Src_Exp": int64(4102444800)}),
		"a kind of another spelling":    details(map[string]any{"\u212aind": "service"}), // the Kelvin sign
		"an actor of two spellings":     details(nil).Set("act", map[string]any{"iss": "a", "sub": "svc", "SUB": "root"}),
		"an actor before it likewise":   details(nil).Set("act", map[string]any{"iss": "a", "sub": "svc", "act": map[string]any{"iss": "a", "sub": "b", "Sub": "root"}}),
		"an actor of its own":           details(nil).Set("act", map[string]any{"iss": "a", "sub": "svc", "ACT": map[string]any{"iss": "a", "sub": "b"}}),
		"the details of an older draft": f.token().Set("azd", map[string]any{"src_iss": "https://idp.test", "src_sub": "u-1"}),
		"details of its own":            f.token().Set("tctx", map[string]any{"limit": 100}),
		"a claim of its own":            f.token().Set("limit", 100),
	} {
		res, err := authctx.Authenticate(t.Context(), f.svc, txnRequest(token.Sign()))
		if err != nil {
			t.Fatal(name, err)
		}
		if ctx, err := inner.Replace(res.NewContext(t.Context())); err == nil {
			p, _ := authctx.FromContext(ctx)
			t.Errorf("%s: replaced by a token for %v", name, p)
		}
	}
}

func TestTT6_ReplacementOnlyNarrows(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes = []string{"a", "b", "c"}; a.Expires = w.Now().Add(time.Hour) })
	token := must(inject(t.Context(), w.edge, p))
	ctx := must(w.authenticate(token)).NewContext(t.Context())
	inner := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: testDomain, Workload: "inner", Keys: w.keys, Now: w.Now}))
	w.Advance(time.Minute)

	narrowed := must(inner.Replace(ctx, "b"))
	caller, _ := authctx.FromContext(narrowed)
	replaced := must(inject(narrowed, jwtauth.TxnForwarder{Now: w.Now}, caller))
	before, after := tokenClaims(t, token), tokenClaims(t, replaced)
	for _, same := range []string{"iss", "aud", "sub", "txn", "exp"} {
		if before[same] != after[same] {
			t.Errorf("%s changed from %v to %v", same, before[same], after[same])
		}
	}
	if after["scope"] != "b" || after["req_wl"] != "inner" ||
		fmt.Sprint(after["tctx"].(map[string]any)["replaced"]) != "[spiffe://prod.test/gateway]" {
		t.Errorf("claims %v", after)
	}
	if res, err := w.authenticate(replaced); err != nil || !res.Principal.Equal(caller) {
		t.Errorf("the service sees %v, %v; want %v", res.Principal.Attributes(), err, caller.Attributes())
	}
	for name, scopes := range map[string][]string{"another scope": {"d"}, "a scope given up": {"a"}, "two in one": {"b a"}} {
		if _, err := inner.Replace(narrowed, scopes...); !errors.Is(err, authctx.PermissionDenied) {
			t.Errorf("widened to %s: %v", name, err)
		}
	}
	again := narrowed
	for range 3 {
		again = must(inner.Replace(again, "b"))
	}
	if _, err := inner.Replace(again); err == nil {
		t.Error("replaced five times in a row")
	}
	for name, ctx := range map[string]context.Context{"more scopes": contextOf(inner.Replace(narrowed, "a")), "no token": contextOf(inner.Replace(authctx.NewContext(t.Context(), p)))} {
		if caller, ok := authctx.FromContext(ctx); ok {
			t.Errorf("%s: the context of an error has a caller, %v", name, caller)
		}
	}
	if _, err := inner.Replace(t.Context(), "b"); !errors.Is(err, authctx.NoCredentials) {
		t.Errorf("without a caller: %v", err)
	}
	if _, err := inner.Replace(authctx.NewContext(t.Context(), p), "b"); err == nil {
		t.Error("replaced a token that never was")
	}
	foreign := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: "other.test", Workload: "w", Keys: w.keys, Now: w.Now}))
	if _, err := foreign.Replace(ctx, "b"); err == nil {
		t.Error("replaced a token of another trust domain")
	}
	w.Advance(time.Minute)
	if _, err := inner.Replace(ctx, "b"); err == nil || !strings.Contains(err.Error(), "has ended before the caller") {
		t.Errorf("revived an expired token: %v", err)
	}
	w.Advance(time.Hour)
	if _, err := inner.Replace(ctx, "b"); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("for a caller who has expired too: %v", err)
	}
}

func contextOf(ctx context.Context, _ error) context.Context { return ctx }
