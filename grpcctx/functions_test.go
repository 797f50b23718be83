package grpcctx_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/internal/uncarried"
)

// within is a server that a framework makes, which chains interceptors of its own
// before the options it is given. They keep the metadata of the call in the context,
// as that of go-kratos does, and count who is known to them.
type within struct{ known int }

type keptKey struct{}

func (w *within) keep(ctx context.Context) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	if _, ok := authctx.FromContext(ctx); ok {
		w.known++
	}
	return context.WithValue(ctx, keptKey{}, md)
}

func (w *within) options(last ...grpc.ServerOption) []grpc.ServerOption {
	return append([]grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(w.keep(ctx), req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(srv, &inContext{ss, w.keep(ss.Context())})
		}),
	}, last...)
}

// inContext is a stream with another context.
type inContext struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *inContext) Context() context.Context { return s.ctx }

// outermost are the interceptors of s in front of those that others chain.
func outermost(s *grpcctx.Server) []grpc.ServerOption {
	return []grpc.ServerOption{grpc.UnaryInterceptor(s.UnaryInterceptor()), grpc.StreamInterceptor(s.StreamInterceptor())}
}

func TestRule9_InterceptorsAloneCheckWhatOptionsDo(t *testing.T) {
	for _, method := range kinds {
		for _, attack := range attacks {
			t.Run(strings.TrimPrefix(method, "/"+echoService+"/")+"/"+attack.name, func(t *testing.T) {
				e, framework := new(echo), new(within)
				cc := dial(t, serve(t, e, framework.options(outermost(newServer(t))...)...))
				err := call(metadata.NewOutgoingContext(t.Context(), attack.send), cc, method)
				if attack.reason != 0 {
					wantRefusal(t, err, attack.reason)
					if n := len(e.calls()); n != 0 {
						t.Errorf("%d calls reached the handler", n)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				ctx := e.one(t)
				wantCleanContext(t, ctx)
				if p, ok := authctx.FromContext(ctx); !ok || p.Subject() != "alice" || framework.known != 1 {
					t.Errorf("the handler sees %v, and %d interceptors any caller", p, framework.known)
				}
				kept, _ := ctx.Value(keptKey{}).(metadata.MD)
				wantCleanContext(t, metadata.NewIncomingContext(t.Context(), kept))
			})
		}
	}
}

// ServerOptions says so.
func TestWhatAnEarlierInterceptorKeepsOfTheMetadataReachesHandlers(t *testing.T) {
	e, framework := new(echo), new(within)
	cc := dial(t, serve(t, e, framework.options(newServer(t).ServerOptions()...)...))
	for i, method := range kinds {
		ctx := metadata.AppendToOutgoingContext(withToken(t.Context(), "alice"), "x-user-id", "root")
		if err := call(ctx, cc, method); err != nil {
			t.Fatal(err)
		}
		kept, _ := e.calls()[i].Value(keptKey{}).(metadata.MD)
		if len(kept["x-user-id"]) != 1 || len(kept["authorization"]) != 1 || framework.known > 0 {
			t.Errorf("%s: %v was kept, and %d callers were known", method, kept, framework.known)
		}
	}
}

func TestRule6_InterceptorsAloneStripPublicMethodsToo(t *testing.T) {
	e, seen := new(echo), new(journal)
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Policy = newPolicy(t, authctx.PolicyConfig{Public: []string{"/" + echoService + "/*"}})
		c.Observer = seen
	})
	cc := dial(t, serve(t, e, new(within).options(outermost(s)...)...))
	for i, method := range kinds {
		ctx := metadata.AppendToOutgoingContext(withToken(t.Context(), "alice"), "x-user-id", "root", "x_user_id", "root", "txn-token", "e30")
		if err := call(ctx, cc, method); err != nil {
			t.Fatal(err)
		}
		wantCleanContext(t, e.calls()[i])
		if got := seen.All()[i].Ignored; !slices.Equal(got, []string{"txn-token", "x-user-id", "x_user_id"}) {
			t.Errorf("%s: reported as ignored: %v", method, got)
		}
	}
}

