package grpcctx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
)

func TestRule1_AServerWithoutConfigurationDoesNotStart(t *testing.T) {
	_, err := grpcctx.NewServer(grpcctx.ServerConfig{RecheckInterval: -1})
	for _, want := range []string{"Authenticator is required", "Policy is required", "RecheckInterval is negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	_, err = grpcctx.NewServer(grpcctx.ServerConfig{
		Authenticator: bearer(nil, nil), Policy: newPolicy(t, authctx.PolicyConfig{Public: []string{unary}}), AllowAnonymous: true,
	})
	if err == nil || !strings.Contains(err.Error(), "AllowAnonymous contradicts Policy") {
		t.Errorf("a policy and anonymity at once: %v", err)
	}
	if _, err := grpcctx.NewClient(grpcctx.ClientConfig{}); err == nil || !strings.Contains(err.Error(), "Propagator is required") {
		t.Errorf("a client without a propagator: %v", err)
	}
}

// attacks are calls as clients make them, and what must become of them, for
// every kind of call.
var attacks = []struct {
	name   string
	send   metadata.MD
	reason authctx.Reason // zero: allowed as alice
}{
	{"a good token", metadata.Pairs("authorization", "Bearer alice"), 0},
	{"no token", nil, authctx.NoCredentials},
	{"an empty token field", metadata.Pairs("authorization", ""), authctx.NoCredentials},
	{"a forged token", metadata.Pairs("authorization", "Bearer mallory"), authctx.InvalidToken},
	{"two tokens", metadata.Pairs("authorization", "Bearer alice", "authorization", "Bearer alice"), authctx.InvalidRequest},
	{"a token nobody can check", metadata.Pairs("authorization", "Bearer outage"), authctx.Unavailable},
	{"forged identity alone", metadata.Pairs("x-user-id", "root", "x-user-issuer", "https://issuer.example"), authctx.NoCredentials},
	{"a Transaction Token nobody reads", metadata.Pairs("txn-token", "e30.e30.e30"), authctx.NoCredentials},
	{"a token and forged identity", metadata.Pairs(
		"authorization", "Bearer alice", "x-user-id", "root", "x-user-roles", "admin", "x-user-roles", "root",
		"x_user_id", "root", "x.user.id", "root", "x-user-not-yet-invented", "1", "x-user-id-bin", "root",
		"grpc-metadata-x-user-id", "root", "txn-token", "e30.e30.e30", "txn_token", "e30"), 0},
	{"bytes that are not ASCII in identity", metadata.Pairs("authorization", "Bearer alice", "x-user-name-bin", "\xff\x00"), 0},
}

func TestRule9_StreamsGetTheChecksOfUnaryCalls(t *testing.T) {
	for _, method := range kinds {
		for _, attack := range attacks {
			t.Run(strings.TrimPrefix(method, "/"+echoService+"/")+"/"+attack.name, func(t *testing.T) {
				e := new(echo)
				cc := dial(t, serve(t, e, newServer(t).ServerOptions()...))
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
				wantCleanContext(t, e.one(t))
				if p, ok := authctx.FromContext(e.one(t)); !ok || p.Subject() != "alice" {
					t.Errorf("the handler sees %v, want alice", p)
				}
			})
		}
	}
}

// wantRefusal checks the whole answer a refused client gets.
func wantRefusal(t *testing.T, err error, reason authctx.Reason) {
	t.Helper()
	got, ok := grpcctx.FromError(err)
	if !ok || got.Reason != reason {
		t.Fatalf("got %v, want a refusal for %v", err, reason)
	}
	want := codes.Unauthenticated
	switch reason {
	case authctx.PermissionDenied, authctx.InsufficientScope:
		want = codes.PermissionDenied
	case authctx.Unavailable:
		want = codes.Unavailable
	}
	st := status.Convert(err)
	if st.Code() != want || st.Message() != reason.Description() || len(st.Details()) != 1 {
		t.Errorf("status is %v %q with %d details, want %v %q with one", st.Code(), st.Message(), len(st.Details()), want, reason.Description())
	}
}

