// Package fieldname lists names of fields with a meaning that nobody may change.
package fieldname

// Credentials carry a credential in a way of their own, or what a server says of
// one. Those of this module are not among them.
var Credentials = [...]string{
	"authentication-info", "authorization", "client-cert", "client-cert-chain", "cookie", "dpop", "dpop-nonce",
	"proxy-authenticate", "proxy-authentication-info", "proxy-authorization", "sec-websocket-protocol", "set-cookie",
	"www-authenticate",
}
