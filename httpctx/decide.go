package httpctx

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/inbound"
	"github.com/authctx/authctx/internal/vigil"
)

// route is what is known of where a request goes before it is let through.
type route struct {
	pattern string
	entry   authctx.Entry
	// also are further entries that must allow the request.
	also []authctx.Entry
	// open is what the table is asked for more of them, nil when they are all here.
	open *open
	// err is why the request is refused whoever is calling.
	err error
	// answered says that the mux answers itself and runs nothing of the user's.
	answered bool
	// asked says that a preflight asks about something that the policy lists.
	asked bool
	// table is the one that was asked, nil if a mux said how it routes.
	table *table
}

// router returns how requests for next are routed.
func (s *Server) router(next http.Handler) func(*http.Request) route {
	mux, ok := next.(*http.ServeMux)
	if !ok {
		return s.unrouted
	}
	return func(r *http.Request) route {
		_, pattern := mux.Handler(r)
		if pattern == "" {
			return route{answered: true}
		}
		if s.table == nil {
			return s.routed(pattern)
		}
		if err := s.table.unclear(r, r.Method); err != nil {
			return route{pattern: pattern, err: err}
		}
		rt := s.routed(pattern)
		s.table.addUnrouted(&rt, r)
		return rt
	}
}

func (s *Server) routed(pattern string) route {
	return route{pattern: pattern, entry: s.policy.Route(pattern)}
}

// unrouted returns the route of a request whose handler does not say how it
// routes.
func (s *Server) unrouted(r *http.Request) route {
	if s.table == nil {
		return s.routed(r.Pattern)
	}
	rt := s.table.route(r, r.Method)
	if r.Method == http.MethodOptions && !rt.entry.Listed() {
		rt.asked = s.table.route(r, r.Header.Get("Access-Control-Request-Method")).entry.Listed()
	}
	return rt
}

// name is what the observer is told.
func (rt route) name() string {
	if rt.entry.Listed() {
		return rt.entry.Name
	}
	return rt.pattern
}

// decision is the outcome for one request.
type decision struct {
	route  route
	result authctx.Result
	// ctx is that of the request with the caller, and with nobody whom something
	// outside had put there: rules, the observer and the handler get it.
	ctx    context.Context
	err    error
	header http.Header // what the handler sees; nil when it sees nothing
	// preflight says that the request passes as one, unauthenticated.
	preflight bool
}

// decide is the only place where a request is let through.
func (s *Server) decide(r *http.Request, rt route) decision {
	var start time.Time
	if s.observer != nil {
		start = s.now()
	}
	d := decision{route: rt, preflight: !rt.entry.Public && s.isPreflight(r, rt)}
	if !rt.entry.Public && !d.preflight {
		d.result, d.err = s.authenticate(r)
		if d.err == nil {
			d.ctx = d.result.NewContext(r.Context())
			d.err = s.authorize(d.ctx, &d.route, d.result.Principal)
		} else if s.allowAnonymous && errors.Is(d.err, authctx.NoCredentials) {
			d.err = nil
		}
	}
	if d.ctx == nil {
		d.ctx = withoutCaller(r.Context())
	}
	var kept authctx.FieldSet
	if s.keepCredentials && !d.result.Principal.IsZero() {
		kept = d.result.Read
	}
	if s.observer == nil {
		if d.err == nil {
			d.header, _ = s.strip.header(r.Header, kept, nil)
		}
		return d
	}
	var ignored []string
	d.header, ignored = s.strip.header(r.Header, kept, &d.result)
	s.observe(r, &d, ignored, start)
	return d
}

// withoutCaller returns ctx, if need be with its caller taken away.
func withoutCaller(ctx context.Context) context.Context {
	if _, ok := authctx.FromContext(ctx); ok {
		return authctx.NewContext(ctx, authctx.Principal{})
	}
	return ctx
}

func (s *Server) authenticate(r *http.Request) (authctx.Result, error) {
	if isEarly(r) {
		return authctx.Result{}, tooEarly()
	}
	in := &incoming{fields: fieldReader{r.Header, s.keys}}
	in.request = authctx.Request{
		Transport:        authctx.TransportHTTP,
		Method:           r.Method,
		Target:           target(r.URL),
		Fields:           &in.fields,
		Peer:             peer(r),
		PeerCertificates: peerCertificates(r),
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		in.request.UnverifiedPeerCertificate = r.TLS.PeerCertificates[0]
	}
	res, err := authctx.Authenticate(r.Context(), s.authenticator, &in.request)
	if err == nil {
		err = vigil.Standing(&res, s.now)
	}
	return res, err
}

