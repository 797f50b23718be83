// Events shows work that is done later, by another program, on behalf of a
// caller: an event is published with its caller and handled as that caller.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/jwtauth"
)

const about = `events shows an event that is published with its caller and handled as that caller.

A publisher signs who asked for the work into the headers of the event; the
consumer verifies that and authorizes, perhaps hours later. Events that somebody
made up, moved or sent again are refused. The exit status is 0 only if all came
out as it should.

  go run ./examples/events`

const (
	trustDomain = "shop.example"
	topic       = "invoices"
)

// event is a message as a broker has it. Queue names are not in the message:
// the consumer knows from where it took one.
type event struct {
	headers map[string]string
	body    string
}

func main() { program.Main("events", about, demo{}) }

type demo struct{}

func (demo) Flags(*flag.FlagSet) {}

func (demo) Run(ctx context.Context) error {
	tries, handle, err := newTries(ctx)
	if err != nil {
		return err
	}
	queue := make(chan event, 1)
	var wrong error
	for _, try := range tries {
		queue <- try.event
		got := handle(ctx, <-queue)
		fmt.Printf("%-47s %s\n", try.what+":", got)
		if got != try.want {
			wrong = errors.Join(wrong, fmt.Errorf("%s: %s, expected %s", try.what, got, try.want))
		}
	}
	return wrong
}

// try is an event and what should come of it.
type try struct {
	what string
	event
	want string
}

// newTries returns good and bad events, and the consumer who handles them.
func newTries(ctx context.Context) ([]try, func(context.Context, event) string, error) {
	// A publisher that may restart while events wait has a key that was stored, see
	// jwtauth.NewSigningKey: what a lost key has signed is refused.
	key, err := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	if err != nil {
		return nil, nil, err
	}
	keys, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	if err != nil {
		return nil, nil, err
	}
	publish, err := newPublisher(topic, keys)
	if err != nil {
		return nil, nil, err
	}
	publishElsewhere, err := newPublisher("newsletters", keys)
	if err != nil {
		return nil, nil, err
	}
	alice, bob := as(ctx, "alice", "invoices:send"), as(ctx, "bob")
	fromAlice := publish(alice, "invoice 1")
	forged := event{map[string]string{"x-user-id": "alice", "x-user-issuer": "https://idp.example"}, "invoice 3"}
	tampered := event{map[string]string{jwtauth.DeferredField: fromAlice.headers[jwtauth.DeferredField] + "A"}, "invoice 4"}
	handle, err := newConsumer(keys)
	return []try{
		{"published by alice, who may send invoices", fromAlice, "sent invoice 1 for alice"},
		{"published by bob, who may not", publish(bob, "invoice 2"), "permission_denied"},
		{"published by nobody, who says it is alice", forged, "no_credentials"},
		{"published by alice and tampered with", tampered, "invalid_token"},
		{"published by alice on another topic and moved", publishElsewhere(alice, "invoice 5"), "invalid_token"},
		{"published by alice and given another body", event{fromAlice.headers, "invoice 6"}, "done before"},
	}, handle, err
}

// as returns the context of a request by a user, as middleware would make it.
func as(ctx context.Context, user string, permissions ...string) context.Context {
	p, err := authctx.New(authctx.Attributes{
		Issuer: "https://idp.example", Subject: user, Permissions: permissions,
		Expires: time.Now().Add(time.Minute), // long before the event may be handled
	})
	if err != nil {
		panic(err) // the attributes are constants
	}
	return authctx.NewContext(ctx, p)
}

// newPublisher returns a function that makes an event of the caller of a
// context. The event may wait for longer than the caller's own token lives; how
// long the caller's permissions count is for the consumer to say, see recent.
func newPublisher(topic string, keys *jwtauth.SigningKeys) (func(ctx context.Context, body string) event, error) {
	deferred, err := jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: trustDomain,
		Topic:       topic,
		Workload:    "spiffe://" + trustDomain + "/shop",
		Keys:        keys,
		Lifetime:    23 * time.Hour,
		Scopes:      jwtauth.CallerScopes,
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, body string) event {
		headers := map[string]string{"content-type": "text/plain"}
		if err := authctx.InjectHeaders(ctx, deferred, headers); err != nil {
			panic(err) // every caller of this example may publish
		}
		return event{headers, body}
	}, nil
}

// newConsumer returns a function that handles what was taken from the topic, as
// the caller who asked for it, and says what came of it. A token is good for as
// long as it lives, so the consumer remembers for which it has done the work.
func newConsumer(keys jwtauth.KeySource) (func(context.Context, event) string, error) {
	auth, err := jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
		TrustDomain: trustDomain,
		Topics:      []string{topic},
		Keys:        keys, // elsewhere, jwtauth.NewRemoteKeys at the publisher's URL
	})
	if err != nil {
		return nil, err
	}
	consumer, err := authctx.NewConsumer(authctx.ConsumerConfig{
		Authenticator: auth,
		Rules:         map[string]authctx.Rule{topic: authctx.All(authctx.Permission("invoices:send"), authctx.RuleFunc(recent))},
		Observer:      nil, // elsewhere, authctx.NewSlogObserver: why an event was refused
	})
	if err != nil {
		return nil, err
	}
	done := map[string]bool{} // elsewhere, stored in one step with what was done
	return func(ctx context.Context, e event) string {
		ctx, err := authctx.ReceiveHeaders(ctx, consumer, topic, e.headers)
		if errors.Is(err, authctx.Unavailable) {
			return "given back to the queue" // keys that are out of reach make no event a bad one
		}
		if errors.Is(err, authctx.UnknownKey) || errors.Is(err, authctx.TokenNotYetValid) {
			return "given back a few times" // for a key that is published later, and a clock that is behind
		}
		if err != nil {
			return authctx.ReasonOf(err).Public().String()
		}
		caller, _ := authctx.FromContext(ctx)
		var work struct {
			ID string `json:"txn"`
		}
		if err := caller.DecodeClaims(&work); err != nil {
			return authctx.ReasonOf(err).Public().String()
		}
		if done[work.ID] {
			return "done before"
		}
		done[work.ID] = true
		return "sent " + e.body + " for " + caller.Subject()
	}, nil
}

// recent refuses work whose caller was looked up too long ago: what somebody
// may do can change while an event waits.
func recent(_ context.Context, p authctx.Principal) error {
	if time.Since(p.AsOf()) > 12*time.Hour {
		return errors.New("the caller was looked up too long ago")
	}
	return nil
}
