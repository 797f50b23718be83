package httpctx_test

import (
	"context"
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
	s, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: a})
	if err != nil {
		t.Fatal(err)
	}
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
