package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The credential of the caller is good for a minute.
func TestWorkOutlivesItsCallersCredentialAndTheBroker(t *testing.T) {
	w := newWorld(t)
	publisher, _ := w.queue(topic)
	asked := time.Now()
	for _, body := range []string{"today", "tomorrow", "next week"} {
		if err := publisher.publish(as(t.Context(), "alice", "invoices:send"), "invoices.1", body); err != nil {
			t.Fatal(err)
		}
	}
	published := time.Now()
	w.stop()
	w.start()

	_, messages := w.queue(topic)
	consumer, log := w.consumer(topic, w.signing)
	w.advance(11 * time.Hour)
	if err := consumer.handle(t.Context(), w.next(messages)); err != nil {
		t.Fatal(err)
	}
	if len(*log) != 1 || (*log)[0].body != "today" || (*log)[0].caller.Subject() != "alice" {
		t.Fatalf("the work was %v", *log)
	}
	caller := (*log)[0].caller
	if asOf := caller.AsOf(); asOf.Before(asked.Truncate(time.Second)) || asOf.After(published) {
		t.Errorf("the caller is as of %v, published from %v until %v", asOf, asked, published)
	}
	if caller.Provenance() != authctx.Signed || !slices.Equal(caller.Permissions(), []string{"invoices:send"}) {
		t.Errorf("the caller is %+v", caller.Attributes())
	}

	w.advance(2 * time.Hour) // the token is good, and what it says is old
	if err := consumer.handle(t.Context(), w.next(messages)); !errors.Is(err, authctx.PermissionDenied) {
		t.Errorf("what the caller may do was looked up 13 hours ago: %v", err)
	}
	w.advance(11 * time.Hour)
	if err := consumer.handle(t.Context(), w.next(messages)); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("after the end of the token: %v", err)
	}
	w.settled(messages)
	if len(*log) != 1 {
		t.Errorf("the work was %v", *log)
	}
}

func TestWorkThatFailedIsDoneAgainAsTheSameCaller(t *testing.T) {
	w := newWorld(t)
	publisher, messages := w.queue(topic)
	consumer, log := w.consumer(topic, w.signing)
	work := consumer.work
	consumer.work = func(ctx context.Context, body string) error {
		if err := work(ctx, body); err != nil || len(*log) == 3 {
			return err
		}
		return errors.New("the printer is out of paper")
	}
	if err := publisher.publish(as(t.Context(), "alice", "invoices:send"), "invoices.1", "invoice"); err != nil {
		t.Fatal(err)
	}
	for attempt := range 3 {
		msg := w.next(messages)
		if err := consumer.handle(t.Context(), msg); (err == nil) != (attempt == 2) {
			t.Errorf("attempt %d: %v", attempt, err)
		}
		if made := must(msg.Metadata()).NumDelivered; made != uint64(attempt+1) {
			t.Errorf("attempt %d is delivery %d", attempt, made)
		}
		w.advance(time.Hour)
	}
	for _, d := range *log {
		if !d.caller.Equal((*log)[0].caller) {
			t.Errorf("done as %+v and as %+v", (*log)[0].caller.Attributes(), d.caller.Attributes())
		}
	}
	w.settled(messages)
}

func TestAMessageIsNotLostWhileKeysAreOutOfReach(t *testing.T) {
	w := newWorld(t)
	var up atomic.Bool
	published := w.server(func(rw http.ResponseWriter, r *http.Request) {
		if up.Load() {
			w.signing.JWKSHandler().ServeHTTP(rw, r)
		} else {
			http.Error(rw, "not yet", http.StatusServiceUnavailable)
		}
	})
	keys := must(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: published.URL}))
	defer keys.Close()
	publisher, messages := w.queue(topic)
	consumer, log := w.consumer(topic, keys)
	if err := publisher.publish(as(t.Context(), "alice", "invoices:send"), "invoices.1", "invoice"); err != nil {
		t.Fatal(err)
	}
	if err := consumer.handle(t.Context(), w.next(messages)); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("without keys: %v", err)
	}
	up.Store(true)
	var err error
	for range 300 { // attempts, of which the broker makes one every 100 ms
		if err = consumer.handle(t.Context(), w.next(messages)); !errors.Is(err, authctx.Unavailable) {
			break
		}
	}
	if err != nil || len(*log) != 1 {
		t.Errorf("with keys: %v, %d handled", err, len(*log))
	}
	w.settled(messages)
}

