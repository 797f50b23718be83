package authctx

import (
	"context"
	"log/slog"
	"net/netip"
	"time"
)

// Observer is told of every decision. Implementations are safe for concurrent
// use, and Observe must be quick: it runs on the request's goroutine. The context
// carries the caller, if there is one, whatever the decision.
//
// An event of the outcome [Ended] comes later and on another goroutine, perhaps
// when the handler has returned and ctx is done; a panic there is logged.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// ObserverFunc makes a function an [Observer]. A nil one observes nothing.
type ObserverFunc func(ctx context.Context, e Event)

// Observe calls f.
func (f ObserverFunc) Observe(ctx context.Context, e Event) {
	if f != nil {
		f(ctx, e)
	}
}

// Event is one decision. It holds no token and no secret. One request may have two
// events: it was allowed, and then refused by the handler or ended. Duration is zero in
// the second.
type Event struct {
	// Transport is [TransportHTTP], [TransportGRPC] or [TransportMessage].
	Transport string
	// Entry is what decided: the key of the policy table, or the topic of a
	// [Consumer]. Where the table has no key for the request, it is the pattern by which
	// a mux routed it, or "default" for the default rule, or empty when nothing matched.
	// It comes from the program's own tables, so it is fit for a metric label.
	Entry string
	// Method and Target are what the peer sent, see [Request]. They are chosen
	// by the peer: fit for a log that escapes, not for a metric label.
	Method, Target string
	// Outcome is the decision.
	Outcome Outcome
	// Reason is why; zero when the call was allowed.
	Reason Reason
	// Err has the cause, for operators; nil when the call was allowed.
	Err error
	// Principal is the caller; zero when there is none.
	Principal Principal
	// Peer is the other end of the connection.
	Peer netip.AddrPort
	// Ignored names identity fields that came in and that nobody read, as the peer
	// spelled them: the first 64 bytes of at most 16 names. At an edge they are a
	// sign of an attack or of a misconfigured client. Fields that were read and
	// refused are not among them, and neither are those of [Result.Known].
	Ignored []string
	// Cached reports that a cache answered.
	Cached bool
	// Duration is what the decision took, without the handler.
	Duration time.Duration
}

// Outcome is the kind of a decision.
type Outcome uint8

const (
	// Allowed: the handler runs.
	Allowed Outcome = iota + 1
	// Denied: the caller was refused.
	Denied
	// Failed: the caller was refused because nobody could tell. It does not say that a
	// provider is down: strangers cause it too, by naming unknown keys, not all of which
	// are looked for, and so do clients that leave. For an alert on a provider, use the
	// LastError of jwtauth.RemoteKeys.Stats.
	Failed
	// Ended: a stream that had been allowed was ended.
	Ended
)

// String returns a stable label: "allowed", "denied", "failed" or "ended".
func (o Outcome) String() string {
	switch o {
	case Allowed:
		return "allowed"
	case Denied:
		return "denied"
	case Failed:
		return "failed"
	case Ended:
		return "ended"
	}
	return "unknown"
}

// MarshalText returns String, for JSON.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// LogValue implements [slog.LogValuer] with String.
func (o Outcome) LogValue() slog.Value { return slog.StringValue(o.String()) }

// OutcomeOf returns what an error means for a decision that is being made:
// Allowed for nil, Failed for [Unavailable], otherwise Denied.
func OutcomeOf(err error) Outcome {
	switch ReasonOf(err) {
	case 0:
		return Allowed
	case Unavailable:
		return Failed
	}
	return Denied
}
