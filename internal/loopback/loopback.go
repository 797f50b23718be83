// Package loopback knows the hosts to which plaintext may go unasked.
package loopback

import "net/netip"

// Is reports whether a host of a URL is this machine: a loopback address, or
// localhost spelled so. A proxy of the environment gets to see other spellings,
// and names below localhost are looked up like any other.
func Is(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
