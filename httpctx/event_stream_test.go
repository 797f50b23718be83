package httpctx_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/internal/moment/momenttest"
)

// tick sends an event and then says nothing for as long as somebody listens. The
// length that it announces, if any, is that of more.
func tick(contentType, length string, left chan<- struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		_, _ = io.WriteString(w, "data: 1\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	})
}

// eventServer is a proxy to upstream, over TLS so that HTTP/2 is possible.
func eventServer(t *testing.T, upstream http.Handler, rewriteAlone bool, cfg httpctx.ServerConfig) *httptest.Server {
	t.Helper()
	target, _ := url.Parse(serve(t, upstream).URL)
	s := newServer(t, cfg)
	p := newProxy(t, s, newFields(t))
	rp := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }}
	h, err := p.Handler(rp)
	if err != nil {
		t.Fatal(err)
	}
	if rewriteAlone {
		h = &httputil.ReverseProxy{ModifyResponse: p.ModifyResponse, Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			p.Rewrite(pr)
		}}
	}
	server := httptest.NewUnstartedServer(s.Handler(h))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// TestRule9_AStreamOfEventsThroughAProxyEndsWithItsCaller has a client that says
// nothing of events, and an upstream that has nothing more to tell.
func TestRule9_AStreamOfEventsThroughAProxyEndsWithItsCaller(t *testing.T) {
	for name, try := range map[string]struct {
		contentType, length string
		http2, rewriteAlone bool
	}{
		"HTTP/1.1":                {"text/event-stream", "", false, false},
		"HTTP/2":                  {"text/event-stream", "", true, false},
		"of a length":             {"text/event-stream", "80", false, false},
		"of a length over HTTP/2": {"text/event-stream", "80", true, false},
		"as others say":           {"Text/Event-Stream ; charset=utf-8", "", false, false},
		"Rewrite alone":           {"text/event-stream", "", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var j journal
			left, clock := make(chan struct{}), momenttest.NewEve(epoch.Add(time.Hour))
			server := eventServer(t, tick(try.contentType, try.length, left), try.rewriteAlone, httpctx.ServerConfig{
				Observer: &j, Now: clock.Now,
			})
			client := server.Client()
			client.Transport.(*http.Transport).ForceAttemptHTTP2 = try.http2
			client.Transport.(*http.Transport).Protocols = protocols(try.http2)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/events?since=1", nil)
			req.Header.Set("Authorization", "Bearer carol")
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if (res.ProtoMajor == 2) != try.http2 || res.StatusCode != http.StatusOK {
				t.Fatalf("%s, status %d", res.Proto, res.StatusCode)
			}
			body := bufio.NewReader(res.Body)
			if event, err := body.ReadString('\n'); event != "data: 1\n" || err != nil {
				t.Fatalf("%q, %v", event, err)
			}
			clock.Pass()
			if rest, err := io.ReadAll(body); errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("the stream goes on: %v", err)
			} else if err == nil || len(rest) > 0 {
				t.Errorf("the client takes it for all there is: %q, %v", rest, err)
			}
			next(t, left)
			ended := endedIn(&j)
			for wait := time.Now().Add(patience); len(ended) == 0 && time.Now().Before(wait); ended = endedIn(&j) {
				time.Sleep(time.Millisecond) // the observer is told afterwards
			}
			if len(ended) != 1 || ended[0].Reason != authctx.TokenExpired || ended[0].Principal.Subject() != "carol" || ended[0].Target != "/events" {
				t.Errorf("told of %+v", ended)
			}
		})
	}
}

func protocols(http2 bool) *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(!http2)
	p.SetHTTP2(http2)
	return &p
}

func TestAStreamOfEventsEndsWhenItsCallerDoesNotPassARecheck(t *testing.T) {
	events := make(chan authctx.Event, 10)
	alice := caller(t, "alice")
	asked := 0
	a := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{Principal: alice, Recheck: func(context.Context) error {
			if asked++; asked < 3 {
				return nil
			}
			return authctx.TokenRevoked
		}}, nil
	})
	left := make(chan struct{})
	server := eventServer(t, tick("text/event-stream", "", left), false, httpctx.ServerConfig{
		Authenticator: a, RecheckInterval: time.Millisecond, Now: time.Now,
		Observer: authctx.ObserverFunc(func(_ context.Context, e authctx.Event) { events <- e }),
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
	if res, err := server.Client().Do(req); err == nil { // it may end before the answer has begun
		if _, err := io.ReadAll(res.Body); errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the stream goes on: %v", err)
		} else if err == nil {
			t.Error("the client takes it for all there is")
		}
		res.Body.Close()
	}
	next(t, left)
	next(t, events) // allowed
	if e := next(t, events); e.Outcome != authctx.Ended || e.Reason != authctx.TokenRevoked {
		t.Errorf("event %+v", e)
	}
}

// events is a proxy to an upstream that sends one event and ends.
var events = httputil.ReverseProxy{
	Rewrite: func(*httputil.ProxyRequest) {},
	Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		res := ok(r)
		res.Header = http.Header{"Content-Type": {"text/event-stream"}}
		return res, nil
	}),
}

func TestAStreamOfEventsThatWasFinishedIsNotWatchedAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		h, err := watchingProxy(t, &j).Handler(&events)
		if err != nil {
			t.Fatal(err)
		}
		serveProxied(t, h, lastsForAnHour(t), func(*http.Request) {}, 10)
		time.Sleep(2 * time.Hour)
		if told := j.All(); len(told) > 0 {
			t.Errorf("told of %v", told)
		}
	})
}

