package httpctx_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestABodyMayBeSentAnew does what a transport does whose connections go away.
func TestABodyMayBeSentAnew(t *testing.T) {
	for name, prepare := range uploads {
		through(t, prepare, func(*httputil.ProxyRequest) {}, func(r *http.Request) (*http.Response, error) {
			again := func() io.ReadCloser {
				t.Helper()
				body, err := r.GetBody()
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				return body
			}
			first := r.Body
			_ = first.Close()
			_ = again().Close()
			second := again()
			if n, err := first.Read(make([]byte, 1)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Errorf("%s: an attempt that was given up read %d bytes, %v", name, n, err)
			}
			if _, err := io.ReadFull(second, make([]byte, 3)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			_ = second.Close()
			third := again()
			if _, err := io.ReadFull(third, make([]byte, 1)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for range 2 {
				if got, err := io.ReadAll(again()); string(got) != "hello" || err != nil {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			}
			if got, err := io.ReadAll(third); string(got) != "ello" || err != nil {
				t.Errorf("%s: an attempt before the last goes on with %q, %v", name, got, err)
			}
			return ok(r), nil
		})
	}
}

// A transport that signs reads a copy of the body, and then sends the body
// ([http.Request.GetBody]), also one that may not be sent anew.
func TestABodyMayBeReadBeforeItIsSent(t *testing.T) {
	large := strings.Repeat("x", 100<<10) // is not kept
	for _, c := range []struct {
		method, field, body, sent string
		anew                      bool
	}{
		{"POST", "X-Other", "hello", "hello", true},
		{"POST", "Idempotency-Key", "hello", "hello", false},
		{"GET", "X-Other", "hello", "hello", false},
		{"POST", "X-Other", large, large[:80<<10], false},
		{"POST", "Idempotency-Key", large, large[:80<<10], false},
	} {
		for kind, prepare := range uploads {
			name := fmt.Sprintf("%s, %s, %d bytes, %s", c.method, c.field, len(c.body), kind)
			in := httptest.NewRequest(c.method, "https://a.internal/", strings.NewReader(c.body))
			in.Header.Set(c.field, "1")
			prepare(in)
			sendThrough(t, in, httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				again, err := r.GetBody()
				if err != nil {
					t.Fatal(err)
				}
				if signed, err := io.ReadAll(again); string(signed) != c.body || err != nil {
					t.Errorf("%s: signed %d bytes, %v", name, len(signed), err)
				}
				_ = again.Close()
				if got, err := io.ReadAll(r.Body); string(got) != c.sent || (err == nil) != (c.sent == c.body) {
					t.Errorf("%s: sent %d bytes, %v", name, len(got), err)
				}
				if _, err := r.GetBody(); (err == nil) != c.anew {
					t.Errorf("%s: sending it anew: %v", name, err)
				}
				return ok(r), nil
			})})
		}
	}
}

// Two attempts never share what a client sends between them.
func TestABodyIsReadByOneAttemptAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, w := io.Pipe()
		sendThrough(t, httptest.NewRequest("POST", "https://a.internal/", client), httputil.ReverseProxy{
			Rewrite: func(*httputil.ProxyRequest) {},
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				other, err := r.GetBody()
				if err != nil {
					t.Fatal(err)
				}
				var reading sync.WaitGroup
				reading.Go(func() {
					if got, err := io.ReadAll(r.Body); string(got) != "hello" || err != nil {
						t.Errorf("the first read %q, %v", got, err)
					}
				})
				_, _ = io.WriteString(w, "hel")
				synctest.Wait()
				known := make([]byte, 3)
				if n, err := io.ReadFull(other, known); string(known[:n]) != "hel" || err != nil {
					t.Errorf("the other read %q, %v", known[:n], err)
				}
				if n, err := other.Read(known); n > 0 || err == nil {
					t.Errorf("the other read %d bytes beside the first", n)
				}
				if _, err := r.GetBody(); err == nil {
					t.Error("one more begins beside the first")
				}
				_, _ = io.WriteString(w, "lo")
				_ = w.Close()
				reading.Wait()
				if got, err := io.ReadAll(other); string(got) != "lo" || err != nil {
					t.Errorf("the other goes on with %q, %v", got, err)
				}
				return ok(r), nil
			}),
		})
	})
}

