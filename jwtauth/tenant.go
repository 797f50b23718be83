package jwtauth

import (
	"context"
	"slices"
	"strings"

	"github.com/authctx/authctx/internal/strictjson"
)

// TenantPlaceholder stands for the tenant in a templated [VerifierConfig.Issuer], as in
// "https://login.microsoftonline.com/{tenantid}/v2.0" (Entra ID). "iss" must
// then be the template filled in with the token's own "tid".
const TenantPlaceholder = "{tenantid}"

// TenantFunc says whether a tenant is let in. A nil TenantFunc lets nobody in. An
// error means that nobody could tell, and is answered with [authctx.Unavailable],
// whatever is returned beside it.
//
// It is asked only about tokens that are good otherwise, and then, like
// [Revocations], on every request and recheck, so that it may change its mind. It
// must be quick and safe for concurrent use.
type TenantFunc func(ctx context.Context, tenant string) (bool, error)

// OnlyTenants lets in exactly these tenants.
func OnlyTenants(first string, rest ...string) TenantFunc {
	tenants := append([]string{first}, rest...)
	return func(_ context.Context, tenant string) (bool, error) {
		return tenant != "" && slices.Contains(tenants, tenant), nil
	}
}

// AnyTenant lets in every tenant of the provider, which may be anybody who signs
// up there. The application must then tell its own customers from others, as by the
// rules [authctx.Issuer] and [authctx.Tenant]. Each tenant decides what roles its users
// have, as an issuer of a [ResolvingVerifier] does.
func AnyTenant() TenantFunc {
	return func(context.Context, string) (bool, error) { return true, nil }
}

// issuerName matches "iss" against a configured issuer, templated or not.
type issuerName struct {
	text          string // as configured
	before, after string // around the placeholder
	templated     bool
	tenants       TenantFunc
}

func newIssuerName(issuer string, tenants TenantFunc) issuerName {
	before, after, templated := strings.Cut(issuer, TenantPlaceholder)
	return issuerName{issuer, before, after, templated, tenants}
}

// check judges iss, and what is in doc about the tenant, but not whether that is
// let in, see admits.
func (n *issuerName) check(iss string, doc *strictjson.Doc) error {
	tenant, ok := n.match(iss)
	if !ok {
		return errIssuer
	}
	if !n.templated {
		return nil
	}
	if tid, _ := doc.Get("tid").Text(); tid != tenant {
		return errTenant
	}
	return nil
}

// admits asks whether a tenant is let in, if there is a template. It is for claims
// that were verified: names of strangers are none of the application's business.
func (n *issuerName) admits(ctx context.Context, tenant string) error {
	if !n.templated {
		return nil
	}
	if n.tenants == nil {
		return errTenant
	}
	switch yes, err := n.tenants(ctx, tenant); {
	case err != nil:
		return unavailable("Tenants", err)
	case !yes:
		return errTenant
	}
	return nil
}

// match reports whether iss is this issuer, whoever its tenant may be.
func (n *issuerName) match(iss string) (tenant string, ok bool) {
	if !n.templated {
		return "", iss == n.text
	}
	return n.tenant(iss)
}

// tenant returns the part of iss in the placeholder's place, which is one
// segment of a path and nothing else.
func (n *issuerName) tenant(iss string) (string, bool) {
	if !n.templated || len(iss) <= len(n.before)+len(n.after) ||
		!strings.HasPrefix(iss, n.before) || !strings.HasSuffix(iss, n.after) {
		return "", false
	}
	tenant := iss[len(n.before) : len(iss)-len(n.after)]
	return tenant, !strings.ContainsAny(tenant, "/?#%\\{}")
}

// serves reports whether a key restricted to some issuer may sign for iss.
func (n *issuerName) serves(keyIssuer, iss string) bool {
	if keyIssuer == "" || keyIssuer == iss {
		return true
	}
	restriction := newIssuerName(keyIssuer, nil)
	_, ok := restriction.tenant(iss)
	return ok
}
