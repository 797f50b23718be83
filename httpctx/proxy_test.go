package httpctx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/internal/observertest"
	"github.com/authctx/authctx/internal/uncarried"
)

func newProxy(t testing.TB, s *httpctx.Server, prop authctx.Propagator) *httpctx.Proxy {
	t.Helper()
	p, err := httpctx.NewProxy(httpctx.ProxyConfig{Server: s, Propagator: prop})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNewProxyNamesEverySettingThatIsMissing(t *testing.T) {
	_, err := httpctx.NewProxy(httpctx.ProxyConfig{})
	if err == nil || !strings.Contains(err.Error(), "Server") || !strings.Contains(err.Error(), "Propagator") {
		t.Errorf("%v", err)
	}
	p := newProxy(t, newServer(t, httpctx.ServerConfig{}), newFields(t))
	director := httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}
	//lint:ignore SA1019 a Director is what must be refused
	director.Director = func(*http.Request) {}
	for name, rp := range map[string]*httputil.ReverseProxy{"nil": nil, "no Rewrite": {}, "a Director": &director} {
		if _, err := p.Handler(rp); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestCVE_2026_41181_CredentialsAreNotPassedOnEvenWhenKept(t *testing.T) {
	upstream := serve(t, spy)
	gate := gateway(t, upstream.URL, httpctx.ServerConfig{
		KeepCredentials: true,
		Strip:           authctx.FieldSet{Prefixes: []string{"x-remote-"}, Cookies: []string{"legacy"}},
	})
	for name, header := range map[string]http.Header{
		"bearer":      token("alice"),
		"cookie":      {"Cookie": {"a=1; session=alice; legacy=x; b=2"}},
		"subprotocol": {"Sec-Websocket-Protocol": {"bearer.alice, chat"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := get(t, gate.URL, with(header, "X-Remote-User", "eve", "X_remote_group", "admins"))
			if got.Header.Get("X-User-Id") != "alice" {
				t.Fatalf("upstream got %v", got.Header)
			}
			for field, values := range got.Header {
				all := strings.Join(values, " ")
				if field != "X-User-Id" && strings.Contains(all, "alice") || strings.Contains(strings.ToLower(field), "remote") || strings.Contains(all, "legacy") {
					t.Errorf("upstream got %s: %q", field, values)
				}
			}
		})
	}
}

func TestARewriteThatCopiesTheInboundRequestCannotUndoTheStripping(t *testing.T) {
	upstream := serve(t, spy)
	target, _ := url.Parse(upstream.URL)
	gate := gatewayWith(t, httpctx.ServerConfig{KeepCredentials: true}, &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(target)
		maps.Copy(pr.Out.Header, pr.In.Header)
		pr.Out.Header["X-User-Id"] = []string{"eve"}
		pr.Out.Header["x_user_id"] = []string{"eve"}
	}})
	got := get(t, gate.URL, token("alice")).Header
	if id := got["X-User-Id"]; len(id) != 1 || id[0] != "alice" || got["X_user_id"] != nil || got["Authorization"] != nil {
		t.Errorf("upstream got %v", got)
	}
}

// Fields that no client needs may push others over what an upstream reads.
func TestAClientCannotCrowdItsIdentityOutOfTheHeader(t *testing.T) {
	upstream := serve(t, spy)
	gate := gateway(t, upstream.URL, httpctx.ServerConfig{})
	for n, want := range map[int]int{400: 200, 600: 400} {
		header := token("alice")
		for i := range n / 2 {
			header[fmt.Sprintf("A%d", i)] = []string{"1", "2"}
		}
		if res, _ := do(t, "GET", gate.URL, header); res.StatusCode != want {
			t.Errorf("%d more fields: status %d, want %d", n, res.StatusCode, want)
		}
		if res, _ := do(t, "GET", gate.URL+"/public/", header); res.StatusCode != 200 {
			t.Errorf("%d more fields, for nobody: status %d", n, res.StatusCode)
		}
	}
}

