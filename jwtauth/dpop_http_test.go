package jwtauth_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// ask presents the token and a proof to h, and returns the answer and the names
// of the fields that the handler saw.
func (c *dpopCase) ask(h http.Handler, seen *http.Header, url, proof string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", url, nil)
	r.Header.Set("Authorization", "DPoP "+c.token)
	r.Header.Set("DPoP", proof)
	*seen = nil
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestDPoPOverHTTP(t *testing.T) {
	c := newDPoPCase(t, requireNonce)
	var seen http.Header
	h := serve(t, httpctx.ServerConfig{Authenticator: c.dpop}, &seen)
	const url = "https://api.example/a%2Fb/100%25?page=1"

	w := c.ask(h, &seen, url, c.key.Proof("GET", url, c.token).Sign())
	nonce := w.Header().Get("DPoP-Nonce")
	challenge := `DPoP realm="api", algs="ES256 EdDSA", error="use_dpop_nonce", error_description="The DPoP proof must use the given nonce."`
	if w.Code != 401 || nonce == "" || !slices.Equal(w.Header()["Www-Authenticate"], []string{challenge}) || seen != nil {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	proof := c.key.Proof("GET", url, c.token).Set("nonce", nonce).Sign()
	if w = c.ask(h, &seen, url, proof); w.Code != 200 || seen == nil || len(seen) != 0 {
		t.Errorf("%d %v; the handler saw %v", w.Code, w.Header(), seen)
	}
	if w = c.ask(h, &seen, url, proof); w.Code != 401 || w.Header().Get("WWW-Authenticate") !=
		`DPoP realm="api", algs="ES256 EdDSA", error="invalid_dpop_proof", error_description="The DPoP proof is not valid."` {
		t.Errorf("replayed: %d %v", w.Code, w.Header())
	}
	proof = c.key.Proof("GET", "https://api.example/a/b/100%25", c.token).Set("nonce", nonce).Sign()
	if w = c.ask(h, &seen, url, proof); w.Code != 401 {
		t.Errorf("for a path that is only decoded alike: %d", w.Code)
	}
}

func TestRFC9449_Section8_2_AnAnswerWithANewNonceIsNotKept(t *testing.T) {
	c := newDPoPCase(t, requireNonce)
	first := nonceIn(c.try(t, c.request(c.proof().Sign()), authctx.NonceRequired))
	c.now = c.now.Add(150 * time.Second)
	srv, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: c.dpop, Policy: authctx.DefaultPolicy(authctx.Authenticated()), Now: func() time.Time { return c.now }})
	if err != nil {
		t.Fatal(err)
	}
	h := srv.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=600")
		w.WriteHeader(http.StatusOK)
	}))
	const url = "https://api.example/orders"
	w := c.ask(h, new(http.Header), url, c.proof().Set("nonce", first).Sign())
	second := w.Header().Get("DPoP-Nonce")
	if second == "" || second == first || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	w = c.ask(h, new(http.Header), url, c.proof().Set("nonce", second).Sign())
	if w.Header().Get("DPoP-Nonce") != "" || w.Header().Get("Cache-Control") != "private, max-age=600" {
		t.Errorf("with the new nonce: %d %v", w.Code, w.Header())
	}
}

func TestRule6_TheProofIsStripped(t *testing.T) {
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.CertificateProxies = trustProxy(t) })
	var seen http.Header
	h := serve(t, httpctx.ServerConfig{Authenticator: c.dpop, AllowAnonymous: true}, &seen)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Dpop": {c.proof().Sign()}, "D.pop": {"other"}, "Client-Cert": {":AAAA:"}, "Accept": {"*/*"}}
	h.ServeHTTP(httptest.NewRecorder(), r)
	if len(seen) != 2 || seen["Accept"] == nil || seen["D.pop"] == nil {
		t.Errorf("the handler saw %v", seen)
	}
}
