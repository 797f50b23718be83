package conformance

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

// Tests of a service that reads plain fields and is its own grpc-gateway, as the
// documentation of grpcctx has it.

// translated does with a request what the ServeMux of grpc-gateway does: it makes
// metadata of the header, and calls over cc.
func translated(cc grpc.ClientConnInterface) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		md := metadata.MD{}
		for name, values := range r.Header {
			if key, ok := strings.CutPrefix(name, "Grpc-Metadata-"); ok {
				md.Append(key, values...)
			} else if name == "Authorization" {
				md.Append("authorization", values...)
				md.Append("grpcgateway-authorization", values...)
			}
		}
		_, err := healthpb.NewHealthClient(cc).Check(metadata.NewOutgoingContext(r.Context(), md), new(healthpb.HealthCheckRequest))
		fmt.Fprint(w, err)
	})
}

// runPlain serves the health service over network to callers of plain fields whom
// trust believes, and connects to it.
func runPlain(t *testing.T, network string, trust authctx.Trust, h *health, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	lis := must[net.Listener](t)(net.Listen(network, address))
	srv := grpc.NewServer(must[*grpcctx.Server](t)(grpcctx.NewServer(grpcctx.ServerConfig{
		Authenticator: must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust})),
		Policy:        must[*authctx.Policy](t)(authctx.NewPolicy(authctx.PolicyConfig{Default: authctx.Authenticated()})),
	})).ServerOptions()...)
	healthpb.RegisterHealthServer(srv, h)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	target := lis.Addr().String()
	if network == "unix" {
		target = "unix://" + target
	}
	cc := must[*grpc.ClientConn](t)(grpc.NewClient(target, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...))
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

func TestRule6_BehindAServicesOwnGRPCGatewayACallerIsWhoeverWasLetInInFront(t *testing.T) {
	aliceOnly := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}},
		func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
			if len(r.Values("authorization")) == 0 {
				return authctx.Result{}, authctx.NoCredentials
			}
			return authctx.Result{Principal: callerUntil(t, time.Time{})}, nil
		})
	policy := must[*authctx.Policy](t)(authctx.NewPolicy(authctx.PolicyConfig{Default: authctx.Authenticated(), Public: []string{"/public"}}))
	front := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: aliceOnly, Policy: policy}))
	carry := must[*grpcctx.Client](t)(grpcctx.NewClient(grpcctx.ClientConfig{
		Propagator: must[*authctx.FieldsPropagator](t)(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})),
	}))
	loopback := must[authctx.Trust](t)(authctx.TrustPeerCIDR("127.0.0.0/8"))
	for _, c := range []struct {
		name, network string
		trust         authctx.Trust
	}{
		{"a trust that covers loopback", "tcp", loopback},
		{"the network alone", "tcp", authctx.TrustNetworkAlone()},
		{"the network alone, over a Unix socket", "unix", authctx.TrustNetworkAlone()},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seen authctx.Principal
			h := &health{handle: func(ctx context.Context) error {
				seen, _ = authctx.FromContext(ctx)
				return nil
			}}
			composed := front.Handler(translated(runPlain(t, c.network, c.trust, h, carry.DialOptions()...)))
			bare := translated(runPlain(t, c.network, c.trust, h))
			for _, test := range []struct {
				handler     http.Handler
				path, token string
				want        string // empty when the call reaches no handler
			}{
				{composed, "/", "Bearer t", "alice"},
				{composed, "/", "", ""},
				{composed, "/public", "Bearer t", ""}, // gRPC wants a caller all the same
				{bare, "/", "", "root"},               // which is why
			} {
				seen = authctx.Principal{}
				r := httptest.NewRequest(http.MethodGet, test.path, nil)
				for name, value := range map[string]string{"X-User-Id": "root", "X-User-Issuer": "https://issuer.example", "X-User-Roles": "admin"} {
					r.Header.Set("Grpc-Metadata-"+name, value)
				}
				if test.token != "" {
					r.Header.Set("Authorization", test.token)
				}
				w := httptest.NewRecorder()
				test.handler.ServeHTTP(w, r)
				body, _ := io.ReadAll(w.Result().Body)
				if seen.Subject() != test.want || test.want == "alice" && seen.HasRole("admin") {
					t.Errorf("%s with %q: the handler sees %v: %s", test.path, test.token, seen, body)
				}
			}
		})
	}
}
