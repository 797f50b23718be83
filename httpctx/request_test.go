package httpctx_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

func TestAuthenticatorsSeeThePathAsItWasSent(t *testing.T) {
	var target string
	a := authctx.NewAuthenticator(authctx.FieldSet{}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		target = r.Target
		return authctx.Result{}, authctx.NoCredentials
	})
	s := newServer(t, httpctx.ServerConfig{Authenticator: a})
	for url, want := range map[string]string{
		"/a/b?c=d":               "/a/b",
		"/a%2Fb":                 "/a%2Fb",
		"/100%25":                "/100%25",
		"/a%2Fb|c":               "/a%2Fb|c", // one odd character changes no other
		"/a%2fb^%7Ec":            "/a%2fb^%7Ec",
		"/a|b":                   "/a|b",
		"//a/../b":               "//a/../b",
		"http://other.test/%7Ea": "/%7Ea",
	} {
		if _, err := s.Check(httptest.NewRequest("GET", url, nil)); err == nil {
			t.Fatal("a request without credentials passed")
		}
		if target != want {
			t.Errorf("%s: %q, want %q", url, target, want)
		}
	}
}

// hostContext is the context of a request as fasthttp's adaptor makes it.
type hostContext struct {
	context.Context
	local net.Addr
}

func (c hostContext) LocalAddr() net.Addr { return c.local }

// Who connects to a Unix socket may bind the other end to a path that reads like
// the address of somebody who is trusted.
func TestAPeerOfAUnixSocketHasNoAddressWhateverItIsBoundTo(t *testing.T) {
	unix, tcp := &net.UnixAddr{Name: "/run/service", Net: "unix"}, &net.TCPAddr{IP: net.IPv4(10, 1, 0, 1), Port: 80}
	var got authctx.Request
	s := newServer(t, httpctx.ServerConfig{Authenticator: authctx.NewAuthenticator(authctx.FieldSet{}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		got = *r
		return authctx.Result{}, authctx.NoCredentials
	})})
	for name, tc := range map[string]struct {
		ctx  context.Context
		want bool
	}{
		"net/http, Unix":     {context.WithValue(t.Context(), http.LocalAddrContextKey, unix), false},
		"net/http, TCP":      {context.WithValue(t.Context(), http.LocalAddrContextKey, tcp), true},
		"fasthttp, Unix":     {hostContext{t.Context(), unix}, false},
		"fasthttp, TCP":      {hostContext{t.Context(), tcp}, true},
		"fasthttp, nowhere":  {hostContext{t.Context(), nil}, true},
		"a host says itself": {hostContext{context.WithValue(t.Context(), http.LocalAddrContextKey, tcp), unix}, true},
		"no host":            {t.Context(), true},
	} {
		r := httptest.NewRequestWithContext(tc.ctx, "GET", "/", nil)
		r.RemoteAddr = "10.1.0.6:99"
		if _, err := s.Check(r); err == nil {
			t.Fatal("a request without credentials passed")
		}
		if got.Peer.IsValid() != tc.want {
			t.Errorf("%s: peer %v", name, got.Peer)
		}
	}
}
