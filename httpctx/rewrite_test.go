package httpctx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// Tests of Rewrite without the Handler that belongs to it.

func TestRewriteAloneIsSafe(t *testing.T) {
	upstream := serve(t, spy)
	target, _ := url.Parse(upstream.URL)
	s := newServer(t, httpctx.ServerConfig{})
	passed := time.Duration(0)
	p := newProxy(t, s, fieldsAt(t, func() time.Time { return epoch.Add(passed) }))
	var got error
	gate := serve(t, s.Handler(&httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			p.Rewrite(pr)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			got = err
			w.WriteHeader(http.StatusBadGateway)
		},
	}))
	if seen := get(t, gate.URL, with(token("alice"), "X-User-Id", "eve")); seen.Header.Get("X-User-Id") != "alice" || seen.Header["Authorization"] != nil {
		t.Errorf("upstream got %v", seen.Header)
	}
	passed = time.Hour
	if res, _ := do(t, "GET", gate.URL, token("carol")); res.StatusCode != 502 || !errors.Is(got, authctx.TokenExpired) {
		t.Errorf("%d, %v", res.StatusCode, got)
	}
}

// byHand returns a ReverseProxy that calls the methods of a Proxy, and what became of
// its last request.
func byHand(t *testing.T, s *httpctx.Server, says string) (h http.Handler, sent *string, failure *error) {
	t.Helper()
	p := newProxy(t, s, newFields(t))
	sent, failure = new(string), new(error)
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(&url.URL{Scheme: "https", Host: "upstream"})
			p.Rewrite(pr)
		},
		ModifyResponse: p.ModifyResponse,
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if err := r.Context().Err(); err != nil {
				return nil, context.Cause(r.Context())
			}
			var body []byte
			if r.Body != nil {
				body, _ = io.ReadAll(r.Body)
			}
			*sent = r.Method + " " + r.Header.Get("X-User-Id") + " " + string(body)
			answer := &closed{Reader: strings.NewReader(says)}
			t.Cleanup(func() {
				if !answer.closed {
					t.Errorf("the connection of %q is never free again", *sent)
				}
			})
			return &http.Response{
				StatusCode: 200, Header: http.Header{"Content-Length": {strconv.Itoa(len(says))}, "Allow": {"GET"}}, ContentLength: int64(len(says)),
				Body: answer, Request: r,
			}, nil
		}),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			*failure = err
			w.WriteHeader(http.StatusBadGateway)
		},
	}, sent, failure
}

// An upstream may read a path in another way than the mux did that led to it.
func TestRule10_RewriteAloneAsksThePolicyBehindAMux(t *testing.T) {
	asks := 0
	admin := authctx.RuleFunc(func(ctx context.Context, p authctx.Principal) error {
		asks++
		return authctx.Role("admin").Check(ctx, p)
	})
	var j journal
	s := newServer(t, httpctx.ServerConfig{Observer: &j, Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/": authctx.Authenticated(), "/admin/": admin}, Public: []string{"/static/"},
	})})
	proxy, sent, failure := byHand(t, s, "what it has")
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.Handle("/static/", proxy)
	for _, tc := range []struct {
		name, line, token string
		h                 http.Handler
		want              error
		sent, entry       string
		asks              int
	}{
		{"the mux knows", "GET /else", "bob", s.Handler(mux), nil, "GET bob ", "/", 0},
		{"another case", "GET /ADMIN/x", "bob", s.Handler(mux), authctx.PermissionDenied, "", "/admin/", 1},
		{"a hidden slash", "GET /admin%2fx", "bob", s.Handler(mux), authctx.PermissionDenied, "", "/admin/", 1},
		{"an admin", "GET /admin%2fx", "alice", s.Handler(mux), nil, "GET alice ", "/", 1},
		{"public to the mux", "GET /st%61tic/x", "alice", s.Handler(mux), authctx.NoCredentials, "", "/", 0},
		{"public to all", "GET /static/x", "alice", s.Handler(mux), nil, "GET  ", "/static/", 0},
		{"no mux", "GET /admin/x", "alice", s.Handler(proxy), nil, "GET alice ", "/admin/", 1},
		{"no Server", "GET /else", "alice", proxy, authctx.NoCredentials, "", "/", 0},
	} {
		*sent, *failure, asks = "", nil, 0
		w := asked(t, tc.h, tc.line, "api", tc.token)
		if (w.Code == 200) != (tc.want == nil) || !errors.Is(*failure, tc.want) || *sent != tc.sent || asks != tc.asks {
			t.Errorf("%s: %d, %v, sent %q, asked %d times", tc.name, w.Code, *failure, *sent, asks)
		}
		if e := j.last(t); e.Entry != tc.entry || (e.Outcome == authctx.Allowed) != (tc.want == nil) {
			t.Errorf("%s: observed %v of %q", tc.name, e.Outcome, e.Entry)
		}
	}
}

