package httpctx_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/internal/moment/momenttest"
)

// echo becomes a "WebSocket", as far as the handshake, and echoes bytes.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\n\r\n")
	_, _ = io.Copy(conn, rw)
})

// upgrade opens a connection and asks for protocol. It may be used for as long as
// patience lasts.
func upgrade(t *testing.T, server *httptest.Server, token, protocol string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request("GET /", "Authorization: Bearer "+token, "Connection: Upgrade", "Upgrade: "+protocol)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return conn, r, res
}

// wantClosed fails unless the server closes a connection of upgrade, of which it has
// nothing more to say.
func wantClosed(t *testing.T, r *bufio.Reader) {
	t.Helper()
	if n, err := r.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection goes on: read %d bytes, %v", n, err)
	}
}

// TestRule9_AWebSocketEndsWithItsCaller runs on a clock that shows the caller's
// last moment: the connection is open, echoes, and is then closed by the server
// although both sides would go on.
func TestRule9_AWebSocketEndsWithItsCaller(t *testing.T) {
	for where, protocol := range map[string]string{
		"in the service":                     "websocket",
		"in a service that takes lists":      "websocket, h2c",
		"in a service that takes two lines":  "websocket\r\nUpgrade: h2c",
		"through a proxy":                    "websocket",
		"through a proxy that stands alone":  "websocket",
		"through a proxy that got two lines": "websocket\r\nUpgrade: h2c",
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			events := make(chan authctx.Event, 10)
			observer := authctx.ObserverFunc(func(_ context.Context, e authctx.Event) {
				if e.Outcome == authctx.Ended {
					events <- e
				}
			})
			clock := momenttest.NewEve(epoch.Add(time.Hour))
			server := webSocketServer(t, where, httpctx.ServerConfig{Observer: observer, Now: clock.Now})
			conn, r, res := upgrade(t, server, "carol", protocol)
			if res.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("status %d", res.StatusCode)
			}
			if _, err := io.WriteString(conn, "hello"); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
				t.Fatalf("no echo: %v", err)
			}
			clock.Pass()
			wantClosed(t, r)
			if e := next(t, events); !errors.Is(e.Err, authctx.TokenExpired) || e.Principal.Subject() != "carol" {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func webSocketServer(t *testing.T, where string, cfg httpctx.ServerConfig) *httptest.Server {
	s := newServer(t, cfg)
	if strings.HasPrefix(where, "in ") {
		return serve(t, s.Handler(echo))
	}
	target, _ := url.Parse(serve(t, echo).URL)
	h, err := newProxy(t, s, newFields(t)).Handler(&httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }})
	if err != nil {
		t.Fatal(err)
	}
	if where != "through a proxy that stands alone" {
		return serve(t, s.Handler(h))
	}
	carol := caller(t, "carol")
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(authctx.NewContext(r.Context(), carol)))
	}))
}

// An answer that was begun for a caller is finished, however long it takes.
func TestAPlainAnswerThroughAProxyIsNotCutAtItsCallersEnd(t *testing.T) {
	end := make(chan struct{})
	target, _ := url.Parse(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun, ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-end:
			_, _ = io.WriteString(w, "finished")
		case <-r.Context().Done():
		}
	})).URL)
	clock := momenttest.NewEve(epoch.Add(time.Hour))
	s := newServer(t, httpctx.ServerConfig{Now: clock.Now})
	h, err := newProxy(t, s, newFields(t)).Handler(&httputil.ReverseProxy{
		FlushInterval: -1, Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
	})
	if err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequest("GET", serve(t, s.Handler(h)).URL, nil)
	req.Header.Set("Authorization", "Bearer carol")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	clock.Pass()
	time.Sleep(50 * time.Millisecond) // for whoever would cut it
	close(end)
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "begun, finished" {
		t.Errorf("%d %q, %v", res.StatusCode, body, err)
	}
}

