// Package strip knows which fields of a request are removed, which of those stay
// because they were read, and which an operator hears of because nobody did.
package strip

import (
	"slices"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/elements"
)

// Set is the fields that are removed.
type Set struct {
	authctx.FieldSet
	elements.Set                  // those that are parts of a field
	identity     authctx.FieldSet // those that never stay
	reported     authctx.FieldSet // those that an operator may hear of
	left         bool             // an authorization stays, since nobody reads it here
}

// NewSet returns a set of identity fields and of the others.
func NewSet(others ...authctx.FieldSet) Set {
	identity := authctx.IdentityFields()
	set := identity.Union(others...)
	// Every name is compared with every field of every request: what a prefix
	// covers need not be.
	prefixes := authctx.FieldSet{Prefixes: set.Prefixes}
	set.Names = slices.DeleteFunc(set.Names, prefixes.Owns)
	return Set{FieldSet: set, Set: elements.NewSet(set), identity: identity, reported: reportable(set)}
}

// NewInbound returns the set of a server. If the server does not read authorization, a
// handler may: then that field stays, but none of the look-alikes that some server takes
// for it.
func NewInbound(read, others authctx.FieldSet) Set {
	if s := NewSet(read, others); s.Owns("authorization") {
		return s
	}
	s := NewSet(read, others, authctx.FieldSet{Names: []string{"authorization"}})
	s.left = true
	return s
}

// reportable returns set without the fields in which clients send their own tokens: it
// is no sign of an attack that one of those was not read.
func reportable(set authctx.FieldSet) authctx.FieldSet {
	names := slices.DeleteFunc(slices.Clone(set.Names), func(name string) bool {
		return name == "authorization" || name == "cookie" || name == "dpop"
	})
	return authctx.FieldSet{Names: names, Prefixes: set.Prefixes}
}

// Keeps reports whether a field stays, because it is in kept and not identity, which
// never stays, or because it is left to handlers.
func (s *Set) Keeps(name string, kept *authctx.FieldSet) bool {
	return Reads(kept, name) && !s.identity.Owns(name) || s.Leaves(name)
}

// Leaves reports whether a field is left to handlers, since nobody reads it here.
func (s *Set) Leaves(name string) bool { return s.left && sameName(name, "authorization") }

// Left returns the value of the named field, if that is left to handlers. If it has
// several values, nobody can tell which counts (RFC 9110 section 5.3), and it is removed.
func (s *Set) Left(fields map[string][]string, name string) (value string, ok bool) {
	values := fields[name]
	switch {
	case !s.left || len(values) == 0:
		return "", false
	case len(values) > 1:
		delete(fields, name)
		return "", false
	}
	return values[0], true
}

// How many names one request can make an observer write down, and how much of
// each.
const (
	maxUnread = 16
	maxName   = 64
)

// AppendUnread appends to names what an observer is told of a field that came in, if
// that is in s and may be a sign of an attack: it says who is calling, was not read for
// result, and is not known to come with what was.
func (s *Set) AppendUnread(names []string, name string, result *authctx.Result) []string {
	if !s.reported.Owns(name) || Reads(&result.Read, name) || result.Known != nil && Reads(result.Known, name) ||
		len(names) == maxUnread {
		return names
	}
	return append(names, name[:min(len(name), maxName)])
}

// Reads reports whether an authenticator that reads set has read the field of
// this very name, letter case aside; the look-alikes that the set owns too were
// never read.
func Reads(set *authctx.FieldSet, name string) bool {
	return slices.ContainsFunc(set.Names, func(n string) bool { return sameName(n, name) }) ||
		slices.ContainsFunc(set.Prefixes, func(p string) bool {
			return len(name) >= len(p) && sameName(name[:len(p)], p)
		})
}

// sameName ignores the case of ASCII letters and no others: the names of a set are
// ASCII, and what Unicode folds into ASCII, such as the Kelvin sign, is longer.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
