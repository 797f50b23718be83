package jwtauthtest

import (
	"testing"

	"github.com/authctx/authctx"
)

// User returns a user who was verified here, with something in every common
// attribute: subject "alice" of "https://idp.test", role "editor", permission
// "orders:read", scope "orders.read", group "staff", tenant "acme". Each change
// is applied to the attributes first.
func User(tb testing.TB, changes ...func(*authctx.Attributes)) authctx.Principal {
	wantTest(tb)
	tb.Helper()
	return principal(tb, authctx.Attributes{
		Issuer: "https://idp.test", Subject: "alice", Provenance: authctx.Verified,
		Name: "Alice", Email: "alice@example.com", Tenant: "acme", ClientID: "web", SessionID: "session-1",
		Roles: []string{"editor"}, Permissions: []string{"orders:read"}, Scopes: []string{"orders.read"}, Groups: []string{"staff"},
	}, changes)
}

// Service returns a service that was verified here: "batch" of
// "https://idp.test", with the scope "orders.read". Each change is applied to
// the attributes first.
func Service(tb testing.TB, changes ...func(*authctx.Attributes)) authctx.Principal {
	wantTest(tb)
	tb.Helper()
	return principal(tb, authctx.Attributes{
		Issuer: "https://idp.test", Subject: "batch", Kind: authctx.Service, Provenance: authctx.Verified,
		ClientID: "batch", Scopes: []string{"orders.read"},
	}, changes)
}

func principal(tb testing.TB, a authctx.Attributes, changes []func(*authctx.Attributes)) authctx.Principal {
	tb.Helper()
	for n, change := range changes {
		if change == nil {
			tb.Fatalf("jwtauthtest: change %d is nil; leave it out for a caller without changes", n)
		}
		change(&a)
	}
	p, err := authctx.New(a)
	if err != nil {
		tb.Fatalf("jwtauthtest: %v", err)
	}
	return p
}
