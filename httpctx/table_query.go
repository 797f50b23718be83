package httpctx

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/grammar"
)

// query is what a table is asked about a request.
type query struct {
	reading
	method string
	hosts  []string // as servers read the one
	// segments are those of the reading, cut once: how long they are is for the peer
	// to choose, and how many patterns look at them is not.
	segments []segment
	usual    [8]segment // has them, if there are no more
}

// cut fills in the segments.
func (q *query) cut() {
	q.segments = q.usual[:0]
	folded, literal := q.folded, q.literal
	for more := folded != ""; more; {
		var s segment
		s.folded, folded, more = strings.Cut(folded, "/")
		s.text, literal, _ = strings.Cut(literal, "/")
		q.segments = append(q.segments, s)
	}
}

// checkMethodAndHost returns why servers may find another method or host in a request
// than method and Host, whoever routes it.
func (t *table) checkMethodAndHost(r *http.Request, method string) error {
	switch {
	case !grammar.IsToken(method): // over HTTP/2, net/http admits others
		return unclear("the method is not a token")
	case t.methods && overridesMethod(r):
		return unclear("a field names another method than that of the request, and the policy rules by method")
	case t.hosted > 0 && !isHost(r.Host):
		return unclear("the Host is not a name or an IPv6 address in brackets, with or without a port")
	}
	return nil
}

// route returns what the table says of r if it had this method. If an outer mux
// has routed r by a pattern that the policy lists, that is asked too.
func (t *table) route(r *http.Request, method string) route {
	rt := route{pattern: r.Pattern, table: t}
	rd, err := readPath(r, t.depth+1)
	if err == nil {
		err = t.checkMethodAndHost(r, method)
	}
	if err == nil && method != strings.ToUpper(method) {
		err = unclear("the method is not in upper case") // which is another one to some servers
	}
	if err != nil {
		rt.err = err
		return rt
	}
	q := query{reading: rd, method: method}
	q.cut()
	if t.hosted > 0 {
		q.hosts = hosts(r)
	}
	rest := t.policy.Route(r.Pattern) // for what the table does not list
	if q.open {
		t.routeOpen(&rt, q, rest)
		return rt
	}
	entries := make([]authctx.Entry, 0, 4)
	if rest.Listed() && rest.Name == r.Pattern {
		entries = append(entries, rest)
	}
	if !t.ask(&q, func(e authctx.Entry) bool { entries = append(entries, e); return true }) {
		if !rest.Listed() && len(entries) > 0 {
			rt.err = unlisted(rd)
		}
		entries = append(entries, rest)
	}
	rt.entry = entries[0]
	for _, e := range entries[1:] {
		rt.and(e)
	}
	return rt
}

// openQuery is a query of a path that is not sure to its end. The entries that must
// allow it may be all that there are, for a request that costs its sender next to
// nothing, so that most are left until the caller is known and asked one by one.
type openQuery struct {
	query
	outer authctx.Entry // of the pattern of an outer mux, if the policy lists that
	rest  authctx.Entry // for what the table does not list, if there is such
}

// routeOpen completes rt with the first entry that asks for a caller, if there is
// one. The policy has rest for what the table does not list.
func (t *table) routeOpen(rt *route, q query, rest authctx.Entry) {
	o := openQuery{query: q, rest: rest}
	if rest.Listed() && rest.Name == rt.pattern {
		o.outer = rest
		if !isTree(rt.pattern) { // which does not rule what some server may read below
			o.rest = t.policy.Route("")
		}
	}
	if t.covers(&o.query) {
		o.rest = authctx.Entry{}
	} else if !o.rest.Listed() {
		rt.err = unlisted(o.reading)
		return
	}
	rt.unasked = &o
	for e := range t.askOpen(&o) {
		if !rt.entry.Listed() || !e.Public {
			rt.entry = e
		}
		if !e.Public {
			return
		}
	}
}

// askOpen returns the entries that must allow an open query, the outer one once.
func (t *table) askOpen(o *openQuery) iter.Seq[authctx.Entry] {
	return func(yield func(authctx.Entry) bool) {
		more := !o.outer.Listed() || yield(o.outer)
		if more {
			t.ask(&o.query, func(e authctx.Entry) bool { more = e.Name == o.outer.Name || yield(e); return more })
		}
		if more && o.rest.Listed() && o.rest.Name != o.outer.Name {
			yield(o.rest)
		}
	}
}

