package httpctx

import (
	"net/http"
	"strings"
)

// isWebSocket reports whether the request asks to become a WebSocket.
func isWebSocket(h http.Header) bool {
	upgrade := h["Upgrade"]
	return len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

// headFollows reports whether the first message of the WebSocket that a request asks
// for is the head of another request, as in gRPC-Web: the upstream takes the fields
// of that for those of a proxy, which never sees them.
func headFollows(h http.Header) bool {
	for _, line := range h["Sec-Websocket-Protocol"] {
		for protocol := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(protocol), "grpc-websockets") {
				return true
			}
		}
	}
	return false
}

// ignoreH2C takes an offer to go on in HTTP/2 out of h, the header of a request
// to an upstream, so that it is an HTTP/1.1 request and nothing else: a server
// may ignore an Upgrade (RFC 9110 section 7.8), and clients that can do both
// offer this one without asking for it.
func ignoreH2C(h http.Header) {
	if upgrade := h["Upgrade"]; len(upgrade) == 1 && strings.EqualFold(upgrade[0], "h2c") {
		for _, name := range []string{"Upgrade", "Connection", "Http2-Settings"} {
			h.Del(name)
		}
	}
}
