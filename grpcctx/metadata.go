package grpcctx

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/authctx/authctx"
)

// stripSet returns the smallest set that owns all fields of sets. A cookie is
// too rare in gRPC to take one out of its field: the whole field goes.
func stripSet(sets ...authctx.FieldSet) authctx.FieldSet {
	var all authctx.FieldSet
	for _, set := range sets {
		all = all.Union(set)
	}
	prefixes := authctx.FieldSet{Prefixes: all.Prefixes}
	names := slices.DeleteFunc(all.Names, prefixes.Owns)
	if len(all.Cookies) > 0 {
		names = append(names, "cookie")
	}
	return authctx.FieldSet{Names: names, Prefixes: all.Prefixes}
}

// withoutTokens drops the fields in which clients send their own tokens, which
// is no sign of anything.
func withoutTokens(set authctx.FieldSet) authctx.FieldSet {
	names := slices.DeleteFunc(slices.Clone(set.Names), func(name string) bool { return name == "authorization" })
	return authctx.FieldSet{Names: names, Prefixes: set.Prefixes}
}

// fields reads incoming metadata, whose keys are in lower case.
type fields metadata.MD

func (f fields) Values(name string) []string { return f[strings.ToLower(name)] }

func (f fields) Names() iter.Seq[string] { return maps.Keys(f) }

// incoming returns a copy of the metadata that came with the call, keys in
// lower case.
func incoming(ctx context.Context) metadata.MD {
	md, _ := metadata.FromIncomingContext(ctx)
	return md
}

// strip removes from md, which the caller owns, every field of set.
func strip(md metadata.MD, set authctx.FieldSet) {
	for name := range md {
		if set.Owns(name) {
			delete(md, name)
		}
	}
}

// maxIgnored bounds what one call can make an observer write down.
const maxIgnored = 16

// ignored returns the names in md of identity fields that were not read.
func ignored(md metadata.MD, reported, read authctx.FieldSet) []string {
	var names []string
	for name := range md {
		if reported.Owns(name) && !reads(read, name) && len(names) < maxIgnored {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// reads reports whether an authenticator that reads set has read the field of
// this very name; the look-alikes that the set owns too were never read.
func reads(set authctx.FieldSet, name string) bool {
	return slices.Contains(set.Names, name) ||
		slices.ContainsFunc(set.Prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
