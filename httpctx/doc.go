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
//
// # Where other middleware goes
//
// The peer, which a [authctx.Trust] judges, is who is connected where the
// [net/http.Server] has the [ConnContext] of this package, and otherwise what
// RemoteAddr of the request says. Without it, whatever writes an address there
// that it has from X-Forwarded-For, X-Real-IP or Forwarded goes inside of
// [Server.Handler], with a [Mux] around the handlers of its routes, and never in
// front: with ProxyHeaders of gorilla/handlers in front, "X-Forwarded-For:
// 10.1.0.5:80" makes anybody a trusted peer; and where a trusted gateway sends
// that header honestly, its client is taken for the peer and every request is
// refused. RemoteAddr needs its port: without one, as RealIP of chi leaves it,
// nobody is trusted by address.
//
// A peer on a Unix socket has no address, whatever path it is bound to. Behind the
// adaptor of fasthttp that is known by the context which the adaptor gives the
// request: what puts another around it goes inside, too.
//
// # Requests within requests
//
// The caller is in the context of the request that it sent. A framework with sessions
// may run handlers in the context of the request that opened the session, and then
// everything is done by whoever that was, with what was granted then. Servers of the
// Model Context Protocol do this by default, over streamable HTTP and with its older
// events: make them stateless (Stateless of mcp.StreamableHTTPOptions), or have each
// call take its caller from its own request.
//
// The fields of a request are those of its head. What takes fields from the messages
// of a WebSocket, or from the parts of a body with several requests, believes what a
// client writes there: it must not be given plain identity fields, whoever connects.
// A [Proxy] refuses the one of these that it knows by its subprotocol, gRPC-Web.
//
// # HTTP/3 and early data
//
// What comes before the handshake of HTTP/3 is complete may be from any address and
// may be a replay (RFC 8470). quic-go takes such early data unless its Config says
// otherwise. A [Server] answers it with 425 Too Early, which browsers heed by trying
// again, and tells the observer [authctx.Unavailable]; for public routes and
// preflights it passes. Early data that a proxy in front takes, as nginx does with
// ssl_early_data, is not known here, whatever its field Early-Data says: a request
// with a bearer token can be replayed through such a proxy.
//
// # How paths are matched
//
// When the handler behind a [Server] is a [net/http.ServeMux], the policy is asked
// about the pattern that the mux will route the request by. If it has an entry of
// a more specific pattern, or of a whole RPC service, which then is no route of
// the mux, that must allow the request too. So must that of a host which the mux
// does not know for its letter case or for a dot at its end.
//
// Any other handler, such as a proxy, another router or a mux inside of
// middleware, does not say how it routes. The policy's patterns are then matched
// as by a mux that has these and no others: "/" is everything else, and what none
// matches is left to the default rule. If an outer mux has routed the request by a
// pattern that the policy lists, [net/http.Request.Pattern], that entry must allow
// it too, in place of the default rule, and so must that of a whole RPC service.
// Whoever serves a request again by another path empties Pattern first. A handler
// of one route is better given to a mux inside, Handler(mux), which knows how it
// routes. The path is the one that comes in, with what the handler may strip from
// it.
//
// Such a handler may read a path in another way than a mux does. The request is
// let through if all entries allow it under which it falls for some server: one
// that decodes the path never, once or more often, that ignores letter case or a
// slash at the end, and that takes any of the characters / \ ; ? # % for the end
// of a segment or of the path, encoded or not. What stands before the first
// segment with such a character is sure. The rest may be read as anything below,
// since nothing may climb: dot segments are refused, however they are encoded.
//
// So "/files/a%2Fb" asks for all that the policy lists at or below "/files" and
// for what it says of everything there. "GET /files/{name}" alone does not say
// that and the request is refused; "GET /files/{name...}" does, and so do
// "/files/", "/" and a default rule. If already the first segment has such a
// character, all entries must allow the request. An entry that ends in a slash
// rules its own path alone, "/static/" that of "/static", unless a wildcard stands
// there; one that does not, "/a", leaves "/a/" to others.
//
// Other liberties of a server, such as taking "/a.json" for "/a", a wildcard for
// more than one segment, as Echo's last one, or another host than the request's,
// are not known here: rule what is behind one by a strict Default.
//
// Refused as [authctx.InvalidRequest] are empty and dot segments, control
// characters, encoded or not, a method that is not in upper case, and a path that
// something outside changed without its RawPath, as [net/http.StripPrefix] does
// not.
//
// In front of a mux, too, so are a method that is not a token and, where a pattern
// of the policy has a host, a Host that is not a name of letters, digits, "-", "_"
// and single dots or an IPv6 address in brackets, with or without a port. Of
// "admin.example::" nginx takes what stands before the first colon, and of
// "[admin.example]" Caddy what stands in the brackets. A request without a Host
// falls under the patterns that have none.
//
// # Slow clients
//
// A refusal by [Server.Handler] or [Server.Require] gives its client ten seconds to
// send the rest of its request and as long to take the answer, unless the
// [net/http.Server] says otherwise by ReadTimeout and WriteTimeout, or middleware in
// front has a writer without Unwrap. What that has set takes second place, and what it
// does once it has a refusal counts in: an answer that it holds back for longer is
// lost. The rest is up to the program:
//
//   - ReadHeaderTimeout and IdleTimeout of the [net/http.Server] end connections on
//     which no request comes. Neither has a default.
//   - What is let through, public routes and preflights included, is bounded by its
//     handler: [net/http.MaxBytesReader] for how much it reads, and deadlines of
//     [net/http.ResponseController] for how long it waits. A handler that reads no
//     body is waited for too: over HTTP/1, net/http reads up to 256 KiB of it first.
//
// # Proxies of HTTP/2
//
// What a peer has sent and nobody has read counts against a window of its stream
// and against one of its connection, and the defaults of net/http let few streams
// use up the latter. [net/http.HTTP2Config] sets both:
//
//   - All clients of a [Proxy] share the connections of its transport, which take
//     1 GiB, with 4 MiB for a stream: 256 answers that clients do not read stop
//     the calls of everybody. MaxReceiveBufferPerStream of 64 KiB, on the
//     [net/http.Transport], makes that 16,384, and such an answer that much
//     cheaper.
//   - A connection of a client takes 1 MiB, as does a stream: one body that the
//     upstream does not read stops all others of its connection. On the
//     [net/http.Server], make MaxReceiveBufferPerConnection as large as
//     MaxReceiveBufferPerStream, 64 KiB say, times MaxConcurrentStreams.
//
// A transport sends up to 100 requests on a new connection before it knows how many
// streams the upstream allows there. An upstream should allow that many: what it
// refuses of a burst is sent anew, but seconds later if it is refused again, and
// calls whose clients are silent before their last message fail.
package httpctx
