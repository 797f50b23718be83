package authctx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// PolicyConfig is the table that a [Policy] is made of. Its keys are:
//
//   - for HTTP, patterns exactly as they are registered with
//     [net/http.ServeMux]: "GET /orders/{id}", "/static/";
//   - for gRPC, full methods, "/package.Service/Method", or a whole service,
//     "/package.Service/*". An exact method wins over its service.
//
// A whole service means nothing to [net/http.ServeMux], so it rules none of its
// routes: a route below "/package.Service/" must be listed as it is registered, or it
// is refused and never left to Default. A whole service does rule calls that come
// through an HTTP proxy, or by a route above it such as "/".
//
// A Connect handler that is registered as "/package.Service/" is one route for all
// methods. Those without an entry have that route's rule, so a mistyped entry is not
// noticed: where methods differ, register each by its own name with the same handler.
//
// Some HTTP handlers, such as proxies, do not say how they route. How patterns match
// then is in the documentation of package httpctx under "How paths are matched".
type PolicyConfig struct {
	// Rules says who may call what.
	Rules map[string]Rule
	// Public lists what may be called without credentials. Nothing is
	// authenticated there: credentials are stripped unread, and the handler
	// sees no caller.
	Public []string
	// Default is the rule for everything that is not listed; when it is nil, that is
	// refused. It is for proxies, which cannot list all that is behind them, and
	// should be nil elsewhere.
	Default Rule
}

// Policy is one immutable table of rules for both transports. What it does not
// list is refused. It is safe for concurrent use; a nil or zero Policy refuses
// everything.
type Policy struct {
	entries  map[string]Entry
	services map[string]Entry // "/package.Service" of the "/package.Service/*" entries
	fallback Entry
}

// Entry is what a [Policy] says about one route or RPC method. The zero Entry
// refuses.
type Entry struct {
	// Name is the key in the table, "default" for the default rule, and empty
	// when nothing was listed.
	Name string
	// Public says that no caller is needed and none is looked for.
	Public bool

	rule Rule
}

// NewPolicy returns the policy of cfg, which it copies. The error names every
// entry whose rule is nil, that is both ruled and public, or that has the form of
// neither a pattern nor a method. A table without entries and Default is an error
// too. Whether net/http accepts a pattern is checked by httpctx.NewServer.
func NewPolicy(cfg PolicyConfig) (*Policy, error) {
	p := &Policy{entries: make(map[string]Entry, len(cfg.Rules)+len(cfg.Public)), services: map[string]Entry{}}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("authctx: policy: "+format, args...)) }

	for _, name := range slices.Sorted(maps.Keys(cfg.Rules)) {
		if err := validEntryName(name); err != nil {
			bad("Rules: %w", err)
		}
		if isNil(cfg.Rules[name]) {
			bad("Rules: %q has a nil rule", name)
		}
		p.entries[name] = Entry{Name: name, rule: cfg.Rules[name]}
	}
	for _, name := range cfg.Public {
		if err := validEntryName(name); err != nil {
			bad("Public: %w", err)
		}
		if e, ok := p.entries[name]; ok && !e.Public {
			bad("%q is in both Rules and Public", name)
		}
		p.entries[name] = Entry{Name: name, Public: true}
	}
	if cfg.Default != nil {
		if isNil(cfg.Default) {
			bad("Default is a nil rule")
		}
		p.fallback = Entry{Name: defaultEntry, rule: cfg.Default}
	} else if len(p.entries) == 0 {
		bad("it lists nothing and has no Default")
	}
	for name, e := range p.entries {
		if service, ok := strings.CutSuffix(name, "/*"); ok {
			p.services[service] = e
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// DefaultPolicy returns the policy that has one rule for everything, like that of
// [NewPolicy] with nothing but Default. It is for gateways in front of services that
// have rules of their own, and for programs whose handlers do. With a nil rule it is a
// zero Policy, with which no server starts.
func DefaultPolicy(rule Rule) *Policy {
	if isNil(rule) {
		return &Policy{}
	}
	return &Policy{fallback: Entry{Name: defaultEntry, rule: rule}}
}

// defaultEntry is the name of the default rule. It has no slash, so that no other entry
// can have it.
const defaultEntry = "default"

// validEntryName refuses slips that would look like protection and match nothing.
func validEntryName(name string) error {
	path := name[strings.IndexByte(name, ' ')+1:] // drops an HTTP method
	switch {
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("%q has white space around it", name)
	case strings.ContainsFunc(name, unicode.IsControl): // which no escape makes better
		return fmt.Errorf("%q has a control character, and is no request's", name)
	case !exactName(name):
		return fmt.Errorf("%q %s; what a path needs of these is escaped (%%E2%%80%%8C)", name, exactRule)
	case !strings.Contains(path, "/"):
		return fmt.Errorf("%q is neither a net/http pattern nor an RPC method", name)
	case strings.Contains(name, "*") && !isWholeService(name):
		return fmt.Errorf("%q: the only wildcard is a whole gRPC service, %q", name, "/package.Service/*")
	}
	return nil
}

// isWholeService reports whether name is "/package.Service/*".
func isWholeService(name string) bool {
	service, ok := strings.CutSuffix(name, "/*")
	return ok && len(service) > 1 && service[0] == '/' && !strings.ContainsAny(service[1:], "/ *")
}

// Route returns the entry for the pattern that net/http routed a request by. An
// empty pattern, no route, has the default rule if there is one. A route below a
// whole service is listed only if it is so itself: see [PolicyConfig].
func (p *Policy) Route(pattern string) Entry {
	if p == nil {
		return Entry{}
	}
	if e, ok := p.entries[pattern]; ok {
		return e
	}
	if len(p.services) > 0 && p.belowService(pattern) {
		return Entry{} // somebody meant another rule for it than the default
	}
	return p.fallback
}

// belowService reports whether a pattern, with or without a method and a host,
// is of a route below a service that is listed as a whole.
func (p *Policy) belowService(pattern string) bool {
	_, path, _ := strings.Cut(pattern, "/")
	service, _, below := strings.Cut(path, "/")
	if !below {
		return false
	}
	_, listed := p.services["/"+service]
	return listed
}

// RPC returns the entry for a full method, "/package.Service/Method". A name that
// does not begin with a slash is not listed.
func (p *Policy) RPC(fullMethod string) Entry {
	if p == nil || !strings.HasPrefix(fullMethod, "/") {
		return Entry{}
	}
	if e, ok := p.entries[fullMethod]; ok {
		return e
	}
	if i := strings.LastIndexByte(fullMethod, '/'); i > 0 {
		if e, ok := p.services[fullMethod[:i]]; ok {
			return e
		}
	}
	return p.fallback
}

// Names returns the keys of the table, sorted. The slice is the caller's.
func (p *Policy) Names() []string {
	if p == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(p.entries))
}

// Listed reports whether the policy had something to say, if only by its
// default rule.
func (e Entry) Listed() bool { return e.Name != "" }

// Check applies the entry to a caller: nil to go on, [NoCredentials] when a
// caller is needed and p is zero, otherwise what the rule said. A ctx that
// carries p is what rules expect, see [NewContext].
func (e Entry) Check(ctx context.Context, p Principal) error {
	switch {
	case e.Public:
		return nil
	case !e.Listed() && !p.IsZero():
		return deny("the policy does not list this")
	}
	return checkRule(ctx, e.rule, p)
}
