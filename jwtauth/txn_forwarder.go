package jwtauth

import (
	"context"
	"errors"
	"time"

	"github.com/authctx/authctx"
)

// TxnForwarder carries callers on by the Transaction Token they came with,
// unmodified (draft-ietf-oauth-transaction-tokens-09 section 12.2). It is what
// services behind the edge use; it has no keys and mints nothing. The zero value
// is ready, and safe for concurrent use.
type TxnForwarder struct {
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Fields returns txn-token.
func (f TxnForwarder) Fields() authctx.FieldSet { return txnFields() }

// Inject writes the token that came in with p, the caller of ctx. There is no
// other way: it fails for a caller who came without one, and for one whom
// [authctx.NewContext] put into ctx since.
func (f TxnForwarder) Inject(ctx context.Context, p authctx.Principal, set func(name, value string)) error {
	now := f.Now
	if now == nil {
		now = time.Now
	}
	token, err := forwardedTxn(ctx, p, now())
	if err == nil && token == "" {
		err = errNothingToForward
	}
	if err != nil {
		return err
	}
	set(authctx.TxnTokenField, token)
	return nil
}

var errNothingToForward = errors.New("jwtauth: no transaction token came in with this caller, so there is none to forward")
