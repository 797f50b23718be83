package httpctx_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// proxyTo returns a proxy to an upstream that is told what is sent to it.
func proxyTo(t testing.TB, s *httpctx.Server, sent func(*http.Request)) http.Handler {
	t.Helper()
	h, err := newProxy(t, s, newFields(t)).Handler(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(&url.URL{Scheme: "https", Host: "upstream"}) },
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
			if sent != nil {
				sent(r)
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("what it has")), Request: r}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func muxOf(pattern string, h http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle(pattern, h)
	return mux
}

// TestRule10_AProxyBehindAMuxAsksThePolicyItself has muxes that lead to a proxy
// whatever the policy says more. Bob is no admin.
func TestRule10_AProxyBehindAMuxAsksThePolicyItself(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{"/": authctx.Authenticated(), "/admin/": authctx.Role("admin"), "/shop.Orders/*": authctx.Role("admin")},
		Public: []string{"/static/", "/api/help/", "GET /files/{name}"},
	})
	var j journal
	s := newServer(t, httpctx.ServerConfig{Policy: policy, Observer: &j})
	proxy := proxyTo(t, s, nil)
	lacking := func(h http.Handler) *http.ServeMux {
		mux := http.NewServeMux()
		for _, p := range policy.Names() {
			if p != "/admin/" && p != "/shop.Orders/*" {
				mux.Handle(p, h)
			}
		}
		return mux
	}
	middleware := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { proxy.ServeHTTP(w, r) })
	for name, h := range map[string]http.Handler{
		"a mux":               s.Handler(lacking(proxy)),
		"a mux of middleware": s.Handler(lacking(middleware)),
	} {
		for _, tc := range []struct {
			line               string
			nobody, bob, alice int
		}{
			{"GET /else", 401, 200, 200},
			{"GET /static/logo", 200, 200, 200},
			{"GET /static/logo%20a;v=1", 200, 200, 200},
			{"GET /files/a", 200, 200, 200},
			{"GET /admin/x", 401, 403, 200},
			{"GET /ADMIN/x", 401, 403, 200},
			{"GET /admin%2fx", 401, 403, 200},
			{"GET /static%2fx", 401, 403, 200},
			{"GET /static/%2e%2e/admin/x", 400, 400, 400},
			{"GET /static/..%2fadmin/x", 400, 400, 400},
			{"GET /static/..;/admin/x", 400, 400, 400},
			{"GET /files/%2e%2e%2fadmin%2fx", 400, 400, 400},
			// To the mux these are public, so that nobody was asked who is calling.
			{"GET /st%61tic/x", 401, 401, 401},
			{"GET /files/a%2fb", 401, 401, 401},
			{"POST /shop.Orders/Delete", 401, 403, 200},
		} {
			for token, want := range map[string]int{"": tc.nobody, "bob": tc.bob, "alice": tc.alice} {
				if w := asked(t, h, tc.line, "api", token); w.Code != want {
					t.Errorf("%s: %s by %q: %d, want %d", name, tc.line, token, w.Code, want)
				} else if e := j.last(t); (want == 200) != (e.Outcome == authctx.Allowed) {
					t.Errorf("%s: %s by %q: %v was observed", name, tc.line, token, e.Outcome)
				}
			}
		}
	}
	asked(t, s.Handler(lacking(middleware)), "GET /admin%2fx", "api", "bob")
	if e := j.last(t); e.Entry != "/admin/" || e.Principal.Subject() != "bob" {
		t.Errorf("observed %q of %v", e.Entry, e.Principal)
	}
	if w := asked(t, proxy, "GET /else", "api", "bob"); w.Code != 401 {
		t.Errorf("without a handler around: %d", w.Code)
	}
}

