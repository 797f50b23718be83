package jwtauth

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/authctx/authctx/internal/strictjson"
)

// list merges what the sources hold. The result shares r.all and is never
// appended to.
func (r *claimReader) list(sources []ClaimSource, scalars bool) []string {
	l := listReader{claimReader: r, start: len(r.all), scalars: scalars}
	for i := range sources {
		l.source = &sources[i]
		if l.source.Constant != "" {
			l.add(l.source.Constant)
			continue
		}
		if v := r.follow(l.source.Path); v.Exists() && !l.read(v) {
			r.fail(l.source.Path, "is not a list in the form expected")
			return nil
		}
	}
	if len(r.all) == l.start {
		return nil
	}
	return r.all[l.start:len(r.all):len(r.all)]
}

// listReader collects the values of one list.
type listReader struct {
	*claimReader
	source  *ClaimSource
	start   int // where the list begins in all
	scalars bool
	marks   uint64              // of all values, a bit each, so that most need no comparison
	seen    map[string]struct{} // of long lists
}

// read takes in one claim and reports whether it has the right form.
func (l *listReader) read(v strictjson.Value) bool {
	switch form := l.source.Form; {
	case form == ClaimKeys:
		return l.keys(v)
	case form == claimClerkPermissions:
		return l.clerk(v)
	case v.Kind() == strictjson.Array:
		return l.elements(v)
	case v.Kind() == strictjson.String && form == ClaimWords:
		l.split(v, " ")
	case v.Kind() == strictjson.String && form == ClaimCommaList:
		l.split(v, ",")
	default:
		return l.scalar(v)
	}
	return true
}

func (l *listReader) elements(v strictjson.Value) bool {
	for e := range v.Elements() {
		if e.Kind() == strictjson.Object {
			e = e.Get(cmp.Or(l.source.Member, "value"))
		}
		if !l.scalar(e) {
			return false
		}
	}
	return true
}

// scalar takes in a string, or another scalar where those count.
func (l *listReader) scalar(v strictjson.Value) bool {
	text, ok := v.Text()
	if !ok && l.scalars {
		switch v.Kind() {
		case strictjson.Number, strictjson.True, strictjson.False:
			text, ok = v.Raw(), true
		}
	}
	l.add(text)
	return ok
}

func (l *listReader) split(v strictjson.Value, separator string) {
	text, _ := v.Text()
	for more := true; more; {
		var value string
		value, text, more = strings.Cut(text, separator)
		l.add(strings.TrimSpace(value))
	}
}

// keys takes in the member names of an object, or of an array of objects.
func (l *listReader) keys(v strictjson.Value) bool {
	switch v.Kind() {
	case strictjson.Object:
		for name := range v.Members() {
			l.add(name)
		}
		return true
	case strictjson.Array:
		for e := range v.Elements() {
			if e.Kind() != strictjson.Object || !l.keys(e) {
				return false
			}
		}
		return true
	}
	return false
}

// clerk takes in "feature:permission" for every bit that is set in the
// feature's mask; bit 0 stands for the first permission. Without masks the
// permissions belong to no feature.
func (l *listReader) clerk(org strictjson.Value) bool {
	per, ok1 := textOrNone(org.Get("per"))
	masks, ok2 := textOrNone(org.Get("fpm"))
	fea, ok3 := textOrNone(l.root.Get("fea"))
	if org.Kind() != strictjson.Object || !ok1 || !ok2 || !ok3 {
		return false
	}
	permissions := trimmed(per)
	if masks == "" {
		for _, p := range permissions {
			l.add(p)
		}
		return true
	}
	list := trimmed(masks)
	for _, feature := range trimmed(fea) {
		scope, name, _ := strings.Cut(feature, ":")
		if !strings.Contains(scope, "o") {
			continue // of the user, not of the organization
		}
		if len(list) == 0 {
			break
		}
		mask, err := strconv.ParseUint(list[0], 10, 64)
		if err != nil {
			return false
		}
		list = list[1:]
		for i, p := range permissions {
			if mask>>i&1 == 1 && p != "" {
				l.add(name + ":" + p)
			}
		}
	}
	return true
}

// textOrNone returns a text, empty when absent; false when it is none.
func textOrNone(v strictjson.Value) (string, bool) {
	text, ok := v.Text()
	return text, ok || !v.Exists()
}

// trimmed splits a comma list. Positions count, so empty elements stay.
func trimmed(list string) []string {
	parts := strings.Split(list, ",")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return parts
}

// shortList is up to how many values a list is searched for a new one; longer
// lists use a map.
const shortList = 32

// add appends a value unless it is empty or there already.
func (l *listReader) add(value string) {
	if value = l.source.prefixed(value); value == "" {
		return
	}
	list := l.all[l.start:]
	switch {
	case len(list) < shortList:
		bit := mark(value)
		if l.marks&bit != 0 && slices.Contains(list, value) {
			return
		}
		l.marks |= bit
	case l.seen == nil:
		l.seen = make(map[string]struct{}, 4*shortList)
		for _, v := range list {
			l.seen[v] = struct{}{}
		}
		fallthrough
	default:
		if _, twice := l.seen[value]; twice {
			return
		}
		l.seen[value] = struct{}{}
	}
	l.all = append(l.all, value)
}

// mark returns the bit of a value that is not empty.
func mark(value string) uint64 {
	n := len(value)
	h := uint32(n) + uint32(value[0])<<8 + uint32(value[n/2])<<16 + uint32(value[n-1])<<24
	return 1 << (h * 0x9e3779b1 >> 26)
}

// prefixed returns a value with the source's prefixes taken off and put in
// front; nothing stays nothing.
func (s *ClaimSource) prefixed(value string) string {
	if s.TrimPrefix != "" {
		value = strings.TrimPrefix(value, s.TrimPrefix)
	}
	if value == "" || s.AddPrefix == "" {
		return value
	}
	return s.AddPrefix + value
}
