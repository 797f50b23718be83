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
//	srv := grpc.NewServer(auth.ServerOptions()...)
//	pb.RegisterUsersServer(srv, users)
//	if err := auth.CheckServices(srv); err != nil { … } // what was forgotten
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
// The functions and interfaces that a configuration holds, clocks included, are
// called by several requests at the same time.
package grpcctx
