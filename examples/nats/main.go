// Nats shows work that is done later, on behalf of a caller, by way of a NATS
// broker: a real one, which this program starts and ends.
//
//	go run -C examples/nats .
//
// The publisher signs who asked for the work into a header of the message; the
// consumer verifies that with the publisher's keys and authorizes, perhaps hours
// later. The exit status is 0 only if all came out as it should.
//
// Read publisher.go and consumer.go first; the tests show more, such as requests
// with answers, jobs without a user, and what intruders try.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/jwtauth"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const about = `nats shows work that is done later, on behalf of a caller, by way of a NATS broker.

It starts a broker, publishes messages to it and handles them: one of somebody who
may ask for the work, one of somebody who may not, and one that is made up. Its
exit status is 0 only if all came out as it should.

  go run -C examples/nats .`

const (
	trustDomain = "shop.example"
	topic       = "INVOICES" // a stream, which keeps "invoices.>"
)

func main() { program.Main("nats", about, demo{}) }

type demo struct{}

func (demo) Flags(*flag.FlagSet) {}

func (demo) Run(ctx context.Context) error { return run(ctx, os.Stdout) }

// run shows messages with a broker of its own.
func run(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	dir, err := os.MkdirTemp("", "authctx-nats-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	broker, err := startBroker(dir)
	if err != nil {
		return err
	}
	defer stopBroker(broker)
	conn, err := nats.Connect(broker.ClientURL())
	if err != nil {
		return err
	}
	defer conn.Close()
	return show(ctx, conn, out)
}

// show makes a publisher and a consumer who knows it by its keys, and has three
// messages handled.
func show(ctx context.Context, conn *nats.Conn, out io.Writer) error {
	stream, messages, err := openStream(ctx, conn, topic, "invoices.>")
	if err != nil {
		return err
	}
	// The publisher's keys, which the consumer gets by HTTP like anybody else.
	key, err := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	if err != nil {
		return err
	}
	signing, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	if err != nil {
		return err
	}
	published := httptest.NewServer(signing.JWKSHandler())
	defer published.Close()
	keys, err := jwtauth.LoadRemoteKeys(ctx, jwtauth.RemoteKeysConfig{JWKSURL: published.URL})
	if err != nil {
		return err
	}
	defer keys.Close()

	publisher, err := newPublisher(stream, topic, signing)
	if err != nil {
		return err
	}
	consumer, err := newConsumer(topic, keys, authctx.Permission("invoices:send"), nil, func(ctx context.Context, body string) error {
		caller, _ := authctx.FromContext(ctx)
		fmt.Fprintf(out, "  sent %s for %s\n", body, caller)
		return nil
	})
	if err != nil {
		return err
	}
	for _, try := range tries(ctx, conn, publisher) {
		fmt.Fprintf(out, "published by %s\n", try.what)
		if err := try.publish(); err != nil {
			return err
		}
		msg, err := messages.Next(jetstream.FetchContext(ctx))
		if err != nil {
			return err
		}
		if err := consumer.handle(ctx, msg); err != nil {
			fmt.Fprintf(out, "  refused: %v\n", err)
			if !errors.Is(err, try.want) {
				return err
			}
		} else if try.want != 0 {
			return fmt.Errorf("it was handled, %v was expected", try.want)
		}
	}
	return nil
}

// try is a message and why it is refused, zero if it is not.
type try struct {
	what    string
	publish func() error
	want    authctx.Reason
}

func tries(ctx context.Context, conn *nats.Conn, publisher publisher) []try {
	forged := nats.NewMsg("invoices.3")
	forged.Header.Set("X-User-Id", "alice")
	forged.Header.Set("X-User-Issuer", "https://idp.example")
	return []try{
		{"alice, who may send invoices", func() error { return publisher.publish(as(ctx, "alice", "invoices:send"), "invoices.1", "invoice 1") }, 0},
		{"bob, who may not", func() error { return publisher.publish(as(ctx, "bob"), "invoices.2", "invoice 2") }, authctx.PermissionDenied},
		{"somebody without keys, who says it is alice", func() error { return conn.PublishMsg(forged) }, authctx.NoCredentials},
	}
}

// openStream makes a stream, unless it is there, and a consumer that remembers
// where it was.
func openStream(ctx context.Context, conn *nats.Conn, name, subjects string) (jetstream.JetStream, jetstream.Consumer, error) {
	stream, err := jetstream.New(conn)
	if err != nil {
		return nil, nil, err
	}
	if _, err := stream.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{subjects}}); err != nil {
		return nil, nil, err
	}
	consumer, err := stream.CreateOrUpdateConsumer(ctx, name, jetstream.ConsumerConfig{Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy})
	return stream, consumer, err
}

// as returns the context of a request by a user, as middleware would make it.
func as(ctx context.Context, user string, permissions ...string) context.Context {
	p, err := authctx.New(authctx.Attributes{
		Issuer: "https://idp.example", Subject: user, Permissions: permissions,
		Expires: time.Now().Add(time.Minute), // long before the message may be handled
	})
	if err != nil {
		panic(err) // the attributes are constants
	}
	return authctx.NewContext(ctx, p)
}
