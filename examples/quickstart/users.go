package main

import (
	"context"
	"crypto/tls"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/authctx/authctx"
	pb "github.com/authctx/authctx/examples/internal/examplespb"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/grpcctx"
)

// newUsersService returns the gRPC service. It believes the gateway, which it
// knows by its certificate, and holds no keys of the auth service.
func newUsersService(config *tls.Config, gateway authctx.Authenticator) (*grpc.Server, error) {
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{Rules: map[string]authctx.Rule{
		pb.Users_List_FullMethodName: authctx.Permission("users:read"),
	}})
	if err != nil {
		return nil, err
	}
	server, err := grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: gateway, Policy: policy})
	if err != nil {
		return nil, err
	}
	options := append(server.ServerOptions(), program.BoundConnections()...)
	s := grpc.NewServer(append(options, grpc.Creds(credentials.NewTLS(config)))...)
	pb.RegisterUsersServer(s, usersService{})
	return s, server.CheckServices(s)
}

type usersService struct{ pb.UnimplementedUsersServer }

func (usersService) List(ctx context.Context, _ *pb.ListUsersRequest) (*pb.ListUsersResponse, error) {
	caller, _ := authctx.FromContext(ctx)
	return &pb.ListUsersResponse{
		Users: []*pb.User{
			{Id: "u-1001", Name: "Test User"},
			{Id: "u-1002", Name: "Test Buyer"},
		},
		RequestedBy: caller.Subject(),
	}, nil
}
