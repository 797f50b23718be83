package httpctx

import (
	"cmp"
	"net/http"
	"time"

	"github.com/authctx/authctx"
)

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
