package httpctx

import (
	"net/http"
	"strings"
)

// statusAtEnd returns the gRPC status of a call that was cancelled because its
// caller came to an end, nil for any other. It is what Refuse answers such a
// call with: gRPC has the same fields in an answer of headers only and in
// trailers.
func (s *Server) statusAtEnd(r *http.Request) http.Header {
	ended, ok := refusalOf(r.Context())
	answer := headerWriter{}
	if !ok || !s.refused(answer, r, ended.err) {
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
