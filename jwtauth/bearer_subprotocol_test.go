package jwtauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestBearerReadsASubprotocolFromAWebSocketHandshakeOnly(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	token := s.token(t, goodClaims(nil))
	v := newVerifier(t, s, nil)
	b := newBearer(t, v, &jwtauth.BearerOptions{Subprotocol: "bearer."})
	plain := newBearer(t, v, nil)
	const protocol = "Sec-WebSocket-Protocol"
	for name, test := range map[string]struct {
		b       *jwtauth.Bearer
		request *authctx.Request
		want    error
	}{
		"a token":                      {b, fields("Upgrade", "websocket", protocol, "bearer."+token), nil},
		"among others":                 {b, fields("Upgrade", "WebSocket", protocol, "chat, bearer."+token+" ,v2"), nil},
		"on a second line":             {b, fields("upgrade", "websocket", protocol, "chat", protocol, "bearer."+token), nil},
		"nothing":                      {b, fields("Upgrade", "websocket"), authctx.NoCredentials},
		"other subprotocols":           {b, fields("Upgrade", "websocket", protocol, "chat, v2"), authctx.NoCredentials},
		"the prefix in another case":   {b, fields("Upgrade", "websocket", protocol, "Bearer."+token), authctx.NoCredentials},
		"the prefix alone":             {b, fields("Upgrade", "websocket", protocol, "bearer."), authctx.InvalidRequest},
		"two tokens":                   {b, fields("Upgrade", "websocket", protocol, "bearer."+token+", bearer."+token), authctx.InvalidRequest},
		"two tokens on two lines":      {b, fields("Upgrade", "websocket", protocol, "bearer."+token, protocol, "bearer."+token), authctx.InvalidRequest},
		"a malformed token":            {b, fields("Upgrade", "websocket", protocol, "bearer.abc"), authctx.InvalidToken},
		"no handshake":                 {b, fields(protocol, "bearer."+token), authctx.NoCredentials},
		"another upgrade":              {b, fields("Upgrade", "h2c", protocol, "bearer."+token), authctx.NoCredentials},
		"two upgrades":                 {b, fields("Upgrade", "websocket", "Upgrade", "h2c", protocol, "bearer."+token), authctx.NoCredentials},
		"the header instead":           {b, fields("Upgrade", "websocket", "Authorization", "Bearer "+token), authctx.NoCredentials},
		"a subprotocol, when not told": {plain, fields("Upgrade", "websocket", protocol, "bearer."+token), authctx.NoCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := authctx.Authenticate(t.Context(), test.b, test.request)
			if !errors.Is(err, test.want) || test.want == nil && res.Principal.Subject() != "alice" {
				t.Errorf("%v, %v; want %v", res.Principal, err, test.want)
			}
			if got, err := test.b.Presents(t.Context(), test.request); err != nil || got == errors.Is(test.want, authctx.NoCredentials) {
				t.Errorf("Presents: %v, %v", got, err)
			}
		})
	}
	post := fields("Upgrade", "websocket", protocol, "bearer."+token)
	post.Method = "POST"
	if _, err := b.Authenticate(t.Context(), post); !errors.Is(err, authctx.NoCredentials) {
		t.Errorf("POST: %v", err)
	}
	if f := b.Fields(); !slices.Equal(f.Subprotocols, []string{"bearer."}) || f.Names != nil {
		t.Errorf("Fields: %+v", f)
	}
}

func TestRule1_ASubprotocolMustBeAName(t *testing.T) {
	v := newVerifier(t, signerFor(t, jwtauth.EdDSA), nil)
	for _, o := range []jwtauth.BearerOptions{
		{Subprotocol: "a b"}, {Subprotocol: "a,b"}, {Subprotocol: "a\n"}, {Subprotocol: "a", Cookie: "b"}, {Subprotocol: "a", Header: "b"},
	} {
		if _, err := jwtauth.NewBearer(v, &o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestRule6_TheTokenIsRemovedFromWhatIsNegotiated(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	b := newBearer(t, newVerifier(t, s, nil), &jwtauth.BearerOptions{Subprotocol: "bearer."})
	var seen http.Header
	h := serve(t, httpctx.ServerConfig{Authenticator: b, KeepCredentials: true}, &seen)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Protocol": {"chat, bearer." + s.token(t, goodClaims(nil)) + ", v2"},
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
	if got := seen["Sec-Websocket-Protocol"]; !slices.Equal(got, []string{"chat, v2"}) {
		t.Errorf("the handler negotiates about %q", got)
	}
}

// A browser cannot set the Authorization header of a WebSocket, so it offers the
// token as a subprotocol beside the one it wants to speak:
//
//	new WebSocket("wss://api.example/live", ["chat", "bearer." + token])
func ExampleBearerOptions_subprotocol() {
	alice, _ := authctx.New(authctx.Attributes{Issuer: "https://issuer.example", Subject: "alice"})
	verifier := verifierFunc(func(string) (jwtauth.VerifiedToken, error) {
		return jwtauth.VerifiedToken{Principal: alice}, nil // a jwtauth.Verifier in earnest
	})
	bearer, err := jwtauth.NewBearer(verifier, &jwtauth.BearerOptions{Subprotocol: "bearer."})
	if err != nil {
		fmt.Println(err)
		return
	}
	server, _ := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer, Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	handler := server.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ := authctx.FromContext(r.Context())
		fmt.Println(p.Subject(), "offers", r.Header.Get("Sec-Websocket-Protocol"))
	}))

	r := httptest.NewRequest("GET", "/live", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Protocol", "chat, bearer.aaa.bbb.ccc")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	// Output: alice offers chat
}
