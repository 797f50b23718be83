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
	// AllowInsecurePlaintext allows sending the caller without TLS to upstreams
	// other than this machine, where whoever is on the path can read and change
	// who is calling. It is for networks that encrypt by themselves, such as a
	// service mesh. This machine is a loopback address or "localhost", spelled so,
	// unless the Transport of the ReverseProxy is an [http.Transport] that sends
	// the request to a forward proxy; one of another type is taken to use none.
	AllowInsecurePlaintext bool
}

// Proxy carries the caller through a [httputil.ReverseProxy]. It is safe for
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
// Server reads them or not: an upstream takes them for what the gateway says.
//
// All that is gone from pr.Out when Rewrite of the ReverseProxy gets it. What that
// writes itself is sent, but for identity and for the caller's own credential: a
// login of the gateway's, or a Client-Cert from pr.In.TLS.
//
// Identity fields are removed from headers and trailers of the answer too. Bodies
// are not looked into, and streams of Connect and gRPC-Web have their trailers
// there.
//
// The only protocol upgrade that passes is a WebSocket, and it is closed at its
// caller's effective end. One of gRPC-Web ("grpc-websockets") does not: fields of the
// request are in its messages, where a client could write any caller. An offer to go
// on in HTTP/2 ("Upgrade: h2c") is ignored. CONNECT and TRACE do not pass: an answer to
// the latter shows what the upstream was sent. Upstreams that compare the Origin of a WebSocket with Host, as
// those with gorilla/websocket and coder/websocket do unless told otherwise, need
// pr.Out.Host = pr.In.Host in Rewrite, behind SetURL, which makes it the upstream's own.
//
// A gRPC call, which may be a stream, ends at its caller's effective end too,
// and when a recheck fails, even where the service behind does not look: with
// the status that the Server's Refuse writes, as trailers once the answer has
// begun, or by a reset of the stream without such a status. A message of the
// answer that is under way then, of at most 4 MiB, has five seconds to arrive; if
// it does not, its client is told of that instead. What the client sends from then
// on goes nowhere. A proxy cannot tell a unary call
// from a stream. Whatever a service may take for gRPC counts, gRPC-Web included: a
// request of any version of HTTP of which a content type begins with
// application/grpc.
//
// A stream of events (text/event-stream) is cut off then, too, by a panic with
// [http.ErrAbortHandler]: middleware that recovers it and goes on, such as
// gin.Recovery, makes that look like a regular end. So does a server other than
// those of net/http and of HTTP/3 that does not set [http.ServerContextKey], without
// which there is no panic. Other answers are not cut short.
//
// The windows that net/http has for HTTP/2 by default are not made for a proxy. The
// package documentation tells more, under "Proxies of HTTP/2".
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
		plaintext: cfg.AllowInsecurePlaintext,
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
// [Proxy.ModifyResponse] before rp.ModifyResponse, and refusals answered as
// [Server] does instead of by rp.ErrorHandler. A caller who cannot be written, for
// a cause that has no reason, or not be sent in plaintext is no failure of the
// upstream: that is answered 500, and the observer learns the cause. Nor is a body that the client
// did not send as it should: that is answered 400, or 413 if a
// [http.MaxBytesReader] ended it, in front of the handler or in rp.Rewrite, to
// clients of gRPC too. Nor is a header that is larger, with what says who is
// calling, than an upstream of HTTP/2 has said it takes, 8 KiB for some servers of
// gRPC: that is answered 431, or by Refuse of [ServerConfig], and the observer
// learns the cause. Other errors of rp.Transport are the upstream's. It copies rp.
// It fails when rp has no Rewrite, since a Director runs before hop-by-hop fields
// are removed and cannot be made safe.
//
// Unless rp.Rewrite replaces the body or sets GetBody, a request which an upstream
// did not take is sent anew, as when one of HTTP/2 closes its connections at a
// certain age or after so many requests, or allows fewer streams than came at once:
// the outgoing request has a GetBody. Transports of net/http take a reset with
// PROTOCOL_ERROR before the answer for the latter too. Until the upstream answers,
// GetBody works for what was read of the body, up to 80 KiB. Of a body that is not
// complete, its client has to go on within 200 ms. Where the upstream may have acted
// on the request and the transport could send it all the same, GetBody works until
// the body is read: to an upstream of HTTP/1, with an Idempotency-Key or
// X-Idempotency-Key, and with the methods GET, HEAD and OPTIONS.
//
// The handler authenticates nobody: put it behind [Server.Handler]. If a mux is
// between them, the handler asks the Server's policy once more, as that does for a
// next that is a proxy: an upstream may read a path in another way than the mux,
// and so as one that is ruled by another entry. It asks about the path that the
// Server saw, with what is stripped on the way. A request of a public route has no
// caller then, and is refused if it may be one of a route that is not. The package
// documentation tells more, under "How paths are matched".
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
// A request that may not go out, because the caller cannot be written or not be
// sent in plaintext, because it has more than 500 header fields beside a caller,
// some of which an upstream might drop, because it asks for an upgrade that is not
// a WebSocket, or because its method is not a token, is given a context that is
// cancelled already, with the error as its [context.Cause]: the transport sends
// nothing, and the proxy's ErrorHandler gets that error. The transport is taken to
// be [http.DefaultTransport].
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
	if !isToken(pr.In.Method) {
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

// ModifyResponse removes identity fields from what the upstream answered, its
// trailers included, also where those are headers, as Connect (Trailer-) and
// grpc-gateway (Grpc-Trailer-) send them: who is calling is nobody's business
// outside. A stream of events (text/event-stream) is cut off at the caller's
// effective end and when the caller does not pass a recheck; other answers are
// finished. It never fails.
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
