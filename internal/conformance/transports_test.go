package conformance

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

// route is a way from one program to the next, which knows its callers by an
// authenticator.
type route struct {
	name string
	// open starts the program at the other end.
	open func(*testing.T, authctx.Authenticator) *far
}

// far is the other end of a route.
type far struct {
	service
	url string // of HTTP
	// carry makes a call for the caller of ctx, whose outgoing fields somebody
	// has tampered with.
	carry func(ctx context.Context, prop authctx.Propagator, tampered map[string]string) error
	// send makes a call with fields as they are.
	send func(ctx context.Context, fields map[string][]string) error
}

var routes = []route{{"HTTP", openHTTP}, {"gRPC", openGRPC}, {"message", openMessages}}

// service remembers the last call: whom it saw, which fields its handler was
// left with, and why it was refused.
type service struct{ calls *calls }

type calls struct {
	mu     sync.Mutex
	caller authctx.Principal
	fields []string
	err    error
	count  int
}

func newService() service { return service{new(calls)} }

// handle is what the handler does.
func (s service) handle(ctx context.Context, fields []string) {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	s.calls.caller, _ = authctx.FromContext(ctx)
	s.calls.fields = fields
	s.calls.count++
}

// Observe implements [authctx.Observer].
func (s service) Observe(_ context.Context, e authctx.Event) {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	s.calls.err = e.Err
}

// last returns the last call; the zero Principal and the refusal if it did not
// reach the handler.
func (s service) last() (caller authctx.Principal, fields []string, err error) {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	return s.calls.caller, s.calls.fields, s.calls.err
}

func (s service) reached() int {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	return s.calls.count
}

func must[V any](t *testing.T) func(V, error) V {
	return func(v V, err error) V {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// errStatus is an HTTP answer other than 200.
type errStatus int

func (e errStatus) Error() string { return http.StatusText(int(e)) }

func openHTTP(t *testing.T, auth authctx.Authenticator) *far {
	f := &far{service: newService()}
	server := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, Policy: authctx.DefaultPolicy(authctx.Authenticated()), Observer: f}))
	h := httptest.NewServer(server.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		f.handle(r.Context(), slices.Collect(maps.Keys(r.Header)))
	})))
	t.Cleanup(h.Close)
	f.url = h.URL
	call := func(ctx context.Context, rt http.RoundTripper, header http.Header) error {
		r, err := http.NewRequestWithContext(ctx, "GET", h.URL, nil)
		if err != nil {
			return err
		}
		r.Header = header
		return roundTrip(rt, r)
	}
	f.carry = func(ctx context.Context, prop authctx.Propagator, tampered map[string]string) error {
		tr, err := httpctx.NewTransport(httpctx.TransportConfig{Propagator: prop, Destinations: []string{"127.0.0.1"}})
		if err != nil {
			return err
		}
		header := http.Header{}
		for name, value := range tampered {
			header[name] = []string{value}
		}
		return call(ctx, tr, header)
	}
	f.send = func(ctx context.Context, fields map[string][]string) error {
		header := http.Header{}
		for name, values := range fields {
			header[http.CanonicalHeaderKey(name)] = values
		}
		return call(ctx, http.DefaultTransport, header)
	}
	return f
}

func roundTrip(rt http.RoundTripper, r *http.Request) error {
	res, err := rt.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errStatus(res.StatusCode)
	}
	return nil
}

func openGRPC(t *testing.T, auth authctx.Authenticator) *far {
	f := &far{service: newService()}
	policy := authctx.DefaultPolicy(authctx.Authenticated())
	server := must[*grpcctx.Server](t)(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: auth, Policy: policy, Observer: f}))
	g := grpc.NewServer(append(server.ServerOptions(), grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(ss.Context())
		f.handle(ss.Context(), slices.Collect(maps.Keys(md)))
		return errors.Join(ss.RecvMsg(new(emptypb.Empty)), ss.SendMsg(new(emptypb.Empty)))
	}))...)
	lis := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	go g.Serve(lis)
	t.Cleanup(g.Stop)
	call := func(ctx context.Context, opts ...grpc.DialOption) error {
		opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
		cc, err := grpc.NewClient(lis.Addr().String(), opts...)
		if err != nil {
			return err
		}
		defer cc.Close()
		return cc.Invoke(ctx, "/test.Test/Call", new(emptypb.Empty), new(emptypb.Empty))
	}
	f.carry = func(ctx context.Context, prop authctx.Propagator, tampered map[string]string) error {
		client, err := grpcctx.NewClient(grpcctx.ClientConfig{Propagator: prop})
		if err != nil {
			return err
		}
		md := metadata.MD{}
		for name, value := range tampered {
			md[name] = []string{value}
		}
		return call(metadata.NewOutgoingContext(ctx, md), client.DialOptions()...)
	}
	f.send = func(ctx context.Context, fields map[string][]string) error {
		md := metadata.MD{}
		for name, values := range fields {
			md[strings.ToLower(name)] = values
		}
		return call(metadata.NewOutgoingContext(ctx, md))
	}
	return f
}

const topic = "orders"

func openMessages(_ *testing.T, auth authctx.Authenticator) *far {
	f := &far{service: newService()}
	receive := func(headers map[string][]byte) error {
		ctx, err := authctx.ExtractHeaders(context.Background(), auth, topic, headers)
		f.Observe(context.Background(), authctx.Event{Err: err})
		if err == nil {
			f.handle(ctx, nil) // consumers keep the headers as they came
		}
		return err
	}
	f.carry = func(ctx context.Context, prop authctx.Propagator, tampered map[string]string) error {
		headers := map[string][]byte{}
		for name, value := range tampered {
			headers[name] = []byte(value)
		}
		if err := authctx.InjectHeaders(ctx, prop, headers); err != nil {
			return err
		}
		return receive(headers)
	}
	f.send = func(_ context.Context, fields map[string][]string) error {
		headers := map[string][]byte{}
		for name, values := range fields {
			for n, value := range values { // two spellings are what a map can hold
				headers[strings.ToUpper(name[:n])+name[n:]] = []byte(value)
			}
		}
		return receive(headers)
	}
	return f
}

// openGateway starts a reverse proxy in front of an HTTP service. It knows its
// callers by auth and carries them on by prop. It returns what the gateway
// decided and how to call it.
func openGateway(t *testing.T, upstream string, auth authctx.Authenticator, prop authctx.Propagator) (gateway service, call func(http.Header) error) {
	gateway = newService()
	server := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, Policy: authctx.DefaultPolicy(authctx.Authenticated()), Observer: gateway}))
	proxy := must[*httpctx.Proxy](t)(httpctx.NewProxy(httpctx.ProxyConfig{Server: server, Propagator: prop}))
	target := must[*url.URL](t)(url.Parse(upstream))
	handler := must[http.Handler](t)(proxy.Handler(&httputil.ReverseProxy{
		Rewrite:  func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
		ErrorLog: log.New(io.Discard, "", 0),
	}))
	h := httptest.NewServer(server.Handler(handler))
	t.Cleanup(h.Close)
	return gateway, func(header http.Header) error {
		r, err := http.NewRequestWithContext(t.Context(), "GET", h.URL, nil)
		if err != nil {
			return err
		}
		r.Header = header
		return roundTrip(http.DefaultTransport, r)
	}
}
