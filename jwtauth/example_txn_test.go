package jwtauth_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// A gateway mints a Transaction Token for its caller, and a service behind it
// verifies the token with the gateway's public keys.
func ExampleTxnPropagator() {
	// At the edge.
	key, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	keys, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	if err != nil {
		fmt.Println(err)
		return
	}
	edge, err := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: "prod.example.com",
		Workload:    "spiffe://prod.example.com/gateway",
		Keys:        keys, // served by keys.JWKSHandler()
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	caller, _ := authctx.New(authctx.Attributes{
		Issuer: "https://idp.example.com", Subject: "alice", Provenance: authctx.Verified,
		Roles: []string{"editor"}, Scopes: []string{"orders.read"},
	})
	header := map[string][]string{}
	err = edge.Inject(context.Background(), caller, func(name, value string) { header[name] = []string{value} })
	fmt.Println(len(header), err)

	// In a service. Elsewhere Keys is NewRemoteKeys with the gateway's URL.
	service, err := jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "prod.example.com", Keys: keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := service.Authenticate(context.Background(), &authctx.Request{Fields: authctx.FieldMap(header)})
	fmt.Println(res.Principal, res.Principal.Roles(), err)
	// Output:
	// 1 <nil>
	// user alice of https://idp.example.com (signed) [editor] <nil>
}

// A service finds the gateway's keys where the gateway publishes them.
func ExampleNewTxnAuthenticator() {
	key, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	signing, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	gateway := httptest.NewServer(signing.JWKSHandler())
	defer gateway.Close()

	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: gateway.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()
	service, err := jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "prod.example.com", Keys: keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	header := map[string][]string{"X-User-Id": {"alice"}} // says nothing to this authenticator
	_, err = service.Authenticate(context.Background(), &authctx.Request{Fields: authctx.FieldMap(header)})
	fmt.Println(service.Fields().Names, err)
	// Output: [txn-token] authctx: no credentials
}

// Two gateways mint for the same services, each with keys of its own, and services
// believe both. In services the two sources are NewRemoteKeys with the URLs where
// the gateways publish their keys.
func ExampleJoinKeys() {
	caller, _ := authctx.New(authctx.Attributes{Issuer: "https://idp.example.com", Subject: "alice", Scopes: []string{"orders.read"}})
	var sources []jwtauth.KeySource
	var minters []*jwtauth.TxnPropagator
	for _, workload := range []string{"public-gateway", "partner-gateway"} {
		key, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
		keys, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
		minter, err := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: "prod.example.com", Workload: workload, Keys: keys})
		if err != nil {
			fmt.Println(err)
			return
		}
		sources, minters = append(sources, keys), append(minters, minter)
	}

	keys, err := jwtauth.JoinKeys(sources[0], sources[1])
	if err != nil {
		fmt.Println(err)
		return
	}
	service, err := jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "prod.example.com", Keys: keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, minter := range minters {
		header := map[string][]string{}
		_ = minter.Inject(context.Background(), caller, func(name, value string) { header[name] = []string{value} })
		res, err := service.Authenticate(context.Background(), &authctx.Request{Fields: authctx.FieldMap(header)})
		fmt.Println(res.Principal, err)
	}
	// Output:
	// user alice of https://idp.example.com (signed) <nil>
	// user alice of https://idp.example.com (signed) <nil>
}

// Some issuers know no scopes. What that means must be said: here, that their
// callers' transactions have none either.
func ExampleCallerScopes() {
	key, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	keys, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	edge, err := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: "prod.example.com",
		Workload:    "gateway",
		Keys:        keys,
		Scopes:      jwtauth.CallerScopes,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	caller, _ := authctx.New(authctx.Attributes{Issuer: "https://idp.example.com", Subject: "alice"})
	fmt.Println(edge.Inject(context.Background(), caller, func(name, _ string) { fmt.Println(name) }))
	// Output:
	// txn-token
	// <nil>
}

