package grpcctx

import (
	"slices"

	"google.golang.org/grpc/metadata"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strip"
)

// stripper removes the fields of a set from metadata.
type stripper struct{ set strip.Set }

// newStripper returns a stripper of identity fields and of the others.
func newStripper(others ...authctx.FieldSet) stripper {
	return stripper{strip.NewSet(others...)}
}

// without returns a copy of md without the fields of s, and whether all keys of
// md are in lower case.
func (s *stripper) without(md metadata.MD) (left metadata.MD, lower bool) {
	left, lower = make(metadata.MD), true
	for name, values := range md {
		lower = lower && isLower(name)
		if !s.set.Owns(name) || s.set.Leaves(name) {
			s.cut(left, name, values, &authctx.FieldSet{})
		}
	}
	return left, lower
}

// cut writes a field into left, without the parts of it that belong to s and not
// to kept.
func (s *stripper) cut(left metadata.MD, name string, values []string, kept *authctx.FieldSet) {
	if parts, changed := s.set.Strip(name, values, kept); !changed || len(parts) > 0 {
		left[name] = parts
	}
}

// keep puts back into left what md has of the fields that were read, unless it
// is identity.
func (s *stripper) keep(left, md metadata.MD, read *authctx.FieldSet) {
	for name, values := range md {
		if s.set.Keeps(name, read) {
			left[name] = values
		} else if !s.set.Owns(name) {
			s.cut(left, name, values, read)
		}
	}
}

// unread returns the names in md of identity fields that were not read for result.
func (s *stripper) unread(md metadata.MD, result *authctx.Result) []string {
	var names []string
	for name := range md {
		names = s.set.AppendUnread(names, name, result)
	}
	slices.Sort(names)
	return names
}
