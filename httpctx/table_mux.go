package httpctx

import (
	"net/http"
	"strings"
)

// addUnrouted adds to rt, by which a mux routes r, the entries that must allow r
// and that this mux has no route for, such as "/admin/" where it has "/" alone:
// that of a more specific pattern, and that of an RPC service.
func (t *table) addUnrouted(rt *route, r *http.Request) {
	if rt.entry.Name == rt.pattern && !t.crowded[rt.pattern] {
		return
	}
	t.addUnroutedAt(rt, r)
	if t.hosted == 0 {
		return
	}
	for _, host := range hosts(r) { // a mux looks at their case and the dot at their end
		if host != r.Host {
			in := r.WithContext(r.Context())
			in.Host = host
			t.addUnroutedAt(rt, in)
		}
	}
}

// addUnroutedAt is addUnrouted for the host as it stands in r.
func (t *table) addUnroutedAt(rt *route, r *http.Request) {
	pattern := rt.pattern
	if _, p := t.mux.Handler(r); p != "" && p != pattern {
		pattern = p
		rt.and(t.policy.Route(p))
	}
	path := pathOf(pattern)
	for _, s := range t.services {
		if strings.HasPrefix(r.URL.Path, s.prefix()) && !strings.HasPrefix(path, s.prefix()) {
			rt.and(s.entry)
		}
	}
}
