package httpctx

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/authctx/authctx"
)

// isEventStream reports whether an answer goes on for as long as there is
// something to tell (WHATWG HTML section 9.2).
func isEventStream(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}

// eventBody is the body of a stream of events that breaks off at its caller's
// end: an error, not an end, since the client is to know that it did not get
// everything.
type eventBody struct {
	io.ReadCloser
	ctx     context.Context // cancelled at the caller's end
	unwatch func()
}

// newEventBody returns the body of res, watched over for s, unless the request
// was not prepared for an upstream or has no caller who has an end.
func newEventBody(res *http.Response, s *Server) io.ReadCloser {
	if res.Request == nil {
		return res.Body
	}
	p, ok := proxiedFrom(res.Request.Context())
	if !ok {
		return res.Body
	}
	caller, _ := authctx.FromContext(p.in.Context())
	lasting, cancel := context.WithCancel(p)
	ctx := s.watchedContext(lasting, p.in, caller, atOnce)
	body := &onceCloser{ReadCloser: res.Body}
	stop := context.AfterFunc(ctx, func() { _ = body.Close() }) // ends a Read that is under way
	return &eventBody{body, ctx, func() { stop(); cancel() }}
}

func (b *eventBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if gone := b.ctx.Err(); gone != nil {
		return 0, gone // which a ReverseProxy knows is no failure of the upstream
	}
	return n, err
}

// Close ends the watch.
func (b *eventBody) Close() error {
	b.unwatch()
	return b.ReadCloser.Close()
}
