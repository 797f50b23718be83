package jwtauth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/authctx/authctx"
)

// TxnForwarder carries callers on by the Transaction Token they came with,
// unmodified (draft-ietf-oauth-transaction-tokens-09 section 12.2). It is what
// services behind the edge use; it has no keys and mints nothing. The zero value
// is ready, and safe for concurrent use.
//
// A token lives for minutes. A stream that began with it may last longer, but the
// calls that its handler makes then fail: such a handler ends its stream before the
// token ends, and the client opens another one through the edge, which mints another
// token.
//
// To move from plain fields to Transaction Tokens, change services in the order of
// the calls: a service has no token to forward while its callers still write plain
// fields. For services that call one another in a circle, see the example.
//
// Behind servers that reuse the memory of a request, such as fasthttp, work that goes
// on after the response must copy the token first, see [authctx.Result].Forward.
type TxnForwarder struct {
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Fields returns txn-token.
func (f TxnForwarder) Fields() authctx.FieldSet { return txnFields }

// Inject writes the token that came in with p, the caller of ctx. It does not look
// into the token, whose audience was checked when it came in and will be again.
//
// It fails with [authctx.NoCredentials] when p is zero, and with
// [authctx.TokenExpired] when p's effective end has come. It fails without a
// reason, because this program cannot carry its caller on,
//
//   - when p came without a token, or was put into ctx by [authctx.NewContext];
//   - when the token has ended before p has ([authctx.ForwardedUntil], leeway
//     included).
func (f TxnForwarder) Inject(ctx context.Context, p authctx.Principal, set func(name, value string)) error {
	token, err := forwardedTxn(ctx, p, clockOf(f.Now)())
	if err == nil && token == "" {
		err = errNothingToForward
	}
	if err != nil {
		return err
	}
	set(authctx.TxnTokenField, token)
	return nil
}

// forwardedTxn returns the token with which p came to ctx, empty when there is
// none. One that has ended is an error: nobody would take it.
func forwardedTxn(ctx context.Context, p authctx.Principal, now time.Time) (string, error) {
	if p.IsZero() {
		return "", authctx.NoCredentials
	}
	if p.ExpiredAt(now) {
		return "", errExpired
	}
	for _, field := range authctx.Forwarded(ctx) {
		if field.Name != authctx.TxnTokenField {
			continue
		}
		if caller, ok := authctx.FromContext(ctx); ok && caller.Equal(p) {
			if end := authctx.ForwardedUntil(ctx); !end.IsZero() && !now.Before(end) {
				return "", errTxnEnded
			}
			return field.Value, nil
		}
	}
	return "", nil
}

// txnAddress is what decides where a token may go.
type txnAddress struct {
	issuer   string
	audience []string
}

// is reports whether the token is one of a trust domain.
func (a txnAddress) is(issuer, trustDomain string) bool {
	return a.issuer == issuer && slices.Contains(a.audience, trustDomain)
}

// txnParser reads claims for which nothing but their form counts any more.
var txnParser = claimsParser(nil)

// readTxnAddress reads the address of a token that was verified when it came in,
// so it looks at no more than that. What it cannot read is zero.
func readTxnAddress(token string) (a txnAddress) {
	c, err := cut(token, mostMaxTokenBytes)
	if err != nil {
		return a
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	if s.payload, err = decodeSegment(s.payload, c.payload()); err != nil || s.parseClaims(txnParser) != nil {
		return a
	}
	a.issuer, _ = s.doc.Get("iss").Text()
	if aud, ok := s.doc.Get("aud").Text(); ok {
		a.audience = []string{aud}
	}
	for e := range s.doc.Get("aud").Elements() {
		aud, _ := e.Text()
		a.audience = append(a.audience, aud)
	}
	return a
}

var (
	errNothingToForward = errors.New("jwtauth: no transaction token came in with this caller, so there is none to forward")
	errTxnEnded         = errors.New("jwtauth: the transaction token that came in with this caller has ended before the caller: a stream that makes calls must end before its token does")
	errForeignTxn       = errors.New("jwtauth: the transaction token that came in with this caller is of another trust domain or issuer, which is not forwarded")
)
