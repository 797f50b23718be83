package httpctx_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/internal/moment/momenttest"
)

// message is one of a gRPC body, n bytes long.
func message(n int) []byte {
	m := binary.BigEndian.AppendUint32([]byte{0}, uint32(n))
	return append(m, bytes.Repeat([]byte{'x'}, n)...)
}

// part is what an upstream sends at a time after the start of a call, and perhaps
// nothing after that.
type part struct {
	at    time.Duration
	bytes []byte
	last  bool
}

// slowBody is what an upstream sends, which does not notice when it is cancelled.
// Transports of HTTP/2 do not bear being told twice that it is closed.
type slowBody struct {
	t      *testing.T
	start  time.Time
	parts  []part
	closed chan struct{}
}

func (b *slowBody) Read(p []byte) (int, error) {
	if len(b.parts) == 0 {
		<-b.closed
		return 0, http.ErrBodyReadAfterClose
	}
	select {
	case <-b.closed:
	case <-time.After(time.Until(b.start.Add(b.parts[0].at))):
	}
	if b.isClosed() { // with what was not read
		return 0, http.ErrBodyReadAfterClose
	}
	now := &b.parts[0]
	n := copy(p, now.bytes)
	if now.bytes = now.bytes[n:]; len(now.bytes) > 0 {
		return n, nil
	}
	last := now.last
	b.parts = b.parts[1:]
	if last {
		return n, io.EOF
	}
	return n, nil
}

func (b *slowBody) Close() error {
	if b.isClosed() {
		b.t.Error("the transport is told twice to close the body")
	} else {
		close(b.closed)
	}
	return nil
}

func (b *slowBody) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

// lastWords is a body that has something more to say when it is closed.
type lastWords struct {
	first  io.Reader
	last   []byte
	err    error // what it says with that
	closed chan struct{}
}

func (b *lastWords) Read(p []byte) (int, error) {
	if n, _ := b.first.Read(p); n > 0 {
		return n, nil
	}
	<-b.closed
	return copy(p, b.last), b.err
}

func (b *lastWords) Close() error { close(b.closed); return nil }

// answer is that of an upstream to a call.
func answer(r *http.Request, body io.ReadCloser) *http.Response {
	return &http.Response{StatusCode: 200, ProtoMajor: 2, Header: http.Header{}, Body: body, Request: r}
}