// What nobody has read of it is given back to an HTTP/2 connection once only.
func TestTheTransportOfAStreamOfEventsIsToldOnceThatItIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rp := events
		rp.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			res := ok(r)
			res.Header = http.Header{"Content-Type": {"text/event-stream"}}
			res.Body = &slowBody{t, time.Now(), []part{{0, []byte("data: 1\n"), false}}, make(chan struct{})}
			return res, nil
		})
		h, err := watchingProxy(t, nil).Handler(&rp)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		serveProxied(t, h, lastsForAnHour(t), func(*http.Request) {}, 1)
		if lasted := time.Since(start); lasted > time.Hour || lasted < time.Hour-time.Second {
			t.Errorf("it lasted %v", lasted)
		}
	})
}

// What a transport says of a body that was closed under it is neither an end nor
// an event, nor a failure of the upstream.
func TestRule9_AStreamOfEventsBreaksOffWhateverItsTransportSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		rp := events
		rp.ErrorLog, rp.FlushInterval = log.New(&logged, "", 0), -1
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
		w := httptest.NewRecorder()
		defer func() {
			if aborted, got := recover(), w.Body.String(); got != "data: 1\n" || aborted != http.ErrAbortHandler || logged.Len() > 0 {
				t.Errorf("got %q, %v, logged %q", got, aborted, logged.String())
			}
		}()
		ctx := context.WithValue(authctx.NewContext(t.Context(), lastsForAnHour(t)), http.ServerContextKey, &http.Server{})
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "https://a.internal/", nil))
	})
}

// What did not come by way of Rewrite, or nobody asked for, is cleaned, and not cut.
func TestAnAnswerToWhatNobodyPreparedGoesOn(t *testing.T) {
	p := watchingProxy(t, nil)
	call := httptest.NewRequest("POST", "/", nil)
	proxied["a gRPC call"](call)
	for name, r := range map[string]*http.Request{
		"no request":      nil,
		"another request": httptest.NewRequest("GET", "/", nil),
		"another call":    call,
	} {
		res := ok(r)
		res.Header = http.Header{"Content-Type": {"text/event-stream"}, "X-User-Id": {"alice"}}
		res.Body = io.NopCloser(strings.NewReader("data: 1\n"))
		if err := p.ModifyResponse(res); err != nil || res.Header["X-User-Id"] != nil {
			t.Errorf("%s: %v, %v", name, err, res.Header)
		}
		if got, err := io.ReadAll(res.Body); string(got) != "data: 1\n" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestRule9_TheContextOfAStreamEndsWithItsCaller(t *testing.T) {
	again := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	for name, try := range map[string]struct {
		hasEnd  bool
		recheck func(context.Context) error
		every   time.Duration
		lasts   time.Duration // zero is for ever
		want    authctx.Reason
	}{
		"an end":              {true, nil, 0, time.Hour, authctx.TokenExpired},
		"no end":              {false, nil, time.Minute, 0, 0},
		"revoked":             {false, again(authctx.TokenRevoked), time.Minute, time.Minute, authctx.TokenRevoked},
		"cannot be known":     {true, again(errors.New("no answer")), time.Minute, time.Minute, authctx.Unavailable},
		"nobody asks again":   {false, again(authctx.TokenRevoked), 0, 0, 0},
		"asked, and stands":   {true, again(nil), time.Minute, time.Hour, authctx.TokenExpired},
		"the end comes first": {true, again(authctx.TokenRevoked), 2 * time.Hour, time.Hour, authctx.TokenExpired},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				res := authctx.Result{Principal: caller(t, "alice"), Recheck: try.recheck}
				if try.hasEnd {
					res.Principal = lastsForAnHour(t)
				}
				var j journal
				s := newServer(t, httpctx.ServerConfig{
					Observer: &j, RecheckInterval: try.every, Now: time.Now,
					Authenticator: authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
						return res, nil
					}),
				})
				s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					start := time.Now()
					ctx, cancel := context.WithTimeout(r.Context(), 3*time.Hour)
					defer cancel()
					ctx = s.StreamContext(r.WithContext(ctx))
					<-ctx.Done()
					cause, lasted := context.Cause(ctx), time.Since(start)
					if try.lasts == 0 && !errors.Is(cause, context.DeadlineExceeded) ||
						try.lasts > 0 && (lasted != try.lasts || authctx.ReasonOf(cause) != try.want) {
						t.Errorf("%v after %v", cause, lasted)
					}
				})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				synctest.Wait()
				if ended := endedIn(&j); (len(ended) == 1) != (try.lasts > 0) || len(ended) > 0 && ended[0].Reason != try.want {
					t.Errorf("told of %v", ended)
				}
			})
		})
	}
}

// A handler may do what it likes with its request, as long as it lasts and longer.
func TestTheObserverIsToldOfTheRequestThatCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		carol := lastsForAnHour(t)
		s := newServer(t, httpctx.ServerConfig{Observer: &j, Now: time.Now, Authenticator: authctx.NewAuthenticator(authctx.FieldSet{},
			func(context.Context, *authctx.Request) (authctx.Result, error) {
				return authctx.Result{Principal: carol}, nil
			})})
		s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ctx := s.StreamContext(r)
			r.Method, r.URL.Path = "X", "/changed"
			<-ctx.Done()
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/events", nil))
		synctest.Wait()
		if ended := endedIn(&j); len(ended) != 1 || ended[0].Method != "GET" || ended[0].Target != "/events" {
			t.Errorf("told of %+v", ended)
		}
	})
}

func TestTheContextOfAStreamOfNobodyIsThatOfTheRequest(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	if ctx := newServer(t, httpctx.ServerConfig{RecheckInterval: time.Minute}).StreamContext(r); ctx != r.Context() {
		t.Errorf("it is %v", ctx)
	}
}
