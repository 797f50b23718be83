package httpctx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/grpchttp"
)

// ProxyConfig configures [NewProxy].
//
// What [TransportConfig] says of Base holds for the Transport of the ReverseProxy: it
// must not follow redirects itself, and since it serves several callers, it must not be a
// private cache. Here it is clients who choose the Cache-Control of requests.
type ProxyConfig struct {
	// Server stands in front of the proxy: the credentials it reads are not
	// passed on, and refusals are answered as it answers them. It is required.
	Server *Server
	// Propagator writes the caller for the upstream. It is required.
	Propagator authctx.Propagator
	// InsecureAllowPlaintext allows sending the caller without TLS to upstreams
	// other than this machine, where whoever is on the path can read and change
	// who is calling. It is for networks that encrypt by themselves, such as a
	// service mesh. This machine is a loopback address or "localhost", spelled so,
	// unless the Transport of the ReverseProxy is an [http.Transport] that sends
	// the request to a forward proxy; one of another type is taken to use none.
	InsecureAllowPlaintext bool
}

// Proxy carries the caller through an [httputil.ReverseProxy]. It is safe for
// concurrent use.
//
// What a client sent never becomes what the upstream believes: identity fields
// and the client's credential are removed from the outgoing request, and the
// caller is written onto it after hop-by-hop fields are gone, so that a
// "Connection: x-user-id" cannot take it away again. A request without a caller
// in its context, such as one for a public route, goes out without identity.
// An Authorization that nobody reads here is not taken for the client's
// credential, since it may be meant for the upstream: where it is the client's
// token all the same, as behind oauth2-proxy, [ServerConfig].Strip removes it.
//
// Client-Cert and Client-Cert-Chain (RFC 9440) of a request are removed, whether the
// Server reads them or not: an upstream would take them for the gateway's word. So are
// X-Original-URL and X-Rewrite-URL, by which IIS and some frameworks serve another path
// than the one that was ruled.
//
// All of this is gone from pr.Out when Rewrite of the ReverseProxy gets it. Rewrite
// may add fields of its own, such as a login of the gateway, a Client-Cert from
// pr.In.TLS or an X-Original-URL from pr.In.URL; only identity fields and the caller's
// own credential are removed again.
//
// Identity fields are removed from headers and trailers of the answer too. Bodies
// are not looked into, which is where Connect and gRPC-Web have the trailers of a
// stream.
//
// # Upgrades
//
// The only protocol upgrade that passes is a WebSocket, and it is closed at its
// caller's effective end. A WebSocket of gRPC-Web ("grpc-websockets") does not
// pass: its first message holds fields of a request, where a client could write
// any caller. An offer to go on in HTTP/2 ("Upgrade: h2c") is ignored. CONNECT does
// not pass, nor does TRACE, whose answer shows what the upstream was sent.
//
// Upstreams that compare the Origin of a WebSocket with Host, as those with
// gorilla/websocket and coder/websocket do by default, need pr.Out.Host =
// pr.In.Host in Rewrite, after SetURL, which sets the upstream's host.
//
// # Streams
//
// A gRPC call ends at its caller's effective end and when a recheck fails, even
// where the service behind does not check. A call is any request of which a content
// type begins with application/grpc, gRPC-Web and all versions of HTTP included,
// since some service may take it for gRPC; a proxy cannot tell a unary call from a
// stream. The client gets the status that the Server's Refuse writes, in trailers
// once the answer has begun; without such a status, the stream is reset. A message
// of the answer that is under way, of at most 4 MiB, first has five seconds to
// arrive; if it does not, the client reports an incomplete message instead. What
// the client sends from the end on is dropped, and a client that does not read holds
// the upstream no longer than those five seconds.
//
// A stream of events (text/event-stream) is cut off at its caller's end, too, by a panic
// with [http.ErrAbortHandler]. The client takes that for a regular end in two cases: if
// middleware, such as gin.Recovery, recovers the panic and goes on; and if there is no
// panic, because a server that is neither of net/http nor of HTTP/3 does not set
// [http.ServerContextKey]. Other answers are not cut short.
//
// With the default HTTP/2 windows of net/http, a few streams that nobody reads hold
// up all others: set others, see "Proxies of HTTP/2" in the package documentation.
type Proxy struct {
	server    *Server
	injector  injector
	plaintext bool
	strip     stripper // what comes in and is not for the upstream
	clean     stripper // of that, what no client or upstream may say: who is calling
}

