package jwtauth

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/authctx/authctx"
)

// Refusals are made once: refusing garbage must not cost more than looking at
// it, and a text that is made in advance cannot hold a secret.
var (
	errTooLong            = refusal(authctx.InvalidToken, "token is longer than MaxTokenBytes")
	errNotCompact         = refusal(authctx.InvalidToken, "token is not a JWS in compact serialization")
	errBase64             = refusal(authctx.InvalidToken, "token has a segment that is not strict base64url")
	errHeaderJSON         = refusal(authctx.InvalidToken, "token header is not strict JSON")
	errHeaderName         = refusal(authctx.InvalidToken, "token header has crit, b64, zip, enc or jwk, or a nested token")
	errHeaderType         = refusal(authctx.InvalidToken, "token header has an alg, typ, kid or cty that is not text, or an empty typ")
	errKeyID              = refusal(authctx.InvalidToken, "token header has a kid that is empty, too long or not printable")
	errKeyBound           = refusal(authctx.InvalidToken, "token algorithm is not the one its key is bound to")
	errSignature          = refusal(authctx.BadSignature, "")
	errKeyIssuer          = refusal(authctx.WrongIssuer, "signing key is restricted to another issuer")
	errWrongKey           = refusal(authctx.UnknownKey, "key source answered with another key")
	errNoKey              = refusal(authctx.Unavailable, "key source answered with no key")
	errClaimsUnsigned     = refusal(authctx.InvalidToken, "token claims are not strict JSON, and its key was not looked for")
	errIssuer             = refusal(authctx.WrongIssuer, "")
	errIssuerType         = refusal(authctx.InvalidToken, "iss is missing or not text")
	errNoSPIFFEID         = refusal(authctx.InvalidToken, "sub is no SPIFFE ID")
	errTenant             = refusal(authctx.WrongIssuer, "tid is missing, not the tenant in iss, or not accepted here")
	errNoAudience         = refusal(authctx.WrongAudience, "aud is missing or empty")
	errAudienceSet        = refusal(authctx.WrongAudience, "token names an audience but only ClientIDs are configured")
	errAudJSON            = refusal(authctx.InvalidToken, "aud is not text or a list of texts")
	errIDToken            = refusal(authctx.WrongType, "claims are those of an ID token: at_hash, c_hash or s_hash")
	errNonce              = refusal(authctx.WrongType, "claims are those of an ID token: nonce beside azp, or without scope and client_id")
	errEventToken         = refusal(authctx.WrongType, "claims are those of a logout or other event token")
	errExpMissing         = refusal(authctx.InvalidToken, "exp is missing or not a date")
	errDate               = refusal(authctx.InvalidToken, "nbf or iat is not a date")
	errExpired            = refusal(authctx.TokenExpired, "the caller's effective end has come")
	errLifetime           = refusal(authctx.InvalidToken, "token lives longer than MaxLifetime, or has no iat to tell")
	errRFC9068            = refusal(authctx.InvalidToken, "sub, client_id, iat or jti is missing (RFC 9068 section 2.2)")
	errCnf                = refusal(authctx.InvalidToken, "cnf holds no kind of confirmation that is known here")
	errBound              = refusal(authctx.InvalidToken, "sender-constrained token presented as a plain bearer token")
	errRevoked            = refusal(authctx.TokenRevoked, "")
	errTokenRevoked       = refusal(authctx.TokenRevoked, "by the ID of the token")
	errSessionRevoked     = refusal(authctx.TokenRevoked, "by its session")
	errSubjectRevoked     = refusal(authctx.TokenRevoked, "by its subject and time of issue")
	errNoTokenID          = refusal(authctx.InvalidToken, "jti is missing, so the token could not be revoked")
	errNotOpaque          = refusal(authctx.InvalidToken, "token is empty or has characters that tokens are not made of")
	errInactive           = refusal(authctx.InvalidToken, "introspection: the token is not active")
	errUnsupported        = refusal(authctx.WrongType, "introspection: the endpoint answers for no tokens of this kind")
	errTokenUse           = refusal(authctx.WrongType, "introspection: the token is no access token")
	errAnswerJSON         = refusal(authctx.Unavailable, "introspection: the answer is not strict JSON with a boolean active")
	errTooManyPending     = refusal(authctx.Unavailable, "introspection: MaxPending tokens are being asked about")
	errIntrospectorClosed = refusal(authctx.Unavailable, "introspection: closed")
	errAborted            = refusal(authctx.Unavailable, "verification by another request was aborted")
)

func refusal(reason authctx.Reason, cause string) *authctx.Error {
	if cause == "" {
		return &authctx.Error{Reason: reason}
	}
	return &authctx.Error{Reason: reason, Cause: errors.New("jwtauth: " + cause)}
}

// expected is a refusal that tells operators their own configuration, as far as
// it fits a line of a log.
func expected(reason authctx.Reason, format string, configured any) authctx.Error {
	return authctx.Error{Reason: reason, Cause: fmt.Errorf("jwtauth: %.500s", fmt.Sprintf(format, configured))}
}

// unavailable is for what a source outside this package failed to answer. Only
// the reasons that are the source's to give are kept. Any other, which may come
// from a call that the source made itself, would blame the token or, worse, say
// that there is none.
func unavailable(what string, err error, own ...authctx.Reason) error {
	reason := authctx.ReasonOf(err)
	if !slices.Contains(own, reason) {
		reason = authctx.Unavailable
	}
	named, _ := errors.AsType[*authctx.Error](err) // nil where there is none
	if err == error(reason) || named != nil && err == error(named) && named.Reason == reason {
		return err // it says just this already
	}
	refused := &authctx.Error{Reason: reason, Cause: &sourceError{what, err}}
	if named != nil {
		refused.RetryAfter = named.RetryAfter
	}
	return refused
}

// panicked makes an error of a panic in what a user gave us, such as a transport:
// on a goroutine of ours it would end the program, at a time that strangers
// choose. Only the runtime's own words are passed on, since others may hold a
// token.
func panicked(p any) error {
	if err, ok := p.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", err)
	}
	return fmt.Errorf("panic with a %T", p)
}

type sourceError struct {
	what string
	err  error
}

func (e *sourceError) Error() string { return "jwtauth: " + e.what + ": " + e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }
