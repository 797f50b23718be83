package httpctx_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/internal/moment/momenttest"
)

// hijackable is a response writer over a pipe.
type hijackable struct {
	http.ResponseWriter
	conn net.Conn
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, nil, nil }

// open hijacks a request of the caller through a server for cfg, on the clock of
// the bubble, and returns both ends of the connection.
func open(t *testing.T, cfg httpctx.ServerConfig, res authctx.Result) (service, client net.Conn) {
	t.Helper()
	cfg.Authenticator = authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return res, nil
	})
	cfg.Now = time.Now
	h := newServer(t, cfg).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		service, _, _ = http.NewResponseController(w).Hijack()
	}))
	mine, client := net.Pipe()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Upgrade", "websocket")
	h.ServeHTTP(hijackable{httptest.NewRecorder(), mine}, r)
	if service == nil {
		t.Fatal("the connection was not hijacked")
	}
	return service, client
}

func endedIn(j *journal) (ended []authctx.Event) {
	for _, e := range j.All() {
		if e.Outcome == authctx.Ended {
			ended = append(ended, e)
		}
	}
	return ended
}

// A request that may become a connection need not.
func TestAWriterWhoseConnectionWouldBeWatchedIsAsGoodAsAnother(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{})
	h := s.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Errorf("SetWriteDeadline: %v", err)
		}
	}))
	_, _, res := upgrade(t, serve(t, h), "carol", "websocket")
	if res.StatusCode != http.StatusOK {
		t.Errorf("status %d", res.StatusCode)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = token("carol")
	r.Header.Set("Upgrade", "websocket")
	s.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); conn != nil || !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Hijack where the server does not: %v, %v", conn, err)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
}

func TestAConnectionThatIsClosedDuringARecheckWasNotEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		asked := 0
		service, _ := open(t, httpctx.ServerConfig{Observer: &j, RecheckInterval: time.Minute}, authctx.Result{
			Principal: caller(t, "alice"),
			Recheck: func(ctx context.Context) error {
				asked++
				<-ctx.Done()
				return ctx.Err()
			},
		})
		time.Sleep(time.Minute + time.Second)
		_ = service.Close()
		synctest.Wait()
		if ended := endedIn(&j); asked != 1 || len(ended) > 0 {
			t.Errorf("asked %d times, told of %v", asked, ended)
		}
	})
}

func TestARecheckThatTakesForeverEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		_, client := open(t, httpctx.ServerConfig{Observer: &j, RecheckInterval: time.Minute}, authctx.Result{
			Principal: caller(t, "alice"),
			Recheck: func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			},
		})
		opened := time.Now()
		if n, err := client.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if took := time.Since(opened); took != 2*time.Minute {
			t.Errorf("closed after %v", took)
		}
		synctest.Wait()
		if ended := endedIn(&j); len(ended) != 1 || ended[0].Reason != authctx.Unavailable {
			t.Errorf("told of %v", ended)
		}
	})
}

func TestRule9_AConnectionIsClosedAtTheVeryEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attrs := callers["carol"]
		attrs.Expires = time.Now().Add(24 * time.Hour)
		carol, err := authctx.New(attrs)
		if err != nil {
			t.Fatal(err)
		}
		_, client := open(t, httpctx.ServerConfig{}, authctx.Result{Principal: carol})
		opened := time.Now()
		if n, err := client.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		if took := time.Since(opened); took != 24*time.Hour {
			t.Errorf("closed after %v", took)
		}
	})
}

// TestAPanickingObserverDoesNotEndTheProgram has one that panics on the goroutine
// that watches a connection, where nobody but the watch could recover.
func TestAPanickingObserverDoesNotEndTheProgram(t *testing.T) {
	logged := make(lines, 10)
	log.SetOutput(logged)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	panics := authctx.ObserverFunc(func(_ context.Context, e authctx.Event) {
		if e.Outcome == authctx.Ended {
			panic("oops")
		}
	})
	for _, where := range []string{"in the service", "through a proxy that stands alone"} {
		clock := momenttest.NewEve(epoch.Add(time.Hour))
		server := webSocketServer(t, where, httpctx.ServerConfig{Observer: panics, Now: clock.Now})
		_, r, res := upgrade(t, server, "carol", "websocket")
		if res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: status %d", where, res.StatusCode)
		}
		clock.Pass()
		wantClosed(t, r)
		if line := next(t, logged); !strings.Contains(line, "panic of the observer: oops") {
			t.Errorf("%s: logged %q", where, line)
		}
	}
}

// lines is a writer whose lines can be waited for.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestARecheckThatPanicsEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		_, client := open(t, httpctx.ServerConfig{Observer: &j, RecheckInterval: time.Minute}, authctx.Result{
			Principal: caller(t, "alice"),
			Recheck:   func(context.Context) error { panic("oops") },
		})
		if n, err := client.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		synctest.Wait()
		if ended := endedIn(&j); len(ended) != 1 || ended[0].Reason != authctx.Unavailable {
			t.Errorf("told of %v", ended)
		}
	})
}

