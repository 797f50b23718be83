package httpctx

import (
	"net/http"

	"github.com/authctx/authctx"
)

// route is what is known of where a request goes before it is let through.
type route struct {
	pattern string
	entry   authctx.Entry
	// also are further entries that must allow the request.
	also []authctx.Entry
	// unasked, when it is not nil, is what the table is asked for all of them, in
	// place of entry and also.
	unasked *openQuery
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
		return s.routeByPath
	}
	return func(r *http.Request) route {
		_, pattern := mux.Handler(r)
		if pattern == "" {
			return route{answered: true}
		}
		if s.table == nil {
			return s.routeByPattern(pattern)
		}
		if err := s.table.checkMethodAndHost(r, r.Method); err != nil {
			return route{pattern: pattern, err: err}
		}
		rt := s.routeByPattern(pattern)
		s.table.addUnrouted(&rt, r)
		return rt
	}
}

func (s *Server) routeByPattern(pattern string) route {
	return route{pattern: pattern, entry: s.policy.Route(pattern)}
}

// routeByPath returns the route of a request whose handler does not say how it
// routes.
func (s *Server) routeByPath(r *http.Request) route {
	if s.table == nil {
		return s.routeByPattern(r.Pattern)
	}
	rt := s.table.route(r, r.Method)
	if r.Method == http.MethodOptions && !rt.entry.Listed() {
		rt.asked = s.table.route(r, r.Header.Get("Access-Control-Request-Method")).entry.Listed()
	}
	return rt
}

// name is what the observer is told: which route it was rather than that the default
// rule decided ("default", see [authctx.Entry]), where both are known.
func (rt route) name() string {
	if rt.entry.Listed() && (rt.entry.Name != "default" || rt.pattern == "") {
		return rt.entry.Name
	}
	return rt.pattern
}

// and makes rt ask for what e asks for too. A public entry asks for nothing, and
// what is not listed allows nothing.
func (rt *route) and(e authctx.Entry) {
	switch {
	case e.Public, !rt.entry.Listed(), e.Name == rt.entry.Name:
	case rt.entry.Public, !e.Listed():
		rt.entry = e
	default:
		rt.also = append(rt.also, e)
	}
}
