package httpctx

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/authctx/authctx/internal/grpchttp"
)

// admitted is the context of a request that was let in, with what the rest of
// this package has to know of that.
type admitted struct {
	context.Context
	entry   string                      // what decided, as the observer was told
	scheme  string                      // of the credential, whose field is gone by now
	watched bool                        // the Server watches over the connection if it is handed over
	recheck func(context.Context) error // of the caller of a gRPC call; may be nil
	table   *table                      // that was asked; nil when a mux was
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
// requests have nothing of that.
func (s *Server) withAdmission(r *http.Request, d *decision) context.Context {
	a := admitted{watched: s.mayOutlive(r, &d.result), table: d.route.table}
	if s.table != a.table && !isOriginal(r) {
		a.url = r.URL
	}
	if grpchttp.MayBe(r.Header) {
		a.recheck = d.result.Recheck
	}
	if len(s.answers.challenges) > 1 && !d.result.Principal.IsZero() {
		a.scheme = scheme(r)
	}
	if s.observer != nil {
		a.entry = d.route.name()
	}
	if !a.watched && a.recheck == nil && a.scheme == "" && a.entry == "" && a.table == nil && a.url == nil {
		return d.ctx
	}
	inner := a
	inner.inherit(admission(d.ctx))
	inner.Context = d.ctx
	return &inner
}

// isOriginal reports whether r has the path of its request line still.
func isOriginal(r *http.Request) bool {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path == target(r.URL)
}

// inherit takes over what a Server outside has said and this one has not.
func (a *admitted) inherit(outer *admitted) {
	a.watched = a.watched || outer.watched
	a.table = cmp.Or(a.table, outer.table)
	a.url = cmp.Or(a.url, outer.url)
	if a.recheck == nil {
		a.recheck = outer.recheck
	}
	a.scheme = cmp.Or(a.scheme, outer.scheme)
	a.entry = cmp.Or(a.entry, outer.entry)
}

// admission returns what is known of a request that was let in, nothing of any
// other.
func admission(ctx context.Context) *admitted {
	if a, ok := ctx.Value(admittedKey{}).(*admitted); ok {
		return a
	}
	return new(admitted)
}
