package httpctx_test

import (
	"net/http"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// Over HTTP/2, net/http takes any text for a method.
func TestRFC9110_Section9_1_AMethodIsAToken(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"GET /reports/": authctx.Role("admin"), "/": authctx.Authenticated()},
	})})
	open := newServer(t, httpctx.ServerConfig{})
	for name, h := range map[string]http.Handler{
		"a policy":                 s.Handler(spy),
		"a policy and a mux":       s.Handler(muxOf("/", spy)),
		"a proxy without a policy": open.Handler(proxyTo(t, open, nil)),
	} {
		for method, want := range map[string]int{
			"GET": 200, "M-SEARCH": 200, "X!#$%&'*+-.^_`|~0": 200,
			"": 400, "GET ": 400, " GET": 400, "GET\t": 400, "GET\x00": 400, "GET\r\nX: y": 400, "GET/": 400, "GET,POST": 400, "GÉT": 400, "\xff": 400, "\x7f": 400,
		} {
			if got := at(h, method, "api", "/x", "bob"); got != want {
				t.Errorf("%s: %q answered %d, want %d", name, method, got, want)
			}
		}
	}
	if got := at(s.Handler(spy), "GET ", "api", "/reports/x", ""); got != 401 {
		t.Errorf("nobody is answered %d", got)
	}
}