// TestABodyThatWasReadMayNotAlwaysBeSentAnew has requests that http.Transport sends
// to an upstream of HTTP/1 again though that may have acted on them, and one that is
// too large.
func TestABodyThatWasReadMayNotAlwaysBeSentAnew(t *testing.T) {
	const most = 80 << 10
	for name, c := range map[string]struct {
		method, body string
		field        string
		want         bool
	}{
		"POST":                      {"POST", "hello", "X-Other", true},
		"PUT":                       {"PUT", "hello", "X-Other", true},
		"GET":                       {"GET", "hello", "X-Other", false},
		"with an Idempotency-Key":   {"POST", "hello", "Idempotency-Key", false},
		"with an X-Idempotency-Key": {"POST", "hello", "X-Idempotency-Key", false},
		"as large as may be":        {"POST", strings.Repeat("x", most), "X-Other", true},
		"larger than what is kept":  {"POST", strings.Repeat("x", most+1), "X-Other", false},
		"much larger than that":     {"POST", strings.Repeat("x", 10*most), "X-Other", false},
	} {
		for kind, prepare := range uploads {
			in := httptest.NewRequest(c.method, "https://a.internal/", strings.NewReader(c.body))
			in.Header.Set(c.field, "1")
			prepare(in)
			sendThrough(t, in, httputil.ReverseProxy{
				Rewrite: func(*httputil.ProxyRequest) {},
				Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					first := r.Body
					if _, err := io.ReadFull(first, make([]byte, len(c.body))); err != nil {
						t.Errorf("%s, %s: %v", name, kind, err)
					}
					if n, err := first.Read(nil); n != 0 || err != nil && err != io.EOF {
						t.Errorf("%s, %s: an empty Read: %d, %v", name, kind, n, err)
					}
					body, err := r.GetBody()
					if (err == nil) != c.want {
						t.Errorf("%s, %s: sending it anew: %v", name, kind, err)
					}
					if err == nil {
						if got, err := io.ReadAll(body); string(got) != c.body || err != nil {
							t.Errorf("%s, %s: %d bytes, %v", name, kind, len(got), err)
						}
					} else if _, err := io.Copy(io.Discard, first); err != nil {
						t.Errorf("%s, %s: the rest: %v", name, kind, err)
					}
					return ok(r), nil
				}),
			})
		}
	}
}

func TestABodyIsNotKeptOnceTheUpstreamAnswers(t *testing.T) {
	for name, prepare := range uploads {
		in := httptest.NewRequest("POST", "https://a.internal/", strings.NewReader("hello"))
		prepare(in)
		var body io.ReadCloser
		sendThrough(t, in, httputil.ReverseProxy{
			Rewrite: func(*httputil.ProxyRequest) {},
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				_, _ = io.ReadFull(r.Body, make([]byte, 2))
				body, _ = r.GetBody()
				return ok(r), nil
			}),
			ModifyResponse: func(res *http.Response) error {
				if _, err := res.Request.GetBody(); err == nil {
					t.Errorf("%s: may be sent anew", name)
				}
				if got, err := io.ReadAll(body); string(got) != "hello" || err != nil {
					t.Errorf("%s: the attempt that was answered reads %q, %v", name, got, err)
				}
				return nil
			},
		})
	}
}

func TestNoAttemptGoesOnBehindWhatWasForgotten(t *testing.T) {
	for name, prepare := range uploads {
		in := httptest.NewRequest("POST", "https://a.internal/", strings.NewReader("hello, world"))
		prepare(in)
		var first, other io.ReadCloser
		sendThrough(t, in, httputil.ReverseProxy{
			Rewrite: func(*httputil.ProxyRequest) {},
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				first = r.Body
				other, _ = r.GetBody()
				for _, body := range []io.Reader{first, other} {
					_, _ = io.ReadFull(body, make([]byte, 3))
				}
				return ok(r), nil
			}),
			ModifyResponse: func(*http.Response) error {
				if got, err := io.ReadAll(first); string(got) != "lo, world" || err != nil {
					t.Errorf("%s: the first goes on with %q, %v", name, got, err)
				}
				if got, err := io.ReadAll(other); len(got) > 0 || err == nil {
					t.Errorf("%s: the other goes on with %q, %v", name, got, err)
				}
				return nil
			},
		})
	}
}

