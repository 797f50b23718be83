package conformance

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/internal/moment/momenttest"
)

// Tests of a grpc.Server behind an httpctx.Server, whose caller a grpcctx.Server
// takes over, as the documentation of grpcctx has it.

// ofContext is the authenticator that takes the caller over.
func ofContext(recheck func(context.Context) error) authctx.Authenticator {
	return authctx.NewAuthenticator(authctx.FieldSet{}, func(ctx context.Context, _ *authctx.Request) (authctx.Result, error) {
		p, ok := authctx.FromContext(ctx)
		if !ok {
			return authctx.Result{}, authctx.NoCredentials
		}
		return authctx.Result{
			Principal: p, Forward: authctx.Forwarded(ctx), ForwardUntil: authctx.ForwardedUntil(ctx), Recheck: recheck,
		}, nil
	})
}

// health is a service of which handle is both methods. Watch then waits for the
// client.
type health struct {
	healthpb.UnimplementedHealthServer
	handle func(context.Context) error
}

func (h *health) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return new(healthpb.HealthCheckResponse), h.handle(ctx)
}

func (h *health) Watch(_ *healthpb.HealthCheckRequest, ss healthpb.Health_WatchServer) error {
	if err := h.handle(ss.Context()); err != nil {
		return err
	}
	_ = ss.Send(new(healthpb.HealthCheckResponse))
	<-ss.Context().Done()
	return ss.Context().Err()
}

// callHealth calls both methods and returns how they ended.
func callHealth(t *testing.T, cc *grpc.ClientConn, fields ...string) map[string]error {
	t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), fields...), patience)
	defer cancel()
	client := healthpb.NewHealthClient(cc)
	_, checked := client.Check(ctx, new(healthpb.HealthCheckRequest))
	cs, watched := client.Watch(ctx, new(healthpb.HealthCheckRequest))
	for watched == nil {
		_, watched = cs.Recv()
	}
	return map[string]error{"unary": checked, "stream": watched}
}

// serveBehind serves h, of a policy that allows every caller the health service,
// behind an httpctx.Server that takes everybody for the caller of res, or behind
// none if that is zero.
func serveBehind(t *testing.T, h *health, res authctx.Result, cfg grpcctx.ServerConfig) *grpc.ClientConn {
	t.Helper()
	cfg.Policy = must[*authctx.Policy](t)(authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/grpc.health.v1.Health/*": authctx.Authenticated()},
	}))
	srv := grpc.NewServer(must[*grpcctx.Server](t)(grpcctx.NewServer(cfg)).ServerOptions()...)
	healthpb.RegisterHealthServer(srv, h)
	var handler http.Handler = srv
	if !res.Principal.IsZero() {
		handler = must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{
			Authenticator: knownAs(res), Policy: cfg.Policy, Refuse: grpcctx.Refuse, Now: cfg.Now,
		})).Handler(srv)
	}
	front := httptest.NewUnstartedServer(handler)
	front.Config.Protocols = protocols(h2c)
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.Start()
	t.Cleanup(front.Close)
	return connect(t, front.Listener.Addr().String())
}

func TestACallerOfHTTPIsTakenOverBehindServeHTTP(t *testing.T) {
	forward, until := []authctx.Field{{Name: "txn-token", Value: "t"}}, time.Now().Add(time.Hour)
	var reached atomic.Int32
	h := &health{handle: func(ctx context.Context) error {
		reached.Add(1)
		p, _ := authctx.FromContext(ctx)
		md, _ := metadata.FromIncomingContext(ctx)
		if p.Subject() != "alice" || len(md.Get("x-user-id")) > 0 {
			t.Errorf("the handler sees %v with %v", p, md)
		}
		if !slices.Equal(authctx.Forwarded(ctx), forward) || !authctx.ForwardedUntil(ctx).Equal(until) {
			t.Error("what must be forwarded is lost")
		}
		return status.Error(codes.NotFound, "no such service")
	}}
	res := authctx.Result{Principal: callerUntil(t, time.Time{}), Forward: forward, ForwardUntil: until}
	cc := serveBehind(t, h, res, grpcctx.ServerConfig{Authenticator: ofContext(nil)})
	for kind, err := range callHealth(t, cc, "x-user-id", "root", "x-user-issuer", "i") {
		if status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if reached.Load() != 2 {
		t.Errorf("%d calls reached the handler", reached.Load())
	}
}

// With no grpcctx.Server, grpc would send the cause.
func TestARefusalOfAHandlerBehindServeHTTPTellsItsReasonAlone(t *testing.T) {
	h := &health{handle: func(ctx context.Context) error { return authctx.Authorize(ctx, authctx.Role("payroll-superuser")) }}
	cc := serveBehind(t, h, authctx.Result{Principal: callerUntil(t, time.Time{})}, grpcctx.ServerConfig{Authenticator: ofContext(nil)})
	for kind, err := range callHealth(t, cc) {
		if e, ok := grpcctx.FromError(err); !ok || e.Reason != authctx.PermissionDenied || strings.Contains(err.Error(), "payroll") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// A program that forgets the httpctx.Server lets nobody in, whatever metadata says.
func TestRule1_ACallerOfHTTPWhoIsNotThereIsNobody(t *testing.T) {
	h := &health{handle: func(context.Context) error {
		t.Error("a call reached the handler")
		return nil
	}}
	cc := serveBehind(t, h, authctx.Result{}, grpcctx.ServerConfig{Authenticator: ofContext(nil)})
	for kind, err := range callHealth(t, cc, "x-user-id", "root", "x-user-issuer", "i", "authorization", "Bearer t") {
		if e, ok := grpcctx.FromError(err); !ok || e.Reason != authctx.NoCredentials {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestRule9_AStreamBehindServeHTTPEndsWithItsCallerOfHTTP(t *testing.T) {
	for name, test := range map[string]struct {
		ends    bool
		recheck error
		reason  authctx.Reason
	}{
		"at the effective end":    {true, nil, authctx.TokenExpired},
		"revoked":                 {false, authctx.TokenRevoked, authctx.TokenRevoked},
		"a recheck has no answer": {false, errors.New("no answer"), authctx.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			var told journal
			end := time.Now().Add(time.Hour).Truncate(time.Second)
			clock := momenttest.NewEve(end)
			cfg := grpcctx.ServerConfig{
				Authenticator:   ofContext(func(context.Context) error { return test.recheck }),
				RecheckInterval: 50 * time.Millisecond, Observer: &told,
			}
			if test.ends {
				cfg.Now = clock.Now
			}
			cc := serveBehind(t, &health{handle: func(ctx context.Context) error {
				if method, _ := grpc.Method(ctx); method == healthpb.Health_Watch_FullMethodName {
					time.AfterFunc(aWhile, clock.Pass)
				}
				return nil
			}}, authctx.Result{Principal: callerUntil(t, end)}, cfg)
			ended := callHealth(t, cc)
			if ended["unary"] != nil {
				t.Error(ended["unary"])
			}
			if e, ok := grpcctx.FromError(ended["stream"]); !ok || e.Reason != test.reason {
				t.Errorf("ended with %v", ended["stream"])
			}
			told.waitEnded(t, test.reason)
		})
	}
}
