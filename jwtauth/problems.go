package jwtauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/exactname"
)

// problems are what is missing or contradictory in a configuration.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// of returns nil when there are none, and otherwise says of each what could not
// be made: where there are two of a kind, that is the operator's first question.
func (p problems) of(label string) error {
	errs := make([]error, len(p))
	for i, problem := range p {
		errs[i] = fmt.Errorf("jwtauth: %s: %w", label, problem)
	}
	return errors.Join(errs...)
}

// labelFor is what errors call one of a kind, by its issuer if that is known.
func labelFor(kind, issuer string) string {
	if issuer == "" || holdsUser(issuer) {
		return kind
	}
	return fmt.Sprintf("%s for %.200q", kind, issuer)
}

// issuer judges a name that may be empty, and does not show one with a user, who may
// have a password.
func (p *problems) issuer(setting, name string) {
	if holdsUser(name) {
		p.add("%s holds a user name", setting)
		return
	}
	p.exact(setting, name)
}

// oneIssuer judges the names of one issuer. If it returns false, no error may show them.
func (p *problems) oneIssuer(names []string) bool {
	if !slices.ContainsFunc(names, holdsUser) {
		return true
	}
	p.add("Issuer or IssuerAliases hold a user name")
	return false
}

// holdsUser reports whether name is an address with a user (RFC 3986 section 3.2.1).
func holdsUser(name string) bool {
	_, rest, _ := strings.Cut(name, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return strings.Contains(rest, "@")
}

// atLeast judges a duration that may be left out. Next to nothing is a number whose
// unit was forgotten: the program would start, and refuse everybody.
func (p *problems) atLeast(least time.Duration, name string, d time.Duration) {
	if d != 0 && d < least {
		p.add("%s must be at least %v and is %v; a number without a unit is nanoseconds", name, least, d)
	}
}

// exact judges names that are compared byte by byte and may be empty.
func (p *problems) exact(setting string, names ...string) (ok bool) {
	i := slices.IndexFunc(names, func(name string) bool { return !exactname.Valid(name) })
	if i >= 0 {
		p.add("%s: %.200q "+exactname.Rule, setting, names[i])
	}
	return i < 0
}

// names judges a list of names that are compared byte by byte.
func (p *problems) names(setting string, names []string) {
	if slices.Contains(names, "") {
		p.add("%s has an empty element", setting)
	}
	p.exact(setting, names...)
}

// leeway judges a setting of that name.
func (p *problems) leeway(d time.Duration) {
	if d != NoLeeway && (d < 0 || d > MaxLeeway || d%time.Second != 0) {
		p.add("Leeway must be whole seconds between 0 and %v, or NoLeeway", MaxLeeway)
	}
}

// leewayOf returns how much a setting means that was judged.
func leewayOf(d time.Duration) time.Duration {
	switch d {
	case 0:
		return defaultLeeway
	case NoLeeway:
		return 0
	}
	return d
}

// clockOf returns the clock that a setting means.
func clockOf(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

// tokenBytes judges a MaxTokenBytes, of which zero is the default.
func (p *problems) tokenBytes(n int) {
	if n != 0 && (n < leastMaxTokenBytes || n > mostMaxTokenBytes) {
		p.add("MaxTokenBytes must be between %d and %d", leastMaxTokenBytes, mostMaxTokenBytes)
	}
}

// hollow judges an interface that may be left out.
func (p *problems) hollow(name string, v any) {
	if v != nil && absent.Nil(v) {
		p.add("%s holds a nil %T, which could not answer", name, v)
	}
}