// authorize judges a caller who is known. The entry of rt is then the one that
// decided.
func (s *Server) authorize(ctx context.Context, rt *route, p authctx.Principal) error {
	if s.policy == nil || rt.answered {
		return nil
	}
	if rt.err != nil {
		return rt.err
	}
	err := rt.entry.Check(ctx, p)
	for i := 0; err == nil && i < len(rt.also); i++ {
		if err = rt.also[i].Check(ctx, p); err != nil {
			rt.entry = rt.also[i]
		}
	}
	if err == nil && rt.open != nil {
		err = rt.authorizeOpen(ctx, p)
	}
	return err
}

// authorizeOpen asks the entries that nobody has looked for yet.
func (rt *route) authorizeOpen(ctx context.Context, p authctx.Principal) error {
	first := rt.entry.Name
	for e := range rt.table.askOpen(rt.open) {
		if e.Name == first {
			continue
		}
		if err := e.Check(ctx, p); err != nil {
			rt.entry = e
			return err
		}
	}
	return nil
}

// checkBehindMux decides by the table about a request that a mux has handed to a
// proxy, unless that was done already, and tells the observer if it is refused. A
// preflight passes as in decide.
func (s *Server) checkBehindMux(r *http.Request) (preflight bool, err error) {
	known := admission(r.Context())
	if s.table == nil || s.table == known.table {
		return false, nil
	}
	in := r.WithContext(r.Context())
	in.Pattern = "" // of which the Server was asked
	if known.url != nil {
		in.URL = known.url
	} else if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		in.URL = u // with what a mux has stripped
	}
	rt := s.unrouted(in)
	if !rt.entry.Public && s.isPreflight(in, rt) {
		return true, nil
	}
	p, _ := authctx.FromContext(r.Context())
	if err = s.authorize(r.Context(), &rt, p); err != nil {
		if p.IsZero() && errors.Is(err, authctx.PermissionDenied) {
			err = &authctx.Error{Reason: authctx.NoCredentials, Cause: err}
		}
		s.observeAfter(r, rt.name(), authctx.OutcomeOf(err), p, err)
	}
	return false, err
}

// admit returns the request that the handler sees.
func (s *Server) admit(r *http.Request, d *decision) *http.Request {
	ctx := s.withAdmission(r, d)
	if s.keepCredentials && !d.result.Principal.IsZero() {
		ctx = inbound.NewContext(ctx, r.Header, d.result.Read)
	}
	admitted := r.WithContext(s.withUnread(ctx, d.header))
	admitted.Header = d.header
	s.strip.trailer(admitted, r)
	if d.preflight {
		return withoutBody(admitted)
	}
	return admitted
}

// withUnread returns a context that remembers what of h, which user code is to see,
// nobody has read.
func (s *Server) withUnread(ctx context.Context, h http.Header) context.Context {
	if authorization, ok := s.strip.set.Left(h, "Authorization"); ok {
		return inbound.WithUnread(ctx, authorization)
	}
	return ctx
}

func (s *Server) observe(r *http.Request, d *decision, ignored []string, start time.Time) {
	e := newEvent(r, d.route.name(), authctx.OutcomeOf(d.err), d.result.Principal, d.err)
	e.Ignored, e.Cached, e.Duration = ignored, d.result.Cached, s.now().Sub(start)
	s.observer.Observe(d.ctx, e)
}

// observeRefusal tells the observer of a refusal after the request was let in.
func (s *Server) observeRefusal(r *http.Request, err error) {
	p, _ := authctx.FromContext(r.Context())
	s.observeAfter(r, cmp.Or(admission(r.Context()).entry, r.Pattern), authctx.OutcomeOf(err), p, err)
}

// observeAfter tells the observer what became of a request that was let in.
func (s *Server) observeAfter(r *http.Request, entry string, outcome authctx.Outcome, p authctx.Principal, err error) {
	if s.observer != nil {
		s.observer.Observe(r.Context(), newEvent(r, entry, outcome, p, err))
	}
}

func newEvent(r *http.Request, entry string, outcome authctx.Outcome, p authctx.Principal, err error) authctx.Event {
	return authctx.Event{
		Transport: authctx.TransportHTTP,
		Entry:     entry,
		Method:    r.Method,
		Target:    target(r.URL),
		Outcome:   outcome,
		Reason:    authctx.ReasonOf(err),
		Err:       err,
		Principal: p,
		Peer:      peer(r),
	}
}
