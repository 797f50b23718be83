package httpctx_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// FuzzStripping sends a field of any name and a Cookie line of any content. The
// oracle writes down what may be seen in another way: by squeezing the name to
// letters, digits and hyphens.
func FuzzStripping(f *testing.F) {
	for _, name := range []string{"X-User-Id", "x_user_id", "X.User.Id-bin", "Grpc-Metadata-Txn-Token", "X-Users", "X-User-Bin", "X!User~Id", "Xuser-Id", "Txn-Token-X", "Cookie", "Grpcgateway-X-User-Id", "grpcgateway_Grpc-Metadata-txn.token-bin", "Grpcgateway-Cookie", "Trailer-X-User-Id"} {
		f.Add(name, "a=b; session=secret; c")
	}
	f.Add("A", "session=secret;SESSION=secret; =session; session ; xsession=1")
	s := newServer(f, httpctx.ServerConfig{AllowAnonymous: true, Authenticator: authctx.NewAuthenticator(
		authctx.FieldSet{Cookies: []string{"session"}}, anonymous)})
	f.Fuzz(func(t *testing.T, name, cookies string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = http.Header{name: {"v"}}
		if !strings.EqualFold(name, "cookie") {
			r.Header["Cookie"] = []string{cookies}
		}
		before := r.Header.Clone()
		var got http.Header
		s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header })).ServeHTTP(httptest.NewRecorder(), r)

		if _, seen := got[name]; seen == looksLikeIdentity(name) && !strings.EqualFold(name, "cookie") {
			t.Errorf("%q seen: %v", name, seen)
		}
		for _, c := range (&http.Request{Header: got}).Cookies() {
			if strings.EqualFold(c.Name, "session") {
				t.Errorf("cookie %v is left of %q", c, cookies)
			}
		}
		if name != "Cookie" {
			for _, c := range r.Cookies() {
				if !strings.EqualFold(c.Name, "session") && !slices.ContainsFunc((&http.Request{Header: got}).Cookies(), func(o *http.Cookie) bool { return o.Name == c.Name && o.Value == c.Value }) {
					t.Errorf("cookie %v was lost from %q", c, cookies)
				}
			}
		}
		if len(r.Header) != len(before) || !equal(r.Header["Cookie"], before["Cookie"]) {
			t.Errorf("the request has changed: %v", r.Header)
		}
	})
}

func anonymous(context.Context, *authctx.Request) (authctx.Result, error) {
	return authctx.Result{}, authctx.NoCredentials
}

// looksLikeIdentity is the oracle of FuzzStripping.
func looksLikeIdentity(name string) bool {
	name = asciiPunctuation.ReplaceAllString(strings.ToValidUTF8(asciiLower(name), "\uFFFD"), "-")
	if tooManyGateways.MatchString(name) {
		return true
	}
	name = gatewayPrefixes.ReplaceAllString(name, "")
	if strings.HasPrefix(name, "x-user-") {
		return true
	}
	for strings.HasSuffix(name, "-bin") {
		name = name[:len(name)-len("-bin")]
	}
	return name == "txn-token"
}

// asciiPunctuation is what some server behind us takes for a hyphen.
var asciiPunctuation = regexp.MustCompile(`[^a-z0-9\x{80}-\x{10ffff}]`)

// gatewayPrefixes are what some gateway writes before a name or takes away.
var gatewayPrefixes = regexp.MustCompile(`^(grpc-metadata-|grpcgateway-|(grpc-)?trailer-)+`)

// tooManyGateways is nobody's name.
var tooManyGateways = regexp.MustCompile(`^(grpc-metadata-|grpcgateway-|(grpc-)?trailer-){9}`)

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// FuzzDestinations asks who is told, of any URL. The oracle compares labels.
func FuzzDestinations(f *testing.F) {
	for _, u := range []string{"https://orders.internal/", "https://a.svc.internal:99/", "https://svc.internal", "https://x@orders.internal.", "https://[::1]:8443/", "//orders.internal", "https://orders.internal:443@evil/", "https://[::1%25.svc.internal]:99/", "https://orders.\u0130nternal/"} {
		f.Add(u)
	}
	var s sink
	tr := newTransport(f, httpctx.TransportConfig{Base: &s, Destinations: []string{"orders.internal", "*.svc.internal:99", "[::1]:8443"}})
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.Parse(target)
		if err != nil || u.Scheme != "https" {
			return
		}
		r := (&http.Request{Method: "GET", URL: u, Header: http.Header{}}).WithContext(as(t, "alice"))
		if _, err := tr.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		host, port := asciiLower(u.Hostname()), u.Port()
		labels := strings.Split(strings.TrimSuffix(host, "."), ".")
		n := len(labels)
		may := slices.Equal(labels, []string{"orders", "internal"}) ||
			n > 2 && labels[n-1] == "internal" && labels[n-2] == "svc" && port == "99" && !strings.ContainsAny(host, ":%") && !strings.ContainsFunc(host, func(c rune) bool { return c > '~' }) ||
			host == "::1" && port == "8443"
		if told := len(s.last.Header) > 0; told && !may {
			t.Errorf("%q was told", target)
		} else if may && !told && !strings.HasPrefix(host, ".") {
			t.Errorf("%q was not told", target)
		}
	})
}
