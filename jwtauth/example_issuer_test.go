package jwtauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// An auth service signs tokens and serves the public keys beside them.
func ExampleIssuer() {
	key, err := jwtauth.GenerateSigningKey(jwtauth.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	if err != nil {
		fmt.Println(err)
		return
	}
	issuer, err := jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer:    "https://auth.example.com",
		Audiences: []string{"https://api.example.com"},
		Keys:      keys,
		Lifetime:  10 * time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// The password was checked; now say who it is.
	token, err := issuer.Issue(context.Background(), authctx.Attributes{
		Subject:  "alice",
		ClientID: "web",
		Roles:    []string{"editor"},
		Scopes:   []string{"orders.read"},
	})
	fmt.Println(strings.Count(token, "."), err)

	// Verifiers find the keys from the issuer identifier alone.
	mux := http.NewServeMux()
	mux.Handle("/.well-known/", issuer.Handler())
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest("GET", "/.well-known/openid-configuration", nil))
	fmt.Println(rec.Body)
	// Output:
	// 2 <nil>
	// {"issuer":"https://auth.example.com","jwks_uri":"https://auth.example.com/.well-known/jwks.json"}
}

// One key signs, and what verifies is published beside it.
func ExampleNewSigningKeys() {
	key, err := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /.well-known/jwks.json", keys.JWKSHandler())
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
	fmt.Println(rec.Code, rec.Header().Get("Content-Type"), strings.Contains(rec.Body.String(), key.ID()))
	// Output: 200 application/jwk-set+json true
}

// A new key is published first, signs after Ahead, and the old one stays
// published until its last token has expired.
func ExampleSigningKeys_Rotate() {
	first, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	keys, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: first,
		Ahead:   10 * time.Minute, // longer than verifiers cache the set
		Retain:  time.Hour,        // longer than any token lives
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	second, _ := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	fmt.Println(keys.Rotate(second))

	rec := httptest.NewRecorder()
	keys.JWKSHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	fmt.Println(strings.Count(rec.Body.String(), `"kid"`), "keys,", rec.Header().Get("Cache-Control"))
	// Output:
	// <nil>
	// 2 keys, public, max-age=300
}

// Keys that replicas share come from a secret store.
func ExampleNewSigningKey() {
	// openssl genpkey -algorithm ed25519
	pem := []byte(`-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----`)
	key, err := jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, PEM: pem})
	fmt.Println(key, err)
	// Output: signing key "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" for EdDSA <nil>
}

// A token endpoint that refreshes: the old refresh token goes, a new one and a
// new access token come.
func ExampleRefreshTokens() {
	revocations := new(jwtauth.MemoryRevocations) // which the verifiers ask, too
	logins, err := jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{
		Store:       &jwtauth.MemoryRefreshStore{},
		Lifetime:    30 * 24 * time.Hour,
		Revocations: revocations,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	key, _ := jwtauth.GenerateSigningKey(jwtauth.ES256)
	keys, _ := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})
	issuer, err := jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: "https://auth.example.com", Audiences: []string{"https://api.example.com"}, Keys: keys, Lifetime: 10 * time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Who the client is was authenticated; here it is always "web".
	endpoint := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		caller, next, err := logins.Use(r.Context(), "web", r.PostFormValue("refresh_token"))
		switch {
		case errors.Is(err, authctx.Unavailable):
			w.WriteHeader(http.StatusServiceUnavailable)
		case err != nil: // RFC 6749 section 5.2; the error itself is for operators
			w.WriteHeader(http.StatusBadRequest)
			json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant"})
		default:
			attributes := caller.Attributes() // in which roles and the like are looked up again
			access, err := issuer.Issue(r.Context(), attributes)
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			json.NewEncoder(w).Encode(map[string]string{"access_token": access, "token_type": "Bearer", "refresh_token": next})
		}
	}

	alice, _ := authctx.New(authctx.Attributes{Issuer: "https://auth.example.com", Subject: "alice", ClientID: "web"})
	refresh := func(token string) {
		r := httptest.NewRequest("POST", "/token", strings.NewReader("grant_type=refresh_token&refresh_token="+token))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		endpoint(rec, r)
		fmt.Println(rec.Code, strings.Contains(rec.Body.String(), "invalid_grant"))
	}
	laptop, _ := logins.Issue(context.Background(), alice)
	phone, _ := logins.Issue(context.Background(), alice)
	refresh(laptop)
	refresh(laptop) // ends that login

	// Alice has left: no login of hers is refreshed any more.
	now := time.Now()
	if err := revocations.RevokeSubject("https://auth.example.com", "alice", now, now.Add(30*24*time.Hour)); err != nil {
		fmt.Println(err)
	}
	refresh(phone)
	// Output:
	// 200 false
	// 400 true
	// 400 true
}

// Logging out takes any token of the login and ends it for good.
func ExampleRefreshTokens_Revoke() {
	logins, _ := jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{
		Store:    &jwtauth.MemoryRefreshStore{},
		Lifetime: 30 * 24 * time.Hour,
	})
	alice, _ := authctx.New(authctx.Attributes{Issuer: "https://auth.example.com", Subject: "alice", ClientID: "web"})
	refresh, _ := logins.Issue(context.Background(), alice)

	fmt.Println(logins.Revoke(context.Background(), "mail", refresh))
	fmt.Println(logins.Revoke(context.Background(), "web", refresh))
	_, _, err := logins.Use(context.Background(), "web", refresh)
	fmt.Println(err)
	// Output:
	// authctx: invalid token: jwtauth: refresh token of another client
	// <nil>
	// authctx: invalid token: jwtauth: no refresh token, or not known any more
}
