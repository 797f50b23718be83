package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// An event is handled as the caller on whose behalf it was published, and the
// consumer decides how old that may be.
func ExampleDeferredPropagator() {
	// Made up for this example; a publisher's key must survive its restarts.
	key, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	keys, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})

	// The publisher.
	orders, err := jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: "prod.example.com",
		Topic:       "orders",
		Workload:    "spiffe://prod.example.com/shop",
		Keys:        keys,
		Lifetime:    12 * time.Hour,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	caller, _ := authctx.New(authctx.Attributes{
		Issuer: "https://idp.example.com", Subject: "alice", Roles: []string{"buyer"}, Scopes: []string{"orders.write"},
	})
	headers := map[string]string{"content-type": "application/json"}
	fmt.Println(authctx.InjectHeaders(authctx.NewContext(context.Background(), caller), orders, headers))

	// The consumer, perhaps hours later.
	consumer, err := jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
		TrustDomain: "prod.example.com",
		Topics:      []string{"orders"},
		Keys:        keys, // elsewhere NewRemoteKeys with the publisher's URL
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, err := authctx.ExtractHeaders(context.Background(), consumer, "orders", headers)
	if err != nil {
		fmt.Println(err) // a bad message, or one to give back, see authctx.ExtractHeaders
		return
	}
	recent := authctx.RuleFunc(func(_ context.Context, p authctx.Principal) error {
		if time.Since(p.AsOf()) > 6*time.Hour {
			return errors.New("what the caller may do was looked up too long ago")
		}
		return nil
	})
	p, _ := authctx.FromContext(ctx)
	fmt.Println(p, authctx.Authorize(ctx, authctx.All(authctx.Role("buyer"), recent)))
	// Output:
	// <nil>
	// user alice of https://idp.example.com (signed) <nil>
}

// A consumer says which topics it reads; a token is good for its own topic only.
func ExampleNewDeferredAuthenticator() {
	_, err := jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{TrustDomain: "prod.example.com", Keys: someKeys()})
	fmt.Println(err)
	_, err = jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
		TrustDomain: "prod.example.com", Topics: []string{"orders", "refunds"}, Keys: someKeys(),
	})
	fmt.Println(err)
	// Output:
	// jwtauth: deferred work authenticator: Topics is required and must not hold empty names
	// <nil>
}

// Brokers deliver a message more than once, and whoever saw one may send it
// again: the ID in its token is the same each time.
func ExampleDeferredAuthenticator() {
	key, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	keys, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	publish, _ := jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: "prod.example.com", Topic: "orders", Workload: "shop", Keys: keys, Lifetime: time.Hour,
	})
	consumer, _ := jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
		TrustDomain: "prod.example.com", Topics: []string{"orders"}, Keys: keys,
	})
	done := map[string]bool{} // in earnest, stored in one step with what is done
	handle := func(headers map[string]string) error {
		ctx, err := authctx.ExtractHeaders(context.Background(), consumer, "orders", headers)
		if err != nil {
			return err
		}
		caller, _ := authctx.FromContext(ctx)
		var work struct {
			ID string `json:"txn"`
		}
		if err := caller.DecodeClaims(&work); err != nil {
			return err
		}
		if done[work.ID] {
			return errors.New("done before")
		}
		done[work.ID] = true
		return nil
	}

	caller, _ := authctx.New(authctx.Attributes{Issuer: "https://idp.example.com", Subject: "alice", Scopes: []string{"orders.write"}})
	first, second := map[string]string{}, map[string]string{}
	for _, headers := range []map[string]string{first, second} {
		if err := authctx.InjectHeaders(authctx.NewContext(context.Background(), caller), publish, headers); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(handle(first), handle(second), handle(first))
	// Output: <nil> <nil> done before
}

// A scheduled job has no caller but itself: it is a service of the trust domain and
// mints for its calls, with a key of its own. The gateway publishes that key beside
// its own: services that look for a key could not ask a job that does not run.
func ExampleTxnPropagator_scheduledJob() {
	jobs, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA) // the same in every run, see NewSigningKey
	keys, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: jobs})
	minter, err := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: "prod.example.com",
		Workload:    "spiffe://prod.example.com/nightly",
		Keys:        keys,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	job, err := authctx.New(authctx.Attributes{
		Issuer: "spiffe://prod.example.com", Subject: "spiffe://prod.example.com/nightly",
		Kind: authctx.Service, Scopes: []string{"reports.write"}, Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := authctx.NewContext(context.Background(), job) // for the job's HTTP and gRPC clients
	p, _ := authctx.FromContext(ctx)
	header := map[string][]string{}
	err = minter.Inject(ctx, p, func(name, value string) { header[name] = []string{value} })
	fmt.Println(len(header), err)

	// The gateway, and a service that knows no other URL.
	gateways, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	signing, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: gateways, Published: []*jwtauth.Key{jobs.VerificationKey()}})
	gateway := httptest.NewServer(signing.JWKSHandler())
	defer gateway.Close()
	published, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: gateway.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer published.Close()
	service, err := jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "prod.example.com", Keys: published})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := service.Authenticate(context.Background(), &authctx.Request{Fields: authctx.FieldMap(header)})
	fmt.Println(res.Principal, err)
	// Output:
	// 1 <nil>
	// service spiffe://prod.example.com/nightly of spiffe://prod.example.com (signed) <nil>
}
