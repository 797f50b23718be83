package program

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"iter"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/authctx/authctx/examples/internal/democa"
)

// pipes is a listener whose connections are pipes, so that its time need not be
// real.
type pipes chan net.Conn

func (l pipes) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l pipes) Close() error   { return nil }
func (l pipes) Addr() net.Addr { return &net.TCPAddr{} }

// connected runs f with a connection to a server, in a bubble.
func connected(t *testing.T, newServer func(net.Listener) Server, f func(t *testing.T, conn net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var all sync.WaitGroup
		l := make(pipes)
		s := newServer(l)
		all.Go(func() { _ = s.serve() })
		client, server := net.Pipe()
		l <- server
		f(t, client)
		client.Close()
		close(l)
		s.stop(t.Context())
		all.Wait()
		time.Sleep(time.Second) // that net/http lingers
	})
}

// A certificate that has ended is no reason to fail a request: clients renew
// theirs, and show the next one when they connect again.
func TestAConnectionEndsWithTheCertificateOfItsClient(t *testing.T) {
	ca, err := democa.New()
	if err != nil {
		t.Fatal(err)
	}
	service, err := ca.Server("spiffe://shop.example/orders")
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Client("spiffe://shop.example/gateway")
	if err != nil {
		t.Fatal(err)
	}
	for _, http2 := range []bool{false, true} {
		for _, ended := range []bool{false, true} {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if ended {
					shown := *r.TLS.PeerCertificates[0]
					shown.NotAfter = time.Now().Add(-time.Second)
					r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{&shown}}
				}
				EndWithCertificate(http.NotFoundHandler()).ServeHTTP(w, r)
			}))
			s.EnableHTTP2, s.TLS = http2, service.Clone()
			s.StartTLS()
			transport := &http.Transport{TLSClientConfig: client.Clone(), ForceAttemptHTTP2: http2}
			for i := range 3 {
				var reused bool
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
				r, err := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if (res.ProtoMajor == 2) != http2 || reused != (i > 0 && !ended) {
					t.Errorf("%s, ended %v, request %d: reused %v", res.Proto, ended, i, reused)
				}
			}
			transport.CloseIdleConnections()
			s.Close()
		}
	}
}

// http2Frames is what an HTTP/2 client begins with, and the frames that follow.
func http2Frames(write func(*http2.Framer)) string {
	var b strings.Builder
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	_ = f.WriteSettings()
	write(f)
	return b.String()
}

// net/http forgot the time that a client has for its request where it looked
// for HTTP/2 without TLS, and read CONTINUATION frames without end.
func TestCVE_2026_56853_CVE_2023_45288_AClientThatDoesNotFinishItsRequestIsCutOff(t *testing.T) {
	const (
		head = 10 * time.Second
		idle = 2 * time.Minute
		bye  = time.Second // that HTTP/2 waits after its GOAWAY
	)
	noRequest := http2Frames(func(*http2.Framer) {})
	unended := http2Frames(func(f *http2.Framer) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
	})
	continuation := func(fragment string) string {
		return string([]byte{0, byte(len(fragment) >> 8), byte(len(fragment)), 9, 0, 0, 0, 0, 1}) + fragment
	}
	for name, tc := range map[string]struct {
		sent  string
		again string // sent every second from then on
		bound time.Duration
	}{
		"nothing":                   {"", "", head},
		"half a head":               {"GET / HTTP/1.1\r\nHost: a\r\n", "", head},
		"a head byte by byte":       {"GET / HTTP/1.1\r\nHost: a\r\nX: ", "a", head},
		"half a second head":        {"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT", "", head},
		"nothing after an answer":   {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", idle},
		"half a preface":            {http2.ClientPreface[:16], "", head},
		"almost a preface":          {http2.ClientPreface[:23], "", head},
		"a preface alone":           {http2.ClientPreface, "", head},
		"HTTP/2 and no request":     {noRequest, "", idle + bye},
		"HTTP/2 and only pings":     {noRequest, "\x00\x00\x08\x06\x00\x00\x00\x00\x00ping-png", idle + bye},
		"half a HEADERS frame":      {unended[:len(unended)-1], "", idle + bye},
		"HEADERS that do not end":   {unended, "", idle + bye},
		"CONTINUATION for ever":     {unended, continuation(""), idle + bye},
		"CONTINUATION of something": {unended, continuation("\x00\x01x\x7f\x81\x7e" + strings.Repeat("a", 255)), idle + bye},
		"CONTINUATION too large":    {unended, continuation("\x00\x01x\x7f\x81\x7e" + strings.Repeat("a", 16<<10-7)), head},
	} {
		t.Run(name, func(t *testing.T) {
			connected(t, func(l net.Listener) Server { return HTTP(l, http.NotFoundHandler()) }, func(t *testing.T, conn net.Conn) {
				cutOff(t, conn, tc.sent, tc.again, tc.bound)
			})
		})
	}
	const first = 2 * time.Minute // that grpc waits for SETTINGS
	for name, sent := range map[string]string{
		"nothing": "", "a preface alone": http2.ClientPreface, "no request": noRequest,
		"half a HEADERS frame": unended[:len(unended)-1], "HEADERS that do not end": unended,
	} {
		t.Run("gRPC/"+name, func(t *testing.T) {
			connected(t, func(l net.Listener) Server { return GRPC(l, grpc.NewServer(BoundConnections()...)) }, func(t *testing.T, conn net.Conn) {
				cutOff(t, conn, sent, "", max(first, maxIdle)+10*time.Second)
			})
		})
	}
}

