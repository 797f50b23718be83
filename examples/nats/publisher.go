package main

import (
	"context"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// publisher asks for work that is done later, perhaps after a restart of
// everything.
type publisher struct {
	stream jetstream.JetStream
	caller authctx.Propagator
}

// newPublisher returns a publisher to one topic. Subjects of NATS are many and
// made as one goes ("invoices.de.4711"), so the topic is the stream that keeps
// them.
func newPublisher(stream jetstream.JetStream, topic string, keys *jwtauth.SigningKeys) (publisher, error) {
	caller, err := jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: trustDomain,
		Topic:       topic,
		Workload:    "spiffe://" + trustDomain + "/shop",
		Keys:        keys,
		Lifetime:    23 * time.Hour,
		Scopes:      jwtauth.CallerScopes,
	})
	return publisher{stream, caller}, err
}

// publish asks for work on behalf of the caller of ctx.
func (p publisher) publish(ctx context.Context, subject, body string) error {
	msg := nats.NewMsg(subject)
	msg.Data = []byte(body)
	if err := authctx.InjectHeaders(ctx, p.caller, msg.Header); err != nil {
		return err
	}
	_, err := p.stream.PublishMsg(ctx, msg)
	return err
}
