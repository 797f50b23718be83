package grpcctx

import (
	"context"
	"fmt"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/authctx/authctx/internal/peeraddr"
)

// guard vetoes calls that would carry a caller over a connection that anybody
// on the path can read. It takes the form of per-RPC credentials because only
// those learn which connection a call goes out on; it adds nothing to the call.
type guard struct{ proxies proxies }

// carrying is the context of a call that carries a caller over cc. Its own type
// keeps what it carries out of what fmt prints of a context.
type carrying struct {
	context.Context
	cc *grpc.ClientConn
}

type carryingKey struct{}

func (c *carrying) Value(key any) any {
	if _, ok := key.(carryingKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// String names the parent only.
func (c *carrying) String() string { return fmt.Sprintf("%v.WithOutgoingCaller", c.Context) }

// Format implements [fmt.Formatter], so that no verb shows more than String.
func (c *carrying) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// withoutPeer hides the peer of a context in a handler, which is whoever called
// the handler, so that it is never mistaken for the peer that grpc adds once
// the connection of a call is chosen.
func withoutPeer(ctx context.Context) context.Context {
	if _, ok := peer.FromContext(ctx); ok {
		return peer.NewContext(ctx, new(peer.Peer))
	}
	return ctx
}

// GetRequestMetadata implements [credentials.PerRPCCredentials].
func (g *guard) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	call, ok := ctx.Value(carryingKey{}).(*carrying)
	if !ok {
		return nil, nil
	}
	level := securityLevel(ctx)
	if level == credentials.PrivacyAndIntegrity || g.withinMachine(ctx, call.cc) {
		return nil, nil
	}
	why := "without transport security; use TLS or set InsecureAllowPlaintext"
	if level == credentials.InvalidSecurityLevel {
		why = "whose TransportCredentials do not say whether they encrypt; have their AuthInfo embed credentials.CommonAuthInfo with its SecurityLevel, or set InsecureAllowPlaintext"
	}
	// Not Unauthenticated: a handler that passes the status on would blame its
	// own client for a setting of this program.
	return nil, status.Error(codes.Internal, "grpcctx: refusing to send the caller over a connection "+why)
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials]. Asking
// for it would refuse loopback connections too.
func (g *guard) RequireTransportSecurity() bool { return false }

// securityLevel returns what the connection says of itself, the zero level if it
// says nothing. [credentials.CheckSecurityLevel] takes that for safe.
func securityLevel(ctx context.Context) credentials.SecurityLevel {
	info, _ := credentials.RequestInfoFromContext(ctx)
	common, ok := info.AuthInfo.(interface {
		GetCommonAuthInfo() credentials.CommonAuthInfo
	})
	if !ok {
		return credentials.InvalidSecurityLevel
	}
	return common.GetCommonAuthInfo().SecurityLevel
}

// withinMachine reports whether the connection of a call over cc does not leave
// this machine.
func (g *guard) withinMachine(ctx context.Context, cc *grpc.ClientConn) bool {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	if unix, ok := p.Addr.(*net.UnixAddr); ok {
		return unix != nil
	}
	addr := peeraddr.Of(p.Addr)
	// Without a cc, an interceptor alone has written the caller, somewhere around.
	return cc != nil && addr.Addr().IsLoopback() && !g.proxies.of(cc).listensOn(addr.Port())
}
