// Package grpchttp says what of HTTP is gRPC.
package grpchttp

import (
	"net/http"
	"strings"
)

const contentType = "application/grpc"

// IsRequest reports whether r is a gRPC request: HTTP/2 with a content type of
// application/grpc, whatever the message format behind it. gRPC-Web is not
// gRPC. It says how to answer r.
func IsRequest(r *http.Request) bool {
	ct := r.Header.Get("Content-Type")
	return r.ProtoMajor >= 2 && begins(ct) &&
		(len(ct) == len(contentType) || ct[len(contentType)] == '+' || ct[len(contentType)] == ';')
}

// MayBe reports whether some server may take a request with the header h for
// gRPC or gRPC-Web: servers differ in which of several content types counts, and
// a proxy may speak HTTP/2 to them whatever its client spoke. It says what to
// watch over.
func MayBe(h http.Header) bool {
	for _, line := range h["Content-Type"] {
		for ct := range strings.SplitSeq(line, ",") {
			if begins(strings.TrimLeft(ct, " \t")) {
				return true
			}
		}
	}
	return false
}

func begins(ct string) bool {
	return len(ct) >= len(contentType) && strings.EqualFold(ct[:len(contentType)], contentType)
}
