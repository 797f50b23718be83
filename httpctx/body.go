package httpctx

import (
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
)

// prepareBody gives pr.Out a body that its transport may close and that, if it
// is still what the ReverseProxy made, may be sent anew as long as nothing of it
// was read.
func prepareBody(pr *httputil.ProxyRequest, untouched bool) {
	if pr.Out.Body == nil || pr.Out.Body == http.NoBody { // which a transport knows
		return
	}
	var stream io.Closer
	if pr.In.ProtoMajor == 2 {
		stream = pr.In.Body
	}
	if untouched && pr.Out.GetBody == nil {
		c := &clientBody{body: pr.Out.Body, stream: stream}
		pr.Out.Body = &attempt{client: c}
		pr.Out.GetBody = c.again
		return
	}
	if u, ok := pr.In.Body.(*upload); ok {
		boundBody(pr.Out, u)
	}
	if stream != nil {
		pr.Out.Body = &streamBody{pr.Out.Body, stream}
	}
}

// boundBody has u remember when the body of out, as Rewrite made it, turns out to
// be too large.
func boundBody(out *http.Request, u *upload) {
	out.Body = &boundedBody{out.Body, u}
	if again := out.GetBody; again != nil {
		out.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				return nil, err
			}
			return &boundedBody{body, u}, nil
		}
	}
}

// boundedBody is a body that Rewrite made, perhaps by putting a
// [http.MaxBytesReader] around that of the client. What else goes wrong with it may
// be Rewrite's own fault.
type boundedBody struct {
	io.ReadCloser
	upload *upload
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		b.upload.blame(large)
	}
	return n, err
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
// transport closes what it did not send because the upstream was about to leave
// (an HTTP/2 GOAWAY, RFC 9113 section 6.8), and asks for it again. The
// ReverseProxy closes the body when the request has ended.
type clientBody struct {
	body   io.Reader
	stream io.Closer // of HTTP/2, as for streamBody; nil for HTTP/1, where Close waits for the rest
	begun  atomic.Bool
}

// again implements GetBody of [http.Request].
func (c *clientBody) again() (io.ReadCloser, error) {
	if c.begun.Load() {
		return nil, errors.New("httpctx: proxy: the connection to the upstream ended when the client's body was sent in part")
	}
	return &attempt{client: c}, nil
}

// attempt is a clientBody as one attempt to send it sees it.
type attempt struct {
	client *clientBody
	closed atomic.Bool
}

// Read and Close first say what they are about to do and then look at the other,
// so that of two at the same time one gives way.
func (a *attempt) Read(p []byte) (int, error) {
	a.client.begun.Store(true)
	if a.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return a.client.body.Read(p)
}

// Close ends a Read that is under way. What nobody has begun to read is left for
// the next attempt.
func (a *attempt) Close() error {
	a.closed.Store(true)
	if a.client.stream == nil || !a.client.begun.Load() {
		return nil
	}
	return a.client.stream.Close()
}

// upload is the body of a request that came in, which remembers what was wrong
// with it.
type upload struct {
	io.ReadCloser
	closed atomic.Bool
	fault  atomic.Pointer[error]
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if err != nil && err != io.EOF && !u.closed.Load() {
		u.blame(err)
	}
	return n, err
}

// blame remembers what was wrong. A transport may read from another goroutine, and
// after it has failed.
func (u *upload) blame(fault error) { u.fault.Store(&fault) }

func (u *upload) Close() error {
	u.closed.Store(true)
	return u.ReadCloser.Close()
}

// withUpload returns r, with a body that remembers if there is one.
func withUpload(r *http.Request) *http.Request {
	if r.Body == nil || r.Body == http.NoBody {
		return r
	}
	r = r.WithContext(r.Context())
	r.Body = &upload{ReadCloser: r.Body}
	return r
}

// faultOf returns what was wrong with the body of a request that an upstream has
// not answered: nil when that is nothing or not known. The error of the transport
// does not tell, since it may be about an answer that the transport has bounded.
func faultOf(p *proxied) error {
	u, ok := p.in.Body.(*upload)
	if !ok || p.answered {
		return nil
	}
	if fault := u.fault.Load(); fault != nil {
		return *fault
	}
	return nil
}

// onceCloser is the body of an answer that its transport is told once to close. A
// transport of HTTP/2 gives what nobody has read back to the connection, each
// time, until the connection takes that for an attack and never comes back.
type onceCloser struct {
	io.ReadCloser
	once sync.Once
	err  error
}

func (c *onceCloser) Close() error {
	c.once.Do(func() { c.err = c.ReadCloser.Close() })
	return c.err
}

// endNotifier is a body that calls ended when it was read to its end.
type endNotifier struct {
	io.ReadCloser
	ended func()
}

func (b *endNotifier) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.ended()
	}
	return n, err
}
