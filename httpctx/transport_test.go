package httpctx_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// sink is a RoundTripper that keeps the last request and answers 200.
type sink struct{ last *http.Request }

func (s *sink) RoundTrip(r *http.Request) (*http.Response, error) {
	s.last = r
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
}

func newTransport(t testing.TB, cfg httpctx.TransportConfig) *httpctx.Transport {
	t.Helper()
	if cfg.Propagator == nil {
		cfg.Propagator = newFields(t)
	}
	tr, err := httpctx.NewTransport(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// as returns a context with the caller of a token.
func as(t testing.TB, token string) context.Context {
	return authctx.NewContext(t.Context(), caller(t, token))
}

func outgoing(ctx context.Context, url string) *http.Request {
	r := httptest.NewRequest("GET", url, nil)
	r.RequestURI = ""
	return r.WithContext(ctx)
}

func TestNewTransportNamesEverySettingThatIsWrong(t *testing.T) {
	_, err := httpctx.NewTransport(httpctx.TransportConfig{})
	if err == nil || !strings.Contains(err.Error(), "Propagator is required") || !strings.Contains(err.Error(), "Destinations is required") {
		t.Errorf("%v", err)
	}
	bad := []string{
		"", "*", "*.", "*foo", "a.*.b", "**.b", "https://a.example", "a.example/path", "user@a.example", "a example", "a:b",
		"a:", ":80", "a:80:90", "a:0", "a:65536", "a:0443", "*.a:080", "[::1", "::1", "*.a.*", "a.example.", "a?b", "a#b", "fe80::1%eth0",
		"b\u0130lling.example", "*.\u212Aube", "\u00FC.example:443", "*.example\u3002",
	}
	_, err = httpctx.NewTransport(httpctx.TransportConfig{Propagator: newFields(t), Destinations: bad})
	for _, pattern := range bad {
		if err == nil || !strings.Contains(err.Error(), `Destinations: "`+pattern+`":`) {
			t.Errorf("%q is not named in: %v", pattern, err)
		}
	}
}

type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error { c.closed = true; return nil }

func TestAnExpiredCallerIsALocalError(t *testing.T) {
	var s sink
	client := &http.Client{Transport: newTransport(t, httpctx.TransportConfig{Base: &s, Destinations: []string{"a.internal"}})}
	r, _ := http.NewRequestWithContext(as(t, "ended"), "GET", "https://a.internal/", nil)
	_, err := client.Do(r)
	if !errors.Is(err, authctx.TokenExpired) || s.last != nil {
		t.Errorf("%v, sent %v", err, s.last != nil)
	}
	r, _ = http.NewRequestWithContext(as(t, "ended"), "GET", "https://elsewhere.example/", nil)
	if _, err := client.Do(r); err != nil {
		t.Errorf("a destination that is told nothing: %v", err)
	}
}

func TestARequestWithoutAURLIsLeftToTheBase(t *testing.T) {
	tr := newTransport(t, httpctx.TransportConfig{Destinations: []string{"a.internal"}})
	if _, err := tr.RoundTrip((&http.Request{}).WithContext(as(t, "alice"))); err == nil || !strings.Contains(err.Error(), "URL") {
		t.Errorf("%v", err)
	}
}

func TestATransportReplacesIdentityThatIsThereAlready(t *testing.T) {
	var s sink
	tr := newTransport(t, httpctx.TransportConfig{Base: &s, Destinations: []string{"a.internal"}})
	header := http.Header{
		"X-User-Id": {"eve", "mallory"}, "x-user-id": {"eve"}, "X_User_Id": {"eve"}, "x-user-ROLES": {"admin"}, "X.User.Tenant": {"evil"},
		"Txn-Token": {"eve"}, "Grpc-Metadata-X-User-Id": {"eve"}, "X-User-Email-Bin": {"ZXZl"}, "X-Request-Id": {"7"},
	}
	for _, target := range []string{"https://a.internal/", "https://elsewhere.example/"} {
		r := outgoing(as(t, "alice"), target)
		r.Header = header.Clone()
		r.Trailer = http.Header{"X-User-Id": {"eve"}, "X-Sum": nil}
		r.Body = io.NopCloser(strings.NewReader("abc"))
		if _, err := tr.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		want := []string(nil)
		if strings.Contains(target, "a.internal") {
			want = []string{"X-User-Id", "X-User-Issuer", "X-User-Permissions", "X-User-Roles"}
		}
		if got := identityIn(s.last.Header); !slices.Equal(got, want) {
			t.Errorf("%s got %v", target, got)
		}
		if id := s.last.Header["X-User-Id"]; want != nil && !slices.Equal(id, []string{"alice"}) {
			t.Errorf("%s got X-User-Id %q", target, id)
		}
		if s.last.Header.Get("X-Request-Id") != "7" || len(identityIn(s.last.Trailer)) > 0 {
			t.Errorf("%s got %v and trailers %v", target, s.last.Header, s.last.Trailer)
		}
		if !maps.EqualFunc(r.Header, header, equal) || len(r.Trailer) != 2 {
			t.Errorf("the request that was lent has changed: %v", r.Header)
		}
	}
}

func TestTrailersThatArePutInWhileTheBodyIsSentStillGoOut(t *testing.T) {
	server := serve(t, spy)
	host := strings.TrimPrefix(server.URL, "http://")
	client := &http.Client{Transport: newTransport(t, httpctx.TransportConfig{Destinations: []string{host}})}
	for name, announced := range map[string]http.Header{
		"with identity":    {"X-Sum": nil, "X-User-Id": nil},
		"without identity": {"X-Sum": nil},
	} {
		r, _ := http.NewRequestWithContext(as(t, "alice"), "POST", server.URL, nil)
		r.Trailer = announced
		r.Body = &atEnd{strings.NewReader("abc"), func() { r.Trailer.Set("X-Sum", "1") }}
		got := decode(t, send(t, client, r))
		if got.Trailer.Get("X-Sum") != "1" || len(identityIn(got.Trailer)) > 0 {
			t.Errorf("%s: trailers %v", name, got.Trailer)
		}
	}
}

type atEnd struct {
	r    io.Reader
	done func()
}

func (a *atEnd) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if err == io.EOF {
		a.done()
	}
	return n, err
}

func (a *atEnd) Close() error { return nil }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRule6_ATrailerThatNobodyAnnouncedIsStripped has a body that brings trailers
// when it ends, also when the request is sent a second time.
func TestRule6_ATrailerThatNobodyAnnouncedIsStripped(t *testing.T) {
	times := 0
	tr := newTransport(t, httpctx.TransportConfig{Destinations: []string{"a.internal"}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
		body := r.Body
		for times = 1; ; times++ {
			_, _ = io.Copy(io.Discard, body)
			if len(identityIn(r.Trailer)) > 0 || r.Trailer.Get("X-Sum") != "1" {
				t.Errorf("attempt %d: trailers %v", times, r.Trailer)
			}
			if times == 2 {
				return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
			}
			r.Trailer.Del("X-Sum")
			var err error
			if body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
	})})
	r := outgoing(as(t, "alice"), "https://a.internal/")
	r.Trailer = http.Header{"X-Sum": nil}
	r.GetBody = func() (io.ReadCloser, error) {
		return &atEnd{strings.NewReader("abc"), func() { r.Trailer.Set("X-Sum", "1"); r.Trailer.Set("X-User-Id", "eve") }}, nil
	}
	r.Body, _ = r.GetBody()
	if _, err := tr.RoundTrip(r); err != nil || times != 2 {
		t.Errorf("%v after %d attempts", err, times)
	}
}