// serveCall serves r to w as a gRPC call for a caller who has an hour, through a
// proxy to a transport.
func serveCall(t *testing.T, w http.ResponseWriter, r *http.Request, transport roundTripper) {
	t.Helper()
	p := newProxy(t, newServer(t, httpctx.ServerConfig{Now: time.Now, Refuse: statusOnly}), fieldsAt(t, time.Now))
	h, err := p.Handler(&httputil.ReverseProxy{
		Rewrite: func(*httputil.ProxyRequest) {}, Transport: transport, ErrorLog: log.New(io.Discard, "", 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	proxied["a gRPC call"](r)
	defer func() {
		if aborted := recover(); aborted != nil && aborted != http.ErrAbortHandler { // how a ReverseProxy resets a stream
			panic(aborted)
		}
	}()
	ctx := context.WithValue(authctx.NewContext(r.Context(), lastsForAnHour(t)), http.ServerContextKey, &http.Server{})
	h.ServeHTTP(w, r.WithContext(ctx))
}

// statusOnly answers a refusal as gRPC does, in words.
func statusOnly(w http.ResponseWriter, _ *http.Request, err error) bool {
	w.Header().Set("Grpc-Status", authctx.ReasonOf(err).String())
	return true
}

// answerTo returns what a client of ctx gets of a call that is answered with body:
// how much of it, the status, empty where the stream is reset, and how long the
// call took.
func answerTo(t *testing.T, ctx context.Context, body io.ReadCloser) (got []byte, status string, lasted time.Duration) {
	t.Helper()
	start, w := time.Now(), httptest.NewRecorder()
	r := httptest.NewRequestWithContext(ctx, "POST", "https://a.internal/", nil)
	serveCall(t, w, r, func(r *http.Request) (*http.Response, error) { return answer(r, body), nil })
	return w.Body.Bytes(), w.Result().Trailer.Get("Grpc-Status"), time.Since(start)
}

// sending returns a body that sends parts from now on.
func sending(t *testing.T, parts ...part) *slowBody {
	return &slowBody{t, time.Now(), parts, make(chan struct{})}
}

// The client of a call that ends within a message would take it for broken and
// look at no status.
func TestRule9_ACallEndsBetweenTwoMessages(t *testing.T) {
	const hour, limit = time.Hour, 5 * time.Second
	first, second := message(1000), message(100_000)
	longest, longer := message(4<<20), message(4<<20+1)
	both := append(append([]byte{}, first...), second...)
	for name, c := range map[string]struct {
		parts  []part
		want   []byte
		told   bool // whether the client is told why
		lasted time.Duration
	}{
		"between two":                             {[]part{{0, first, false}, {hour + time.Second, second, false}}, first, true, hour},
		"behind an empty one":                     {[]part{{0, message(0), false}}, message(0), true, hour},
		"within one that arrives":                 {[]part{{0, both[:5000], false}, {hour + time.Second, both[5000:], false}, {hour + time.Second, first, false}}, both, true, hour + time.Second},
		"within one that arrives in parts":        {[]part{{0, both[:5000], false}, {hour + time.Second, both[5000:9000], false}, {hour + 4*time.Second, both[9000:], false}}, both, true, hour + 4*time.Second},
		"within its length":                       {[]part{{0, both[:1005+3], false}, {hour + time.Second, both[1005+3:], false}}, both, true, hour + time.Second},
		"within one that others follow":           {[]part{{0, first[:500], false}, {hour + time.Second, append(append([]byte{}, first[500:]...), second...), false}}, first, true, hour + time.Second},
		"within one that all the rest comes with": {[]part{{0, first[:500], false}, {hour + time.Second, append(append([]byte{}, first[500:]...), second...), true}}, first, true, hour + time.Second},
		"within the last":                         {[]part{{0, first[:500], false}, {hour + time.Second, first[500:], true}}, first, false, hour + time.Second},
		"within one that does not go on":          {[]part{{0, both[:5000], false}}, both[:5000], true, hour + limit},
		"within one that goes on too slowly":      {[]part{{0, both[:5000], false}, {hour + 4*time.Second, both[5000:9000], false}}, both[:9000], true, hour + limit},
		"within the longest that gRPC takes":      {[]part{{0, longest[:5], false}, {hour + 4*time.Second, longest[5:], false}}, longest, true, hour + 4*time.Second},
		"within one that is longer":               {[]part{{0, longer[:5], false}, {hour + 7*time.Second, longer[5:], false}}, longer[:5], true, hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, status, lasted := answerTo(t, t.Context(), sending(t, c.parts...))
				time.Sleep(time.Minute) // for the upstream
				if !bytes.Equal(got, c.want) || (status == authctx.TokenExpired.String()) != c.told {
					t.Errorf("%d bytes and the status %q, want %d bytes", len(got), status, len(c.want))
				}
				if lasted > c.lasted || lasted < c.lasted-time.Second { // an end is in whole seconds
					t.Errorf("it lasted %v, want %v", lasted, c.lasted)
				}
			})
		})
	}
}

// brokenOff sends something that it fails with, and fails again.
type brokenOff struct{ left []byte }

func (f *brokenOff) Read(p []byte) (n int, err error) {
	n = copy(p, f.left)
	f.left = f.left[n:]
	return n, io.ErrUnexpectedEOF
}

func TestWhatAnUpstreamFailsWithIsPassedOnAndIsNoEndOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got, status, lasted := answerTo(t, t.Context(), io.NopCloser(&brokenOff{message(3)}))
		if !bytes.Equal(got, message(3)) || status != "" || lasted != 0 {
			t.Errorf("%d bytes and the status %q after %v", len(got), status, lasted)
		}
	})
}

