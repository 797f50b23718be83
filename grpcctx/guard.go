package grpcctx

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
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

// maxTargets is for how many targets a client remembers the proxy.
const maxTargets = 1000

// proxies remembers the forward proxy for each target as it was dialed. It does
// not change: a process reads its environment once, and the scheme that grpc
// adds to a target without one says nothing of where that is.
type proxies struct {
	byTarget sync.Map // string to forwardProxy
	targets  atomic.Int32
}

// of returns the proxy for the target of cc.
func (ps *proxies) of(cc *grpc.ClientConn) forwardProxy {
	if known, ok := ps.byTarget.Load(cc.Target()); ok {
		return known.(forwardProxy)
	}
	proxy := proxyFor(cc.CanonicalTarget())
	if ps.targets.Load() < maxTargets {
		if _, known := ps.byTarget.LoadOrStore(cc.Target(), proxy); !known {
			ps.targets.Add(1)
		}
	}
	return proxy
}

// forwardProxy is where a proxy would be if it were on this machine.
type forwardProxy struct {
	exists bool
	port   uint16 // 0 is any
}

// listensOn reports whether what listens on a port of this machine is the proxy:
// then the target is who gets the call.
func (p forwardProxy) listensOn(port uint16) bool {
	return p.exists && (p.port == 0 || p.port == port)
}

// proxyFor returns the proxy for target. It asks where grpc asks, which takes no
// proxy for what is itself on this machine.
func proxyFor(target string) forwardProxy {
	u, err := url.Parse(target)
	if err != nil {
		return forwardProxy{exists: true}
	}
	endpoint := resolver.Target{URL: *u}.Endpoint()
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: endpoint}})
	if err != nil || proxy == nil {
		return forwardProxy{exists: err != nil}
	}
	port, err := strconv.ParseUint(proxy.Port(), 10, 16)
	if err != nil {
		return forwardProxy{exists: true}
	}
	return forwardProxy{exists: true, port: uint16(port)}
}