func TestTransportsCompose(t *testing.T) {
	var s sink
	tr := newTransport(t, httpctx.TransportConfig{Base: &s, Destinations: []string{"a.internal"}})
	// A transport of the kind of oauth2.Transport, outside and inside.
	outer := roundTripper(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer service")
		return tr.RoundTrip(r)
	})
	if _, err := outer.RoundTrip(outgoing(as(t, "alice"), "https://a.internal/")); err != nil {
		t.Fatal(err)
	}
	if h := s.last.Header; h.Get("Authorization") != "Bearer service" || h.Get("X-User-Id") != "alice" {
		t.Errorf("sent %v", h)
	}
}

// idleCounter is a base that is told to close idle connections.
type idleCounter struct {
	sink
	told int
}

func (c *idleCounter) CloseIdleConnections() { c.told++ }

// A client knows the outermost transport only.
func TestIdleConnectionsOfTheBaseAreClosed(t *testing.T) {
	var base idleCounter
	inner := newTransport(t, httpctx.TransportConfig{Base: &base, Destinations: []string{"a.internal"}})
	client := http.Client{Transport: newTransport(t, httpctx.TransportConfig{Base: inner, Destinations: []string{"b.internal"}})}
	if client.CloseIdleConnections(); base.told != 1 {
		t.Errorf("the base was told %d times", base.told)
	}
	newTransport(t, httpctx.TransportConfig{Base: &base.sink, Destinations: []string{"a.internal"}}).CloseIdleConnections() // has none
}

