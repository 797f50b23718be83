package httpctx_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// Tests of credentials that came in, and that a handler may try to send on.

func TestTheInboundCredentialIsNotSentOn(t *testing.T) {
	var s sink
	tr := newTransport(t, httpctx.TransportConfig{Base: &s, Destinations: []string{"a.internal"}})
	send := func(r *http.Request) http.Header {
		if _, err := tr.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		return s.last.Header
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		for _, target := range []string{"https://a.internal/", "https://elsewhere.example/"} {
			out := outgoing(r.Context(), target)
			out.Header = r.Header.Clone()
			out.Header.Add("Cookie", "mine=1")
			got := send(out)
			if got["Authorization"] != nil || strings.Contains(strings.Join(got["Cookie"], ";"), "session") {
				t.Errorf("%s got %v", target, got)
			}
			if !strings.Contains(strings.Join(got["Cookie"], ";"), "mine=1") {
				t.Errorf("%s lost a cookie: %v", target, got)
			}
			out.Header.Set("Authorization", "Bearer of-my-own")
			out.Header.Add("Cookie", "session=of-my-own; Session=alice")
			got = send(out)
			if got.Get("Authorization") != "Bearer of-my-own" {
				t.Errorf("%s got Authorization %q", target, got["Authorization"])
			}
			if sessions := strings.Join(got["Cookie"], "; "); !strings.Contains(sessions, "session=of-my-own") {
				t.Errorf("%s lost the program's own session: %q", target, sessions)
			} else if kept := strings.Contains(r.Header.Get("Cookie"), "session"); kept && strings.Contains(sessions, "alice") {
				t.Errorf("%s got %q", target, sessions)
			}
		}
	}
	for _, keep := range []bool{false, true} {
		url := serve(t, newServer(t, httpctx.ServerConfig{KeepCredentials: keep}).Handler(http.HandlerFunc(handler))).URL
		for _, header := range []http.Header{token("alice"), {"Cookie": {"a=b; session=alice"}}, {"Cookie": {`session="alice"`}}} {
			if res, _ := do(t, "GET", url, header); res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
		}
	}
}

// A handler that puts the field together spells it as it likes.
func TestTheInboundCredentialIsNotSentOnHoweverItIsSpelled(t *testing.T) {
	var s sink
	tr := newTransport(t, httpctx.TransportConfig{Base: &s, Destinations: []string{"a.internal"}})
	for field, c := range map[string]struct {
		a      authctx.Authenticator
		came   []string
		copied map[string]bool // whether it is sent
	}{
		"Authorization": {bearer(), []string{"Bearer alice", "bearer alice", "DPoP alice"}, map[string]bool{
			"Bearer alice": false, "bearer alice": false, "BEARER  alice ": false, "DPoP alice": false, "alice": false,
			"Bearer Alice": true, "Bearer alice2": true, "Bearer": true, "Basic YWxpY2U=": true,
		}},
		"X-Api-Key": {keyed(t), []string{"key alice"}, map[string]bool{
			"key alice": false, "mine alice": true, "alice": true, // nothing here says that "key" is a scheme
		}},
	} {
		var out string
		handler := func(_ http.ResponseWriter, r *http.Request) {
			req := outgoing(r.Context(), "https://a.internal/")
			req.Header.Set(field, out)
			if _, err := tr.RoundTrip(req); err != nil {
				t.Error(err)
			}
		}
		url := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: c.a, KeepCredentials: true}).Handler(http.HandlerFunc(handler))).URL
		for _, in := range c.came {
			for text, stays := range c.copied {
				out = text
				if res, _ := do(t, "GET", url, http.Header{field: {in}}); res.StatusCode != 200 {
					t.Fatalf("status %d", res.StatusCode)
				}
				if got := s.last.Header.Get(field); (got != "") != stays {
					t.Errorf("%s came as %q, copied as %q, sent as %q", field, in, text, got)
				}
			}
		}
	}
}

// keyed reads a credential from a field of its own.
func keyed(t *testing.T) authctx.Authenticator {
	alice := caller(t, "alice")
	return authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x-api-key"}}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		if len(r.Values("x-api-key")) == 0 {
			return authctx.Result{}, authctx.NoCredentials
		}
		return authctx.Result{Principal: alice}, nil
	})
}

