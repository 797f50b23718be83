package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

func TestServicesForwardTheTokenUnmodified(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	token := must(inject(t.Context(), w.edge, jwtauthtest.User(t)))
	res := must(w.authenticate(token))
	ctx := res.NewContext(t.Context())
	forwarder := jwtauth.TxnForwarder{Now: w.Now}
	for name, prop := range map[string]authctx.Propagator{"forwarder": forwarder, "a service with keys": w.edge} {
		if got, err := inject(ctx, prop, res.Principal); err != nil || got != token {
			t.Errorf("%s changed the token: %v", name, err)
		}
	}
	other := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Subject = "mallory" })
	if _, err := inject(ctx, forwarder, other); err == nil {
		t.Error("forwarded one caller's token for another")
	}
	if got := must(inject(ctx, w.edge, other)); got == token {
		t.Error("a service with keys sent one caller's token for another")
	}
	if _, err := inject(authctx.NewContext(ctx, res.Principal), forwarder, res.Principal); err == nil {
		t.Error("forwarded after the caller was put into the context by hand")
	}
	if _, err := inject(t.Context(), forwarder, res.Principal); err == nil {
		t.Error("forwarded without a token: fell back to something")
	}
	ending := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Expires = w.Now().Add(time.Second) })
	endingCtx := must(w.authenticate(must(inject(t.Context(), w.edge, ending)))).NewContext(t.Context())
	w.Advance(time.Second)
	ended, _ := authctx.FromContext(endingCtx)
	if _, err := inject(endingCtx, forwarder, ended); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("forwarded for a caller whose end has come: %v", err)
	}
	for name, prop := range map[string]authctx.Propagator{"forwarder": forwarder, "minter": w.edge} {
		if _, err := inject(ctx, prop, authctx.Principal{}); !errors.Is(err, authctx.NoCredentials) {
			t.Errorf("%s for nobody: %v", name, err)
		}
	}
}

