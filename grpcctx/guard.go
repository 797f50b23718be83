package grpcctx

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
)

// guard vetoes calls that would carry a caller over a connection that anybody
// on the path can read. It takes the form of per-RPC credentials because only
// those learn which connection a call goes out on; it adds nothing to the call.
type guard struct{ allowPlaintext bool }

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
func (g guard) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	if g.allowPlaintext {
		return nil, nil
	}
	call, ok := ctx.Value(carryingKey{}).(*carrying)
	if !ok || secure(ctx) || withinMachine(ctx, call.cc) {
		return nil, nil
	}
	// Not Unauthenticated: a handler that passes the status on would blame its
	// own client for a setting of this program.
	return nil, status.Error(codes.Internal,
		"grpcctx: refusing to send the caller over a connection without transport security; use TLS or set AllowInsecurePlaintext")
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials]. Asking
// for it would refuse loopback connections too.
func (g guard) RequireTransportSecurity() bool { return false }

// secure reports whether the connection says of itself that it is encrypted and
// authenticated. [credentials.CheckSecurityLevel] also takes silence for yes.
func secure(ctx context.Context) bool {
	info, _ := credentials.RequestInfoFromContext(ctx)
	common, ok := info.AuthInfo.(interface {
		GetCommonAuthInfo() credentials.CommonAuthInfo
	})
	return ok && common.GetCommonAuthInfo().SecurityLevel == credentials.PrivacyAndIntegrity
}

// withinMachine reports whether the connection of a call over cc does not leave
// this machine.
func withinMachine(ctx context.Context, cc *grpc.ClientConn) bool {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	if unix, ok := p.Addr.(*net.UnixAddr); ok {
		return unix != nil
	}
	addr := addrPort(p.Addr)
	return addr.Addr().IsLoopback() && !isProxy(addr.Port(), cc.CanonicalTarget())
}

// isProxy reports whether what listens on a port of this machine is the forward
// proxy for target: then target is who gets the call. It asks where grpc asks,
// which takes no proxy for what is itself on this machine.
func isProxy(port uint16, target string) bool {
	u, err := url.Parse(target)
	if err != nil {
		return true
	}
	endpoint := resolver.Target{URL: *u}.Endpoint()
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: endpoint}})
	if err != nil || proxy == nil {
		return err != nil
	}
	return proxy.Port() == "" || proxy.Port() == strconv.Itoa(int(port))
}
