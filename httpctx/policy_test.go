package httpctx_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// routed is a server with a policy over a mux whose handlers are all spies.
func routed(t *testing.T, patterns []string, cfg authctx.PolicyConfig) string {
	t.Helper()
	mux := http.NewServeMux()
	for _, p := range patterns {
		mux.Handle(p, spy)
	}
	return serve(t, newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, cfg)}).Handler(mux)).URL
}

func TestRule10_WhatIsNeitherRuledNorPublicIsRefused(t *testing.T) {
	url := routed(t, []string{"GET /orders/{id}", "POST /orders", "GET /health", "GET /forgotten"}, authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{"GET /orders/{id}": authctx.Authenticated(), "POST /orders": authctx.Permission("orders:create")},
		Public: []string{"GET /health"},
	})
	for _, tc := range []struct {
		method, path, token string
		want                int
	}{
		{"GET", "/orders/7", "alice", 200},
		{"GET", "/orders/7", "bob", 200},
		{"GET", "/orders/7", "", 401},
		{"HEAD", "/orders/7", "alice", 200},
		{"POST", "/orders", "alice", 200},
		{"POST", "/orders", "bob", 403},
		{"POST", "/orders", "", 401},
		{"GET", "/health", "", 200},
		{"GET", "/health", "forged", 200},
		{"GET", "/forgotten", "alice", 403},
		{"GET", "/forgotten", "", 401},
		// What the mux answers itself.
		{"GET", "/nowhere", "alice", 404},
		{"GET", "/nowhere", "", 401},
		{"GET", "/nowhere", "forged", 401},
		{"DELETE", "/orders", "alice", 405},
		{"DELETE", "/orders", "", 401},
		{"POST", "/health", "", 401},
	} {
		t.Run(tc.method+" "+tc.path+" "+tc.token, func(t *testing.T) {
			var header http.Header
			if tc.token != "" {
				header = token(tc.token)
			}
			if res, _ := do(t, tc.method, url+tc.path, header); res.StatusCode != tc.want {
				t.Errorf("status %d, want %d", res.StatusCode, tc.want)
			}
		})
	}
}

func TestRule10_TheStartUpCheckListsWhatWasForgotten(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{
			"GET /orders":                  authctx.Authenticated(),
			"GET /mistyped":                authctx.Authenticated(),
			"/static/":                     authctx.Authenticated(),
			"/orders.v1.Orders/Get":        authctx.Authenticated(),
			"/grpc.health.v1.Health/*":     authctx.Authenticated(),
			"GET example.com/orders/{id}/": authctx.Authenticated(),
			"example.com/mistyped":         authctx.Authenticated(),
		},
	})})
	mux := s.NewMux()
	mux.Handle("GET /orders", spy)
	mux.HandleFunc("DELETE /orders", spy)
	mux.Handle("GET /forgotten", spy)
	_, err := mux.Handler()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"DELETE /orders"`, `"GET /forgotten"`, `"GET /mistyped"`, `"/static/"`, `"GET example.com/orders/{id}/"`, `"example.com/mistyped"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not listed in: %v", want, err)
		}
	}
	for _, not := range []string{`"GET /orders"`, "Orders/Get", "Health"} {
		if strings.Contains(err.Error(), not) {
			t.Errorf("%s is listed in: %v", not, err)
		}
	}
	if _, err := newServer(t, httpctx.ServerConfig{AllowAnonymous: true}).NewMux().Handler(); err == nil {
		t.Error("a mux without a policy has nothing to check and said so to nobody")
	}
}

func TestAMuxWhoseRoutesAreAllRuledServes(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"GET /orders": authctx.Authenticated()}, Public: []string{"GET /health"},
	})})
	mux := s.NewMux()
	mux.Handle("GET /orders", spy)
	mux.HandleFunc("GET /health", spy)
	h, err := mux.Handler()
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, h).URL
	if got := get(t, url+"/orders", token("alice")); got.Subject != "alice" {
		t.Errorf("seen %+v", got)
	}
	get(t, url+"/health", nil)
	defer func() {
		if recover() == nil {
			t.Error("a route was added that nobody checks")
		}
	}()
	mux.HandleFunc("GET /late", spy)
}

func TestRule1_APolicyHasOnlyPatternsThatNetHTTPTakes(t *testing.T) {
	rules := map[string]authctx.Rule{"GET /orders/{id}": authctx.Authenticated(), "/orders.v1.Orders/*": authctx.Authenticated()}
	bad := []string{"GET /x/{", "GET /{a}/{a}", "GET /x/{a...}/y", "GET,POST /x", "shop.v1.Orders/{List",
		"API.example/x", "GET api.example:8443/", "api.example./", "[::1]:80/", "[::1/",
		"get /x", "Delete /x", "ANY /x", "ALL /x", "/x//y", "/x/%2e%2e/y", "/x/%2F", "/x/%00", "/x/a%0Ab", "müller.example/x",
		"GET|POST /x", "/./x", "/x?type=admin", "/x#top", "/x/:id", "/x/<id>"}
	for _, pattern := range bad {
		rules[pattern] = authctx.Authenticated()
	}
	_, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer(), Policy: newPolicy(t, authctx.PolicyConfig{Rules: rules})})
	if err == nil {
		t.Fatal("no error")
	}
	for _, pattern := range bad {
		if !strings.Contains(err.Error(), strconv.Quote(pattern)) {
			t.Errorf("%q is not named in %v", pattern, err)
		}
	}
	if lines := strings.Count(err.Error(), "Policy:"); lines != len(bad) {
		t.Errorf("%d entries are refused: %v", lines, err)
	}
}

