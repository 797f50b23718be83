package httpctx

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/vigil"
)

// watch calls ended when the caller of a connection comes to an end or does not
// pass a recheck. It returns then, or when ctx is done.
func (s *Server) watch(ctx context.Context, res authctx.Result, ended func(error)) {
	if err := vigil.New(res, s.recheck, s.now).Keep(ctx, ctx.Done()); err != nil {
		ended(err)
	}
}

// isWebSocket reports whether the request asks to become a WebSocket.
func isWebSocket(h http.Header) bool {
	upgrade := h["Upgrade"]
	return len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

// mayOutlive reports whether the request may become a connection that outlives
// its caller. What a handler takes for a request to upgrade is its own affair,
// so any Upgrade counts.
func (s *Server) mayOutlive(r *http.Request, res *authctx.Result) bool {
	return len(r.Header["Upgrade"]) > 0 && vigil.Needed(res, s.recheck)
}

// watchedKey is the context key that says that the connection is watched by the
// Server already.
type watchedKey struct{}

// watched returns w, or for a request that mayOutlive its caller a writer whose
// connection is closed at the caller's end.
func (s *Server) watched(w http.ResponseWriter, r *http.Request, d *decision) http.ResponseWriter {
	if !s.mayOutlive(r, &d.result) {
		return w
	}
	res, entry := d.result, d.route.name() // not d, which would be kept on the heap for every request
	return &watchedWriter{ResponseWriter: w, hijacked: func(conn net.Conn) net.Conn {
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		go s.watch(ctx, res, func(err error) {
			s.observeAfter(r, entry, authctx.Ended, res.Principal, err)
			_ = conn.Close() // nobody is left to tell
		})
		return &watchedConn{conn, cancel}
	}}
}

// watchedWriter is a response writer whose connection, once hijacked, lives no
// longer than its caller.
type watchedWriter struct {
	http.ResponseWriter
	hijacked func(net.Conn) net.Conn
}

// Unwrap serves [http.ResponseController].
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements [http.Flusher] as far as the wrapped writer does.
func (w *watchedWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack implements [http.Hijacker].
func (w *watchedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return w.hijacked(conn), rw, nil
}

// watchedConn is a connection that need not be watched once it is closed.
type watchedConn struct {
	net.Conn
	unwatch context.CancelFunc
}

func (c *watchedConn) Close() error {
	c.unwatch()
	return c.Conn.Close()
}

// watchedContext returns a copy of ctx, the context of a WebSocket that goes to
// an upstream, which is cancelled at the caller's end. The Server does that for
// requests that came through it.
func (p *Proxy) watchedContext(ctx context.Context, in *http.Request, caller authctx.Principal) context.Context {
	res := authctx.Result{Principal: caller}
	if in.Context().Value(watchedKey{}) != nil || !vigil.Needed(&res, p.server.recheck) {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go p.server.watch(ctx, res, func(err error) {
		p.server.observeAfter(in, in.Pattern, authctx.Ended, caller, err)
		cancel(err)
	})
	return ctx
}
