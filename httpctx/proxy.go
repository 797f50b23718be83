package httpctx

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/grammar"
	"github.com/authctx/authctx/internal/grpchttp"
	"github.com/authctx/authctx/internal/inbound"
	"github.com/authctx/authctx/internal/uncarried"
)

// ProxyConfig configures [NewProxy].
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
// Server reads them or not: an upstream would take them for the gateway's word.
//
// All of this is gone from pr.Out when Rewrite of the ReverseProxy gets it. Rewrite
// may add fields of its own, such as a login of the gateway or a Client-Cert from
// pr.In.TLS; only identity fields and the caller's own credential are removed again.
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
// A stream of events (text/event-stream) is cut off at its caller's end, too, by a
// panic with [http.ErrAbortHandler]. It looks like a regular end to the client if
// middleware recovers the panic and goes on, such as gin.Recovery, or if the server
// is neither of net/http nor of HTTP/3 and does not set [http.ServerContextKey],
// without which there is no panic. Other answers are not cut short.
//
// With the default HTTP/2 windows of net/http, a few streams that nobody reads hold
// up all others: set others, see "Proxies of HTTP/2" in the package documentation.
type Proxy struct {
	server    *Server
	writer    writer
	plaintext bool
	strip     stripper // requests
	clean     stripper // responses
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
		writer:    newWriter(cfg.Propagator),
		plaintext: cfg.InsecureAllowPlaintext,
		strip:     newStripper(cfg.Server.strip.set.FieldSet, written, clientCertificate),
		clean:     newStripper(written),
	}, nil
}

// clientCertificate is what proxies that end TLS say of their clients. None passes on
// what the client says there (RFC 9440 section 4): an upstream knows that it is the
// proxy who speaks, and no more.
var clientCertificate = authctx.FieldSet{Names: []string{"client-cert", "client-cert-chain"}}

// withoutCertificate returns r without them, so that what is in a request to the
// upstream was written by Rewrite.
func withoutCertificate(r *http.Request) *http.Request {
	for name := range r.Header {
		if clientCertificate.Owns(name) {
			r = r.WithContext(r.Context())
			r.Header = maps.Clone(r.Header)
			maps.DeleteFunc(r.Header, func(name string, _ []string) bool { return clientCertificate.Owns(name) })
			break
		}
	}
	return r
}

// Handler returns a handler that does what rp does, with this proxy's part added:
// what [Proxy.Rewrite] removes before rp.Rewrite and what it writes after that,
// and [Proxy.ModifyResponse] before rp.ModifyResponse. It copies rp. It fails when
// rp has no Rewrite, or a Director, which runs before hop-by-hop fields are removed
// and cannot be made safe.
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
		in := abortable(withUpload(withoutCertificate(r)))
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

// hintCleaner cleans what ModifyResponse does not see: informational answers,
// such as early hints. A ReverseProxy clears the header after each; what was in
// it before, such as a DPoP nonce, belongs to the final answer, beside what the
// upstream sent.
type hintCleaner struct {
	http.ResponseWriter
	clean   *stripper
	before  http.Header
	cleared bool
}

// Unwrap serves [http.ResponseController].
func (w *hintCleaner) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *hintCleaner) Header() http.Header {
	h := w.ResponseWriter.Header()
	if w.cleared {
		w.cleared = false
		maps.Copy(h, w.before)
	}
	return h
}

