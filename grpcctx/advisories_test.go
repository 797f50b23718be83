package grpcctx_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
)

// Each test is named after a published failure of another system that could
// have been ours.

// A :path that is not a method's own reached its handler past the rules.
func TestCVE_2026_33186_AMalformedPathReachesNoHandler(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{unary: authctx.Role("admin")}, Default: authctx.Authenticated(),
	})
	e := new(echo)
	c := newRawClient(t, serve(t, e, newServer(t, func(c *grpcctx.ServerConfig) { c.Policy = policy }).ServerOptions()...))
	for _, path := range []string{
		strings.TrimPrefix(unary, "/"), "/" + unary, "//" + echoService + "//Unary", unary + "?x=1", unary + "/", unary + "#x",
		"/" + strings.ToUpper(echoService) + "/Unary", "/" + echoService + "/unary", "/" + echoService + "%2FUnary", "/Unary", "",
	} {
		got := fieldOf(c.answer(t, path, hpack.HeaderField{Name: "authorization", Value: "Bearer alice"}), "grpc-status")
		if got != strconv.Itoa(int(codes.Unimplemented)) {
			t.Errorf("%q: grpc-status %q, want Unimplemented", path, got)
		}
	}
	if n := len(e.calls()); n != 0 {
		t.Errorf("%d calls reached the handler", n)
	}
	got := fieldOf(c.answer(t, unary, hpack.HeaderField{Name: "authorization", Value: "Bearer alice"}), "grpc-status")
	if got != strconv.Itoa(int(codes.PermissionDenied)) {
		t.Errorf("the method itself: grpc-status %q, want PermissionDenied", got)
	}
}

func fieldOf(f *http2.MetaHeadersFrame, name string) string {
	for _, field := range f.Fields {
		if field.Name == name {
			return field.Value
		}
	}
	return ""
}

// The releases that route such paths are not to be built with.
func TestGHSA_46wh_3698_f2cx_GRPCIsRecentEnough(t *testing.T) {
	var major, minor, patch int
	if _, err := fmt.Sscanf(grpc.Version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		t.Fatal(err)
	}
	if major*1_000_000+minor*1000+patch < 1_082_001 {
		t.Errorf("grpc %s is older than 1.82.1", grpc.Version)
	}
}

// A rule that could not be evaluated let callers in.
func TestGHSA_hrxh_6v49_42gf_ARuleThatCannotDecideDenies(t *testing.T) {
	for name, rule := range map[string]authctx.Rule{
		"a nil rule inside": authctx.RuleFunc(func(ctx context.Context, _ authctx.Principal) error { return authctx.Authorize(ctx, nil) }),
		"a plain error":     authctx.RuleFunc(func(context.Context, authctx.Principal) error { return errors.New("unknown operator") }),
	} {
		e := new(echo)
		policy := newPolicy(t, authctx.PolicyConfig{Default: rule})
		cc := dial(t, serve(t, e, newServer(t, func(c *grpcctx.ServerConfig) { c.Policy = policy }).ServerOptions()...))
		for _, method := range kinds {
			wantRefusal(t, call(withToken(t.Context(), "alice"), cc, method), authctx.PermissionDenied)
		}
		if n := len(e.calls()); n != 0 {
			t.Errorf("%s: %d calls reached the handler", name, n)
		}
	}
}