// NewProxy returns a proxy for cfg, or an error that names every setting that is
// missing or wrong.
func NewProxy(cfg ProxyConfig) (*Proxy, error) {
	var errs []error
	if cfg.Server == nil || cfg.Server.authenticator == nil {
		// A zero Server has no policy to ask and strips nothing.
		errs = append(errs, errors.New("httpctx: proxy: Server is required, one that NewServer made"))
	}
	if absent.Unmade(cfg.Propagator) {
		errs = append(errs, errors.New("httpctx: proxy: Propagator is required"))
	} else if err := cfg.Propagator.Fields().Validate(); err != nil {
		errs = append(errs, fmt.Errorf("httpctx: proxy: Propagator: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	written := cfg.Propagator.Fields()
	return &Proxy{
		server:    cfg.Server,
		injector:  newInjector(cfg.Propagator),
		plaintext: cfg.InsecureAllowPlaintext,
		strip:     newStripper(cfg.Server.strip.set.FieldSet, written, proxyFields),
		clean:     newStripper(written),
	}, nil
}

// Handler returns a handler that does what rp does, with this proxy's part added:
// what [Proxy.Rewrite] removes before rp.Rewrite and what it writes after that,
// and [Proxy.ModifyResponse] before rp.ModifyResponse. It copies rp. It fails when
// rp has no Rewrite, or a Director, which runs before hop-by-hop fields are removed
// and cannot be made safe. Parameters of a query that Go cannot parse are dropped by
// httputil; a rp.Rewrite passes them on with pr.Out.URL.RawQuery = pr.In.URL.RawQuery.
//
// The handler authenticates nobody: put it behind [Server.Handler].
//
// # Failures
//
// Refusals are answered as [Server] answers them and not by rp.ErrorHandler. Nor
// does rp.ErrorHandler get these, which are no failures of the upstream:
//
//   - a caller who cannot be written, for a cause without a reason, or who may not
//     be sent in plaintext: 500, or what Refuse of [ServerConfig] answers, and the
//     observer learns the cause;
//   - a header that is larger, with the caller's fields, than an HTTP/2 upstream
//     has said it takes, which is 8 KiB for some gRPC servers: 431, or what Refuse
//     answers, and the observer learns the cause;
//   - a body that the client did not send properly: 400, or 413 if a
//     [http.MaxBytesReader] ended it, in front of the handler or in rp.Rewrite; to
//     clients of gRPC too.
//
// Other errors of rp.Transport go to rp.ErrorHandler.
//
// # Retries
//
// An HTTP/2 upstream may refuse a request without looking at it: when it closes its
// connections at a certain age or after a number of requests, or when more streams
// came at once than it allows. Such a request is sent again, because the outgoing
// request has a GetBody, unless rp.Rewrite replaces the body or sets GetBody. (A
// reset with PROTOCOL_ERROR before the answer counts as such a refusal to transports
// of net/http.) GetBody works until the upstream answers, and for up to 80 KiB of
// body read; the client of an incomplete body has to go on within 200 ms.
//
// Where the upstream may have acted on the request and the transport would send it
// again all the same, GetBody works only until the body is read: to an HTTP/1
// upstream, with an Idempotency-Key or X-Idempotency-Key, and for GET, HEAD and
// OPTIONS.
//
// # Behind a mux
//
// If a mux is between Server and handler, the handler asks the Server's policy once
// more, as [Server.Handler] does for a proxy: an upstream may read a path in another
// way than the mux, and so as one that another entry rules. It asks about the path
// that the Server saw, before anything was stripped. A request of a public route
// has no caller, and is refused if its path may be that of a route which is not
// public. See "How paths are matched" in the package documentation.
func (p *Proxy) Handler(rp *httputil.ReverseProxy) (http.Handler, error) {
	//lint:ignore SA1019 refusing a Director takes looking at it
	if rp == nil || rp.Rewrite == nil || rp.Director != nil {
		return nil, errors.New("httpctx: proxy: the ReverseProxy needs a Rewrite and must not have a Director")
	}
	rewrite, modify, h := rp.Rewrite, rp.ModifyResponse, *rp
	h.Rewrite = func(pr *httputil.ProxyRequest) {
		body := pr.Out.Body
		p.stripRequest(pr)
		rewrite(pr)
		p.finish(pr, rp.Transport, pr.Out.Body == body)
	}
	h.ModifyResponse = func(res *http.Response) error {
		if err := p.ModifyResponse(res); err != nil || modify == nil {
			return err
		}
		return modify(res)
	}
	h.ErrorHandler = p.errorHandler(rp)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		preflight, err := p.server.checkBehindMux(r)
		switch {
		case err != nil:
			p.server.turnAway(w, r, err)
			return
		case preflight:
			w, r = &preflightWriter{ResponseWriter: w}, withoutBody(r)
		}
		in := abortable(withUpload(withoutProxyFields(r)))
		if len(r.Header["Upgrade"]) > 0 || grpchttp.MayBe(r.Header) {
			// Not every server ends the context of a request with its handler, and
			// this returns when a WebSocket is closed.
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			in = in.WithContext(ctx)
		}
		defer handBack(r, in)
		h.ServeHTTP(&hintCleaner{ResponseWriter: w, clean: &p.clean, before: maps.Clone(w.Header())}, in)
	}), nil
}

// Rewrite finishes pr.Out, and is to be the last thing that a
// [httputil.ReverseProxy.Rewrite] function does. Use [Proxy.Handler] unless you
// need to call it yourself, together with [Proxy.ModifyResponse]: Rewrite removes a
// credential, Client-Cert or X-Original-URL that the function has written for the
// upstream as if it had come in, refusals are left to the proxy's ErrorHandler, and
// identity fields in informational answers (1xx) of the upstream reach the client.
//
// A request that may not go out gets a context that is already cancelled, with the
// error as its [context.Cause]: the transport sends nothing, and the proxy's
// ErrorHandler gets that error. It may not go out when
//
//   - the Server's policy, which is asked as by Handler behind a mux, refuses it;
//   - its caller cannot be written, or may not be sent in plaintext, where the
//     transport is taken to be [http.DefaultTransport];
//   - it has a caller and more than 500 header fields, some of which an upstream
//     might drop;
//   - its method is CONNECT, TRACE or not a token, or it asks for an upgrade that
//     [Proxy] does not let pass.
func (p *Proxy) Rewrite(pr *httputil.ProxyRequest) {
	p.stripRequest(pr)
	preflight, err := p.server.checkBehindMux(pr.In)
	if err != nil {
		p.hold(pr, err)
		return
	}
	if preflight {
		pr.Out = withoutBody(pr.Out)
	}
	p.finish(pr, nil, false).preflight = preflight
}

// ModifyResponse removes identity fields from what the upstream answered, so that
// nobody outside learns who is calling. Trailers are cleaned too, also those that
// Connect (Trailer-) and grpc-gateway (Grpc-Trailer-) send as headers. Answers to
// gRPC calls and streams of events (text/event-stream) end with the caller, as
// [Proxy] says; other answers are finished. Where [Proxy.Rewrite] takes a request for
// a preflight, the body of the answer is dropped. It never fails.
//
// It knows the request by res.Request, which transports of net/http set.
func (p *Proxy) ModifyResponse(res *http.Response) error {
	if res.Request != nil {
		if out, ok := proxiedFrom(res.Request.Context()); ok {
			out.answer()
			if out.preflight {
				dropBody(res)
			}
		}
	}
	p.clean.delete(res.Header)
	p.clean.delete(res.Trailer)
	if len(res.Header["Grpc-Status"]) > 0 {
		res.Trailer = nil // there will be none, whatever a field named "trailer" announces
	}
	if res.StatusCode == http.StatusSwitchingProtocols || res.Body == nil { // that body is a connection
		return nil
	}
	if res.Request != nil && grpchttp.MayBe(res.Request.Header) {
		res.Body = newCutBody(res, p.server)
	} else if isEventStream(res.Header) {
		res.Body = newEventBody(res, p.server)
	}
	res.Body = &endNotifier{res.Body, func() { p.clean.delete(res.Trailer) }}
	return nil
}
