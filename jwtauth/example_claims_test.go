package jwtauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// exampleVerifier returns a verifier that reads claims as the mapping says, and a
// token of Keycloak's kind for it.
func exampleVerifier(mapping *jwtauth.ClaimMapping) (*jwtauth.Verifier, string) {
	secret := []byte("an example's secret, known to all of its readers")
	key, _ := jwtauth.NewHMACKey("k1", jwtauth.HS256, secret)
	keys, _ := jwtauth.NewStaticKeys(key)
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer:     "https://id.example.com/realms/shop",
		Audiences:  []string{"orders-api"},
		Algorithms: []jwtauth.Algorithm{jwtauth.HS256},
		Keys:       keys,
		Claims:     mapping,
	})
	if err != nil {
		panic(err)
	}
	token := signExample(secret, fmt.Sprintf(`{"iss":"https://id.example.com/realms/shop","aud":"orders-api","sub":"f1e2d3c4",
		"exp":%d,"typ":"Bearer","azp":"web","preferred_username":"ada","organization_id":"acme",
		"realm_access":{"roles":["editor"]},"resource_access":{"orders-api":{"roles":["approver"]}}}`, time.Now().Add(time.Hour).Unix()))
	return verifier, token
}

// A provider that puts roles where nobody else does has a ready mapping.
func ExampleKeycloakClaims() {
	verifier, token := exampleVerifier(jwtauth.KeycloakClaims("orders-api"))
	p, err := verifier.Verify(context.Background(), token)
	fmt.Println(p.Name(), p.Roles(), p.ClientID(), err)
	// Output: ada [editor approver] web <nil>
}

// Names of a path lead into objects, one by one.
func ExampleClaim() {
	cfg := jwtauth.RFC9068Claims().Config()
	cfg.Roles = []jwtauth.ClaimSource{jwtauth.Claim("realm_access", "roles")}
	mapping, err := jwtauth.NewClaimMapping(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, token := exampleVerifier(mapping)
	p, err := verifier.Verify(context.Background(), token)
	fmt.Println(p.Roles(), err)
	// Output: [editor] <nil>
}

// A ready mapping is changed through its Config.
func ExampleNewClaimMapping() {
	cfg := jwtauth.KeycloakClaims().Config()
	cfg.Tenant = []jwtauth.ClaimSource{jwtauth.Claim("organization_id")}
	cfg.Permissions = []jwtauth.ClaimSource{{
		Path:      []string{"resource_access", "orders-api", "roles"},
		AddPrefix: "orders:",
	}}
	mapping, err := jwtauth.NewClaimMapping(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, token := exampleVerifier(mapping)
	p, err := verifier.Verify(context.Background(), token)
	fmt.Println(p.Tenant(), p.Roles(), p.Permissions(), err)
	// Output: acme [editor] [orders:approver] <nil>
}

// What is true of all callers of an issuer need not be in its tokens.
func ExampleClaimSource() {
	cfg := jwtauth.KeycloakClaims().Config()
	cfg.Tenant = []jwtauth.ClaimSource{{Constant: "acme"}}
	cfg.Roles = append(cfg.Roles, jwtauth.ClaimSource{Constant: "customer"})
	mapping, err := jwtauth.NewClaimMapping(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, token := exampleVerifier(mapping)
	p, err := verifier.Verify(context.Background(), token)
	fmt.Println(p.Tenant(), p.Roles(), err)
	// Output: acme [editor customer] <nil>
}

// Claims of one's own are decoded into one's own type.
func ExampleClaimMapping_ownClaims() {
	verifier, token := exampleVerifier(jwtauth.KeycloakClaims())
	p, err := verifier.Verify(context.Background(), token)
	if err != nil {
		fmt.Println(err)
		return
	}
	var own struct {
		Organization string `json:"organization_id"`
	}
	err = p.DecodeClaims(&own)
	fmt.Println(own.Organization, err)
	// Output: acme <nil>
}

// A program that is told its provider by a flag finds the mapping by name.
func ExamplePresetClaims() {
	_, err := jwtauth.PresetClaims("keycloak", "orders-api")
	fmt.Println(err)
	_, err = jwtauth.PresetClaims("okta", "orders-api")
	fmt.Println(err)
	// Output:
	// <nil>
	// jwtauth: preset okta takes no arguments
}

// Tokens that say nothing by themselves stand beside those that are verified
// here, and are told apart by what they look like.
func ExampleIntrospector() {
	as := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _, _ := r.BasicAuth()
		fmt.Println("asked by", id)
		fmt.Fprintf(w, `{"active":true,"sub":"alice","aud":"orders-api","scope":"orders.read","exp":%d}`, time.Now().Add(time.Hour).Unix())
	}))
	defer as.Close()
	introspector, err := jwtauth.NewIntrospector(jwtauth.IntrospectorConfig{
		Endpoint:     as.URL,
		ClientID:     "orders-api",
		ClientSecret: "the secret of this service",
		Issuer:       "https://as.example.com",
		Audiences:    []string{"orders-api"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer introspector.Close()

	verifier, signed := exampleVerifier(jwtauth.KeycloakClaims())
	local, err := jwtauth.NewBearer(verifier, &jwtauth.BearerOptions{Shape: jwtauth.JWTShape})
	if err != nil {
		fmt.Println(err)
		return
	}
	remote, err := jwtauth.NewBearer(introspector, &jwtauth.BearerOptions{Shape: jwtauth.OpaqueShape})
	if err != nil {
		fmt.Println(err)
		return
	}
	auth := authctx.OneOf(local, remote)
	for _, token := range []string{signed, "2YotnFZFEjr1zCsicMWpAA", "2YotnFZFEjr1zCsicMWpAA"} {
		r := &authctx.Request{Fields: authctx.FieldMap(map[string][]string{"Authorization": {"Bearer " + token}})}
		result, err := authctx.Authenticate(context.Background(), auth, r)
		fmt.Println(result.Principal, strings.Join(result.Principal.Scopes(), " "), result.Cached, err)
	}
	// Output:
	// user f1e2d3c4 of https://id.example.com/realms/shop (verified)  false <nil>
	// asked by orders-api
	// user alice of https://as.example.com (verified) orders.read false <nil>
	// user alice of https://as.example.com (verified) orders.read true <nil>
}

// signExample stands for the identity provider.
func signExample(secret []byte, claims string) string {
	input := b64(`{"alg":"HS256","typ":"JWT","kid":"k1"}`) + "." + b64(claims)
	signature, err := jwt.SigningMethodHS256.Sign(input, secret)
	if err != nil {
		panic(err)
	}
	return input + "." + b64(string(signature))
}
