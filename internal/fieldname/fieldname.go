// Package fieldname knows the names of fields whose meaning is fixed, and which names
// some server takes for the same.
package fieldname

import "strings"

// Credentials carry a credential in a way of their own, or what a server says of
// one. Those of this module are not among them.
var Credentials = [...]string{
	"authentication-info", "authorization", "client-cert", "client-cert-chain", "cookie", "dpop", "dpop-nonce",
	"proxy-authenticate", "proxy-authentication-info", "proxy-authorization", "sec-websocket-protocol", "set-cookie",
	"www-authenticate",
}

// GatewayPrefixes are what gateways between HTTP and gRPC put before a name or take
// away.
var GatewayPrefixes = [...]string{"grpc-metadata-", "grpcgateway-", "grpc-trailer-", "trailer-"}

// Canonical returns the same for all names that Owns of an authctx.FieldSet takes for
// one name; those with so many prefixes that every set owns them are left out. Its time
// grows only with the name, for looking names up where peers choose how many there are.
func Canonical(name string) string {
	name = strings.Map(fold, name)
	for len(name) > len("-bin") && strings.HasSuffix(name, "-bin") { // first, for a name that ends in one and is a prefix
		name = name[:len(name)-len("-bin")]
	}
	for cut := true; cut; {
		cut = false
		for _, prefix := range GatewayPrefixes {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				name, cut = rest, true
			}
		}
	}
	return name
}

func fold(c rune) rune {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c >= 0x80:
		return c
	}
	return '-'
}
