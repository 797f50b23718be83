package grpcctx_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

// must keeps the examples short; a program handles its errors.
func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// whoServer is a health service whose handler looks at its caller.
type whoServer struct {
	healthpb.UnimplementedHealthServer
}

func (whoServer) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	caller, _ := authctx.FromContext(ctx)
	fmt.Println("the service sees", caller)
	return new(healthpb.HealthCheckResponse), authctx.Authorize(ctx, authctx.Role("editor"))
}

// A gateway calls a service behind it, and the service knows for whom.
func Example() {
	// The service believes the plain fields of peers on its own machine.
	reader := must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: must(authctx.TrustPeerCIDR("127.0.0.0/8", "::1/128")),
	}))
	policy := must(authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/grpc.health.v1.Health/*": authctx.Authenticated()},
	}))
	auth := must(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: reader, Policy: policy}))
	srv := grpc.NewServer(auth.ServerOptions()...)
	healthpb.RegisterHealthServer(srv, whoServer{})
	if err := auth.CheckServices(srv); err != nil {
		log.Fatal(err)
	}
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()

	// The gateway writes them.
	writer := must(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{}))
	carry := must(grpcctx.NewClient(grpcctx.ClientConfig{Propagator: writer}))
	conn := must(grpc.NewClient(lis.Addr().String(),
		append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, carry.DialOptions()...)...))
	defer conn.Close()

	alice := must(authctx.New(authctx.Attributes{Issuer: "https://issuer.example", Subject: "alice", Roles: []string{"editor"}}))
	ctx := authctx.NewContext(context.Background(), alice)
	_, err := healthpb.NewHealthClient(conn).Check(ctx, new(healthpb.HealthCheckRequest))
	fmt.Println("alice:", err)

	_, err = healthpb.NewHealthClient(conn).Check(context.Background(), new(healthpb.HealthCheckRequest))
	fmt.Println("nobody:", err)
	// Output:
	// the service sees user alice of https://issuer.example (asserted)
	// alice: <nil>
	// nobody: rpc error: code = Unauthenticated desc = Authentication is required.
}

// One handler serves HTTP and gRPC, and all callers are found in front of it. The
// Server of gRPC takes them over from there: it answers refusals in the way of
// gRPC, and ends streams with their callers.
func Example_behindHTTP() {
	policy := must(authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/grpc.health.v1.Health/*": authctx.Authenticated()},
	}))
	found := authctx.NewAuthenticator(authctx.FieldSet{}, func(ctx context.Context, _ *authctx.Request) (authctx.Result, error) {
		p, ok := authctx.FromContext(ctx)
		if !ok {
			return authctx.Result{}, authctx.NoCredentials
		}
		return authctx.Result{Principal: p, Forward: authctx.Forwarded(ctx), ForwardUntil: authctx.ForwardedUntil(ctx)}, nil
	})
	auth := must(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: found, Policy: policy}))
	srv := grpc.NewServer(auth.ServerOptions()...)
	healthpb.RegisterHealthServer(srv, whoServer{}) // wants an editor

	front := must(httpctx.NewServer(httpctx.ServerConfig{
		Authenticator: must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
			Trust: must(authctx.TrustPeerCIDR("127.0.0.0/8", "::1/128")),
		})),
		Policy: policy,
		Refuse: grpcctx.Refuse,
	}))
	web := &http.Server{Handler: front.Handler(srv), Protocols: new(http.Protocols), ReadHeaderTimeout: time.Minute}
	web.Protocols.SetUnencryptedHTTP2(true)
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { _ = web.Serve(lis) }()
	defer web.Close()

	conn := must(grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer conn.Close()
	for _, fields := range [][]string{
		{"x-user-issuer", "https://issuer.example", "x-user-id", "alice", "x-user-roles", "editor"},
		{"x-user-issuer", "https://issuer.example", "x-user-id", "bob"},
		nil,
	} {
		ctx := metadata.AppendToOutgoingContext(context.Background(), fields...)
		_, err := healthpb.NewHealthClient(conn).Check(ctx, new(healthpb.HealthCheckRequest))
		fmt.Println(err)
	}
	// Output:
	// the service sees user alice of https://issuer.example (asserted)
	// <nil>
	// the service sees user bob of https://issuer.example (asserted)
	// rpc error: code = PermissionDenied desc = The caller may not do this.
	// rpc error: code = Unauthenticated desc = Authentication is required.
}

// A small server: everybody who is known may look, editors may edit, and health
// is public.
func ExampleNewServer() {
	reader := must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: must(authctx.TrustSPIFFEID("spiffe://example.org/gateway")),
	}))
	auth, err := grpcctx.NewServer(grpcctx.ServerConfig{
		Authenticator: reader,
		Policy: must(authctx.NewPolicy(authctx.PolicyConfig{
			Rules: map[string]authctx.Rule{
				"/docs.v1.Docs/*":    authctx.Authenticated(),
				"/docs.v1.Docs/Edit": authctx.Role("editor"),
			},
			Public: []string{"/grpc.health.v1.Health/*"},
		})),
		Observer: authctx.NewSlogObserver(nil),
	})
	if err != nil {
		log.Fatal(err)
	}
	srv := grpc.NewServer(auth.ServerOptions()...)
	defer srv.Stop()
	healthpb.RegisterHealthServer(srv, health.NewServer())
	fmt.Println(auth.CheckServices(srv))

	// A configuration that protects nothing is none.
	_, err = grpcctx.NewServer(grpcctx.ServerConfig{})
	fmt.Println(err)
	// Output:
	// <nil>
	// grpcctx: server: Authenticator is required
	// grpcctx: server: Policy is required
}

// A caller does not go over a connection that others can read.
func ExampleNewClient() {
	writer := must(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{}))
	carry := must(grpcctx.NewClient(grpcctx.ClientConfig{Propagator: writer}))
	lis := bufconn.Listen(1 << 16) // stands for another machine
	srv := grpc.NewServer()
	healthpb.RegisterHealthServer(srv, health.NewServer())
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()
	conn := must(grpc.NewClient("passthrough:///orders", append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
	}, carry.DialOptions()...)...))
	defer conn.Close()

	alice := must(authctx.New(authctx.Attributes{Issuer: "https://issuer.example", Subject: "alice"}))
	client := healthpb.NewHealthClient(conn)
	_, err := client.Check(authctx.NewContext(context.Background(), alice), new(healthpb.HealthCheckRequest))
	fmt.Println(err)
	_, err = client.Check(context.Background(), new(healthpb.HealthCheckRequest))
	fmt.Println("without a caller:", err)
	// Output:
	// rpc error: code = Internal desc = grpcctx: refusing to send the caller over a connection without transport security; use TLS or set InsecureAllowPlaintext
	// without a caller: <nil>
}

// A framework chains interceptors of its own first. The options of grpc that set
// interceptors put those of a Server in front of them.
func ExampleServer_UnaryInterceptor() {
	framework := func(opts ...grpc.ServerOption) *grpc.Server {
		return grpc.NewServer(append([]grpc.ServerOption{grpc.ChainUnaryInterceptor(
			func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				md, _ := metadata.FromIncomingContext(ctx)
				caller, _ := authctx.FromContext(ctx)
				fmt.Println("the framework sees", caller, md["x-user-id"])
				return next(ctx, req)
			})}, opts...)...)
	}
	reader := must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()}))
	auth := must(grpcctx.NewServer(grpcctx.ServerConfig{
		Authenticator: reader,
		Policy: must(authctx.NewPolicy(authctx.PolicyConfig{
			Rules: map[string]authctx.Rule{"/grpc.health.v1.Health/*": authctx.Authenticated()},
		})),
	}))
	srv := framework(grpc.UnaryInterceptor(auth.UnaryInterceptor()), grpc.StreamInterceptor(auth.StreamInterceptor()))
	healthpb.RegisterHealthServer(srv, health.NewServer())
	fmt.Println(auth.CheckServices(srv))
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()

	conn := must(grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-user-issuer", "https://issuer.example", "x-user-id", "alice")
	res, err := healthpb.NewHealthClient(conn).Check(ctx, new(healthpb.HealthCheckRequest))
	fmt.Println(res.GetStatus(), err)
	// Output:
	// <nil>
	// the framework sees user alice of https://issuer.example (asserted) []
	// SERVING <nil>
}

// A stream within the process, where there is no server that takes options.
func ExampleServer_StreamInterceptor() {
	reader := must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()}))
	auth := must(grpcctx.NewServer(grpcctx.ServerConfig{
		Authenticator: reader,
		Policy: must(authctx.NewPolicy(authctx.PolicyConfig{
			Rules: map[string]authctx.Rule{"/docs.v1.Docs/Watch": authctx.Role("editor")},
		})),
	}))
	intercept := auth.StreamInterceptor()
	watch := func(_ any, ss grpc.ServerStream) error {
		caller, _ := authctx.FromContext(ss.Context())
		fmt.Println("watching:", caller)
		return nil
	}
	for _, roles := range []string{"editor", "reader"} {
		md := metadata.Pairs("x-user-issuer", "https://issuer.example", "x-user-id", "alice", "x-user-roles", roles)
		stream := localStream{ctx: metadata.NewIncomingContext(context.Background(), md)}
		fmt.Println(intercept(nil, stream, &grpc.StreamServerInfo{FullMethod: "/docs.v1.Docs/Watch"}, watch))
	}
	// Output:
	// watching: user alice of https://issuer.example (asserted)
	// <nil>
	// rpc error: code = PermissionDenied desc = The caller may not do this.
}

// localStream is a stream of a channel within the process.
type localStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s localStream) Context() context.Context { return s.ctx }

// A channel within the process is no connection of grpc: it takes no options.
func ExampleClient_UnaryInterceptor() {
	writer := must(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{}))
	carry := must(grpcctx.NewClient(grpcctx.ClientConfig{
		Propagator:             writer,
		InsecureAllowPlaintext: true, // it leads nowhere else
	}))
	intercept := carry.UnaryInterceptor()
	channel := func(ctx context.Context, method string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		md, _ := metadata.FromOutgoingContext(ctx)
		fmt.Println(method, "for", md["x-user-id"])
		return nil
	}
	alice := must(authctx.New(authctx.Attributes{Issuer: "https://issuer.example", Subject: "alice"}))
	ctx := metadata.AppendToOutgoingContext(context.Background(), "x-user-id", "root")
	fmt.Println(intercept(authctx.NewContext(ctx, alice), "/docs.v1.Docs/Edit", nil, nil, nil, channel))

	// Where InsecureAllowPlaintext is not set, a caller stays here.
	careful := must(grpcctx.NewClient(grpcctx.ClientConfig{Propagator: writer}))
	fmt.Println(careful.UnaryInterceptor()(authctx.NewContext(ctx, alice), "/docs.v1.Docs/Edit", nil, nil, nil, channel))
	// Output:
	// /docs.v1.Docs/Edit for [alice]
	// <nil>
	// grpcctx: client: refusing to send the caller over a connection that an interceptor alone cannot check: pass DialOptions to grpc.NewClient or set InsecureAllowPlaintext
}

func ExampleClient_StreamInterceptor() {
	carry := must(grpcctx.NewClient(grpcctx.ClientConfig{
		Propagator:             must(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})),
		InsecureAllowPlaintext: true, // the channel is within the process
	}))
	channel := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
		md, _ := metadata.FromOutgoingContext(ctx)
		fmt.Println(method, "for", md["x-user-id"])
		return nil, nil
	}
	alice := must(authctx.New(authctx.Attributes{Issuer: "https://issuer.example", Subject: "alice"}))
	_, err := carry.StreamInterceptor()(authctx.NewContext(context.Background(), alice), new(grpc.StreamDesc), nil, "/docs.v1.Docs/Watch", channel)
	fmt.Println(err)
	// Output:
	// /docs.v1.Docs/Watch for [alice]
	// <nil>
}

// A policy is tried out on a server that still decides in its own way.
func ExampleServer_Check() {
	reader := must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()}))
	auth := must(grpcctx.NewServer(grpcctx.ServerConfig{
		Authenticator: reader,
		Policy: must(authctx.NewPolicy(authctx.PolicyConfig{
			Rules: map[string]authctx.Rule{"/grpc.health.v1.Health/*": authctx.Role("probe")},
		})),
		Observer: authctx.ObserverFunc(func(_ context.Context, e authctx.Event) {
			fmt.Println("would be", e.Outcome, "by", e.Entry)
		}),
	}))
	srv := grpc.NewServer(grpc.ChainUnaryInterceptor(
		func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			_, _ = auth.Check(ctx, info.FullMethod) // the observer is told
			return next(ctx, req)
		}))
	healthpb.RegisterHealthServer(srv, health.NewServer())
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()

	conn := must(grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer conn.Close()
	res, err := healthpb.NewHealthClient(conn).Check(context.Background(), new(healthpb.HealthCheckRequest))
	fmt.Println(res.GetStatus(), err)
	// Output:
	// would be denied by /grpc.health.v1.Health/*
	// SERVING <nil>
}

func ExampleServer_CheckServices() {
	policy := must(authctx.NewPolicy(authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{"/grpc.health.v1.Health/Wotch": authctx.Authenticated()},
		Public: []string{"/grpc.health.v1.Health/Check"},
	}))
	reader := must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()}))
	auth := must(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: reader, Policy: policy}))
	srv := grpc.NewServer(auth.ServerOptions()...)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	fmt.Println(auth.CheckServices(srv))
	// Output:
	// grpcctx: the policy says nothing about /grpc.health.v1.Health/List
	// grpcctx: the policy says nothing about /grpc.health.v1.Health/Watch
	// grpcctx: the policy names /grpc.health.v1.Health/Wotch, but grpc.health.v1.Health has no such method
}

func ExampleStatus() {
	st := grpcctx.Status(&authctx.Error{Reason: authctx.InsufficientScope, Scopes: []string{"orders:write"}})
	fmt.Println(st.Code(), "-", st.Message())

	// The client reads it back from the error of its call.
	refusal, ok := grpcctx.FromError(st.Err())
	fmt.Println(ok, refusal.Reason, refusal.Scopes)
	// Output:
	// PermissionDenied - The access token lacks a required scope.
	// true authctx: scope missing [orders:write]
}

// A client that was refused for its token gets itself a fresh one.
func ExampleFromError() {
	err := grpcctx.Status(authctx.TokenExpired).Err() // what the call returned
	if refusal, ok := grpcctx.FromError(err); ok && errors.Is(refusal, authctx.InvalidToken) {
		fmt.Println("asking for a new token:", refusal.Reason)
	}
	_, ok := grpcctx.FromError(status.Error(codes.NotFound, "no such order"))
	fmt.Println(ok)
	// Output:
	// asking for a new token: authctx: token expired
	// false
}

// One address serves gRPC and everything else.
func ExampleIsRequest() {
	r := httptest.NewRequest(http.MethodPost, "/orders.v1.Orders/Get", nil)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.Header.Set("Content-Type", "application/grpc+proto")
	fmt.Println(grpcctx.IsRequest(r))
	r.Header.Set("Content-Type", "application/grpc-web")
	fmt.Println(grpcctx.IsRequest(r))
	// Output:
	// true
	// false
}

// A gateway refuses a gRPC request from its net/http handler.
func ExampleWriteError() {
	gateway := func(w http.ResponseWriter, r *http.Request) {
		if grpcctx.IsRequest(r) {
			grpcctx.WriteError(w, authctx.NoCredentials)
			return
		}
		http.Error(w, "log in first", http.StatusUnauthorized)
	}
	r := httptest.NewRequest(http.MethodPost, "/orders.v1.Orders/Get", nil)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.Header.Set("Content-Type", "application/grpc")
	w := httptest.NewRecorder()
	gateway(w, r)
	fmt.Println(w.Code, w.Header().Get("Grpc-Status"), w.Header().Get("Grpc-Message"))
	// Output:
	// 200 16 Authentication is required.
}

// A gateway's httpctx.ServerConfig has it as Refuse.
func ExampleRefuse() {
	for _, contentType := range []string{"application/grpc", "application/json"} {
		r := httptest.NewRequest(http.MethodPost, "/orders.v1.Orders/Get", nil)
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		fmt.Println(grpcctx.Refuse(w, r, authctx.PermissionDenied), w.Header().Get("Grpc-Status"))
	}
	// Output:
	// true 7
	// false
}
