package httpctx

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/inbound"
	"github.com/authctx/authctx/internal/vigil"
)

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
	if rt.unasked != nil {
		return rt.authorizeOpen(ctx, p)
	}
	if err := rt.entry.Check(ctx, p); err != nil {
		return err
	}
	for _, e := range rt.also {
		if err := e.Check(ctx, p); err != nil {
			rt.entry = e
			return err
		}
	}
	return nil
}

// authorizeOpen asks the entries that only the table knows.
func (rt *route) authorizeOpen(ctx context.Context, p authctx.Principal) error {
	var asked authctx.Entry
	for asked = range rt.table.askOpen(rt.unasked) {
		if err := asked.Check(ctx, p); err != nil {
			rt.entry = asked
			return err
		}
	}
	if !asked.Listed() { // by none of them, which lets nobody in
		return asked.Check(ctx, p)
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
	rt := s.routeByPath(in)
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
