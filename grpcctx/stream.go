package grpcctx

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"google.golang.org/grpc"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/vigil"
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
	if !vigil.Needed(&a.result, s.recheck) {
		return translate(handler(srv, stream))
	}
	ctx, cancel := context.WithCancelCause(a.ctx)
	defer cancel(nil)
	stream.ctx = ctx

	o, done := outcome{err: errGoexit}, make(chan struct{})
	go func() {
		defer cancel(nil) // a recheck under way has no purpose any more
		defer close(done)
		o = run(func() error { return handler(srv, stream) })
	}()
	// Returning is the only thing that ends a gRPC stream while its handler is
	// blocked in a receive or a flow-controlled send: grpc then sends the status
	// and cancels the stream, and that unblocks the handler.
	if err := vigil.New(a.result, s.recheck, s.now).Keep(ctx, done); err != nil {
		a.event.Ignored, a.event.Duration = nil, 0
		s.observe(a.ctx, a.event, authctx.Ended, err)
		cancel(err)
		return refuse(err)
	}
	return translate(o.result())
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
