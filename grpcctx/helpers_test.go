package grpcctx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/internal/observertest"
)

// Full methods of the test service, one of each kind.
const (
	echoService  = "authctx.test.v1.Echo"
	unary        = "/" + echoService + "/Unary"
	clientStream = "/" + echoService + "/ClientStream"
	serverStream = "/" + echoService + "/ServerStream"
	bidiStream   = "/" + echoService + "/Bidi"
)

var (
	kinds   = []string{unary, clientStream, serverStream, bidiStream}
	streams = kinds[1:]
)

// echo is the test service. It keeps the context of each call that reached a
// handler, and lets a test take the place of its handlers.
type echo struct {
	mu       sync.Mutex
	contexts []context.Context
	// onStream replaces what stream handlers do; nil receives until the client
	// is done and answers once.
	onStream func(grpc.ServerStream) error
	// result is what every handler returns.
	result error
	// forgetful keeps no contexts.
	forgetful bool
}

func (e *echo) reached(ctx context.Context) {
	if e.forgetful {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.contexts = append(e.contexts, ctx)
}

// calls returns the contexts of the calls that reached a handler.
func (e *echo) calls() []context.Context {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.contexts)
}

// one returns the context of the only call that reached a handler.
func (e *echo) one(t *testing.T) context.Context {
	t.Helper()
	calls := e.calls()
	if len(calls) != 1 {
		t.Fatalf("%d calls reached a handler, want 1", len(calls))
	}
	return calls[0]
}

func (e *echo) unary(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.StringValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	handler := func(ctx context.Context, req any) (any, error) {
		e.reached(ctx)
		return req, e.result
	}
	if interceptor == nil {
		return handler(ctx, in)
	}
	return interceptor(ctx, in, &grpc.UnaryServerInfo{Server: e, FullMethod: unary}, handler)
}

func (e *echo) stream(_ any, ss grpc.ServerStream) error {
	e.reached(ss.Context())
	if e.onStream != nil {
		return e.onStream(ss)
	}
	for {
		if err := ss.RecvMsg(new(wrapperspb.StringValue)); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	return errors.Join(ss.SendMsg(wrapperspb.String("done")), e.result)
}

func (e *echo) desc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: echoService,
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: e.unary}},
		Streams: []grpc.StreamDesc{
			{StreamName: "ClientStream", Handler: e.stream, ClientStreams: true},
			{StreamName: "ServerStream", Handler: e.stream, ServerStreams: true},
			{StreamName: "Bidi", Handler: e.stream, ClientStreams: true, ServerStreams: true},
		},
	}
}

// call makes one call of the kind of method and returns how it ended.
func call(ctx context.Context, cc grpc.ClientConnInterface, method string, opts ...grpc.CallOption) error {
	in, out := wrapperspb.String("hello"), new(wrapperspb.StringValue)
	if method == unary {
		return cc.Invoke(ctx, method, in, out, opts...)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	desc := &grpc.StreamDesc{ClientStreams: method != serverStream, ServerStreams: method != clientStream}
	cs, err := cc.NewStream(ctx, desc, method, opts...)
	if err != nil {
		return err
	}
	if err := cs.SendMsg(in); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := cs.CloseSend(); err != nil {
		return err
	}
	for {
		if err := cs.RecvMsg(out); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		} else if !desc.ServerStreams {
			return nil
		}
	}
}

// patience is how long a test waits, in real time, for what comes soon.
const patience = 10 * time.Second

// serve runs the echo service on a loopback address until the test ends.
func serve(t testing.TB, e *echo, opts ...grpc.ServerOption) (addr string) {
	t.Helper()
	return run(t, newEcho(e, opts))
}

func newEcho(e *echo, opts []grpc.ServerOption) *grpc.Server {
	srv := grpc.NewServer(opts...)
	srv.RegisterService(e.desc(), nil)
	return srv
}

// run runs srv on a loopback address until the test ends.
func run(t testing.TB, srv *grpc.Server) (addr string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	runOn(t, lis, srv)
	return lis.Addr().String()
}