func TestAWebSocketEndsWhenItsCallerDoesNotPassARecheck(t *testing.T) {
	for name, refusal := range map[string]error{"revoked": authctx.TokenRevoked, "not to be known": errors.New("no answer")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := make(chan authctx.Event, 10)
			alice := caller(t, "alice")
			asked, upgraded := 0, make(chan struct{})
			a := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, func(context.Context, *authctx.Request) (authctx.Result, error) {
				return authctx.Result{Principal: alice, Recheck: func(context.Context) error {
					select {
					case <-upgraded:
					default:
						return nil
					}
					if asked++; asked < 3 {
						return nil
					}
					return refusal
				}}, nil
			})
			server := webSocketServer(t, "through a proxy", httpctx.ServerConfig{
				Authenticator: a, RecheckInterval: time.Millisecond, Now: time.Now,
				Observer: authctx.ObserverFunc(func(_ context.Context, e authctx.Event) { events <- e }),
			})
			_, r, res := upgrade(t, server, "alice", "websocket")
			close(upgraded)
			if res.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("status %d", res.StatusCode)
			}
			wantClosed(t, r)
			next(t, events) // allowed
			if e := next(t, events); e.Outcome != authctx.Ended || e.Reason != authctx.ReasonOf(refusal) {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestAClosedWebSocketIsNotWatchedAnyMore(t *testing.T) {
	var handler sync.WaitGroup
	before := runtime.NumGoroutine()
	server := httptest.NewServer(newServer(t, httpctx.ServerConfig{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.Add(1)
		defer handler.Done()
		echo(w, r)
	})))
	for range 20 {
		conn, _, res := upgrade(t, server, "carol", "websocket")
		if res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("status %d", res.StatusCode)
		}
		conn.Close()
	}
	server.Close()
	handler.Wait()
	noMoreGoroutines(t, before)
}

// noMoreGoroutines fails when more are left than there were before.
func noMoreGoroutines(t *testing.T, before int) {
	t.Helper()
	for range 10_000 { // goroutines end a moment after what they wait for
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines, before %d:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

func TestAWebSocketOfACallerWithoutAnEndStaysOpen(t *testing.T) {
	var j journal
	server := webSocketServer(t, "through a proxy", httpctx.ServerConfig{Observer: &j})
	conn, r, res := upgrade(t, server, "alice", "WebSocket")
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", res.StatusCode)
	}
	_, _ = io.WriteString(conn, "hello")
	if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
		t.Errorf("no echo: %v", err)
	}
}

func TestRule9_UpgradesOtherThanWebSocketAreRefusedByProxies(t *testing.T) {
	server := webSocketServer(t, "through a proxy", httpctx.ServerConfig{})
	for _, protocol := range []string{"TLS/1.0", "h2", "SPDY/3.1", "tcp", "websocket, h2c", "h2c, websocket", "x"} {
		_, _, res := upgrade(t, server, "alice", protocol)
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("%q: status %d", protocol, res.StatusCode)
		}
	}
	if res, _ := raw(t, server, request("CONNECT upstream:443", "Authorization: Bearer alice")); res.StatusCode != http.StatusForbidden {
		t.Errorf("CONNECT: status %d", res.StatusCode)
	}
}

// A ReverseProxy leaves one Upgrade of several. Somebody else may call Rewrite.
func TestRule9_AnUpgradeToSeveralProtocolsIsNoWebSocket(t *testing.T) {
	p := newProxy(t, newServer(t, httpctx.ServerConfig{}), newFields(t))
	for _, c := range []struct {
		upgrade []string
		passes  bool
	}{
		{nil, true}, {[]string{"websocket"}, true}, {[]string{"WebSocket"}, true}, {[]string{"h2c"}, true}, // which is taken out
		{[]string{"websocket", "h2c"}, false}, {[]string{"h2c", "websocket"}, false}, {[]string{"websocket", "websocket"}, false},
		{[]string{"websocket", ""}, false}, {[]string{""}, false}, {[]string{"tcp"}, false},
	} {
		in := httptest.NewRequest("GET", "/", nil)
		out := httptest.NewRequest("GET", "http://127.0.0.1/", nil)
		if c.upgrade != nil {
			out.Header["Connection"], out.Header["Upgrade"] = []string{"Upgrade"}, c.upgrade
		}
		pr := &httputil.ProxyRequest{In: in, Out: out}
		p.Rewrite(pr)
		if err := context.Cause(pr.Out.Context()); c.passes != (err == nil) || !c.passes && (!errors.Is(err, authctx.PermissionDenied) || len(pr.Out.Header["Upgrade"]) > 0) {
			t.Errorf("%q: %v, %v", c.upgrade, err, pr.Out.Header)
		}
	}
}

// curl --http2 and Java's HttpClient offer HTTP/2 and go on in HTTP/1.1 when the
// offer is ignored (RFC 9110 section 7.8). The upstream must not see it: what
// speaks h2c behind a proxy that does not is a tunnel past it.
func TestRule9_AnOfferOfHTTP2IsIgnoredByProxies(t *testing.T) {
	gate := gateway(t, serve(t, spy).URL, httpctx.ServerConfig{})
	for _, connection := range []string{"Upgrade, HTTP2-Settings", "Upgrade", "HTTP2-Settings, upgrade"} {
		res, body := raw(t, gate, request("GET /", "Authorization: Bearer alice", "Connection: "+connection, "Upgrade: H2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d: %s", connection, res.StatusCode, body)
		}
		got := decode(t, body).Header
		for _, name := range []string{"Upgrade", "Connection", "Http2-Settings"} {
			if got[name] != nil {
				t.Errorf("%s: the upstream got %s: %q", connection, name, got[name])
			}
		}
		if got.Get("X-User-Id") != "alice" {
			t.Errorf("%s: the upstream got %v", connection, got)
		}
	}
}

