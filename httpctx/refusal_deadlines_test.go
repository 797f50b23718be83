package httpctx_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// once is a listener of one connection, a pipe, so that its time need not be real.
type once chan net.Conn

func (l once) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l once) Close() error   { return nil }
func (l once) Addr() net.Addr { return &net.TCPAddr{} }

// connected runs f with a connection to srv, in a bubble.
func connected(t *testing.T, srv *http.Server, f func(t *testing.T, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var serving sync.WaitGroup
		l := make(once)
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
		serving.Go(func() { _ = srv.Serve(l) })
		client, server := net.Pipe()
		l <- server
		_ = client.SetDeadline(time.Now().Add(time.Hour))
		f(t, client)
		client.Close()
		close(l)
		srv.Close()
		serving.Wait()
		time.Sleep(time.Second) // that net/http lingers
	})
}

// plain is a writer of middleware that has no Unwrap.
type plain struct{ http.ResponseWriter }

// refusing is handlers that refuse a request without credentials.
func refusing(t *testing.T) map[string]http.Handler {
	s := newServer(t, httpctx.ServerConfig{})
	anonymous := newServer(t, httpctx.ServerConfig{AllowAnonymous: true})
	asked := newServer(t, httpctx.ServerConfig{Refuse: func(w http.ResponseWriter, _ *http.Request, _ error) bool {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "no")
		return true
	}})
	return map[string]http.Handler{
		"Handler": s.Handler(spy),
		"Refuse":  asked.Handler(spy),
		"Require": anonymous.Handler(anonymous.Require(authctx.Authenticated())(spy)),
		"a request whose time has passed": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			s.Handler(spy).ServeHTTP(w, r.WithContext(ctx))
		}),
	}
}

// net/http answers over HTTP/1 when it has read what is left of a body.
func TestARefusalWaitsForNoBody(t *testing.T) {
	const most = 10 * time.Second
	for name, h := range refusing(t) {
		for head, wait := range map[string]time.Duration{
			"Content-Length: 100\r\n":                         most,
			"Content-Length: 100\r\nConnection: close\r\n":    0, // then it does not read
			"Content-Length: 1000000\r\n":                     0,
			"Content-Length: 100\r\nExpect: 100-continue\r\n": 0, // the client waits as well
			"Transfer-Encoding: chunked\r\n":                  most,
			"":                                                0,
		} {
			t.Run(name+"/"+head, func(t *testing.T) {
				connected(t, &http.Server{Handler: h}, func(t *testing.T, conn net.Conn) {
					start := time.Now()
					_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+head+"\r\n")
					line, err := bufio.NewReader(conn).ReadString('\n')
					if took := time.Since(start); took != wait || !strings.Contains(line, " 401 ") {
						t.Errorf("after %v, want %v: %q, %v", took, wait, line, err)
					}
				})
			})
		}
	}
}

// A handler that refuses may have other things to do before it returns.
func TestARefusalByAHandlerIsBoundedByTheHandler(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{AllowAnonymous: true})
	connected(t, &http.Server{Handler: s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.WriteError(w, r, authctx.NoCredentials)
		time.Sleep(time.Minute)
	}))}, func(t *testing.T, conn net.Conn) {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, " 401 ") {
			t.Errorf("%q, %v", line, err)
		}
	})
}

// A client of HTTP/2 says how much of a body it takes.
func TestARefusalWaitsForNoWindow(t *testing.T) {
	for name, h := range refusing(t) {
		t.Run(name, func(t *testing.T) {
			connected(t, &http.Server{Handler: h}, func(t *testing.T, conn net.Conn) {
				start := time.Now()
				f := withoutWindow(t, conn)
				for ended := false; !ended; {
					frame, err := f.ReadFrame()
					if err != nil {
						t.Fatal(err)
					}
					_, ended = frame.(*http2.RSTStreamFrame)
				}
				if took := time.Since(start); took != 10*time.Second {
					t.Errorf("the stream ended after %v", took)
				}
			})
		})
	}
}

