// Package grpchttp says what of HTTP is gRPC.
package grpchttp

import (
	"net/http"
	"strings"
)

// IsRequest reports whether r is a gRPC request: HTTP/2 with a content type of
// application/grpc, whatever the message format behind it. gRPC-Web is not
// gRPC.
func IsRequest(r *http.Request) bool {
	const contentType = "application/grpc"
	ct := r.Header.Get("Content-Type")
	return r.ProtoMajor >= 2 && len(ct) >= len(contentType) && strings.EqualFold(ct[:len(contentType)], contentType) &&
		(len(ct) == len(contentType) || ct[len(contentType)] == '+' || ct[len(contentType)] == ';')
}
