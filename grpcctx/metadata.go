package grpcctx

import (
	"context"
	"encoding/binary"
	"iter"
	"maps"
	"strings"

	"google.golang.org/grpc/metadata"
)

// isKey reports whether name, in lower case, may be a key of metadata.
func isKey(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// isPrintable reports whether metadata can hold value under a key that does not
// end in "-bin". It looks at eight bytes at a time, since it is asked about every
// value that a call carries.
func isPrintable(value string) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; len(value) >= 8; value = value[8:] {
		w := binary.LittleEndian.Uint64([]byte(value[:8]))
		// The high bit of a byte is set where it is not ASCII, below a space or
		// DEL. Borrows and carries only spoil bytes after the first hit.
		if (w|(w-ones*' ')|(w+ones))&highs != 0 {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
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

// askedFor is a context without values that remembers the last key.
type askedFor struct {
	context.Context
	key any
}

func (a *askedFor) Value(key any) any {
	a.key = key
	return nil
}