func TestRule11_InterceptorsAloneTranslateWhatHandlersRefuse(t *testing.T) {
	refused := &authctx.Error{Reason: authctx.PermissionDenied, Cause: errors.New("secret-detail")}
	cc := dial(t, serve(t, &echo{result: refused}, outermost(newServer(t))...))
	for _, method := range kinds {
		wantRefusal(t, call(withToken(t.Context(), "alice"), cc, method), authctx.PermissionDenied)
	}
}

func TestRule9_InterceptorsAloneEndStreams(t *testing.T) {
	for where, handler := range blocked {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = start.Add(time.Hour) })
			s := newServer(t, func(c *grpcctx.ServerConfig) {
				c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
			})
			unblocked := make(chan error, 1)
			e := &echo{onStream: func(ss grpc.ServerStream) error {
				err := handler(ss)
				unblocked <- err
				return err
			}}
			cs := open(t, withToken(t.Context(), "alice"), pipe(t, e, new(within).options(outermost(s)...)), bidiStream)
			if err := <-unblocked; err == nil || time.Since(start) != time.Hour {
				t.Errorf("%s, the handler went on for %v: %v", where, time.Since(start), err)
			}
			wantRefusal(t, drain(cs), authctx.TokenExpired)
		})
	}
}

func TestRule10_CheckServicesWantsBothInterceptors(t *testing.T) {
	for name, test := range map[string]struct {
		ask  func(*grpcctx.Server)
		want string // nothing: it is content
	}{
		"neither": {func(*grpcctx.Server) {}, "pass ServerOptions to grpc.NewServer"},
		"unary":   {func(s *grpcctx.Server) { s.UnaryInterceptor() }, "no interceptor for streams: give it StreamInterceptor too"},
		"streams": {func(s *grpcctx.Server) { s.StreamInterceptor() }, "no interceptor for unary calls: give it UnaryInterceptor too"},
		"both":    {func(s *grpcctx.Server) { s.UnaryInterceptor(); s.StreamInterceptor() }, ""},
		"options": {func(s *grpcctx.Server) { s.ServerOptions() }, ""},
	} {
		s := newServer(t)
		test.ask(s)
		err := s.CheckServices(newEcho(new(echo), nil))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// channel is a channel within the process, as there are some: no connection, no
// transport, and unary calls only.
type channel struct {
	e         *echo
	intercept grpc.UnaryServerInterceptor
}

func (c channel) Invoke(ctx context.Context, _ string, in, out any, _ ...grpc.CallOption) error {
	md, _ := metadata.FromOutgoingContext(ctx)
	copyFrom := func(m any) func(any) error {
		return func(to any) error { proto.Merge(to.(proto.Message), m.(proto.Message)); return nil }
	}
	resp, err := c.e.unary(c.e, metadata.NewIncomingContext(context.Background(), md), copyFrom(in), c.intercept)
	if err != nil {
		return err
	}
	return copyFrom(resp)(out)
}

func (channel) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.Unimplemented, "no streams")
}

// intercepted is a channel of any kind with interceptors in front.
type intercepted struct {
	grpc.ClientConnInterface
	unary  grpc.UnaryClientInterceptor
	stream grpc.StreamClientInterceptor
}

func (i intercepted) Invoke(ctx context.Context, method string, in, out any, opts ...grpc.CallOption) error {
	return i.unary(ctx, method, in, out, nil, func(ctx context.Context, method string, in, out any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
		return i.ClientConnInterface.Invoke(ctx, method, in, out, opts...)
	}, opts...)
}

func (i intercepted) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return i.stream(ctx, desc, nil, method, func(ctx context.Context, desc *grpc.StreamDesc, _ *grpc.ClientConn, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		return i.ClientConnInterface.NewStream(ctx, desc, method, opts...)
	}, opts...)
}

