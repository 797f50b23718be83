package httpctx_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// tableOfAGateway rules routes of what is behind a gateway. Alice is an admin,
// bob is not.
var tableOfAGateway = authctx.PolicyConfig{
	Rules: map[string]authctx.Rule{
		"/admin/":              authctx.Role("admin"),
		"/admin":               authctx.Role("admin"),
		"/internal/":           authctx.Role("admin"),
		"DELETE /orders/{id}":  authctx.Role("admin"),
		"GET /reports/{name}":  authctx.Role("admin"),
		"GET /reports/monthly": authctx.Authenticated(),
		"ops.example/":         authctx.Role("admin"),
		"/shop.Orders/*":       authctx.Role("admin"),
		"/shop.Orders/List":    authctx.Authenticated(),
	},
	Public:  []string{"/public/", "GET /{$}", "/shop.Health/*"},
	Default: authctx.Authenticated(),
}

func gatewayOf(t testing.TB, cfg authctx.PolicyConfig, next http.Handler) http.Handler {
	return newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, cfg)}).Handler(next)
}

// parsed returns a request as it stands on the wire.
func parsed(line, host string) (*http.Request, error) {
	wire := strings.NewReader(line + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
	return http.ReadRequest(bufio.NewReaderSize(wire, 128)) // some tests make many of these
}

// asked sends a request as it stands on the wire, of whoever has the token.
func asked(t testing.TB, h http.Handler, line, host, token string) *httptest.ResponseRecorder {
	t.Helper()
	r, err := parsed(line, host)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRule10_ATableRulesWhateverIsInside(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/", spy)
	root := http.NewServeMux()
	inside := gatewayOf(t, tableOfAGateway, http.HandlerFunc(mux.ServeHTTP))
	root.Handle("/", inside)
	for name, h := range map[string]http.Handler{
		"a proxy":                 gatewayOf(t, tableOfAGateway, spy),
		"a mux inside middleware": inside,
		"behind an outer mux":     root,
	} {
		for _, tc := range []struct {
			line, host         string
			nobody, bob, alice int
		}{
			{"GET /", "api", 200, 200, 200},
			{"GET /public/a", "api", 200, 200, 200},
			{"GET /else", "api", 401, 200, 200},
			{"GET /admin/users", "api", 401, 403, 200},
			{"GET /admin/", "api", 401, 403, 200},
			{"GET /admin", "api", 401, 403, 200},
			{"DELETE /orders/1", "api", 401, 403, 200},
			{"GET /orders/1", "api", 401, 200, 200},
			{"GET /reports/7", "api", 401, 403, 200},
			{"HEAD /reports/7", "api", 401, 403, 200},
			{"GET /reports/monthly", "api", 401, 200, 200},
			{"GET /files/a%2Fb", "api", 401, 200, 200},
			{"GET /files/https%3A%2F%2Fa%2Fb", "api", 401, 200, 200},
			{"GET /files/100%25", "api", 401, 200, 200},
			{"GET /files/a%20b|c", "api", 401, 200, 200},
			{"GET /files/a%5Cb;v=1", "api", 401, 200, 200},
			{"GET /files/%20" + strings.Repeat("a", 8000), "api", 401, 200, 200},
			{"GET /public/a;b/x", "api", 200, 200, 200},
			{"GET /public/a%2Fb", "api", 200, 200, 200},
			{"GET /x", "ops.example:8443", 401, 403, 200},
			{"POST /shop.Orders/Delete", "api", 401, 403, 200},
			{"POST /shop.Orders/List", "api", 401, 200, 200},
			{"POST /shop.Health/Check", "api", 200, 200, 200},
			{"GET http://api/admin/x", "api", 401, 403, 200},
		} {
			for token, want := range map[string]int{"": tc.nobody, "bob": tc.bob, "alice": tc.alice} {
				if w := asked(t, h, tc.line, tc.host, token); w.Code != want {
					t.Errorf("%s: %s of %s by %q: %d, want %d", name, tc.line, tc.host, token, w.Code, want)
				}
			}
		}
	}
}

// A pattern of one path alone, "/{$}", says nothing of what some server may read
// below it.
func TestRule10_AnExactPatternCoversNothingBelowIt(t *testing.T) {
	h := gatewayOf(t, authctx.PolicyConfig{
		Rules:   map[string]authctx.Rule{"/admin/": authctx.Role("admin"), "/docs/{name}": authctx.Role("admin")},
		Public:  []string{"/{$}", "/docs/{$}", "/docs"},
		Default: authctx.Role("admin"),
	}, spy)
	for _, line := range []string{"GET /", "GET /docs/", "GET /docs"} {
		if w := asked(t, h, line, "api", ""); w.Code != 200 {
			t.Errorf("%s: %d", line, w.Code)
		}
	}
	for _, behind := range []string{";admin/users", "%2Fadmin/users", "%3Badmin", "\\admin", "%5Cadmin", "%252Fadmin", "%3Fx", "%23x", "x%2F..x"} {
		for _, base := range []string{"/", "/docs/"} {
			if w := asked(t, h, "GET "+base+behind, "api", ""); w.Code != 401 {
				t.Errorf("%s%s by nobody: %d", base, behind, w.Code)
			}
			if w := asked(t, h, "GET "+base+behind, "api", "bob"); w.Code != 403 {
				t.Errorf("%s%s by bob: %d", base, behind, w.Code)
			}
		}
	}
}

// A pattern with a wildcard is no method of a service, though a request for one
// falls under it: no server says which of the two it goes by.
func TestRule10_APatternBelowAServiceTakesNothingFromIt(t *testing.T) {
	for _, pattern := range []string{"/shop.Orders/{method}", "POST /shop.Orders/{method}", "/shop.Orders/", "/shop.Orders/a/b"} {
		h := gatewayOf(t, authctx.PolicyConfig{
			Rules: map[string]authctx.Rule{"/shop.Orders/*": authctx.Role("admin"), pattern: authctx.Authenticated()},
		}, spy)
		for _, line := range []string{"POST /shop.Orders/Delete", "POST /shop.Orders/a/b"} {
			if w := asked(t, h, line, "api", "bob"); w.Code != 403 {
				t.Errorf("%s: %s by bob: %d", pattern, line, w.Code)
			}
		}
	}
}

// TestPathTricksBehindAProxy sends what some server would take for a route of
// the table. Bob may do everything else.
func TestPathTricksBehindAProxy(t *testing.T) {
	h := gatewayOf(t, tableOfAGateway, spy)
	for _, tc := range []struct {
		id, line, host string
		want           int
	}{
		{"dots", "GET /public/../admin/x", "api", 400},
		{"a dot", "GET /./admin/x", "api", 400},
		{"encoded dots", "GET /public/%2e%2e/admin/x", "api", 400},
		{"half encoded dots", "GET /public/.%2E/admin/x", "api", 400},
		{"twice encoded dots", "GET /public/%252e%252e/admin/x", "api", 400},
		{"encoded dots beside what cannot be decoded", "GET /public/%252e%252e/admin/x%25zz", "api", 400},
		{"dots with parameters", "GET /public/..;/admin/x", "api", 400},
		{"encoded dots with parameters", "GET /public/%2e%2e;a=b/admin/x", "api", 400},
		{"dots and encoded slash", "GET /public/..%2fadmin/x", "api", 400},
		{"dots and backslash", "GET /public/..\\admin/x", "api", 400},
		{"dots and encoded backslash", "GET /public/..%5cadmin/x", "api", 400},
		{"dots before a NUL", "GET /public/..%00/admin/x", "api", 400},
		{"a NUL", "GET /admin%00", "api", 400},
		{"a line feed", "GET /admin%0a", "api", 400},
		{"back again", "GET /public/%2e%2e/admin/..;/..;/public/x", "api", 400},
		{"encoded again and again", "GET /%2525252561dmin/x", "api", 403},
		{"double slash", "GET //admin/x", "api", 400},
		{"double slash inside", "GET /admin//x", "api", 400},
		{"no slash at the end of what has one", "GET /internal", "api", 403},
		{"no path", "OPTIONS *", "api", 400},
		{"an opaque target", "GET x:admin/x", "api", 400},
		{"no path to connect to", "CONNECT api:443", "api", 400},
		{"a method in lower case", "delete /orders/1", "api", 400},
		{"dots encoded again and again", "GET /public/%2" + strings.Repeat("52", 9) + "e./admin/x", "api", 400},
		{"dots that come to light out of order", "GET /public/%25%32e%252%65/admin/x", "api", 400},

		{"encoded letter", "GET /%61dmin/x", "api", 403},
		{"twice encoded letter", "GET /%2561dmin/x", "api", 403},
		{"encoded slash", "GET /admin%2fx", "api", 403},
		{"twice encoded slash", "GET /admin%252fx", "api", 403},
		{"leading encoded slash", "GET /%2fadmin/x", "api", 403},
		{"backslash", "GET /admin\\x", "api", 403},
		{"encoded backslash", "GET /admin%5cx", "api", 403},
		{"parameters", "GET /admin;a=b/x", "api", 403},
		{"encoded parameters", "GET /admin%3Ba/x", "api", 403},
		{"parameters with an encoded slash", "GET /reports;a%2Fb/7", "api", 403},
		{"parameters of what is public", "GET /public;/x", "api", 403},
		{"slash at the end", "DELETE /orders/1/", "api", 403},
		{"encoded slash at the end", "DELETE /orders/1%2f", "api", 403},
		{"encoded query", "GET /admin%3f/x", "api", 403},
		{"fragment", "GET /admin#/x", "api", 403},
		{"encoded fragment", "GET /admin%23/x", "api", 403},
		{"another route inside an identifier", "DELETE /orders/1%3Fx", "api", 403},
		{"parameter with an encoded slash after one", "DELETE /orders%2F1;a%2Fb", "api", 403},
		{"parameter with an encoded backslash", "DELETE /orders%5C1;a%5Cb", "api", 403},
		{"all of that encoded again", "DELETE /orders%252F1%3Ba%252Fb", "api", 403},
		{"all behind a semicolon", "DELETE /orders/1;a/b", "api", 403},
		{"all behind a semicolon, with an encoded query", "DELETE /orders/1;%3f/x", "api", 403},
		{"parameter before a backslash", "GET /admin\\x;y\\z", "api", 403},
		{"capitals", "GET /ADMIN/x", "api", 403},
		{"encoded capitals", "GET /%41dmin/x", "api", 403},
		{"below a method of a service", "POST /shop.Orders/Delete/x", "api", 403},
		{"a service without method", "POST /shop.Orders", "api", 403},
		{"encoded method of a service", "POST /shop.Orders/Delete%2F", "api", 403},
		{"encoded service", "POST /shop%2EOrders/Delete", "api", 403},
		{"absolute form", "GET http://api/admin/x", "api", 403},
		{"host in capitals", "GET /x", "OPS.Example", 403},
		{"host with a dot", "GET /x", "ops.example.:80", 403},
		{"host of the target", "GET http://ops.example/x", "api", 403},
	} {
		t.Run(tc.id, func(t *testing.T) {
			if w := asked(t, h, tc.line, tc.host, "bob"); w.Code != tc.want {
				t.Errorf("%s: %d, want %d", tc.line, w.Code, tc.want)
			}
			if w := asked(t, h, tc.line, tc.host, ""); w.Code < 400 {
				t.Errorf("%s without a token: %d", tc.line, w.Code)
			}
		})
	}
}

func TestAnOuterPatternAndTheTableMustBothAllow(t *testing.T) {
	h := gatewayOf(t, authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{"/api/": authctx.Authenticated(), "/users/": authctx.Role("admin"), "/both/": authctx.Role("admin")},
		Public: []string{"/", "/api/help"},
	}, spy)
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api", h))
	mux.Handle("/v1/", http.StripPrefix("/v1/", h))
	mux.Handle("/both/", h)
	mux.Handle("/", h)
	for _, tc := range []struct {
		path        string
		nobody, bob int
	}{
		{"/else", 200, 200},
		{"/users/1", 401, 403},
		{"/api/x", 401, 200},
		{"/api/", 401, 200},
		{"/api/users/1", 401, 403},
		{"/api/api/help", 401, 200}, // the outer pattern is not public
		{"/v1/x", 200, 200},
		{"/v1/users/1", 401, 403},
		{"/both/1", 401, 403},
	} {
		for token, want := range map[string]int{"": tc.nobody, "bob": tc.bob} {
			if w := asked(t, mux, "GET "+tc.path, "api", token); w.Code != want {
				t.Errorf("%s by %q: %d, want %d", tc.path, token, w.Code, want)
			}
		}
	}
}

func TestAPatternOfAnOuterMuxRulesAPathThatTheTableDoesNotList(t *testing.T) {
	h := gatewayOf(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/api/": authctx.Authenticated()}}, spy)
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api/", h))
	for _, path := range []string{"/api/x", "/api/", "/api/a%2fb/"} {
		if w := asked(t, mux, "GET "+path, "api", "bob"); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := asked(t, h, "GET /x", "api", "bob"); w.Code != 403 {
		t.Errorf("without the outer mux: %d", w.Code)
	}
}

func TestRule6_APreflightAsksAboutARouteOfTheTable(t *testing.T) {
	h := gatewayOf(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"DELETE /orders/{id}": authctx.Role("admin")}}, spy)
	for _, tc := range []struct {
		path, method string
		want         int
	}{
		{"/orders/1", "DELETE", 200},
		{"/orders/1", "PUT", 401},
		{"/orders/1", "delete", 401},
		{"/else", "DELETE", 401},
		{"//orders/1", "DELETE", 401},
		{"/%6frders/1", "DELETE", 401},
	} {
		r := httptest.NewRequest("OPTIONS", "http://api"+tc.path, nil)
		r.Header = http.Header{"Origin": {"https://app.example"}, "Access-Control-Request-Method": {tc.method}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tc.want || w.Body.Len() > 0 && w.Code == 200 {
			t.Errorf("%s %s: %d %q", tc.method, tc.path, w.Code, w.Body)
		}
	}
}

func TestTheObserverHearsWhichEntryOfTheTableDecided(t *testing.T) {
	var j journal
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, tableOfAGateway), Observer: &j})
	h := s.Handler(spy)
	for line, want := range map[string]string{
		"GET /admin/users": "/admin/", "GET /admin%2Fx": "/admin", "GET /%61dmin/x": "/admin/", "GET /else": "default", "DELETE /orders/1/": "DELETE /orders/{id}",
		"POST /shop.Orders/Delete": "/shop.Orders/*", "GET //x": "",
	} {
		asked(t, h, line, "api", "bob")
		if e := j.last(t); e.Entry != want {
			t.Errorf("%s: %q", line, e.Entry)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /else", spy)
	asked(t, s.Handler(mux), "GET /else", "api", "bob")
	if e := j.last(t); e.Entry != "GET /else" {
		t.Errorf("by the default rule, behind a mux: %q", e.Entry)
	}
	r := httptest.NewRequest("GET", "/admin/users", nil)
	r.Header = token("bob")
	if _, err := s.Check(r); authctx.ReasonOf(err) != authctx.PermissionDenied {
		t.Errorf("Check: %v", err)
	}
}

func TestRule1_APatternWhoseHostHasASpaceIsNoRequests(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"GET POST /a": authctx.Authenticated()}})
	_, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer(), Policy: policy})
	if err == nil || !strings.Contains(err.Error(), `"GET POST /a" has a space where none belongs`) {
		t.Error(err)
	}
}