// wantCleanContext checks that metadata in a handler has nothing that looks
// like a caller or a credential, and still has the rest.
func wantCleanContext(t *testing.T, ctx context.Context) {
	t.Helper()
	md, ok := metadata.FromIncomingContext(ctx)
	if !ok || len(md["user-agent"]) != 1 {
		t.Errorf("the handler lost other metadata: %v", md)
	}
	for name := range md {
		if strings.Contains(strings.NewReplacer("_", "-", ".", "-").Replace(name), "x-user") || strings.HasPrefix(name, "txn") || name == "authorization" {
			t.Errorf("the handler sees %s", name)
		}
	}
}

func TestRule6_IdentityIsStrippedOnEveryPath(t *testing.T) {
	hostile := metadata.Pairs("authorization", "Bearer alice", "x-user-id", "root", "X-User-Roles", "admin",
		"x_user_id", "root", "x.user.id", "root", "x-user-id-bin", "root", "grpc-metadata-x-user-id", "root", "txn-token", "e30")
	for _, method := range kinds {
		t.Run("public "+method, func(t *testing.T) {
			e, seen := new(echo), new(events)
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
			if got := seen.list()[0].Ignored; !slices.Equal(got, want) {
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

func TestATokenInACookieTakesTheWholeCookieFieldAway(t *testing.T) {
	e := new(echo)
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Authenticator = authctx.NewAuthenticator(authctx.FieldSet{Cookies: []string{"session"}},
			func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
				if !slices.Equal(r.Cookies("session"), []string{"alice"}) {
					return authctx.Result{}, authctx.NoCredentials
				}
				return authctx.Result{Principal: newPrincipal(t)}, nil
			})
	})
	cc := dial(t, serve(t, e, s.ServerOptions()...))
	if err := call(metadata.AppendToOutgoingContext(t.Context(), "cookie", "theme=dark; session=alice"), cc, unary); err != nil {
		t.Fatal(err)
	}
	md, _ := metadata.FromIncomingContext(e.one(t))
	if got := md.Get("cookie"); got != nil {
		t.Errorf("the handler sees the cookies %q", got)
	}
}

func TestRule8_AbsentBadAndUnverifiableAreThreeResults(t *testing.T) {
	cc := dial(t, serve(t, new(echo), newServer(t).ServerOptions()...))
	for token, want := range map[string]authctx.Reason{"": authctx.NoCredentials, "mallory": authctx.InvalidToken, "outage": authctx.Unavailable} {
		ctx := t.Context()
		if token != "" {
			ctx = withToken(ctx, token)
		}
		for _, method := range kinds {
			wantRefusal(t, call(ctx, cc, method), want)
		}
	}
}

func TestRule10_AMethodIsRuledOrPublicOrRefused(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{clientStream: authctx.Role("admin"), serverStream: authctx.Scope("orders:write")},
		Public: []string{bidiStream},
	})
	cc := dial(t, serve(t, new(echo), newServer(t, func(c *grpcctx.ServerConfig) { c.Policy = policy }).ServerOptions()...))
	alice := withToken(t.Context(), "alice")
	wantRefusal(t, call(alice, cc, unary), authctx.PermissionDenied)
	wantRefusal(t, call(t.Context(), cc, unary), authctx.NoCredentials)
	wantRefusal(t, call(alice, cc, clientStream), authctx.PermissionDenied)
	err := call(alice, cc, serverStream)
	wantRefusal(t, err, authctx.InsufficientScope)
	if e, _ := grpcctx.FromError(err); !slices.Equal(e.Scopes, []string{"orders:write"}) {
		t.Errorf("the client is told the scopes %q", e.Scopes)
	}
	if err := call(t.Context(), cc, bidiStream); err != nil {
		t.Errorf("the public method: %v", err)
	}
}