// cutOff fails unless a client who sends that, and again something every second,
// is cut off in time.
func cutOff(t *testing.T, conn net.Conn, sent, again string, bound time.Duration) {
	var sender sync.WaitGroup
	sender.Go(func() {
		_, err := io.WriteString(conn, sent)
		for err == nil && again != "" {
			time.Sleep(time.Second)
			_, err = io.WriteString(conn, again)
		}
	})
	start := time.Now()
	_ = conn.SetReadDeadline(start.Add(time.Hour))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("still open after an hour")
	} else if took := time.Since(start); took > bound {
		t.Errorf("open for %v, want at most %v", took, bound)
	}
	conn.Close()
	sender.Wait()
}

// What has been answered, as probes are, waits for nobody.
func TestAnAnsweredRequestWaitsForNobody(t *testing.T) {
	alive := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "alive") })
	newServer := func(l net.Listener) Server { return HTTP(l, alive) }
	for _, head := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		connected(t, newServer, func(t *testing.T, conn net.Conn) {
			_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\n"+head+"\r\n\r\n")
			_ = conn.SetReadDeadline(time.Now().Add(time.Hour))
			if answer, err := io.ReadAll(conn); !strings.HasSuffix(string(answer), "alive") || err != nil {
				t.Errorf("%s: %q, %v", head, answer, err)
			}
		})
	}
	connected(t, newServer, func(t *testing.T, conn net.Conn) {
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		time.Sleep(maxRest + time.Second)
		if answer, err := io.ReadAll(conn); len(answer) > 0 || err != nil {
			t.Errorf("not read in time: %q, %v", answer, err)
		}
	})
	connected(t, newServer, func(t *testing.T, conn net.Conn) {
		var ended bool
		_ = conn.SetDeadline(time.Now().Add(time.Hour))
		for frame := range exchanged(conn, http2Frames(func(f *http2.Framer) {
			_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: callHead(nil), EndHeaders: true, EndStream: true})
		})) {
			_, reset := frame.(*http2.RSTStreamFrame)
			ended = ended || reset
		}
		if !ended {
			t.Error("a stream without a window has not ended")
		}
	})
}

// closing tells whether a body was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestNothingIsKeptOfARequestThatWasReset(t *testing.T) {
	body := &closing{Reader: strings.NewReader("hello")}
	r := httptest.NewRequest("POST", "/", body)
	r.ProtoMajor = 2
	hastened(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	if !body.closed {
		t.Error("what came of its body is kept")
	}
}

// Those times are for asking. An answer takes as long as it likes.
func TestALongAnswerIsNotCutOff(t *testing.T) {
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 60 {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Minute)
		}
	})
	for name, version := range map[string]func(*http.Protocols, bool){
		"HTTP/1.1": (*http.Protocols).SetHTTP1, "HTTP/2": (*http.Protocols).SetUnencryptedHTTP2,
	} {
		t.Run(name, func(t *testing.T) {
			connected(t, func(l net.Listener) Server { return HTTP(l, slow) }, func(t *testing.T, conn net.Conn) {
				transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
				version(transport.Protocols, true)
				defer transport.CloseIdleConnections()
				res, err := (&http.Client{Transport: transport}).Get("http://a.example/")
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				if body, err := io.ReadAll(res.Body); len(body) != 60 || err != nil {
					t.Errorf("%d bytes, %v", len(body), err)
				}
			})
		})
	}
}