// RFC 9113 section 6.5.2: an upstream says how much header it takes, and a
// transport of net/http sends no more.
func TestRFC9113_AHeaderThatTheUpstreamDoesNotTakeIsNoFailureOfIt(t *testing.T) {
	upstream := httptest.NewUnstartedServer(spy)
	upstream.Config.MaxHeaderBytes = 2000
	upstream.Config.Protocols = new(http.Protocols)
	upstream.Config.Protocols.SetUnencryptedHTTP2(true)
	upstream.Start()
	t.Cleanup(upstream.Close)
	transport := &http.Transport{Protocols: upstream.Config.Protocols}
	t.Cleanup(transport.CloseIdleConnections)
	target, _ := url.Parse(upstream.URL)
	var events observertest.Journal
	gate := gatewayWith(t, httpctx.ServerConfig{Observer: &events}, &httputil.ReverseProxy{
		Transport:    transport,
		Rewrite:      func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { t.Errorf("the upstream is blamed: %v", err) },
	})
	if res, _ := do(t, "GET", gate.URL, token("alice")); res.StatusCode != 200 { // before the upstream has said so
		t.Fatalf("status %d", res.StatusCode)
	}
	for path, size := range map[string]int{"/": 3000, "/public/": 3000, "/?with-its-caller": 1900} {
		res, text := do(t, "GET", gate.URL+path, with(token("alice"), "X-Large", strings.Repeat("x", size)))
		if res.StatusCode != 431 || !strings.Contains(text, "header") || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", path, res.StatusCode, text)
		}
		all := events.All()
		if last := all[len(all)-1]; last.Outcome != authctx.Failed || !strings.Contains(fmt.Sprint(last.Err), "larger") {
			t.Errorf("%s: the observer was told %v, %v", path, last.Outcome, last.Err)
		}
	}
	if res, _ := do(t, "GET", gate.URL+"/public/", with(http.Header{}, "X-Large", strings.Repeat("x", 1900))); res.StatusCode != 200 {
		t.Errorf("without a caller: status %d", res.StatusCode)
	}
}

// A program may ask somebody else, of whom the client knows nothing.
func TestAHeaderThatAnotherServiceDoesNotTakeIsNotTheClients(t *testing.T) {
	told := false
	target, _ := url.Parse(serve(t, spy).URL)
	gate := gatewayWith(t, httpctx.ServerConfig{}, &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
		ModifyResponse: func(*http.Response) error {
			return errors.New("audit: http2: request header list larger than peer's advertised limit")
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { told = true; w.WriteHeader(502) },
	})
	if res, _ := do(t, "GET", gate.URL, token("alice")); res.StatusCode != 502 || !told {
		t.Errorf("status %d, ErrorHandler asked: %v", res.StatusCode, told)
	}
}

func TestWhatAClientDoesWrongIsNoFailureOfTheUpstream(t *testing.T) {
	upstream := serve(t, spy)
	gate := gateway(t, upstream.URL, httpctx.ServerConfig{})
	for name, body := range map[string]string{
		"no size":             "zz\r\nabc\r\n0\r\n\r\n",
		"a size too large":    "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
		"no end of the chunk": "3\r\nabcabc",
	} {
		res, text := raw(t, gate, request("POST /", "Authorization: Bearer alice", "Transfer-Encoding: chunked")+body)
		if res.StatusCode != 400 || !strings.Contains(text, "body") || res.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d %s", name, res.StatusCode, text)
		}
	}
	if res, text := raw(t, gate, request("POST /", "Authorization: Bearer alice", "Transfer-Encoding: chunked")+"3\r\nabc\r\n0\r\n\r\n"); res.StatusCode != 200 {
		t.Errorf("a good body: %d %s", res.StatusCode, text)
	}
	limited := serve(t, http.MaxBytesHandler(gate.Config.Handler, 3))
	if res, _ := raw(t, limited, request("POST /", "Authorization: Bearer alice", "Content-Length: 4")+"abcd"); res.StatusCode != 413 {
		t.Errorf("too large a body: status %d", res.StatusCode)
	}
	target, _ := url.Parse(upstream.URL)
	within := gatewayWith(t, httpctx.ServerConfig{}, &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(target)
		pr.Out.Body = http.MaxBytesReader(nil, pr.Out.Body, 3)
	}})
	for body, want := range map[string]int{"3\r\nabc\r\n0\r\n\r\n": 200, "4\r\nabcd\r\n0\r\n\r\n": 413, "zz\r\n": 400} {
		if res, _ := raw(t, within, request("POST /", "Authorization: Bearer alice", "Transfer-Encoding: chunked")+body); res.StatusCode != want {
			t.Errorf("a limit in Rewrite, %q: status %d", body, res.StatusCode)
		}
	}
	down := gateway(t, "http://127.0.0.1:1", httpctx.ServerConfig{})
	if res, _ := raw(t, down, request("POST /", "Authorization: Bearer alice", "Content-Length: 3")+"abc"); res.StatusCode != 502 {
		t.Errorf("an upstream that is down: status %d", res.StatusCode)
	}
}

