package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/authctx/authctx"
)

// maxTxnReplacements bounds how often a Transaction Token is replaced by
// another (section 13.15).
const maxTxnReplacements = 4

// Replace returns a copy of ctx whose caller goes on with a Transaction Token
// that has only these scopes, for a part of the system that needs and should
// have less. The caller of ctx must have come with a token of this trust domain
// and issuer.
//
// The new token narrows and never widens: it is the same transaction, caller,
// audience, end and request context, its scopes are among those of the old one, and the workloads
// that requested the tokens before stay on record. Everything else is refused: a
// token with claims that this package does not write, which would be lost, other
// scopes with [authctx.PermissionDenied], a token that has expired with
// [authctx.TokenExpired], and more than four replacements in a row.
func (t *TxnPropagator) Replace(ctx context.Context, scopes ...string) (context.Context, error) {
	now := t.now()
	p, _ := authctx.FromContext(ctx)
	old, err := forwardedTxn(ctx, p, now)
	if err != nil {
		return nil, err
	}
	var c txnClaims
	if old == "" || c.decode(p) != nil || c.Audience != t.minter.audience || c.Issuer != t.minter.issuer {
		return nil, errNothingToReplace
	}
	switch {
	case now.Unix() >= c.Expires:
		return nil, errExpired
	case !subset(scopes, strings.Fields(c.Scope)):
		return nil, errWiderScopes
	case len(c.Details.Replaced) >= maxTxnReplacements:
		return nil, errReplacedTooOften
	}
	c.Scope = strings.Join(scopes, " ")
	c.Details.Replaced = append(c.Details.Replaced, c.Workload)
	m, err := t.minter.sign(&c, scopes, now)
	if err != nil {
		return nil, err
	}
	claims, err := c.marshal()
	if err != nil {
		return nil, fmt.Errorf("jwtauth: transaction token: %w", err)
	}
	a := p.Attributes()
	a.Scopes, a.Claims = slices.Clone(scopes), string(claims)
	if p, err = authctx.New(a); err != nil {
		return nil, fmt.Errorf("jwtauth: transaction token: %w", err)
	}
	forward := []authctx.Field{{Name: authctx.TxnTokenField, Value: m.token}}
	return authctx.Result{Principal: p, Forward: forward}.NewContext(ctx), nil
}

var (
	errNothingToReplace = errors.New("jwtauth: the caller did not come with a transaction token that can be replaced here")
	errReplacedTooOften = errors.New("jwtauth: a transaction token can be replaced four times in a row")
)
