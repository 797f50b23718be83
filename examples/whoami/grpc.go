package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/authctx/authctx"
	pb "github.com/authctx/authctx/examples/internal/examplespb"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/grpcctx"
)

// newGRPCServer returns the gRPC side, with the same authenticator and the same
// policy as the HTTP side. Without config it speaks plaintext.
func newGRPCServer(auth authctx.Authenticator, observer authctx.Observer, config *tls.Config) (*grpc.Server, error) {
	policy, err := newPolicy()
	if err != nil {
		return nil, err
	}
	server, err := grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: auth, Policy: policy, Observer: observer})
	if err != nil {
		return nil, err
	}
	options := append(server.ServerOptions(), program.BoundConnections()...)
	options = append(options, grpc.StatsHandler(receivedRecorder{}))
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	s := grpc.NewServer(options...)
	pb.RegisterWhoAmIServer(s, whoAmIServer{})
	healthpb.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	return s, server.CheckServices(s) // fails if a method has no rule
}

// whoAmIServer is the gRPC service. Who may call what is in the policy; nothing
// here checks anything.
type whoAmIServer struct {
	pb.UnimplementedWhoAmIServer
}

func (whoAmIServer) Get(ctx context.Context, _ *pb.GetRequest) (*pb.Caller, error) {
	return callerOf(ctx).proto(), nil
}

func (whoAmIServer) Admin(ctx context.Context, _ *pb.AdminRequest) (*pb.Caller, error) {
	return callerOf(ctx).proto(), nil
}

func (whoAmIServer) Watch(_ *pb.WatchRequest, stream grpc.ServerStreamingServer[pb.Caller]) error {
	ctx := stream.Context()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		if err := stream.Send(callerOf(ctx).proto()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

func (whoAmIServer) Chat(stream grpc.BidiStreamingServer[pb.ChatMessage, pb.ChatMessage]) error {
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(message); err != nil {
			return err
		}
	}
}
