package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/authctx/authctx/grpcctx"
)

// brokenCalls tells clients of gRPC calls that their upstream went away before it had
// answered in full, as when it is deployed anew: the call ends as Unavailable, which
// clients go on from by calling again. The proxy would reset its stream, and they would
// take that for Internal, a fault of the service, as they still do if the upstream went
// away in the middle of a message.
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
	if err == nil || err == io.EOF || b.res.Request.Context().Err() != nil || !isConnectionLost(err) {
		return n, err
	}
	if b.res.Header.Get("Grpc-Status")+b.res.Trailer.Get("Grpc-Status") != "" { // only its length was not as announced
		return n, io.EOF
	}
	b.warn(err)
	if b.res.Trailer == nil {
		b.res.Trailer = http.Header{}
	}
	b.res.Trailer.Set("Grpc-Status", strconv.Itoa(int(codes.Unavailable)))
	b.res.Trailer.Set("Grpc-Message", "the service behind this gateway has gone")
	return n, io.EOF
}

// isConnectionLost reports whether an answer over HTTP/2 that has no status ended with its
// connection. One that the upstream resets fails with another error, and so does one whose
// client did not send its request properly. That the connection was to be closed is only
// known by its text.
func isConnectionLost(err error) bool {
	_, broken := errors.AsType[*net.OpError](err)
	return broken || errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(err.Error(), "http2: server sent GOAWAY and closed the connection;")
}