func TestWhatIsWrongWithAnAnswerIsNotTheClients(t *testing.T) {
	target, _ := url.Parse(serve(t, spy).URL)
	for name, modify := range map[string]func(*http.Response) error{
		"too large": func(res *http.Response) error {
			_, err := io.ReadAll(http.MaxBytesReader(nil, res.Body, 3))
			return err
		},
		"bad": func(*http.Response) error { return errors.New("a bad answer") },
	} {
		inTransport := roundTripper(func(r *http.Request) (*http.Response, error) {
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				return nil, err
			}
			defer res.Body.Close()
			if err := modify(res); err != nil {
				return nil, fmt.Errorf("the answer: %w", err)
			}
			return res, nil
		})
		limit := func(pr *httputil.ProxyRequest) { pr.Out.Body = http.MaxBytesReader(nil, pr.Out.Body, 3) }
		for where, rp := range map[string]httputil.ReverseProxy{
			"ModifyResponse":                {ModifyResponse: modify},
			"a transport":                   {Transport: inTransport},
			"a transport, a limited upload": {Transport: inTransport, Rewrite: limit},
		} {
			for method, body := range map[string]string{"GET": "", "POST": "3\r\nabc\r\n0\r\n\r\n"} {
				blamed, rewrite := false, rp.Rewrite
				rp := rp
				rp.Rewrite = func(pr *httputil.ProxyRequest) {
					pr.SetURL(target)
					if rewrite != nil && pr.Out.Body != nil {
						rewrite(pr)
					}
				}
				rp.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) {
					blamed = true
					w.WriteHeader(http.StatusBadGateway)
				}
				gate := gatewayWith(t, httpctx.ServerConfig{}, &rp)
				head := []string{"Authorization: Bearer alice"}
				if body != "" {
					head = append(head, "Transfer-Encoding: chunked")
				}
				if res, _ := raw(t, gate, request(method+" /", head...)+body); res.StatusCode != 502 || !blamed {
					t.Errorf("%s, %s, %s: status %d", name, where, method, res.StatusCode)
				}
			}
		}
	}
}