// A service sends the token on as it came.
func ExampleTxnForwarder() {
	caller, _ := authctx.New(authctx.Attributes{Issuer: "https://idp.example.com", Subject: "alice"})
	// What an authenticator's result puts into the context of a request.
	ctx := authctx.Result{
		Principal: caller,
		Forward:   []authctx.Field{{Name: authctx.TxnTokenField, Value: "eyJ…"}},
	}.NewContext(context.Background())

	err := jwtauth.TxnForwarder{}.Inject(ctx, caller, func(name, value string) { fmt.Println(name, value) })
	fmt.Println(err)
	// Output:
	// txn-token eyJ…
	// <nil>
}

// tokenOrFields carries a caller on as the caller came.
type tokenOrFields struct {
	token  jwtauth.TxnForwarder
	fields *authctx.FieldsPropagator
}

func (e tokenOrFields) Fields() authctx.FieldSet { return e.token.Fields().Union(e.fields.Fields()) }

func (e tokenOrFields) Inject(ctx context.Context, p authctx.Principal, set func(name, value string)) error {
	if len(authctx.Forwarded(ctx)) > 0 {
		return e.token.Inject(ctx, p, set) // and never fields instead of a token that has ended
	}
	return e.fields.Inject(ctx, p, set)
}

// On the way from plain fields to Transaction Tokens, services that call one another
// in a circle have callers of both kinds. All of them take this propagator first, and
// TxnForwarder once no service writes fields alone and the gateway signs.
func ExampleTxnForwarder_circle() {
	fields, _ := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	either := tokenOrFields{fields: fields}
	caller, _ := authctx.New(authctx.Attributes{Issuer: "https://idp.example.com", Subject: "alice"})
	for _, came := range []authctx.Result{
		{Principal: caller},
		{Principal: caller, Forward: []authctx.Field{{Name: authctx.TxnTokenField, Value: "eyJ…"}}},
	} {
		ctx := came.NewContext(context.Background())
		fmt.Println(either.Inject(ctx, caller, func(name, value string) { fmt.Println(name, value) }))
	}
	// Output:
	// x-user-id alice
	// x-user-issuer https://idp.example.com
	// <nil>
	// txn-token eyJ…
	// <nil>
}

// A part of the system that needs less gets less.
func ExampleTxnPropagator_Replace() {
	key, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	keys, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	minter, _ := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: "prod.example.com", Workload: "orders", Keys: keys})
	service, _ := jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "prod.example.com", Keys: keys})

	// The request came with a token for two scopes.
	caller, _ := authctx.New(authctx.Attributes{Issuer: "i", Subject: "alice", Scopes: []string{"orders.read", "orders.write"}})
	header := map[string][]string{}
	_ = minter.Inject(context.Background(), caller, func(name, value string) { header[name] = []string{value} })
	res, _ := service.Authenticate(context.Background(), &authctx.Request{Fields: authctx.FieldMap(header)})
	ctx := res.NewContext(context.Background())

	narrowed, err := minter.Replace(ctx, "orders.read")
	p, _ := authctx.FromContext(narrowed)
	fmt.Println(p.Scopes(), err)
	_, err = minter.Replace(narrowed, "orders.write")
	fmt.Println(err)
	// Output:
	// [orders.read] <nil>
	// authctx: permission denied: jwtauth: scopes must not exceed those of the caller
}

// Two replicas sign with keys of their own, and each publishes the other's, so
// that a verifier may fetch the set of either. When one rotates, the other
// publishes its new key before that begins to sign.
func ExampleSigningKeys_Publish() {
	a, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	b, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	keysOfA, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: a, Published: []*jwtauth.Key{b.VerificationKey()}})
	keysOfB, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: b, Published: []*jwtauth.Key{a.VerificationKey()}})

	next, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	fmt.Println(keysOfB.Publish(next.VerificationKey()), keysOfA.Rotate(next))

	_, err := keysOfB.Key(context.Background(), next.ID(), jwtauth.EdDSA)
	fmt.Println(err)
	// Later, when no token of the old key is alive:
	fmt.Println(keysOfB.Withdraw(a.ID()))
	// Output:
	// <nil> <nil>
	// <nil>
	// <nil>
}