// A prefix that is stripped on the way is one of the path that the policy rules.
func TestAProxyAsksAboutThePathThatTheServerSaw(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{
		"/": authctx.Role("admin"), "/api/": authctx.Authenticated(), "/api/admin/": authctx.Role("admin"), "/users/": authctx.Role("admin"),
	}})})
	var sent string
	proxy := proxyTo(t, s, func(r *http.Request) { sent = r.URL.EscapedPath() })
	mux := muxOf("/", proxy)
	mux.Handle("/api/", http.StripPrefix("/api", proxy))
	rewritten := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = "/api"+r.URL.Path, ""
			next.ServeHTTP(w, r)
		})
	}
	for _, tc := range []struct {
		name, line string
		h          http.Handler
		want       int
		sent       string
	}{
		{"stripped inside", "GET /api/users/1?q=1", s.Handler(mux), 200, "/users/1"},
		{"stripped inside, in absolute form", "GET http://api/api/users/1", s.Handler(mux), 200, "/users/1"},
		{"stripped inside, in another case", "GET /api/ADMIN/1", s.Handler(mux), 403, ""},
		{"stripped inside, with dots", "GET /api/%2e%2e/1", s.Handler(mux), 400, ""},
		{"stripped outside as well", "GET /v1/api/users/1", http.StripPrefix("/v1", s.Handler(mux)), 200, "/users/1"},
		{"stripped outside as well, in another case", "GET /v1/api/Admin/1", http.StripPrefix("/v1", s.Handler(mux)), 403, ""},
		{"rewritten outside", "GET /users/1", rewritten(s.Handler(mux)), 200, "/users/1"},
		{"rewritten outside, in another case", "GET /Admin/1", rewritten(s.Handler(mux)), 403, ""},
		{"not stripped", "GET /users/1", s.Handler(mux), 403, ""},
	} {
		sent = ""
		if w := asked(t, tc.h, tc.line, "api", "bob"); w.Code != tc.want || sent != tc.sent {
			t.Errorf("%s: %d, sent %q", tc.name, w.Code, sent)
		}
	}
}

func TestAProxyAsksAboutThePathThatTheServerOfItsPolicySaw(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/api/admin/": authctx.Role("admin")}, Public: []string{"/api/"},
	})})
	other := newServer(t, httpctx.ServerConfig{Observer: new(journal), AllowAnonymous: true})
	h := s.Handler(muxOf("/api/", other.Handler(proxyTo(t, s, nil))))
	r := httptest.NewRequest("GET", "/api/ADMIN/1", nil)
	r.RequestURI = "/ADMIN/1"
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 401 {
		t.Errorf("%d", w.Code)
	}
}

// The pattern by which a mux routes is no answer for what a server behind the
// proxy may read below it.
func TestRule10_AWildcardOfAMuxStandsForOneSegment(t *testing.T) {
	for name, cfg := range map[string]authctx.PolicyConfig{
		"public": {Public: []string{"GET /files/{name}"}},
		"ruled":  {Rules: map[string]authctx.Rule{"GET /files/{name}": authctx.Authenticated()}},
	} {
		s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, cfg)})
		proxy := proxyTo(t, s, nil)
		for where, h := range map[string]http.Handler{
			"no mux":        s.Handler(proxy),
			"a mux":         s.Handler(muxOf("GET /files/{name}", proxy)),
			"a mux outside": muxOf("GET /files/{name}", s.Handler(proxy)),
		} {
			if w := asked(t, h, "GET /files/a", "api", "bob"); w.Code != 200 {
				t.Errorf("%s, %s: %d", name, where, w.Code)
			}
			for _, path := range []string{"/files/a%2Fb", "/files/a%3Bb", "/files/50%25"} {
				for _, token := range []string{"", "bob"} {
					if w := asked(t, h, "GET "+path, "api", token); w.Code != 401 && (w.Code != 403 || token == "") {
						t.Errorf("%s, %s: %s by %q: %d", name, where, path, token, w.Code)
					}
				}
			}
		}
	}
}

