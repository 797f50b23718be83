package httpctx

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/grpchttp"
)

// call is what a gRPC call to an upstream needs to end with its caller.
type call struct {
	answer atomic.Pointer[cutBody] // nil until it has begun
	over   atomic.Bool             // the caller came to an end: a message of the answer may go on, and nothing else
}

// watch watches over the caller of pr, whose call c is.
func (c *call) watch(pr *httputil.ProxyRequest, s *Server, caller authctx.Principal) {
	ctx := s.watchedContext(pr.Out.Context(), pr.In, caller, c.end)
	pr.Out = pr.Out.WithContext(ctx)
	if pr.Out.Body != nil && pr.Out.Body != http.NoBody { // which a transport knows
		wrapBody(pr.Out, func(body io.ReadCloser) io.ReadCloser { return newCallBody(ctx, body, c) })
	}
}

// end cancels the call, once a message of the answer that is under way is over.
func (c *call) end(cancel func()) {
	c.over.Store(true)
	if answer := c.answer.Load(); answer != nil {
		answer.finish(cancel)
	} else {
		cancel()
	}
}

// callBody is what the client of a call sends, of which nothing counts any more
// when the caller came to an end. It does not fail at once then: a transport would
// reset the stream, and with it a message of the answer.
type callBody struct {
	io.ReadCloser
	call   *call
	closed context.Context // when the call is over, or its transport wants no more
	close  func()
}

func newCallBody(ctx context.Context, body io.ReadCloser, c *call) *callBody {
	closed, cancel := context.WithCancel(ctx)
	return &callBody{body, c, closed, cancel}
}

// Close ends a Read that is under way.
func (b *callBody) Close() error {
	b.close()
	return b.ReadCloser.Close()
}

func (b *callBody) Read(p []byte) (int, error) {
	if !b.call.over.Load() {
		n, err := b.ReadCloser.Read(p)
		if !b.call.over.Load() {
			return n, err
		}
	}
	<-b.closed.Done()
	return 0, b.closed.Err()
}

const (
	// A message that is under way when a call is to end may take so much time, and
	// so many bytes more.
	lastMessageTime  = 5 * time.Second
	lastMessageBytes = 4 << 20 // the most that gRPC takes unless told otherwise
	// What a transport has received does not take so long to read.
	lastReadTime = 100 * time.Millisecond
)

// cutBody is the body of an answer to a gRPC call. When the call is cancelled
// because its caller came to an end, it ends with a status in the trailers: after
// a whole message if that can be had, since a client that got half of one looks at
// no status.
type cutBody struct {
	onceCloser
	res    *http.Response
	server *Server
	stop   func() bool

	mu      sync.Mutex
	from    io.Reader // the transport's body, behind what was taken of it
	at      grpchttp.Framing
	reading bool
	cancel  func() // once the message under way is over; nil while nothing has ended
}

// newCutBody returns the body of res for s. A transport that waits for the next
// message of a client, or for an upstream to take one, does not look at the context,
// so the body is closed.
//
// The answer announces no length any more: one that ends before it is malformed, and
// its client need not look at the trailers (RFC 9113 section 8.1.1). That of a HEAD
// stays, since it is not the length of what comes.
func newCutBody(res *http.Response, s *Server) *cutBody {
	if res.ContentLength > 0 && res.Request.Method != http.MethodHead { // an answer of trailers only stays one
		res.Header.Del("Content-Length")
		res.ContentLength = -1
	}
	b := &cutBody{onceCloser: onceCloser{ReadCloser: res.Body}, res: res, server: s, from: res.Body}
	ctx := res.Request.Context()
	b.stop = context.AfterFunc(ctx, b.cancelled)
	if p, ok := proxiedFrom(ctx); ok {
		p.call.answer.Store(b)
	}
	return b
}

// finish calls cancel, if need be when the message is over.
func (b *cutBody) finish(cancel func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.Between() || b.at.Missing() > lastMessageBytes {
		cancel()
		return
	}
	b.cancel = cancel
	time.AfterFunc(lastMessageTime, cancel)
}

// cancelled closes the body, and with it loses what nobody has read: if the caller
// came to an end, and not the client, the rest of a message is taken out before.
func (b *cutBody) cancelled() {
	if _, ended := refusalOf(b.res.Request.Context()); ended {
		b.take()
	}
	_ = b.onceCloser.Close()
}

// take takes what the transport has got of the message under way, for a client that
// was slow to take what came before. That is in memory anyway; more is not waited for,
// of which every Read makes the upstream send some, and so there are few of them.
func (b *cutBody) take() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reading || b.at.Between() { // who reads waits for more
		return
	}
	var taken []byte
	at := b.at
	for more := true; more && !at.Between() && at.Missing() <= lastMessageBytes; {
		taken = slices.Grow(taken, max(32<<10, len(taken)))
		p := taken[len(taken):cap(taken)]
		p = p[:min(len(p), at.Missing())]
		wait := time.AfterFunc(lastReadTime, func() { _ = b.onceCloser.Close() })
		n, err := b.from.Read(p)
		wait.Stop()
		at.Advance(p[:n])
		taken = taken[:len(taken)+n]
		more = n == len(p) && err == nil
	}
	b.from = io.MultiReader(bytes.NewReader(taken), b.from)
}

func (b *cutBody) Close() error {
	b.stop()
	return b.onceCloser.Close()
}

func (b *cutBody) Read(p []byte) (int, error) {
	from, p, over := b.begin(p)
	if over {
		return 0, b.last(context.Canceled)
	}
	n, err := from.Read(p)
	kept, over := b.read(p[:n])
	switch {
	case over:
		return 0, b.last(context.Canceled)
	case kept < n:
		return kept, nil // the rest is after the end
	case err == nil || err == io.EOF:
		return n, err
	case n > 0:
		return n, nil // the error comes again
	}
	b.giveUp()
	return 0, b.last(err)
}

// giveUp ends what was to end with the message under way, which does not go on.
func (b *cutBody) giveUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cancel != nil {
		b.cancel()
	}
}

// begin returns from where to read and how much of p, or that nothing may be read
// any more.
func (b *cutBody) begin(p []byte) (from io.Reader, _ []byte, over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	gone := b.res.Request.Context().Err() != nil
	if gone && b.at.Between() {
		return nil, nil, true
	}
	b.reading = true
	if gone || b.cancel != nil {
		p = p[:min(len(p), b.at.Missing())]
	}
	return b.from, p, false
}

// read follows what was read and returns how much of it counts: what was to end
// after this message ends, and nothing begins after the end.
func (b *cutBody) read(p []byte) (kept int, over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if b.at.Between() && b.res.Request.Context().Err() != nil {
		return 0, true
	}
	if b.cancel == nil {
		for kept < len(p) {
			kept += b.at.Advance(p[kept:])
		}
		return kept, false
	}
	kept = b.at.Advance(p)
	if b.at.Between() {
		b.cancel()
	}
	return kept, false
}

// last returns what ends the answer in place of err: its end, with a status, if
// the caller came to an end.
func (b *cutBody) last(err error) error {
	status := b.server.statusAtEnd(b.res.Request)
	if status == nil {
		if gone := b.res.Request.Context().Err(); gone != nil {
			err = gone // why the body was closed, which a ReverseProxy knows is no failure
		}
		return err // which resets the client's stream
	}
	if b.res.Trailer == nil {
		b.res.Trailer = http.Header{}
	}
	maps.Copy(b.res.Trailer, status)
	return io.EOF
}
