package jwtauth

import (
	"slices"
	"strings"

	"github.com/authctx/authctx/internal/strictjson"
)

// TenantPlaceholder stands for the tenant in a templated [VerifierConfig.Issuer], as in
// "https://login.microsoftonline.com/{tenantid}/v2.0" (Entra ID). "iss" must
// then be the template filled in with the token's own "tid".
const TenantPlaceholder = "{tenantid}"

// TenantRule says whether a tenant is let in. A nil TenantRule lets nobody in.
// Only tokens whose signature is good are asked about, and then on every request
// and recheck, as [Revocations] are: a rule may change its mind, answers from
// memory and is safe for concurrent use.
type TenantRule func(tenant string) bool

// OnlyTenants lets in exactly these tenants.
func OnlyTenants(first string, rest ...string) TenantRule {
	tenants := append([]string{first}, rest...)
	return func(tenant string) bool { return tenant != "" && slices.Contains(tenants, tenant) }
}

// AnyTenant lets in every tenant of the provider, which may be anybody who signs
// up there. The application must then tell its own customers from others by
// [authctx.Principal.Issuer] and tenant.
func AnyTenant() TenantRule { return func(string) bool { return true } }

// issuerName matches "iss" against a configured issuer, templated or not.
type issuerName struct {
	text           string // as configured
	before, after  string // around the placeholder
	templated      bool
	tenantAccepted TenantRule
}

func newIssuerName(issuer string, tenants TenantRule) issuerName {
	before, after, templated := strings.Cut(issuer, TenantPlaceholder)
	return issuerName{issuer, before, after, templated, tenants}
}

// check judges iss, and what is in doc about the tenant. It is for claims that
// were verified: names of strangers are none of the tenant rule's business.
func (n *issuerName) check(iss string, doc *strictjson.Doc) error {
	tenant, err := n.fit(iss, doc)
	if err != nil {
		return err
	}
	return n.admits(tenant)
}

// fit is check without the tenant rule. It returns the tenant, empty when there
// is no template.
func (n *issuerName) fit(iss string, doc *strictjson.Doc) (tenant string, _ error) {
	tenant, ok := n.match(iss)
	if !ok {
		return "", errIssuer
	}
	if !n.templated {
		return "", nil
	}
	if tid, _ := doc.Get("tid").Text(); tid != tenant {
		return "", errTenant
	}
	return tenant, nil
}

// admits asks the tenant rule, if there is a template.
func (n *issuerName) admits(tenant string) error {
	if n.templated && (n.tenantAccepted == nil || !n.tenantAccepted(tenant)) {
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