// A transport closes the body under its own Read and waits for that. If the client
// sends more, that belongs to the next attempt; if it is silent, the transport does
// not wait for long, and not at all once the upstream has answered.
func TestAReadOfAnAttemptThatWasGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		client   func(io.Writer) // after the attempt was given up
		copied   bool            // the transport forgets the body over a copy
		answered bool
		again    string // what is sent anew
		took     time.Duration
	}{
		"goes to the next":               {func(w io.Writer) { _, _ = io.WriteString(w, "lo") }, false, false, "hello, world", 0},
		"ends if the client is silent":   {func(io.Writer) {}, false, false, "", 200 * time.Millisecond},
		"ends when the upstream answers": {func(io.Writer) {}, false, true, "", 0},
		"of a copy goes to the next":     {func(w io.Writer) { _, _ = io.WriteString(w, "lo") }, true, false, "hello, world", 0},
		"of a copy ends with silence":    {func(io.Writer) {}, true, false, "", 200 * time.Millisecond},
		"of a copy ends with an answer":  {func(io.Writer) {}, true, true, "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, w := io.Pipe()
			in := httptest.NewRequest("POST", "https://a.internal/", client)
			uploads["HTTP/2"](in)
			var reading sync.WaitGroup
			sendThrough(t, in, httputil.ReverseProxy{
				Rewrite: func(*httputil.ProxyRequest) {},
				Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					sent := r.Body
					if c.copied {
						sent, _ = r.GetBody()
					}
					reading.Go(func() { _, _ = io.ReadAll(sent) })
					_, _ = io.WriteString(w, "hel")
					synctest.Wait()
					_ = sent.Close()
					if c.answered {
						return ok(r), nil
					}
					start := time.Now()
					c.client(w)
					reading.Wait()
					if took := time.Since(start); took != c.took {
						t.Errorf("%s: the Read took %v", name, took)
					}
					body, err := r.GetBody()
					if (err == nil) != (c.again != "") {
						t.Errorf("%s: sending it anew: %v", name, err)
					}
					if err == nil {
						go func() {
							time.Sleep(time.Second) // for which the next attempt may wait
							_, _ = io.WriteString(w, ", world")
							_ = w.Close()
						}()
						if got, err := io.ReadAll(body); string(got) != c.again || err != nil {
							t.Errorf("%s: %q, %v", name, got, err)
						}
					}
					return ok(r), nil
				}),
				ModifyResponse: func(*http.Response) error {
					start := time.Now()
					reading.Wait()
					if time.Since(start) != 0 {
						t.Errorf("%s: the Read goes on when the answer has begun", name)
					}
					return nil
				},
			})
		})
	}
}

// countedBody counts how often it is closed.
type countedBody struct {
	io.Reader
	closed atomic.Int32
}

func (b *countedBody) Close() error {
	b.closed.Add(1)
	return nil
}

// What a client of HTTP/2 sends and nobody reads takes up the window of its connection
// until its stream is closed, however long the answer is.
func TestAnUploadThatNobodyReadsOnIsClosedWhileTheAnswerGoesOn(t *testing.T) {
	for name, closes := range map[string]func(sent io.Closer, answered bool){
		"closed before the answer": func(sent io.Closer, answered bool) {
			if !answered {
				_ = sent.Close()
			}
		},
		"closed after it has begun": func(sent io.Closer, answered bool) {
			if answered {
				_ = sent.Close()
			}
		},
		"closed again after it has begun": func(sent io.Closer, _ bool) { _ = sent.Close() },
	} {
		upload := &countedBody{Reader: strings.NewReader("hello")}
		in := httptest.NewRequest("POST", "https://a.internal/", upload)
		uploads["HTTP/2"](in)
		var sent io.ReadCloser
		sendThrough(t, in, httputil.ReverseProxy{
			Rewrite: func(*httputil.ProxyRequest) {},
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = r.Body
				_, _ = sent.Read(make([]byte, 2))
				closes(sent, false)
				if upload.closed.Load() > 0 {
					t.Errorf("%s: nothing can be sent anew", name)
				}
				return ok(r), nil
			}),
			ModifyResponse: func(*http.Response) error {
				closes(sent, true)
				if n := upload.closed.Load(); n != 1 {
					t.Errorf("%s: the stream is closed %d times", name, n)
				}
				return nil
			},
		})
	}
}

// rawUpstream speaks HTTP/2 frame by frame. It does as it is told with the first
// request that it got in full, and answers the others.
type rawUpstream struct {
	net.Listener
	first    func(f *http2.Framer, stream uint32) (goes bool)
	requests atomic.Int32
	bodies   chan string // of requests it has answered
}

