package jwtauth_test

import (
	"errors"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

func TestServicesForwardTheTokenUnmodified(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	token := must(inject(t.Context(), w.edge, jwtauthtest.User(t)))
	res := must(w.authenticate(token))
	ctx := res.NewContext(t.Context())
	forwarder := jwtauth.NewTxnForwarder()
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
	for name, prop := range map[string]authctx.Propagator{"forwarder": forwarder, "minter": w.edge} {
		if _, err := inject(ctx, prop, authctx.Principal{}); !errors.Is(err, authctx.NoCredentials) {
			t.Errorf("%s for nobody: %v", name, err)
		}
	}
}
