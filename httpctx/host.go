package httpctx

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// hosts returns the host of a request as a mux reads it, and as a server does
// that takes it for a name of the DNS or for an address, each once.
func hosts(r *http.Request) []string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	list := []string{host, name}
	if isIPv6(name) {
		bare := strings.Trim(name, "[]")
		list = append(list, bare, "["+bare+"]")
		if ip, err := netip.ParseAddr(bare); err == nil {
			list = append(list, ip.String(), "["+ip.String()+"]")
		}
	}
	if r.Method == http.MethodConnect { // of which a mux leaves the port
		list = append(list, r.Host)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// isHost reports whether all servers find the same name or address in a Host: a
// name of the DNS, which may be empty and have "_", or an IPv6 address in
// brackets, and perhaps a port (RFC 9110 section 7.2). net/http admits more, and
// of "admin.example::" nginx takes what stands before the first colon, of
// "[admin.example]" Caddy what stands in the brackets.
func isHost(s string) bool {
	if address, ok := strings.CutPrefix(s, "["); ok {
		address, rest, _ := strings.Cut(address, "]")
		ip, err := netip.ParseAddr(address)
		return err == nil && ip.Is6() && ip.Zone() == "" && (rest == "" || rest[0] == ':' && isDigits(rest[1:]))
	}
	name, port, _ := strings.Cut(s, ":")
	return isDigits(port) && !strings.Contains(name, "..") && !strings.ContainsFunc(name, notInHosts)
}

func isDigits(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < '0' || c > '9' })
}

// notInHosts reports whether c is in no name of a host.
func notInHosts(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_'
}