// A ReverseProxy refuses some requests before Rewrite.
func TestARequestThatTheReverseProxyRefusesIsAnswered(t *testing.T) {
	gate := gateway(t, "http://127.0.0.1:1", httpctx.ServerConfig{})
	res, text := raw(t, gate, request("GET /", "Authorization: Bearer alice", "Connection: Upgrade", "Upgrade: w\xe9bsocket"))
	if res.StatusCode != 502 {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}

func TestAFailingPropagatorSendsNothing(t *testing.T) {
	reached := false
	upstream := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	target, _ := url.Parse(upstream.URL)
	for name, tc := range map[string]struct {
		err    error
		token  string
		status int
	}{
		"expired meanwhile":    {nil, "carol", 401},
		"minting not possible": {&authctx.Error{Reason: authctx.Unavailable}, "alice", 503},
		"too large":            {errors.New("over budget"), "alice", 500},
	} {
		t.Run(name, func(t *testing.T) {
			var j journal
			var logged bytes.Buffer
			s := newServer(t, httpctx.ServerConfig{Observer: &j})
			var prop authctx.Propagator = fieldsAt(t, func() time.Time { return epoch.Add(time.Hour) })
			if tc.err != nil {
				prop = failing{prop, tc.err}
			}
			h, err := newProxy(t, s, prop).Handler(&httputil.ReverseProxy{
				Rewrite:  func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
				ErrorLog: log.New(&logged, "", 0),
			})
			if err != nil {
				t.Fatal(err)
			}
			res, body := do(t, "GET", serve(t, s.Handler(h)).URL, token(tc.token))
			if res.StatusCode != tc.status || reached {
				t.Errorf("status %d, want %d; upstream reached: %v", res.StatusCode, tc.status, reached)
			}
			if e := j.last(t); e.Outcome == authctx.Allowed || e.Principal.Subject() != tc.token {
				t.Errorf("event %+v", e)
			}
			if logged.Len() > 0 {
				t.Errorf("the upstream is blamed: %q", logged.String())
			}
			if tc.err != nil && !errors.Is(j.last(t).Err, tc.err) {
				t.Errorf("the operator does not learn the cause: %v", j.last(t).Err)
			}
			if tc.status == 500 && (!strings.Contains(body, "the caller could not be carried on") || strings.Contains(body, "budget")) {
				t.Errorf("body %q", body)
			}
		})
	}
}

// failing is a propagator that writes a field and then fails.
type failing struct {
	authctx.Propagator
	err error
}

func (f failing) Inject(_ context.Context, _ authctx.Principal, set func(name, value string)) error {
	set("x-user-id", "half")
	return f.err
}

func TestAProxyDoesNotSendTheCallerInPlaintextUnlessThatWasSaid(t *testing.T) {
	forward := http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})
	for name, tc := range map[string]struct {
		upstream  string
		transport func(*sink) http.RoundTripper
		insecure  bool
		sent      bool
	}{
		"TLS":                         {"https://a.internal", transportItself, false, true},
		"plaintext":                   {"http://a.internal", transportItself, false, false},
		"plaintext, allowed":          {"http://a.internal", transportItself, true, true},
		"a private address":           {"http://10.0.0.1", transportItself, false, false},
		"this machine":                {"http://127.0.0.1:99", transportItself, false, true},
		"this machine by its name":    {"http://localhost:99", transportItself, false, true},
		"a name below localhost":      {"http://x.localhost", transportItself, false, false},
		"by way of a proxy":           {"http://127.0.0.1:99", func(*sink) http.RoundTripper { return &http.Transport{Proxy: forward} }, false, false},
		"the default transport, away": {"http://a.internal", func(*sink) http.RoundTripper { return nil }, false, false},
	} {
		for _, grpc := range []bool{false, true} {
			var s sink
			var j journal
			server := newServer(t, httpctx.ServerConfig{Observer: &j, Refuse: func(w http.ResponseWriter, _ *http.Request, err error) bool {
				if e, ok := errors.AsType[*uncarried.Error](err); ok && grpc {
					w.Header().Set("Grpc-Status", "13")
					w.WriteHeader(http.StatusOK)
					return e != nil
				}
				return false
			}})
			p, err := httpctx.NewProxy(httpctx.ProxyConfig{Server: server, Propagator: newFields(t), InsecureAllowPlaintext: tc.insecure})
			if err != nil {
				t.Fatal(err)
			}
			target, _ := url.Parse(tc.upstream)
			h, err := p.Handler(&httputil.ReverseProxy{
				Transport:    tc.transport(&s),
				Rewrite:      func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
				ErrorHandler: func(http.ResponseWriter, *http.Request, error) { t.Errorf("%s: the upstream is blamed", name) },
			})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("POST", "/", nil)
			r.Header = token("alice")
			w := httptest.NewRecorder()
			server.Handler(h).ServeHTTP(w, r)
			if tc.sent {
				if w.Code != http.StatusOK || s.last == nil || s.last.Header.Get("X-User-Id") != "alice" {
					t.Errorf("%s: status %d, sent %v", name, w.Code, s.last)
				}
				continue
			}
			if s.last != nil || !grpc && w.Code != http.StatusInternalServerError || grpc && w.Header().Get("Grpc-Status") != "13" {
				t.Errorf("%s: status %d %v, sent %v", name, w.Code, w.Header(), s.last)
			}
			if e := j.last(t); e.Err == nil || !strings.Contains(e.Err.Error(), "InsecureAllowPlaintext") || !strings.Contains(e.Err.Error(), target.Host) {
				t.Errorf("%s: the operator learns %v", name, e.Err)
			}
			if strings.Contains(w.Body.String(), target.Host) {
				t.Errorf("%s: the client learns %s", name, w.Body)
			}
		}
	}
}

// transportItself returns the sink, but for requests that are cancelled.
func transportItself(s *sink) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return s.RoundTrip(r)
	})
}

// Who is not told about keeps nobody from an upstream.
func TestAProxyNeedsNoPermissionWhereNobodyIsNamed(t *testing.T) {
	var s sink
	server := newServer(t, httpctx.ServerConfig{AllowAnonymous: true})
	h, err := newProxy(t, server, newFields(t)).Handler(&httputil.ReverseProxy{Transport: &s, Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(&url.URL{Scheme: "http", Host: "a.internal"})
	}})
	if err != nil {
		t.Fatal(err)
	}
	server.Handler(h).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if s.last == nil {
		t.Error("nothing was sent")
	}
}

