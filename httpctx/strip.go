package httpctx

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/elements"
	"github.com/authctx/authctx/internal/strip"
)

// stripper removes the fields of a set from headers and trailers.
type stripper struct{ set strip.Set }

// newStripper returns a stripper of identity fields and of the others.
func newStripper(others ...authctx.FieldSet) stripper {
	return stripper{strip.NewSet(others...)}
}

// header returns a copy of h without the fields of the set. Fields of kept stay,
// unless they are identity fields.
//
// With a non-nil result, it also returns the names of fields that came in, claim
// to say who is calling, and were not read for it.
func (s *stripper) header(h http.Header, kept authctx.FieldSet, result *authctx.Result) (clean http.Header, unread []string) {
	clean = maps.Clone(h)
	for name, values := range h {
		if !s.set.Owns(name) {
			if left, changed := s.set.Strip(name, values, &kept); changed {
				replace(clean, name, left)
			}
			continue
		}
		if s.set.Keeps(name, &kept) {
			continue
		}
		delete(clean, name)
		if result != nil {
			unread = s.set.AppendUnread(unread, name, result)
		}
	}
	slices.Sort(unread)
	return clean, unread
}

func replace(h http.Header, name string, values []string) {
	if len(values) == 0 {
		delete(h, name)
		return
	}
	h[name] = values
}

// delete removes the fields of the set from h itself, and their names from its
// Connection, by which the next proxy would remove what is written anew (RFC 9110
// section 7.6.1).
func (s *stripper) delete(h http.Header) { s.deleteBut(h, func(string) bool { return false }) }

// deleteBut is delete for all fields but those that stay.
func (s *stripper) deleteBut(h http.Header, stays func(name string) bool) {
	for name, values := range h {
		if s.set.Owns(name) {
			if !stays(name) {
				delete(h, name)
			}
		} else if strings.EqualFold(name, "connection") {
			left, _ := elements.Remove(values, ",", s.set.Owns)
			replace(h, name, left)
		} else if left, changed := s.set.Strip(name, values, &authctx.FieldSet{}); changed {
			replace(h, name, left)
		}
	}
}

// trailer gives clone, a shallow copy of r, trailers of its own without the
// fields of the set. Trailers that arrive after the body are copied when it
// ends; the names that were announced do not bind the peer.
func (s *stripper) trailer(clone, r *http.Request) {
	if r.Trailer == nil {
		return
	}
	clean := make(http.Header, len(r.Trailer))
	arrived := func() {
		for name, values := range r.Trailer {
			if !s.set.Owns(name) {
				clean[name] = values
			}
		}
	}
	arrived()
	clone.Trailer = clean
	if r.Body != nil && r.Body != http.NoBody {
		wrapBody(clone, func(body io.ReadCloser) io.ReadCloser { return &endNotifier{body, arrived} })
	}
}
