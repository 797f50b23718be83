package httpctx_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx/httpctx"
)

func TestRule7_OnlyNamedDestinationsLearnTheCaller(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		told    []string
		untold  []string
	}{
		{"orders.internal",
			[]string{"https://orders.internal/", "https://ORDERS.internal:8443/x", "https://orders.internal./"},
			[]string{"https://orders.internal.evil.example/", "https://xorders.internal/", "https://internal/", "https://orders.internal@evil.example/",
				"https://evil.example/orders.internal", "https://evil.example?orders.internal", "https://a.orders.internal/"}},
		{"Orders.Internal:8443",
			[]string{"https://orders.internal:8443/"},
			[]string{"https://orders.internal/", "https://orders.internal:443/"}},
		{"orders.internal:443",
			[]string{"https://orders.internal/", "https://orders.internal:443/"},
			[]string{"https://orders.internal:8443/"}},
		{"orders.internal:65535", []string{"https://orders.internal:65535/"}, []string{"https://orders.internal/"}},
		{"*.svc.internal",
			[]string{"https://a.svc.internal/", "https://a.b.svc.internal:99/"},
			[]string{"https://svc.internal/", "https://.svc.internal/", "https://asvc.internal/", "https://a.svc.internal.evil.example/",
				"https://[2001:db8::666%25.svc.internal]/", "https://[::1%25a.svc.internal]:99/", "https://a%25.svc.internal/"}}, // a zone is no name
		{"*.svc.internal:99",
			[]string{"https://a.svc.internal:99/"},
			[]string{"https://a.svc.internal/"}},
		{"[2001:db8::1]:8443", []string{"https://[2001:db8::1]:8443/"}, []string{"https://[2001:db8::2]:8443/", "https://[2001:db8::1]/"}},
		// net/http asks for these names in xn--…, whatever lower case makes of them.
		{"billing.internal",
			[]string{"https://BILLING.internal/"},
			[]string{"https://b\u0130lling.internal/", "https://b%C4%B0lling.internal/", "https://billing.\u0130nternal./", "https://billing.internal\u3002/"}},
		{"*.kube.internal",
			[]string{"https://xn--tda.kube.internal/"},
			[]string{"https://a.\u212Aube.internal/", "https://a.kube.\u0130nternal/", "https://\u00FC.kube.internal/", "https://a\u3002kube.internal/"}},
		{"192.0.2.7", []string{"https://192.0.2.7/"}, []string{"https://192.0.2.70/", "https://1192.0.2.7/"}},
	} {
		t.Run(tc.pattern, func(t *testing.T) {
			var s sink
			tr := newTransport(t, httpctx.TransportConfig{Base: &s, Destinations: []string{tc.pattern}})
			for _, target := range slices.Concat(tc.told, tc.untold) {
				r := outgoing(as(t, "alice"), target)
				r.Host = "orders.internal" // a Host header does not say where a request goes
				if _, err := tr.RoundTrip(r); err != nil {
					t.Fatal(err)
				}
				if told := s.last.Header.Get("X-User-Id") == "alice"; told != slices.Contains(tc.told, target) {
					t.Errorf("%s told: %v", target, told)
				}
			}
		})
	}
}

func TestTheCallerIsNotSentInPlaintextUnlessThatWasSaid(t *testing.T) {
	for _, tc := range []struct {
		url      string
		insecure bool
		sent     bool
	}{
		{"https://a.internal/", false, true},
		{"http://a.internal/", false, false},
		{"http://a.internal/", true, true},
		{"http://localhost:8080/", false, true},
		{"http://LOCALHOST/", false, false}, // a proxy of the environment is asked about this one
		{"http://localhost./", false, false},
		{"http://x.localhost/", false, false}, // and a name server about this one
		{"http://x.localhost/", true, true},
		{"http://127.0.0.1:99/", false, true},
		{"http://127.0.0.1./", false, false},
		{"http://[::1]:99/", false, true},
		{"http://127.0.0.1.internal/", false, false},
		{"http://10.0.0.1/", false, false},
	} {
		var s sink
		tr := newTransport(t, httpctx.TransportConfig{
			Base: &s, InsecureAllowPlaintext: tc.insecure,
			Destinations: []string{"*.internal", "localhost", "*.localhost", "127.0.0.1", "[::1]:99", "10.0.0.1"},
		})
		body := &closed{Reader: strings.NewReader("x")}
		r := outgoing(as(t, "alice"), tc.url)
		r.Body = body
		_, err := tr.RoundTrip(r)
		if sent := s.last != nil; sent != tc.sent || (err == nil) != tc.sent || !body.closed {
			t.Errorf("%s, insecure %v: sent %v, body closed %v, %v", tc.url, tc.insecure, sent, body.closed, err)
		}
		if _, err := tr.RoundTrip(outgoing(t.Context(), tc.url)); err != nil {
			t.Errorf("%s without a caller: %v", tc.url, err)
		}
	}
}

