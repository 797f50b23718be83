package httpctx_test

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/authctx/authctx/httpctx"
)

// through sends a body through a proxy to a transport.
func through(t *testing.T, protocol int, rewrite func(*httputil.ProxyRequest), transport roundTripper) (status int) {
	t.Helper()
	h, err := newProxy(t, newServer(t, httpctx.ServerConfig{}), newFields(t)).Handler(&httputil.ReverseProxy{
		Rewrite: rewrite, Transport: transport, ErrorLog: log.New(io.Discard, "", 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	in := httptest.NewRequest("POST", "http://a.internal/", strings.NewReader("hello"))
	in.ProtoMajor = protocol
	w := httptest.NewRecorder()
	h.ServeHTTP(w, in)
	return w.Code
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

// TestABodyTooLargeIsTheClientsFaultWhereverItIsRead has a transport that reads on
// after it has failed, and whose error tells nothing.
func TestABodyTooLargeIsTheClientsFaultWhereverItIsRead(t *testing.T) {
	limited := func(body io.ReadCloser) io.ReadCloser { return http.MaxBytesReader(nil, body, 3) }
	first := func(r *http.Request) io.ReadCloser { return r.Body }
	for name, c := range map[string]struct {
		rewrite func(*httputil.ProxyRequest)
		body    func(*http.Request) io.ReadCloser // that the transport reads
		want    int
	}{
		"at once": {func(pr *httputil.ProxyRequest) { pr.Out.Body = limited(pr.Out.Body) }, first, 413},
		"when it is sent anew": {func(pr *httputil.ProxyRequest) {
			pr.Out.GetBody = func() (io.ReadCloser, error) { return limited(pr.In.Body), nil }
		}, func(r *http.Request) io.ReadCloser {
			again, err := r.GetBody()
			if err != nil {
				t.Fatal(err)
			}
			return again
		}, 413},
		"by the transport's own measure": {func(*httputil.ProxyRequest) {}, func(r *http.Request) io.ReadCloser { return limited(r.Body) }, 502},
		"small enough":                   {func(pr *httputil.ProxyRequest) { pr.Out.Body = http.MaxBytesReader(nil, pr.Out.Body, 5) }, first, 502},
		"another that fails": {func(pr *httputil.ProxyRequest) {
			pr.Out.Body = io.NopCloser(iotest.ErrReader(errors.New("mine")))
		}, first, 502},
	} {
		for _, protocol := range []int{1, 2} {
			var reading sync.WaitGroup
			status := through(t, protocol, c.rewrite, func(r *http.Request) (*http.Response, error) {
				body, failed := c.body(r), make(chan struct{})
				reading.Go(func() {
					_, _ = io.Copy(io.Discard, body)
					close(failed)
					_, _ = io.Copy(io.Discard, body)
				})
				<-failed
				return nil, errors.New("something")
			})
			reading.Wait()
			if status != c.want {
				t.Errorf("%s, HTTP/%d: status %d, want %d", name, protocol, status, c.want)
			}
		}
	}
}

// A transport would announce what it does not know to be empty.
func TestABodyThatRewriteTookAwayStaysAway(t *testing.T) {
	for _, protocol := range []int{1, 2} {
		through(t, protocol, func(pr *httputil.ProxyRequest) { pr.Out.Body = http.NoBody }, func(r *http.Request) (*http.Response, error) {
			if r.Body != http.NoBody || r.GetBody != nil {
				t.Errorf("HTTP/%d: the body is %T", protocol, r.Body)
			}
			return ok(r), nil
		})
	}
}
