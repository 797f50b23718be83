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
type vary struct {
	names []string
	all   string // of them in one line, for an answer that names none itself
}

func newVary(read authctx.FieldSet) vary {
	var names []string
	for _, name := range read.Names {
		names = append(names, http.CanonicalHeaderKey(name))
	}
	if len(read.Cookies) > 0 {
		names = append(names, "Cookie")
	}
	if len(read.Subprotocols) > 0 {
		names = append(names, "Sec-Websocket-Protocol")
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return vary{names, strings.Join(names, ", ")}
}

// addTo adds to the Vary of h what that does not name yet. It writes to line.
func (v vary) addTo(h http.Header, line *[1]string) {
	said := strings.Trim(strings.Join(h["Vary"], ", "), ", ")
	all := v.all
	if said != "" && said != all {
		all = v.join(said)
	}
	if all != said {
		line[0] = all
		h["Vary"] = line[:] // in one line, for caches that look at no other
	}
}

// join returns said with the names that it lacks.
func (v vary) join(said string) string {
	names := append(make([]string, 0, 1+len(v.names)), said)
	for _, name := range v.names {
		if !variesBy(said, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
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
// 9111 section 4.2.2), and a version for asking whether it still holds: a 304 may say
// no more than that.
func mayBeReused(h http.Header) bool {
	control := h["Cache-Control"]
	return len(control) != 1 || !strings.EqualFold(control[0], "private") ||
		len(h["Expires"]) > 0 || len(h["Last-Modified"]) > 0 || len(h["Etag"]) > 0
}
