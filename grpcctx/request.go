package grpcctx

import (
	"context"
	"crypto/tls"
	"net/netip"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/peeraddr"
)

// newRequest describes a call. Every gRPC call is a POST.
func newRequest(ctx context.Context, method string, md metadata.MD) *authctx.Request {
	r := &authctx.Request{Transport: authctx.TransportGRPC, Method: "POST", Target: method, Fields: fields(md)}
	if p, ok := peer.FromContext(ctx); ok {
		r.Peer = address(ctx, p)
		if t, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			setCertificates(r, t.State)
		}
	}
	return r
}

// address returns the address at the other end of the connection. Of that,
// [grpc.Server.ServeHTTP] has only what RemoteAddr of the request says.
func address(ctx context.Context, p *peer.Peer) netip.AddrPort {
	if addr, ok := peeraddr.FromContext(ctx); ok {
		return addr
	}
	if peeraddr.IsUnix(p.LocalAddr) {
		return netip.AddrPort{}
	}
	return peeraddr.Of(p.Addr)
}

// setCertificates keeps apart what this server's TLS stack verified and what was
// merely shown.
func setCertificates(r *authctx.Request, state tls.ConnectionState) {
	if len(state.VerifiedChains) > 0 {
		r.PeerCertificates = state.VerifiedChains[0]
	}
	if len(state.PeerCertificates) > 0 {
		r.UnverifiedPeerCertificate = state.PeerCertificates[0]
	}
}
