package grpcctx

import (
	"context"
	"errors"
	"log"
	"runtime/debug"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

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

// watchedStream is a serverStream whose caller may come to an end. From then on
// what its handler calls does not reach the streams of the interceptors around,
// which have returned and may look at what they counted.
type watchedStream struct {
	serverStream
	cut atomic.Pointer[error] // the refusal
}

func (s *watchedStream) err() error {
	if err := s.cut.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *watchedStream) SendMsg(m any) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.ServerStream.SendMsg(m)
}

func (s *watchedStream) RecvMsg(m any) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.ServerStream.RecvMsg(m)
}

func (s *watchedStream) SetHeader(md metadata.MD) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.ServerStream.SetHeader(md)
}

func (s *watchedStream) SendHeader(md metadata.MD) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.ServerStream.SendHeader(md)
}

func (s *watchedStream) SetTrailer(md metadata.MD) {
	if s.err() == nil {
		s.ServerStream.SetTrailer(md)
	}
}

// stream runs a handler for a caller who may call it, for as long as that
// caller may act. Who may act without end, and public methods, run as they are.
func (s *Server) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	var d decision
	if err := s.admit(ss.Context(), info.FullMethod, &d); err != nil {
		return refuse(err)
	}
	if !vigil.Needed(&d.result, s.recheck) {
		return s.returned(d.ctx, info.FullMethod, handler(srv, &serverStream{ss, d.ctx}))
	}
	w := &watchedStream{serverStream: serverStream{ServerStream: ss}}
	return s.returned(d.ctx, info.FullMethod, s.watched(d, w, func() error { return handler(srv, w) }))
}

// watched runs handler with ws until it returns or its caller comes to an end, of
// which the observer is told.
//
// Returning is the only thing that ends a gRPC stream while its handler is
// blocked in a receive or a flow-controlled send: grpc then sends the status
// and cancels the stream, and that unblocks the handler.
func (s *Server) watched(d decision, ws *watchedStream, handler func() error) error {
	ctx, cancel := context.WithCancelCause(d.ctx)
	ws.ctx = ctx
	// over says which of the two came first; a client that leaves is neither.
	over, finish := context.WithCancelCause(context.WithoutCancel(d.ctx))
	o := outcome{err: errGoexit}
	go func() {
		defer cancel(nil)
		defer finish(errReturned)
		o = run(handler)
	}()
	vigil.New(d.result, s.recheck, s.now).Start(over, finish, func(err error) {
		d.event.Ignored, d.event.Duration = nil, 0
		s.observe(&d, authctx.Ended, err)
	})
	<-over.Done()
	if err := context.Cause(over); err != errReturned {
		refused := refuse(err)
		ws.cut.Store(&refused)
		cancel(err)
		return refused
	}
	return o.result()
}

// errReturned is why nobody watches a stream any more whose handler is done.
var errReturned = errors.New("grpcctx: stream handler returned")

// outcome is how a handler ended.
type outcome struct {
	err      error
	panicked any // nil when it did not
}

// result returns the handler's error, or goes on with its panic as if there had
// been no goroutine between: interceptors around tell values apart, and send
// some of them.
func (o outcome) result() error {
	if o.panicked != nil {
		panic(o.panicked)
	}
	return o.err
}

// errGoexit is what becomes of a handler that neither returns nor panics.
var errGoexit = errors.New("grpcctx: stream handler called runtime.Goexit")

// run calls handler, on a goroutine of its own, where a panic would end the
// program before any recovering interceptor could see it. It logs the stack, which
// whoever recovers the panic elsewhere does not get.
func run(handler func() error) (o outcome) {
	defer func() {
		if o.panicked = recover(); o.panicked != nil {
			log.Printf("grpcctx: panic of a stream handler: %v\n%s", o.panicked, debug.Stack())
		}
	}()
	return outcome{err: handler()}
}
