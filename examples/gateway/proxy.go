package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

// newProxy returns the way of every request: verified, stripped, and sent to an
// upstream with its caller. A proxy cannot list what is behind it, so its
// policy is one default rule; the services authorize.
func (g *gateway) newProxy(auth authctx.Authenticator, forward authctx.Propagator, log *slog.Logger) (http.Handler, error) {
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{Default: authctx.Authenticated()})
	if err != nil {
		return nil, err
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{
		Authenticator:    auth,
		Policy:           policy,
		ResourceMetadata: g.tokens.metadata(),
		Refuse:           grpcctx.Refuse,
		Observer:         authctx.NewSlogObserver(log),
	})
	if err != nil {
		return nil, program.About("resource", err)
	}
	carry, err := httpctx.NewProxy(httpctx.ProxyConfig{Server: server, Propagator: forward, InsecureAllowPlaintext: g.plaintext})
	if err != nil {
		return nil, err
	}
	toHTTP, err := newUpstream(carry, g.upstreams.http, newHTTPTransport(), log)
	if err != nil {
		return nil, err
	}
	toGRPC, err := newUpstream(carry, g.upstreams.grpc, newGRPCTransport(), log)
	if err != nil {
		return nil, err
	}
	return server.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if grpcctx.IsRequest(r) {
			toGRPC.ServeHTTP(w, r)
		} else {
			toHTTP.ServeHTTP(w, r)
		}
	})), nil
}

// newUpstream returns a handler that sends requests to an upstream. FlushInterval
// stays zero: streams are recognized and flushed at once anyway, and a negative
// one would now and then break gRPC answers that consist of trailers only.
func newUpstream(carry *httpctx.Proxy, upstream *url.URL, transport http.RoundTripper, log *slog.Logger) (http.Handler, error) {
	if upstream == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			writeProblem(w, r, http.StatusNotFound, codes.Unimplemented, "no such service is behind this gateway")
		}), nil
	}
	return carry.Handler(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(pr *httputil.ProxyRequest) {
			// httputil drops parameters that Go cannot parse, for proxies that decide by them.
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery
			pr.SetURL(upstream)
			pr.SetXForwarded()
		},
		ModifyResponse: brokenCalls(upstream.Host, log),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil { // the client is still there
				log.WarnContext(r.Context(), "upstream does not answer", "upstream", upstream.Host, "error", err)
			}
			writeProblem(w, r, http.StatusBadGateway, codes.Unavailable, "the service behind this gateway does not answer")
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	})
}

// writeProblem answers with a problem that is not about the caller.
func writeProblem(w http.ResponseWriter, r *http.Request, status int, code codes.Code, detail string) {
	h := w.Header()
	if grpcctx.IsRequest(r) {
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", strconv.Itoa(int(code)))
		h.Set("Grpc-Message", detail)
		return
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"about:blank","title":%q,"status":%d,"detail":%q}`+"\n", http.StatusText(status), status, detail)
}

// newHTTPTransport connects to the HTTP upstream. Compression is left to client
// and upstream.
func newHTTPTransport() *http.Transport {
	return &http.Transport{
		DisableCompression:  true,
		MaxIdleConnsPerHost: 100,
		IdleConnTimeout:     90 * time.Second,
	}
}

// newGRPCTransport connects to the gRPC upstream: HTTP/2 with prior knowledge.
// To this proxy a gRPC call is an HTTP request with a body and trailers, so any
// method passes, streams run in both directions, and HTTP/2 flow control holds
// back whoever is faster. Trailing metadata whose name means something to
// net/http elsewhere, such as cache-control, content-type, range or
// www-authenticate, is not passed on. It sends no pings, which gRPC servers take for abuse
// when a stream is idle for long; TCP's own notice when the upstream has gone.
//
// All clients share its connections, which take 1 GiB that clients have not read
// yet. A stream may hold 64 KiB of that and not 4 MiB as by default, of which 256
// downloads that nobody reads would stop everybody's calls.
func newGRPCTransport() *http.Transport {
	t := &http.Transport{
		DisableCompression: true,
		Protocols:          new(http.Protocols),
		HTTP2:              &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10},
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}