// With this setting a mux takes methods, wildcards and "{$}" for literal text.
func TestRule1_NoPolicyForAMuxOfGo121(t *testing.T) {
	cfg := httpctx.ServerConfig{Authenticator: bearer(), Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"DELETE /orders/{id}": authctx.Role("admin")}, Public: []string{"/"},
	})}
	_, err := httpctx.NewServer(cfg)
	if os.Getenv("GODEBUG") == "httpmuxgo121=1" {
		if err == nil || !strings.Contains(err.Error(), "httpmuxgo121") {
			t.Errorf("%v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	test := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	test.Env = []string{"GODEBUG=httpmuxgo121=1"} // which is read when a program starts
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestOneDefaultRuleServesWhatCannotBeListed(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{Default: authctx.Role("admin")})
	url := serve(t, newServer(t, httpctx.ServerConfig{Policy: policy}).Handler(spy)).URL
	get(t, url+"/anything", token("alice"))
	if res, _ := do(t, "GET", url+"/anything", token("bob")); res.StatusCode != 403 {
		t.Errorf("bob: %d", res.StatusCode)
	}
}

// A whole service is an entry for gRPC. What HTTP serves below its path was meant
// to be protected by more than the default.
func TestRule10_ARouteBelowAWholeServiceNeverFallsToTheDefault(t *testing.T) {
	cfg := authctx.PolicyConfig{
		Rules:   map[string]authctx.Rule{"/admin.Admin/*": authctx.Role("admin")},
		Default: authctx.Authenticated(),
	}
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, cfg)})
	for _, pattern := range []string{
		"/admin.Admin/Delete", "POST /admin.Admin/Delete", "/admin.Admin/", "/admin.Admin/{method}", "test/admin.Admin/", "POST test/admin.Admin/{rest...}",
	} {
		mux := s.NewMux()
		mux.Handle(pattern, spy)
		if _, err := mux.Handler(); err == nil || !strings.Contains(err.Error(), strconv.Quote(pattern)) {
			t.Errorf("%s is not missed at start-up: %v", pattern, err)
		}
		plain := http.NewServeMux()
		plain.Handle(pattern, spy)
		r := httptest.NewRequest("POST", "http://test/admin.Admin/Delete", nil)
		r.Header = token("bob")
		w := httptest.NewRecorder()
		s.Handler(plain).ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: status %d", pattern, w.Code)
		}
		cfg.Rules[pattern] = authctx.Authenticated()
		listed := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, cfg)})
		delete(cfg.Rules, pattern)
		w = httptest.NewRecorder()
		listed.Handler(plain).ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("%s, although listed: status %d", pattern, w.Code)
		}
	}
	routed := s.NewMux()
	for _, pattern := range []string{"/admin.Admin", "/admin.Administrators/", "/", "GET /x/admin.Admin/y"} {
		routed.Handle(pattern, spy)
	}
	if _, err := routed.Handler(); err != nil {
		t.Errorf("the default rule is not for what lies elsewhere: %v", err)
	}
}

func TestRule10_AnEntryForAMethodThatIsRoutedOtherwiseIsFoundAtStartUp(t *testing.T) {
	mux := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules:   map[string]authctx.Rule{"/admin.Admin/Delete": authctx.Role("admin"), "/admin.Admin/Get": authctx.Authenticated()},
		Default: authctx.Authenticated(),
	})}).NewMux()
	mux.Handle("POST /admin.Admin/Delete", spy)
	_, err := mux.Handler()
	if err == nil || !strings.Contains(err.Error(), `"/admin.Admin/Delete"`) || strings.Contains(err.Error(), "Get") {
		t.Errorf("%v", err)
	}
}

func TestInsideAMuxThePatternIsTheOneThatRouted(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"GET /a/{x}": authctx.Authenticated()},
	})})
	mux := http.NewServeMux()
	mux.Handle("GET /a/{x}", s.Handler(spy))
	mux.Handle("GET /b", s.Handler(spy))
	url := serve(t, mux).URL
	get(t, url+"/a/1", token("alice"))
	if res, _ := do(t, "GET", url+"/b", token("alice")); res.StatusCode != 403 {
		t.Errorf("an unlisted pattern: %d", res.StatusCode)
	}
}

