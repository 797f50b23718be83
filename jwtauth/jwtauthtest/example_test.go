package jwtauthtest_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// Code that only authorizes is tested with callers that are made up. In a test,
// t is its *testing.T.
func ExampleUser() {
	t := &exampleT{}
	defer t.end()

	handler := func(w http.ResponseWriter, r *http.Request) {
		if err := authctx.Authorize(r.Context(), authctx.Role("editor")); err != nil {
			w.WriteHeader(http.StatusForbidden)
		}
	}
	for _, role := range []string{"editor", "reader"} {
		caller := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Roles = []string{role} })
		r := httptest.NewRequest("GET", "/", nil)
		rec := httptest.NewRecorder()
		handler(rec, r.WithContext(authctx.NewContext(r.Context(), caller)))
		fmt.Println(role, rec.Code)
	}
	// Output:
	// editor 200
	// reader 403
}

// The whole way is tested with real tokens and keys fetched over HTTP. In a
// test, t is its *testing.T.
func ExampleIssuer() {
	t := &exampleT{}
	defer t.end()

	idp := jwtauthtest.NewIssuer(t, nil)
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: idp.URL()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()
	verifier, err := jwtauth.NewVerifier(jwtauth.Config{
		Issuer:     idp.URL(),
		Audiences:  []string{jwtauthtest.Audience},
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256},
		Keys:       keys,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	verify := func(when, token string) {
		_, err := verifier.Verify(t.Context(), token)
		fmt.Println(when+":", err)
	}
	verify("good", idp.Token().Sign())
	idp.Rotate()
	verify("after a rotation", idp.Token().Sign())
	idp.Break(jwtauthtest.Down())
	verify("during an outage", idp.Token().Set("sub", "bob").Sign())
	_, err = verifier.Verify(t.Context(), idp.Token().Expired().Sign())
	fmt.Println("expired:", errors.Is(err, authctx.TokenExpired))
	// Output:
	// good: <nil>
	// after a rotation: <nil>
	// during an outage: <nil>
	// expired: true
}

// A job that calls on its own behalf is a service.
func ExampleService() {
	t := &exampleT{}
	defer t.end()

	fmt.Println(jwtauthtest.Service(t))
	// Output: service batch of https://idp.test (verified)
}

// A provider fails in every way that real ones do, and recovers: the keys that
// were loaded once keep verifying.
func ExampleIssuer_Break() {
	t := &exampleT{}
	defer t.end()

	idp := jwtauthtest.NewIssuer(t, nil)
	keys, err := jwtauth.LoadRemoteKeys(t.Context(), jwtauth.RemoteKeysConfig{Issuer: idp.URL()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()
	verifier, err := jwtauth.NewVerifier(jwtauth.Config{
		Issuer: idp.URL(), Audiences: []string{jwtauthtest.Audience}, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Keys: keys,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	release := make(chan struct{})
	defer close(release)
	for _, fault := range []http.Handler{
		jwtauthtest.Down(), jwtauthtest.Hang(), jwtauthtest.Junk(), jwtauthtest.NoKeys(), jwtauthtest.Oversized(),
		jwtauthtest.Status(http.StatusTooManyRequests), jwtauthtest.Slow(release, idp.Handler()),
	} {
		idp.Break(fault)
		_, err := verifier.Verify(t.Context(), idp.Token().Sign())
		fmt.Println(err)
	}
	idp.Repair()
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// <nil>
	// <nil>
	// <nil>
	// <nil>
}

// What no resource server may accept comes as a list.
func ExampleIssuer_BadTokens() {
	t := &exampleT{}
	defer t.end()

	idp := jwtauthtest.NewIssuer(t, &jwtauthtest.Options{Algorithm: jwtauth.EdDSA})
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: idp.JWKSURL()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()
	verifier, err := jwtauth.NewVerifier(jwtauth.Config{
		Issuer: idp.URL(), Audiences: []string{jwtauthtest.Audience}, Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Keys: keys,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, bad := range idp.BadTokens() {
		if _, err := verifier.Verify(t.Context(), bad.Token); err == nil || errors.Is(err, authctx.NoCredentials) {
			fmt.Println("let through:", bad.Name)
		}
	}
	// Output:
}

// Header and claims of a token may be anything.
func ExampleToken() {
	t := &exampleT{}
	defer t.end()

	idp := jwtauthtest.NewIssuer(t, nil)
	token := idp.Token().Set("sub", "bob").Set("tenant", nil).SetHeader("typ", "JWT")
	fmt.Println(token.Claims["sub"], token.Claims["tenant"], token.Header["typ"], len(token.Sign()) > 100)
	// Output: bob <nil> JWT true
}