func TestRule1_NoTwoPatternsOfAPolicyConflict(t *testing.T) {
	rules := map[string]authctx.Rule{}
	for _, name := range []string{"/a/{x}", "/{y}/b", "GET /c/d/{x}", "GET /c/d/{y}", "POST /e/{x}/f", "POST /E/g/{x}", "GET /a/{x}", "/svc.A/*", "/{t}/{m}"} {
		rules[name] = authctx.Authenticated()
	}
	rules["/a"], rules["/A"] = authctx.Authenticated(), authctx.Role("admin") // which are two routes
	_, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer(), Policy: newPolicy(t, authctx.PolicyConfig{Rules: rules})})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	pairs := [][2]string{
		{`"/a/{x}"`, `"/{y}/b"`}, {`"GET /a/{x}"`, `"/{y}/b"`}, {`"GET /c/d/{x}"`, `"GET /c/d/{y}"`}, // to a mux
		{`"POST /e/{x}/f"`, `"POST /E/g/{x}"`}, // to one that does not look at case
	}
	for _, pair := range pairs {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, pair[0]) && strings.Contains(l, pair[1]) }) {
			t.Errorf("%v is not named in %v", pair, err)
		}
	}
	if len(lines) != len(pairs) {
		t.Errorf("%d conflicts: %v", len(lines), err)
	}
}