func TestHooksOfTheReverseProxyStillRun(t *testing.T) {
	upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-User-Id", "alice") }))
	target, _ := url.Parse(upstream.URL)
	broken := false
	gate := gatewayWith(t, httpctx.ServerConfig{}, &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
		ModifyResponse: func(res *http.Response) error {
			if res.Header.Get("X-User-Id") != "" {
				t.Error("ModifyResponse saw what does not leave the house")
			}
			if broken {
				return errors.New("no")
			}
			res.Header.Set("X-Mine", "1")
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("X-Error", err.Error())
			w.WriteHeader(http.StatusTeapot)
		},
	})
	if res, _ := do(t, "GET", gate.URL, token("alice")); res.Header.Get("X-Mine") != "1" {
		t.Errorf("header %v", res.Header)
	}
	broken = true
	if res, _ := do(t, "GET", gate.URL, token("alice")); res.StatusCode != http.StatusTeapot || res.Header.Get("X-Error") != "no" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}

// TestWhoAnswersARefusalCanTellWhatWasAsked has answers that depend on the
// content type, as those to gRPC do.
func TestWhoAnswersARefusalCanTellWhatWasAsked(t *testing.T) {
	for name, tc := range map[string]struct {
		prop  authctx.Propagator
		token string
	}{
		"a caller whose end has come":    {newFields(t), "ended"},
		"one whose end came meanwhile":   {fieldsAt(t, func() time.Time { return epoch.Add(time.Hour) }), "carol"},
		"a caller who cannot be written": {failing{newFields(t), errors.New("no")}, "alice"},
		"an upstream that is down":       {newFields(t), "alice"},
	} {
		answer := func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Type", r.Header.Get("Content-Type"))
			w.WriteHeader(http.StatusTeapot)
			return true
		}
		s := newServer(t, httpctx.ServerConfig{Refuse: func(w http.ResponseWriter, r *http.Request, _ error) bool { return answer(w, r) }})
		h, err := newProxy(t, s, tc.prop).Handler(&httputil.ReverseProxy{
			Rewrite:      func(pr *httputil.ProxyRequest) { pr.Out.URL.Host, pr.Out.URL.Scheme = "127.0.0.1:1", "http" },
			ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) { answer(w, r) },
		})
		if err != nil {
			t.Fatal(err)
		}
		res, _ := do(t, "POST", serve(t, s.Handler(h)).URL, with(token(tc.token), "Content-Type", "application/grpc"))
		if res.StatusCode != http.StatusTeapot || res.Header.Get("X-Type") != "application/grpc" {
			t.Errorf("%s: %d %v", name, res.StatusCode, res.Header)
		}
	}
}

func TestARefusedRequestIsStrippedForATransportThatSendsItNevertheless(t *testing.T) {
	var s sink
	server := newServer(t, httpctx.ServerConfig{})
	for name, tc := range map[string]struct {
		prop   authctx.Propagator
		header http.Header
	}{
		"half a caller":    {failing{newFields(t), errors.New("no")}, token("alice")},
		"another protocol": {newFields(t), with(token("alice"), "Connection", "Upgrade", "Upgrade", "tcp")},
	} {
		h, err := newProxy(t, server, tc.prop).Handler(&httputil.ReverseProxy{Transport: &s, Rewrite: func(*httputil.ProxyRequest) {}})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "https://a.internal/", nil)
		r.Header = tc.header
		server.Handler(h).ServeHTTP(httptest.NewRecorder(), r)
		if s.last == nil || len(identityIn(s.last.Header)) > 0 || s.last.Header.Get("Upgrade") != "" {
			t.Errorf("%s: sent %v", name, s.last)
		}
	}
}

func TestRule12_TheRequestOfTheCallerIsNotChanged(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{})
	header := with(token("alice"), "X-User-Id", "eve", "Cookie", "session=x; a=b", "X-A", "b")
	header.Del("Cookie")
	header["Cookie"] = []string{"a=b; session2=x"}
	r := httptest.NewRequest("POST", "/", strings.NewReader("abc"))
	r.Header = header
	r.Trailer = http.Header{"X-User-Id": {"eve"}, "X-Sum": nil}
	before, trailer, body := header.Clone(), r.Trailer.Clone(), r.Body
	h := s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
		got.Header.Set("X-A", "changed")
		got.Header.Add("X-A", "added")
		got.Header.Del("Cookie")
		got.Trailer.Set("X-Sum", "changed")
		_, _ = io.Copy(io.Discard, got.Body)
	}))
	h.ServeHTTP(httptest.NewRecorder(), r)
	if !maps.EqualFunc(header, before, equal) || !maps.EqualFunc(r.Trailer, trailer, equal) || r.Body != body {
		t.Errorf("header %v, trailer %v", header, r.Trailer)
	}
	if _, ok := authctx.FromContext(r.Context()); ok {
		t.Error("the request that came in has a caller")
	}
}