func TestCVE_2018_1002105_AFailedUpgradeLeavesNoTunnel(t *testing.T) {
	requests := 0
	upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		http.Error(w, "no", http.StatusBadRequest)
	}))
	gate := gateway(t, upstream.URL, httpctx.ServerConfig{})
	conn, r, res := upgrade(t, gate, "alice", "websocket")
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusBadRequest {
		t.Fatalf("status %d", res.StatusCode)
	}
	// On a tunnel this would arrive at the upstream; here the gateway judges it.
	_, _ = io.WriteString(conn, request("GET /admin", "X-User-Id: eve"))
	res, err := http.ReadResponse(r, nil)
	if err == nil && res.StatusCode != http.StatusUnauthorized || requests != 1 {
		t.Errorf("a second request got %v, %v; upstream saw %d", res, err, requests)
	}
}

func TestAnUpstreamCannotSwitchProtocolsUnasked(t *testing.T) {
	upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	}))
	gate := gateway(t, upstream.URL, httpctx.ServerConfig{})
	if res, _ := raw(t, gate, request("GET /", "Authorization: Bearer alice")); res.StatusCode != http.StatusBadGateway {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestTheSubprotocolTokenIsNotNegotiated(t *testing.T) {
	offered := make(chan string, 1)
	upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offered <- strings.Join(r.Header.Values("Sec-Websocket-Protocol"), "|")
		echo(w, r)
	}))
	gate := gateway(t, upstream.URL, httpctx.ServerConfig{})
	conn, err := net.Dial("tcp", gate.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, request("GET /", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Protocol: bearer.alice, chat"))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", res, err)
	}
	if got := <-offered; got != "chat" {
		t.Errorf("upstream was offered %q", got)
	}
}

// TestAWebSocketKeepsHalfClose has a client that says something after the service
// has ended its half, and then ends its own.
func TestAWebSocketKeepsHalfClose(t *testing.T) {
	for name, token := range map[string]string{"a caller without an end": "alice", "a caller with an end": "carol"} {
		t.Run(name, func(t *testing.T) {
			heard := make(chan string, 1)
			target, _ := url.Parse(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nthat is all")
				_ = conn.(*net.TCPConn).CloseWrite()
				text, _ := io.ReadAll(rw)
				heard <- string(text)
			})).URL)
			s := newServer(t, httpctx.ServerConfig{})
			h, err := newProxy(t, s, newFields(t)).Handler(&httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }})
			if err != nil {
				t.Fatal(err)
			}
			conn, r, res := upgrade(t, serve(t, s.Handler(h)), token, "websocket")
			if res.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("status %d", res.StatusCode)
			}
			if text, err := io.ReadAll(r); string(text) != "that is all" || err != nil {
				t.Errorf("the client heard %q, %v", text, err)
			}
			_, _ = io.WriteString(conn, "thank you")
			_ = conn.(*net.TCPConn).CloseWrite()
			if text := <-heard; text != "thank you" {
				t.Errorf("the service heard %q", text)
			}
		})
	}
}

// TestRule6_AWebSocketOfGRPCWebBringsNoIdentity: an upstream makes a request of the
// first message of such a WebSocket, with the fields that a client wrote there.
func TestRule6_AWebSocketOfGRPCWebBringsNoIdentity(t *testing.T) {
	upstream := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent %v", r.Header) }))
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/": authctx.Authenticated()}, Public: []string{"/public"}})
	g := gateway(t, upstream.URL, httpctx.ServerConfig{Policy: policy})
	for _, path := range []string{"/shop.v1.Orders/List", "/public"} {
		for _, protocols := range [][]string{{"grpc-websockets"}, {"GRPC-WebSockets"}, {"chat, grpc-websockets"}, {"chat", "grpc-websockets "}} {
			header := with(token("alice"), "Connection", "Upgrade", "Upgrade", "websocket")
			header["Sec-Websocket-Protocol"] = protocols
			if res, _ := do(t, "GET", g.URL+path, header); res.StatusCode != http.StatusForbidden {
				t.Errorf("%s, %q: %s", path, protocols, res.Status)
			}
		}
	}
}
