package httpctx_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// Envoy's filter followed a null pointer where a request had no path. With
// every authenticator and a policy, no shape of request gets more than a
// refusal, and none a panic.
func TestGHSA_vj5m_rch8_5r2p_NoShapeOfRequestIsTooOdd(t *testing.T) {
	idp := jwtauthtest.NewIssuer(t, nil)
	v := newVerifier(t, idp)
	dpop, err := jwtauth.NewDPoP(v, jwtauth.DPoPConfig{ExternalURL: "https://api.example"})
	if err != nil {
		t.Fatal(err)
	}
	var j journal
	mux := http.NewServeMux()
	mux.Handle("/{path...}", spy)
	server := httptest.NewUnstartedServer(newServer(t, httpctx.ServerConfig{
		Observer: &j, Authenticator: authctx.OneOf(newBearer(t, v), dpop),
		Policy: newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/{path...}": authctx.Authenticated()}}),
	}).Handler(mux))
	server.Config.DisableGeneralOptionsHandler = true // which answers "OPTIONS *" before us
	server.Start()
	defer server.Close()
	key := idp.NewDPoPKey("")
	bound := idp.Token().BoundTo(key).Sign()
	proof := key.Proof("GET", "https://api.example/", bound)
	for _, line := range []string{
		"OPTIONS *", "GET *", "CONNECT test:443", "CONNECT /", "CONNECT test", "GET http://test", "GET http://", "GET //", "GET /%", "GET /\x7f", "GET ?", "GET /?", "get /",
		"GET http:opaque", "GET https://u:p@test/", "GET /;a=b", "PRI *", "X-\u00e9 /", "GET test:443",
	} {
		for _, fields := range [][]string{nil, {"Authorization: Bearer " + idp.Token().Sign() + "x"}, {"Authorization: DPoP " + bound, "DPoP: " + proof.Sign() + "x"},
			{"Authorization:"}, {"DPoP:"}, {"Cookie:"}, {"Connection:", "Upgrade:"}, {"Upgrade: websocket", "Connection: Upgrade"}} {
			if res, _ := raw(t, server, request(line, fields...)); res.StatusCode < 300 || res.StatusCode == 503 {
				t.Errorf("%q with %q: %d", line, fields, res.StatusCode)
			}
		}
	}
}