func equal(a, b []string) bool {
	return strings.Join(a, "\x00") == strings.Join(b, "\x00") && len(a) == len(b)
}

// A stream that its service ends has ended for the client too, even if that has
// more to say and does not say it.
func TestRule9_AStreamThatTheUpstreamEndsIsNotHeldOpenByASilentClient(t *testing.T) {
	upstream := unencryptedHTTP2(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = io.CopyN(w, r.Body, 1)
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("Grpc-Status", "16")
	}))
	gate := unencryptedHTTP2(t, gatewayOver(t, upstream).Config.Handler)
	body, silent := io.Pipe()
	defer silent.Close()
	go func() { _, _ = silent.Write([]byte("x")) }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "POST", gate.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = token("alice")
	res, err := gate.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil || string(got) != "x" || res.Trailer.Get("Grpc-Status") != "16" {
		t.Errorf("%q, %v, trailers %v", got, err, res.Trailer)
	}
}

// The answer to a TRACE is the request as the upstream got it: Apache httpd gives it
// unless told otherwise.
func TestRFC9110_9_3_8_ATraceDoesNotShowItsClientWhoIsCalling(t *testing.T) {
	upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = r.Header.Write(w) }))
	gate := gateway(t, upstream.URL, httpctx.ServerConfig{AllowAnonymous: true}) // a policy takes no "trace"
	for _, method := range []string{"TRACE", "trace", "Trace", "TRACK"} {
		for _, field := range []string{"Authorization: Bearer alice", "Accept: */*"} {
			res, body := raw(t, gate, request(method+" /", field))
			if res.StatusCode != http.StatusForbidden || strings.Contains(strings.ToLower(body), "x-user-") {
				t.Errorf("%s with %s: status %d, %s", method, field, res.StatusCode, body)
			}
		}
		var reached sink
		tr := newTransport(t, httpctx.TransportConfig{Base: &reached, Destinations: []string{"a.internal"}})
		for target, sent := range map[string]bool{"https://a.internal/": false, "https://elsewhere.example/": true} {
			reached.last = nil
			r := outgoing(as(t, "alice"), target)
			r.Method = method
			_, err := tr.RoundTrip(r)
			if (err == nil) != sent || (reached.last != nil) != sent || sent && len(identityIn(reached.last.Header)) > 0 {
				t.Errorf("a transport, %s %s: %v, sent %v", method, target, err, reached.last)
			}
		}
	}
}

// RFC 9440 section 4: an upstream takes these fields for what the gateway says of its
// client's certificate.
func TestRFC9440_4_WhatAClientSaysOfItsCertificateIsNotPassedOn(t *testing.T) {
	upstream := serve(t, spy)
	target, _ := url.Parse(upstream.URL)
	copied := func(pr *httputil.ProxyRequest) { maps.Copy(pr.Out.Header, pr.In.Header) }
	own := func(pr *httputil.ProxyRequest) { pr.Out.Header.Set("Client-Cert", ":b3du:") }
	for name, test := range map[string]struct {
		cfg     httpctx.ServerConfig
		rewrite func(*httputil.ProxyRequest)
		want    string
	}{
		"forged":            {httpctx.ServerConfig{}, func(*httputil.ProxyRequest) {}, ""},
		"forged by nobody":  {httpctx.ServerConfig{AllowAnonymous: true}, func(*httputil.ProxyRequest) {}, ""},
		"forged and copied": {httpctx.ServerConfig{}, copied, ""},
		"of the gateway":    {httpctx.ServerConfig{}, own, ":b3du:"},
	} {
		gate := gatewayWith(t, test.cfg, &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			test.rewrite(pr)
		}})
		header := http.Header{"Client-Cert": {":Zm9yZ2Vk:"}, "Client_cert": {":Zm9yZ2Vk:"}, "client.cert-chain": {":Zm9yZ2Vk:"}, "CLIENT-CERT-CHAIN": {":Zm9yZ2Vk:"}}
		if !test.cfg.AllowAnonymous {
			header.Set("Authorization", "Bearer alice")
		}
		for _, path := range []string{"/", "/public/"} {
			var got string
			for field, values := range get(t, gate.URL+path, header).Header {
				if strings.Contains(strings.ToLower(field), "client") {
					got += strings.Join(values, ",")
				}
			}
			if got != test.want {
				t.Errorf("%s, %s: the upstream got %q, want %q", name, path, got, test.want)
			}
		}
	}
}
