package authctx

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// NewContext returns a copy of ctx that carries p as the caller.
//
// A zero p takes the caller away: [FromContext] on the returned context reports
// false, whatever ctx held. What ctx was to forward on behalf of its old caller
// (see [Result]) is dropped in either case.
func NewContext(ctx context.Context, p Principal) context.Context {
	return &callerContext{Context: ctx, principal: p}
}

// FromContext returns the caller that ctx carries. It reports false, with the
// zero [Principal], when there is none: a public route, an anonymous request
// where those were allowed, or a context no middleware has touched.
func FromContext(ctx context.Context) (Principal, bool) {
	c := callerFrom(ctx)
	if c == nil || c.principal.IsZero() {
		return Principal{}, false
	}
	return c.principal, true
}

// Forwarded returns the fields that must accompany the caller of ctx unchanged,
// such as the Transaction Token that named it; nil when there are none. They
// are credentials: a [Propagator] sends them on, nothing else should read them.
// The slice is a copy.
func Forwarded(ctx context.Context) []Field {
	if c := callerFrom(ctx); c != nil {
		return slices.Clone(c.forward)
	}
	return nil
}

// ForwardedUntil returns when the fields that [Forwarded] returns come to an end, zero
// when that is not known. From then on the Inject of a [Propagator] does not send them
// but fails: without a [Reason], because it is not the caller who has come to an end.
func ForwardedUntil(ctx context.Context) time.Time {
	if c := callerFrom(ctx); c != nil {
		return c.until
	}
	return time.Time{}
}

// callerKey is the context key of callerContext; it carries no data, so making
// one never allocates.
type callerKey struct{}

// callerContext is a context that answers callerKey itself. Its own type, and
// not context.WithValue, keeps a caller to one allocation and keeps credentials
// out of what fmt prints of a context.
type callerContext struct {
	context.Context
	principal Principal
	forward   []Field
	until     time.Time // zero sets no end to forward
}

func (c *callerContext) Value(key any) any {
	if _, ok := key.(callerKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// String names the parent and the caller and nothing that is forwarded.
func (c *callerContext) String() string {
	return fmt.Sprintf("%v.WithCaller(%v)", c.Context, c.principal)
}

// Format implements [fmt.Formatter], so that no verb shows more than String, but
// for those of which fmt does not ask, see [Field].
func (c *callerContext) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

func callerFrom(ctx context.Context) *callerContext {
	c, _ := ctx.Value(callerKey{}).(*callerContext)
	return c
}
