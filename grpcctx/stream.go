package grpcctx

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"

	"github.com/authctx/authctx"
)

// serverStream is a stream whose context has the caller. Messages pass it at no
// cost.
type serverStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *serverStream) Context() context.Context { return s.ctx }

// stream runs a handler for a caller who may call it, for as long as that
// caller may act. Who may act without end, and public methods, run as they are.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	a, err := s.admit(ss.Context(), info.FullMethod)
	if err != nil {
		return refuse(err)
	}
	stream := &serverStream{ss, a.ctx}
	if _, ends := s.remaining(a.result.Principal); !ends && !s.rechecks(a.result) {
		return translate(handler(srv, stream))
	}
	ctx, cancel := context.WithCancelCause(a.ctx)
	defer cancel(nil)
	stream.ctx = ctx

	done := make(chan outcome, 1)
	go func() {
		defer cancel(nil) // a recheck under way has no purpose any more
		o := outcome{err: errGoexit}
		defer func() { done <- o }()
		o = run(func() error { return handler(srv, stream) })
	}()
	return s.watch(ctx, cancel, a, done)
}

func (s *Server) rechecks(res authctx.Result) bool { return s.recheck > 0 && res.Recheck != nil }

// maxWait bounds how long a stream goes without a look at the clock, because
// timers do not follow when a wall clock is set or a machine was suspended.
const maxWait = time.Minute

// watch waits for the handler or for the end of its caller, whichever comes
// first. Returning is the only thing that ends a gRPC stream while its handler
// is blocked in a receive or a flow-controlled send: grpc then sends the status
// and cancels the stream, and that unblocks the handler.
func (s *Server) watch(ctx context.Context, cancel context.CancelCauseFunc, a admission, done <-chan outcome) error {
	next := s.now().Add(s.recheck)
	timer := time.NewTimer(s.wait(a.result, next))
	defer timer.Stop()
	for {
		select {
		case o := <-done:
			return translate(o.result())
		case <-timer.C:
		}
		if err := s.stillStands(ctx, a.result, &next); err != nil {
			a.event.Ignored, a.event.Duration = nil, 0
			s.observe(a.ctx, a.event, authctx.Ended, err)
			cancel(err)
			return refuse(err)
		}
		timer.Reset(s.wait(a.result, next))
	}
}

// wait returns how long to sleep until the caller's end or the next recheck.
func (s *Server) wait(res authctx.Result, next time.Time) time.Duration {
	d := maxWait
	if left, ends := s.remaining(res.Principal); ends {
		d = min(d, left)
	}
	if s.rechecks(res) {
		d = min(d, next.Sub(s.now()))
	}
	return max(d, 0)
}

// stillStands returns why the stream must end. A recheck that cannot be made
// ends it as it would refuse a new call.
func (s *Server) stillStands(ctx context.Context, res authctx.Result, next *time.Time) error {
	now := s.now()
	if res.Principal.ExpiredAt(now) {
		return &authctx.Error{Reason: authctx.TokenExpired, Cause: errors.New("the caller's effective end has come during a stream")}
	}
	if !s.rechecks(res) || now.Before(*next) {
		return nil
	}
	*next = now.Add(s.recheck)
	if left, ends := s.remaining(res.Principal); ends {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, left)
		defer cancel()
	}
	err := res.Recheck(ctx)
	if ctx.Err() != nil {
		return nil // handler, peer or caller came to an end meanwhile: not an answer
	}
	return err
}

// outcome is how a handler ended.
type outcome struct {
	err      error
	panicked *handlerPanic
}

// result returns the handler's error, or goes on with its panic.
func (o outcome) result() error {
	if o.panicked != nil {
		panic(o.panicked)
	}
	return o.err
}

// errGoexit is what becomes of a handler that neither returns nor panics.
var errGoexit = errors.New("grpcctx: stream handler called runtime.Goexit")

// run calls handler on a goroutine of its own, where a panic would end the
// program before any recovering interceptor could see it.
func run(handler func() error) (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			o.panicked = &handlerPanic{value: v, stack: debug.Stack()}
		}
	}()
	return outcome{err: handler()}
}

// handlerPanic is what a stream handler panicked with, and where, since the
// stack of whoever recovers it does not lead there.
type handlerPanic struct {
	value any
	stack []byte
}

func (p *handlerPanic) Error() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

// Unwrap returns the value if it was an error.
func (p *handlerPanic) Unwrap() error {
	err, _ := p.value.(error)
	return err
}