// Printing a context printed the metadata in it, tokens included.
func TestGHSA_xr7q_jx4m_x55m_APrintedContextShowsNoCredential(t *testing.T) {
	const secret = "s3cr3t-t0k3n"
	out, _ := plainFields(t)
	var printed []string
	note := func(ctx context.Context) {
		printed = append(printed, fmt.Sprint(ctx), fmt.Sprintf("%+v", ctx), fmt.Sprintf("%#v", ctx))
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("call", "ctx", ctx)
		slog.New(slog.NewTextHandler(&log, nil)).Info("call", "ctx", ctx)
		printed = append(printed, log.String())
	}
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Authenticator = authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"txn-token"}},
			func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
				return authctx.Result{
					Principal: newPrincipal(t),
					Forward:   []authctx.Field{{Name: "txn-token", Value: r.Values("txn-token")[0]}},
				}, nil
			})
	})
	inner := grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		note(ctx)
		return next(ctx, req)
	})
	streamed := grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		note(ss.Context())
		return next(srv, ss)
	})
	cc := dial(t, serve(t, new(echo), append(s.ServerOptions(), inner, streamed)...))
	for _, method := range kinds {
		if err := call(metadata.AppendToOutgoingContext(t.Context(), "txn-token", secret), cc, method); err != nil {
			t.Fatal(err)
		}
	}
	// On the way out, identity is in the metadata that inner interceptors see.
	note(authctx.NewContext(t.Context(), newPrincipal(t, func(a *authctx.Attributes) { a.Email = secret })))
	client := dial(t, serve(t, new(echo)), append(newClient(t, grpcctx.ClientConfig{Propagator: out}).DialOptions(),
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			note(ctx)
			return invoke(ctx, method, req, reply, cc, opts...)
		}))...)
	p := newPrincipal(t, func(a *authctx.Attributes) { a.Email = secret })
	if err := call(authctx.NewContext(t.Context(), p), client, unary); err != nil {
		t.Fatal(err)
	}
	if len(printed) != 24 {
		t.Fatalf("%d contexts were printed", len(printed))
	}
	for _, text := range printed {
		if strings.Contains(text, secret) {
			t.Errorf("a context prints as %s", text)
		}
	}
}

// Clients that cancel at once left work behind, here and in net/http; of grpc-go it is
// GHSA-m425-mq94-257g.
func TestCVE_2023_39325_ACancelStormLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = farFuture })
		s := newServer(t, func(c *grpcctx.ServerConfig) {
			c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, func(context.Context) error { return nil })
			c.RecheckInterval = time.Millisecond
		})
		cc := pipe(t, &echo{onStream: blocked["in a receive"], forgetful: true}, s.ServerOptions())
		if err := call(withToken(t.Context(), "alice"), cc, unary); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		baseline := runtime.NumGoroutine()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for i := range 25 {
					ctx, cancel := context.WithCancel(withToken(t.Context(), "alice"))
					cs := open(t, ctx, cc, streams[i%len(streams)])
					if i%2 == 0 {
						_ = cs.SendMsg(wrapperspb.String("hello"))
					}
					cancel()
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		// Some have ended and still count; 500 streams leave more.
		if got := runtime.NumGoroutine(); got > baseline+100 {
			t.Errorf("%d goroutines, %d before", got, baseline)
		}
	})
}

// A call inherited the identity of the one before on the same worker.
func TestCVE_2026_40968_ACallInheritsNothingFromTheOneBefore(t *testing.T) {
	e := new(echo)
	policy := newPolicy(t, authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{unary: authctx.Authenticated(), clientStream: authctx.Role("admin")},
		Public: []string{bidiStream, serverStream},
	})
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Policy = policy })
	// One connection, and one goroutine for all of its calls.
	cc := dial(t, serve(t, e, append(s.ServerOptions(), grpc.NumStreamWorkers(1))...))
	for range 3 {
		if err := call(withToken(t.Context(), "alice"), cc, unary); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, call(withToken(t.Context(), "alice"), cc, clientStream), authctx.PermissionDenied)
		for _, public := range []string{bidiStream, serverStream} {
			if err := call(withToken(t.Context(), "alice"), cc, public); err != nil {
				t.Fatal(err)
			}
			calls := e.calls()
			if p, ok := authctx.FromContext(calls[len(calls)-1]); ok {
				t.Errorf("a public call sees %v", p)
			}
		}
	}
}