// Whoever may read one topic and write another has no way to use what it read.
func TestAMessageThatWasMovedIsRefused(t *testing.T) {
	w := newWorld(t)
	invoices, readable := w.queue("INVOICES")
	_, writable := w.queue("REFUNDS")
	if err := invoices.publish(as(t.Context(), "alice", "invoices:send"), "invoices.1", "100 €"); err != nil {
		t.Fatal(err)
	}
	original := w.next(readable)
	moved := nats.NewMsg("refunds.1")
	moved.Header, moved.Data = original.Headers(), original.Data()
	if err := w.connect().PublishMsg(moved); err != nil {
		t.Fatal(err)
	}
	consumer, log := w.consumer("REFUNDS", w.signing)
	if err := consumer.handle(t.Context(), w.next(writable)); !errors.Is(err, authctx.WrongAudience) {
		t.Errorf("moved: %v", err)
	}
	if len(*log) != 0 {
		t.Errorf("it was handled as %v", *log)
	}
}

// Whoever may write the topic that it read gains nothing by it.
func TestAMessageThatIsSentAgainIsNotDoneAgain(t *testing.T) {
	w := newWorld(t)
	publisher, messages := w.queue(topic)
	consumer, log := w.consumer(topic, w.signing)
	for _, body := range []string{"invoice 5", "invoice 6"} {
		if err := publisher.publish(as(t.Context(), "alice", "invoices:send"), "invoices.1", body); err != nil {
			t.Fatal(err)
		}
		original := w.next(messages)
		if err := consumer.handle(t.Context(), original); err != nil {
			t.Fatal(err)
		}
		again := nats.NewMsg("invoices.1")
		again.Header, again.Data = original.Headers(), []byte("invoice 6 000 000")
		if err := w.connect().PublishMsg(again); err != nil {
			t.Fatal(err)
		}
		if err := consumer.handle(t.Context(), w.next(messages)); !errors.Is(err, errDoneBefore) {
			t.Errorf("sent again: %v", err)
		}
	}
	w.settled(messages)
	if len(*log) != 2 {
		t.Errorf("the work was %v", *log)
	}
}

// What a publisher without keys can write, byte by byte as it likes.
func TestHeadersThatSomebodyMadeUpAreRefused(t *testing.T) {
	w := newWorld(t)
	publisher, messages := w.queue(topic)
	token := func(p authctx.Propagator) string {
		headers := nats.Header{}
		if err := authctx.InjectHeaders(as(t.Context(), "alice", "invoices:send"), p, headers); err != nil {
			t.Fatal(err)
		}
		return headers.Get(jwtauth.DeferredField)
	}
	good := token(publisher.caller)
	own := token(must(newPublisher(nil, topic, newKeys(t))).caller)
	elsewhere := token(must(newPublisher(nil, "REFUNDS", w.signing)).caller)
	transaction := transactionToken(t, w.signing)

	raw := must(net.Dial("tcp", strings.TrimPrefix(w.broker.ClientURL(), "nats://")))
	defer raw.Close()
	fmt.Fprint(raw, "CONNECT {\"verbose\":false,\"headers\":true}\r\n")
	consumer, log := w.consumer(topic, w.signing)
	for _, try := range []struct {
		what, headers string
		want          authctx.Reason
	}{
		{"nothing", "Trace: 1", authctx.NoCredentials},
		{"plain fields", "x-user-id: alice\r\nx-user-issuer: https://idp.example\r\nx-user-permissions: invoices:send", authctx.NoCredentials},
		{"an empty token", "x-user-deferred: ", authctx.NoCredentials},
		{"no token", "x-user-deferred: alice", authctx.InvalidToken},
		{"a token for another topic", "x-user-deferred: " + elsewhere, authctx.WrongAudience},
		{"a transaction token", "x-user-deferred: " + transaction, authctx.WrongType},
		{"a transaction token in its place", "txn-token: " + transaction, authctx.NoCredentials},
		{"a token and another", "x-user-deferred: " + good + "\r\nx-user-deferred: " + own, authctx.InvalidRequest},
		{"a token and another that is spelled differently", "x-user-deferred: " + good + "\r\nX-USER-DEFERRED: " + own, authctx.InvalidRequest},
		{"a token and plain fields", "x-user-deferred: " + good + "\r\nX-User-Roles: admin", authctx.InvalidRequest},
		{"a token under another name", "x_user_deferred: " + good + "\r\nx-user-deferred : " + good, authctx.NoCredentials},
	} {
		headers := "NATS/1.0\r\n" + try.headers + "\r\n\r\n"
		fmt.Fprintf(raw, "HPUB invoices.1 %d %d\r\n%s%s\r\n", len(headers), len(headers)+len("invoice"), headers, "invoice")
		if err := consumer.handle(t.Context(), w.next(messages)); !errors.Is(err, try.want) {
			t.Errorf("%s: %v, want %v", try.what, err, try.want)
		}
	}
	if len(*log) != 0 {
		t.Errorf("some were handled: %v", *log)
	}
	// The same by hand, spelled as clients in other languages do, is good.
	headers := "NATS/1.0\r\nX-User-Deferred:" + good + "\r\n\r\n"
	fmt.Fprintf(raw, "HPUB invoices.1 %d %d\r\n%s%s\r\n", len(headers), len(headers)+len("invoice"), headers, "invoice")
	if err := consumer.handle(t.Context(), w.next(messages)); err != nil || len(*log) != 1 {
		t.Errorf("a good one: %v, %d handled", err, len(*log))
	}
	if info, err := bufio.NewReader(raw).ReadString('\n'); err != nil || !strings.HasPrefix(info, "INFO ") {
		t.Errorf("the broker said %q, %v", info, err)
	}
}

