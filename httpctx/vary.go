package httpctx

import (
	"net/http"
	"slices"
	"strings"

	"github.com/authctx/authctx"
)

// vary is the names of the fields that an authenticator reads. A cache that takes
// itself for private, such as one in a client of a gateway, would otherwise give one
// caller's answer to all who share it (RFC 9111 section 4.1).
type vary []string

func newVary(read authctx.FieldSet) vary {
	var v vary
	for _, name := range read.Names {
		v = append(v, http.CanonicalHeaderKey(name))
	}
	if len(read.Cookies) > 0 {
		v = append(v, "Cookie")
	}
	if len(read.Subprotocols) > 0 {
		v = append(v, "Sec-Websocket-Protocol")
	}
	slices.Sort(v)
	return slices.Compact(v)
}

// addTo adds to the Vary of h what that does not name yet.
func (v vary) addTo(h http.Header) {
	said := strings.Trim(strings.Join(h["Vary"], ", "), ", ")
	all := said
	for _, name := range v {
		if !variesBy(said, name) {
			all += ", " + name
		}
	}
	if all != said {
		h["Vary"] = []string{strings.TrimPrefix(all, ", ")} // in one line, for caches that look at no other
	}
}

// variesBy reports whether a Vary names a field, or says that everything counts.
func variesBy(said, name string) bool {
	for member := range strings.SplitSeq(said, ",") {
		if member = strings.TrimSpace(member); member == "*" || strings.EqualFold(member, name) {
			return true
		}
	}
	return false
}

// mayBeReused reports whether an answer that no shared cache keeps says something by
// which a private one can give it out again. A last change is enough for a guess (RFC
// 9111 section 4.2.2).
func mayBeReused(h http.Header) bool {
	control := h["Cache-Control"]
	return len(control) != 1 || !strings.EqualFold(control[0], "private") || len(h["Expires"]) > 0 || len(h["Last-Modified"]) > 0
}
