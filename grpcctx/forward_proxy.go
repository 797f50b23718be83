package grpcctx

import (
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

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
