package conformance

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

// unknown is what the aggregator of Kubernetes sends for whoever showed nothing.
var unknown = map[string][]string{"x-remote-user": {"system:anonymous"}, "x-remote-group": {"system:unauthenticated"}}

// behindKubernetes are both ends of Kubernetes' fields.
func behindKubernetes(t *testing.T) (authctx.Propagator, authctx.Authenticator) {
	layout := authctx.KubernetesLayout()
	return must[*authctx.FieldsPropagator](t)(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &layout, SoleIssuer: soleIssuer})),
		must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
			Trust: authctx.TrustNetworkAlone(), Layout: &layout, Issuer: soleIssuer,
		}))
}

// Every issuer may have a user of that name, who must not arrive as nobody either.
func TestNobodyArrivesAsNobody(t *testing.T) {
	prop, auth := behindKubernetes(t)
	named := must[authctx.Principal](t)(authctx.New(authctx.Attributes{Issuer: soleIssuer, Subject: "system:anonymous"}))
	for _, route := range routes {
		t.Run(route.name, func(t *testing.T) {
			far := route.open(t, auth)
			err := far.send(t.Context(), unknown)
			if _, _, told := far.last(); err == nil || !errors.Is(told, authctx.NoCredentials) || far.reached() > 0 {
				t.Errorf("%v; the service says %v", err, told)
			}
			if err := far.carry(authctx.NewContext(t.Context(), named), prop, nil); err == nil || far.reached() > 0 {
				t.Errorf("a user of that name: %v", err)
			}
		})
	}
}

func TestRule6_NobodyIsAnonymousAndLeavesNoField(t *testing.T) {
	_, auth := behindKubernetes(t)
	for transport, send := range map[string]func(*testing.T, service){
		"HTTP": func(t *testing.T, s service) {
			server := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, AllowAnonymous: true, Observer: s}))
			h := server.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				s.handle(r.Context(), slices.Collect(maps.Keys(r.Header)))
			}))
			r := httptest.NewRequest("GET", "/", nil)
			for name, values := range unknown {
				r.Header[http.CanonicalHeaderKey(name)] = values
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
		},
		"gRPC": func(t *testing.T, s service) {
			server := must[*grpcctx.Server](t)(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: auth, AllowAnonymous: true, Observer: s}))
			addr := runGRPC(t, func(_ any, ss grpc.ServerStream) error {
				md, _ := metadata.FromIncomingContext(ss.Context())
				s.handle(ss.Context(), slices.Collect(maps.Keys(md)))
				return nil
			}, server.ServerOptions()...)
			cc := must[*grpc.ClientConn](t)(grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials())))
			defer cc.Close()
			_ = cc.Invoke(metadata.NewOutgoingContext(context.Background(), unknown), "/test.Test/Call", new(emptypb.Empty), new(emptypb.Empty))
		},
	} {
		s := newService()
		send(t, s)
		caller, fields, told := s.last()
		if s.reached() != 1 || !caller.IsZero() || told != nil {
			t.Errorf("%s: reached %d times, by %v, %v", transport, s.reached(), caller, told)
		}
		if left := slices.DeleteFunc(fields, func(name string) bool { return !identity(name, []string{"x-remote-"}) }); len(left) > 0 {
			t.Errorf("%s: the handler was left with %q", transport, left)
		}
	}
}
