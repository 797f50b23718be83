// Package grpcctx puts package authctx to work on gRPC: a [Server] that knows
// its callers and a [Client] that carries them on, each for unary calls and
// streams alike.
//
// A server authenticates every call, applies one [authctx.Policy] by full
// method, removes identity fields and credentials from the metadata that
// handlers see, and puts the caller into their context:
//
//	auth, err := grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: a, Policy: p})
//	…
//	bounds := []grpc.ServerOption{grpc.MaxConcurrentStreams(1000), grpc.MaxHeaderListSize(64 << 10)}
//	srv := grpc.NewServer(append(bounds, auth.ServerOptions()...)...)
//	pb.RegisterUsersServer(srv, users)
//	if err := auth.CheckServices(srv); err != nil { … } // what was forgotten
//
// The bounds are for callers whom nobody knows yet, see [Server.ServerOptions].
//
// A client writes the caller of the context on every outgoing call, and
// nothing else that looks like one:
//
//	carry, err := grpcctx.NewClient(grpcctx.ClientConfig{Propagator: fields})
//	…
//	conn, err := grpc.NewClient(target, append([]grpc.DialOption{creds}, carry.DialOptions()...)...)
//
// Refusals travel as a gRPC status with one ErrorInfo, see [Status].
//
// A type that has a constructor is made by it: the zero value is not ready unless
// its comment says so. Functions and interfaces in a configuration, clocks
// included, must be safe for concurrent use.
//
// # Behind net/http
//
// A [grpc.Server] that net/http serves, by its ServeHTTP, needs a [Server] of this
// package too. With a server of package httpctx alone in front, its streams outlive
// their callers, and a handler that returns the error of [authctx.Authorize] tells
// the client the cause, with code Unknown, unless it returns Status(err).Err().
//
// Preferably the Server of this package gets the requests as they came: from a
// handler that asks [IsRequest] and hands gRPC over before an httpctx.Server sees
// it. If an httpctx.Server stands in front of everything, it has removed the
// credentials. Then take over the caller that it has put into the context, by this
// authenticator:
//
//	found := func(ctx context.Context, _ *authctx.Request) (authctx.Result, error) {
//		p, ok := authctx.FromContext(ctx)
//		if !ok {
//			return authctx.Result{}, authctx.NoCredentials
//		}
//		return authctx.Result{
//			Principal:    p,
//			Forward:      authctx.Forwarded(ctx),
//			ForwardUntil: authctx.ForwardedUntil(ctx),
//		}, nil
//	}
//	authenticator := authctx.NewAuthenticator(authctx.FieldSet{}, found)
//
// Both servers may have the same policy. Streams end at their caller's effective
// end. The Recheck of the authenticator in front is lost, though: if a revocation
// is to end streams, set a Recheck in the Result above.
//
// # A grpc-gateway of the service's own
//
// Where the HTTP side of a service dials its own gRPC port, the peer is the service
// itself, at a loopback address or a Unix socket, and grpc-gateway makes metadata of
// what clients write: "Grpc-Metadata-X-User-Id: root" becomes x-user-id. If the gRPC
// side believes plain fields from there, because of an [authctx.TrustPeerCIDR] that
// covers loopback or of [authctx.TrustNetworkAlone], whoever reaches the HTTP port is
// any caller they like. Put an httpctx.Server in front of the mux, which takes such
// headers away, and a [Client] on the connection, which carries on whom that Server
// has let in:
//
//	conn, err := grpc.NewClient(own, append([]grpc.DialOption{creds}, carry.DialOptions()...)...)
//	…
//	mux := runtime.NewServeMux()
//	err = pb.RegisterUsersHandler(ctx, mux, conn)
//	…
//	err = http.ListenAndServe(addr, front.Handler(mux))
//
// A gRPC side that believes bearer tokens alone gets them from the mux and needs none
// of this. RegisterUsersHandlerServer, which has no connection, calls the handlers
// without interceptors: nothing of this package runs then.
package grpcctx