func (w *hintCleaner) WriteHeader(status int) {
	if status < http.StatusOK {
		h := w.ResponseWriter.Header()
		for name, values := range w.before { // what the upstream sent stands behind
			replace(h, name, h[name][min(len(values), len(h[name])):])
		}
		w.clean.delete(h)
		w.cleared = true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Rewrite finishes pr.Out, and is to be the last thing that a
// [httputil.ReverseProxy.Rewrite] function does. Use [Proxy.Handler] unless you
// need to call it yourself: Rewrite does not ask the policy, and removes a credential
// that the function has written for the upstream as if it had come in.
//
// A request that may not go out gets a context that is already cancelled, with the
// error as its [context.Cause]: the transport sends nothing, and the proxy's
// ErrorHandler gets that error. It may not go out when
//
//   - its caller cannot be written, or may not be sent in plaintext, where the
//     transport is taken to be [http.DefaultTransport];
//   - it has a caller and more than 500 header fields, some of which an upstream
//     might drop;
//   - its method is CONNECT, TRACE or not a token, or it asks for an upgrade that
//     [Proxy] does not let pass.
func (p *Proxy) Rewrite(pr *httputil.ProxyRequest) {
	p.stripRequest(pr)
	p.finish(pr, nil, false)
}

// stripRequest removes from pr.Out what came in and is not for the upstream. After
// that, a credential in it is one that Rewrite has written.
func (p *Proxy) stripRequest(pr *httputil.ProxyRequest) {
	p.strip.deleteBut(pr.Out.Header, p.server.strip.set.Leaves)
	p.strip.delete(pr.Out.Trailer)
}

// finish does what Rewrite does for a transport, nil for the default; ownBody
// says that pr.Out still has the body that the ReverseProxy made.
func (p *Proxy) finish(pr *httputil.ProxyRequest, transport http.RoundTripper, ownBody bool) {
	p.clean.delete(pr.Out.Header)
	p.clean.delete(pr.Out.Trailer)
	inbound.RemoveRead(pr.In.Context(), pr.In.Context(), pr.Out.Header) // by another Server than p's
	if transport == nil {
		transport = http.DefaultTransport
	}
	out := &proxied{Context: pr.Out.Context(), in: pr.In, upstream: authority(pr.Out.URL), body: prepareBody(pr, transport, ownBody)}
	pr.Out = pr.Out.WithContext(out)
	if err := p.prepare(pr, transport, &out.call); err != nil {
		p.server.observeRefusal(pr.In, err)
		p.strip.delete(pr.Out.Header) // for a transport that does not look at the context
		pr.Out.Header.Del("Connection")
		pr.Out.Header.Del("Upgrade")
		ctx, cancel := context.WithCancelCause(pr.Out.Context())
		cancel(&refusal{err})
		pr.Out = pr.Out.WithContext(ctx)
	}
}

// refusal is why a request was not sent, or the cause of a context that was
// cancelled because its caller came to an end.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// refusalOf returns the refusal for which ctx was cancelled, if it was for one.
func refusalOf(ctx context.Context) (*refusal, bool) {
	return errors.AsType[*refusal](context.Cause(ctx))
}

// prepare writes the caller and bounds the life of a WebSocket or a gRPC call.
func (p *Proxy) prepare(pr *httputil.ProxyRequest, transport http.RoundTripper, call *call) error {
	if !grammar.IsToken(pr.In.Method) {
		return unclear("the method is not a token")
	}
	ignoreH2C(pr.Out.Header)
	upgrade := len(pr.Out.Header["Upgrade"]) > 0
	if upgrade && !isWebSocket(pr.Out.Header) || pr.Out.Method == http.MethodConnect {
		return &authctx.Error{Reason: authctx.PermissionDenied, Cause: errors.New("upgrade to another protocol than websocket")}
	}
	if upgrade && headFollows(pr.Out.Header) {
		return &authctx.Error{Reason: authctx.PermissionDenied, Cause: errors.New("upgrade to gRPC-Web, whose first message brings identity fields of the client")}
	}
	if isTrace(pr.Out.Method) {
		return &authctx.Error{Reason: authctx.PermissionDenied, Cause: errTrace}
	}
	caller, ok := authctx.FromContext(pr.In.Context())
	if !ok {
		return nil
	}
	if err := checkPlaintext(pr.Out, transport, p.plaintext); err != nil {
		return fmt.Errorf("httpctx: proxy: %w", err)
	}
	if err := p.writer.write(pr.In.Context(), caller, pr.Out.Header); err != nil {
		return err
	}
	if countFields(pr.Out.Header) > maxFields {
		return &authctx.Error{Reason: authctx.InvalidRequest, Cause: fmt.Errorf("more than %d header fields", maxFields)}
	}
	// The Server watches a connection that was handed over, and a service may take
	// the request for a gRPC call and answer that instead.
	watched := upgrade && admission(pr.In.Context()).watched
	if upgrade && !watched || grpchttp.MayBe(pr.Out.Header) {
		call.watch(pr, p.server, caller)
	}
	return nil
}

// maxFields is the most header fields that go to an upstream together with a
// caller. Node's http server takes 1,000 unless it is told otherwise, and drops the
// rest without a word: a client could fill them up and have what says who is
// calling cut off, in part even.
const maxFields = 500

func countFields(h http.Header) (n int) {
	for _, lines := range h {
		n += len(lines)
	}
	return n
}

// ModifyResponse removes identity fields from what the upstream answered, so that
// nobody outside learns who is calling. Trailers are cleaned too, also those that
// Connect (Trailer-) and grpc-gateway (Grpc-Trailer-) send as headers. Answers to
// gRPC calls and streams of events (text/event-stream) end with the caller, as
// [Proxy] says; other answers are finished. It never fails.
//
// It knows the request by res.Request, which transports of net/http set.
func (p *Proxy) ModifyResponse(res *http.Response) error {
	if res.Request != nil {
		if out, ok := proxiedFrom(res.Request.Context()); ok {
			out.answer()
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

// errorHandler answers refusals, and leaves other errors to the handler of rp,
// or does what a ReverseProxy without one does.
func (p *Proxy) errorHandler(rp *httputil.ReverseProxy) func(http.ResponseWriter, *http.Request, error) {
	next, logf := rp.ErrorHandler, log.Printf
	if rp.ErrorLog != nil {
		logf = rp.ErrorLog.Printf
	}
	if next == nil {
		next = func(w http.ResponseWriter, _ *http.Request, err error) {
			logf("http: proxy error: %v", err)
			w.WriteHeader(http.StatusBadGateway)
		}
	}
	return func(w http.ResponseWriter, r *http.Request, err error) {
		refused, ok := refusalOf(r.Context())
		out, sent := proxiedFrom(r.Context())
		var fault error
		if sent {
			fault = faultOf(out)
		}
		switch {
		case !ok && fault != nil:
			writeFault(w, r, fault)
		case !ok && sent && !out.answered && isTooLarge(err):
			p.server.observeRefusal(out.in, err)
			p.writeUnsent(w, r, &uncarried.TooLarge{Cause: err}, http.StatusRequestHeaderFieldsTooLarge, uncarried.TooLargeDetail)
		case !ok:
			next(w, r, err)
		case hasReason(refused):
			p.server.writeError(w, r, refused.error)
		default:
			p.writeUnsent(w, r, &uncarried.Error{Cause: refused.error}, http.StatusInternalServerError, uncarried.Detail)
		}
	}
}

// writeFault answers a request whose body could not be read.
func writeFault(w http.ResponseWriter, r *http.Request, fault error) {
	failure := problem{Status: http.StatusBadRequest, Detail: "The body of the request could not be read."}
	if _, ok := errors.AsType[*http.MaxBytesError](fault); ok {
		failure = problem{Status: http.StatusRequestEntityTooLarge, Detail: "The body of the request is too large."}
	}
	writeProblem(w, r, failure.Status, failure.body())
}

// isTooLarge reports whether err is that of a transport of net/http which was asked
// to send more header than the upstream takes (SETTINGS_MAX_HEADER_LIST_SIZE, RFC
// 9113 section 6.5.2). It is only known by its text.
func isTooLarge(err error) bool {
	return strings.HasSuffix(err.Error(), "request header list larger than peer's advertised limit")
}

// writeUnsent answers a request that could not be written for the upstream: not as
// the upstream's failure, which clients would try again.
func (p *Proxy) writeUnsent(w http.ResponseWriter, r *http.Request, err error, status int, detail string) {
	if p.server.refused(w, r, err) {
		return
	}
	writeProblem(w, r, status, problem{Status: status, Detail: detail}.body())
}

// hasReason reports whether err says why in the closed set of reasons.
func hasReason(err error) bool {
	_, ok := errors.AsType[authctx.Reason](err) // an Error tells its own
	return ok
}
