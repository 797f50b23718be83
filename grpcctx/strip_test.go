package grpcctx_test

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
)

func TestRule6_IdentityIsStrippedOnEveryPath(t *testing.T) {
	hostile := metadata.Pairs("authorization", "Bearer alice", "x-user-id", "root", "X-User-Roles", "admin",
		"x_user_id", "root", "x.user.id", "root", "x-user-id-bin", "root", "grpc-metadata-x-user-id", "root", "txn-token", "e30")
	for _, method := range kinds {
		t.Run("public "+method, func(t *testing.T) {
			e, seen := new(echo), new(journal)
			s := newServer(t, func(c *grpcctx.ServerConfig) {
				c.Policy = newPolicy(t, authctx.PolicyConfig{Public: []string{method}})
				c.Observer = seen
			})
			cc := dial(t, serve(t, e, s.ServerOptions()...))
			if err := call(metadata.NewOutgoingContext(t.Context(), hostile), cc, method); err != nil {
				t.Fatal(err)
			}
			wantCleanContext(t, e.one(t))
			if p, ok := authctx.FromContext(e.one(t)); ok {
				t.Errorf("a public method sees the caller %v", p)
			}
			want := []string{"grpc-metadata-x-user-id", "txn-token", "x-user-id", "x-user-id-bin", "x-user-roles", "x.user.id", "x_user_id"}
			if got := seen.All()[0].Ignored; !slices.Equal(got, want) {
				t.Errorf("reported as ignored: %v, want %v", got, want)
			}
		})
		t.Run("credentials kept "+method, func(t *testing.T) {
			e := new(echo)
			s := newServer(t, func(c *grpcctx.ServerConfig) { c.KeepCredentials = true })
			cc := dial(t, serve(t, e, s.ServerOptions()...))
			if err := call(metadata.NewOutgoingContext(t.Context(), hostile), cc, method); err != nil {
				t.Fatal(err)
			}
			md, _ := metadata.FromIncomingContext(e.one(t))
			if got := md.Get("authorization"); !slices.Equal(got, []string{"Bearer alice"}) {
				t.Errorf("authorization is %q", got)
			}
			md.Delete("authorization")
			wantCleanContext(t, metadata.NewIncomingContext(t.Context(), md))
		})
	}
}

func TestAServerOfAnonymousCallersTakesOthersToo(t *testing.T) {
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Policy, c.AllowAnonymous = nil, true })
	cc := dial(t, serve(t, new(echo), s.ServerOptions()...))
	for _, method := range kinds {
		for name, ctx := range map[string]context.Context{"nobody": t.Context(), "alice": withToken(t.Context(), "alice")} {
			if err := call(ctx, cc, method); err != nil {
				t.Errorf("%s, %s: %v", name, method, err)
			}
		}
		wantRefusal(t, call(withToken(t.Context(), "mallory"), cc, method), authctx.InvalidToken)
		wantRefusal(t, call(withToken(t.Context(), "outage"), cc, method), authctx.Unavailable)
	}
}

func TestRule6_KeepingCredentialsKeepsNoIdentity(t *testing.T) {
	out, in := plainFields(t)
	e := new(echo)
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator, c.KeepCredentials = in, true })
	cc := dial(t, serve(t, e, s.ServerOptions()...), newClient(t, grpcctx.ClientConfig{Propagator: out}).DialOptions()...)
	for i, method := range kinds {
		if err := call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, method); err != nil {
			t.Fatal(err)
		}
		wantCleanContext(t, e.calls()[i])
	}
}

func TestATokenInACookieIsTakenAwayAlone(t *testing.T) {
	authenticator := authctx.NewAuthenticator(authctx.FieldSet{Cookies: []string{"session"}},
		func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
			if !slices.Equal(r.Cookies("session"), []string{"alice"}) {
				return authctx.Result{}, authctx.NoCredentials
			}
			return authctx.Result{Principal: newPrincipal(t)}, nil
		})
	const sent = "theme=dark; session=alice"
	for keep, want := range map[bool][]string{false: {"theme=dark"}, true: {sent}} {
		e := new(echo)
		s := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator, c.KeepCredentials = authenticator, keep })
		cc := dial(t, serve(t, e, s.ServerOptions()...))
		if err := call(metadata.AppendToOutgoingContext(t.Context(), "cookie", sent), cc, unary); err != nil {
			t.Fatal(err)
		}
		md, _ := metadata.FromIncomingContext(e.one(t))
		if got := md.Get("cookie"); !slices.Equal(got, want) {
			t.Errorf("with KeepCredentials %v, the handler sees the cookies %q", keep, got)
		}
	}
}

func TestRule12_TheMetadataOfTheCallIsNotChanged(t *testing.T) {
	var before, after metadata.MD
	var raw context.Context
	outer := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		raw = ctx
		before, _ = metadata.FromIncomingContext(ctx)
		resp, err := next(ctx, req)
		after, _ = metadata.FromIncomingContext(raw)
		return resp, err
	}
	cc := dial(t, serve(t, new(echo), append(newServer(t).ServerOptions(), grpc.UnaryInterceptor(outer))...))
	if err := call(metadata.AppendToOutgoingContext(withToken(t.Context(), "alice"), "x-user-id", "root"), cc, unary); err != nil {
		t.Fatal(err)
	}
	if len(before["x-user-id"]) != 1 || !reflect.DeepEqual(before, after) {
		t.Errorf("metadata was %v and is %v", before, after)
	}
}

// An interceptor that is set, not chained, runs before ours whatever the order
// of options: ServerOptions says so.
func TestAnInterceptorThatIsSetRunsBeforeOursAndSeesRawMetadata(t *testing.T) {
	var seen metadata.MD
	var known bool
	outer := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		seen, _ = metadata.FromIncomingContext(ctx)
		_, known = authctx.FromContext(ctx)
		return next(ctx, req)
	}
	inner := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if md, _ := metadata.FromIncomingContext(ctx); len(md["authorization"]) != 0 {
			t.Error("an interceptor behind ours sees the token")
		}
		return next(ctx, req)
	}
	opts := append(newServer(t).ServerOptions(), grpc.UnaryInterceptor(outer), grpc.ChainUnaryInterceptor(inner))
	cc := dial(t, serve(t, new(echo), opts...))
	if err := call(withToken(t.Context(), "alice"), cc, unary); err != nil {
		t.Fatal(err)
	}
	if len(seen["authorization"]) != 1 || known {
		t.Errorf("the outer interceptor sees %v, caller known %v", seen, known)
	}
}

func TestFurtherFieldsAreStrippedOnRequest(t *testing.T) {
	e := new(echo)
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Strip = authctx.FieldSet{Prefixes: []string{"x-forwarded-"}} })
	cc := dial(t, serve(t, e, s.ServerOptions()...))
	ctx := metadata.AppendToOutgoingContext(withToken(t.Context(), "alice"), "x-forwarded-user", "root", "x_forwarded_email", "r", "x-kept", "1")
	if err := call(ctx, cc, unary); err != nil {
		t.Fatal(err)
	}
	md, _ := metadata.FromIncomingContext(e.one(t))
	if len(md["x-forwarded-user"])+len(md["x_forwarded_email"]) != 0 || len(md["x-kept"]) != 1 {
		t.Errorf("the handler sees %v", md)
	}
}
