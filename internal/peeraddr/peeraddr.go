// Package peeraddr reads the address of a peer from text, which is all that
// net/http keeps of it.
package peeraddr

import (
	"net"
	"net/netip"
	"strings"
)

// IsUnix reports whether addr, if not nil, is an end of a Unix socket. The other
// end is called as whoever has it likes: it may be bound to a path that reads
// like an IP address.
func IsUnix(addr net.Addr) bool { return addr != nil && strings.HasPrefix(addr.Network(), "unix") }

// Parse returns the address in text, and the zero address if there is none.
func Parse(text string) netip.AddrPort {
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}
	}
	return Unmap(addr)
}

// Unmap returns addr with an IPv4 address as such, and not mapped to IPv6, as
// which some listeners have it.
func Unmap(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}