func newRawUpstream(t *testing.T, first func(*http2.Framer, uint32) bool) *rawUpstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	u := &rawUpstream{Listener: l, first: first, bodies: make(chan string, 10)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go u.serve(conn)
		}
	}()
	return u
}

func (u *rawUpstream) serve(conn net.Conn) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	_ = f.WriteSettings()
	var body strings.Builder
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		data, ok := frame.(*http2.DataFrame)
		if !ok {
			continue
		}
		body.Write(data.Data())
		if !data.StreamEnded() {
			continue
		}
		if u.requests.Add(1) == 1 {
			if u.first(f, data.StreamID) {
				return
			}
		} else {
			u.bodies <- body.String()
			var block bytes.Buffer
			_ = hpack.NewEncoder(&block).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: data.StreamID, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
		}
		body.Reset()
	}
}

// TestRFC9113_8_7_RequestReliability has an upstream of HTTP/2 that got the whole
// request. It is sent anew if the upstream says that it did not look at it, and
// otherwise not, since it may have acted on it. For net/http, a reset because of a
// PROTOCOL_ERROR says so too: it is what section 5.1.2 has for more streams than
// are allowed.
func TestRFC9113_8_7_RequestReliability(t *testing.T) {
	reset := func(code http2.ErrCode) func(*http2.Framer, uint32) bool {
		return func(f *http2.Framer, stream uint32) bool { return f.WriteRSTStream(stream, code) != nil }
	}
	for name, c := range map[string]struct {
		first func(*http2.Framer, uint32) bool
		want  int
	}{
		"GOAWAY with a lower stream": {func(f *http2.Framer, _ uint32) bool { return f.WriteGoAway(0, http2.ErrCodeNo, nil) != nil }, 200},
		"GOAWAY with this stream": {func(f *http2.Framer, stream uint32) bool {
			_ = f.WriteGoAway(stream, http2.ErrCodeNo, nil)
			return true
		}, 502},
		"REFUSED_STREAM":                  {reset(http2.ErrCodeRefusedStream), 200},
		"PROTOCOL_ERROR":                  {reset(http2.ErrCodeProtocol), 200},
		"INTERNAL_ERROR":                  {reset(http2.ErrCodeInternal), 502},
		"CANCEL":                          {reset(http2.ErrCodeCancel), 502},
		"ENHANCE_YOUR_CALM":               {reset(http2.ErrCodeEnhanceYourCalm), 502},
		"NO_ERROR":                        {reset(http2.ErrCodeNo), 502},
		"the end of the connection alone": {func(*http2.Framer, uint32) bool { return true }, 502},
	} {
		for kind, prepare := range uploads {
			u := newRawUpstream(t, c.first)
			in := httptest.NewRequest("POST", "http://"+u.Addr().String(), strings.NewReader("hello"))
			prepare(in)
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetUnencryptedHTTP2(true)
			t.Cleanup(transport.CloseIdleConnections)
			status := sendThrough(t, in, httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: transport})
			if status != c.want {
				t.Errorf("%s, %s: status %d, want %d", name, kind, status, c.want)
			}
			close(u.bodies)
			for body := range u.bodies {
				if c.want != 200 || body != "hello" {
					t.Errorf("%s, %s: sent anew: %q", name, kind, body)
				}
			}
		}
	}
}

// An upstream of HTTP/1 that ends the connection may have acted on the request, also
// on one that has an Idempotency-Key and would be repeated by http.Transport.
func TestARequestThatAnUpstreamOfHTTP1GotIsNotSentAnew(t *testing.T) {
	for _, field := range []string{"X-Other", "Idempotency-Key", "X-Idempotency-Key"} {
		for kind, prepare := range uploads {
			var posts atomic.Int32
			upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "POST" {
					posts.Add(1)
					_, _ = io.Copy(io.Discard, r.Body)
					panic(http.ErrAbortHandler)
				}
			}))
			t.Cleanup(upstream.Close)
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			target, _ := url.Parse(upstream.URL)
			rp := httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }, Transport: transport}
			sendThrough(t, httptest.NewRequest("DELETE", "/", nil), rp) // the connection is there already
			in := httptest.NewRequest("POST", "/", strings.NewReader("hello"))
			in.Header.Set(field, "1")
			prepare(in)
			if status := sendThrough(t, in, rp); status != 502 || posts.Load() != 1 {
				t.Errorf("%s, %s: status %d after %d requests", field, kind, status, posts.Load())
			}
		}
	}
}
