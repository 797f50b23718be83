package httpctx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/grammar"
	"github.com/authctx/authctx/internal/grpchttp"
	"github.com/authctx/authctx/internal/inbound"
)

// proxyFields are what proxies say: those that end TLS of their clients, and those
// that map paths of the path to serve. None passes on what the client says there (RFC
// 9440 section 4): an upstream knows that it is the proxy who speaks, and no more.
var proxyFields = authctx.FieldSet{Names: []string{"client-cert", "client-cert-chain", "x-original-url", "x-rewrite-url"}}

// withoutProxyFields returns r without them, so that what is in a request to the
// upstream was written by Rewrite.
func withoutProxyFields(r *http.Request) *http.Request {
	for name := range r.Header {
		if proxyFields.Owns(name) {
			r = r.WithContext(r.Context())
			r.Header = maps.Clone(r.Header)
			maps.DeleteFunc(r.Header, func(name string, _ []string) bool { return proxyFields.Owns(name) })
			break
		}
	}
	return r
}

// stripRequest removes from pr.Out what came in and is not for the upstream. After
// that, a credential in it is one that Rewrite has written.
func (p *Proxy) stripRequest(pr *httputil.ProxyRequest) {
	p.strip.deleteBut(pr.Out.Header, p.server.strip.set.Leaves)
	p.strip.delete(pr.Out.Trailer)
}

// finish does what Rewrite does for a transport, nil for the default; ownBody
// says that pr.Out still has the body that the ReverseProxy made.
func (p *Proxy) finish(pr *httputil.ProxyRequest, transport http.RoundTripper, ownBody bool) *proxied {
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
		p.hold(pr, err)
	}
	return out
}

// hold has nothing sent.
func (p *Proxy) hold(pr *httputil.ProxyRequest, err error) {
	p.strip.delete(pr.Out.Header) // for a transport that does not look at the context
	pr.Out.Header.Del("Connection")
	pr.Out.Header.Del("Upgrade")
	ctx, cancel := context.WithCancelCause(pr.Out.Context())
	cancel(&refusal{err})
	pr.Out = pr.Out.WithContext(ctx)
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
	if err := p.injector.inject(pr.In.Context(), caller, pr.Out.Header); err != nil {
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
