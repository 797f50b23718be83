package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestTheProgramComesOutAsItShould(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"sent invoice 1 for user alice", `permission "invoices:send" required`, "no credentials"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("it does not say %q:\n%s", line, out.String())
		}
	}
}

// patience bounds every wait; it is never reached when all is well.
const patience = 30 * time.Second

// world is a broker, and a publisher with its keys. Consumers' clocks are ahead
// of it as far as a test likes.
type world struct {
	*testing.T
	dir     string
	broker  *server.Server
	conn    *nats.Conn
	signing *jwtauth.SigningKeys
	ahead   atomic.Int64
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, dir: t.TempDir()}
	w.signing = newKeys(t)
	w.start()
	t.Cleanup(w.stop)
	return w
}

func newKeys(t *testing.T) *jwtauth.SigningKeys {
	return must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: must(jwtauth.GenerateSigningKey(jwtauth.EdDSA))}))
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func (w *world) start() {
	w.broker = must(startBroker(w.dir))
	w.conn = w.connect()
}

func (w *world) stop() {
	w.conn.Close()
	stopBroker(w.broker)
}

func (w *world) connect() *nats.Conn {
	conn := must(nats.Connect(w.broker.ClientURL()))
	w.Cleanup(conn.Close)
	return conn
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) advance(d time.Duration) { w.ahead.Add(int64(d)) }

// queue returns what writes to and reads from a topic, which may be there since
// before the broker was restarted.
func (w *world) queue(topic string) (publisher, jetstream.Consumer) {
	w.Helper()
	stream, messages, err := openStream(w.Context(), w.conn, topic, strings.ToLower(topic)+".>")
	if err != nil {
		w.Fatal(err)
	}
	return must(newPublisher(stream, topic, w.signing)), messages
}

// done is work that a consumer did.
type done struct {
	body   string
	caller authctx.Principal
}

// consumer returns a consumer, and where it notes what it did.
func (w *world) consumer(topic string, keys jwtauth.KeySource) (consumer, *[]done) {
	w.Helper()
	return w.consumerFor(authctx.Permission("invoices:send"), topic, keys)
}

func (w *world) consumerFor(rule authctx.Rule, topic string, keys jwtauth.KeySource) (consumer, *[]done) {
	w.Helper()
	var log []done
	return must(newConsumer(topic, keys, rule, w.now, func(ctx context.Context, body string) error {
		caller, _ := authctx.FromContext(ctx)
		log = append(log, done{body, caller})
		return nil
	})), &log
}

// next takes a message from a queue.
func (w *world) next(messages jetstream.Consumer) jetstream.Msg {
	w.Helper()
	msg, err := messages.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		w.Fatal(err)
	}
	return msg
}

// settled fails unless the broker soon holds nothing that somebody has to do.
func (w *world) settled(messages jetstream.Consumer) {
	w.Helper()
	var info *jetstream.ConsumerInfo
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if info = must(messages.Info(w.Context())); info.NumPending == 0 && info.NumAckPending == 0 {
			return
		}
	}
	w.Errorf("%d messages wait, %d are not done with", info.NumPending, info.NumAckPending)
}

// server starts an HTTP server.
func (w *world) server(h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	w.Cleanup(s.Close)
	return s
}

// providerThatComesBack cannot be reached at first, and has no key until it is given
// one.
type providerThatComesBack struct {
	down int
	key  *jwtauth.Key
}

func (p *providerThatComesBack) Key(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
	switch {
	case p.down > 0:
		p.down--
		return nil, authctx.Unavailable
	case p.key == nil:
		return nil, authctx.UnknownKey
	}
	return p.key, nil
}