// TestPathTricks asks for a route that needs a role, in spellings that some
// router somewhere took for the public one beside it. None may reach a handler
// as a public request unless it is the public route.
func TestPathTricks(t *testing.T) {
	mux := http.NewServeMux()
	for pattern, name := range map[string]string{"/admin": "admin", "/admin/": "admin", "/public/": "public", "/healthz": "health", "/": "rest"} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Handler", name)
			spy(w, r)
		})
	}
	server := serve(t, newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{"/admin": authctx.Role("admin"), "/admin/": authctx.Role("admin"), "/": authctx.Role("admin")},
		Public: []string{"/public/", "/healthz"},
	})}).Handler(mux))
	for _, tc := range []struct{ id, target string }{
		{"CVE-2026-33494_dots", "/public/../admin"},
		{"CVE-2026-33494_encoded_dots", "/public/%2e%2e/admin"},
		{"GHSA-3q34-rx83-r6mq_half_encoded", "/public/.%2e/admin"},
		{"GHSA-72h4-mxfc-jx37_encoded_slash", "/public/..%2fadmin"},
		{"GHSA-r9fw-vxmp-hwf2_backslash", "/public/..%5cadmin"},
		{"CVE-2021-31920_double_slash", "//admin"},
		{"CVE-2021-39156_fragment", "/admin%23/../public/"},
		{"CVE-2020-8595_query", "/admin?/healthz"},
		{"CVE-2025-54576_query_like_public", "/admin?x=/public/"},
		{"CVE-2026-41059_encoded_fragment", "/healthz%23/../admin"},
		{"CVE-2023-47106_raw_path", "/%61dmin"},
		{"CVE-2025-66490_encoded_slash", "/admin%2f"},
		{"CVE-2026-26205_authority", "//public/admin"},
		{"GHSA-gx7w-56w6-g48x_prefix", "/publicadmin"},
		{"a_suffix", "/x/healthz"},
		{"absolute_form", "http://test/admin"},
		{"absolute_form_of_another_host", "http://public/admin"},
		{"trailing_slash", "/healthz/"},
		{"case", "/PUBLIC/x"},
		{"dot", "/./admin"},
	} {
		t.Run(tc.id, func(t *testing.T) {
			res, _ := raw(t, server, request("GET "+tc.target))
			switch handler := res.Header.Get("Handler"); {
			case handler != "" && handler != "public":
				t.Errorf("%s ran the handler of %s without a caller", tc.target, handler)
			case handler == "" && res.StatusCode == 200:
				t.Error("200 from nobody")
			}
			if location := res.Header.Get("Location"); location != "" { // CVE-2025-47910: cleaning must not widen what is public
				if res, _ := raw(t, server, request("GET "+location)); res.Header.Get("Handler") != "" && !strings.HasPrefix(location, "/public/") {
					t.Errorf("redirected to %s, which ran %s", location, res.Header.Get("Handler"))
				}
			}
		})
	}
}

func TestCVE_2021_32637_MalformedTargetsAreRefused(t *testing.T) {
	server := serve(t, newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{Public: []string{"/"}})}).Handler(http.NewServeMux()))
	for _, target := range []string{"/%zz", "%", "*", "/a b", "", "http://[::1", "x:y:z"} {
		if res, _ := raw(t, server, request("GET "+target)); res.StatusCode < 400 {
			t.Errorf("%q: %d", target, res.StatusCode)
		}
	}
	if res, _ := raw(t, server, request("CONNECT test:443")); res.StatusCode < 400 {
		t.Errorf("CONNECT: %d", res.StatusCode)
	}
}

func TestRule8_OnlyAbsenceIsAnonymous(t *testing.T) {
	server := serve(t, newServer(t, httpctx.ServerConfig{AllowAnonymous: true}).Handler(spy))
	if got := get(t, server.URL, nil); got.Subject != "" {
		t.Errorf("an anonymous request is %q", got.Subject)
	}
	if got := get(t, server.URL, token("alice")); got.Subject != "alice" {
		t.Errorf("alice is %q", got.Subject)
	}
	for name, tc := range map[string]struct { // CVE-2021-21378: an unknown issuer was taken for a missing token
		header http.Header
		want   int
	}{
		"unknown issuer": {token("foreign"), 401},
		"expired":        {token("expired"), 401},
		"forged":         {token("forged"), 401},
		"unknown":        {token("zoe"), 401},
		"two":            {with(token("alice"), "Authorization", "Bearer alice"), 400},
		"unverifiable":   {token("down"), 503},
		"crash":          {token("crash"), 503},
	} {
		t.Run(name, func(t *testing.T) {
			if res, _ := do(t, "GET", server.URL, tc.header); res.StatusCode != tc.want {
				t.Errorf("status %d, want %d", res.StatusCode, tc.want)
			}
		})
	}
}

func TestAnInheritedCallerDoesNotReachAnAnonymousRequest(t *testing.T) {
	alice := caller(t, "alice")
	inner := newServer(t, httpctx.ServerConfig{AllowAnonymous: true}).Handler(spy)
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r.WithContext(authctx.NewContext(r.Context(), alice)))
	})).URL
	if got := get(t, url, nil); got.Subject != "" {
		t.Errorf("an anonymous request is %q", got.Subject)
	}
}
