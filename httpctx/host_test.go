package httpctx_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// hostileHost is a Host from testdata, and what is answered to bob, who may do
// everything but see admin.example.
type hostileHost struct {
	ID      string
	Comment string
	Host    string
	Status  int
}

func hostileHosts(t *testing.T) []hostileHost {
	return vectors[hostileHost](t, "testdata/hostile_hosts.json")
}

// at asks for a path of a host as it is, which clients would not all send.
func at(h http.Handler, method, host, path, name string) int {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Method, r.Host = method, host
	if name != "" {
		r.Header = token(name)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestRule10_AHostThatIsRuledHasNoOtherSpelling(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{"admin.example/": authctx.Role("nobody"), "[2001:db8::2]/": authctx.Role("nobody"), "/": authctx.Authenticated()},
		Public: []string{"/public/"},
	})})
	proxy := proxyTo(t, s, nil)
	routes := muxOf("/", spy)
	routes.Handle("admin.example/", spy)
	routes.Handle("[2001:db8::2]/", spy)
	for name, h := range map[string]http.Handler{
		"a proxy":                  s.Handler(proxy),
		"a proxy behind a mux":     s.Handler(muxOf("/", proxy)),
		"a mux with that route":    s.Handler(routes),
		"a mux without that route": s.Handler(muxOf("/", spy)),
	} {
		for _, a := range hostileHosts(t) {
			if got := at(h, "GET", a.Host, "/x", "bob"); got != a.Status {
				t.Errorf("%s: %s: %q answered %d, want %d", name, a.ID, a.Host, got, a.Status)
			}
			if got := at(h, "GET", a.Host, "/public/x", ""); a.Status != 200 && got != 401 {
				t.Errorf("%s: %s: %q answered %d to nobody", name, a.ID, a.Host, got)
			}
		}
	}
}

func TestAHostThatNoPatternNamesIsLeftToServers(t *testing.T) {
	h := gatewayOf(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/": authctx.Authenticated()}}, spy)
	for _, a := range hostileHosts(t) {
		if got := at(h, "GET", a.Host, "/x", "bob"); got != 200 {
			t.Errorf("%s: %q answered %d", a.ID, a.Host, got)
		}
	}
}
