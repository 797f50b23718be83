package jwtauth_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// deferredWorld is a publisher to the topic "orders" and a consumer of "orders"
// and "mails".
type deferredWorld struct {
	*testClock
	keys     *jwtauth.SigningKeys
	publish  *jwtauth.DeferredPropagator
	consumer *jwtauth.DeferredAuthenticator
}

func newDeferredWorld(t testing.TB, change ...func(*jwtauth.DeferredAuthenticatorConfig)) *deferredWorld {
	t.Helper()
	w := &deferredWorld{testClock: newTestClock()}
	w.keys = must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA), Now: w.Now}))
	w.publish = w.publisher("orders")
	cfg := jwtauth.DeferredAuthenticatorConfig{
		TrustDomain: testDomain, Topics: []string{"orders", "mails"}, Keys: w.keys, Leeway: jwtauth.NoLeeway, Now: w.Now,
	}
	for _, c := range change {
		c(&cfg)
	}
	w.consumer = must(jwtauth.NewDeferredAuthenticator(cfg))
	return w
}

func (w *deferredWorld) publisher(topic string) *jwtauth.DeferredPropagator {
	return must(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: testDomain, Topic: topic, Workload: "shop", Keys: w.keys, Lifetime: 12 * time.Hour, Now: w.Now,
	}))
}

// message returns the headers of a message for p.
func (w *deferredWorld) message(t testing.TB, prop authctx.Propagator, p authctx.Principal) map[string]string {
	t.Helper()
	headers := map[string]string{}
	if err := authctx.InjectHeaders(authctx.NewContext(context.Background(), p), prop, headers); err != nil {
		t.Fatal(err)
	}
	return headers
}

func (w *deferredWorld) consume(topic string, headers map[string]string) (authctx.Principal, error) {
	ctx, err := authctx.ExtractHeaders(context.Background(), w.consumer, topic, headers)
	if err != nil {
		return authctx.Principal{}, err
	}
	p, _ := authctx.FromContext(ctx)
	return p, nil
}

func TestDeferredWorkOutlivesTheCredentialAndSaysSince(t *testing.T) {
	w := newDeferredWorld(t)
	a := fullAttributes(w.Now())
	a.AsOf, a.Expires = time.Time{}, w.Now().Add(time.Minute)
	p, published := must(authctx.New(a)), w.Now()
	headers := w.message(t, w.publish, p)
	w.Advance(11 * time.Hour)
	got, err := w.consume("orders", headers)
	if err != nil {
		t.Fatal(err)
	}
	if !got.AsOf().Equal(published) {
		t.Errorf("as of %v, want %v", got.AsOf(), published)
	}
	if want := published.Add(12 * time.Hour); !got.Expires().Equal(want) {
		t.Errorf("ends at %v, want %v", got.Expires(), want)
	}
	have, want := got.Attributes(), p.Attributes()
	for _, attrs := range []*authctx.Attributes{&have, &want} {
		attrs.AsOf, attrs.Expires, attrs.Claims, attrs.Provenance = time.Time{}, time.Time{}, "", 0
	}
	if !reflect.DeepEqual(have, want) || got.Provenance() != authctx.Signed {
		t.Errorf("\n got %+v\nwant %+v", have, want)
	}
	w.Advance(time.Hour)
	if _, err := w.consume("orders", headers); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("after its life: %v", err)
	}
}

func TestRule8_DeferredWorkIsNobodys(t *testing.T) {
	w := newDeferredWorld(t)
	prop := must(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: testDomain, Topic: "orders", Workload: "shop", Keys: w.keys, Lifetime: time.Hour, Now: w.Now,
		Scopes: func(context.Context, authctx.Principal) ([]string, error) {
			t.Error("asked for the scopes of nobody")
			return []string{"orders.write"}, nil
		},
	}))
	err := prop.Inject(t.Context(), authctx.Principal{}, func(name, _ string) { t.Errorf("%s was written", name) })
	if !errors.Is(err, authctx.NoCredentials) {
		t.Error(err)
	}
}

