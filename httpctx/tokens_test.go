package httpctx_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// Tests with real tokens, keys fetched over HTTP, and real sockets.

func newVerifier(t *testing.T, idp *jwtauthtest.Issuer) *jwtauth.Verifier {
	t.Helper()
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: idp.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	v, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: idp.URL(), Audiences: []string{jwtauthtest.Audience}, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Keys: keys,
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newBearer(t *testing.T, v *jwtauth.Verifier) *jwtauth.Bearer {
	t.Helper()
	b, err := jwtauth.NewBearer(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRealTokensGoodAndBad(t *testing.T) {
	idp := jwtauthtest.NewIssuer(t, nil)
	s := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: newBearer(t, newVerifier(t, idp))}).Handler(spy))
	if got := get(t, s.URL, token(idp.Token().Set("sub", "alice").Sign())); got.Subject != "alice" || got.Header["Authorization"] != nil {
		t.Errorf("seen %+v", got)
	}
	good, bad := idp.Token().Bad()
	if res, _ := do(t, "GET", s.URL, token(good)); res.StatusCode != 200 {
		t.Fatalf("the token that all of these spoil: %d", res.StatusCode)
	}
	for _, b := range bad {
		if strings.ContainsAny(b.Token, "\r\n") {
			continue // no HTTP client sends it
		}
		t.Run(b.Name, func(t *testing.T) {
			res, body := do(t, "GET", s.URL, token(b.Token))
			if res.StatusCode != 401 || !strings.Contains(res.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("status %d, %q", res.StatusCode, res.Header["Www-Authenticate"])
			}
			checkProblem(t, res, body)
		})
	}
}

// TestRule4_AnOutageIsNotABadToken has a provider that is down before any key
// was fetched: nobody can tell, and says so.
func TestRule4_AnOutageIsNotABadToken(t *testing.T) {
	idp := jwtauthtest.NewIssuer(t, nil)
	idp.Break(jwtauthtest.Down())
	s := serve(t, newServer(t, httpctx.ServerConfig{AllowAnonymous: true, Authenticator: newBearer(t, newVerifier(t, idp))}).Handler(spy))
	res, body := do(t, "GET", s.URL, token(idp.Token().Sign()))
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("status %d, header %v", res.StatusCode, res.Header)
	}
	checkProblem(t, res, body)
}

func TestCVE_2025_64527_TwoTokensDuringAnOutageAreABadRequest(t *testing.T) {
	idp := jwtauthtest.NewIssuer(t, nil)
	idp.Break(jwtauthtest.Down())
	s := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: newBearer(t, newVerifier(t, idp))}).Handler(spy))
	bearer := "Bearer " + idp.Token().Sign()
	if res, _ := do(t, "GET", s.URL, http.Header{"Authorization": {bearer, bearer}}); res.StatusCode != 400 {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestDPoPOverTheWire(t *testing.T) {
	const external = "https://api.example"
	idp := jwtauthtest.NewIssuer(t, nil)
	v := newVerifier(t, idp)
	dpop, err := jwtauth.NewDPoP(v, jwtauth.DPoPConfig{ExternalURL: external, RequireNonce: true})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: authctx.OneOf(newBearer(t, v), dpop)}).Handler(spy))
	key := idp.NewDPoPKey("")
	bound := idp.Token().Set("sub", "alice").BoundTo(key).Sign()
	present := func(proof string) (*http.Response, string) {
		return do(t, "GET", s.URL+"/orders/7?x=y", http.Header{"Authorization": {"DPoP " + bound}, "Dpop": {proof}})
	}

	res, _ := present(key.Proof("GET", external+"/orders/7", bound).Sign())
	nonce, challenges := res.Header.Get("DPoP-Nonce"), strings.Join(res.Header["Www-Authenticate"], "\n")
	if res.StatusCode != 401 || nonce == "" || !strings.Contains(challenges, `DPoP realm="api", algs="ES256 EdDSA", error="use_dpop_nonce"`) {
		t.Fatalf("without a nonce: %d, nonce %q, %s", res.StatusCode, nonce, challenges)
	}
	res, body := present(key.Proof("GET", external+"/orders/7", bound).Set("nonce", nonce).Sign())
	if res.StatusCode != 200 || decode(t, body).Subject != "alice" || decode(t, body).Header["Dpop"] != nil {
		t.Errorf("with the nonce: %d %s", res.StatusCode, body)
	}
	res, _ = present(key.Proof("GET", external+"/admin", bound).Set("nonce", nonce).Sign())
	if challenges := strings.Join(res.Header["Www-Authenticate"], "\n"); res.StatusCode != 401 || !strings.Contains(challenges, `error="invalid_dpop_proof"`) {
		t.Errorf("a proof for another URL: %d, %s", res.StatusCode, challenges)
	}
	if res, _ := do(t, "GET", s.URL, token(bound)); res.StatusCode != 401 || !strings.Contains(res.Header.Get("WWW-Authenticate"), `Bearer realm="api", error="invalid_token"`) {
		t.Errorf("a bound token as plain bearer: %d, %q", res.StatusCode, res.Header["Www-Authenticate"])
	}
}
