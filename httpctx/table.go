package httpctx

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/authctx/authctx"
)

// table says which entries of a policy must allow a request, for a handler that
// does not say how it routes: a proxy, another router, a mux inside of
// middleware. They are those under which the request falls in some reading, each
// in a mux that has the policy's patterns and no others.
type table struct {
	policy   *authctx.Policy
	services []*pattern // whole RPC services
	patterns []*pattern // the others: those with a host first, then the most specific
	hosted   int        // how many have a host
	methods  bool       // some have a method
	depth    int        // segments of the longest
	// beginning has those without a host by the literals they begin with, "a/b".
	beginning map[string][]*pattern

	mux     *http.ServeMux  // that has the patterns
	crowded map[string]bool // those of which some requests fall under another
}

// newTable returns the table of policy, nil when that lists nothing, or an error
// that names every pattern that net/http does not take or no request falls under,
// and every two that no mux takes together, because nobody could say which of
// them counts.
func newTable(policy *authctx.Policy) (*table, error) {
	names := policy.Names()
	if len(names) == 0 {
		return nil, nil
	}
	t := &table{policy: policy, beginning: map[string][]*pattern{}, mux: http.NewServeMux(), crowded: map[string]bool{}}
	var errs []error
	for _, problem := range slices.Concat(t.parse(names), t.sort()) {
		errs = append(errs, errors.New("httpctx: server: Policy: "+problem))
	}
	t.index()
	return t, errors.Join(errs...)
}

func (t *table) parse(names []string) (problems []string) {
	if register(http.NewServeMux(), "/{") == "" { // a mux of Go 1.21 refuses nothing
		return []string{"net/http does not know its patterns with GODEBUG=httpmuxgo121=1"}
	}
	for _, name := range names {
		if service, ok := strings.CutSuffix(name, "*"); ok && strings.HasSuffix(service, "/") {
			t.services = append(t.services, parsePattern(service, t.policy.Route(name)))
			continue
		}
		problem := register(http.NewServeMux(), name)
		if problem == "" {
			p := parsePattern(name, t.policy.Route(name))
			t.patterns = append(t.patterns, p)
			problem = p.wrong()
		}
		if problem != "" {
			problems = append(problems, problem)
		}
	}
	return problems
}

// sort finds out which patterns are more specific than others, and which are
// neither that nor less.
func (t *table) sort() (problems []string) {
	slices.SortFunc(t.patterns, func(a, b *pattern) int { // HEAD is before GET, and no method last
		return cmp.Or(strings.Compare(b.host, a.host), strings.Compare(a.shape, b.shape), strings.Compare(b.method, a.method))
	})
	before, ofHost := &paths{}, map[string]*paths{}
	for _, s := range t.services {
		before.add(s)
	}
	for _, p := range t.patterns {
		for range before.overlapping(p) { // whatever the hosts, of which one request may have several
			t.crowded[p.entry.Name] = true
			break
		}
		if ofHost[p.host] == nil {
			ofHost[p.host] = &paths{}
		}
		for o := range ofHost[p.host].overlapping(p) {
			if p.conflicts(o) {
				problems = append(problems, fmt.Sprintf("%q and %q match the same requests, letter case aside, and neither is more specific", o.entry.Name, p.entry.Name))
			}
		}
		before.add(p)
		ofHost[p.host].add(p)
	}
	slices.Sort(problems)
	return problems
}

func (t *table) index() {
	for _, p := range t.patterns {
		register(t.mux, p.entry.Name)
		t.methods = t.methods || p.method != ""
		if p.host != "" {
			t.hosted++
		} else {
			b := p.beginning()
			t.beginning[b] = append(t.beginning[b], p)
		}
	}
	for _, p := range slices.Concat(t.patterns, t.services) {
		t.depth = max(t.depth, len(p.segments))
	}
}
