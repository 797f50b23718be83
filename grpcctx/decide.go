package grpcctx

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/inbound"
	"github.com/authctx/authctx/internal/vigil"
)

// decision is the outcome for one call.
type decision struct {
	ctx    context.Context // what the handler gets
	result authctx.Result
	event  authctx.Event
}

// Check decides about the call of method, a full method, to which ctx belongs,
// as the interceptors do, and tells the observer. A nil error with a zero
// principal is a call that needs none: of a public method, or with
// AllowAnonymous any without credentials. A caller whom a rule refuses is in
// Result.Principal all the same.
//
// Check changes nothing: ctx carries no caller, its metadata still has forged
// identity and the client's credential, and the fields of Result.Response, with
// or without an error, are not sent. It is for trying a policy out, on servers
// that go on deciding as they did before; what protects one are the interceptors
// of [Server.ServerOptions].
func (s *Server) Check(ctx context.Context, method string) (authctx.Result, error) {
	var d decision
	err := s.decide(ctx, method, &d)
	return d.result, err
}

// admit decides about one call, and answers with what the authenticator wants to
// say.
func (s *Server) admit(ctx context.Context, method string, d *decision) error {
	err := s.decide(ctx, method, d)
	setResponse(ctx, d.result.Response)
	return err
}

// decide is the only decision there is, for unary calls and streams. Of a call
// that may go on it sets the context for the handler, with the caller and
// without anything that the peer wrote about one.
//
// It fills d and leaves the observer to other functions, to keep the stack shallow:
// one that has to grow costs more than all of this.
func (s *Server) decide(ctx context.Context, method string, d *decision) (err error) {
	var start time.Time
	if s.observer != nil {
		start = s.now()
	}
	md, left := s.md.incoming(ctx, &s.strip)
	entry := s.policy.RPC(method)
	req := newRequest(ctx, method, md)
	if !entry.Public {
		d.result, err = authctx.Authenticate(ctx, s.authenticator, req)
		if err == nil {
			err = vigil.Standing(&d.result, s.now)
		}
	}
	if s.keepCredentials && !d.result.Principal.IsZero() {
		s.strip.keep(left, md, &d.result.Read)
		ctx = inbound.NewContext(ctx, md, d.result.Read)
	}
	if authorization, ok := s.strip.set.Left(left, "authorization"); ok {
		ctx = inbound.WithUnread(ctx, authorization)
	}
	d.ctx = d.result.NewContext(metadata.NewIncomingContext(ctx, left))
	if err == nil && s.policy != nil {
		err = entry.Check(d.ctx, d.result.Principal)
	} else if s.allowAnonymous && errors.Is(err, authctx.NoCredentials) {
		err = nil
	}
	if s.observer != nil {
		s.describe(d, req, entry.Name, md)
		d.event.Duration = s.now().Sub(start)
		s.observe(d, authctx.OutcomeOf(err), err)
	}
	return err
}

// describe says what the observer is told of a call, without its outcome.
//
//go:noinline
func (s *Server) describe(d *decision, req *authctx.Request, entry string, md metadata.MD) {
	d.event = authctx.Event{
		Transport: req.Transport,
		Entry:     entry,
		Method:    req.Method,
		Target:    req.Target,
		Principal: d.result.Principal,
		Peer:      req.Peer,
		Cached:    d.result.Cached,
		Ignored:   s.strip.unread(md, &d.result),
	}
}

//go:noinline
func (s *Server) observe(d *decision, outcome authctx.Outcome, err error) {
	if s.observer == nil {
		return
	}
	d.event.Outcome, d.event.Reason, d.event.Err = outcome, authctx.ReasonOf(err), err
	s.observer.Observe(d.ctx, d.event)
}

// returned is what is sent for the error of a handler, nil for nil. If that is a
// refusal, the observer is told, since the peer learns no cause.
func (s *Server) returned(ctx context.Context, method string, err error) error {
	st := translation(err)
	if st == nil {
		return err
	}
	if s.observer != nil {
		var d decision
		d.ctx = ctx
		d.result.Principal, _ = authctx.FromContext(ctx)
		s.describe(&d, newRequest(ctx, method, nil), s.policy.RPC(method).Name, nil)
		s.observe(&d, authctx.OutcomeOf(err), err)
	}
	return &refusal{err, st}
}

// setResponse sends fields that the authenticator wants to answer with, whether
// or not the call is let through. A name or value that metadata cannot hold is
// not sent: the client would get nothing else of the answer either.
func setResponse(ctx context.Context, response []authctx.Field) {
	for _, f := range response {
		if name := strings.ToLower(f.Name); isKey(name) && (strings.HasSuffix(name, "-bin") || isPrintable(f.Value)) {
			_ = grpc.SetHeader(ctx, metadata.Pairs(name, f.Value))
		}
	}
}
