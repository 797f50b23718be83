package main

import (
	"github.com/authctx/authctx"
	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// newPolicy returns the one table of who may do what, for both transports. What
// it does not list is refused.
func newPolicy() (*authctx.Policy, error) {
	return authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{
			"GET /whoami":  authctx.Authenticated(),
			"GET /admin":   authctx.Role("admin"),
			"POST /orders": authctx.Permission("orders:create"),

			pb.WhoAmI_Get_FullMethodName:   authctx.Authenticated(),
			pb.WhoAmI_Watch_FullMethodName: authctx.Authenticated(),
			pb.WhoAmI_Chat_FullMethodName:  authctx.Authenticated(),
			pb.WhoAmI_Admin_FullMethodName: authctx.Role("admin"),
		},
		Public: []string{
			"GET /health",
			"/grpc.health.v1.Health/*",
			"/grpc.reflection.v1.ServerReflection/*",
			"/grpc.reflection.v1alpha.ServerReflection/*",
		},
	})
}