// withoutWindow sends a request over HTTP/2 whose answer may have no body yet.
func withoutWindow(t *testing.T, conn net.Conn) *http2.Framer {
	t.Helper()
	var head strings.Builder
	fields := hpack.NewEncoder(&head)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}} {
		_ = fields.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	var sent strings.Builder
	sent.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&sent, nil)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	_ = f.WriteSettingsAck()
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(head.String()), EndHeaders: true, EndStream: true})
	go func() { _, _ = io.WriteString(conn, sent.String()) }()
	return http2.NewFramer(nil, conn)
}

// A pipe takes nothing that is not read, as a connection does when it is full.
func TestARefusalWaitsForNoReader(t *testing.T) {
	connected(t, &http.Server{Handler: refusing(t)["Handler"]}, func(t *testing.T, conn net.Conn) {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		time.Sleep(11 * time.Second)
		if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// TestARefusalKeepsNoBodyOfAStreamThatWasReset has a client that resets what it
// sends, so that nothing counts against its windows or its number of streams.
func TestARefusalKeepsNoBodyOfAStreamThatWasReset(t *testing.T) {
	const streams, size = 400, 48 << 10
	refuse := func(await bool) authctx.Authenticator {
		return authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, func(ctx context.Context, _ *authctx.Request) (authctx.Result, error) {
			if await {
				<-ctx.Done() // the client has gone before it is refused
			}
			return authctx.Result{}, authctx.InvalidToken
		})
	}
	for name, config := range map[string]httpctx.ServerConfig{
		"before it is refused": {Authenticator: refuse(true)},
		"at about that time":   {Authenticator: refuse(false)},
		"as it gets metadata":  {ResourceMetadata: metadataOf("https://a")},
	} {
		var refused sync.WaitGroup
		refused.Add(streams)
		s := newServer(t, config)
		h := s.Handler(spy)
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer refused.Done()
			h.ServeHTTP(w, r)
		}))
		srv.Config.Protocols = new(http.Protocols)
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
		srv.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 2 * streams, MaxReceiveBufferPerConnection: 2 * streams * size}
		srv.Start()
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		before := heap()
		resetStreams(t, conn, cmp.Or(s.ResourceMetadataPath(), "/"), streams, size)
		refused.Wait()
		if grown := heap() - before; grown > streams*size/4 {
			t.Errorf("a stream that is reset %s: %d KiB stay of %d", name, grown>>10, streams*size>>10)
		}
		conn.Close()
		srv.Close()
	}
}

// resetStreams sends n requests for path with so many bytes each, and resets each.
func resetStreams(t *testing.T, conn net.Conn, path string, n, size int) {
	t.Helper()
	_, _ = io.WriteString(conn, http2.ClientPreface)
	fr := http2.NewFramer(conn, conn)
	window := make(chan uint32, 2*n)
	go func() {
		defer close(window)
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			if u, ok := f.(*http2.WindowUpdateFrame); ok && u.StreamID == 0 {
				window <- u.Increment
			}
		}
	}()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(fr.WriteSettings())
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	room := 65535
	for i := range n {
		head.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", path}, {":authority", "a"}} {
			must(enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
		}
		id := uint32(2*i + 1)
		must(fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head.Bytes(), EndHeaders: true}))
		for room < size {
			more, ok := <-window
			if !ok {
				t.Fatal("the server has ended the connection")
			}
			room += int(more)
		}
		for left := size; left > 0; left -= 16 << 10 {
			must(fr.WriteData(id, false, make([]byte, min(left, 16<<10))))
		}
		room -= size
		must(fr.WriteRSTStream(id, http2.ErrCodeCancel))
	}
}

// heap returns how many bytes are in use.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestARefusalHasTheTimeThatTheServerGives(t *testing.T) {
	const given = 30 * time.Second
	h := refusing(t)["Handler"]
	connected(t, &http.Server{Handler: h, ReadTimeout: given}, func(t *testing.T, conn net.Conn) {
		start := time.Now()
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); time.Since(start) != given {
			t.Errorf("after %v: %q, %v", time.Since(start), line, err)
		}
	})
	connected(t, &http.Server{Handler: h, WriteTimeout: given}, func(t *testing.T, conn net.Conn) {
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		time.Sleep(given - time.Second)
		if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, " 401 ") {
			t.Errorf("%q, %v", line, err)
		}
	})
}