// proxied are requests of which a proxy watches the caller.
var proxied = map[string]func(*http.Request){
	"a gRPC call": func(r *http.Request) {
		r.ProtoMajor, r.ProtoMinor = 2, 0
		r.Header.Set("Content-Type", "application/grpc")
	},
	"a WebSocket": func(r *http.Request) {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
	},
}

// serveProxied serves requests of p, each in a context that does not end with the
// handler. The upstream answers 200.
func serveProxied(t *testing.T, h http.Handler, p authctx.Principal, prepare func(*http.Request), times int) {
	t.Helper()
	for range times {
		r := httptest.NewRequest("POST", "https://a.internal/", nil)
		prepare(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(authctx.NewContext(t.Context(), p)))
		if w.Code != http.StatusOK {
			t.Fatalf("status %d", w.Code)
		}
	}
}

func lastsForAnHour(t *testing.T) authctx.Principal {
	t.Helper()
	p, err := authctx.New(authctx.Attributes{Issuer: issuer, Subject: "carol", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// answers200 is a proxy to an upstream that answers everything with 200.
var answers200 = httputil.ReverseProxy{
	Rewrite:   func(*httputil.ProxyRequest) {},
	Transport: roundTripper(func(r *http.Request) (*http.Response, error) { return ok(r), r.Context().Err() }),
}

// watchingProxy returns a proxy whose clock is that of the bubble.
func watchingProxy(t *testing.T, o authctx.Observer) *httpctx.Proxy {
	t.Helper()
	fields, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return newProxy(t, newServer(t, httpctx.ServerConfig{Now: time.Now, Observer: o}), fields)
}

func TestWhatAProxyHasServedIsNotWatchedAnyMore(t *testing.T) {
	for name, prepare := range proxied {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				p := watchingProxy(t, &j)
				rp := answers200
				h, err := p.Handler(&rp)
				if err != nil {
					t.Fatal(err)
				}
				serveProxied(t, h, lastsForAnHour(t), prepare, 1)
				time.Sleep(2 * time.Hour)
				if events := j.All(); len(events) > 0 {
					t.Errorf("told of %v", events)
				}
			})
		})
	}
}

// TestNoGoroutineWaitsForTheEndOfWhatIsProxied has a proxy of which only Rewrite
// is used, so that a request lasts as long as its context.
func TestNoGoroutineWaitsForTheEndOfWhatIsProxied(t *testing.T) {
	p := watchingProxy(t, nil)
	rp := answers200
	rp.Rewrite = p.Rewrite
	viaHandler, err := p.Handler(&answers200)
	if err != nil {
		t.Fatal(err)
	}
	for via, h := range map[string]http.Handler{"Handler": viaHandler, "Rewrite": &rp} {
		for name, prepare := range proxied {
			t.Run(name+" via "+via, func(t *testing.T) {
				before := runtime.NumGoroutine()
				serveProxied(t, h, lastsForAnHour(t), prepare, 100)
				noMoreGoroutines(t, before)
			})
		}
	}
}

func TestWhatIsRewrittenIsWatchedUntilItsContextEnds(t *testing.T) {
	for name, prepare := range proxied {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				p := watchingProxy(t, &j)
				carol := lastsForAnHour(t)
				rewrite := func(ctx context.Context) *http.Request {
					in := httptest.NewRequest("POST", "https://a.internal/", nil).WithContext(authctx.NewContext(ctx, carol))
					prepare(in)
					pr := &httputil.ProxyRequest{In: in, Out: in.Clone(in.Context())}
					p.Rewrite(pr)
					return pr.Out
				}
				ended, end := context.WithCancel(t.Context())
				rewrite(ended)
				lasting := rewrite(t.Context())
				end()
				<-lasting.Context().Done()
				synctest.Wait()
				if events := j.All(); len(events) != 1 || events[0].Outcome != authctx.Ended {
					t.Errorf("told of %v", events)
				}
			})
		})
	}
}

// TestACancelledCallIsNoFailureOfTheUpstream reads from a body that says no more
// than that it was closed, as that of an HTTP/2 transport does now and then.
func TestACancelledCallIsNoFailureOfTheUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		body, _ := io.Pipe()
		h, err := watchingProxy(t, nil).Handler(&httputil.ReverseProxy{
			Rewrite: func(*httputil.ProxyRequest) {},
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: body, Request: r}, nil
			}),
			ErrorLog: log.New(&logged, "", 0),
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "http://a.internal/", nil)
		proxied["a gRPC call"](r)
		ctx, cancel := context.WithCancel(authctx.NewContext(t.Context(), lastsForAnHour(t)))
		time.AfterFunc(time.Minute, cancel)
		defer func() {
			if aborted := recover(); aborted != http.ErrAbortHandler || logged.Len() > 0 {
				t.Errorf("%v, logged %q", aborted, logged.String())
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(ctx, http.ServerContextKey, &http.Server{})))
	})
}
