package jwtauth_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// readClaims verifies a token that has these claims besides issuer and time, as
// cfg and otherwise an ordinary configuration say.
func readClaims(cfg jwtauth.VerifierConfig, claims string) authctx.Principal {
	secret := []byte("an example's secret, known to all of its readers")
	key, _ := jwtauth.NewHMACKey("k1", jwtauth.HS256, secret)
	cfg.Keys, _ = jwtauth.NewStaticKeys(key)
	cfg.Algorithms = []jwtauth.Algorithm{jwtauth.HS256}
	if cfg.Issuer == "" {
		cfg.Issuer = "https://idp.example.com"
	}
	if cfg.ClientIDs == nil {
		cfg.Audiences = []string{"orders-api"}
	}
	verifier, err := jwtauth.NewVerifier(cfg)
	if err != nil {
		panic(err)
	}
	rest := fmt.Sprintf(`{"iss":%q,"iat":%d,"exp":%d,`, cfg.Issuer, time.Now().Unix(), time.Now().Add(time.Hour).Unix())
	p, err := verifier.Verify(context.Background(), signExample(secret, rest+claims[1:]))
	if err != nil {
		panic(err)
	}
	return p
}

func ExamplePresetNames() {
	names := jwtauth.PresetNames()
	fmt.Println(slices.Contains(names, "keycloak"), slices.IsSorted(names))
	// Output: true true
}

func ExampleRFC9068Claims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.RFC9068Claims()}, `{"sub":"alice","aud":"orders-api","client_id":"web",
		"scope":"orders.read orders.write","roles":["editor"],"entitlements":["orders:create"]}`)
	fmt.Println(p.Subject(), p.ClientID(), p.Scopes(), p.Roles(), p.Permissions())
	// Output: alice web [orders.read orders.write] [editor] [orders:create]
}

func ExampleAuth0Claims() {
	claims := jwtauth.Auth0Claims("https://app.example.com/")
	p := readClaims(jwtauth.VerifierConfig{Claims: claims}, `{"sub":"auth0|42","aud":"orders-api","azp":"web",
		"scope":"orders.read","permissions":["orders:create"],"https://app.example.com/roles":["editor"]}`)
	fmt.Println(p.Subject(), p.ClientID(), p.Scopes(), p.Permissions(), p.Roles())
	// Output: auth0|42 web [orders.read] [orders:create] [editor]
}

// Session tokens of Clerk have no audience; the web origin stands in for it.
func ExampleClerkClaims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.ClerkClaims(), ClientIDs: []string{"https://app.example.com"}}, `{"sub":"user_42",
		"azp":"https://app.example.com","sid":"sess_1","org_id":"org_7","org_role":"org:admin","org_permissions":["org:invoices:create"]}`)
	fmt.Println(p.Subject(), p.Tenant(), p.Roles(), p.Permissions())
	// Output: user_42 org_7 [admin] [invoices:create]
}

// Access tokens of Cognito have no audience; the client stands in for it.
func ExampleCognitoClaims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.CognitoClaims(), ClientIDs: []string{"1example23456789"}}, `{"sub":"42",
		"token_use":"access","client_id":"1example23456789","username":"ada","scope":"orders/read","cognito:groups":["sales"]}`)
	fmt.Println(p.Subject(), p.ClientID(), p.Scopes(), p.Groups())
	// Output: 42 1example23456789 [orders/read] [sales]
}

func ExampleDexClaims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.DexClaims(), Types: jwtauth.IDTokenTypes()}, `{"sub":"42","aud":"orders-api",
		"email":"ada@example.com","email_verified":true,"name":"Ada","groups":["sales"],"at_hash":"x"}`)
	fmt.Println(p.Subject(), p.Name(), p.Email(), p.Groups())
	// Output: 42 Ada ada@example.com [sales]
}

