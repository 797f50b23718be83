package authctx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// ConsumerConfig configures [NewConsumer].
type ConsumerConfig struct {
	// Authenticator says on whose behalf a message was published. It is required.
	// A message has no peer and shows no certificate, so a [FieldsAuthenticator]
	// needs [TrustNetworkAlone] here; for messages that others can write too, and
	// for work that may wait, there is the DeferredAuthenticator of package jwtauth.
	Authenticator Authenticator
	// Rules says, by topic, for whom messages are handled. It must list at least one:
	// messages of other topics are refused. A rule that cannot tell must say
	// [Unavailable], since any other error refuses the message, which is then lost.
	//
	// An Authenticator with a method ReadsTopic(topic string) bool, such as the
	// DeferredAuthenticator of package jwtauth, must read every topic that is listed.
	Rules map[string]Rule
	// Observer is told of every decision; nil tells nobody. Events have the topic
	// as Target, and as Entry if it is listed. Ignored is empty: nothing is
	// removed from a message.
	Observer Observer
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Consumer decides about messages, as the servers of httpctx and grpcctx do about
// requests: see [ReceiveHeaders]. It is safe for concurrent use. A nil or zero
// Consumer refuses every message as [Unavailable].
type Consumer struct {
	authenticator Authenticator
	rules         map[string]Rule
	observer      Observer
	now           func() time.Time
}

// NewConsumer returns a consumer for cfg, whose Rules it copies, or an error that
// names every setting that is missing or wrong.
func NewConsumer(cfg ConsumerConfig) (*Consumer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Consumer{cfg.Authenticator, maps.Clone(cfg.Rules), cfg.Observer, cfg.Now}
	if c.now == nil {
		c.now = time.Now
	}
	return c, nil
}

func (cfg *ConsumerConfig) validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("authctx: consumer: "+format, args...))
	}
	unmade := isUnmade(cfg.Authenticator)
	if unmade {
		bad("Authenticator is required")
	}
	if len(cfg.Rules) == 0 {
		bad("Rules is required")
	}
	for _, topic := range slices.Sorted(maps.Keys(cfg.Rules)) {
		switch {
		case topic == "":
			bad("Rules: a topic has no name")
		case isNil(cfg.Rules[topic]):
			bad("Rules: %q has a nil rule", topic)
		case !unmade && !readsTopic(cfg.Authenticator, topic):
			bad("Rules: %q is no topic that the Authenticator reads", topic)
		}
	}
	if v := reflect.ValueOf(cfg.Observer); v.Kind() == reflect.Pointer && v.IsNil() { // functions say themselves what nil does
		bad("Observer holds a nil pointer")
	}
	return errors.Join(errs...)
}

// topicReader is an [Authenticator] that does not read every topic.
type topicReader interface{ ReadsTopic(topic string) bool }

func readsTopic(a Authenticator, topic string) bool {
	reader, ok := a.(topicReader)
	return !ok || reader.ReadsTopic(topic)
}

// ReceiveHeaders decides about a message that was published to topic: it reads the
// caller as [ExtractHeaders] does, refuses one whose effective end has come by the
// consumer's clock as [TokenExpired], asks the rule of the topic, and tells the
// observer. It returns a copy of ctx that carries the caller, for the handler of
// the message. The context that comes with an error has no caller, and the
// message must not be handled.
//
// [ExtractHeaders] says what to do with a message that is refused, and which topic to
// give for one that comes again by another queue.
//
// Of what the handler refuses by itself the observer learns by [Consumer.ObserveRefusal].
//
// A message may be delivered twice, or sent again by somebody who saw it. Whether
// its work was done before is for the handler to remember.
func ReceiveHeaders[V ~string | ~[]byte | ~[]string](ctx context.Context, c *Consumer, topic string, headers map[string]V) (context.Context, error) {
	return c.receive(ctx, messageRequest(topic, headers))
}

func (c *Consumer) receive(ctx context.Context, r *Request) (context.Context, error) {
	nobody := NewContext(ctx, Principal{})
	if c == nil || c.authenticator == nil {
		return nobody, &Error{Reason: Unavailable, Cause: errors.New("no consumer")}
	}
	start := c.now()
	res, err := c.authenticate(ctx, r)
	known := res.NewContext(ctx)
	rule, listed := c.rules[r.Target]
	switch {
	case err != nil:
	case listed:
		err = checkRule(known, rule, res.Principal)
	default:
		err = deny("the consumer does not list the topic")
	}
	if c.observer != nil {
		e := c.newEvent(r.Target, res.Principal, err)
		e.Cached, e.Duration = res.Cached, c.now().Sub(start)
		c.observer.Observe(known, e)
	}
	if err != nil {
		return nobody, err
	}
	return known, nil
}

// ObserveRefusal tells the observer that the handler of a message from topic refuses it
// by a check of its own, such as one of [Authorize], whose error is err. One without a
// reason counts as [Unavailable], and nil is not told. ctx is the one that
// [ReceiveHeaders] returned. It does no more: the handler sees to what becomes of the
// message.
func (c *Consumer) ObserveRefusal(ctx context.Context, topic string, err error) {
	if c == nil || c.observer == nil || err == nil {
		return
	}
	p, _ := FromContext(ctx)
	c.observer.Observe(ctx, c.newEvent(topic, p, err))
}

func (c *Consumer) newEvent(topic string, p Principal, err error) Event {
	e := Event{Transport: TransportMessage, Target: topic, Outcome: OutcomeOf(err), Reason: ReasonOf(err), Err: err, Principal: p}
	if _, listed := c.rules[topic]; listed {
		e.Entry = topic
	}
	return e
}

// authenticate checks the caller's end even if the authenticator did not.
func (c *Consumer) authenticate(ctx context.Context, r *Request) (Result, error) {
	res, err := Authenticate(ctx, c.authenticator, r)
	if err != nil {
		return res, err
	}
	if now := c.now(); res.Principal.ExpiredAt(now) {
		return Result{}, pastEnd(res.Principal, now)
	}
	return res, nil
}
