package httpctx

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/authctx/authctx"
)

// errEnded is why a connection was closed at its caller's effective end.
var errEnded = errors.New("the caller's effective end came while the connection was open")

// isWebSocket reports whether the request asks to become a WebSocket.
func isWebSocket(h http.Header) bool {
	upgrade := h["Upgrade"]
	return len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

// endWithCaller returns w, or for a WebSocket whose caller has an end, a writer
// whose connection is closed then.
func (s *Server) endWithCaller(w http.ResponseWriter, r *http.Request, d *decision) http.ResponseWriter {
	end := d.result.Principal.Expires()
	if end.IsZero() || !isWebSocket(r.Header) {
		return w
	}
	return &endingWriter{ResponseWriter: w, life: end.Sub(s.now()), ended: func() {
		if s.observer != nil {
			s.observeEnd(r, d)
		}
	}}
}

// endingWriter is a response writer whose connection, once hijacked, lives no
// longer than its caller.
type endingWriter struct {
	http.ResponseWriter
	life  time.Duration
	ended func()
}

// Unwrap serves [http.ResponseController].
func (w *endingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements [http.Flusher] as far as the wrapped writer does.
func (w *endingWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack implements [http.Hijacker].
func (w *endingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return newEndingConn(conn, w.life, w.ended), rw, nil
}

// endingConn closes itself after a time.
type endingConn struct {
	net.Conn
	close func() error
	timer *time.Timer
}

func newEndingConn(conn net.Conn, life time.Duration, ended func()) *endingConn {
	c := &endingConn{Conn: conn, close: sync.OnceValue(conn.Close)}
	c.timer = time.AfterFunc(life, func() {
		_ = c.close() // nobody is left to tell
		ended()
	})
	return c
}

// Close closes the connection; its timer is no longer needed.
func (c *endingConn) Close() error {
	c.timer.Stop()
	return c.close()
}

func (s *Server) observeEnd(r *http.Request, d *decision) {
	s.observer.Observe(r.Context(), authctx.Event{
		Transport: "http",
		Entry:     d.route.name(),
		Method:    r.Method,
		Target:    r.URL.Path,
		Outcome:   authctx.Ended,
		Reason:    authctx.TokenExpired,
		Err:       &authctx.Error{Reason: authctx.TokenExpired, Cause: errEnded},
		Principal: d.result.Principal,
		Peer:      peer(r),
	})
}
