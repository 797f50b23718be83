package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx"
)

// maxTxnReplacements bounds how often a Transaction Token is replaced by
// another (section 13.15).
const maxTxnReplacements = 4

// Replace returns a copy of ctx whose caller goes on with a Transaction Token
// that has only these scopes, none perhaps, for a part of the system that needs
// and should have less. The caller of ctx must have come with a token of this
// trust domain and issuer.
//
// The new token narrows and never widens: it is the same transaction, caller,
// audience, end and request context, its scopes are among those of the old one,
// and the workloads that requested the tokens before stay on record.
//
// It fails with [authctx.NoCredentials] when ctx has no caller, with
// [authctx.PermissionDenied] for other scopes, and with [authctx.TokenExpired] for a
// caller whose end has come. Without a reason, as this program's own failure, it refuses
// a caller who did not come with a token of this trust domain and issuer, a token that
// has expired before its caller, a token with claims that this package does not write or
// writes in another form, since these would be lost or changed, and more than four
// replacements in a row. The context that comes with an error has no caller.
func (t *TxnPropagator) Replace(ctx context.Context, scopes ...string) (context.Context, error) {
	res, err := t.replace(ctx, scopes)
	return res.NewContext(ctx), err
}

// replace returns the caller of ctx with a narrower token.
func (t *TxnPropagator) replace(ctx context.Context, scopes []string) (none authctx.Result, _ error) {
	now := t.now()
	p, _ := authctx.FromContext(ctx)
	old, err := forwardedTxn(ctx, p, now)
	if err != nil {
		return none, err
	}
	switch {
	case old == "":
		return none, errNothingToReplace
	case !readTxnAddress(old).is(t.minter.issuer, t.minter.audience):
		return none, errForeignTxn
	}
	var c txnClaims
	if err := c.decode(p); err != nil { // no reason of it: the caller did nothing wrong
		return none, fmt.Errorf("jwtauth: the transaction token cannot be replaced here: %v", err)
	}
	token, err := t.narrow(&c, scopes, now)
	if err != nil {
		return none, err
	}
	if p, err = c.replaced(p, scopes); err != nil {
		return none, fmt.Errorf("jwtauth: transaction token: %w", err)
	}
	forward := []authctx.Field{{Name: authctx.TxnTokenField, Value: token}}
	return authctx.Result{Principal: p, Forward: forward, ForwardUntil: authctx.ForwardedUntil(ctx)}, nil
}

// narrow leaves no scopes but these in c, the claims of a token, and signs that.
func (t *TxnPropagator) narrow(c *txnClaims, scopes []string, now time.Time) (string, error) {
	switch {
	case now.Unix() >= c.Expires:
		return "", errTxnEnded
	case !subset(scopes, strings.Fields(c.Scope)):
		return "", errWiderScopes
	case len(c.Details.Replaced) >= maxTxnReplacements:
		return "", errReplacedTooOften
	}
	c.Details.Replaced = append(c.Details.Replaced, c.Workload)
	caller, err := t.minter.encode(&c.txnCaller, scopes)
	if err != nil {
		return "", err
	}
	m, err := t.minter.sign(&c.txnCall, caller, now)
	return m.token, err
}

// replaced returns p with the scopes and claims of its new token.
func (c *txnClaims) replaced(p authctx.Principal, scopes []string) (authctx.Principal, error) {
	claims, err := c.marshal()
	if err != nil {
		return authctx.Principal{}, err
	}
	a := p.Attributes()
	a.Scopes, a.Claims = slices.Clone(scopes), string(claims)
	return authctx.New(a)
}

var (
	errNothingToReplace = errors.New("jwtauth: the caller did not come with a transaction token")
	errReplacedTooOften = errors.New("jwtauth: a transaction token can be replaced four times in a row")
)
