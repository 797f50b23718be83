package httpctx_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
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
	}
}

// net/http answers over HTTP/1 when it has read what is left of a body.
func TestARefusalWaitsForNoBody(t *testing.T) {
	const most = 10 * time.Second
	for name, h := range refusing(t) {
		for head, wait := range map[string]time.Duration{
			"Content-Length: 100\r\n":                      most,
			"Content-Length: 100\r\nConnection: close\r\n": 0, // then it does not read
			"Content-Length: 1000000\r\n":                  0,
			"Transfer-Encoding: chunked\r\n":               most,
			"":                                             0,
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
