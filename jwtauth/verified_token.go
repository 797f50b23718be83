package jwtauth

import (
	"context"
	"errors"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// TokenVerifier says who a token speaks for. [Verifier], [MultiVerifier],
// [ResolvingVerifier] and [Introspector] do, and so may anything else that
// [Bearer] and [DPoP] should ask. Implementations are safe for concurrent use.
type TokenVerifier interface {
	// VerifyToken returns what the token proves. The error is an
	// [authctx.Error]: a reason that blames the token, or
	// [authctx.Unavailable] when nobody could tell. It holds nothing of the
	// token.
	VerifyToken(ctx context.Context, token string) (VerifiedToken, error)
}

// ask asks v about a token of a request. Credentials are there, so an answer that
// there are none is no answer.
func ask(ctx context.Context, v TokenVerifier, token string) (VerifiedToken, error) {
	found, err := v.VerifyToken(ctx, token)
	if errors.Is(err, authctx.NoCredentials) {
		err = unavailable("token verifier", err)
	}
	return found, err
}

// VerifiedToken is what verification found out. It is a struct so that it can
// grow.
type VerifiedToken struct {
	// Principal is whom the token speaks for.
	Principal authctx.Principal
	// Confirmation names the key or certificate that the presenter must prove
	// to have. Whoever cannot check that refuses the token.
	Confirmation Confirmation
	// Recheck asks again whether the token still stands: its time, its key, its
	// tenant and revocation. It verifies no signature. Nil when there is nothing to ask.
	Recheck func(ctx context.Context) error
	// Cached reports that the token had been verified before.
	Cached bool
}

// Confirmation is the "cnf" claim (RFC 7800): the token counts only together
// with a proof of possession. The zero Confirmation asks for none.
type Confirmation struct {
	// KeyThumbprint is "jkt", the thumbprint of a DPoP key (RFC 9449 section
	// 6.1).
	KeyThumbprint string
	// CertificateThumbprint is "x5t#S256", the hash of a client certificate (RFC
	// 8705 section 3.1).
	CertificateThumbprint string
}

// IsZero reports whether a plain bearer token will do.
func (c Confirmation) IsZero() bool { return c == Confirmation{} }

// readConfirmation reads cnf. A kind of confirmation that is not known here
// cannot be checked here, so the token is refused.
func readConfirmation(cnf strictjson.Value) (Confirmation, error) {
	if cnf.Kind() == strictjson.Missing {
		return Confirmation{}, nil
	}
	jkt, ok1 := confirmed(cnf, "jkt")
	x5t, ok2 := confirmed(cnf, "x5t#S256")
	c := Confirmation{KeyThumbprint: jkt, CertificateThumbprint: x5t}
	if !ok1 || !ok2 || c.IsZero() {
		return Confirmation{}, errCnf
	}
	return c, nil
}

// confirmed returns a thumbprint, empty when absent; false when it is none.
func confirmed(cnf strictjson.Value, name string) (string, bool) {
	v := cnf.Get(name)
	text, _ := v.Text()
	return text, text != "" || v.Kind() == strictjson.Missing
}
