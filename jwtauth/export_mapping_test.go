package jwtauth

import (
	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// ReadClaims lets tests of behaviour map claims that no token carries.
func ReadClaims(m *ClaimMapping, claims string) (authctx.Attributes, error) {
	var doc strictjson.Doc
	if err := strictjson.NewParser(strictjson.Config{Known: m.names()}).Parse(&doc, claims); err != nil {
		return authctx.Attributes{}, &authctx.Error{Reason: authctx.InvalidToken, Cause: err}
	}
	issuer, ok := m.issuer(&doc)
	if !ok {
		return authctx.Attributes{}, m.errNoIssuer()
	}
	return m.attributes(&doc, issuer, new([]string))
}

// ClaimNames returns the claims that m reads.
func ClaimNames(m *ClaimMapping) []string { return m.names() }
