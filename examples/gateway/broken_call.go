package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"google.golang.org/grpc/codes"

	"github.com/authctx/authctx/grpcctx"
)

// brokenCalls tells clients of gRPC calls that their upstream went away before it had
// answered in full, as when it is deployed anew: the call ends as Unavailable, which
// clients go on from by calling again. The proxy would reset its stream, and they would
// take that for Internal, a fault of the service.
func brokenCalls(upstream string, log *slog.Logger) func(*http.Response) error {
	return func(res *http.Response) error {
		if grpcctx.IsRequest(res.Request) {
			res.Body = &callBody{res.Body, res, func(err error) {
				log.WarnContext(res.Request.Context(), "upstream broke off its answer", "upstream", upstream, "error", err)
			}}
		}
		return nil
	}
}

// callBody is the answer to a call.
type callBody struct {
	io.ReadCloser
	res  *http.Response
	warn func(error)
}

func (b *callBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF || b.res.Request.Context().Err() != nil { // by the client, or with its caller
		return n, err
	}
	if _, reset := errors.AsType[streamError](err); reset { // by the service, which is still there
		return n, err
	}
	b.warn(err)
	if b.res.Trailer == nil {
		b.res.Trailer = http.Header{}
	}
	b.res.Trailer.Set("Grpc-Status", strconv.Itoa(int(codes.Unavailable)))
	b.res.Trailer.Set("Grpc-Message", "the service behind this gateway has gone")
	return n, io.EOF
}

// streamError is what net/http makes of a stream that was reset, for who asks for an
// error of these fields.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "stream reset" }