// Where the last message breaks off, there is nothing to wait for, and the client still
// learns why the call has ended.
func TestRule9_ACallEndsWhereItsLastMessageBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := message(1000)
		body := sending(t, part{0, m[:300], false}, part{time.Hour + time.Second, m[300:600], false})
		got, status, lasted := answerTo(t, t.Context(), struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(body, 600), new(brokenOff)), body})
		if len(got) != 600 || status != authctx.TokenExpired.String() || lasted != time.Hour+time.Second {
			t.Errorf("%d bytes and the status %q after %v", len(got), status, lasted)
		}
	})
}

// A transport of HTTP/2 resets the stream of a call that is cancelled, and with it
// the rest of a message, so a call is not cancelled before that is over.
func TestRule9_ACallIsNotCancelledWithinAMessageThatArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hour = time.Hour
		start, m, w := time.Now(), message(1000), httptest.NewRecorder()
		body := sending(t, part{0, m[:300], false}, part{hour + time.Second, m[300:600], false}, part{hour + 2*time.Second, m[600:], false})
		serveCall(t, w, httptest.NewRequest("POST", "https://a.internal/", nil), func(r *http.Request) (*http.Response, error) {
			return answer(r, &noticingBody{body, r.Context()}), nil
		})
		if got := w.Body.Len(); got != len(m) || w.Result().Trailer.Get("Grpc-Status") != authctx.TokenExpired.String() {
			t.Errorf("%d bytes, trailers %v", got, w.Result().Trailer)
		}
		if lasted := time.Since(start); lasted > hour+2*time.Second {
			t.Errorf("it lasted %v", lasted)
		}
	})
}

// noticingBody is what an upstream sends until it is cancelled.
type noticingBody struct {
	*slowBody
	ctx context.Context
}

func (b *noticingBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.slowBody.Read(p)
}

// What a transport has of a message is for a client that was slow to take what came
// before, and what it has not is waited for no longer. The upstream does not wait for
// the client.
func TestRule9_AClientThatIsSlowGetsWhatIsThereOfTheLastMessage(t *testing.T) {
	const hour, limit, atOnce = time.Hour, 5 * time.Second, 100 * time.Millisecond
	m, long := message(1000), message(100_000)
	for name, c := range map[string]struct {
		message  []byte
		rest     []part // of message, behind the first 500 bytes
		want     int
		released time.Duration
	}{
		"all of it":           {m, []part{{hour + time.Second, m[500:], false}}, len(m), hour + limit},
		"all of a longer one": {long, []part{{hour + time.Second, long[500:], false}}, len(long), hour + limit},
		"no more yet":         {m, []part{{2 * hour, m[500:], false}}, 500, hour + limit + atOnce},
		"no more in time":     {m, []part{{hour + 7*time.Second, m[500:], false}}, 500, hour + limit + atOnce},
		"not what comes then": {m, []part{{hour + time.Second, m[500:700], false}, {hour + limit + atOnce/2, m[700:], false}}, 700, hour + limit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, w := time.Now(), &slowWriter{httptest.NewRecorder(), 21 * time.Second}
				body := sending(t, append([]part{{hour - time.Second, c.message[:500], false}}, c.rest...)...)
				released := make(chan time.Duration, 1)
				go func() { <-body.closed; released <- time.Since(start) }()
				serveCall(t, w, httptest.NewRequest("POST", "https://a.internal/", nil), func(r *http.Request) (*http.Response, error) {
					return answer(r, body), nil
				})
				if got := w.Body.Len(); got != c.want || w.Result().Trailer.Get("Grpc-Status") != authctx.TokenExpired.String() {
					t.Errorf("%d bytes, want %d; trailers %v", got, c.want, w.Result().Trailer)
				}
				if at := <-released; at != c.released {
					t.Errorf("the upstream was released after %v, want %v", at, c.released)
				}
				if lasted := time.Since(start); lasted != hour+20*time.Second {
					t.Errorf("it lasted %v", lasted)
				}
			})
		})
	}
}

// slowWriter is a client that takes its time to receive.
type slowWriter struct {
	*httptest.ResponseRecorder
	pause time.Duration
}

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(w.pause)
	w.pause = 0
	return w.ResponseRecorder.Write(p)
}

