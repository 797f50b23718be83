// Package httpctx puts authctx to work on net/http.
//
//   - [Server] is middleware: it authenticates requests, applies a policy or
//     single rules, answers refusals with the right status and challenge, and
//     hands the handler a request with the caller in its context and without
//     anything that a client could have forged.
//   - [Transport] is a [net/http.RoundTripper] that carries the caller of a
//     request's context to the destinations that were named, and to no other.
//   - [Proxy] does both halves of that for [net/http/httputil.ReverseProxy].
//
// Identity fields that come in are removed on every path, whether or not the
// request is let through. They are written on outgoing requests only.
//
// The functions and interfaces that a configuration holds, clocks included, are
// called by several requests at the same time.
package httpctx
