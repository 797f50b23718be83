package httpctx

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/serving"
	"github.com/authctx/authctx/internal/strip"
)

// ServerConfig configures [NewServer].
type ServerConfig struct {
	// Authenticator says who is calling. It is required.
	Authenticator authctx.Authenticator
	// Policy is the table of rules, keyed by pattern: see "How paths are matched" in the
	// package documentation. Two patterns that a mux would not take together are an
	// error, also if that is so only when letter case is ignored. It is required, unless
	// AllowAnonymous is set. Where rules are a matter of [Server.Require] and of handlers
	// alone, it is authctx.DefaultPolicy(authctx.Authenticated()).
	Policy *authctx.Policy
	// AllowAnonymous lets requests without credentials reach the handler, which
	// sees no caller. Bad credentials are still refused. It contradicts Policy,
	// which says for each route whether a caller is needed.
	AllowAnonymous bool
	// KeepCredentials leaves the client's own, verified credential on the
	// request that the handler sees, for a token exchange. [Transport] and
	// [Proxy] do not pass it on even then. It contradicts a Strip that names
	// anything that Authenticator reads. By default it is removed.
	KeepCredentials bool
	// Strip names further fields to remove from requests, such as the identity fields of
	// another system. Identity fields of this module and whatever Authenticator reads are
	// removed in any case. An Authorization that nobody reads is left to the handler if
	// there is only one and its name is spelled like that, letter case aside; otherwise
	// it is removed. It is an error to name a field here that no request can do without,
	// see [authctx.FieldSet.Validate].
	Strip authctx.FieldSet
	// RecheckInterval is how often the caller of an open WebSocket, of a gRPC call
	// or a stream of events through a [Proxy], or of [Server.StreamContext] is
	// checked again, where the authenticator offers that in [authctx.Result], so
	// that a revocation ends it: at least 1 ms. Zero means that it goes on until its
	// caller's effective end.
	RecheckInterval time.Duration
	// Realm is the realm of challenges; empty means "api".
	Realm string
	// ResourceMetadata, when it is not nil, is published: [Server.Handler] answers
	// GET and HEAD for "/.well-known/oauth-protected-resource", followed by the path
	// of the resource, under any host and without asking anybody, and challenges
	// say where that is. A mux outside must route that path to the handler:
	//
	//	outer.Handle(server.ResourceMetadataPath(), handler)
	//
	// Middleware in front must not rewrite that path. ResourceMetadata is copied.
	ResourceMetadata *ResourceMetadata
	// Refuse, when it is not nil, is asked to answer a refused request, and
	// reports whether it did; if not, the Server answers. The request is
	// stripped. It serves clients that do not speak problem details, such as
	// those of gRPC: package grpcctx recognizes their requests and answers them. Those
	// of Connect and gRPC-Web need no Refuse: without one they derive their code from
	// the status, and do not learn the reason.
	//
	// The header of w has WWW-Authenticate and Retry-After already, as the Server
	// would send them, unless the request is one of gRPC. A 401 must keep the challenge
	// (RFC 9110 section 15.5.2), or set another in its place. An answer that is to hide
	// that there is anything, such as a 404, deletes it.
	// Clients are told [authctx.Reason.Public] of the error, and never its text.
	//
	// A [Proxy] also asks Refuse for the trailers of a gRPC call that it ends: the
	// fields that begin with Grpc- are sent, and w is not the client's.
	Refuse func(w http.ResponseWriter, r *http.Request, err error) bool
	// Observer is told of every decision, those of [Server.Require] and what handlers
	// give to [Server.WriteError] included; nil means nobody is.
	Observer authctx.Observer
	// Now is the clock; nil means [time.Now]. A caller whose effective end has come by
	// this clock is refused as [authctx.TokenExpired], whatever the clock of
	// Authenticator says. So a test that sets the clock of Authenticator sets this one
	// too.
	Now func() time.Time
}

