package grpcctx

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/serving"
	"github.com/authctx/authctx/internal/strip"
)

// ServerConfig configures [NewServer].
type ServerConfig struct {
	// Authenticator says who is calling. It is required. It sees a peer's
	// certificates only if the AuthInfo of the transport credentials is a
	// [google.golang.org/grpc/credentials.TLSInfo], as with TLS of grpc, and not a
	// type of its own that embeds one.
	Authenticator authctx.Authenticator
	// Policy says who may call what, by full method. Methods that it does not
	// list are refused. It is required, unless AllowAnonymous is set. Where
	// handlers decide, and in a proxy, give it a Default rule, at least
	// [authctx.Authenticated].
	Policy *authctx.Policy
	// AllowAnonymous lets calls without credentials reach every handler, which
	// then sees no caller and has to decide by itself, see [authctx.Authorize].
	// Bad credentials are still refused. It contradicts Policy, which says for
	// each method whether a caller is needed.
	AllowAnonymous bool
	// KeepCredentials leaves the caller's own, verified credential in the
	// metadata that handlers see, for a token exchange. By default it is removed.
	// [Client] does not pass it on even then. It contradicts a Strip that names
	// anything that Authenticator reads.
	KeepCredentials bool
	// Strip names further fields to remove from metadata, such as the identity fields of
	// another system. Identity fields of this module and whatever Authenticator reads are
	// removed in any case. An authorization that nobody reads is left to the handler if
	// there is only one and its name is spelled like that, letter case aside; otherwise
	// it is removed. It is an error to name a field here that no call can do without, see
	// [authctx.FieldSet.Validate].
	Strip authctx.FieldSet
	// RecheckInterval is how often the caller of a running stream is checked
	// again, where the authenticator offers that in [authctx.Result], so that a
	// revocation ends the stream: at least 1 ms. Where the answer cannot be had,
	// within the interval or five seconds, whichever is longer, the stream ends with
	// Unavailable, as a new call would be refused. Zero means that a stream runs
	// until its caller's effective end.
	RecheckInterval time.Duration
	// Observer is told of every decision, of refusals that handlers return, such as
	// those of [authctx.Authorize], and of streams that were ended; nil means nobody
	// is.
	Observer authctx.Observer
	// Now is the clock; nil means [time.Now]. A caller whose effective end has come by
	// this clock is refused as [authctx.TokenExpired], whatever the clock of
	// Authenticator says. So a test that sets the clock of Authenticator sets this one
	// too.
	Now func() time.Time
}

// Server authenticates and authorizes the calls of a [grpc.Server]. It is safe
// for concurrent use and may serve several servers.
//
// A stream ends with Unauthenticated at its caller's effective end, even while
// its handler is blocked in a receive or a send; a client that does not read
// sees that once it does. If the end comes while the machine is suspended, the
// stream ends within a minute of when the machine goes on. The handler's context
// is then done, with the refusal as its cause, and whatever it calls on the stream
// fails with that. Handlers of such streams run on a goroutine of their own, which
// [grpc.WaitForHandlers] does not know; what they panic with reaches the
// interceptors around as it is, and the stack is logged. A unary call that is
// under way at its caller's end is not cut short.
//
// Behind [grpc.Server.ServeHTTP] alone, a handler that is blocked in a send to a
// client that does not read stays blocked until that client reads or leaves: the
// WriteTimeout of the [net/http.Server] bounds it, the caller's end does not.
type Server struct {
	authenticator   authctx.Authenticator
	policy          *authctx.Policy
	allowAnonymous  bool
	keepCredentials bool
	recheck         time.Duration
	observer        authctx.Observer
	now             func() time.Time

	md    mdReader
	strip stripper

	unaryOut, streamOut atomic.Bool // which interceptors were asked for
}

// NewServer returns a server for cfg, or an error that names every setting that
// is missing, wrong or in contradiction to another.
func NewServer(cfg ServerConfig) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		authenticator:   cfg.Authenticator,
		policy:          cfg.Policy,
		allowAnonymous:  cfg.AllowAnonymous,
		keepCredentials: cfg.KeepCredentials,
		recheck:         cfg.RecheckInterval,
		observer:        cfg.Observer,
		now:             cfg.Now,
		md:              newMDReader(),
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.strip = stripper{strip.NewInbound(cfg.Authenticator.Fields(), cfg.Strip)}
	return s, nil
}

func (cfg *ServerConfig) validate() error {
	var errs []error
	bad := func(text string) { errs = append(errs, errors.New("grpcctx: server: "+text)) }
	serving.Check(bad, cfg.Authenticator, cfg.Strip, cfg.KeepCredentials, cfg.RecheckInterval, cfg.Observer)
	switch {
	case cfg.Policy == nil && !cfg.AllowAnonymous:
		bad("Policy is required")
	case cfg.Policy != nil && cfg.AllowAnonymous:
		bad("AllowAnonymous contradicts Policy; list public methods in the policy")
	}
	if cfg.Policy != nil && absent.Unmade(cfg.Policy) {
		bad("Policy is a zero Policy, which refuses everything; NewPolicy makes one, and DefaultPolicy of a rule")
	}
	return errors.Join(errs...)
}

