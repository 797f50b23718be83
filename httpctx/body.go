package httpctx

import (
	"io"
	"net/http"
	"sync"
)

// wrapBody puts wrap around the body of r and around what its GetBody returns.
func wrapBody(r *http.Request, wrap func(io.ReadCloser) io.ReadCloser) {
	r.Body = wrap(r.Body)
	if again := r.GetBody; again != nil {
		r.GetBody = func() (io.ReadCloser, error) {
			body, err := again()
			if err != nil {
				return nil, err
			}
			return wrap(body), nil
		}
	}
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
