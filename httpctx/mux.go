package httpctx

import (
	"errors"
	"fmt"
	"net/http"
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
// Entries that may name an RPC method are left to whoever serves it, unless a
// route has that very path and goes by another pattern, such as one with an HTTP
// method. A Server without a Policy has no such handler.
func (m *Mux) Handler() (http.Handler, error) {
	policy := m.server.policy
	if policy == nil {
		return nil, errors.New("httpctx: mux: the Server has no Policy")
	}
	var errs []error
	routed, paths := map[string]bool{}, map[string]bool{}
	for _, pattern := range m.patterns {
		routed[pattern] = true
		paths[pattern[strings.IndexByte(pattern, '/'):]] = true
		if !policy.Route(pattern).Listed() {
			errs = append(errs, fmt.Errorf("httpctx: mux: the policy does not list the route %q", pattern))
		}
	}
	for _, name := range policy.Names() {
		if !routed[name] && (paths[name] || !maybeRPC(name)) {
			errs = append(errs, fmt.Errorf("httpctx: mux: the policy lists %q, which is not a route", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m.checked = true
	return m.server.Handler(m.mux), nil
}

// maybeRPC reports whether a key of the policy table has the form of a full
// method or of a whole service.
func maybeRPC(name string) bool {
	service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	return ok && name[0] == '/' && service != "" && method != "" && !strings.ContainsAny(name, "{} ") && !strings.Contains(method, "/")
}
