package grpcctx

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

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

// fields reads incoming metadata, whose keys are in lower case.
type fields metadata.MD

func (f fields) Values(name string) []string {
	if values, ok := f[name]; ok || isLower(name) {
		return values
	}
	return f[strings.ToLower(name)]
}

func (f fields) Names() iter.Seq[string] { return maps.Keys(f) }

// mdReader reads the metadata of incoming calls without copying it.
//
// [metadata.FromIncomingContext] copies every value, which costs more than all
// else that this package does to a call. It finds them by asking the context
// for a key of its own, and a context can remember what it was asked for.
type mdReader struct{ key any }

func newMDReader() mdReader {
	var asked askedFor
	_, _ = metadata.FromIncomingContext(&asked)
	return mdReader{asked.key}
}

// askedFor is a context without values that remembers the last key.
type askedFor struct {
	context.Context
	key any
}

func (a *askedFor) Value(key any) any {
	a.key = key
	return nil
}

// incoming returns the metadata that came with a call, which must not be
// changed, and a copy without the fields of s. Keys are in lower case, as they
// are whenever they came over a wire.
func (r mdReader) incoming(ctx context.Context, s *stripper) (md, left metadata.MD) {
	if md, ok := ctx.Value(r.key).(metadata.MD); ok {
		if left, lower := s.without(md); lower {
			return md, left
		}
	}
	md, _ = metadata.FromIncomingContext(ctx)
	left, _ = s.without(md)
	return md, left
}

// isLower reports whether name has no capital; only ASCII letters have a case.
func isLower(name string) bool {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// isKey reports whether name, in lower case, may be a key of metadata.
func isKey(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// isPrintable reports whether metadata can hold value under a key that does not
// end in "-bin".
func isPrintable(value string) bool {
	return !strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' })
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
