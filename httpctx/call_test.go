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
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
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
		return 0, http.ErrBodyReadAfterClose
	case <-time.After(time.Until(b.start.Add(b.parts[0].at))):
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
	select {
	case <-b.closed:
		b.t.Error("the transport is told twice to close the body")
	default:
		close(b.closed)
	}
	return nil
}

// callFor makes a gRPC call through a proxy for a caller who has an hour, to an
// upstream that sends parts. It returns what the client gets, the status, empty
// where the stream is reset, and how long the call took.
func callFor(t *testing.T, parts ...part) (body []byte, status string, lasted time.Duration) {
	t.Helper()
	carol, start := lastsForAnHour(t), time.Now()
	s := newServer(t, httpctx.ServerConfig{Now: time.Now, Refuse: func(w http.ResponseWriter, _ *http.Request, err error) bool {
		w.Header().Set("Grpc-Status", authctx.ReasonOf(err).String())
		return true
	}})
	p, err := httpctx.NewProxy(httpctx.ProxyConfig{Server: s, Propagator: fieldsAt(t, time.Now)})
	if err != nil {
		t.Fatal(err)
	}
	h, err := p.Handler(&httputil.ReverseProxy{
		Rewrite: func(*httputil.ProxyRequest) {},
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			body := &slowBody{t, start, parts, make(chan struct{})}
			return &http.Response{StatusCode: 200, ProtoMajor: 2, Header: http.Header{}, Body: body, Request: r}, nil
		}),
		ErrorLog: log.New(io.Discard, "", 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "https://a.internal/", nil)
	proxied["a gRPC call"](r)
	w := httptest.NewRecorder()
	func() {
		defer func() { _ = recover() }() // how a ReverseProxy resets a stream
		ctx := context.WithValue(authctx.NewContext(t.Context(), carol), http.ServerContextKey, &http.Server{})
		h.ServeHTTP(w, r.WithContext(ctx))
	}()
	return w.Body.Bytes(), w.Result().Trailer.Get("Grpc-Status"), time.Since(start)
}

// The client of a call that ends within a message would take it for broken and
// look at no status.
func TestRule9_ACallEndsBetweenTwoMessages(t *testing.T) {
	const hour, limit = time.Hour, 5 * time.Second
	first, second := message(1000), message(100_000)
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
		"within one that does not go on":          {[]part{{0, both[:5000], false}}, both[:5000], true, hour + 2*limit},
		"within one that goes on too slowly":      {[]part{{0, both[:5000], false}, {hour + 4*time.Second, both[5000:9000], false}}, both[:9000], true, hour + 2*limit},
		"within one that is very long":            {[]part{{0, message(5 << 20)[:5000], false}}, message(5 << 20)[:5000], true, hour + limit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, status, lasted := callFor(t, c.parts...)
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
			cfg := httpctx.ServerConfig{Now: shortly(epoch.Add(time.Hour)), Refuse: func(w http.ResponseWriter, _ *http.Request, err error) bool {
				w.Header().Set("Grpc-Status", authctx.ReasonOf(err).String())
				return true
			}}
			gate := gatewayWith(t, cfg, &httputil.ReverseProxy{
				Transport: upstream.Client().Transport,
				Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
			})
			if c.http2 {
				gate = unencryptedHTTP2(t, gate.Config.Handler)
			}
			r, _ := http.NewRequestWithContext(t.Context(), c.method, gate.URL, nil)
			r.Header = with(token("carol"), "Content-Type", "application/grpc")
			res, err := gate.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if len(got) != c.want || err != nil || res.ContentLength != c.length || res.Trailer.Get("Grpc-Status") != c.status {
				t.Errorf("%d bytes of %d, %v, trailers %v", len(got), res.ContentLength, err, res.Trailer)
			}
		})
	}
}
