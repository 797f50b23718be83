package httpctx_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/authctx/authctx/httpctx"
)

// through sends a body through a proxy to a transport.
func through(t *testing.T, protocol int, rewrite func(*httputil.ProxyRequest), transport roundTripper) {
	t.Helper()
	h, err := newProxy(t, newServer(t, httpctx.ServerConfig{}), newFields(t)).Handler(&httputil.ReverseProxy{Rewrite: rewrite, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	in := httptest.NewRequest("POST", "http://a.internal/", strings.NewReader("hello"))
	in.ProtoMajor = protocol
	h.ServeHTTP(httptest.NewRecorder(), in)
}

func ok(r *http.Request) *http.Response {
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}
}

// TestABodyMayBeSentAnewUntilItIsRead does what a transport does whose
// connections go away.
func TestABodyMayBeSentAnewUntilItIsRead(t *testing.T) {
	for _, protocol := range []int{1, 2} {
		through(t, protocol, func(*httputil.ProxyRequest) {}, func(r *http.Request) (*http.Response, error) {
			first := r.Body
			_ = first.Close()
			for range 2 {
				again, err := r.GetBody()
				if err != nil {
					t.Fatalf("HTTP/%d: %v", protocol, err)
				}
				_ = again.Close()
			}
			last, err := r.GetBody()
			if err != nil {
				t.Fatalf("HTTP/%d: %v", protocol, err)
			}
			if n, err := first.Read(make([]byte, 1)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("HTTP/%d: an attempt that was given up read %d bytes, %v", protocol, n, err)
			}
			got, err := io.ReadAll(last)
			if string(got) != "hello" || err != nil {
				t.Errorf("HTTP/%d: %q, %v", protocol, got, err)
			}
			if _, err := r.GetBody(); err == nil {
				t.Errorf("HTTP/%d: the rest of a body passes for the whole", protocol)
			}
			return ok(r), nil
		})
	}
}

func TestABodyThatRewriteReplacedIsLeftAlone(t *testing.T) {
	through(t, 1, func(pr *httputil.ProxyRequest) { pr.Out.Body = io.NopCloser(strings.NewReader("other")) }, func(r *http.Request) (*http.Response, error) {
		if got, _ := io.ReadAll(r.Body); string(got) != "other" || r.GetBody != nil {
			t.Errorf("sent %q", got)
		}
		return ok(r), nil
	})
	own := func() (io.ReadCloser, error) { return nil, errors.New("mine") }
	through(t, 1, func(pr *httputil.ProxyRequest) { pr.Out.GetBody = own }, func(r *http.Request) (*http.Response, error) {
		if _, err := r.GetBody(); err == nil || err.Error() != "mine" {
			t.Errorf("another GetBody: %v", err)
		}
		return ok(r), nil
	})
}