// around puts the interceptors of c in front of cc.
func around(cc grpc.ClientConnInterface, c *grpcctx.Client) grpc.ClientConnInterface {
	return intercepted{cc, c.UnaryInterceptor(), c.StreamInterceptor()}
}

func TestACallerIsCarriedWithinTheProcess(t *testing.T) {
	out, in := plainFields(t)
	e := new(echo)
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator = in })
	cc := around(channel{e, s.UnaryInterceptor()}, newClient(t, grpcctx.ClientConfig{Propagator: out, InsecureAllowPlaintext: true}))
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"X-User-Id": {"root"}, "x-user-roles": {"admin"}, "user-agent": {"test"}})
	if err := call(authctx.NewContext(ctx, newPrincipal(t)), cc, unary); err != nil {
		t.Fatal(err)
	}
	wantCleanContext(t, e.one(t))
	if p, _ := authctx.FromContext(e.one(t)); !p.Equal(newPrincipal(t)) {
		t.Errorf("the handler sees %+v", p.Attributes())
	}
	wantRefusal(t, call(ctx, cc, unary), authctx.NoCredentials)
}

// Nobody is there of whom an address or a certificate is known.
func TestWithinTheProcessNoPeerIsTrustedByWhereItIs(t *testing.T) {
	near, err := authctx.TrustPeerCIDR("127.0.0.0/8", "::1/128", "10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	in, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: near})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator = in })
	cc := around(channel{new(echo), s.UnaryInterceptor()}, newClient(t, grpcctx.ClientConfig{InsecureAllowPlaintext: true}))
	wantRefusal(t, call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, unary), authctx.NoCredentials)
}

func TestRule7_AnInterceptorAloneSendsNoCallerUnlessPlaintextIsAllowed(t *testing.T) {
	e := new(echo)
	addr := serve(t, e)
	for _, method := range kinds {
		cc := around(dial(t, addr), newClient(t, grpcctx.ClientConfig{}))
		before := len(e.calls())
		err := call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, method)
		if err == nil || !strings.Contains(err.Error(), "InsecureAllowPlaintext") || len(e.calls()) > before {
			t.Errorf("%s: %v, %d calls were sent", method, err, len(e.calls())-before)
		}
		if st := status.Convert(err); st.Code() != codes.Internal || st.Message() != uncarried.Detail {
			t.Errorf("%s: a handler would pass on %v", method, st)
		}
		if err := call(t.Context(), cc, method); err != nil {
			t.Errorf("%s: a call without a caller: %v", method, err)
		}
	}
}

// As TestRule6_OutgoingMetadataHasOneValueOfOurs, also where the connection has the
// options of a client already.
func TestRule6_InterceptorsAloneWriteOneValue(t *testing.T) {
	out, _ := plainFields(t)
	alice, want := newPrincipal(t), metadata.MD{}
	if err := out.Inject(t.Context(), alice, func(name, value string) { want.Append(name, value) }); err != nil {
		t.Fatal(err)
	}
	addr, last := recorder(t)
	open := newClient(t, grpcctx.ClientConfig{InsecureAllowPlaintext: true})
	for name, cc := range map[string]grpc.ClientConnInterface{
		"alone":       around(dial(t, addr), open),
		"and options": around(dial(t, addr, newClient(t, grpcctx.ClientConfig{}).DialOptions()...), open),
	} {
		for _, method := range kinds {
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{
				"X-USER-ID": {"root"}, "x-user-id": {"root", "root"}, "x_user_roles": {"admin"}, "x-user-future": {"1"}, "Txn-Token": {"e30"}})
			if err := call(authctx.NewContext(ctx, alice), cc, method); err != nil {
				t.Fatal(err)
			}
			if got := identityIn(last()); !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("%s, %s: arrived %v, want %v", name, method, got, want)
			}
			if err := call(ctx, cc, method); err != nil {
				t.Fatal(err)
			}
			if got := identityIn(last()); len(got) > 0 {
				t.Errorf("%s, %s: a call without a caller carried %v", name, method, got)
			}
		}
	}
}
