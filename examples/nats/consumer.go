package main

import (
	"context"
	"errors"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/nats-io/nats.go/jetstream"
)

// What may be better the next time is tried again after retryAfter, and what is
// more likely bad for good at most so often, each time after twice as long.
// Elsewhere these are seconds, and a dozen.
const (
	retryAfter = 100 * time.Millisecond
	maxTries   = 5
)

// maxDoubts bounds what a consumer remembers of messages in doubt. The broker lets
// 1,000 be undone at a time (MaxAckPending, unless told otherwise), so of more
// doubts some are about messages that another replica or their age has ended, of
// which the broker does not tell.
const maxDoubts = 2000

// consumer does the work of one topic, each message as the caller who asked for
// it.
type consumer struct {
	topic string
	admit *authctx.Consumer
	work  func(ctx context.Context, body string) error
	// done has the work that was done, by the ID in its token, which anybody who
	// sees the message can send again, with another body too. Elsewhere it is
	// stored, in one step with what was done.
	done map[string]bool
	// doubts counts how often a message was refused that may be good later, by its
	// place in the stream. How often it was delivered would count outages too.
	doubts map[uint64]uint
}

var errDoneBefore = errors.New("the work was done before")

// newConsumer returns a consumer that knows publishers by their keys and works for
// whom the rule allows. The clock is that of the tests; nil is today's.
func newConsumer(topic string, keys jwtauth.KeySource, rule authctx.Rule, now func() time.Time, work func(context.Context, string) error) (consumer, error) {
	caller, err := jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
		TrustDomain: trustDomain, Topics: []string{topic}, Keys: keys, Now: now,
	})
	if err != nil {
		return consumer{}, err
	}
	if now == nil {
		now = time.Now
	}
	// What somebody may do can change while a message waits.
	recent := authctx.RuleFunc(func(_ context.Context, p authctx.Principal) error {
		if now().Sub(p.AsOf()) > 12*time.Hour {
			return errors.New("the caller was looked up too long ago")
		}
		return nil
	})
	admit, err := authctx.NewConsumer(authctx.ConsumerConfig{
		Authenticator: caller,
		Rules:         map[string]authctx.Rule{topic: authctx.All(rule, recent)},
		Now:           now,
	})
	return consumer{topic, admit, work, map[string]bool{}, map[uint64]uint{}}, err
}

// handle does the work of a message and tells the broker what became of it. It
// returns why there was nothing to do.
func (c consumer) handle(ctx context.Context, msg jetstream.Msg) error {
	ctx, err := authctx.ReceiveHeaders(ctx, c.admit, c.topic, msg.Headers())
	if err == nil {
		c.forget(msg)
	}
	switch {
	case errors.Is(err, authctx.Unavailable): // nobody could tell, and that is no fault of the message
		return errors.Join(err, msg.NakWithDelay(retryAfter))
	case errors.Is(err, authctx.TokenNotYetValid), errors.Is(err, authctx.UnknownKey):
		// Our clock may be behind, or the key not published yet.
		return errors.Join(err, c.retryOrEnd(msg, err))
	case err != nil: // it will not become better
		c.forget(msg)
		return errors.Join(err, end(msg, err))
	}
	id, err := workID(ctx)
	if err != nil {
		return errors.Join(err, msg.Term())
	}
	if c.done[id] {
		return errors.Join(errDoneBefore, msg.DoubleAck(ctx))
	}
	if err := c.work(ctx, string(msg.Data())); err != nil {
		return errors.Join(err, msg.NakWithDelay(retryAfter))
	}
	c.done[id] = true
	return msg.DoubleAck(ctx)
}

// retryOrEnd is for a message that may be good later, and may have been made up.
func (c consumer) retryOrEnd(msg jetstream.Msg, why error) error {
	delivery, err := msg.Metadata()
	if err != nil {
		return errors.Join(err, end(msg, why))
	}
	place := delivery.Sequence.Stream
	before := c.doubts[place]
	if before+1 >= maxTries {
		c.forget(msg)
		return end(msg, why)
	}
	if len(c.doubts) >= maxDoubts {
		clear(c.doubts) // to be counted anew, and tried a few times more, is no harm
	}
	c.doubts[place] = before + 1
	return msg.NakWithDelay(retryAfter << before)
}

// forget is for a message that is doubted no more.
func (c consumer) forget(msg jetstream.Msg) {
	if delivery, err := msg.Metadata(); err == nil {
		delete(c.doubts, delivery.Sequence.Stream)
	}
}

// end tells the broker that nobody is to try again.
func end(msg jetstream.Msg, why error) error {
	return msg.TermWithReason(authctx.ReasonOf(why).Public().String())
}

// workID returns what the token calls the work that the caller of ctx asked for.
func workID(ctx context.Context) (string, error) {
	caller, _ := authctx.FromContext(ctx)
	var claims struct {
		ID string `json:"txn"`
	}
	err := caller.DecodeClaims(&claims)
	return claims.ID, err
}
