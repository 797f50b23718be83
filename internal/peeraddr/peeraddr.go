// Package peeraddr tells the address of a peer: of the connection that a context
// keeps, of an end of one, or of text, which is all that net/http keeps of it.
package peeraddr

import (
	"context"
	"net"
	"net/netip"
	"strings"
)

// IsUnix reports whether addr, which may be nil, is an end of a Unix socket. A peer
// chooses the name of its end, which may read like an IP address.
func IsUnix(addr net.Addr) bool { return addr != nil && strings.HasPrefix(addr.Network(), "unix") }

type connKey struct{}

// NewContext returns a context that keeps the connection c.
func NewContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// FromContext returns the address of the peer of the connection that ctx keeps,
// the zero address if it has none, and whether ctx keeps one. It is asked for
// here and not in NewContext, because a connection may have to read first what a
// proxy says about its peer.
func FromContext(ctx context.Context) (netip.AddrPort, bool) {
	c, ok := ctx.Value(connKey{}).(net.Conn)
	if !ok {
		return netip.AddrPort{}, false
	}
	if IsUnix(c.LocalAddr()) {
		return netip.AddrPort{}, true
	}
	return Of(c.RemoteAddr()), true
}

// Of returns the address of an end of a connection, and the zero address for what
// is not an IP address, such as a Unix socket, whatever that is called.
func Of(addr net.Addr) netip.AddrPort {
	switch a := addr.(type) {
	case nil:
		return netip.AddrPort{}
	case *net.TCPAddr:
		return unmap(a.AddrPort())
	}
	if IsUnix(addr) {
		return netip.AddrPort{}
	}
	return Parse(addr.String()) // grpc.Server.ServeHTTP has text only
}

// Parse returns the address in text, and the zero address if there is none.
func Parse(text string) netip.AddrPort {
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}
	}
	return unmap(addr)
}

// unmap returns addr with an IPv4 address as such: some listeners map it to IPv6.
func unmap(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}
