package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/nats-io/nats.go"
)

// What waits for nobody needs no token that waits: within a broker that only
// trusted programs can write to, plain fields do.
func TestPlainFieldsAreReadAsTheyWereWritten(t *testing.T) {
	w := newWorld(t)
	fields := must(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{}))
	reader := must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()}))
	caller := must(authctx.New(authctx.Attributes{
		Issuer: "https://idp.example", Subject: " a,b=c%20\r\nx-user-roles: admin\x00 ", Name: "Zoë Ōkami", Roles: []string{"a b", "c,d", "é"},
		Extra: map[string][]string{"k=": {"v"}}, Expires: time.Now().Add(time.Minute).Truncate(time.Second),
	}))
	updates := must(w.conn.SubscribeSync("updates.>"))
	msg := nats.NewMsg("updates.1")
	msg.Header = nats.Header{"X-USER-ID": {"mallory", "eve"}, "x_user_tenant": {"evil"}, "Txn-Token": {"x"}, "Trace": {"1", "2"}}
	if err := authctx.InjectHeaders(authctx.NewContext(t.Context(), caller), fields, msg.Header); err != nil {
		t.Fatal(err)
	}
	if err := w.conn.PublishMsg(msg); err != nil {
		t.Fatal(err)
	}
	got := must(updates.NextMsg(patience))
	ctx, err := authctx.ExtractHeaders(t.Context(), reader, "updates", got.Header)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := authctx.FromContext(ctx)
	want, have := caller.Attributes(), p.Attributes()
	want.AsOf, have.AsOf = time.Time{}, time.Time{}
	if !must(authctx.New(have)).Equal(must(authctx.New(want))) {
		t.Errorf("\n got %+v\nwant %+v", have, want)
	}
	if got.Header.Get("Txn-Token") != "" || got.Header.Get("X-USER-ID") != "" || !slices.Equal(got.Header["Trace"], []string{"1", "2"}) {
		t.Errorf("the headers are %v", got.Header)
	}
}

// Requests are answered while the caller waits, so that a Transaction Token does,
// and the service carries it on as it came.
func TestARequestIsAnsweredAsItsCallerAndCarriedOn(t *testing.T) {
	w := newWorld(t)
	received := make(chan http.Header, 1)
	billing := w.server(func(_ http.ResponseWriter, r *http.Request) { received <- r.Header.Clone() })
	client := &http.Client{Transport: must(httpctx.NewTransport(httpctx.TransportConfig{
		Propagator: jwtauth.TxnForwarder{}, Destinations: []string{strings.TrimPrefix(billing.URL, "http://")},
	}))}
	service := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: trustDomain, Keys: w.signing}))
	serve := func(msg *nats.Msg) error {
		ctx, err := authctx.ExtractHeaders(t.Context(), service, "orders", msg.Header)
		if err == nil {
			err = authctx.Authorize(ctx, authctx.Permission("orders:read"))
		}
		if err != nil {
			return msg.Respond([]byte("refused: " + authctx.ReasonOf(err).Public().String()))
		}
		resp, err := client.Do(must(http.NewRequestWithContext(ctx, http.MethodGet, billing.URL, nil)))
		if err != nil {
			return err
		}
		resp.Body.Close()
		caller, _ := authctx.FromContext(ctx)
		return msg.Respond([]byte("order of " + caller.Subject()))
	}
	conn := w.connect()
	must(conn.Subscribe("orders.*", func(msg *nats.Msg) {
		if err := serve(msg); err != nil {
			t.Error(err)
		}
	}))
	if err := conn.Flush(); err != nil { // until the server knows, nobody responds
		t.Fatal(err)
	}
	edge := newEdge(t, w.signing)
	ask := func(ctx context.Context) string {
		msg := nats.NewMsg("orders.1")
		if err := authctx.InjectHeaders(ctx, edge, msg.Header); err != nil && !errors.Is(err, authctx.NoCredentials) {
			t.Fatal(err)
		}
		reply := must(w.conn.RequestMsg(msg, patience))
		if len(reply.Header) > 0 {
			t.Errorf("the answer has headers: %v", slices.Collect(maps.Keys(reply.Header)))
		}
		return string(reply.Data)
	}
	if got := ask(as(t.Context(), "alice", "orders:read")); got != "order of alice" {
		t.Fatalf("alice gets %q", got)
	}
	if got := <-received; got.Get(authctx.TxnTokenField) == "" || got.Get("X-User-Id") != "" {
		t.Errorf("billing got %v", got)
	}
	if got := ask(as(t.Context(), "bob")); got != "refused: permission_denied" {
		t.Errorf("bob gets %q", got)
	}
	if got := ask(t.Context()); got != "refused: no_credentials" {
		t.Errorf("nobody gets %q", got)
	}
}

func newEdge(t *testing.T, keys *jwtauth.SigningKeys) *jwtauth.TxnPropagator {
	t.Helper()
	return must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: trustDomain, Workload: "gateway", Keys: keys,
		Scopes: jwtauth.CallerScopes,
	}))
}

func transactionToken(t *testing.T, keys *jwtauth.SigningKeys) string {
	t.Helper()
	headers := map[string]string{}
	if err := authctx.InjectHeaders(as(t.Context(), "alice"), newEdge(t, keys), headers); err != nil {
		t.Fatal(err)
	}
	return headers[authctx.TxnTokenField]
}
