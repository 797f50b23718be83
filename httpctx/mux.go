package httpctx

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Mux is an [http.ServeMux] that remembers its patterns, so that a route nobody
// wrote a rule for is found when the program starts. Register routes, then call
// [Mux.Handler]; neither is for concurrent use, the handler is. Middleware goes
// around that handler. [Server.NewMux] makes one; the methods of the zero Mux,
// which has no Server, panic.
type Mux struct {
	server   *Server
	mux      *http.ServeMux
	patterns []string
	checked  bool
}

// NewMux returns an empty mux for the policy of s.
func (s *Server) NewMux() *Mux {
	return &Mux{server: s, mux: http.NewServeMux()}
}

// Handle registers a handler as [http.ServeMux.Handle] does, and panics where
// that does and once [Mux.Handler] has checked the routes.
func (m *Mux) Handle(pattern string, handler http.Handler) {
	if m.checked {
		panic("httpctx: mux: a route after Handler, which would not have checked it")
	}
	m.mux.Handle(pattern, handler)
	m.patterns = append(m.patterns, pattern)
}

// HandleFunc registers a function as [Mux.Handle] does a handler.
func (m *Mux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	if handler == nil {
		panic("httpctx: nil handler")
	}
	m.Handle(pattern, http.HandlerFunc(handler))
}

// Handler returns the routes behind [Server.Handler], or an error that lists
// every route for which the policy has neither a rule nor a public entry, nor a
// Default that rules it, and every HTTP entry of the policy that is not a route.
//
// Entries that may name an RPC method are left to whoever serves it, unless a route
// has that very path and goes by another pattern, such as one with an HTTP method.
// So where one route is for all methods of a service, as "/package.Service/" of
// Connect, an entry of a method is followed but one that was mistyped is not found:
// register each method that has an entry as a route too, with the same handler.
//
// A Server without a Policy has no such handler.
func (m *Mux) Handler() (http.Handler, error) {
	if m.server.policy == nil {
		return nil, errors.New("httpctx: mux: the Server has no Policy to check routes by: give an http.ServeMux to Server.Handler")
	}
	if err := errors.Join(append(m.unruled(), m.unrouted()...)...); err != nil {
		return nil, err
	}
	m.checked = true
	return m.server.Handler(m.mux), nil
}

// unruled says which routes the policy does not list.
func (m *Mux) unruled() (errs []error) {
	names := m.server.policy.Names()
	for _, pattern := range m.patterns {
		if m.server.policy.Route(pattern).Listed() {
			continue
		}
		hint := ""
		path := pathOf(pattern)
		whole := path[:2+strings.IndexByte(path[1:], '/')] + "*" // of the service, if it is one's
		if slices.Contains(names, whole) {
			hint = fmt.Sprintf(", for %q rules no route", whole)
		}
		errs = append(errs, fmt.Errorf("httpctx: mux: the policy does not list the route %q%s", pattern, hint))
	}
	return errs
}

// unrouted says which HTTP entries of the policy are no routes.
func (m *Mux) unrouted() (errs []error) {
	routed, paths := map[string]bool{}, map[string]bool{}
	for _, pattern := range m.patterns {
		routed[pattern], paths[pathOf(pattern)] = true, true
	}
	for _, name := range m.server.policy.Names() {
		if !routed[name] && (paths[name] || !maybeRPC(name)) {
			errs = append(errs, fmt.Errorf("httpctx: mux: the policy lists %q, which is not a route", name))
		}
	}
	return errs
}

// pathOf returns the path of a pattern, without method and host.
func pathOf(pattern string) string { return pattern[strings.IndexByte(pattern, '/'):] }

// maybeRPC reports whether a key of the policy table has the form of a full
// method or of a whole service.
func maybeRPC(name string) bool {
	service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	return ok && name[0] == '/' && service != "" && method != "" && !strings.ContainsAny(name, "{} ") && !strings.Contains(method, "/")
}
