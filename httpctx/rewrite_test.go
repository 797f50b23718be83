package httpctx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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
