package grpcctx

import (
	"context"
	"crypto/tls"
	"iter"
	"maps"
	"net/netip"
	"strings"

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

// fields reads incoming metadata, whose keys are in lower case.
type fields metadata.MD

func (f fields) Values(name string) []string {
	if values, ok := f[name]; ok || isLower(name) {
		return values
	}
	return f[strings.ToLower(name)]
}

func (f fields) Names() iter.Seq[string] { return maps.Keys(f) }

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

// mdReader reads the metadata of incoming calls without copying it.
//
// [metadata.FromIncomingContext] copies every value, which costs more than all
// else that this package does to a call. It finds them by asking the context
// for a key of its own, and a context can remember what it was asked for.
type mdReader struct{ key any }

func newMDReader() mdReader {
	var asked askedFor
	_, _ = metadata.FromIncomingContext(&asked)
	return mdReader{asked.key}
}

// askedFor is a context without values that remembers the last key.
type askedFor struct {
	context.Context
	key any
}

func (a *askedFor) Value(key any) any {
	a.key = key
	return nil
}

// incoming returns the metadata that came with a call, which must not be
// changed, and a copy without the fields of s. Keys are in lower case, as they
// are whenever they came over a wire.
func (r mdReader) incoming(ctx context.Context, s *stripper) (md, left metadata.MD) {
	if md, ok := ctx.Value(r.key).(metadata.MD); ok {
		if left, lower := s.without(md); lower {
			return md, left
		}
	}
	md, _ = metadata.FromIncomingContext(ctx)
	left, _ = s.without(md)
	return md, left
}

// isLower reports whether name has no capital; only ASCII letters have a case.
func isLower(name string) bool {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}
