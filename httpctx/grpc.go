package httpctx

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
)

// cutBody is the body of an answer to a gRPC call. When the call is cancelled
// because its caller came to an end, it ends with a status in the trailers.
type cutBody struct {
	io.ReadCloser
	res    *http.Response
	server *Server
	stop   func() bool
}

// newCutBody returns the body of res for s. A transport that waits for the next
// message of a client does not look at the context, so the body is closed.
func newCutBody(res *http.Response, s *Server) *cutBody {
	body := res.Body
	stop := context.AfterFunc(res.Request.Context(), func() { _ = body.Close() })
	return &cutBody{body, res, s, stop}
}

func (b *cutBody) Close() error {
	b.stop()
	return b.ReadCloser.Close()
}

func (b *cutBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	status := b.server.statusAtEnd(b.res.Request)
	if status == nil {
		if gone := b.res.Request.Context().Err(); gone != nil {
			err = gone // why the body was closed, which a ReverseProxy knows is no failure
		}
		return n, err // which resets the client's stream
	}
	if b.res.Trailer == nil {
		b.res.Trailer = http.Header{}
	}
	maps.Copy(b.res.Trailer, status)
	return n, io.EOF
}

// statusAtEnd returns the gRPC status of a call that was cancelled because its
// caller came to an end, nil for any other. It is what Refuse answers such a
// call with: gRPC has the same fields in an answer of headers only and in
// trailers.
func (s *Server) statusAtEnd(r *http.Request) http.Header {
	ended, ok := errors.AsType[*refusal](context.Cause(r.Context()))
	if !ok || s.refuse == nil {
		return nil
	}
	answer := headerWriter{}
	if !s.refuse(answer, s.stripped(r), ended.error) {
		return nil
	}
	status := http.Header{}
	for name, values := range answer {
		if strings.HasPrefix(name, "Grpc-") {
			status[name] = values
		}
	}
	if len(status["Grpc-Status"]) == 0 {
		return nil
	}
	return status
}

// headerWriter is a response writer that keeps the header alone.
type headerWriter http.Header

func (w headerWriter) Header() http.Header         { return http.Header(w) }
func (w headerWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w headerWriter) WriteHeader(int)             {}