// An Authorization that nobody reads may be meant for the upstream of a Proxy. It is
// for nobody else, not even for whom its transport asks besides, nor for whom a
// service asks that is the upstream.
func TestAnUnreadAuthorizationGoesToTheUpstreamAlone(t *testing.T) {
	nobody := authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{}, authctx.NoCredentials
	})
	s := newServer(t, httpctx.ServerConfig{Authenticator: nobody, AllowAnonymous: true})
	got := map[string]http.Header{}
	tr := newTransport(t, httpctx.TransportConfig{Destinations: []string{"*.internal"}, Base: answering(func(r *http.Request) {
		got[r.URL.Host] = r.Header
	})})
	ask := func(r *http.Request, host string) {
		out := outgoing(r.Context(), "https://"+host+"/")
		out.Header = r.Header.Clone()
		if _, err := tr.RoundTrip(out); err != nil {
			t.Error(err)
		}
	}
	service := s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ask(r, "behind.internal") }))
	h, err := newProxy(t, s, newFields(t)).Handler(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(&url.URL{Scheme: "https", Host: "UP.internal:443"}) },
		Transport: answering(func(r *http.Request) {
			ask(r, "up.internal")
			ask(r, "audit.internal")
			ask(r, "up.\u0130nternal") // which is not "i" to net/http
			service.ServeHTTP(httptest.NewRecorder(), r)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Basic YTpi")
	s.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
	for host, want := range map[string]string{"up.internal": "Basic YTpi", "audit.internal": "", "up.\u0130nternal": "", "behind.internal": ""} {
		if header, asked := got[host]; !asked || header.Get("Authorization") != want {
			t.Errorf("%s was asked: %v, and got %v", host, asked, header)
		}
	}
}

// Where the Rewrite of a proxy leaves it to the transport which host that is, the
// first that is asked is as good as another.
func TestAnUnreadAuthorizationGoesToTheUpstreamThatATransportChooses(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Authenticator: keyed(t)})
	var last sink
	tr := newTransport(t, httpctx.TransportConfig{Destinations: []string{"*.internal"}, Base: &last})
	h, err := newProxy(t, s, newFields(t)).Handler(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(&url.URL{Scheme: "https"}) },
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			out := r.Clone(r.Context())
			out.URL.Host = "up.internal"
			return tr.RoundTrip(out)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"X-Api-Key": {"k"}, "Authorization": {"Basic YTpi"}}
	s.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
	if got := last.last.Header; got.Get("Authorization") != "Basic YTpi" || got.Get("X-User-Id") != "alice" {
		t.Errorf("the upstream got %v", got)
	}
}

// What Rewrite writes for its upstream is the program's own, and goes there: no
// request that was let in has such a field, unless it was kept.
func TestACredentialThatRewriteWritesGoesToTheUpstream(t *testing.T) {
	for name, test := range map[string]struct {
		cfg     httpctx.ServerConfig
		rewrite func(*httputil.ProxyRequest)
		want    string
	}{
		"none":            {httpctx.ServerConfig{}, func(*httputil.ProxyRequest) {}, ""},
		"own":             {httpctx.ServerConfig{}, func(pr *httputil.ProxyRequest) { pr.Out.SetBasicAuth("gateway", "secret") }, "Basic Z2F0ZXdheTpzZWNyZXQ="},
		"in place of one": {httpctx.ServerConfig{KeepCredentials: true}, func(pr *httputil.ProxyRequest) { pr.Out.SetBasicAuth("gateway", "secret") }, "Basic Z2F0ZXdheTpzZWNyZXQ="},
		"beside one":      {httpctx.ServerConfig{KeepCredentials: true}, func(pr *httputil.ProxyRequest) { pr.Out.Header.Add("Authorization", "Basic Og==") }, "Basic Og=="},
		"kept, and copied": {httpctx.ServerConfig{KeepCredentials: true}, func(pr *httputil.ProxyRequest) {
			pr.Out.Header["Authorization"] = pr.In.Header["Authorization"]
		}, ""},
		"kept, and written anew": {httpctx.ServerConfig{KeepCredentials: true}, func(pr *httputil.ProxyRequest) {
			pr.Out.Header.Set("Authorization", strings.ToLower(pr.In.Header.Get("Authorization")))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := serve(t, spy)
			target, _ := url.Parse(upstream.URL)
			gate := gatewayWith(t, test.cfg, &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
				pr.SetURL(target)
				pr.Out.Header.Set("X-User-Roles", "root") // identity is nobody's to write
				pr.Out.Header.Set("Grpc-Metadata-X-User-Id", "eve")
				test.rewrite(pr)
			}})
			seen := get(t, gate.URL, token("alice"))
			if got := seen.Header.Get("Authorization"); got != test.want {
				t.Errorf("Authorization %q, want %q", got, test.want)
			}
			if seen.Header.Get("X-User-Id") != "alice" || seen.Header.Get("X-User-Roles") != "admin" || seen.Header["Grpc-Metadata-X-User-Id"] != nil {
				t.Errorf("identity %v", seen.Header)
			}
		})
	}
}

// Refuse gets a request with an Authorization that nobody has read; whom it tells
// of that does not get it.
func TestTheInboundCredentialOfARefusedRequestIsNotSentOn(t *testing.T) {
	var audit sink
	tr := newTransport(t, httpctx.TransportConfig{Base: &audit, Destinations: []string{"audit.internal"}})
	s := newServer(t, httpctx.ServerConfig{Authenticator: keyed(t), Refuse: func(_ http.ResponseWriter, r *http.Request, _ error) bool {
		out := outgoing(r.Context(), "https://audit.internal/")
		out.Header = r.Header.Clone()
		_, err := tr.RoundTrip(out)
		if err != nil {
			t.Error(err)
		}
		return false
	}})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"Authorization": {"Bearer alice"}, "X-Other": {"1"}}
	s.Handler(spy).ServeHTTP(httptest.NewRecorder(), r)
	if got := audit.last.Header; got.Get("Authorization") != "" || got.Get("X-Other") != "1" {
		t.Errorf("sent %v", got)
	}
}

// answering is a RoundTripper whose requests are all answered 200.
type answering func(*http.Request)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}