// An interceptor dropped the stream's new context, and a missing caller passed
// for an allowed one.
func TestGrpckit_StreamHandlersSeeTheCallerAndNobodyIsNotAllowed(t *testing.T) {
	e := new(echo)
	cc := dial(t, serve(t, e, newServer(t).ServerOptions()...))
	for i, method := range streams {
		if err := call(withToken(t.Context(), "alice"), cc, method); err != nil {
			t.Fatal(err)
		}
		if err := authctx.Authorize(e.calls()[i], authctx.Role("editor")); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
	open := newServer(t, func(c *grpcctx.ServerConfig) { c.Policy, c.AllowAnonymous = nil, true })
	e = new(echo)
	cc = dial(t, serve(t, e, open.ServerOptions()...))
	for i, method := range kinds {
		if err := call(t.Context(), cc, method); err != nil {
			t.Fatal(err)
		}
		if err := authctx.Authorize(e.calls()[i], authctx.Authenticated()); !errors.Is(err, authctx.NoCredentials) {
			t.Errorf("%s: nobody gets %v", method, err)
		}
		wantRefusal(t, call(withToken(t.Context(), "mallory"), cc, method), authctx.InvalidToken)
		wantRefusal(t, call(withToken(t.Context(), "outage"), cc, method), authctx.Unavailable)
	}
}

// grpc-gateway turns the header Grpc-Metadata-X into the key x, or leaves it, and
// writes Authorization under two keys.
func TestGRPCGateway_PrefixedFieldsAreStripped(t *testing.T) {
	e := new(echo)
	cc := dial(t, serve(t, e, newServer(t).ServerOptions()...))
	ctx := metadata.AppendToOutgoingContext(withToken(t.Context(), "alice"),
		"grpcgateway-authorization", "Bearer alice", "grpcgateway-x-user-roles", "admin", "grpc-metadata-x-user-id", "root", "grpc-metadata-grpc-metadata-x_user.roles-bin", "admin")
	if err := call(ctx, cc, bidiStream); err != nil {
		t.Fatal(err)
	}
	wantCleanContext(t, e.one(t))
}

// The first of two tokens was taken.
func TestGoGRPCMiddleware_TwoTokensAreRefused(t *testing.T) {
	issuer, authenticator := accessTokens(t, nil)
	e := new(echo)
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator = authenticator })
	cc := dial(t, serve(t, e, s.ServerOptions()...))
	token := accessToken(t, issuer, newPrincipal(t))
	for _, method := range kinds {
		if err := call(withToken(t.Context(), token), cc, method); err != nil {
			t.Errorf("one token: %v", err)
		}
		wantRefusal(t, call(withToken(t.Context(), token, token), cc, method), authctx.InvalidRequest)
		wantRefusal(t, call(withToken(t.Context(), token, "x"), cc, method), authctx.InvalidRequest)
	}
	if n := len(e.calls()); n != len(kinds) {
		t.Errorf("%d calls reached the handler", n)
	}
}

// Names were compared as they were spelled.
func TestHeimdall3423_KeysAreComparedWithoutCase(t *testing.T) {
	out, in := plainFields(t)
	shouting := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		raw := metadata.MD{"X-USER-EMAIL": {"root@example.com"}, "X_User.Groups": {"wheel"}}
		for name, values := range md {
			raw[strings.ToUpper(name)] = values
		}
		return next(metadata.NewIncomingContext(ctx, raw), req)
	}
	e := new(echo)
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator = in })
	cc := dial(t, serve(t, e, append(s.ServerOptions(), grpc.UnaryInterceptor(shouting))...),
		newClient(t, grpcctx.ClientConfig{Propagator: out}).DialOptions()...)
	if err := call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, unary); err != nil {
		t.Fatal(err)
	}
	wantCleanContext(t, e.one(t))
	if p, _ := authctx.FromContext(e.one(t)); p.Subject() != "alice" || p.Email() != "root@example.com" {
		t.Errorf("the keys of a raw map were read as %+v", p.Attributes())
	}
}

// Labels that a peer chooses filled the memory of whoever counted by them.
func TestCVE_2023_47108_APeerChoosesNoLabel(t *testing.T) {
	seen := new(journal)
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{unary: authctx.Authenticated()}, Default: authctx.Role("admin")})
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Observer, c.Policy = seen, policy })
	unknown := grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return io.ErrUnexpectedEOF })
	c := newRawClient(t, serve(t, new(echo), append(s.ServerOptions(), unknown)...))
	for i := range 50 {
		c.answer(t, fmt.Sprintf("/made.up.Service%d/Method%d", i, i), hpack.HeaderField{Name: "authorization", Value: "Bearer x" + strconv.Itoa(i)})
	}
	c.answer(t, unary)
	list := seen.All()
	if len(list) != 51 {
		t.Fatalf("%d events", len(list))
	}
	for _, e := range list {
		label, err := json.Marshal([]string{e.Transport, e.Entry, e.Method, e.Outcome.String(), e.Reason.String()})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains([]string{unary, "default"}, e.Entry) || bytes.Contains(label, []byte("made")) {
			t.Errorf("labels %s", label)
		}
	}
}
