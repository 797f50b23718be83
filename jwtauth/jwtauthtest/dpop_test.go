package jwtauthtest_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// dpopFor returns what a service that trusts the issuer would use.
func dpopFor(t testing.TB, issuer *jwtauthtest.Issuer) *jwtauth.DPoP {
	t.Helper()
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: issuer.URL()})
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { keys.Close() })
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: issuer.URL(), Audiences: []string{jwtauthtest.Audience}, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Keys: keys,
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	dpop, err := jwtauth.NewDPoP(verifier, jwtauth.DPoPConfig{ExternalURL: "https://api.test"})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return dpop
}

func TestEachProofIsAnotherOne(t *testing.T) {
	issuer := jwtauthtest.NewIssuer(t, nil)
	dpop := dpopFor(t, issuer)
	for _, alg := range []jwtauth.Algorithm{"", jwtauth.EdDSA} {
		key := issuer.NewDPoPKey(alg)
		token := issuer.Token().BoundTo(key).Sign()
		for range 2 {
			r := &authctx.Request{Method: "GET", Target: "/", Fields: authctx.FieldMap(map[string][]string{
				"authorization": {"DPoP " + token}, "dpop": {key.Proof("GET", "https://api.test/", token).Sign()},
			})}
			if _, err := dpop.Authenticate(t.Context(), r); err != nil {
				t.Errorf("%q: %v", alg, err)
			}
		}
		other := issuer.NewDPoPKey(alg).Proof("GET", "https://api.test/", token).Sign()
		r := &authctx.Request{Method: "GET", Target: "/", Fields: authctx.FieldMap(map[string][]string{
			"authorization": {"DPoP " + token}, "dpop": {other},
		})}
		if _, err := dpop.Authenticate(t.Context(), r); !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("%q: another key: %v", alg, err)
		}
	}
}

func TestSpoilingOneProofLeavesTheNextOneGood(t *testing.T) {
	issuer := jwtauthtest.NewIssuer(t, nil)
	key := issuer.NewDPoPKey("")
	key.Proof("GET", "https://api.test/", "token").Header["jwk"].(map[string]any)["kty"] = "RSA"
	if kty := key.Proof("GET", "https://api.test/", "token").Header["jwk"].(map[string]any)["kty"]; kty != "EC" {
		t.Errorf("the next proof is for a key of type %v", kty)
	}
}

// The race detector is the judge.
func TestAClientsKeyServesManyAtOnce(t *testing.T) {
	issuer := jwtauthtest.NewIssuer(t, nil)
	key := issuer.NewDPoPKey("")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			token := issuer.Token().BoundTo(key).Sign()
			key.Proof("GET", "https://api.test/", token).Sign()
		})
	}
	all.Wait()
}

// A client whose tokens are bound to a key makes a proof for every request. In a
// test, t is its *testing.T.
func ExampleDPoPKey() {
	t := &exampleT{}
	defer t.end()

	issuer := jwtauthtest.NewIssuer(t, nil)
	server, _ := httpctx.NewServer(httpctx.ServerConfig{Authenticator: dpopFor(t, issuer), Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	handler := server.Handler(http.NotFoundHandler())

	key := issuer.NewDPoPKey(jwtauth.ES256)
	token := issuer.Token().BoundTo(key).Sign()
	for _, proof := range []*jwtauthtest.Token{
		key.Proof("GET", "https://api.test/orders", token),
		key.Proof("DELETE", "https://api.test/orders", token),
		key.Proof("GET", "https://api.test/orders", token).Set("iat", 0),
	} {
		r := httptest.NewRequest("GET", "/orders", nil)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", proof.Sign())
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 404
	// 401
	// 401
}
