package jwtauth

import (
	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// ReadClaims lets tests of behaviour map claims that no token carries. What a
// verifier reads besides is "iat" alone.
func ReadClaims(m *ClaimMapping, claims string) (authctx.Attributes, error) {
	var doc strictjson.Doc
	if err := claimsParser(m.names()).Parse(&doc, claims); err != nil {
		return authctx.Attributes{}, &authctx.Error{Reason: authctx.InvalidToken, Cause: err}
	}
	issuer, ok := m.issuer(&doc)
	if !ok {
		return authctx.Attributes{}, m.errNoIssuer()
	}
	var a authctx.Attributes
	a.IssuedAt, _ = doc.Get("iat").Date()
	if err := m.attributes(&a, &doc, issuer, new([]string)); err != nil {
		return authctx.Attributes{}, err
	}
	return a, nil
}

// ClaimNames returns the claims that a verifier with m reads.
func ClaimNames(m *ClaimMapping) []string { return append(m.names(), decidingClaims[:]...) }