// Server authenticates and authorizes incoming requests: [Server.Handler] puts it
// in front of a handler, [Server.NewMux] of routes that are checked at the start. It
// is safe for concurrent use. A nil or zero Server lets nobody in: Handler panics when it
// is called, and Check of a zero one says [authctx.Unavailable].
type Server struct {
	authenticator   authctx.Authenticator
	policy          *authctx.Policy
	table           *table // of policy
	allowAnonymous  bool
	keepCredentials bool
	recheck         time.Duration
	refuse          func(http.ResponseWriter, *http.Request, error) bool
	observer        authctx.Observer
	now             func() time.Time

	strip      stripper
	keys       map[string]string
	vary       vary
	challenges []challenge
	metadata   *metadata // nil for none
}

// NewServer returns a server for cfg, or an error that names every setting that
// is missing, wrong or in contradiction to another.
func NewServer(cfg ServerConfig) (*Server, error) {
	table, err := newTable(cfg.Policy)
	if err := errors.Join(cfg.validate(), err); err != nil {
		return nil, err
	}
	s := &Server{
		authenticator:   cfg.Authenticator,
		policy:          cfg.Policy,
		table:           table,
		allowAnonymous:  cfg.AllowAnonymous,
		keepCredentials: cfg.KeepCredentials,
		recheck:         cfg.RecheckInterval,
		refuse:          cfg.Refuse,
		observer:        cfg.Observer,
		now:             cfg.Now,
	}
	if s.now == nil {
		s.now = time.Now
	}
	fields := cfg.Authenticator.Fields()
	s.strip = stripper{strip.NewInbound(fields, cfg.Strip)}
	s.keys = canonicalKeys(fields)
	s.vary = newVary(fields)
	s.metadata = newMetadata(cfg.ResourceMetadata, fields.Schemes)
	s.challenges = newChallenges(cfg.Realm, s.metadata.parameter(), fields.Schemes)
	return s, nil
}

func (cfg *ServerConfig) validate() error {
	var errs []error
	bad := func(text string) { errs = append(errs, errors.New("httpctx: server: "+text)) }
	serving.Check(bad, cfg.Authenticator, cfg.Strip, cfg.KeepCredentials, cfg.RecheckInterval, cfg.Observer)
	switch {
	case cfg.Policy == nil && !cfg.AllowAnonymous:
		bad("Policy is required")
	case cfg.Policy != nil && cfg.AllowAnonymous:
		bad("AllowAnonymous contradicts Policy; list public routes in the policy")
	}
	if cfg.Policy != nil && absent.Unmade(cfg.Policy) {
		bad("Policy is a zero Policy, which refuses everything; NewPolicy makes one, and DefaultPolicy of a rule")
	}
	if !quotable(cfg.Realm) {
		bad("Realm is not printable ASCII")
	}
	if cfg.ResourceMetadata != nil {
		cfg.ResourceMetadata.validate(bad)
		if !absent.Unmade(cfg.Authenticator) && slices.ContainsFunc(cfg.Authenticator.Fields().Schemes, namesMetadata) {
			bad("ResourceMetadata contradicts Authenticator, which has a scheme with resource_metadata")
		}
	}
	return errors.Join(errs...)
}