// covers reports whether an open query falls under an entry in every reading, as
// ask does, but looks only at entries that begin as the query does.
func (t *table) covers(q *query) bool {
	sure := *q
	sure.open = false
	for p := range t.candidates(&sure) {
		if _, every := p.match(q); every {
			return true
		}
	}
	return slices.ContainsFunc(t.services, func(s *pattern) bool {
		_, every := s.match(q)
		return every
	})
}

// ask calls yield with the entries that must allow a request, until that returns
// false, and reports whether the request falls under one of them in every reading.
func (t *table) ask(q *query, yield func(authctx.Entry) bool) (covered bool) {
	var last *pattern
	for p, every := range t.matches(q) {
		if !yield(p.entry) {
			return false
		}
		if every {
			last, covered = p, true
		}
	}
	// Some server leaves out the slash, or what is not sure.
	if (q.slash || q.open) && !t.askTrimmed(*q, yield) {
		return false
	}
	for _, s := range t.services { // no mux knows them, so that both count
		if last != nil && s.hasMethod(last.entry.Name) {
			continue
		}
		some, every := s.match(q)
		if some && !yield(s.entry) {
			return false
		}
		covered = covered || every
	}
	return covered
}

// askTrimmed calls yield as ask does, for the path without its last slash or what
// is not sure: for "/a", if q is for "/a/" or "/a/b%2Fc". Then "/a" and "/{name}"
// count. Trees do not: "/" need not allow "/static" to whoever asks for "/static/".
// But by "/{name}/" a client gets at any path, such as "/admin", and less specific
// trees count too. It reports whether yield never returned false.
func (t *table) askTrimmed(q query, yield func(authctx.Entry) bool) (more bool) {
	q.slash, q.open = false, false
	chosen := false
	for p := range t.matches(&q) {
		if (chosen || !p.tree && !p.slash) && !yield(p.entry) {
			return false
		}
		if n := len(p.segments); p.tree && n > 0 && n == len(q.segments) {
			chosen = chosen || p.segments[n-1] == segment{}
		}
	}
	return true
}

// matches returns the patterns under which q falls in some reading, the most
// specific first, and whether it does in every one. If so, those that would
// follow count for none: they are less specific, or match nothing of it. Where
// there are "/files/{name}", "/files/" and "/", "/files/a" falls under the first
// alone; "/files/a%2Fb" does in some reading, and in every one under the second.
func (t *table) matches(q *query) iter.Seq2[*pattern, bool] {
	return func(yield func(*pattern, bool) bool) {
		var last *pattern
		for p := range t.candidates(q) {
			if last != nil && !p.ties(last) {
				return
			}
			some, every := p.match(q)
			if some && !yield(p, every) {
				return
			}
			if every {
				last = p
			}
		}
	}
}

// candidates returns the patterns that may match q, the most specific first.
func (t *table) candidates(q *query) iter.Seq[*pattern] {
	return func(yield func(*pattern) bool) {
		anywhere := t.patterns[:t.hosted]
		if q.open {
			anywhere = t.patterns
		}
		for _, p := range anywhere {
			if !yield(p) {
				return
			}
		}
		for b := q.folded; !q.open; b = b[:max(0, strings.LastIndexByte(b, '/'))] {
			for _, p := range t.beginning[b] {
				if !yield(p) {
					return
				}
			}
			if b == "" {
				return
			}
		}
	}
}

// unclear refuses a request that can be read in different ways.
func unclear(why string) error {
	return &authctx.Error{Reason: authctx.InvalidRequest, Cause: errors.New(why)}
}

// unlisted refuses a request of which a policy lists some readings and not all.
func unlisted(rd reading) error {
	why := errors.New("the policy lists the path in another spelling only: letter case, encoding, or a slash at the end")
	if rd.open {
		why = fmt.Errorf(`some server may read the path as any below "/%s", and the policy does not list all of these`, rd.folded)
	}
	return &authctx.Error{Reason: authctx.PermissionDenied, Cause: why}
}