// gRPC asks who calls when it has the message of a unary call.
func TestCallsWithoutTheirMessageAreBounded(t *testing.T) {
	const tooMany = 100
	newServer := func(l net.Listener) Server {
		s := grpc.NewServer(BoundConnections()...)
		healthpb.RegisterHealthServer(s, health.NewServer())
		return GRPC(l, s)
	}
	connected(t, newServer, func(t *testing.T, conn net.Conn) {
		start := time.Now()
		_ = conn.SetDeadline(start.Add(24 * time.Hour))
		refused := 0
		for frame := range exchanged(conn, http2Frames(func(f *http2.Framer) {
			for i := range uint32(maxStreams + tooMany) {
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: callHead(nil), EndHeaders: true})
			}
		})) {
			if reset, ok := frame.(*http2.RSTStreamFrame); ok && reset.ErrCode == http2.ErrCodeRefusedStream {
				refused++
			}
		}
		if refused != tooMany {
			t.Errorf("%d calls were refused, want %d", refused, tooMany)
		}
		if took := time.Since(start); took > maxAge*11/10+maxCall+time.Minute {
			t.Errorf("the others ended after %v", took)
		}
	})
}

// A head may refer to what it has said before, a byte each time.
func TestTheHeadOfACallIsBounded(t *testing.T) {
	for repeated, want := range map[int]http2.FrameType{10: http2.FrameHeaders, 1000: http2.FrameRSTStream} {
		connected(t, func(l net.Listener) Server { return GRPC(l, grpc.NewServer(BoundConnections()...)) }, func(t *testing.T, conn net.Conn) {
			large := hpack.HeaderField{Name: "large", Value: strings.Repeat("a", 2<<10)}
			var got []http2.FrameType
			for frame := range exchanged(conn, http2Frames(func(f *http2.Framer) {
				_ = f.WriteHeaders(http2.HeadersFrameParam{
					StreamID: 1, BlockFragment: callHead(slices.Repeat([]hpack.HeaderField{large}, repeated)), EndHeaders: true, EndStream: true,
				})
			})) {
				if frame.Header().StreamID == 1 {
					got = append(got, frame.Header().Type)
				}
			}
			if len(got) == 0 || got[0] != want {
				t.Errorf("%d KiB of fields: %v, want %v", 2*repeated, got, want)
			}
		})
	}
}

// callHead is the head of a unary call, with further fields.
func callHead(more []hpack.HeaderField) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: healthpb.Health_Check_FullMethodName},
		{Name: ":authority", Value: "a"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	}, more...) {
		_ = e.WriteField(f)
	}
	return b.Bytes()
}

// exchanged sends that and yields the frames that come back until the server ends
// the connection. It answers pings.
func exchanged(conn net.Conn, sent string) iter.Seq[http2.Frame] {
	return func(yield func(http2.Frame) bool) {
		out := make(chan string, 100)
		defer close(out)
		go func() {
			for s := range out {
				_, _ = io.WriteString(conn, s)
			}
		}()
		out <- sent
		for f := http2.NewFramer(nil, conn); ; {
			frame, err := f.ReadFrame()
			if err != nil || !yield(frame) {
				return
			}
			if ping, ok := frame.(*http2.PingFrame); ok && !ping.IsAck() {
				var b strings.Builder
				_ = http2.NewFramer(&b, nil).WritePing(true, ping.Data)
				out <- b.String()
			}
		}
	}
}

// stoppedAfter is when each server is told to stop if the one named slow takes all the
// time there is.
func stoppedAfter(t *testing.T, slow string, servers map[string]func(Server) Server) map[string]time.Duration {
	t.Helper()
	told := map[string]time.Duration{}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var all []Server
		start := time.Now()
		for name, as := range servers {
			ended := make(chan struct{})
			all = append(all, as(Server{
				serve: func() error { <-ended; return nil },
				stop: func(ctx context.Context) {
					defer close(ended)
					mu.Lock()
					told[name] = time.Since(start)
					mu.Unlock()
					if name == slow {
						<-ctx.Done()
					}
				},
			}))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Serve(ctx, all...); err != nil {
			t.Error(err)
		}
	})
	return told
}

func usual(s Server) Server { return s }

// A slow client of one keeps no other from ending its requests in good order.
func TestServersAreStoppedSideBySide(t *testing.T) {
	got := stoppedAfter(t, "a", map[string]func(Server) Server{"a": usual, "b": usual})
	if want := map[string]time.Duration{"a": 0, "b": 0}; !maps.Equal(got, want) {
		t.Errorf("stopped after %v, want %v", got, want)
	}
}

func TestAServerThatOthersNeedIsStoppedAfterThem(t *testing.T) {
	servers := map[string]func(Server) Server{"keys": Last, "a": usual, "b": usual}
	for slow, wait := range map[string]time.Duration{"a": grace, "b": grace, "nobody": 0, "keys": 0} {
		got := stoppedAfter(t, slow, servers)
		if want := map[string]time.Duration{"a": 0, "b": 0, "keys": wait}; !maps.Equal(got, want) {
			t.Errorf("%s slow: stopped after %v, want %v", slow, got, want)
		}
	}
}