// Nothing is left to wait for when the client has gone, and not its caller come to
// an end, whatever a transport notices.
func TestAMessageForAClientThatIsGoneIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, lasted := answerTo(t, ctx, sending(t, part{0, message(1000)[:500], false})); lasted != time.Minute {
			t.Errorf("it lasted %v", lasted)
		}
	})
}

func TestRule9_NoMessageBeginsAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := message(1000)
		got, status, _ := answerTo(t, t.Context(), &lastWords{bytes.NewReader(m), message(2000), nil, make(chan struct{})})
		if len(got) != len(m) || status != authctx.TokenExpired.String() {
			t.Errorf("%d bytes and the status %q", len(got), status)
		}
	})
}

// TestRule9_WhatACallSendsAfterTheEndGoesNowhere has a transport that sends a call
// at once, or anew since its connection went away, and reads what the client sends
// while a message of the answer is under way.
func TestRule9_WhatACallSendsAfterTheEndGoesNowhere(t *testing.T) {
	const hour = time.Hour
	m := message(1000)
	for name, anew := range map[string]bool{"at once": false, "anew": true} {
		for when, at := range map[string]time.Duration{"asked for before": hour + time.Second, "asked for after": hour / 2} {
			t.Run(name+", "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					start, w := time.Now(), httptest.NewRecorder()
					late := sending(t, part{at, []byte("too late"), true})
					var reading sync.WaitGroup
					serveCall(t, w, httptest.NewRequest("POST", "https://a.internal/", io.NopCloser(late)), func(r *http.Request) (*http.Response, error) {
						sent := r.Body
						if anew {
							_ = sent.Close()
							var err error
							if sent, err = r.GetBody(); err != nil {
								return nil, err
							}
						}
						reading.Go(func() {
							if at < hour {
								time.Sleep(hour + time.Second)
							}
							n, err := sent.Read(make([]byte, 100))
							if n != 0 || err == nil || time.Since(start) < hour+3*time.Second {
								t.Errorf("%d bytes, %v, after %v", n, err, time.Since(start))
							}
						})
						return answer(r, sending(t, part{0, m[:500], false}, part{hour + 3*time.Second, m[500:], false})), nil
					})
					reading.Wait()
					if got := w.Body.Bytes(); !bytes.Equal(got, m) {
						t.Errorf("the client got %d bytes", len(got))
					}
				})
			})
		}
	}
}

// TestRFC9113_8_1_1_ACallThatIsCutAnnouncesNoLength has an upstream that announces
// the length of an answer, which is not what a client gets of it that comes to its
// end before.
func TestRFC9113_8_1_1_ACallThatIsCutAnnouncesNoLength(t *testing.T) {
	first := message(1000)
	upstream := unencryptedHTTP2(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(2*len(first)))
		if r.Method == http.MethodHead {
			return
		}
		_, _ = w.Write(first)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	target, _ := url.Parse(upstream.URL)
	for name, c := range map[string]struct {
		method string
		http2  bool
		want   int
		length int64
		status string
	}{
		"HTTP/2":                {"POST", true, len(first), -1, authctx.TokenExpired.String()},
		"HTTP/1.1":              {"POST", false, len(first), -1, authctx.TokenExpired.String()},
		"without a body at all": {"HEAD", true, 0, 2 * int64(len(first)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			clock := momenttest.NewEve(epoch.Add(time.Hour))
			gate := gatewayWith(t, httpctx.ServerConfig{Now: clock.Now, Refuse: statusOnly}, &httputil.ReverseProxy{
				Transport: upstream.Client().Transport,
				Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
			})
			if c.http2 {
				gate = unencryptedHTTP2(t, gate.Config.Handler)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, c.method, gate.URL, nil)
			r.Header = with(token("carol"), "Content-Type", "application/grpc")
			res, err := gate.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if n, err := io.ReadFull(res.Body, make([]byte, c.want)); err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
			clock.Pass()
			got, err := io.ReadAll(res.Body)
			if len(got) > 0 || err != nil || res.ContentLength != c.length || res.Trailer.Get("Grpc-Status") != c.status {
				t.Errorf("%d bytes more of %d, %v, trailers %v", len(got), res.ContentLength, err, res.Trailer)
			}
		})
	}
}