// What an inner mux calls a path is none of the policy's patterns.
func TestAPatternOfAnInnerMuxIsNoEntry(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{
		"/orders/": authctx.Authenticated(), "/": authctx.Role("admin"),
	}})})
	inner := muxOf("/", proxyTo(t, s, nil))
	for name, h := range map[string]http.Handler{
		"stripped": s.Handler(muxOf("/orders/", http.StripPrefix("/orders", inner))),
		"as it is": s.Handler(muxOf("/orders/", inner)),
	} {
		if w := asked(t, h, "GET /orders/1", "api", "bob"); w.Code != 200 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// Some routers ask RawPath, whether or not it goes with Path.
func TestAPathThatWasRewrittenByHalvesIsRefused(t *testing.T) {
	h := gatewayOf(t, authctx.PolicyConfig{Public: []string{"/public/"}, Rules: map[string]authctx.Rule{"/": authctx.Role("admin")}}, spy)
	r := httptest.NewRequest("GET", "/public/a", nil)
	r.URL.RawPath = "/admin%20"
	r.Header.Set("Authorization", "Bearer alice")
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 400 {
		t.Errorf("%d", w.Code)
	}
}

func TestARuleIsAskedOnceIfTheTableIs(t *testing.T) {
	n := 0
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{
		"GET /a": authctx.RuleFunc(func(context.Context, authctx.Principal) error { n++; return nil }),
	}})})
	observed := newServer(t, httpctx.ServerConfig{Observer: new(journal), AllowAnonymous: true})
	proxy := proxyTo(t, s, nil)
	for name, tc := range map[string]struct {
		h    http.Handler
		want int
	}{
		"a proxy":                     {s.Handler(proxy), 1},
		"a proxy in another server":   {s.Handler(observed.Handler(proxy)), 1},
		"in a mux":                    {muxOf("GET /a", s.Handler(proxy)), 1},
		"a mux with what is no proxy": {s.Handler(muxOf("GET /a", spy)), 1},
		"a mux with a proxy":          {s.Handler(muxOf("GET /a", proxy)), 2},
	} {
		n = 0
		if w := asked(t, tc.h, "GET /a", "api", "bob"); n != tc.want || w.Code != 200 {
			t.Errorf("%s: %d times, %d", name, n, w.Code)
		}
	}
}

func TestTheRuleOfAnOuterMuxIsAskedOnceForAPathThatIsNotSure(t *testing.T) {
	n := 0
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{
		"/files/": authctx.RuleFunc(func(context.Context, authctx.Principal) error { n++; return nil }),
	}})})
	for name, h := range map[string]http.Handler{
		"which the table has too": s.Handler(spy),
		"for want of another":     http.StripPrefix("/files", s.Handler(spy)),
	} {
		n = 0
		if w := asked(t, muxOf("/files/", h), "GET /files/a%2Fb", "api", "bob"); n != 1 || w.Code != 200 {
			t.Errorf("%s: %d times, %d", name, n, w.Code)
		}
	}
}

func TestRule6_APreflightPassesAProxyBehindAMux(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/": authctx.Authenticated(), "DELETE /orders/{id}": authctx.Authenticated()}, Public: []string{"/static/"},
	})})
	mux := http.NewServeMux()
	mux.Handle("/", proxyTo(t, s, nil))
	mux.Handle("/static/", proxyTo(t, s, nil))
	for _, tc := range []struct {
		path string
		want int
		body string
	}{
		{"/orders/1", 200, ""},
		{"/static/x", 200, "what it has"},
		{"/st%61tic/x", 200, ""}, // which some server takes for "/"
		{"/static/%2e%2e/orders/1", 400, "*"},
	} {
		r := httptest.NewRequest("OPTIONS", "http://api"+tc.path, nil)
		r.Header = http.Header{"Origin": {"https://app.example"}, "Access-Control-Request-Method": {"DELETE"}}
		w := httptest.NewRecorder()
		s.Handler(mux).ServeHTTP(w, r)
		if w.Code != tc.want || tc.body != "*" && w.Body.String() != tc.body {
			t.Errorf("%s: %d %q", tc.path, w.Code, w.Body)
		}
	}
}