// A trust domain's services believe its own minter, and its tokens are nobody
// else's business.
func TestATokenOfAnotherTrustDomainIsNotForwarded(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	res := must(w.authenticate(must(inject(t.Context(), w.edge, jwtauthtest.User(t)))))
	ctx := res.NewContext(t.Context())
	for name, cfg := range map[string]jwtauth.TxnPropagatorConfig{
		"another trust domain": {TrustDomain: "other.test", Issuer: testDomain},
		"another issuer":       {TrustDomain: testDomain, Issuer: "other.test"},
	} {
		cfg.Workload, cfg.Keys, cfg.Now = "w", w.keys, w.Now
		_, err := inject(ctx, must(jwtauth.NewTxnPropagator(cfg)), res.Principal)
		if err == nil || !strings.Contains(err.Error(), "another trust domain or issuer") {
			t.Errorf("%s: %v", name, err)
		}
	}
	unreadable := authctx.Result{Principal: res.Principal, Forward: []authctx.Field{{Name: authctx.TxnTokenField, Value: "e30.x"}}}
	if _, err := inject(unreadable.NewContext(t.Context()), w.edge, res.Principal); err == nil {
		t.Error("forwarded what may be of any trust domain")
	}
	both := newTxnForge(t, func(c *jwtauth.TxnAuthenticatorConfig) { c.TrustDomain = "other.test"; c.Issuer = testDomain })
	several, err := authctx.Authenticate(t.Context(), both.svc, txnRequest(both.token().Set("aud", []string{"other.test", testDomain}).Sign()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inject(several.NewContext(t.Context()), w.edge, several.Principal); err != nil {
		t.Errorf("a token for several trust domains: %v", err)
	}
}

// An authenticator of another package may have more to forward than a token.
func TestOfWhatIsForwardedOnlyTheTokenIsOne(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	token := must(inject(t.Context(), w.edge, jwtauthtest.User(t)))
	res := must(w.authenticate(token))
	res.Forward = append([]authctx.Field{{Name: "x-tenant-token", Value: "another"}}, res.Forward...)
	for name, prop := range map[string]authctx.Propagator{"forwarder": jwtauth.TxnForwarder{Now: w.Now}, "minter": w.edge} {
		if got, err := inject(res.NewContext(t.Context()), prop, res.Principal); err != nil || got != token {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, value := range map[string]string{"no base64url": "e30.e30=.e30", "no claims": "e30.W10.e30"} {
		res.Forward = []authctx.Field{{Name: authctx.TxnTokenField, Value: value}}
		if _, err := inject(res.NewContext(t.Context()), w.edge, res.Principal); err == nil {
			t.Errorf("%s: forwarded what may be of any trust domain", name)
		}
	}
}

// During a stream, a token ends before the caller who came with it. That is not
// the caller's fault, nor is another token minted for as long as the caller stands.
func TestTT6_ATokenThatHasEndedBeforeItsCallerIsNeitherForwardedNorReplaced(t *testing.T) {
	for leeway, more := range map[time.Duration]time.Duration{0: 30 * time.Second, jwtauth.NoLeeway: 0, time.Minute: time.Minute} {
		w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(_ *jwtauth.TxnPropagatorConfig, c *jwtauth.TxnAuthenticatorConfig) {
			c.Leeway = leeway
		})
		p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes, a.Expires = []string{"a", "b"}, w.Now().Add(time.Hour) })
		token := must(inject(t.Context(), w.edge, p))
		ctx := must(w.authenticate(token)).NewContext(t.Context())
		known := must(w.authenticate(token)).NewContext(t.Context()) // by the cache
		narrowed := must(w.edge.Replace(ctx, "a"))
		each := func(check func(what string, err error)) {
			for name, ctx := range map[string]context.Context{"as it came": ctx, "again": known, "narrowed": narrowed} {
				caller, _ := authctx.FromContext(ctx)
				for how, prop := range map[string]authctx.Propagator{"forwarder": jwtauth.TxnForwarder{Now: w.Now}, "minter": w.edge} {
					_, err := inject(ctx, prop, caller)
					check(fmt.Sprintf("%s, %s, leeway %v", how, name, leeway), err)
				}
			}
		}
		w.Advance(jwtauth.DefaultTxnLifetime + more - time.Second)
		each(func(what string, err error) {
			if err != nil {
				t.Errorf("%s, before its end: %v", what, err)
			}
		})
		w.Advance(time.Second)
		each(func(what string, err error) {
			if reason := authctx.Reason(0); err == nil || errors.As(err, &reason) || !strings.Contains(err.Error(), "has ended before the caller") {
				t.Errorf("%s, after its end: %v", what, err)
			}
		})
		w.Advance(time.Hour)
		each(func(what string, err error) {
			if !errors.Is(err, authctx.TokenExpired) {
				t.Errorf("%s, after its caller's end: %v", what, err)
			}
		})
	}
}

// Whether a token has ended depends on the leeway of whoever judges it.
func TestWhatAServiceAcceptsItCanForward(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(_ *jwtauth.TxnPropagatorConfig, c *jwtauth.TxnAuthenticatorConfig) {
		c.Leeway = time.Minute
	})
	p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Expires = w.Now().Add(time.Hour) })
	token := must(inject(t.Context(), w.edge, p))
	w.Advance(jwtauth.DefaultTxnLifetime + 45*time.Second)
	res := must(w.authenticate(token))
	for name, prop := range map[string]authctx.Propagator{"forwarder": jwtauth.TxnForwarder{Now: w.Now}, "minter": w.edge} {
		if got, err := inject(res.NewContext(t.Context()), prop, res.Principal); err != nil || got != token {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestForwardingATokenTakesOneAllocation(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	res := must(w.authenticate(must(inject(t.Context(), w.edge, jwtauthtest.User(t)))))
	ctx, prop := res.NewContext(t.Context()), authctx.Propagator(jwtauth.TxnForwarder{Now: w.Now})
	set := func(string, string) {}
	if n := testing.AllocsPerRun(100, func() {
		if err := prop.Inject(ctx, res.Principal, set); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// What verifiers would not read is not signed: the error comes where the cause
// is.
func TestMoreActorsThanATokenCanNameAreRefusedByTheMinter(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	deferred := newDeferredWorld(t)
	for n, fits := range map[int]bool{31: true, 32: false} {
		p := jwtauthtest.User(t, func(a *authctx.Attributes) {
			a.Actors = slices.Repeat([]authctx.Actor{{Issuer: "i", Subject: "s"}}, n)
		})
		token, err := inject(t.Context(), w.edge, p)
		if (err == nil) != fits || !fits && !strings.Contains(err.Error(), "32 actors") {
			t.Errorf("%d actors: %v", n, err)
		}
		if fits {
			if res, err := w.authenticate(token); err != nil || len(res.Principal.Actors()) != n {
				t.Errorf("%d actors: the service answers %v", n, err)
			}
		}
		if err := deferred.publish.Inject(t.Context(), p, func(string, string) {}); (err == nil) != fits {
			t.Errorf("deferred, %d actors: %v", n, err)
		}
	}
}

// A service must not be shown both kinds, whichever it reads: they could name
// different callers.
func TestPlainFieldsAndTransactionTokenTogetherAreRefused(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	plain := must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()}))
	token := must(inject(t.Context(), w.edge, jwtauthtest.User(t)))
	for name, tt := range map[string]struct {
		fields map[string][]string
		want   error
	}{
		"token alone":          {map[string][]string{"txn-token": {token}}, nil},
		"fields alone":         {map[string][]string{"x-user-id": {"a"}, "x-user-issuer": {"i"}}, nil},
		"both":                 {map[string][]string{"txn-token": {token}, "x-user-id": {"a"}, "x-user-issuer": {"i"}}, authctx.InvalidRequest},
		"fields and bad token": {map[string][]string{"txn-token": {"x"}, "x-user-id": {"a"}, "x-user-issuer": {"i"}}, authctx.InvalidRequest},
		"bad token alone":      {map[string][]string{"txn-token": {"x"}}, authctx.InvalidToken},
	} {
		r := &authctx.Request{Transport: "http", Fields: authctx.FieldMap(tt.fields)}
		for order, auth := range map[string]authctx.Authenticator{"fields first": authctx.OneOf(plain, w.svc), "token first": authctx.OneOf(w.svc, plain)} {
			if _, err := authctx.Authenticate(t.Context(), auth, r); !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: %v, want %v", name, order, err, tt.want)
			}
		}
		if len(tt.fields) < 3 {
			continue
		}
		for which, auth := range map[string]authctx.Authenticator{"a reader of fields": plain, "a reader of tokens": w.svc} {
			if _, err := authctx.Authenticate(t.Context(), auth, r); !errors.Is(err, authctx.InvalidRequest) {
				t.Errorf("%s, %s: %v, want invalid request", name, which, err)
			}
		}
	}
}

func TestAFieldThatNamesNobodyDoesNotStandBesideAToken(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	token := must(inject(t.Context(), w.edge, jwtauthtest.User(t)))
	fields := map[string][]string{"txn-token": {token}, "X-User-Agent": {"grpc-web-javascript/0.1"}, "x-user-id": {""}}
	if _, err := authctx.Authenticate(t.Context(), w.svc, &authctx.Request{Transport: "http", Fields: authctx.FieldMap(fields)}); err != nil {
		t.Error(err)
	}
}
