package httpctx

import (
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"
)

// prepareBody gives pr.Out a body that its transport may close. If it is still what
// the ReverseProxy made, it may be sent anew, for which it is returned.
func prepareBody(pr *httputil.ProxyRequest, transport http.RoundTripper, untouched bool) *clientBody {
	if pr.Out.Body == nil || pr.Out.Body == http.NoBody { // which a transport knows
		return nil
	}
	var stream io.Closer
	if pr.In.ProtoMajor == 2 {
		stream = pr.In.Body
	}
	if untouched && pr.Out.GetBody == nil {
		c := &clientBody{body: pr.Out.Body, stream: stream, keeps: isKept(pr.Out, transport)}
		pr.Out.Body, pr.Out.GetBody = c.attempt(), c.again
		return c
	}
	if u, ok := pr.In.Body.(*upload); ok {
		wrapBody(pr.Out, func(body io.ReadCloser) io.ReadCloser { return &boundedBody{body, u} })
	}
	if stream != nil {
		pr.Out.Body = &streamBody{pr.Out.Body, stream}
	}
	return nil
}

// isKept reports whether the body of out may be sent anew after it was read, as an
// upstream of HTTP/2 lets a transport know that it did not look at it. One of
// HTTP/1 cannot, and a transport sends there again what it takes for idempotent.
func isKept(out *http.Request, transport http.RoundTripper) bool {
	t, known := transport.(*http.Transport)
	h2c := known && t.Protocols != nil && t.Protocols.UnencryptedHTTP2() && !t.Protocols.HTTP1()
	return (h2c || !known || out.URL.Scheme == "https") && !isIdempotent(out)
}

// isIdempotent reports whether [http.Transport] takes r for idempotent.
func isIdempotent(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}

// streamBody is the body of an HTTP/2 request whose Close reaches the client's
// stream. A ReverseProxy shields that from its transport, which then waits for a
// silent client before it tells anybody that the upstream has ended a stream.
type streamBody struct {
	io.ReadCloser
	stream io.Closer
}

// Close ends a Read that is under way.
func (b *streamBody) Close() error {
	return errors.Join(b.ReadCloser.Close(), b.stream.Close())
}

// clientBody is the body of a request that may take several attempts to send: a
// transport closes what it did not send because the upstream was about to leave or
// refused the stream (RFC 9113 section 8.7), and asks for it again. The
// ReverseProxy closes the body when the request has ended.
type clientBody struct {
	body   io.Reader
	stream io.Closer // of HTTP/2, as for streamBody; nil for HTTP/1, where Close waits for the rest
	keeps  bool      // what was read may be sent anew

	mu     sync.Mutex
	open   []*attempt // those that were not closed
	reader *attempt   // the one that reads from the client, perhaps closed since; nil for none
	kept   []byte     // what was read, unless that was forgotten
	total  int        // how much was read
	end    error      // of body, once it was read
	spent  bool       // cannot be sent anew
}

const (
	// maxKept is how much of a body is kept to be sent anew: more than the window of
	// a stream that the upstream does not take, which is 64 KiB unless it has said
	// otherwise, so that nobody reads on.
	maxKept = 80 << 10
	// A client that has begun to send gets so much time for more, before its stream
	// is closed under the Read of an attempt that was given up.
	readAheadTime = 200 * time.Millisecond
)

// again implements GetBody of [http.Request]. Attempts know nothing of one another:
// a transport may read one to sign it, and send another.
func (c *clientBody) again() (io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spent || c.reader != nil {
		return nil, errNotAnew
	}
	return c.attempt(), nil
}

var errNotAnew = errors.New("httpctx: proxy: the request cannot be sent anew, since its body was read and is not kept")

func (c *clientBody) attempt() *attempt {
	a := &attempt{client: c}
	c.open = append(c.open, a)
	return a
}

// release forgets what was kept, since the upstream has begun to answer.
func (c *clientBody) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget()
	if c.stream != nil && c.abandoned() {
		_ = c.stream.Close()
	}
}

// abandoned reports whether nobody reads on: the others do not go on with what an
// attempt reads that was closed meanwhile.
func (c *clientBody) abandoned() bool {
	return len(c.open) == 0 || c.reader != nil && c.reader.closed
}

// keepsFor reports whether what a reads is kept: it may be sent anew, or there is
// another attempt, such as the body itself while a transport reads a copy to sign it.
func (c *clientBody) keepsFor(a *attempt) bool {
	return !c.spent || slices.ContainsFunc(c.open, func(b *attempt) bool { return a != b })
}

// forget lets nobody begin anew. Those who have begun may go on.
func (c *clientBody) forget() {
	c.spent = true
	if !slices.ContainsFunc(c.open, func(a *attempt) bool { return a.at < c.total }) {
		c.kept = nil
	}
}

// giveUp ends a Read of a, which was closed, if it is still under way.
func (c *clientBody) giveUp(a *attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reader == a {
		c.spent = true
		_ = c.stream.Close()
	}
}

// attempt is a clientBody as one attempt to send it sees it.
type attempt struct {
	client *clientBody
	at     int // how much it has read
	closed bool
}

func (a *attempt) Read(p []byte) (int, error) {
	n, most, err := a.begin(p)
	if most == 0 {
		return n, err
	}
	n, err = a.client.body.Read(p[:most])
	a.read(p[:n], err)
	return n, err
}

// begin reads what is known already, or says how much of p may be read from the
// client.
func (a *attempt) begin(p []byte) (n, most int, err error) {
	c := a.client
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case a.closed:
		return 0, 0, http.ErrBodyReadAfterClose
	case a.at < len(c.kept):
		n = copy(p, c.kept[a.at:])
		a.at += n
		return n, 0, nil
	case a.at < c.total || c.reader != nil:
		return 0, 0, errNotAnew
	case c.end != nil:
		return 0, 0, c.end
	}
	c.spent = c.spent || !c.keeps
	most = len(p)
	if room := maxKept - len(c.kept); room > 0 && c.keepsFor(a) {
		most = min(most, room)
	}
	if most > 0 {
		c.reader = a
	}
	return 0, most, nil
}

// read keeps p, with which a Read has ended.
func (a *attempt) read(p []byte, err error) {
	c := a.client
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reader, c.end = nil, err
	whole := len(c.kept) == c.total
	c.total += len(p)
	a.at = c.total
	if whole && c.total <= maxKept && c.keepsFor(a) {
		c.kept = append(c.kept, p...)
	} else {
		c.forget()
	}
}

// Close leaves what may be sent anew for the next attempt. Otherwise, or if its
// client stays silent, it ends a Read that is under way.
func (a *attempt) Close() error {
	c := a.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
	c.open = slices.DeleteFunc(c.open, func(b *attempt) bool { return a == b })
	switch {
	case c.stream == nil || !c.abandoned():
	case c.spent:
		return c.stream.Close()
	case c.reader == a:
		time.AfterFunc(readAheadTime, func() { c.giveUp(a) })
	}
	return nil
}