func TestDeferredWorkIsForOneTopic(t *testing.T) {
	w := newDeferredWorld(t)
	headers := w.message(t, w.publish, jwtauthtest.User(t))
	for _, topic := range []string{"mails", "other", "", "Orders"} {
		if _, err := w.consume(topic, headers); !errors.Is(err, authctx.WrongAudience) {
			t.Errorf("on topic %q: %v", topic, err)
		}
	}
}

func TestDeferredWorkIsNeverAcceptedOnHTTPOrGRPC(t *testing.T) {
	w := newDeferredWorld(t)
	token := w.message(t, w.publish, jwtauthtest.User(t))[jwtauth.DeferredField]
	for _, transport := range []string{"http", "grpc", ""} {
		r := &authctx.Request{Transport: transport, Target: "orders", Fields: authctx.FieldMap(map[string][]string{jwtauth.DeferredField: {token}})}
		if _, err := authctx.Authenticate(t.Context(), w.consumer, r); !errors.Is(err, authctx.WrongType) {
			t.Errorf("transport %q: %v", transport, err)
		}
	}
	// The same keys, issuer and audience: only the type differs.
	svc := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{
		TrustDomain: "orders", Issuer: testDomain, Keys: w.keys, AcceptOlderDrafts: true, Now: w.Now,
	}))
	if _, err := authctx.Authenticate(t.Context(), svc, txnRequest(token)); !errors.Is(err, authctx.WrongType) {
		t.Errorf("as transaction token: %v", err)
	}
	access := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: testDomain, Audiences: []string{"orders"}, Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Keys: w.keys, Now: w.Now,
	}))
	if _, err := access.Verify(t.Context(), token); !errors.Is(err, authctx.WrongType) {
		t.Errorf("as access token: %v", err)
	}
	if !authctx.IdentityFields().Owns(jwtauth.DeferredField) {
		t.Error("servers do not strip the field")
	}
	layout := authctx.FieldLayout{Subject: jwtauth.DeferredField}
	if _, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &layout, SoleIssuer: "i"}); err == nil {
		t.Error("an attribute may be written in its place")
	}
}

func TestOtherTokensAreNotDeferredWork(t *testing.T) {
	w := newDeferredWorld(t)
	edge := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: "orders", Issuer: testDomain, Workload: "w", Keys: w.keys, Now: w.Now}))
	txn := must(inject(t.Context(), edge, jwtauthtest.User(t)))
	if _, err := w.consume("orders", map[string]string{jwtauth.DeferredField: txn}); !errors.Is(err, authctx.WrongType) {
		t.Errorf("a transaction token: %v", err)
	}
	if _, err := w.consume("orders", map[string]string{authctx.TxnTokenField: txn}); !errors.Is(err, authctx.NoCredentials) {
		t.Errorf("a message without a deferred-work token: %v", err)
	}
	headers := w.message(t, w.publish, jwtauthtest.User(t))
	headers["X-User-Deferred"] = headers[jwtauth.DeferredField]
	if _, err := w.consume("orders", headers); !errors.Is(err, authctx.InvalidRequest) {
		t.Errorf("two tokens: %v", err)
	}
}

func TestPassingWorkOnGainsNoTime(t *testing.T) {
	const leeway = time.Minute
	w := newDeferredWorld(t, func(c *jwtauth.DeferredAuthenticatorConfig) { c.Leeway = leeway })
	start := w.Now()
	p := must(w.consume("orders", w.message(t, w.publish, jwtauthtest.User(t))))
	end := start.Add(12*time.Hour + leeway)
	for range 3 {
		w.Advance(3 * time.Hour)
		p = must(w.consume("mails", w.message(t, w.publisher("mails"), p)))
		if !p.Expires().Equal(end) || !p.AsOf().Equal(start) {
			t.Errorf("passed on: as of %v until %v, want %v until %v", p.AsOf(), p.Expires(), start, end)
		}
	}
	w.Advance(3*time.Hour + leeway)
	err := w.publish.Inject(t.Context(), p, func(string, string) { t.Error("wrote a token") })
	if !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("published for a caller whose end has come: %v", err)
	}
}

