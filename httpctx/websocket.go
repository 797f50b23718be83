package httpctx

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
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

// mayEnd reports whether the request may become a connection that outlives its
// caller. What a handler takes for a request to upgrade is its own affair, so
// any Upgrade counts.
func mayEnd(r *http.Request, p authctx.Principal) bool {
	return len(r.Header["Upgrade"]) > 0 && !p.Expires().IsZero()
}

// endingKey is the context key that says that somebody will close the
// connection at the caller's end already.
type endingKey struct{}

// endWithCaller returns w, or for a request that mayEnd a writer whose connection
// is closed at the caller's end.
func (s *Server) endWithCaller(w http.ResponseWriter, r *http.Request, d *decision) http.ResponseWriter {
	if !mayEnd(r, d.result.Principal) {
		return w
	}
	caller, entry := d.result.Principal, d.route.name() // not d, which would be kept on the heap for every request
	return &endingWriter{ResponseWriter: w, life: caller.Expires().Sub(s.now()), ended: func() {
		s.observeAfter(r, entry, authctx.Ended, caller, endedError())
	}}
}

func endedError() error {
	return &authctx.Error{Reason: authctx.TokenExpired, Cause: errEnded}
}

// endContext returns a copy of ctx, the context of a WebSocket that goes to an
// upstream, which is cancelled at the caller's end.
func (p *Proxy) endContext(ctx context.Context, in *http.Request, caller authctx.Principal) context.Context {
	if in.Context().Value(endingKey{}) != nil {
		return ctx
	}
	ctx, cancel := context.WithTimeoutCause(ctx, caller.Expires().Sub(p.server.now()), errEnded)
	context.AfterFunc(in.Context(), cancel)
	context.AfterFunc(ctx, func() {
		if context.Cause(ctx) == errEnded {
			p.server.observeAfter(in, in.Pattern, authctx.Ended, caller, endedError())
		}
	})
	return ctx
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

// endingConn is a connection that closes itself after a time.
type endingConn struct {
	net.Conn
	timer *time.Timer
}

func newEndingConn(conn net.Conn, life time.Duration, ended func()) *endingConn {
	return &endingConn{Conn: conn, timer: time.AfterFunc(life, func() {
		ended()
		_ = conn.Close() // nobody is left to tell
	})}
}

// Close closes the connection; its timer is no longer needed.
func (c *endingConn) Close() error {
	c.timer.Stop()
	return c.Conn.Close()
}