func TestAFieldThatIsRepeatedIsSentWithEveryValue(t *testing.T) {
	layout := authctx.KubernetesLayout()
	prop, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &layout, SoleIssuer: issuer, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	p, err := authctx.New(authctx.Attributes{Issuer: issuer, Subject: "alice", Groups: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	var s sink
	tr := newTransport(t, httpctx.TransportConfig{Base: &s, Propagator: prop, Destinations: []string{"a.internal"}})
	r := outgoing(authctx.NewContext(t.Context(), p), "https://a.internal/")
	r.Header.Set("X-Remote-Group", "system:masters")
	if _, err := tr.RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	if got := s.last.Header["X-Remote-Group"]; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("X-Remote-Group = %q", got)
	}
}

func TestAPropagatorMayOnlyWriteWhatItOwns(t *testing.T) {
	var s sink
	tr := newTransport(t, httpctx.TransportConfig{Base: &s, Propagator: liar{newFields(t)}, Destinations: []string{"a.internal"}})
	if _, err := tr.RoundTrip(outgoing(as(t, "alice"), "https://a.internal/")); err == nil || s.last != nil {
		t.Errorf("%v, sent %v", err, s.last != nil)
	}
}

// liar writes a field that it does not own.
type liar struct{ authctx.Propagator }

func (liar) Inject(_ context.Context, _ authctx.Principal, set func(name, value string)) error {
	set("x-somebody", "alice")
	return nil
}

func TestARequestWithoutAHeaderIsSent(t *testing.T) {
	var s sink
	tr := newTransport(t, httpctx.TransportConfig{Base: &s, Destinations: []string{"a.internal"}})
	u, _ := url.Parse("https://a.internal/")
	r := (&http.Request{Method: "GET", URL: u}).WithContext(as(t, "alice"))
	if _, err := tr.RoundTrip(r); err != nil || s.last.Header.Get("X-User-Id") != "alice" || r.Header != nil {
		t.Errorf("%v, %v", err, s.last)
	}
}

// TestRule6_ConnectionTakesNoIdentityAway has a request whose Connection, by
// which the next proxy goes (RFC 9110 section 7.6.1), names identity fields.
func TestRule6_ConnectionTakesNoIdentityAway(t *testing.T) {
	delegated, err := authctx.New(authctx.Attributes{Issuer: issuer, Subject: "alice", Actors: []authctx.Actor{{Issuer: issuer, Subject: "bot"}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, name := authctx.NewContext(t.Context(), delegated), strings.ToLower("Connection")
	for before, after := range map[string][]string{
		"x-user-actor, X_User_Expires":  nil,
		"Upgrade, x-user-actor":         {"Upgrade"},
		"keep-alive,,x-user-id , close": {"keep-alive,, close"},
		"close":                         {"close"},
	} {
		var s sink
		tr := newTransport(t, httpctx.TransportConfig{Base: &s, Destinations: []string{"a.internal"}})
		r := outgoing(ctx, "https://a.internal/")
		r.Header[name] = []string{before}
		if _, err := tr.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		if got := s.last.Header[name]; !equal(got, after) || s.last.Header.Get("X-User-Actor") == "" {
			t.Errorf("%q became %q", before, got)
		}
		if r.Header[name][0] != before {
			t.Errorf("the request has changed: %v", r.Header)
		}
	}

	// A Rewrite that takes over what a ReverseProxy leaves out.
	var sent http.Header
	h, err := newProxy(t, newServer(t, httpctx.ServerConfig{}), newFields(t)).Handler(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "https", Host: "upstream"})
			pr.Out.Header["Connection"] = pr.In.Header["Connection"]
		},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = r.Header
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-user-actor, close\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	h.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	if !equal(sent["Connection"], []string{"close"}) || sent.Get("X-User-Actor") == "" {
		t.Errorf("sent %v", sent)
	}
}
