package httpctx

import (
	"context"
	"errors"
	"net/http"

	"github.com/authctx/authctx"
)

// errEarly is the cause of refusing early data.
var errEarly = errors.New("the request came in early data, which may be a replay of another's, from any address; " +
	"a server of HTTP/3 that takes none, as with Allow0RTT off, spares clients the second attempt")

// isEarly reports whether r came before the handshake was complete (RFC 8470), which
// proves where it comes from and that it is not a replay. Servers of net/http take
// no early data: what looks like it there is a state that a test has made by hand.
func isEarly(r *http.Request) bool {
	return r.ProtoMajor == 3 && r.TLS != nil && !r.TLS.HandshakeComplete
}

// tooEarly is the refusal of early data, of which nothing has been looked at.
func tooEarly() error { return &authctx.Error{Reason: authctx.Unavailable, Cause: errEarly} }

// writeTooEarly answers so that clients try again when the handshake is complete
// (RFC 8470 section 5.2).
func writeTooEarly(w http.ResponseWriter, r *http.Request) {
	writeProblem(w, r, problem{
		Status: http.StatusTooEarly,
		Detail: "The request came before the handshake was complete.",
		Reason: authctx.Unavailable.String(),
	})
}

// abortable returns r so that a ReverseProxy which serves it breaks off an answer that
// it did not get to its end: with [http.ErrAbortHandler], which quic-go knows, but for
// which a ReverseProxy looks for a server of net/http.
func abortable(r *http.Request) *http.Request {
	if r.ProtoMajor != 3 || r.Context().Value(http.ServerContextKey) != nil {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, new(http.Server)))
}