// TestRule10_AnEntryThatIsNoRouteOfAMuxIsHeld has a mux that lacks what the
// policy lists, and hands it to the handler of something less specific.
func TestRule10_AnEntryThatIsNoRouteOfAMuxIsHeld(t *testing.T) {
	cfg := authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{
			"/": authctx.Authenticated(), "/admin/": authctx.Role("admin"), "GET /orders/{id}": authctx.Authenticated(), "GET /orders/export": authctx.Role("admin"),
			"ops.example/": authctx.Role("admin"), "/shop.Orders/*": authctx.Role("admin"), "/shop.Orders/List": authctx.Authenticated(), "/x.Y/*": authctx.Role("admin"),
		},
		Public: []string{"/x.Y/{method}"},
	}
	onlyAService := muxOf("/", spy)
	h := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/shop.Orders/*": authctx.Role("admin")}, Public: []string{"/"},
	})}).Handler(onlyAService)
	if w := asked(t, h, "POST /shop.Orders/Delete", "api", "bob"); w.Code != 403 {
		t.Errorf("a service alone: %d", w.Code)
	}
	withDefault := cfg
	withDefault.Default = authctx.Authenticated()
	for _, tc := range []struct {
		line, host string
		bob, alice int
	}{
		{"GET /else", "api", 200, 200},
		{"GET /admin/x", "api", 403, 200},
		{"GET /%61dmin/x", "api", 403, 200},
		{"GET /admin", "api", 403, 200},   // which leads there
		{"GET /ADMIN/x", "api", 200, 200}, // which a mux does not take for it
		{"GET /orders/7", "api", 200, 200},
		{"GET /orders/a%2Fb", "api", 200, 200},
		{"GET /orders/export", "api", 403, 200},
		{"GET /orders/7", "ops.example:80", 403, 200},
		{"POST /shop.Orders/Delete", "api", 403, 200},
		{"POST /shop.Orders/List", "api", 200, 200},
		{"POST /x.Y/Z", "api", 200, 200}, // a route that is listed
		{"POST /x.Y/Z/", "api", 403, 200},
	} {
		mux := http.NewServeMux()
		for _, p := range []string{"/", "GET /orders/{id}", "/x.Y/{method}"} {
			mux.Handle(p, spy)
		}
		unlisted := http.NewServeMux()
		unlisted.Handle("/{rest...}", mux)
		for name, h := range map[string]http.Handler{
			"listed":  newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, cfg)}).Handler(mux),
			"default": newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, withDefault)}).Handler(unlisted),
		} {
			for token, want := range map[string]int{"bob": tc.bob, "alice": tc.alice} {
				if w := asked(t, h, tc.line, tc.host, token); w.Code != want {
					t.Errorf("%s: %s of %s by %q: %d, want %d", name, tc.line, tc.host, token, w.Code, want)
				}
			}
		}
	}
}

// TestRule10_WhatAMuxHasItRulesAlone has a mux with all that the policy lists:
// nothing else than the pattern that it routes by counts.
func TestRule10_WhatAMuxHasItRulesAlone(t *testing.T) {
	cfg := authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{"/admin/": authctx.Role("admin"), "/a/{id}/edit": authctx.Role("admin"), "/shop.Orders/*": authctx.Role("admin")},
		Public: []string{"/", "/a/{id}", "/a/"},
	}
	mux := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, cfg)}).NewMux()
	for _, p := range []string{"/admin/", "/a/{id}/edit", "/", "/a/{id}", "/a/"} {
		mux.Handle(p, spy)
	}
	h, err := mux.Handler()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"GET /Admin/x", "GET /admin%2Fx", "GET /a/1%2Fedit", "GET /a/%2e%2e", "GET /;x", "GET /a/b/c"} {
		if w := asked(t, h, line, "api", ""); w.Code != 200 {
			t.Errorf("%s: %d", line, w.Code)
		}
	}
}
