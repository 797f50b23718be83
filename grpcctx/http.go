package grpcctx

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/grpchttp"
)

// IsRequest reports whether r is a gRPC request: HTTP/2 with a content type of
// application/grpc, whatever the message format behind it. gRPC-Web is not
// gRPC.
func IsRequest(r *http.Request) bool {
	return grpchttp.IsRequest(r)
}

// WriteError answers a gRPC request that a net/http handler refuses, as a
// gateway does, with the status of err (see [Status]): one block of headers and
// nothing after it, which gRPC calls Trailers-Only. It must be all that is
// written to w; headers that w already has, such as a DPoP nonce, are sent along
// and reach a client of gRPC as trailer metadata. A [Server] that refuses a call
// sends them as header metadata, so a client looks at both. A nil err is answered
// as [authctx.Unavailable]: what is refused without a reason is no success.
func WriteError(w http.ResponseWriter, err error) {
	if err == nil {
		err = authctx.Unavailable
	}
	st := Status(err)
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(int(st.Code())))
	h.Set("Grpc-Message", percentEncode(st.Message()))
	if details, err := proto.Marshal(st.Proto()); err == nil {
		h.Set("Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(details))
	}
	w.WriteHeader(http.StatusOK)
}

// Refuse answers a gRPC request that a net/http handler refuses, by [WriteError],
// a nil err included, and reports whether r is one; others it leaves alone. It is
// for ServerConfig.Refuse of httpctx.
func Refuse(w http.ResponseWriter, r *http.Request, err error) bool {
	if !IsRequest(r) {
		return false
	}
	WriteError(w, err)
	return true
}

// percentEncode writes a status message: printable ASCII but "%" stands for
// itself.
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c <= '~' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}
