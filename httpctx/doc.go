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
// A type that has a constructor is made by it: the zero value is not ready unless
// its comment says so. Functions and interfaces in a configuration, clocks
// included, must be safe for concurrent use.
//
// # Where other middleware goes
//
// The peer, which an [authctx.Trust] judges, is the other end of the connection
// where the [net/http.Server] has the [ConnContext] of this package, and otherwise
// what the request's RemoteAddr says.
//
// Without ConnContext, middleware that sets RemoteAddr from X-Forwarded-For,
// X-Real-IP or Forwarded goes inside of [Server.Handler] (around the handlers of
// routes, where that is made by a [Mux]) and never in front. With ProxyHeaders of
// gorilla/handlers in front, "X-Forwarded-For: 10.1.0.5:80" makes anybody a
// trusted peer; and where a trusted gateway sends that header honestly, its client
// is taken for the peer and every request is refused. RemoteAddr needs its port:
// without one, as RealIP of chi leaves it, nobody is trusted by address.
//
// A peer on a Unix socket has no address, whatever path it is bound to. Behind the
// adaptor of fasthttp, such a socket is known by a method of the request's context:
// middleware that wraps the context hides the method, and goes inside, too.
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
// about the pattern that the mux will route the request by. Further entries that
// match must allow the request too, although they are no routes of the mux: one of
// a more specific pattern, one of a whole RPC service, and one of a host that the
// mux does not recognize because of letter case or a dot at the end.
//
// A pattern with a host is more specific than any without one, those of RPC methods
// included: beside "api.example/shop.v1.Orders/", an entry "/shop.v1.Orders/Cancel"
// rules nothing that comes for that host. "api.example/shop.v1.Orders/Cancel" does.
//
// Any other handler, such as a proxy, another router or a mux inside of
// middleware, does not say how it routes. The policy's patterns are then matched
// as by a mux that has these and no others: "/" is everything else, and what none
// matches is left to the default rule. An entry of a whole RPC service counts
// besides, unless the method has one of its own. The path is the one that came in,
// before the handler strips anything from it. If an outer mux has routed the request
// by a pattern that the policy lists ([net/http.Request.Pattern]), that entry takes
// the place of the default rule and must allow the request in any case; code that
// serves a request again by another path empties Pattern first. Better give a
// handler of one route to a mux inside, Handler(mux), which knows how it routes.
//
// Such a handler may read a path in another way than a mux does. In each reading,
// the request falls under one entry, as in that mux, or is left to the default rule.
// All of these entries must allow it, and it is refused if some reading has neither
// an entry nor a default rule. Readings differ in
//
//   - whether the path is decoded never, once or more often;
//   - whether letter case and a slash at the end count;
//   - which of the characters / \ ; ? # %, encoded or not, end a segment or the
//     path.
//
// All readings agree on the segments before the first one in which such a character
// hides. From there on, a reading may be any path further down, and none further up: dot
// segments, which would lead up, are refused, however they are encoded.
//
// For example, "/files/a%2Fb" needs all entries at or below "/files", and one that
// matches everything there: "GET /files/{name...}", "/files/", "/" or a default
// rule. With "GET /files/{name}" alone it is refused. "/a%2Fb" needs all entries.
//
// As for a slash at the end, take a policy with "/static/", "/a" and "/":
//
//   - the path "/static" needs the entries "/static/" and "/". Without "/", it needs
//     the default rule, or is refused;
//   - "/static/" needs "/static/" alone, and not "/". (Where an entry ends in a
//     wildcard and a slash, as "/{name}/" does, "/x/" needs less specific ones too.)
//   - "/a/" needs "/a" and "/". Without "/", it needs the default rule, or is
//     refused.
//
// Other liberties that a server may take are not known here, such as serving
// "/a.json" as "/a", a wildcard for more than one segment, as Echo's last one, or
// another host than the request's. Rule what is behind such a server by a strict
// Default. Nor is a method known that a query or a body names, as _method does for
// Rails, Spring and others: where a server goes by that, rule all methods of a path
// alike, and let it not go by that for OPTIONS, as WordPress does, since a CORS
// preflight reaches it without a caller. A path that X-Original-URL or X-Rewrite-URL
// names does not reach the upstream of a [Proxy], which removes both.
//
// Refused as [authctx.InvalidRequest] are
//
//   - empty segments, dot segments and control characters, encoded or not;
//   - a request that names no path: OPTIONS of "*", or CONNECT without one;
//   - a method that is not in upper case;
//   - a request of which middleware has changed Path and not RawPath, or the other
//     way round; [net/http.StripPrefix] changes both;
//   - also in front of a mux, a method that is not a token;
//   - also in front of a mux, where a pattern of the policy has a method, a request
//     with another method than its own in X-HTTP-Method-Override, X-HTTP-Method or
//     X-Method-Override, by which some servers go. Middleware that gives a request
//     that method stands in front of the [Server];
//   - also in front of a mux, where a pattern of the policy has a host, a Host that
//     servers read differently: anything but a name of letters, digits, "-", "_"
//     and single dots, or an IPv6 address in brackets, with or without a port. Of
//     "admin.example::" nginx takes what stands before the first colon, and of
//     "[admin.example]" Caddy what stands in the brackets.
//
// A request without a Host falls under the patterns that have none.
//
// # Slow clients
//
// A refusal by [Server.Handler] or [Server.Require] gives its client ten seconds to
// send the rest of its request and as long to take the answer. ReadTimeout and
// WriteTimeout of the [net/http.Server] take precedence where they are set. Where
// middleware in front has a writer without Unwrap, there are no such deadlines.
// Otherwise they replace those that it has set, and an answer that it holds back
// for longer is lost. The rest is up to the program:
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
