package httpctx_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// over3 returns a request as quic-go's http3.Server makes them.
func over3(r *http.Request, handshakeComplete bool) *http.Request {
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/3.0", 3, 0
	r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: handshakeComplete}
	return r
}

// Nobody has shown yet that early data comes from where it says, nor that it is not
// what somebody else has sent before: an attacker who sees no answer is any peer of
// an address, and the holder of any certificate whose request was recorded.
func TestRFC8470_EarlyDataIsRefused(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/": authctx.Authenticated()}, Public: []string{"/public"}})
	byAddress, err := authctx.TrustPeerCIDR("10.1.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	fields, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: byAddress})
	if err != nil {
		t.Fatal(err)
	}
	identity := http.Header{"X-User-Id": {"admin"}, "X-User-Issuer": {issuer}}
	preflight := http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"PUT"}}
	for name, tc := range map[string]struct {
		cfg          httpctx.ServerConfig
		method, path string
		header       http.Header
		want, later  int
	}{
		"a token":              {httpctx.ServerConfig{Policy: policy}, "GET", "/a", token("alice"), 425, 200},
		"a bad token":          {httpctx.ServerConfig{Policy: policy}, "GET", "/a", token("forged"), 425, 401},
		"nothing":              {httpctx.ServerConfig{Policy: policy}, "GET", "/a", nil, 425, 401},
		"fields of a peer":     {httpctx.ServerConfig{Authenticator: fields}, "GET", "/a", identity, 425, 200},
		"perhaps nobody":       {httpctx.ServerConfig{AllowAnonymous: true}, "GET", "/a", nil, 425, 200},
		"without a policy":     {httpctx.ServerConfig{}, "HEAD", "/a", token("alice"), 425, 200},
		"for a public route":   {httpctx.ServerConfig{Policy: policy}, "GET", "/public", token("alice"), 200, 200},
		"a preflight":          {httpctx.ServerConfig{Policy: policy}, "OPTIONS", "/a", preflight, 200, 200},
		"answered by somebody": {httpctx.ServerConfig{Refuse: refuseAll}, "GET", "/a", token("alice"), 418, 200},
	} {
		t.Run(name, func(t *testing.T) {
			var j journal
			tc.cfg.Observer = &j
			h := newServer(t, tc.cfg).Handler(spy)
			send := func(complete bool) *httptest.ResponseRecorder {
				r := over3(httptest.NewRequest(tc.method, tc.path, nil), complete)
				r.Header, r.RemoteAddr = with(tc.header), "10.1.0.5:99"
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w
			}
			w := send(false)
			if w.Code != tc.want {
				t.Errorf("early: status %d, want %d", w.Code, tc.want)
			}
			if e := j.last(t); (e.Outcome == authctx.Failed) != (tc.want != 200) || e.Err != nil && !strings.Contains(e.Err.Error(), "early data") {
				t.Errorf("told of %+v", e)
			}
			if w.Code == http.StatusTooEarly {
				wantTooEarly(t, tc.method, w)
			}
			if w := send(true); w.Code != tc.later {
				t.Errorf("after the handshake: status %d, want %d", w.Code, tc.later)
			}
		})
	}
}

// refuseAll answers every refusal.
func refuseAll(w http.ResponseWriter, _ *http.Request, err error) bool {
	if errors.Is(err, authctx.Unavailable) {
		w.WriteHeader(http.StatusTeapot)
	}
	return true
}

func wantTooEarly(t *testing.T, method string, w *httptest.ResponseRecorder) {
	t.Helper()
	want := `{"type":"about:blank","title":"Too Early","status":425,"detail":"The request came before the handshake was complete.","reason":"unavailable"}` + "\n"
	if method == http.MethodHead {
		want = ""
	}
	if got := w.Body.String(); got != want {
		t.Errorf("got %s", got)
	}
	if h := w.Header(); h.Get("Retry-After") != "" || h.Get("WWW-Authenticate") != "" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", h)
	}
}

