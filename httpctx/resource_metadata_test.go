package httpctx_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// schemesOnly is an authenticator of which only the schemes matter.
func schemesOnly(schemes ...string) authctx.Authenticator {
	fields := authctx.FieldSet{Names: []string{"authorization"}, Schemes: schemes}
	return authctx.NewAuthenticator(fields, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{}, authctx.NoCredentials
	})
}

func metadataOf(resource string) *httpctx.ResourceMetadata {
	return &httpctx.ResourceMetadata{Resource: resource, AuthorizationServers: []string{"https://idp.example/"}}
}

// TestResourceMetadata follows a client that knows an address and nothing else:
// the challenge leads to the document, and that to the authorization server.
func TestResourceMetadata(t *testing.T) {
	full := &httpctx.ResourceMetadata{
		Resource:             "https://api.example/v1/orders",
		AuthorizationServers: []string{"https://idp.example/", "https://other.example/realms/a"},
		Scopes:               []string{"orders:read", "orders:write"}, CertificateBoundTokens: true,
		Name: "Orders & more", DocumentationURL: "https://docs.example/", PolicyURL: "https://docs.example/policy", TermsOfServiceURL: "https://docs.example/tos",
	}
	const short = `,"authorization_servers":["https://idp.example/"]`
	for _, tc := range []struct {
		name     string
		metadata *httpctx.ResourceMetadata
		schemes  []string
		url      string
		document string
	}{
		{"everything", full, []string{`DPoP algs="ES256 EdDSA"`, "Bearer"}, "https://api.example/.well-known/oauth-protected-resource/v1/orders",
			`{"resource":"https://api.example/v1/orders","authorization_servers":["https://idp.example/","https://other.example/realms/a"],` +
				`"scopes_supported":["orders:read","orders:write"],"bearer_methods_supported":["header"],"dpop_signing_alg_values_supported":["ES256","EdDSA"],` +
				`"tls_client_certificate_bound_access_tokens":true,"resource_name":"Orders \u0026 more","resource_documentation":"https://docs.example/",` +
				`"resource_policy_uri":"https://docs.example/policy","resource_tos_uri":"https://docs.example/tos"}`},
		{"DPoP alone", metadataOf("https://api.example"), []string{`DPoP algs="ES256"`}, "https://api.example/.well-known/oauth-protected-resource",
			`{"resource":"https://api.example"` + short + `,"bearer_methods_supported":[],"dpop_signing_alg_values_supported":["ES256"],"dpop_bound_access_tokens_required":true}`},
		{"several ways of DPoP", metadataOf("https://api.example"), []string{`DPoP realm="a\", algs=b\\", ALGS="ES256", foo="bar"`, `dpop algs="EdDSA ES256"`}, "https://api.example/.well-known/oauth-protected-resource",
			`{"resource":"https://api.example"` + short + `,"bearer_methods_supported":[],"dpop_signing_alg_values_supported":["ES256","EdDSA"],"dpop_bound_access_tokens_required":true}`},
		{"who knows how", metadataOf("http://127.0.0.1:8080/"), nil, "http://127.0.0.1:8080/.well-known/oauth-protected-resource",
			`{"resource":"http://127.0.0.1:8080/"` + short + `}`},
		{"in neither way", metadataOf("https://api.example"), []string{"Basic"}, "https://api.example/.well-known/oauth-protected-resource",
			`{"resource":"https://api.example"` + short + `,"bearer_methods_supported":[]}`},
		{"a slash at the end", metadataOf("https://api.example/a/"), []string{"bearer"}, "https://api.example/.well-known/oauth-protected-resource/a/",
			`{"resource":"https://api.example/a/"` + short + `,"bearer_methods_supported":["header"]}`},
		{"a path that is escaped", metadataOf("https://api.example/a%22b%2Fc"), []string{"Bearer"}, "https://api.example/.well-known/oauth-protected-resource/a%22b%2Fc",
			`{"resource":"https://api.example/a%22b%2Fc"` + short + `,"bearer_methods_supported":["header"]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newServer(t, httpctx.ServerConfig{Authenticator: schemesOnly(tc.schemes...), ResourceMetadata: tc.metadata}).Handler(http.NotFoundHandler())
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/orders", nil))
			if challenge := w.Header().Get("WWW-Authenticate"); strings.Contains(challenge, "Bearer") && !strings.HasPrefix(challenge, "Bearer ") {
				t.Errorf("Bearer does not come first: %s", challenge)
			}
			for challenge := range strings.SplitSeq(w.Header().Get("WWW-Authenticate"), `realm="api"`) {
				if challenge = strings.TrimSpace(challenge); len(challenge) > 8 && !strings.HasPrefix(challenge, `, resource_metadata="`+tc.url+`"`) {
					t.Errorf("%d, challenge %q", w.Code, challenge)
				}
			}
			if n, want := strings.Count(w.Header().Get("WWW-Authenticate"), "resource_metadata="), max(1, len(tc.schemes)); w.Code != 401 || n != want {
				t.Errorf("status %d, %d of %d challenges lead to the document", w.Code, n, want)
			}
			w = httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", tc.url, nil))
			if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Body.String() != tc.document+"\n" {
				t.Errorf("status %d, %s\n%s", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
		})
	}
}

// TestResourceMetadataIsForEverybody asks from outside, over a socket, a server
// whose policy knows nothing of the document.
func TestResourceMetadataIsForEverybody(t *testing.T) {
	metadata := metadataOf("https://api.example/v1")
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"GET /orders": authctx.Authenticated()}})
	var seen []authctx.Event
	server := newServer(t, httpctx.ServerConfig{ResourceMetadata: metadata, Policy: policy,
		Observer: authctx.ObserverFunc(func(_ context.Context, e authctx.Event) { seen = append(seen, e) })})
	metadata.Resource, metadata.AuthorizationServers[0] = "https://evil.example", "https://evil.example" // it was copied
	mux := server.NewMux()
	mux.HandleFunc("GET /orders", func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	h, err := mux.Handler()
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, h)
	const path = "/.well-known/oauth-protected-resource/v1"
	origin := http.Header{"Origin": {"https://app.example"}}
	preflight := http.Header{"Origin": {"https://app.example"}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"mcp-protocol-version"}}
	const document = `{"resource":"https://api.example/v1","authorization_servers":["https://idp.example/"],"bearer_methods_supported":["header"]}` + "\n"
	for _, tc := range []struct {
		method, path string
		header       http.Header
		status       int
		body         string
	}{
		{"GET", path, nil, 200, document},
		{"GET", path + "?a=b", http.Header{"Authorization": {"Bearer rubbish"}, "X-User-Id": {"root"}}, 200, document},
		{"GET", path, origin, 200, document},
		{"HEAD", path, origin, 200, ""},
		{"OPTIONS", path, preflight, 204, ""},
	} {
		res, body := do(t, tc.method, s.URL+tc.path, tc.header)
		if res.StatusCode != tc.status || body != tc.body || res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s %s: %s, %v, %q", tc.method, tc.path, res.Status, res.Header, body)
		}
		want := map[string]string{"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Cache-Control": "public, max-age=300"}
		if tc.method == "OPTIONS" {
			want = map[string]string{"Access-Control-Allow-Methods": "GET, HEAD", "Access-Control-Allow-Headers": "*"}
		}
		for _, name := range []string{"Content-Type", "X-Content-Type-Options", "Cache-Control", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers"} {
			if got := res.Header.Get(name); got != want[name] {
				t.Errorf("%s %s: %s is %q", tc.method, tc.path, name, got)
			}
		}
	}
	if len(seen) > 0 {
		t.Errorf("nothing was decided: %v", seen)
	}
	for _, path := range []string{"/.well-known/oauth-protected-resource", path + "/", path + "/orders", "/v1" + path, "/.well-known/oauth%2Dprotected-resource/v1"} {
		if res, _ := do(t, "GET", s.URL+path, nil); res.StatusCode != 401 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	for _, method := range []string{"POST", "DELETE", "OPTIONS"} {
		if res, _ := do(t, method, s.URL+path, origin); res.StatusCode != 401 {
			t.Errorf("%s: %s", method, res.Status)
		}
	}
}

// TestResourceMetadataLeavesCORSToWhoeverIsOutside: two values of one field are
// none to a browser, and a wildcard is nothing special beside credentials.
func TestResourceMetadataLeavesCORSToWhoeverIsOutside(t *testing.T) {
	h := newServer(t, httpctx.ServerConfig{ResourceMetadata: metadataOf("https://api.example")}).Handler(http.NotFoundHandler())
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/.well-known/oauth-protected-resource", nil)
		w.Header().Set("Access-Control-Allow-Origin", "https://app.example")
		w.Header().Set("Access-Control-Allow-Headers", "a")
		r.Header = http.Header{"Origin": {"https://app.example"}, "Access-Control-Request-Method": {"GET"}}
		h.ServeHTTP(w, r)
		got := w.Header()
		if w.Code >= 300 || !slices.Equal(got["Access-Control-Allow-Origin"], []string{"https://app.example"}) || !slices.Equal(got["Access-Control-Allow-Headers"], []string{"a"}) {
			t.Errorf("%s: %d, %v", method, w.Code, got)
		}
		if (w.Body.Len() > 0) != (method == "GET") {
			t.Errorf("%s: the body has %d bytes", method, w.Body.Len())
		}
	}
}

// TestResourceMetadataWaitsForNoBody: what anybody gets is bounded as a refusal is.
func TestResourceMetadataWaitsForNoBody(t *testing.T) {
	h := newServer(t, httpctx.ServerConfig{ResourceMetadata: metadataOf("https://api.example")}).Handler(http.NotFoundHandler())
	for method, status := range map[string]string{"GET": " 200 ", "OPTIONS": " 204 "} {
		connected(t, &http.Server{Handler: h}, func(t *testing.T, conn net.Conn) {
			start := time.Now()
			_, _ = io.WriteString(conn, method+" /.well-known/oauth-protected-resource HTTP/1.1\r\nHost: a\r\nAccess-Control-Request-Method: GET\r\nContent-Length: 100\r\n\r\n")
			line, err := bufio.NewReader(conn).ReadString('\n')
			if took := time.Since(start); took != 10*time.Second || !strings.Contains(line, status) {
				t.Errorf("%s: after %v: %q, %v", method, took, line, err)
			}
		})
	}
}

func TestResourceMetadataBehindAMux(t *testing.T) {
	if path := newServer(t, httpctx.ServerConfig{}).ResourceMetadataPath(); path != "" {
		t.Errorf("nothing is published at %q", path)
	}
	server := newServer(t, httpctx.ServerConfig{ResourceMetadata: metadataOf("https://api.example/mcp")})
	h := server.Handler(http.NotFoundHandler())
	outer := http.NewServeMux()
	outer.Handle("/mcp", h)
	outer.Handle(server.ResourceMetadataPath(), h)
	for path, status := range map[string]int{"/mcp": 401, "/.well-known/oauth-protected-resource/mcp": 200, "/.well-known/oauth-protected-resource": 404} {
		w := httptest.NewRecorder()
		if outer.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != status {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestNewServerNamesWhatIsWrongWithResourceMetadata(t *testing.T) {
	for _, resource := range []string{
		"", "api", "/v1", "https://", "http://api.example", "ftp://api.example", "https://user@api.example", "https://api.example?a", "https://api.example#",
		"https://api.example/a/../b", "https://api.example/%2e%2e/b", "https://api.example//a", "https://api.example/a//", "https://bücher.example",
		"https://[fe80::1%25eth0]", "https://:443", "https://:8443", "ftp://127.0.0.1", `https://api.example/a"b`, "HTTPS://api.example",
		"https://API.example", "https://api.example:443/a", "http://127.0.0.1:80", "https://api.example:", "https://api.example:0", "https://api.example:65536", "https://api.example:0443/a", "https://api.example:08443", "https://[0:0:0:0:0:0:0:1]:8443",
		"https://[::ffff:1.2.3.4]", "https://192.168.010.001", "https://10.1", "https://0x7f.1", "https://2130706433", "https://1.2.3.4.", "https://10.0x1", "https://[::1", "https://[0:0::1]/a", "https://a.09",
		`https://a"b.example`, "https://a,b.example", "https://a<b.example",
	} {
		_, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer(), ResourceMetadata: metadataOf(resource)})
		if err == nil || !strings.Contains(err.Error(), "httpctx: server: ResourceMetadata.Resource ") {
			t.Errorf("%q: %v", resource, err)
		}
	}
	for _, resource := range []string{"https://api.example.", "https://a_b.example:65535", "https://192.0.2.1/a", "https://[2001:db8::1]:8443", "http://[::1]"} {
		metadata := metadataOf(resource)
		metadata.DocumentationURL, metadata.PolicyURL = "http://docs.example", "https://docs.example/policy"
		if _, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer(), AllowAnonymous: true, ResourceMetadata: metadata}); err != nil {
			t.Errorf("%q: %v", resource, err)
		}
	}
	_, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer(), ResourceMetadata: &httpctx.ResourceMetadata{
		Scopes: []string{"a", "b c", ""}, DocumentationURL: "docs", PolicyURL: "javascript://a/%0aalert(1)", TermsOfServiceURL: "https://"}})
	for _, want := range []string{
		"Resource is required", "AuthorizationServers is required", "Scopes[1] is not", "Scopes[2] is not", "DocumentationURL is not", "PolicyURL is not", "TermsOfServiceURL is not",
	} {
		if err == nil || !strings.Contains(err.Error(), "ResourceMetadata."+want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	_, err = httpctx.NewServer(httpctx.ServerConfig{Authenticator: schemesOnly(`Bearer a=b, resource_metadata="https://elsewhere"`), ResourceMetadata: metadataOf("https://api.example")})
	if err == nil || !strings.Contains(err.Error(), "ResourceMetadata contradicts Authenticator") {
		t.Error(err)
	}
	for _, page := range []string{"https://[::1", "//docs.example", "mailto:docs@docs.example"} {
		metadata := metadataOf("https://api.example")
		metadata.DocumentationURL = page
		if _, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer(), ResourceMetadata: metadata}); err == nil || !strings.Contains(err.Error(), "DocumentationURL is not") {
			t.Errorf("%q: %v", page, err)
		}
	}
	for _, a := range []authctx.Authenticator{nil, new(authctx.FieldsAuthenticator)} {
		_, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: a, ResourceMetadata: metadataOf("https://api.example")})
		if err == nil || !strings.Contains(err.Error(), "Authenticator is required") {
			t.Errorf("%T: %v", a, err)
		}
	}
	_, err = httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer(), ResourceMetadata: &httpctx.ResourceMetadata{
		Resource: "https://api.example", AuthorizationServers: []string{"https://idp.example", "spiffe://prod.example"}}})
	if err == nil || !strings.Contains(err.Error(), "ResourceMetadata.AuthorizationServers[1] must be https") {
		t.Error(err)
	}
}
