package authctx

import (
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
)

const (
	// memoPlaces times memoWays is how many callers a [FieldsAuthenticator]
	// remembers at most.
	memoPlaces = 1024
	memoWays   = 4
	// maxMemoized is the most bytes of one caller's values, and of what its lists
	// take besides, that are worth keeping; larger callers are decoded every time.
	maxMemoized      = 8 << 10
	maxMemoizedLists = 16 << 10
)

// fieldsMemo remembers what field values were decoded to, so that a caller who
// comes again is not decoded again, nor encoded again for the next service. It
// replaces decoding and nothing else: whether the peer is trusted and whether
// the caller's end has come is asked every time.
//
// A caller's place follows from its values and holds whoever came last, so the
// memo is bounded and takes no lock. A hit needs every value to be equal.
type fieldsMemo struct {
	seed   maphash.Seed
	places [memoPlaces]memoPlace
}

// memoPlace holds callers, the newest first. Two that come at the same moment
// may leave one of them out or another twice.
type memoPlace [memoWays]atomic.Pointer[memoEntry]

func (m *memoPlace) put(e *memoEntry) {
	for i := range m {
		if e = m[i].Swap(e); e == nil {
			return
		}
	}
}

// memoEntry is a caller, and the fields that it was decoded from.
type memoEntry struct {
	names     []string
	values    []string // one per name, empty for a field that was absent
	principal Principal
}

// newMemoEntry copies the values, in one allocation for all: there are servers,
// such as fasthttp, whose strings change when the handler has returned.
func newMemoEntry(names, values []string) *memoEntry {
	e := &memoEntry{names: names, values: make([]string, len(values))}
	size := 0
	for _, v := range values {
		size += len(v)
	}
	var all strings.Builder
	all.Grow(size)
	for i, v := range values {
		start := all.Len()
		all.WriteString(v)
		e.values[i] = all.String()[start:]
	}
	return e
}

func (e *memoEntry) Values(name string) []string {
	if i := slices.Index(e.names, name); i >= 0 && e.values[i] != "" {
		return e.values[i : i+1 : i+1]
	}
	return nil
}

func (e *memoEntry) Names() iter.Seq[string] { return slices.Values(e.names) }

// newFieldsMemo returns nil, a memo of nothing, for layouts whose callers are
// not a fixed number of single values.
func newFieldsMemo(l *FieldLayout) *fieldsMemo {
	if l.Repeat || l.ExtraPrefix != "" {
		return nil
	}
	return &fieldsMemo{seed: maphash.MakeSeed()}
}

// read returns what decode makes of the named fields of r.
func (m *fieldsMemo) read(r *Request, names []string, decode func(*Request) (Principal, error)) (Principal, error) {
	if m == nil {
		return decode(r)
	}
	var all [24]string // no layout has more names
	values, ok := singleValues(r, names, all[:0])
	if !ok {
		return decode(r)
	}
	place := &m.places[m.hash(values)%memoPlaces]
	for i := range place {
		if e := place[i].Load(); e != nil && slices.Equal(e.values, values) {
			return e.principal, nil
		}
	}
	e := newMemoEntry(names, values)
	own := *r
	own.Fields = e
	p, err := decode(&own)
	if err == nil && listBytes(p.a.Attributes) <= maxMemoizedLists {
		e.principal = p
		place.put(e)
	}
	return p, err
}

// listBytes is roughly what lists take besides their texts, which is much more
// where they are short.
func listBytes(a *Attributes) int {
	const header = 16 // of a string
	n := len(a.AMR) + len(a.Roles) + len(a.Permissions) + len(a.Scopes) + len(a.Groups) + 2*len(a.Actors)
	for _, list := range a.Extra {
		n += 8 + len(list) // with the entry of the map
	}
	return n * header
}

// singleValues appends to values the value of each field, empty for one that is
// absent, and reports whether all of them may be remembered.
func singleValues(r *Request, names, values []string) ([]string, bool) {
	size := 0
	for _, name := range names {
		value := ""
		switch found := r.Values(name); len(found) {
		case 0:
		case 1:
			value = found[0]
		default:
			return nil, false
		}
		size += len(value)
		values = append(values, value)
	}
	return values, size <= maxMemoized
}

func (m *fieldsMemo) hash(values []string) uint64 {
	var sum uint64
	for _, v := range values {
		sum *= 0x9e3779b97f4a7c15 // odd, so that order counts and nothing is lost
		if v != "" {
			sum ^= maphash.String(m.seed, v)
		}
	}
	return sum ^ sum>>32
}