// Handler returns a handler that lets only decided requests through to next.
//
// The request that next sees is a copy with the caller in its context. If it
// becomes a WebSocket, the connection is closed at the caller's effective end,
// or, if that comes while the machine is suspended, within a minute of when the
// machine goes on. For other answers that go on and on there is
// [Server.StreamContext].
//
// Requests for public entries of the policy are not authenticated, and neither are
// CORS preflights. The handler then sees no caller and no credential. The body of
// its answer to a preflight is dropped unless the entry is public: a browser reads
// status and headers only.
//
// Handler panics when next is nil or holds a nil function or pointer, and if
// [NewServer] has not made s.
//
// # Routes
//
// When next is an [http.ServeMux], the policy is asked about the pattern that the
// mux will route the request by; otherwise about the path. How, and what is
// refused as [authctx.InvalidRequest], is in the package documentation under "How
// paths are matched". A request that the mux answers itself, such as one for an
// unknown path, gets that answer if it is authenticated, and 401 otherwise.
//
// With AllowAnonymous, or with a policy of nothing but a default rule, none of this
// is asked: any path and any method reach next, from whoever passes.
//
// # Caches
//
// Answers to GET and HEAD get "private" added to their Cache-Control, unless they
// are for public entries or next has set "public", an "s-maxage" above 0 or "no-store".
// Shared caches keep no answer to a request with an Authorization, unless it allows
// that (RFC 9111 section 3.5), but do not know that cookies, or the fields that a
// gateway writes in place of Authorization, make an answer personal. So say "public" or
// "s-maxage" only of what is the same for all callers and may be seen by anybody. A
// Cache-Control in Result.Response, which comes with a new DPoP nonce, replaces what
// next sets.
//
// If next has said more in Cache-Control than "private", or set Expires, Last-Modified or
// ETag, the fields that Authenticator reads are added to Vary. By these, a private cache
// in a client that calls for many keeps its callers apart, unless they differ only in
// fields that are read by a prefix. Other answers get no Vary, and such a cache may be
// made to give them out all the same. So it must not serve several callers, see
// [TransportConfig].
//
// # Middleware and frameworks inside
//
// next must use the writer and the request that it is given. Put the engine of a
// framework inside, server.Handler(engine). Adapters that make Handler middleware
// of a framework may pass the framework's own writer and request instead: with
// gwatts/gin-adapter, or a function for gin that ignores the writer, a WebSocket
// does not end with its caller, and the body of an answer to a preflight may be
// sent. Do not use Fiber's adaptor for net/http, which neither strips fields nor
// carries the caller.
//
// When next has returned, the request that came in gets the MultipartForm of the
// copy, whose files net/http then removes; middleware inside that copies the
// request has to do the same. The Pattern of a mux inside is not seen outside:
// middleware that names requests by it, as tracing does, stands inside or uses
// Entry of an [authctx.Event].
func (s *Server) Handler(next http.Handler) http.Handler {
	if s == nil || s.authenticator == nil { // it would let preflights in, with forged identity
		panic("httpctx: a Server that NewServer did not make")
	}
	if absent.Nil(next) {
		panic("httpctx: nil handler")
	}
	route := s.router(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.metadata.asks(r) {
			s.metadata.answer(w, r)
			return
		}
		d := s.decide(r, route(r))
		setFields(w.Header(), d.result.Response)
		if d.err != nil {
			s.turnAway(w, r, d.err)
			return
		}
		if c := s.newControlWriter(w, r, &d); c != nil {
			defer c.finish()
			w = c
		}
		if d.preflight {
			w = &preflightWriter{ResponseWriter: w}
		}
		in := s.admit(r, &d)
		defer handBack(r, in)
		next.ServeHTTP(s.watched(w, r, &d), in)
	})
}

// Check decides about r as [Server.Handler] does for a handler that is not a
// mux, and tells the observer. A nil error with a zero principal is a request
// that needs none: one for a public entry, a CORS preflight, whose answer should
// have no body, or with AllowAnonymous any without credentials.
//
// Check writes nothing and changes nothing: the fields of Result.Response, with
// or without an error, are the caller's to send, and r still has all of its
// fields, the client's credential and forged identity included. Do not read them
// or copy them to another request: not even [Transport] knows such a credential
// from the program's own. Only [Server.Handler] makes a request that is clean.
func (s *Server) Check(r *http.Request) (authctx.Result, error) {
	d := s.decide(r, s.routeByPath(r))
	return d.result, d.err
}

// Require returns middleware for single routes inside [Server.Handler]: it lets
// callers through whom rule allows. It authenticates nobody, so outside of
// Handler it refuses everybody. A rule that is nil or holds a nil pointer refuses
// everybody too. The observer is told when it refuses. The middleware panics when
// it is given a nil handler, as Handler does.
func (s *Server) Require(rule authctx.Rule) func(http.Handler) http.Handler {
	if absent.Nil(rule) {
		rule = nil
	}
	return func(next http.Handler) http.Handler {
		if absent.Nil(next) {
			panic("httpctx: nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := authctx.Authorize(r.Context(), rule); err != nil {
				s.observeRefusal(r, err)
				s.turnAway(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
