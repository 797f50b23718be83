package conformance

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

// A server judges a request whose context has another caller already, such as
// the one that middleware around it found.
type judge struct {
	name string
	// call reports whether a caller with these roles is let in.
	call func(t *testing.T, cfg judged, outside authctx.Principal, roles string) (allowed bool)
}

type judged struct {
	auth     authctx.Authenticator
	policy   *authctx.Policy
	observer authctx.Observer
}

var judges = []judge{
	{"HTTP", func(t *testing.T, cfg judged, outside authctx.Principal, roles string) bool {
		s := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: cfg.auth, Policy: cfg.policy, Observer: cfg.observer}))
		r := httptest.NewRequest("GET", "/", nil)
		r = r.WithContext(authctx.NewContext(r.Context(), outside))
		r.Header = http.Header{"X-User-Id": {"alice"}, "X-User-Issuer": {"i"}, "X-User-Roles": {roles}}
		w := httptest.NewRecorder()
		s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		if _, err := s.Check(r); (err == nil) != (w.Code == http.StatusOK) {
			t.Errorf("status %d, but Check says %v", w.Code, err)
		}
		if w.Code != http.StatusOK && w.Code != http.StatusForbidden {
			t.Errorf("status %d", w.Code)
		}
		return w.Code == http.StatusOK
	}},
	{"gRPC", func(t *testing.T, cfg judged, outside authctx.Principal, roles string) bool {
		s := must[*grpcctx.Server](t)(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: cfg.auth, Policy: cfg.policy, Observer: cfg.observer}))
		before := grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			return handler(srv, &within{ss, authctx.NewContext(ss.Context(), outside)})
		})
		addr := runGRPC(t, func(_ any, ss grpc.ServerStream) error {
			return errors.Join(ss.RecvMsg(new(emptypb.Empty)), ss.SendMsg(new(emptypb.Empty)))
		}, append([]grpc.ServerOption{before}, s.ServerOptions()...)...)
		cc := must[*grpc.ClientConn](t)(grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials())))
		defer cc.Close()
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user-id", "alice", "x-user-issuer", "i", "x-user-roles", roles)
		err := cc.Invoke(ctx, "/test.Test/Call", new(emptypb.Empty), new(emptypb.Empty))
		if err != nil && status.Code(err) != codes.PermissionDenied {
			t.Error(err)
		}
		return err == nil
	}},
}

// within is a stream with another context.
type within struct {
	grpc.ServerStream
	ctx context.Context
}

func (w *within) Context() context.Context { return w.ctx }

func TestARuleAndTheObserverFindTheCallerInTheirContext(t *testing.T) {
	_, auth := plainFields(t)
	outside := must[authctx.Principal](t)(authctx.New(authctx.Attributes{Issuer: "mesh", Subject: "ingress", Roles: []string{"admin"}}))
	composed := authctx.RuleFunc(func(ctx context.Context, _ authctx.Principal) error {
		return authctx.Authorize(ctx, authctx.Role("admin"))
	})
	policy := must[*authctx.Policy](t)(authctx.NewPolicy(authctx.PolicyConfig{Default: composed}))
	for _, judge := range judges {
		for roles, want := range map[string]bool{"admin": true, "nobody": false} {
			t.Run(judge.name+"/"+roles, func(t *testing.T) {
				var mu sync.Mutex
				var observed string
				observer := authctx.ObserverFunc(func(ctx context.Context, _ authctx.Event) {
					mu.Lock()
					defer mu.Unlock()
					p, _ := authctx.FromContext(ctx)
					observed = p.Subject()
				})
				if got := judge.call(t, judged{auth, policy, observer}, outside, roles); got != want {
					t.Errorf("let in: %v", got)
				}
				mu.Lock()
				defer mu.Unlock()
				if observed != "alice" {
					t.Errorf("the observer's context has %q", observed)
				}
			})
		}
	}
}
