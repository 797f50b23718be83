package httpctx

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// admitted is the context of a request that was let in, with what the rest of
// this package has to know of that.
type admitted struct {
	context.Context
	told    *Server                     // whose observer was told of the request; nil when none was
	entry   string                      // what decided, as the observer was told
	scheme  string                      // of the credential, whose field is gone by now
	watched bool                        // the Server watches over the connection if it is handed over
	recheck func(context.Context) error // of a caller who may be outlived; may be nil
	table   *table                      // that has ruled; nil where a mux said how it routes
	url     *url.URL                    // that the Server saw, where it is not the request line's
}

type admittedKey struct{}

func (a *admitted) Value(key any) any {
	if _, ok := key.(admittedKey); ok {
		return a
	}
	return a.Context.Value(key)
}

// String names the parent only.
func (a *admitted) String() string { return fmt.Sprintf("%v.WithAdmission", a.Context) }

// Format implements [fmt.Formatter], so that no verb shows more than String.
func (a *admitted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// withAdmission returns d's context with what will be asked for again. Most
// requests have nothing of that. What a Server outside has said, and this one has
// not, still holds.
func (s *Server) withAdmission(r *http.Request, d *decision) context.Context {
	var a *admitted
	note := func() *admitted {
		if a == nil {
			inner := *admission(d.ctx)
			inner.Context = d.ctx
			a = &inner
		}
		return a
	}
	if s.mayOutlive(r, &d.result) {
		note().watched = true
	}
	if table := d.route.table; table != nil {
		note().table = table
	} else if s.table != nil && !isOriginal(r) {
		note().url = r.URL
	}
	if d.result.Recheck != nil && s.recheck > 0 {
		note().recheck = d.result.Recheck
	}
	if len(s.challenges) > 1 && !d.result.Principal.IsZero() {
		if scheme := scheme(r); scheme != "" {
			note().scheme = scheme
		}
	}
	if s.observer != nil {
		note().told, note().entry = s, d.route.name()
	}
	if a == nil {
		return d.ctx
	}
	return a
}

// isOriginal reports whether r has the path of its request line still.
func isOriginal(r *http.Request) bool {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path == target(r.URL)
}

// admission returns what is known of a request that was let in, nothing of any
// other.
func admission(ctx context.Context) *admitted {
	if a, ok := ctx.Value(admittedKey{}).(*admitted); ok {
		return a
	}
	return new(admitted)
}