// ServerOptions returns the interceptors, for unary calls and streams together.
// Pass all of them to [grpc.NewServer].
//
// It panics, as both interceptors do, if [NewServer] has not made s.
//
// # Other interceptors
//
// Interceptors are chained in the order in which options are given. Those of
// options before these, and any set with [grpc.UnaryInterceptor] or
// [grpc.StreamInterceptor], run earlier: they see no caller, and metadata that may
// be forged and has the client's credential. They must not believe it, nor must
// handlers believe what such an interceptor has put into their context. The
// interceptor of go-kratos, for example, puts all metadata there, for
// transport.FromServerContext: put [Server.UnaryInterceptor] in front of it.
//
// An interceptor of options before these can answer with codes of its own: the error
// that it gets has the reason of a refusal, by [errors.Is], and what it returns in
// its place is sent. The cause is not for clients, and [FromError] reads no reason of
// a status that another has made:
//
//	resp, err := next(ctx, req)
//	if errors.Is(err, authctx.NoCredentials) {
//		err = status.Error(codes.FailedPrecondition, "log in first")
//	}
//	return resp, err
//
// Interceptors of options after these know the caller. A refusal that a handler
// returns has no status there yet, so that a logger or a metric counts it as
// Unknown; those that run earlier see the code that is sent.
//
// Where a stream ends with its caller, its handler may still be blocked in a send
// or a receive when these interceptors return. An interceptor that runs earlier and
// wraps the [grpc.ServerStream], to count messages for example, must therefore read
// its counts atomically or under a lock even then.
//
// # What runs without interceptors
//
//   - A call of a method that the server does not have: grpc answers Unimplemented,
//     nobody is authenticated, and the observer is not told. So anybody can find out
//     which methods there are. A [grpc.UnknownServiceHandler] that returns
//     Unimplemented changes that: it runs behind these interceptors, for unknown
//     methods of known services too.
//   - A [grpc.StreamDesc] with neither ClientStreams nor ServerStreams, which no
//     generator writes: anybody may call it. Use a [grpc.MethodDesc] for it.
//   - What looks at calls elsewhere: the InHeader of a
//     [google.golang.org/grpc/stats.Handler], [grpc.InTapHandle], and binary logs
//     (GRPC_BINARY_LOG_FILTER). These see all metadata as it was sent, credentials
//     and forged identity included, and the logs keep it.
//
// # Limits
//
// grpc reads the message of a unary call before it asks interceptors: nobody is
// authenticated whose message is malformed, too large or never complete. Strangers
// are bounded by options of the server alone, whose defaults are for trusted peers:
//
//   - [grpc.MaxConcurrentStreams], calls under way on a connection: unlimited by
//     default; 1000 are plenty.
//   - [grpc.MaxHeaderListSize], size of the metadata: 16 MiB by default; 64 KiB are
//     plenty.
//   - [grpc.MaxRecvMsgSize], size of a message: 4 MiB by default.
//   - [grpc.KeepaliveParams], age of a connection: unlimited by default. A call whose
//     message never comes ends with MaxConnectionAge and MaxConnectionAgeGrace, as do
//     streams that are longer.
func (s *Server) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(s.UnaryInterceptor()),
		grpc.ChainStreamInterceptor(s.StreamInterceptor()),
	}
}

// UnaryInterceptor returns the interceptor for unary calls. Use it where
// [Server.ServerOptions] cannot be used: in front of the interceptors that a
// framework chains, or for an in-process channel, which has no [grpc.Server]. It
// does the same as that of ServerOptions, and is safe for concurrent use. Streams
// need [Server.StreamInterceptor]; [Server.CheckServices] demands both.
//
// Make it the outermost, before anything that reads metadata. Where a framework makes the
// [grpc.Server], pass it to the options that set a single interceptor: grpc runs that one
// first. For go-kratos, whose middleware then knows the caller:
//
//	kgrpc.Options(
//		grpc.UnaryInterceptor(auth.UnaryInterceptor()),
//		grpc.StreamInterceptor(auth.StreamInterceptor()),
//	)
//
// That middleware gets the errors of handlers first. Where some of it makes answers
// of them, a handler returns Status(err).Err() for a refusal of [authctx.Authorize].
//
// Code that runs the interceptor without a grpc.Server sets FullMethod of its info to the
// method that it is about to call, and passes a context without the values of the
// client's context: a peer among these belongs to another call, and would be taken for
// the peer of this one. An in-process call has no peer, or one without address and
// certificates. Plain fields are then believed under [authctx.TrustNetworkAlone] only.
func (s *Server) UnaryInterceptor() grpc.UnaryServerInterceptor {
	s.mustBeMade()
	s.unaryOut.Store(true)
	return s.unary
}

// StreamInterceptor returns the interceptor for streams. All that is said of
// [Server.UnaryInterceptor] holds for it: give both, as the outermost.
//
// It ends a stream by returning, while the handler may be blocked in a send or a receive.
// Code that runs it without a [grpc.Server] must then make that call fail, as a
// grpc.Server does. Otherwise a send that waits for its client goes on until the client
// reads or leaves.
func (s *Server) StreamInterceptor() grpc.StreamServerInterceptor {
	s.mustBeMade()
	s.streamOut.Store(true)
	return s.stream
}

// mustBeMade panics before there is a call to answer: grpc recovers nothing, and the
// first one would end the program.
func (s *Server) mustBeMade() {
	if s == nil || s.authenticator == nil {
		panic("grpcctx: a Server that NewServer did not make")
	}
}

// unary runs a handler for a caller who may call it.
func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := s.admitted(ctx, info.FullMethod)
	if err != nil {
		return nil, refuse(err)
	}
	resp, err := handler(ctx, req)
	if err != nil {
		return nil, s.returned(ctx, info.FullMethod, err)
	}
	return resp, nil
}

// admitted is admit for a call of which only the context is needed any more: the
// rest is off the stack when the handler runs.
//
//go:noinline
func (s *Server) admitted(ctx context.Context, method string) (context.Context, error) {
	var d decision
	err := s.admit(ctx, method, &d)
	return d.ctx, err
}