// Who comes next on a connection of HTTP/1 has all the time of the world.
func TestARefusalHastensNobodyElse(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if string(body) != "body" || err != nil {
			t.Errorf("%q, %v", body, err)
		}
		time.Sleep(time.Minute)
		_, _ = io.WriteString(w, strings.Repeat("x", 10<<10))
	})
	connected(t, &http.Server{Handler: s.Handler(slow)}, func(t *testing.T, conn net.Conn) {
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
		answers := bufio.NewReader(conn)
		res, err := http.ReadResponse(answers, nil)
		if err != nil || res.StatusCode != http.StatusUnauthorized {
			t.Fatal(res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		time.Sleep(time.Minute)
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer alice\r\nContent-Length: 4\r\n\r\n")
		time.Sleep(time.Minute)
		_, _ = io.WriteString(conn, "body")
		time.Sleep(2 * time.Minute)
		res, err = http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(res.Body); len(body) != 10<<10 || err != nil {
			t.Errorf("%d bytes, %v", len(body), err)
		}
	})
}

// What hides the deadlines of its server is refused by all the same.
func TestARefusalGoesThroughAnyWriter(t *testing.T) {
	h := refusing(t)["Handler"]
	wrapped := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(plain{w}, r) })
	connected(t, &http.Server{Handler: wrapped}, func(t *testing.T, conn net.Conn) {
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("answered before the body came: %v", err)
		}
		_ = conn.SetReadDeadline(time.Time{})
		_, _ = io.WriteString(conn, "body")
		if line, err := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, " 401 ") {
			t.Errorf("%q, %v", line, err)
		}
	})
}

// Adaptors of other servers make requests as they like.
func TestARequestWithoutABodyIsRefused(t *testing.T) {
	for _, version := range []int{1, 2} {
		for name, h := range refusing(t) {
			w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)
			r.ProtoMajor, r.Body = version, nil
			if h.ServeHTTP(w, r); w.Code != 401 {
				t.Errorf("%s, HTTP/%d: status %d", name, version, w.Code)
			}
		}
	}
}

// deadlines is a writer that is told deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Duration // from when they were set; zero means never
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read = time.Until(t); return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write = time.Until(t); return nil }

// net/http reads the rest of a body before it answers, for as long as the server
// lets a request take, and a client that was honest until then still gets its answer.
func TestARefusalLeavesToTheServerWhatItBoundsAndComesAfterTheBody(t *testing.T) {
	for name, c := range map[string]struct {
		server      *http.Server
		body        io.Reader
		read, write time.Duration
	}{
		"no timeouts":                   {&http.Server{}, strings.NewReader("x"), 10 * time.Second, 20 * time.Second},
		"no timeouts and no body":       {&http.Server{}, nil, 0, 10 * time.Second},
		"a long ReadTimeout":            {&http.Server{ReadTimeout: time.Minute}, strings.NewReader("x"), 0, 70 * time.Second},
		"a short ReadTimeout":           {&http.Server{ReadTimeout: time.Second}, strings.NewReader("x"), 0, 20 * time.Second},
		"a long ReadTimeout, no body":   {&http.Server{ReadTimeout: time.Minute}, nil, 0, 10 * time.Second},
		"a WriteTimeout":                {&http.Server{WriteTimeout: time.Minute}, strings.NewReader("x"), 10 * time.Second, 0},
		"both timeouts of the server's": {&http.Server{ReadTimeout: time.Minute, WriteTimeout: time.Minute}, strings.NewReader("x"), 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
			r := httptest.NewRequest("POST", "/", c.body)
			r = r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, c.server))
			newServer(t, httpctx.ServerConfig{}).Handler(spy).ServeHTTP(w, r)
			if w.Code != 401 || w.read != c.read || w.write != c.write {
				t.Errorf("%s: %d, to read %v, to write %v, want %v and %v", name, w.Code, w.read, w.write, c.read, c.write)
			}
		})
	}
}
