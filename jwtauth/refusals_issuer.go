package jwtauth

import (
	"fmt"
	"strings"

	"github.com/authctx/authctx"
)

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
	switch refused.Cause.(type) {
	case *issuerError, *keysError: // which say it
		return err
	}
	named := p.refusal(refused.Reason, refused.Cause)
	named.RetryAfter = refused.RetryAfter
	return named
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
