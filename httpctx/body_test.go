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
	"testing/synctest"

	"github.com/authctx/authctx/httpctx"
)

// uploads are requests whose bodies a proxy passes on each in its own way.
var uploads = map[string]func(*http.Request){
	"HTTP/1.1":    func(*http.Request) {},
	"HTTP/2":      func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 },
	"a gRPC call": proxied["a gRPC call"],
}

// through sends a body through a proxy to a transport.
func through(t *testing.T, prepare func(*http.Request), rewrite func(*httputil.ProxyRequest), transport roundTripper) (status int) {
	t.Helper()
	in := httptest.NewRequest("POST", "https://a.internal/", strings.NewReader("hello"))
	prepare(in)
	return sendThrough(t, in, httputil.ReverseProxy{Rewrite: rewrite, Transport: transport})
}

// sendThrough sends in through a proxy that does what rp does, and says if that
// changes in.
func sendThrough(t *testing.T, in *http.Request, rp httputil.ReverseProxy) (status int) {
	t.Helper()
	rp.ErrorLog = log.New(io.Discard, "", 0)
	h, err := newProxy(t, newServer(t, httpctx.ServerConfig{}), newFields(t)).Handler(&rp)
	if err != nil {
		t.Fatal(err)
	}
	in = in.WithContext(as(t, "alice"))
	w, body := httptest.NewRecorder(), in.Body
	h.ServeHTTP(w, in)
	if in.Body != body {
		t.Errorf("the request that came has a %T now", in.Body)
	}
	return w.Code
}

func ok(r *http.Request) *http.Response {
	return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}
}

func TestABodyThatRewriteReplacedIsLeftAlone(t *testing.T) {
	own := func() (io.ReadCloser, error) { return nil, errors.New("mine") }
	for name, prepare := range uploads {
		through(t, prepare, func(pr *httputil.ProxyRequest) { pr.Out.Body = io.NopCloser(strings.NewReader("other")) }, func(r *http.Request) (*http.Response, error) {
			if got, _ := io.ReadAll(r.Body); string(got) != "other" || r.GetBody != nil {
				t.Errorf("%s: sent %q, may be sent anew: %v", name, got, r.GetBody != nil)
			}
			return ok(r), nil
		})
		through(t, prepare, func(pr *httputil.ProxyRequest) { pr.Out.GetBody = own }, func(r *http.Request) (*http.Response, error) {
			if _, err := r.GetBody(); err == nil || err.Error() != "mine" {
				t.Errorf("%s: another GetBody: %v", name, err)
			}
			return ok(r), nil
		})
	}
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
		for kind, prepare := range uploads {
			var reading sync.WaitGroup
			status := through(t, prepare, c.rewrite, func(r *http.Request) (*http.Response, error) {
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
				t.Errorf("%s, %s: status %d, want %d", name, kind, status, c.want)
			}
		}
	}
}

// A transport would announce what it does not know to be empty.
func TestABodyThatRewriteTookAwayStaysAway(t *testing.T) {
	for name, prepare := range uploads {
		through(t, prepare, func(pr *httputil.ProxyRequest) { pr.Out.Body = http.NoBody }, func(r *http.Request) (*http.Response, error) {
			if r.Body != http.NoBody || r.GetBody != nil {
				t.Errorf("%s: the body is %T", name, r.Body)
			}
			return ok(r), nil
		})
	}
}

// Rewrite may be used without Handler, which is what remembers who is to blame.
func TestABodyTooLargeIsAnErrorWithoutAHandlerToo(t *testing.T) {
	p := newProxy(t, newServer(t, httpctx.ServerConfig{}), newFields(t))
	h := &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.Body = http.MaxBytesReader(nil, pr.Out.Body, 3)
			p.Rewrite(pr)
		},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			_, err := io.ReadAll(r.Body)
			return nil, err
		}),
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "http://a.internal/", strings.NewReader("hello")))
	if w.Code != 502 {
		t.Errorf("status %d", w.Code)
	}
}

// A transport that closes what Rewrite put in front of a body ends the stream of
// the client, or it would wait for one that is silent.
func TestClosingABodyThatRewriteReplacedEndsTheStreamOfTheClient(t *testing.T) {
	for name, want := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		body := &closed{Reader: strings.NewReader("hello")}
		in := httptest.NewRequest("POST", "https://a.internal/", body)
		uploads[name](in)
		sendThrough(t, in, httputil.ReverseProxy{
			Rewrite: func(pr *httputil.ProxyRequest) { pr.Out.Body = io.NopCloser(io.LimitReader(pr.Out.Body, 3)) },
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				_ = r.Body.Close()
				if body.closed != want {
					t.Errorf("%s: closed is %v", name, body.closed)
				}
				return ok(r), nil
			}),
		})
	}
}

// An upstream may answer before the client's body has failed, and badly.
func TestABadAnswerIsTheUpstreamsThoughTheBodyFailedToo(t *testing.T) {
	in := httptest.NewRequest("POST", "https://a.internal/", iotest.ErrReader(errors.New("malformed")))
	status := sendThrough(t, in, httputil.ReverseProxy{
		Rewrite: func(*httputil.ProxyRequest) {},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			_, _ = io.ReadAll(r.Body)
			return ok(r), nil
		}),
		ModifyResponse: func(*http.Response) error { return errors.New("a bad answer") },
	})
	if status != 502 {
		t.Errorf("status %d", status)
	}
}

// A transport that gives up closes the body under its own Read.
func TestABodyThatItsTransportClosedIsNotTheClientsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent, _ := io.Pipe()
		in := httptest.NewRequest("POST", "https://a.internal/", silent)
		uploads["HTTP/2"](in)
		status := sendThrough(t, in, httputil.ReverseProxy{
			Rewrite: func(*httputil.ProxyRequest) {},
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				var reading sync.WaitGroup
				reading.Go(func() { _, _ = io.ReadAll(r.Body) })
				synctest.Wait()
				_ = r.Body.Close()
				reading.Wait()
				return nil, errors.New("the upstream has gone")
			}),
		})
		if status != 502 {
			t.Errorf("status %d", status)
		}
	})
}
