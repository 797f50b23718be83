package grpcctx

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/authctx/authctx"
)

// ServerConfig configures [NewServer]. Authenticator and Policy are required.
type ServerConfig struct {
	// Authenticator says who is calling.
	Authenticator authctx.Authenticator
	// Policy says who may call what, by full method. Methods that it does not
	// list are refused. A server that lets its handlers decide, or a proxy,
	// says so with a Default rule, at least [authctx.Authenticated].
	Policy *authctx.Policy
	// Observer is told of every decision, and of streams that were ended; nil
	// means nobody is.
	Observer authctx.Observer
	// KeepCredentials leaves the credentials that Authenticator reads in the
	// metadata that handlers see, for handlers that exchange the token. Identity
	// fields are removed all the same.
	KeepCredentials bool
	// RecheckInterval is how often the caller of a running stream is checked
	// again where the authenticator offers that (see [authctx.Result]), so that
	// a revocation ends the stream. Zero means that a stream runs until its
	// caller's effective end.
	RecheckInterval time.Duration
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Server authenticates and authorizes the calls of a [grpc.Server]. It is safe
// for concurrent use and may serve several servers.
type Server struct {
	authenticator authctx.Authenticator
	policy        *authctx.Policy
	observer      authctx.Observer
	recheck       time.Duration
	now           func() time.Time

	md       mdReader
	stripped authctx.FieldSet // what handlers do not see
	reported authctx.FieldSet // what an operator hears of when it was not believed
}

// NewServer returns a server for cfg, or an error that names every setting that
// is missing or wrong.
func NewServer(cfg ServerConfig) (*Server, error) {
	var errs []error
	if cfg.Authenticator == nil {
		errs = append(errs, errors.New("grpcctx: ServerConfig.Authenticator is required"))
	}
	if cfg.Policy == nil {
		errs = append(errs, errors.New("grpcctx: ServerConfig.Policy is required"))
	}
	if cfg.RecheckInterval < 0 {
		errs = append(errs, errors.New("grpcctx: ServerConfig.RecheckInterval is negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s := &Server{
		authenticator: cfg.Authenticator,
		policy:        cfg.Policy,
		observer:      cfg.Observer,
		recheck:       cfg.RecheckInterval,
		now:           cfg.Now,
		md:            newMDReader(),
	}
	if s.now == nil {
		s.now = time.Now
	}
	read := cfg.Authenticator.Fields()
	s.stripped = stripSet(authctx.IdentityFields(), read)
	s.reported = stripSet(authctx.IdentityFields(), withoutTokens(read))
	if cfg.KeepCredentials {
		s.stripped = stripSet(authctx.IdentityFields())
	}
	return s, nil
}

// ServerOptions returns the interceptors, for unary calls and streams together.
// Pass all of them to [grpc.NewServer].
//
// They are chained in the order in which options are given, so interceptors of
// options before these, and any set with [grpc.UnaryInterceptor] or
// [grpc.StreamInterceptor], run earlier: they see no caller and metadata that
// nobody has cleaned, and must not believe a word of it.
func (s *Server) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
	}
}

// unary runs a handler for a caller who may call it. A call that is under way
// when its caller's effective end comes is not cut short; streams are.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	a, err := s.admit(ctx, info.FullMethod)
	if err != nil {
		return nil, refuse(err)
	}
	resp, err := handler(a.ctx, req)
	if err != nil {
		return nil, translate(err)
	}
	return resp, nil
}