// What another program signs is refused in the end, and what is signed with a key
// that is published a little later is not.
func TestAMessageWaitsForItsKey(t *testing.T) {
	for published := range 2 {
		w := newWorld(t)
		key := must(jwtauth.GenerateSigningKey(jwtauth.EdDSA))
		signing := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key}))
		_, messages := w.queue(topic)
		made := must(newPublisher(must(jetstream.New(w.conn)), topic, signing))
		if err := made.publish(as(t.Context(), "alice", "invoices:send"), "invoices.1", "invoice"); err != nil {
			t.Fatal(err)
		}
		known := newKeys(t)
		consumer, log := w.consumer(topic, known)
		tries := 0
		for err := error(authctx.UnknownKey); errors.Is(err, authctx.UnknownKey) && tries < maxTries; tries++ {
			if tries == 2 && published == 1 {
				if err := known.Publish(key.VerificationKey()); err != nil {
					t.Fatal(err)
				}
			}
			err = consumer.handle(t.Context(), w.next(messages))
		}
		if want := []int{maxTries, 3}[published]; tries != want || len(*log) != published {
			t.Errorf("published: %d, %d tries instead of %d, %d handled", published, tries, want, len(*log))
		}
		w.settled(messages)
	}
}

// A provider that comes back is often behind for a while with what it publishes.
func TestAnOutageIsNoDoubtAboutAMessage(t *testing.T) {
	w := newWorld(t)
	key := must(jwtauth.GenerateSigningKey(jwtauth.EdDSA))
	_, messages := w.queue(topic)
	publisher := must(newPublisher(must(jetstream.New(w.conn)), topic, must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key}))))
	if err := publisher.publish(as(t.Context(), "alice", "invoices:send"), "invoices.1", "invoice"); err != nil {
		t.Fatal(err)
	}
	provider := &providerThatComesBack{down: maxTries}
	consumer, log := w.consumer(topic, provider)
	for range maxTries {
		if err := consumer.handle(t.Context(), w.next(messages)); !errors.Is(err, authctx.Unavailable) {
			t.Fatal(err)
		}
	}
	if err := consumer.handle(t.Context(), w.next(messages)); !errors.Is(err, authctx.UnknownKey) {
		t.Fatal(err)
	}
	provider.key = key.VerificationKey()
	if err := consumer.handle(t.Context(), w.next(messages)); err != nil || len(*log) != 1 {
		t.Errorf("%v, %d handled", err, len(*log))
	}
	w.settled(messages)
}

// Another replica ends messages that this one doubted, and does not say so.
func TestDoubtsAboutMessagesThatOthersEndedDoNotAddUp(t *testing.T) {
	w := newWorld(t)
	_, messages := w.queue(topic)
	publisher := must(newPublisher(must(jetstream.New(w.conn)), topic, newKeys(t)))
	consumer, _ := w.consumer(topic, w.signing)
	for place := range uint64(maxDoubts) {
		consumer.doubts[1000+place] = 1
	}
	if err := publisher.publish(as(t.Context(), "alice", "invoices:send"), "invoices.1", "invoice"); err != nil {
		t.Fatal(err)
	}
	for range maxTries {
		if err := consumer.handle(t.Context(), w.next(messages)); !errors.Is(err, authctx.UnknownKey) {
			t.Fatal(err)
		}
		if n := len(consumer.doubts); n > maxDoubts {
			t.Errorf("%d doubts", n)
		}
	}
	w.settled(messages)
}

