package authctx

import "context"

// Propagator carries a caller to the next service. Implementations are safe for
// concurrent use.
//
// A propagator also says which fields it owns. Whatever uses one first removes those
// from what is about to be sent, so that its output replaces what somebody else wrote
// and never adds to it.
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