func TestDeferredWorkIsGrantedNoMoreThanItsCallerHas(t *testing.T) {
	w := newDeferredWorld(t)
	down := errors.New("no route")
	scoped := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes = []string{"a", "b"} })
	bare := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes = nil })
	grant := func(err error, granted ...string) func(context.Context, authctx.Principal) ([]string, error) {
		return func(context.Context, authctx.Principal) ([]string, error) { return granted, err }
	}
	for name, c := range map[string]struct {
		caller authctx.Principal
		scopes func(context.Context, authctx.Principal) ([]string, error)
		want   error // nil: published
	}{
		"less":                       {scoped, grant(nil, "a"), nil},
		"more":                       {scoped, grant(nil, "a", "c"), authctx.PermissionDenied},
		"unknown, and nobody to ask": {bare, nil, authctx.PermissionDenied},
		"who is asked cannot tell":   {scoped, grant(down, "a"), down},
	} {
		prop := must(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
			TrustDomain: testDomain, Topic: "orders", Workload: "shop", Keys: w.keys, Lifetime: time.Hour, Scopes: c.scopes, Now: w.Now,
		}))
		written := false
		err := prop.Inject(t.Context(), c.caller, func(string, string) { written = true })
		if !errors.Is(err, c.want) || written != (c.want == nil) {
			t.Errorf("%s: %v, written: %v", name, err, written)
		}
	}
}

func TestScopesThatWereNarrowedToNoneStayNone(t *testing.T) {
	w := newDeferredWorld(t)
	scopes := func(granted ...string) func(context.Context, authctx.Principal) ([]string, error) {
		return func(context.Context, authctx.Principal) ([]string, error) { return granted, nil }
	}
	publish := must(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: testDomain, Topic: "orders", Workload: "shop", Keys: w.keys, Lifetime: time.Hour, Scopes: scopes(), Now: w.Now,
	}))
	p := must(w.consume("orders", w.message(t, publish, jwtauthtest.User(t))))
	edge := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: testDomain, Workload: "consumer", Keys: w.keys, Scopes: scopes("orders.write"), Now: w.Now,
	}))
	if _, err := inject(t.Context(), edge, p); !errors.Is(err, authctx.PermissionDenied) {
		t.Errorf("a scope that the caller never had: %v", err)
	}
	again := must(w.consume("mails", w.message(t, w.publisher("mails"), p)))
	if len(again.Scopes()) != 0 {
		t.Errorf("passed on with the scopes %v", again.Scopes())
	}
}

func TestDeferredWorkIsRevocable(t *testing.T) {
	list := &jwtauth.MemoryRevocations{}
	w := newDeferredWorld(t, func(c *jwtauth.DeferredAuthenticatorConfig) { c.Revocations = list })
	p := jwtauthtest.User(t)
	headers := w.message(t, w.publish, p)
	if _, err := w.consume("orders", headers); err != nil {
		t.Fatal(err)
	}
	list.RevokeSession(p.Issuer(), p.SessionID(), time.Now().Add(time.Hour))
	if _, err := w.consume("orders", headers); !errors.Is(err, authctx.TokenRevoked) {
		t.Errorf("after the session was revoked: %v", err)
	}
}

