package httpctx

import (
	"net/http"
	"slices"
	"strings"

	"github.com/authctx/authctx"
)

// caching is what keeps an answer that one caller got from being given to another
// by a cache that many share. Such a cache keeps no answer to a request that has an
// Authorization (RFC 9111 section 3.5), but it knows no cookie for a credential,
// nor what a gateway writes in place of the Authorization that it takes away.
//
// Its slices are shared by all answers, and full, so that whoever adds to one gets
// another.
type caching struct {
	private []string // of Cache-Control
	vary    []string // names of all that a caller is known by; empty for none
}

// newCaching returns what callers need whom an authenticator knows by fields. What
// begins with a prefix cannot be named in Vary.
func newCaching(fields authctx.FieldSet) caching {
	var names []string
	for _, name := range fields.Names {
		names = append(names, http.CanonicalHeaderKey(name))
	}
	if len(fields.Cookies) > 0 && !slices.Contains(names, "Cookie") {
		names = append(names, "Cookie")
	}
	if len(fields.Subprotocols) > 0 && !slices.Contains(names, "Sec-Websocket-Protocol") {
		names = append(names, "Sec-Websocket-Protocol")
	}
	c := caching{private: []string{"private"}}
	if len(names) > 0 {
		c.vary = []string{strings.Join(names, ", ")}
	}
	return c
}

// protect prepares h for the answer to a request that was let in.
func (c *caching) protect(h http.Header, d *decision, method string) {
	if method != http.MethodGet && method != http.MethodHead || d.route.entry.Public {
		return
	}
	if len(h["Cache-Control"]) == 0 {
		h["Cache-Control"] = c.private
	}
	switch before := h["Vary"]; {
	case len(c.vary) == 0 || slices.Contains(before, c.vary[0]): // of a Server outside
	case len(before) == 0:
		h["Vary"] = c.vary
	default:
		h["Vary"] = append(before, c.vary[0])
	}
}

// yield removes the Cache-Control of protect from h, which had before what protect
// left, if that of an upstream stands behind it.
func (c *caching) yield(h, before http.Header) {
	preset, now := before["Cache-Control"], h["Cache-Control"]
	if len(preset) == 1 && &preset[0] == &c.private[0] && len(now) > 1 && now[0] == preset[0] {
		h["Cache-Control"] = now[1:]
	}
}

// asIfAuthorized makes of the Cache-Control of an answer to a request without
// Authorization what it says to one that has it: no shared cache keeps the answer,
// unless it says so (RFC 9111 section 3.5).
func asIfAuthorized(h http.Header) {
	said := strings.Join(h["Cache-Control"], ", ")
	if said == "" {
		return
	}
	for directive := range strings.SplitSeq(said, ",") {
		switch strings.ToLower(strings.TrimSpace(directive)) {
		case "public", "must-revalidate", "private", "no-store": // private="x" is about that field
			return
		}
		if name, _, _ := strings.Cut(directive, "="); strings.EqualFold(strings.TrimSpace(name), "s-maxage") {
			return
		}
	}
	h["Cache-Control"] = []string{said + ", private"}
}