// One configuration for the tenants of one's customers, and no others.
func ExampleEntraClaims() {
	_, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer:     "https://login.microsoftonline.com/" + jwtauth.TenantPlaceholder + "/v2.0",
		Tenants:    jwtauth.OnlyTenants("8b1f0c6e-54a4-4d43-9b8e-2f0f4d4f6a11"),
		Audiences:  []string{"api://orders"},
		Algorithms: []jwtauth.Algorithm{jwtauth.RS256},
		Keys:       someKeys(),
		Claims:     jwtauth.EntraClaims(),
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleFirebaseClaims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.FirebaseClaims(), Types: jwtauth.IDTokenTypes()}, `{"sub":"42","aud":"orders-api",
		"user_id":"42","auth_time":1780318000,"email":"ada@example.com","email_verified":true,"roles":["editor"],
		"firebase":{"sign_in_provider":"password","tenant":"acme"}}`)
	fmt.Println(p.Subject(), p.Tenant(), p.Roles())
	// Output: 42 acme [editor]
}

func ExampleGoogleClaims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.GoogleClaims(), Types: jwtauth.IDTokenTypes()}, `{"sub":"42","aud":"orders-api",
		"azp":"web","email":"ada@example.com","email_verified":true,"hd":"example.com","name":"Ada"}`)
	fmt.Println(p.Subject(), p.Tenant(), p.Email())
	// Output: 42 example.com ada@example.com
}

func ExampleHydraClaims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.HydraClaims()}, `{"sub":"42","aud":["orders-api"],"client_id":"web",
		"scp":["orders.read"],"ext":{"roles":["editor"]}}`)
	fmt.Println(p.Subject(), p.Scopes(), p.Roles())
	// Output: 42 [orders.read] [editor]
}

func ExampleKubernetesClaims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.KubernetesClaims()}, `{"sub":"system:serviceaccount:shop:orders","aud":["orders-api"],
		"kubernetes.io":{"namespace":"shop","serviceaccount":{"name":"orders","uid":"u1"},"pod":{"name":"orders-1","uid":"u2"}}}`)
	fmt.Println(p.Kind(), p.Subject(), p.Tenant())
	// Output: service system:serviceaccount:shop:orders shop
}

func ExampleOktaClaims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.OktaClaims()}, `{"sub":"ada@example.com","uid":"00u42","aud":"orders-api","cid":"web",
		"scp":["orders.read"],"groups":["sales"]}`)
	fmt.Println(p.Subject(), p.ClientID(), p.Scopes(), p.Groups())
	// Output: 00u42 web [orders.read] [sales]
}

func ExampleSPIFFEClaims() {
	cfg := jwtauth.VerifierConfig{Issuer: "spiffe://prod.example", Claims: jwtauth.SPIFFEClaims(), Types: jwtauth.SPIFFETypes()}
	p := readClaims(cfg, `{"sub":"spiffe://prod.example/orders","aud":["orders-api"]}`)
	fmt.Println(p)
	// Output: service spiffe://prod.example/orders of spiffe://prod.example (verified)
}

func ExampleSupabaseClaims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.SupabaseClaims()}, `{"sub":"42","aud":"orders-api","role":"authenticated",
		"session_id":"s1","app_metadata":{"roles":["editor"]},"user_metadata":{"roles":["admin"]}}`)
	fmt.Println(p.Subject(), p.Roles()) // what users can write themselves does not count
	// Output: 42 [editor]
}

func ExampleZitadelClaims() {
	p := readClaims(jwtauth.VerifierConfig{Claims: jwtauth.ZitadelClaims("300")}, `{"sub":"42","aud":["orders-api"],"client_id":"web","jti":"V1",
		"urn:zitadel:iam:org:project:300:roles":{"editor":{"100":"acme.example.com"}},
		"urn:zitadel:iam:user:resourceowner:id":"100"}`)
	fmt.Println(p.Subject(), p.Roles(), p.Tenant())
	// Output: 42 [editor] 100
}