// What the mux took for a public route, nobody else has taken for a preflight.
func TestRule6_APreflightPassesRewriteWithoutABody(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/": authctx.Authenticated()}, Public: []string{"/static/"},
	})})
	proxy, sent, failure := byHand(t, s, "what it has")
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.Handle("/static/", proxy)
	for path, body := range map[string]string{"/x": "", "/st%61tic/x": "", "/static/x": "what it has"} {
		r := httptest.NewRequest("OPTIONS", "http://api"+path, strings.NewReader("what it brings"))
		r.ProtoMajor, r.ContentLength = 3, -1 // where a preflight need not say that it has no body
		r.Header = http.Header{"Origin": {"https://app.example"}, "Access-Control-Request-Method": {"GET"}}
		w := httptest.NewRecorder()
		s.Handler(mux).ServeHTTP(w, r)
		brought := ""
		if body != "" {
			brought = "what it brings"
		}
		if w.Code != 200 || w.Body.String() != body || w.Header().Get("Allow") != "GET" || *sent != "OPTIONS  "+brought {
			t.Errorf("%s: %d %q, sent %q, %v", path, w.Code, w.Body, *sent, *failure)
		}
		if length := w.Header().Get("Content-Length"); length != "" && length != strconv.Itoa(len(body)) {
			t.Errorf("%s: said to be of %s bytes", path, length)
		}
	}
}

func TestRewriteWithoutAServerBeforeItStripsToo(t *testing.T) {
	p := newProxy(t, newServer(t, httpctx.ServerConfig{}), newFields(t))
	in := httptest.NewRequest("POST", "/", nil)
	in.Header = with(token("alice"), "X-User-Id", "eve", "X_user_roles", "admin",
		"Cookie", "a=b; session=alice", "Sec-Websocket-Protocol", "chat, bearer.alice") // whatever they share a field with
	in.Trailer = http.Header{"X-User-Id": nil, "X-Sum": nil}
	pr := &httputil.ProxyRequest{In: in, Out: in.Clone(in.Context())}
	p.Rewrite(pr)
	if found := append(identityIn(pr.Out.Header), identityIn(pr.Out.Trailer)...); len(found) > 0 || pr.Out.Header["Authorization"] != nil {
		t.Errorf("left %v in %v", found, pr.Out.Header)
	}
	if cookie, protocol := pr.Out.Header.Get("Cookie"), pr.Out.Header.Get("Sec-Websocket-Protocol"); cookie != "a=b" || protocol != "chat" {
		t.Errorf("left the cookies %q and the protocols %q", cookie, protocol)
	}
	if _, ok := pr.Out.Trailer["X-Sum"]; !ok || len(in.Trailer) != 2 || len(in.Header) != 5 {
		t.Errorf("trailers %v, in %v", pr.Out.Trailer, in.Header)
	}
}

func TestAsManyFieldsAsAnUpstreamReadsAreSent(t *testing.T) {
	prop, p := newFields(t), newProxy(t, newServer(t, httpctx.ServerConfig{}), newFields(t))
	written := 0
	if err := prop.Inject(t.Context(), caller(t, "alice"), func(string, string) { written++ }); err != nil {
		t.Fatal(err)
	}
	for n, sent := range map[int]bool{500: true, 501: false} {
		in := httptest.NewRequest("GET", "http://localhost/", nil).WithContext(as(t, "alice"))
		pr := &httputil.ProxyRequest{In: in, Out: in.Clone(in.Context())}
		for i := range n - written {
			pr.Out.Header[fmt.Sprintf("A%d", i)] = []string{"1"}
		}
		p.Rewrite(pr)
		if err := pr.Out.Context().Err(); (err == nil) != sent {
			t.Errorf("%d fields: %v", n, context.Cause(pr.Out.Context()))
		}
	}
}