func runOn(t testing.TB, lis net.Listener, srv *grpc.Server) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(lis)
	}()
	t.Cleanup(func() {
		srv.Stop()
		<-done
	})
}

// dial connects to addr in plaintext unless opts say otherwise.
func dial(t testing.TB, addr string, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)
	cc, err := grpc.NewClient(addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

// pipe connects a client to an echo service without a network.
func pipe(t testing.TB, e *echo, server []grpc.ServerOption, client ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 20)
	runOn(t, lis, newEcho(e, server))
	dialer := func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }
	return dial(t, "passthrough:///pipe", append(client, grpc.WithContextDialer(dialer))...)
}

// newPrincipal returns a caller with its kind, name, roles and scopes.
func newPrincipal(t testing.TB, change ...func(*authctx.Attributes)) authctx.Principal {
	t.Helper()
	attrs := authctx.Attributes{
		Issuer: "https://issuer.example", Subject: "alice", Name: "Alice Example", Tenant: "acme",
		Roles: []string{"editor"}, Scopes: []string{"orders:read"},
	}
	for _, c := range change {
		c(&attrs)
	}
	p, err := authctx.New(attrs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bearer authenticates "Bearer NAME" by a table of names, the way a token
// verifier would: an unknown name is an invalid token, two tokens are a
// malformed request.
func bearer(known map[string]authctx.Principal, recheck func(context.Context) error) authctx.Authenticator {
	set := authctx.FieldSet{Names: []string{"authorization"}, Schemes: []string{"Bearer"}}
	return authctx.NewAuthenticator(set, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		values := r.Values("authorization")
		switch len(values) {
		case 0:
			return authctx.Result{}, authctx.NoCredentials
		case 1:
		default:
			return authctx.Result{}, &authctx.Error{Reason: authctx.InvalidRequest, Cause: errors.New("two tokens")}
		}
		name, _ := strings.CutPrefix(values[0], "Bearer ")
		if name == "outage" {
			return authctx.Result{}, errors.New("dial tcp 10.0.0.1:443: connection refused")
		}
		p, ok := known[name]
		if !ok {
			return authctx.Result{}, &authctx.Error{Reason: authctx.BadSignature, Cause: errors.New("secret-detail")}
		}
		return authctx.Result{Principal: p, Recheck: recheck}, nil
	})
}

// withToken returns ctx for a client that sends tokens.
func withToken(ctx context.Context, tokens ...string) context.Context {
	for _, token := range tokens {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return ctx
}

// newServer returns a server that knows alice by her token, allows every caller
// everywhere, and is otherwise as change says.
func newServer(t testing.TB, change ...func(*grpcctx.ServerConfig)) *grpcctx.Server {
	t.Helper()
	cfg := grpcctx.ServerConfig{
		Authenticator: bearer(map[string]authctx.Principal{"alice": newPrincipal(t)}, nil),
		Policy:        newPolicy(t, authctx.PolicyConfig{Default: authctx.Authenticated()}),
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := grpcctx.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newPolicy(t testing.TB, cfg authctx.PolicyConfig) *authctx.Policy {
	t.Helper()
	p, err := authctx.NewPolicy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// plainFields returns both ends of plain identity fields, believed from
// anybody.
func plainFields(t testing.TB) (*authctx.FieldsPropagator, *authctx.FieldsAuthenticator) {
	t.Helper()
	out, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()})
	if err != nil {
		t.Fatal(err)
	}
	return out, in
}

func newClient(t testing.TB, cfg grpcctx.ClientConfig) *grpcctx.Client {
	t.Helper()
	if cfg.Propagator == nil {
		cfg.Propagator, _ = plainFields(t)
	}
	c, err := grpcctx.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type journal = observertest.Journal

func nothing() *wrapperspb.StringValue { return wrapperspb.String("") }

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}

// farFuture is an end that no test reaches.
var farFuture = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// echoMessages sends back what it receives.
func echoMessages(ss grpc.ServerStream) error {
	m := new(wrapperspb.StringValue)
	for {
		if err := ss.RecvMsg(m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := ss.SendMsg(m); err != nil {
			return err
		}
	}
}
