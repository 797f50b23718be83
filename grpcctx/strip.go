package grpcctx

import (
	"slices"

	"google.golang.org/grpc/metadata"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/elements"
	"github.com/authctx/authctx/internal/ignored"
)

// stripper removes identity and credentials from metadata.
type stripper struct {
	set      authctx.FieldSet
	identity authctx.FieldSet // the part that always goes
}

// newStripper returns a stripper of identity fields and of sets.
func newStripper(sets ...authctx.FieldSet) stripper {
	s := stripper{identity: authctx.IdentityFields()}
	s.set = s.identity.Union(sets...)
	// Every name is compared with every field of every call: what a prefix
	// covers need not be.
	prefixes := authctx.FieldSet{Prefixes: s.set.Prefixes}
	s.set.Names = slices.DeleteFunc(s.set.Names, prefixes.Owns)
	return s
}

// without returns a copy of md without the fields of s, and whether all keys of
// md are in lower case.
func (s *stripper) without(md metadata.MD) (left metadata.MD, lower bool) {
	left, lower = make(metadata.MD), true
	for name, values := range md {
		lower = lower && isLower(name)
		if !s.set.Owns(name) {
			s.cut(left, name, values, &authctx.FieldSet{})
		}
	}
	return left, lower
}

// cut writes a field into left, without the parts of it that belong to s and not
// to kept.
func (s *stripper) cut(left metadata.MD, name string, values []string, kept *authctx.FieldSet) {
	if parts, changed := elements.Strip(name, values, &s.set, kept); !changed || len(parts) > 0 {
		left[name] = parts
	}
}

// keep puts back into left what md has of the fields that were read, unless it
// is identity.
func (s *stripper) keep(left, md metadata.MD, read authctx.FieldSet) {
	for name, values := range md {
		if ignored.Reads(read, name) && !s.identity.Owns(name) {
			left[name] = values
		} else if !s.set.Owns(name) {
			s.cut(left, name, values, &read)
		}
	}
}

// unread returns the names in md of identity fields that were not read.
func unread(md metadata.MD, reported, read authctx.FieldSet) []string {
	var names []string
	for name := range md {
		if reported.Owns(name) && !ignored.Reads(read, name) && len(names) < ignored.Max {
			names = append(names, ignored.Name(name))
		}
	}
	slices.Sort(names)
	return names
}
