package httpctx_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// overriding is middleware as that of gorilla/handlers and of frameworks: a client of
// a POST chooses another method.
func overriding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if method := r.Header.Get("X-HTTP-Method-Override"); r.Method == http.MethodPost && method != "" {
			r.Method = method
		}
		next.ServeHTTP(w, r)
	})
}

func TestNoFieldNamesAnotherMethodThanTheOneThatIsRuled(t *testing.T) {
	byMethod := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{"POST /orders/{id}": authctx.Authenticated(), "DELETE /orders/{id}": authctx.Role("admin"), "/": authctx.Authenticated()},
		Public: []string{"POST /login"},
	})})
	byPath := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/": authctx.Authenticated()},
	})})
	unruled := newServer(t, httpctx.ServerConfig{})
	reached := ""
	routes := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached = r.Method })
	upstream := func(s *httpctx.Server) http.Handler {
		return s.Handler(proxyTo(t, s, func(r *http.Request) { reached = r.Method }))
	}
	outer := muxOf("/", upstream(byMethod))
	for name, tc := range map[string]struct {
		handler                    http.Handler
		method, path, field, value string
		want                       int
		reached                    string
	}{
		"gorilla/handlers inside":      {byMethod.Handler(overriding(routes)), "POST", "/orders/1", "X-Http-Method-Override", "DELETE", 400, ""},
		"it inside of a mux":           {byMethod.Handler(muxOf("/", overriding(routes))), "POST", "/orders/1", "X-Http-Method-Override", "DELETE", 400, ""},
		"an upstream":                  {upstream(byMethod), "POST", "/orders/1", "X-Http-Method-Override", "DELETE", 400, ""},
		"an upstream behind a mux":     {outer, "POST", "/orders/1", "X-Http-Method-Override", "DELETE", 400, ""},
		"as OData has it":              {upstream(byMethod), "POST", "/orders/1", "X-Http-Method", "DELETE", 400, ""},
		"as others have it":            {upstream(byMethod), "POST", "/orders/1", "X-Method-Override", "PUT", 400, ""},
		"a name that CGI folds":        {upstream(byMethod), "POST", "/orders/1", "X_HTTP.Method_Override", "DELETE", 400, ""},
		"a name in lower case":         {upstream(byMethod), "POST", "/orders/1", "x-http-method", "DELETE", 400, ""}, // as some adapters leave it
		"no name":                      {upstream(byMethod), "POST", "/orders/1", "", "DELETE", 200, "POST"},
		"a method in lower case":       {upstream(byMethod), "POST", "/orders/1", "X-Http-Method", "delete", 400, ""},
		"its own method in lower case": {upstream(byMethod), "POST", "/orders/1", "X-Http-Method", "post", 400, ""},
		"two methods":                  {upstream(byMethod), "POST", "/orders/1", "X-Http-Method", "POST, DELETE", 400, ""},
		"another method than POST":     {upstream(byMethod), "GET", "/orders/1", "X-Http-Method", "DELETE", 400, ""},
		"a path that every method has": {upstream(byMethod), "POST", "/x", "X-Http-Method", "DELETE", 400, ""},
		"a public route":               {upstream(byMethod), "POST", "/login", "X-Http-Method", "DELETE", 400, ""},
		"what looks like a preflight":  {upstream(byMethod), "OPTIONS", "/orders/1", "X-Http-Method", "DELETE", 400, ""},
		"its own method":               {upstream(byMethod), "DELETE", "/orders/1", "X-Http-Method-Override", "DELETE", 200, "DELETE"},
		"middleware in front":          {overriding(byMethod.Handler(routes)), "POST", "/orders/1", "X-Http-Method-Override", "DELETE", 200, "DELETE"},
		"no method":                    {byMethod.Handler(overriding(routes)), "POST", "/orders/1", "X-Http-Method-Override", "", 200, "POST"},
		"another field":                {upstream(byMethod), "POST", "/orders/1", "X-Http-Method-Overrides", "DELETE", 200, "POST"},
		"a policy without methods":     {byPath.Handler(overriding(routes)), "POST", "/orders/1", "X-Http-Method-Override", "DELETE", 200, "DELETE"},
		"no policy":                    {unruled.Handler(overriding(routes)), "POST", "/orders/1", "X-Http-Method-Override", "DELETE", 200, "DELETE"},
	} {
		reached = ""
		r := httptest.NewRequest(tc.method, tc.path, nil)
		r.Header = with(token("alice"), tc.field, tc.value)
		if tc.method == http.MethodOptions {
			r.Header = with(r.Header, "Origin", "https://app.example", "Access-Control-Request-Method", "POST")
		}
		w := httptest.NewRecorder()
		tc.handler.ServeHTTP(w, r)
		if w.Code != tc.want || reached != tc.reached {
			t.Errorf("%s: %d, reached %q", name, w.Code, reached)
		}
	}

	// Who may not learn more is asked for a credential first.
	r := httptest.NewRequest("POST", "/login", nil)
	r.Header.Set("X-HTTP-Method-Override", "DELETE")
	w := httptest.NewRecorder()
	if byMethod.Handler(routes).ServeHTTP(w, r); w.Code != 401 {
		t.Errorf("nobody is answered %d", w.Code)
	}
}

// IIS with URL Rewrite, Symfony before CVE-2018-14773, Zend and early Laminas serve the
// path that such a field names.
func TestNoFieldNamesAnotherPathThanTheOneThatIsRuled(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{"/admin/": authctx.Role("admin"), "/": authctx.Authenticated()},
		Public: []string{"/public"},
	})})
	p := newProxy(t, s, newFields(t))
	var reached http.Header
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		reached = r.Header
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	through := func(rewrite func(*httputil.ProxyRequest)) http.Handler {
		h, err := p.Handler(&httputil.ReverseProxy{Transport: transport, Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "https", Host: "upstream"})
			rewrite(pr)
		}})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	for name, tc := range map[string]struct {
		proxy http.Handler
		want  string
	}{
		"a proxy":                      {through(func(*httputil.ProxyRequest) {}), ""},
		"one that copies what came in": {through(func(pr *httputil.ProxyRequest) { maps.Copy(pr.Out.Header, pr.In.Header) }), ""},
		"one that names a path itself": {through(func(pr *httputil.ProxyRequest) { pr.Out.Header.Set("X-Original-URL", "/own") }), "/own"},
		"Rewrite by hand": {&httputil.ReverseProxy{Transport: transport, Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "https", Host: "upstream"})
			p.Rewrite(pr)
		}}, ""},
	} {
		for _, field := range []string{"X-Original-Url", "X-Rewrite-Url", "x-original-url", "X_Original_URL", "X.Rewrite-Url", "Grpc-Metadata-X-Rewrite-Url"} {
			for path, header := range map[string]http.Header{"/": token("bob"), "/public": {}} {
				r := httptest.NewRequest("GET", path, nil)
				r.Header = with(header, field, "/admin/users")
				w := httptest.NewRecorder()
				s.Handler(tc.proxy).ServeHTTP(w, r)
				got := ""
				for field, values := range reached {
					if strings.HasSuffix(strings.ToLower(field), "url") {
						got += strings.Join(values, ",")
					}
				}
				if w.Code != 200 || got != tc.want {
					t.Errorf("%s, %s with %s: %d, the upstream is told %q", name, path, field, w.Code, got)
				}
			}
		}
	}
}
