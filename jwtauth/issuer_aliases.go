package jwtauth

import (
	"slices"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// validateAliases judges the other spellings of Issuer.
func (c *VerifierConfig) validateAliases(p *problems) {
	switch {
	case len(c.IssuerAliases) == 0:
		return
	case strings.Contains(c.Issuer, TenantPlaceholder):
		p.add("IssuerAliases means nothing because Issuer contains %s", TenantPlaceholder)
	case c.Claims != nil && c.Claims.cfg.spiffe:
		p.add("IssuerAliases means nothing because Claims are those of SPIFFE, which do not read iss")
	}
	for i, alias := range c.IssuerAliases {
		switch {
		case alias == c.Issuer:
			p.add("IssuerAliases has %.200q, which is Issuer", alias)
		case strings.Contains(alias, TenantPlaceholder):
			p.add("IssuerAliases has %.200q, and %s stands in no alias", alias, TenantPlaceholder)
		case slices.Contains(c.IssuerAliases[:i], alias):
			p.add("IssuerAliases has %.200q twice", alias)
		}
	}
	p.names("IssuerAliases", c.IssuerAliases)
}

// spellings are all names under which this issuer's tokens come.
func (c *VerifierConfig) spellings() []string { return append([]string{c.Issuer}, c.IssuerAliases...) }

// canonical returns the one name of this issuer for any of its spellings, and
// every other name as it is.
func (p *issuerPolicy) canonical(iss string) string {
	if slices.Contains(p.IssuerAliases, iss) {
		return p.Issuer
	}
	return iss
}

// canonicalActors gives this issuer its one name among those of the actors.
func (p *issuerPolicy) canonicalActors(a *authctx.Attributes) {
	for i := range a.Actors {
		a.Actors[i].Issuer = p.canonical(a.Actors[i].Issuer)
	}
}

// renames reports whether p and other are one issuer of which another spelling has
// become the name: each has the name of the other among its own.
func (p *issuerPolicy) renames(other *issuerPolicy) bool {
	return slices.Contains(p.IssuerAliases, other.Issuer) && slices.Contains(other.IssuerAliases, p.Issuer)
}

// named returns the issuer that claims name, under its one name. False says that
// they name none in the way they must.
func (p *issuerPolicy) named(doc *strictjson.Doc) (string, bool) {
	iss, ok := p.Claims.issuer(doc)
	return p.canonical(iss), ok
}
