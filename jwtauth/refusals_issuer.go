package jwtauth

import (
	"fmt"
	"strings"

	"github.com/authctx/authctx"
)

// ofOneIssuer are the refusals made once that come when it is clear whose token
// it should be.
var ofOneIssuer = [...]*authctx.Error{
	errTooLong, errKeyBound, errSignature, errKeyIssuer, errWrongKey, errNoKey, errNoKeyID, errNoSuchKey,
	errKeyGone, errKeyUnconfirmed, errKeyRestated, errKeyLeft, errClaimsUnsigned, errIssuerType, errNoSPIFFEID, errTenant,
	errNoAudience, errAudienceSet, errAudJSON, errIDToken, errNonce, errEventToken, errExpMissing, errDate, errExpired,
	errLifetime, errRFC9068, errCnf, errBound, errTxnClaims, errRevoked, errTokenRevoked, errSessionRevoked, errSubjectRevoked,
	errNoTokenID, errNotOpaque, errInactive, errUnsupported, errTokenUse, errAnswerJSON, errTooManyPending,
	errIntrospectorClosed, errAborted,
}

// issuerRefusals are ofOneIssuer with the issuer in their causes.
type issuerRefusals map[*authctx.Error]*authctx.Error

func newIssuerRefusals(issuer string) issuerRefusals {
	all := make([]struct {
		refusal authctx.Error
		cause   issuerError
	}, len(ofOneIssuer))
	named := make(issuerRefusals, len(ofOneIssuer))
	for i, e := range ofOneIssuer {
		all[i].cause = issuerError{issuer, e.Cause}
		all[i].refusal = authctx.Error{Reason: e.Reason, Cause: &all[i].cause}
		named[e] = &all[i].refusal
	}
	return named
}

// about returns a refusal that says which issuer it is about: where there are
// several, that is an operator's first question. It is the issuer as it was
// configured, since what a token says of that may be anything.
func (p *issuerPolicy) about(err error) error {
	if reason, bare := err.(authctx.Reason); bare {
		return p.refusal(reason, nil)
	}
	refused, ok := err.(*authctx.Error)
	if !ok || refused == nil {
		return err
	}
	if named := p.refusals[refused]; named != nil {
		return named
	}
	switch refused.Cause.(type) {
	case *claimError, claimsJSONError:
		return p.refusal(refused.Reason, refused.Cause)
	case *issuerError, *keysError: // which say it
		return err
	}
	switch reason := authctx.ReasonOf(refused); reason {
	case authctx.Unavailable, authctx.UnknownKey: // of a source, which may be anything
		named := p.refusal(reason, refused.Cause)
		named.RetryAfter = refused.RetryAfter
		return named
	}
	return err
}

func (p *issuerPolicy) refusal(reason authctx.Reason, cause error) *authctx.Error {
	return &authctx.Error{Reason: reason, Cause: &issuerError{p.Issuer, cause}}
}

// expected is a refusal that says what is configured for the issuer.
func (p *issuerPolicy) expected(reason authctx.Reason, format string, configured any) authctx.Error {
	return *p.refusal(reason, expected(reason, format, configured).Cause)
}

// issuerError says which issuer a cause is about. It is put into words when
// somebody reads it.
type issuerError struct {
	issuer string
	cause  error // may be nil
}

func (e *issuerError) Error() string {
	label := fmt.Sprintf("jwtauth: issuer %.200q", e.issuer)
	if e.cause == nil {
		return label
	}
	return label + ": " + strings.TrimPrefix(e.cause.Error(), "jwtauth: ")
}

func (e *issuerError) Unwrap() error { return e.cause }
