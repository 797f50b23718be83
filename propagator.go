package authctx

import "context"

// Propagator carries a caller to the next service. Implementations are safe for
// concurrent use.
//
// The same value that writes fields says which it owns, and whoever uses it
// first removes those from what it is about to send: a propagator's output
// replaces, it never adds to, what somebody else wrote.
type Propagator interface {
	// Inject calls set once for each field that names p, with a lower-case name
	// and a value of printable ASCII. It does not call set after it has returned.
	// On an error nothing may be sent. The context is the outgoing call's; its
	// [Forwarded] fields belong to p.
	Inject(ctx context.Context, p Principal, set func(name, value string)) error

	// Fields returns what the propagator writes, in names that
	// [FieldSet.Validate] takes. It is constant.
	Fields() FieldSet
}