// A worker asks others for more: over HTTP, and in a message that it makes of the
// one it got. What they see is the caller, not what the message says.
func TestAWorkerCarriesItsCallerOn(t *testing.T) {
	w := newWorld(t)
	received := make(chan http.Header, 1)
	billing := w.server(func(_ http.ResponseWriter, r *http.Request) { received <- r.Header.Clone() })
	fields := must(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Now: w.now}))
	client := &http.Client{Transport: must(httpctx.NewTransport(httpctx.TransportConfig{
		Propagator: fields, Destinations: []string{strings.TrimPrefix(billing.URL, "http://")},
	}))}
	mails, posted := w.queue("MAILS")
	mails.caller = must(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: trustDomain, Topic: "MAILS", Workload: "worker", Keys: w.signing, Lifetime: 23 * time.Hour, Now: w.now,
		Scopes: jwtauth.CallerScopes,
	}))

	publisher, messages := w.queue(topic)
	consumer, log := w.consumer(topic, w.signing)
	if err := publisher.publish(as(t.Context(), "alice", "invoices:send"), "invoices.1", "invoice"); err != nil {
		t.Fatal(err)
	}
	w.advance(10 * time.Hour)
	msg := w.next(messages)
	work := consumer.work
	consumer.work = func(ctx context.Context, body string) error {
		req := must(http.NewRequestWithContext(ctx, http.MethodPost, billing.URL, nil))
		for name, values := range msg.Headers() { // whoever wrote this has been careless
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		mail := nats.NewMsg("mails.1")
		mail.Header = maps.Clone(msg.Headers())
		mail.Header["X_User_Roles"] = []string{"admin", "root"}
		mail.Header["Trace"] = []string{"1", "2"}
		if err := authctx.InjectHeaders(ctx, mails.caller, mail.Header); err != nil {
			return err
		}
		if _, err := mails.stream.PublishMsg(ctx, mail); err != nil {
			return err
		}
		return work(ctx, body)
	}
	if err := consumer.handle(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	got := <-received
	if got.Get("X-User-Id") != "alice" || got.Get(jwtauth.DeferredField) != "" {
		t.Errorf("over HTTP: %v", got)
	}

	mail := w.next(posted)
	if names := slices.Sorted(maps.Keys(mail.Headers())); !slices.Equal(names, []string{"Trace", jwtauth.DeferredField}) || len(mail.Headers()["Trace"]) != 2 {
		t.Errorf("the headers are %v", mail.Headers())
	}
	first := (*log)[0].caller
	postman, log := w.consumer("MAILS", w.signing)
	if err := postman.handle(t.Context(), mail); err != nil {
		t.Fatal(err)
	}
	if then := (*log)[0].caller; !then.AsOf().Equal(first.AsOf()) || !then.Expires().Equal(first.Expires()) || then.Subject() != "alice" {
		t.Errorf("passed on as of %v until %v, first as of %v until %v", then.AsOf(), then.Expires(), first.AsOf(), first.Expires())
	}
}

// Nobody asked for what a clock starts: the job is its own caller.
func TestAScheduledJobPublishesAsAService(t *testing.T) {
	w := newWorld(t)
	publisher, messages := w.queue(topic)
	consumer, log := w.consumerFor(authctx.RuleFunc(func(_ context.Context, p authctx.Principal) error {
		if p.Kind() != authctx.Service || p.Issuer() != trustDomain || p.Subject() != "nightly" {
			return errors.New("the nightly job does that")
		}
		return nil
	}), topic, w.signing)
	nightly := must(authctx.New(authctx.Attributes{Issuer: trustDomain, Subject: "nightly", Kind: authctx.Service}))
	tick := time.NewTicker(20 * time.Millisecond) // of the night
	defer tick.Stop()
	for range 2 {
		<-tick.C
		if err := publisher.publish(authctx.NewContext(t.Context(), nightly), "invoices.all", "reminders"); err != nil {
			t.Fatal(err)
		}
		if err := consumer.handle(t.Context(), w.next(messages)); err != nil {
			t.Error(err)
		}
	}
	if len(*log) != 2 {
		t.Errorf("the work was %v", *log)
	}
	if err := publisher.publish(t.Context(), "invoices.all", "reminders"); !errors.Is(err, authctx.NoCredentials) {
		t.Errorf("published by nobody: %v", err)
	}
	w.settled(messages)
}
