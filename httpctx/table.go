package httpctx

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/authctx/authctx"
)

// table matches requests with the patterns of a policy, for a handler that does
// not say how it routes: a proxy, another router, a mux inside of middleware.
type table struct {
	policy *authctx.Policy
	mux    *http.ServeMux
	folded *http.ServeMux // the patterns in lower case, but for those that this makes one
}

// listed is an entry as a table's mux knows it. It serves nothing.
type listed struct{ authctx.Entry }

func (listed) ServeHTTP(http.ResponseWriter, *http.Request) {}

// newTable returns the table of policy, nil when that lists nothing, or an error
// that names every pattern that net/http does not take, and every two that no
// mux takes together, because nobody could say which of them counts.
func newTable(policy *authctx.Policy) (*table, error) {
	names := policy.Names()
	if len(names) == 0 {
		return nil, nil
	}
	t := &table{policy: policy, mux: http.NewServeMux(), folded: http.NewServeMux()}
	folds := map[string]int{}
	for _, name := range names {
		folds[foldPattern(name)]++
	}
	var errs []error
	for i, name := range names {
		problem := register(t.mux, name, listed{policy.Route(name)})
		switch {
		case problem != "":
			if other := conflicting(name, names[:i]); other != "" {
				problem = fmt.Sprintf("%q and %q match the same requests, and neither is more specific", other, name)
			}
		case oddHost(name):
			problem = fmt.Sprintf("the host of %q has a capital, a port or a dot at its end, and is no request's", name)
		}
		if problem != "" {
			errs = append(errs, errors.New("httpctx: server: Policy: "+problem))
		}
		if lower := foldPattern(name); folds[lower] == 1 {
			_ = register(t.folded, lower, listed{policy.Route(name)}) // a problem has been told
		}
	}
	return t, errors.Join(errs...)
}

// foldPattern returns a pattern with the letters of its path in lower case, not
// those of its wildcards.
func foldPattern(pattern string) string {
	before, path, _ := strings.Cut(pattern, "/")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if !strings.HasPrefix(s, "{") {
			segments[i] = strings.ToLower(s)
		}
	}
	return before + "/" + strings.Join(segments, "/")
}

// oddHost reports whether the host of a pattern is written as no mux reads that
// of a request, or as only some clients write theirs.
func oddHost(pattern string) bool {
	host, _, _ := strings.Cut(pattern, "/")
	host = host[strings.LastIndexAny(host, " \t")+1:]
	return host != strings.ToLower(host) || strings.Contains(host, ":") && !strings.HasSuffix(host, "]") || strings.HasSuffix(host, ".")
}

// conflicting returns the pattern with which no mux takes name, empty when name
// is not a pattern at all.
func conflicting(name string, others []string) string {
	for _, other := range others {
		mux := http.NewServeMux()
		if register(mux, name, listed{}) == "" && register(http.NewServeMux(), other, listed{}) == "" && register(mux, other, listed{}) != "" {
			return other
		}
	}
	return ""
}

// register says why mux does not take pattern, empty when it does. A mux has no
// other way to say it than a panic.
func register(mux *http.ServeMux, pattern string, handler http.Handler) (problem string) {
	defer func() {
		if p := recover(); p != nil {
			problem = fmt.Sprint(p)
		}
	}()
	mux.Handle(pattern, handler)
	return ""
}

// route returns what the table says of r if it had this method. Whoever is
// behind may read the path in another way than a mux does, so that every entry
// counts under which one of its readings falls, and besides them the entry of
// the pattern by which an outer mux has routed r.
func (t *table) route(r *http.Request, method string) route {
	paths, err := readings(r)
	if err == nil && method != strings.ToUpper(method) {
		err = unclear("the method is not in upper case") // which is another one to some servers
	}
	rest := t.policy.Route(r.Pattern) // for what the table does not list
	var entries []authctx.Entry
	if rest.Name != t.policy.Route("").Name {
		entries = append(entries, rest)
	}
	for i, path := range paths {
		for _, host := range hosts(r.Host) {
			found, slash := t.match(method, host, path)
			if slash && i == 0 {
				err = unclear("the policy lists the path with a slash at its end only; list both")
			}
			if len(found) == 0 {
				found = []authctx.Entry{rest}
			}
			entries = append(entries, found...)
		}
	}
	if err != nil {
		return route{pattern: r.Pattern, err: err}
	}
	rt := route{pattern: r.Pattern, entry: entries[0]}
	for _, e := range entries[1:] {
		rt.and(e)
	}
	return rt
}

// match returns the entries for a path, which is escaped and clean: of the
// pattern, of the pattern that it has for servers that do not look at case, and
// of the RPC service. With slash, what is listed is the path with a slash at its
// end.
func (t *table) match(method, host, path string) (found []authctx.Entry, slash bool) {
	e, ok, slash := lookup(t.mux, method, host, path)
	if ok {
		found = append(found, e)
	}
	if e, ok, _ := lookup(t.folded, method, host, strings.ToLower(path)); ok {
		found = append(found, e)
	}
	if e, ok := t.service(decode(path)); ok {
		found = append(found, e)
	}
	return found, slash
}

// lookup returns the entry by whose pattern mux routes a request, and whether
// that is of the path with a slash at its end, to which mux would redirect.
func lookup(mux *http.ServeMux, method, host, path string) (e authctx.Entry, ok, slash bool) {
	handler := func(path string) (http.Handler, string) {
		u := &url.URL{Path: decode(path), RawPath: path}
		return mux.Handler(&http.Request{Method: method, Host: host, URL: u})
	}
	h, pattern := handler(path)
	l, ok := h.(listed)
	if slash = !ok && pattern != ""; slash {
		h, _ = handler(path + "/")
		l, ok = h.(listed)
	}
	return l.Entry, ok, slash
}

// service returns the entry of the RPC service that a path is of or below, if
// that is listed as a whole and the very method is not.
func (t *table) service(path string) (authctx.Entry, bool) {
	e := t.policy.RPC(path)
	if e.Name != path && !strings.HasSuffix(e.Name, "/*") {
		name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		e = t.policy.RPC("/" + name + "/*")
	}
	return e, strings.HasSuffix(e.Name, "/*")
}

// and makes rt ask for what e asks for too. A public entry asks for nothing, and
// what is not listed allows nothing.
func (rt *route) and(e authctx.Entry) {
	same := func(o authctx.Entry) bool { return o.Name == e.Name }
	switch {
	case e.Public, !rt.entry.Listed(), same(rt.entry), slices.ContainsFunc(rt.also, same):
	case rt.entry.Public, !e.Listed():
		rt.entry = e
	default:
		rt.also = append(rt.also, e)
	}
}

// hosts returns the host of a request as a mux reads it, and as a server does
// that takes it for a name of the DNS, where they differ.
func hosts(host string) []string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if name := strings.TrimSuffix(strings.ToLower(host), "."); name != host {
		return []string{host, name}
	}
	return []string{host}
}

// unclear refuses a request that can be read in different ways.
func unclear(why string) error {
	return &authctx.Error{Reason: authctx.InvalidRequest, Cause: errors.New(why)}
}
