package jwtauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// A service that takes tokens bound to a key together with proofs, and unbound
// ones as they are. The client is that of RFC 9449 section 7.1.
func ExampleNewDPoP() {
	someone, _ := authctx.New(authctx.Attributes{Issuer: "https://server.example.com", Subject: "someone@example.com"})
	verifier := verifierFunc(func(string) (jwtauth.VerifiedToken, error) { // a jwtauth.Verifier in earnest
		return jwtauth.VerifiedToken{Principal: someone, Confirmation: jwtauth.Confirmation{KeyThumbprint: rfc9449Thumbprint}}, nil
	})

	dpop, err := jwtauth.NewDPoP(verifier, jwtauth.DPoPConfig{
		ExternalURL: "https://resource.example.org",
		Now:         func() time.Time { return time.Unix(1562262620, 0) }, // when the RFC's proof was made
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	bearer, _ := jwtauth.NewBearer(verifier, nil)
	server, _ := httpctx.NewServer(httpctx.ServerConfig{Authenticator: authctx.OneOf(dpop, bearer), Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	handler := server.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ := authctx.FromContext(r.Context())
		fmt.Println("hello,", p.Subject())
	}))

	ask := func(scheme, proof string) {
		r := httptest.NewRequest("GET", "/protectedresource", nil)
		r.Header.Set("Authorization", scheme+" "+rfc9449Token)
		if proof != "" {
			r.Header.Set("DPoP", proof)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	ask("DPoP", rfc9449Proof)
	ask("DPoP", rfc9449Proof) // a proof passes once
	ask("Bearer", "")         // and without one the token is worth nothing
	// Output:
	// hello, someone@example.com
	// 200
	// 401
	// 401
}

// Some routes take no plain tokens. They have a server of their own: a rule comes
// after authentication and cannot tell one scheme from the other.
func ExampleDPoP_routes() {
	someone, _ := authctx.New(authctx.Attributes{Issuer: "https://server.example.com", Subject: "someone@example.com"})
	verifier := verifierFunc(func(token string) (jwtauth.VerifiedToken, error) { // a jwtauth.Verifier in earnest
		found := jwtauth.VerifiedToken{Principal: someone}
		if token == rfc9449Token {
			found.Confirmation.KeyThumbprint = rfc9449Thumbprint
		}
		return found, nil
	})
	dpop, err := jwtauth.NewDPoP(verifier, jwtauth.DPoPConfig{
		ExternalURL: "https://resource.example.org",
		Now:         func() time.Time { return time.Unix(1562262620, 0) }, // when the RFC's proof was made
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	bearer, _ := jwtauth.NewBearer(verifier, nil)
	strict, _ := httpctx.NewServer(httpctx.ServerConfig{Authenticator: dpop, Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	usual, _ := httpctx.NewServer(httpctx.ServerConfig{Authenticator: authctx.OneOf(dpop, bearer), Policy: authctx.DefaultPolicy(authctx.Authenticated())})

	work := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	mux := http.NewServeMux()
	mux.Handle("/protectedresource", strict.Handler(work))
	mux.Handle("/", usual.Handler(work))

	ask := func(path, authorization, proof string) {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", authorization)
		if proof != "" {
			r.Header.Set("DPoP", proof)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(path, w.Code)
	}
	ask("/elsewhere", "Bearer plain", "")
	ask("/protectedresource", "Bearer plain", "")
	ask("/protectedresource", "DPoP "+rfc9449Token, rfc9449Proof)
	// Output:
	// /elsewhere 200
	// /protectedresource 401
	// /protectedresource 200
}

// Behind a proxy that ends TLS, the proxy says which certificate the client has
// shown, and is believed because of where it connects from.
func ExampleBearerOptions_certificateProxies() {
	proxies, err := authctx.TrustPeerCIDR("10.0.0.0/8")
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier := verifierFunc(func(string) (jwtauth.VerifiedToken, error) { return jwtauth.VerifiedToken{}, authctx.InvalidToken })
	bearer, err := jwtauth.NewBearer(verifier, &jwtauth.BearerOptions{CertificateProxies: proxies})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(bearer.Fields().Names)
	// Output: [authorization client-cert client-cert-chain]
}
