package jwtauthtest_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

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
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
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
func Example_faults() {
	t := &exampleT{}
	defer t.end()

	idp := jwtauthtest.NewIssuer(t, nil)
	keys, err := jwtauth.LoadRemoteKeys(t.Context(), jwtauth.RemoteKeysConfig{Issuer: idp.URL()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
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

// What no resource server may accept comes as a list, with the good token that it
// was made of: a service that refuses that one too was set up wrong.
func ExampleToken_Bad() {
	t := &exampleT{}
	defer t.end()

	idp := jwtauthtest.NewIssuer(t, &jwtauthtest.Options{Algorithm: jwtauth.EdDSA})
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: idp.JWKSURL()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: idp.URL(), Audiences: []string{jwtauthtest.Audience}, Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Keys: keys,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	good, bad := idp.Token().Bad()
	_, err = verifier.Verify(t.Context(), good)
	fmt.Println("good:", err)
	for _, b := range bad {
		if _, err := verifier.Verify(t.Context(), b.Token); err == nil || errors.Is(err, authctx.Unavailable) {
			fmt.Println(b.Name, err)
		}
	}
	// Output: good: <nil>
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

// Subtests share an issuer, each under its own name for it, so that what goes
// wrong in one ends that one. In a test, t is its *testing.T.
func ExampleIssuer_For() {
	t := &exampleT{}
	defer t.end()

	idp := jwtauthtest.NewIssuer(t, nil)
	for _, user := range []string{"alice", "bob"} {
		t.Run(user, func(t *exampleT) {
			idp := idp.For(t) // before anything else
			token := idp.Token().Set("sub", user)
			fmt.Println(token.Claims["sub"], len(token.Sign()) > 100)
		})
	}
	// Output:
	// alice true
	// bob true
}

// What JSON made from Go values cannot say is signed as text.
func ExampleToken_SignText() {
	t := &exampleT{}
	defer t.end()

	idp := jwtauthtest.NewIssuer(t, nil)
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: idp.URL()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: idp.URL(), Audiences: []string{jwtauthtest.Audience}, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Keys: keys,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token := idp.Token()
	header, claims := token.Text()
	for _, claims := range []string{claims, strings.Replace(claims, "{", `{"sub":"admin",`, 1)} {
		_, err := verifier.Verify(t.Context(), token.SignText(header, claims))
		fmt.Println(errors.Is(err, authctx.InvalidToken))
	}
	// Output:
	// false
	// true
}

// A service that is to follow several rotations in one test must not cool down
// between them.
func ExampleIssuer_Rotate() {
	t := &exampleT{}
	defer t.end()

	idp := jwtauthtest.NewIssuer(t, nil)
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: idp.URL(), CoolDown: time.Nanosecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keys.Close()
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: idp.URL(), Audiences: []string{jwtauthtest.Audience}, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Keys: keys,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		_, err := verifier.Verify(t.Context(), idp.Token().Sign())
		fmt.Println(err)
		idp.Rotate()
		idp.DropOldKeys()
	}
	// Output:
	// <nil>
	// <nil>
	// <nil>
}
