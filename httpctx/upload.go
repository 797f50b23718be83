package httpctx

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// boundedBody is a body that Rewrite made, perhaps by putting a
// [http.MaxBytesReader] around that of the client. The upload remembers when it turns
// out to be too large; what else goes wrong with it may be Rewrite's own fault.
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
	if p == nil || p.answered {
		return nil
	}
	if u, ok := p.in.Body.(*upload); ok {
		if fault := u.fault.Load(); fault != nil {
			return *fault
		}
	}
	return nil
}