// Tests of handlers make the state of a connection by hand, and servers of net/http
// know no early data.
func TestAHandMadeStateOfAConnectionIsNotEarlyData(t *testing.T) {
	leaf := &x509.Certificate{}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header, r.TLS = token("alice"), &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}
	if res, err := newServer(t, httpctx.ServerConfig{}).Check(r); err != nil || res.Principal.Subject() != "alice" {
		t.Errorf("%v, %v", res.Principal, err)
	}
}

// A handler that asks Check says what Handler says.
func TestAnEarlyRequestIsAnsweredTheSameAfterCheck(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{})
	r := over3(httptest.NewRequest("GET", "/", nil), false)
	_, err := s.Check(r)
	w := httptest.NewRecorder()
	s.WriteError(w, r, err)
	if w.Code != http.StatusTooEarly || authctx.ReasonOf(err) != authctx.Unavailable {
		t.Errorf("status %d of %v", w.Code, err)
	}
	w = httptest.NewRecorder()
	s.WriteError(w, r, authctx.Unavailable) // for another cause
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
}

// A request of HTTP/3 without a body need not say so, and is then one of unknown
// length to quic-go.
func TestAPreflightOverHTTP3PassesWithoutItsBody(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/": authctx.Authenticated()}, Public: []string{"/public/"}})
	s := newServer(t, httpctx.ServerConfig{Policy: policy})
	var got *http.Request
	read := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r })
	proxy := proxyTo(t, s, func(r *http.Request) { got = r })
	for _, h := range []struct {
		name, path string
		handler    http.Handler
	}{
		{"a handler", "/a", read},
		{"a mux", "/a", muxOf("/", read)},
		{"a proxy", "/a", proxy},
		{"a proxy behind a public pattern", "/p%75blic/a", muxOf("/public/", proxy)}, // which some server takes for "/"
	} {
		for _, tc := range []struct {
			major  int
			length int64
			want   int
		}{
			{3, 0, 200}, {3, -1, 200}, {3, 4, 401}, {2, -1, 401}, {1, -1, 401},
		} {
			got = nil
			r := over3(httptest.NewRequest("OPTIONS", h.path, strings.NewReader("body")), true)
			r.ProtoMajor, r.ContentLength = tc.major, tc.length
			r.Header = http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"PUT"}}
			w := httptest.NewRecorder()
			s.Handler(h.handler).ServeHTTP(w, r)
			if w.Code != tc.want || (got != nil) != (tc.want == 200) {
				t.Errorf("%s: HTTP/%d, length %d: status %d", h.name, tc.major, tc.length, w.Code)
			}
			if got != nil && (got.ContentLength != 0 || got.Body != nil && got.Body != http.NoBody) {
				t.Errorf("%s: HTTP/%d, length %d: a body of %d", h.name, tc.major, tc.length, got.ContentLength)
			}
		}
	}
}

// quic-go does not say that it is a server, without which a ReverseProxy takes the
// request for a test's and lets an answer that breaks off look complete.
func TestRule9_AStreamOfEventsOverHTTP3BreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rp := events
		rp.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			res := ok(r)
			res.Header = http.Header{"Content-Type": {"text/event-stream"}}
			res.Body = &lastWords{strings.NewReader("data: 1\n"), []byte("data: 2\n"), io.EOF, make(chan struct{})}
			return res, nil
		})
		h, err := watchingProxy(t, nil).Handler(&rp)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if aborted := recover(); aborted != http.ErrAbortHandler {
				t.Errorf("the client takes it for all there is: %v", aborted)
			}
		}()
		r := over3(httptest.NewRequestWithContext(authctx.NewContext(t.Context(), lastsForAnHour(t)), "GET", "https://a.internal/", nil), true)
		h.ServeHTTP(httptest.NewRecorder(), r)
	})
}