func TestRule10_CheckListsWhatWasForgotten(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{
			unary:                       authctx.Authenticated(),
			"/" + echoService + "/Uary": authctx.Authenticated(),
			"/other.v1.Service/Method":  authctx.Authenticated(),
			"GET /orders":               authctx.Authenticated(),
		},
		Public: []string{bidiStream},
	})
	srv := grpc.NewServer()
	srv.RegisterService(new(echo).desc(), nil)
	err := newServer(t, func(c *grpcctx.ServerConfig) { c.Policy = policy }).Check(srv)
	if err == nil {
		t.Fatal("nothing was reported")
	}
	want := []string{
		"grpcctx: the policy says nothing about " + clientStream,
		"grpcctx: the policy says nothing about " + serverStream,
		"grpcctx: the policy names /" + echoService + "/Uary, but " + echoService + " has no such method",
	}
	if got := strings.Split(err.Error(), "\n"); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("reported:\n%v\nwant:\n%v", err, strings.Join(want, "\n"))
	}
	whole := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/" + echoService + "/*": authctx.Authenticated()}})
	if err := newServer(t, func(c *grpcctx.ServerConfig) { c.Policy = whole }).Check(srv); err != nil {
		t.Errorf("a policy for the whole service: %v", err)
	}
}

func TestRule11_ARefusalTellsTheClientNothingOfTheCause(t *testing.T) {
	seen := new(events)
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Observer = seen })
	cc := dial(t, serve(t, new(echo), s.ServerOptions()...))
	for token, cause := range map[string]string{"mallory": "secret-detail", "outage": "10.0.0.1"} {
		err := call(withToken(t.Context(), token), cc, unary)
		if text := fmt.Sprintf("%v %+v", err, status.Convert(err).Proto()); strings.Contains(text, cause) || strings.Contains(text, token) {
			t.Errorf("the client reads %q", text)
		}
		event := seen.list()[len(seen.list())-1]
		if !strings.Contains(event.Err.Error(), cause) {
			t.Errorf("the operator reads %v, want %q in it", event.Err, cause)
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

func TestHandlersRefuseWithTheReasonOfARule(t *testing.T) {
	plain := status.Error(codes.NotFound, "no such order")
	for _, test := range []struct {
		name   string
		err    error
		code   codes.Code
		reason authctx.Reason
	}{
		{"a reason", authctx.PermissionDenied, codes.PermissionDenied, authctx.PermissionDenied},
		{"a wrapped refusal", fmt.Errorf("order 7: %w", &authctx.Error{Reason: authctx.InsufficientScope, Scopes: []string{"a"}}), codes.PermissionDenied, authctx.InsufficientScope},
		{"a status of its own", plain, codes.NotFound, 0},
		{"any other error", errors.New("disk full"), codes.Unknown, 0},
	} {
		for _, method := range kinds {
			cc := dial(t, serve(t, &echo{result: test.err}, newServer(t).ServerOptions()...))
			err := call(withToken(t.Context(), "alice"), cc, method)
			if got := status.Code(err); got != test.code {
				t.Errorf("%s, %s: code %v, want %v", test.name, method, got, test.code)
			}
			if e, ok := grpcctx.FromError(err); ok != (test.reason != 0) || ok && e.Reason != test.reason {
				t.Errorf("%s, %s: reads back as %v", test.name, method, e)
			}
		}
	}
}

func TestTheObserverIsToldOfEveryDecision(t *testing.T) {
	seen := new(events)
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{
		"/" + echoService + "/*": authctx.Authenticated(), unary: authctx.Role("admin"),
	}})
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Observer, c.Policy = seen, policy })
	cc := dial(t, serve(t, new(echo), s.ServerOptions()...))
	if err := call(withToken(t.Context(), "alice"), cc, bidiStream); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, call(withToken(t.Context(), "alice"), cc, unary), authctx.PermissionDenied)
	wantRefusal(t, call(withToken(t.Context(), "outage"), cc, unary), authctx.Unavailable)
	type summary struct {
		entry, target, subject string
		outcome                authctx.Outcome
		reason                 authctx.Reason
	}
	want := []summary{
		{"/" + echoService + "/*", bidiStream, "alice", authctx.Allowed, 0},
		{unary, unary, "alice", authctx.Denied, authctx.PermissionDenied},
		{unary, unary, "", authctx.Failed, authctx.Unavailable},
	}
	var got []summary
	for _, e := range seen.list() {
		got = append(got, summary{e.Entry, e.Target, e.Principal.Subject(), e.Outcome, e.Reason})
		if e.Transport != "grpc" || e.Method != "POST" || !e.Peer.Addr().IsLoopback() || (e.Err == nil) != (e.Reason == 0) {
			t.Errorf("event %+v", e)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("events\n%v, want\n%v", got, want)
	}
}

func TestAuthenticatorsSeeTheRequestAsItCame(t *testing.T) {
	var got authctx.Request
	var names []string
	var values [][]string
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Authenticator = authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x-key"}},
			func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
				got = *r
				names = slices.Collect(r.Fields.Names())
				values = [][]string{r.Values("X-Key"), r.Values("x-user-id"), r.Values("missing")}
				return authctx.Result{Principal: newPrincipal(t), Response: []authctx.Field{{Name: "dpop-nonce", Value: "n1"}}}, nil
			})
	})
	cc := dial(t, serve(t, new(echo), s.ServerOptions()...))
	for _, method := range kinds {
		var header metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), "X-Key", "one", "x-key", "two", "x-user-id", "root")
		if err := call(ctx, cc, method, grpc.Header(&header)); err != nil {
			t.Fatal(err)
		}
		if got.Transport != "grpc" || got.Method != "POST" || got.Target != method || got.Peer.Addr() != netip.MustParseAddr("127.0.0.1") || got.PeerCertificates != nil {
			t.Errorf("request %+v", got)
		}
		if want := [][]string{{"one", "two"}, {"root"}, nil}; !reflect.DeepEqual(values, want) {
			t.Errorf("values %v, want %v", values, want)
		}
		if !slices.Contains(names, "x-user-id") {
			t.Errorf("names %v", names)
		}
		if method == unary && !slices.Equal(header.Get("dpop-nonce"), []string{"n1"}) {
			t.Errorf("response header %v", header)
		}
	}
}

func TestFieldsForTheResponseAreSentWithARefusalToo(t *testing.T) {
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Authenticator = authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"dpop"}},
			func(context.Context, *authctx.Request) (authctx.Result, error) {
				return authctx.Result{Response: []authctx.Field{{Name: "dpop-nonce", Value: "n1"}}}, authctx.NonceRequired
			})
	})
	cc := dial(t, serve(t, new(echo), s.ServerOptions()...))
	for _, method := range kinds {
		ctx, cancel := context.WithCancel(t.Context())
		cs, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		// A unary handler is asked once its message is there; a stream may have
		// been refused before.
		if err := cs.SendMsg(wrapperspb.String("hello")); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := cs.CloseSend(); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, drain(cs), authctx.NonceRequired)
		header, err := cs.Header()
		if err != nil || !slices.Equal(header.Get("dpop-nonce"), []string{"n1"}) {
			t.Errorf("%s: response header %v, %v", method, header, err)
		}
		cancel()
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

func TestAHostileRequestIsNotALongEvent(t *testing.T) {
	seen := new(events)
	cc := dial(t, serve(t, new(echo), newServer(t, func(c *grpcctx.ServerConfig) { c.Observer = seen }).ServerOptions()...))
	ctx := withToken(t.Context(), "alice")
	for i := range 500 {
		ctx = metadata.AppendToOutgoingContext(ctx, fmt.Sprint("x-user-", i), "root")
	}
	if err := call(ctx, cc, unary); err != nil {
		t.Fatal(err)
	}
	if n := len(seen.list()[0].Ignored); n == 0 || n > 16 {
		t.Errorf("the event names %d fields", n)
	}
}
