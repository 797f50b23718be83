// Package ignored says which identity fields of a request an observer hears of,
// because they came in and nobody believed them.
package ignored

import (
	"slices"
	"strings"

	"github.com/authctx/authctx"
)

// Max bounds how many names one request can make an observer write down, and
// maxName how much of each.
const (
	Max     = 16
	maxName = 64
)

// Name returns what an observer is told of a field's name.
func Name(name string) string { return name[:min(len(name), maxName)] }

// Reportable returns set without the fields in which clients send their own
// tokens: that one of those was not read is no sign of anything.
func Reportable(set authctx.FieldSet) authctx.FieldSet {
	names := slices.DeleteFunc(slices.Clone(set.Names), func(name string) bool {
		return name == "authorization" || name == "cookie" || name == "dpop"
	})
	return authctx.FieldSet{Names: names, Prefixes: set.Prefixes}
}

// Reads reports whether an authenticator that reads set has read the field of
// this very name; the look-alikes that the set owns too were never read.
func Reads(set authctx.FieldSet, name string) bool {
	return slices.ContainsFunc(set.Names, func(n string) bool { return strings.EqualFold(n, name) }) ||
		slices.ContainsFunc(set.Prefixes, func(p string) bool {
			return len(name) >= len(p) && strings.EqualFold(name[:len(p)], p)
		})
}