func TestTheCallerIsNotSentInPlaintextThroughAForwardProxy(t *testing.T) {
	forward := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Via", "1.1 forward")
		spy(w, r)
	}))
	server := serve(t, spy)
	address, _ := url.Parse(forward.URL)
	for name, tc := range map[string]struct {
		proxy    func(*http.Request) (*url.URL, error)
		insecure bool
		sent     bool
		via      string
	}{
		"none":                  {nil, false, true, ""},
		"none for this machine": {func(*http.Request) (*url.URL, error) { return nil, nil }, false, true, ""},
		"one":                   {http.ProxyURL(address), false, false, ""},
		"one, allowed":          {http.ProxyURL(address), true, true, "1.1 forward"},
		"one that is not known": {func(*http.Request) (*url.URL, error) { return nil, errors.New("oops") }, false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			base := &http.Transport{Proxy: tc.proxy}
			defer base.CloseIdleConnections()
			tr := newTransport(t, httpctx.TransportConfig{Base: base, InsecureAllowPlaintext: tc.insecure, Destinations: []string{"127.0.0.1"}})
			res, err := tr.RoundTrip(outgoing(as(t, "alice"), server.URL))
			if sent := err == nil; sent != tc.sent || !sent && !strings.Contains(err.Error(), "InsecureAllowPlaintext") {
				t.Fatalf("sent %v, %v", sent, err)
			}
			if err != nil {
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil || res.Header.Get("Via") != tc.via || decode(t, string(body)).Header.Get("X-User-Id") != "alice" {
				t.Errorf("via %q: %s, %v", res.Header.Get("Via"), body, err)
			}
		})
	}
}

// TestCVE_2026_40895_ARedirectDoesNotTakeTheCallerAlong also stands for
// CVE-2023-45289, CVE-2024-45336 and CVE-2025-4673, where net/http did so.
func TestCVE_2026_40895_ARedirectDoesNotTakeTheCallerAlong(t *testing.T) {
	elsewhere := serve(t, spy)
	named := http.NewServeMux()
	named.Handle("/end", spy)
	named.HandleFunc("/out", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.RawQuery, http.StatusTemporaryRedirect)
	})
	named.Handle("/in", http.RedirectHandler("/end", http.StatusFound))
	server := serve(t, named)
	client := &http.Client{Transport: newTransport(t, httpctx.TransportConfig{
		Destinations: []string{strings.TrimPrefix(server.URL, "http://")},
	})}
	call := func(path string) http.Header {
		r, _ := http.NewRequestWithContext(as(t, "alice"), "POST", server.URL+path, strings.NewReader("body"))
		return decode(t, send(t, client, r)).Header
	}
	if got := call("/in"); got.Get("X-User-Id") != "alice" {
		t.Errorf("the same host was not told: %v", got)
	}
	if got := identityIn(call("/out")); len(got) > 0 {
		t.Errorf("another host was told %v", got)
	}
}

func TestARedirectFromHTTPSToHTTPFails(t *testing.T) {
	var calls []string
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		calls = append(calls, r.URL.String())
		return &http.Response{StatusCode: 307, Header: http.Header{"Location": {"http://a.internal/"}}, Body: http.NoBody, Request: r}, nil
	})
	client := &http.Client{Transport: newTransport(t, httpctx.TransportConfig{Base: base, Destinations: []string{"a.internal"}})}
	r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", "https://a.internal/", nil)
	if _, err := client.Do(r); err == nil || !slices.Equal(calls, []string{"https://a.internal/"}) {
		t.Errorf("%v after %v", err, calls)
	}
}
