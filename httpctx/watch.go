package httpctx

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/vigil"
)

// watch calls end when the caller of r comes to an end or does not pass a
// recheck, and tells the observer, unless ctx is done before. It does not wait
// for that.
func (s *Server) watch(ctx context.Context, r *http.Request, entry string, res authctx.Result, end func(error)) {
	tell := func(error) {}
	if s.observer != nil {
		e, seen := newEvent(r, entry, authctx.Ended, res.Principal, nil), r.Context() // r may change until then
		tell = func(err error) {
			e.Err, e.Reason = err, authctx.ReasonOf(err)
			s.observer.Observe(seen, e)
		}
	}
	vigil.New(res, s.recheck, s.now).Start(ctx, end, tell)
}

// mayOutlive reports whether the request may become a connection that outlives
// its caller. What a handler takes for a request to upgrade is its own affair,
// so any Upgrade counts.
func (s *Server) mayOutlive(r *http.Request, res *authctx.Result) bool {
	return len(r.Header["Upgrade"]) > 0 && vigil.Needed(res, s.recheck)
}

// watched returns w, or for a request that mayOutlive its caller a writer whose
// connection is closed at the caller's end.
func (s *Server) watched(w http.ResponseWriter, r *http.Request, d *decision) http.ResponseWriter {
	if !s.mayOutlive(r, &d.result) {
		return w
	}
	res, entry := d.result, d.route.name() // not d, which would be kept on the heap for every request
	r = r.WithContext(d.ctx)
	return &watchedWriter{ResponseWriter: w, hijacked: func(conn net.Conn) net.Conn {
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		s.watch(ctx, r, entry, res, func(error) { _ = conn.Close() }) // nobody is left to tell
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
func (w *watchedWriter) Flush() { _ = w.FlushError() }

// FlushError serves [http.ResponseController], which asks no Flusher for an error.
func (w *watchedWriter) FlushError() error {
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// CloseNotify implements [http.CloseNotifier].
func (w *watchedWriter) CloseNotify() <-chan bool { return closeNotify(w.ResponseWriter) }

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

// CloseWrite ends one direction, as a ReverseProxy does when its upstream has
// ended that; where it cannot, both end.
func (c *watchedConn) CloseWrite() error {
	if conn, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return conn.CloseWrite()
	}
	return errors.ErrUnsupported
}

// StreamContext returns a copy of r's context for a handler whose answer is a
// stream that may outlive its caller, such as events (text/event-stream). It is
// cancelled at the caller's effective end and when the caller does not pass a
// recheck, see [ServerConfig.RecheckInterval]; the observer is told, and
// [context.Cause] says why. Whether the handler then stops is up to it; a [Proxy]
// cuts off such answers of its upstream by itself, at the same moment, so that a client
// behind one seldom sees what the handler says last.
//
// A handler that is blocked notices nothing of it: one that reads the request, as in
// Receive of Connect, or writes to a client that does not read. Deadlines wake it:
//
//	if r.ProtoMajor == 1 {
//		w.Header().Set("Connection", "close") // which is good for no request after this
//	}
//	ctx, c := server.StreamContext(r), http.NewResponseController(w)
//	defer context.AfterFunc(ctx, func() {
//		_ = c.SetReadDeadline(time.Now())
//		_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second)) // to say why
//	})()
//
// Where the handler has read the whole request, or there is no body, as with events,
// the write deadline is enough, and the connection stays good.
//
// A framework whose handlers get nothing but a context is given this one in front, by
// ServeHTTP(w, r.WithContext(server.StreamContext(r))). A session that goes on
// without its request, as one of WebTransport, is closed by a [context.AfterFunc].
//
// r is the request that [Server.Handler] gave to the handler. Without a caller, or
// with one who has no end and is not checked again, the context is that of r.
func (s *Server) StreamContext(r *http.Request) context.Context {
	caller, _ := authctx.FromContext(r.Context())
	return s.watchedContext(r.Context(), r, caller, atOnce)
}

// watchedContext returns a copy of ctx, the context of something that in has started
// and that may outlive its caller. When the caller comes to an end, end is called, and
// cancels the copy by calling cancel. The watch ends with ctx.
func (s *Server) watchedContext(ctx context.Context, in *http.Request, caller authctx.Principal, end func(cancel func())) context.Context {
	known := admission(in.Context())
	res := authctx.Result{Principal: caller, Recheck: known.recheck}
	if !vigil.Needed(&res, s.recheck) {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s.watch(ctx, in, known.entry, res, func(err error) {
		if !hasReason(err) {
			err = &authctx.Error{Reason: authctx.Unavailable, Cause: err}
		}
		end(func() { cancel(&refusal{err}) })
	})
	return ctx
}

func atOnce(cancel func()) { cancel() }