// The credential is what somebody revokes, and its end is what they know.
func TestRule5_ARevocationOutlastsTheWorkThatWaits(t *testing.T) {
	clock := newTestClock()
	list := &jwtauth.MemoryRevocations{Now: clock.Now}
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: newTestKey(t, jwtauth.EdDSA), Retain: 2 * jwtauth.MaxDeferredLifetime, Now: clock.Now,
	}))
	w := &deferredWorld{
		publish: must(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
			TrustDomain: testDomain, Topic: "orders", Workload: "shop", Keys: keys, Lifetime: jwtauth.MaxDeferredLifetime, Now: clock.Now,
		})),
		consumer: must(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
			TrustDomain: testDomain, Topics: []string{"orders"}, Keys: keys, Revocations: list, Leeway: jwtauth.MaxLeeway, Now: clock.Now,
		})),
	}
	p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.TokenID, a.Expires = "t1", clock.Now().Add(10*time.Minute) })
	must(0, list.RevokeToken(p.Issuer(), p.TokenID(), p.Expires()))
	clock.Advance(9 * time.Minute) // the publisher has not heard of it
	headers := w.message(t, w.publish, p)
	for hour := range 7 * 24 {
		clock.Advance(time.Hour)
		if _, err := w.consume("orders", headers); !errors.Is(err, authctx.TokenRevoked) {
			t.Fatalf("hour %d: %v", hour+1, err)
		}
	}
	clock.Advance(jwtauth.MaxLeeway)
	if _, err := w.consume("orders", headers); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("in the end: %v", err)
	}
}

func TestRule1_DeferredConfigNamesEveryMissingSetting(t *testing.T) {
	_, err := jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{})
	for _, want := range []string{"TrustDomain", "Topic", "Workload", "Keys", "Lifetime"} {
		if err == nil || !strings.Contains(err.Error(), "jwtauth: deferred work propagator: "+want) {
			t.Errorf("propagator: error does not name %s: %v", want, err)
		}
	}
	for _, life := range []time.Duration{-time.Minute, time.Second - 1, 1500 * time.Millisecond, jwtauth.MaxDeferredLifetime + time.Second} {
		_, err := jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{Lifetime: life})
		if err == nil || !strings.Contains(err.Error(), "Lifetime is required and must be whole seconds") {
			t.Errorf("propagator: a life of %v: %v", life, err)
		}
	}
	_, err = jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{})
	for _, want := range []string{"TrustDomain", "Topics", "Keys"} {
		if err == nil || !strings.Contains(err.Error(), "jwtauth: deferred work authenticator: "+want) {
			t.Errorf("authenticator: error does not name %s: %v", want, err)
		}
	}
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
	_, err = jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: "d", Topic: "t", Workload: "w", Keys: keys, Lifetime: 48 * time.Hour,
	})
	if err == nil {
		t.Error("accepted work that outlives published keys")
	}
}

// A message has one caller: of two that are told in different ways each would be
// somebody else's word about the other.
func TestACallerOfTwoKindsIsRefusedByAllOfThem(t *testing.T) {
	w := newDeferredWorld(t)
	p := jwtauthtest.User(t)
	mint := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: testDomain, Workload: "w", Keys: w.keys, Now: w.Now}))
	kinds := map[string]struct {
		out authctx.Propagator
		in  authctx.Authenticator
	}{
		"fields": {must(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Now: w.Now})),
			must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone(), Now: w.Now}))},
		"txn":      {mint, must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: testDomain, Keys: w.keys, Now: w.Now}))},
		"deferred": {w.publish, w.consumer},
	}
	for one, first := range kinds {
		headers := w.message(t, first.out, p)
		if _, err := authctx.ExtractHeaders(t.Context(), first.in, "orders", headers); err != nil {
			t.Errorf("%s alone: %v", one, err)
		}
		for other, second := range kinds {
			if one == other {
				continue
			}
			both := maps.Clone(headers)
			maps.Copy(both, w.message(t, second.out, p))
			for reader, a := range map[string]authctx.Authenticator{one: first.in, other: second.in} {
				if _, err := authctx.ExtractHeaders(t.Context(), a, "orders", both); !errors.Is(err, authctx.InvalidRequest) {
					t.Errorf("%s and %s, read by %s: %v", one, other, reader, err)
				}
			}
		}
	}
}
