package grpcctx_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
)

func TestRule1_AServerWithoutConfigurationDoesNotStart(t *testing.T) {
	_, err := grpcctx.NewServer(grpcctx.ServerConfig{
		RecheckInterval: -1, Strip: authctx.FieldSet{Prefixes: strings.Split("", ",")}, Observer: (*hollowObserver)(nil),
	})
	for _, want := range []string{"Authenticator is required", "Policy is required", "RecheckInterval must be at least 1ms and is -1ns",
		`Strip: authctx: field set: the prefix "" `, "Observer holds a nil pointer"} {
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
	_, err = grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: bearer(nil, nil), Policy: new(authctx.Policy), AllowAnonymous: true})
	for _, want := range []string{"AllowAnonymous contradicts Policy", "Policy is a zero Policy"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	_, err = grpcctx.NewServer(grpcctx.ServerConfig{
		Authenticator: authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"content-type"}}, nil), AllowAnonymous: true,
	})
	if err == nil || !strings.Contains(err.Error(), `Authenticator: authctx: field set: the name "content-type" `) {
		t.Errorf("an authenticator that takes what a call needs: %v", err)
	}
	_, err = grpcctx.NewServer(grpcctx.ServerConfig{
		Authenticator: bearer(nil, nil), AllowAnonymous: true, KeepCredentials: true, Strip: authctx.FieldSet{Names: []string{"authorization"}},
	})
	if err == nil || !strings.Contains(err.Error(), "KeepCredentials contradicts Strip, which removes what Authenticator reads: authorization") {
		t.Errorf("a credential that is kept and stripped: %v", err)
	}
	if _, err := grpcctx.NewClient(grpcctx.ClientConfig{}); err == nil || !strings.Contains(err.Error(), "Propagator is required") {
		t.Errorf("a client without a propagator: %v", err)
	}
}

// The first call would end the program, or go out with forged identity.
func TestRule1_InterceptorsOfWhatNobodyMadeArePanicsAtTheStart(t *testing.T) {
	for _, s := range []*grpcctx.Server{nil, new(grpcctx.Server)} {
		wantPanic(t, "a Server that NewServer did not make", func() { s.ServerOptions() }, func() { s.UnaryInterceptor() }, func() { s.StreamInterceptor() })
	}
	for _, c := range []*grpcctx.Client{nil, new(grpcctx.Client)} {
		wantPanic(t, "a Client that NewClient did not make", func() { c.DialOptions() }, func() { c.UnaryInterceptor() }, func() { c.StreamInterceptor() })
	}
}

func wantPanic(t *testing.T, want string, calls ...func()) {
	t.Helper()
	for i, call := range calls {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, want) {
					t.Errorf("function %d panics with %q, want %q", i, got, want)
				}
			}()
			call()
		}()
	}
}

func TestRule1_AClientWritesNoFieldThatACallNeeds(t *testing.T) {
	for want, fields := range map[string]authctx.FieldSet{
		`the prefix ""`:           {Prefixes: []string{""}},
		`the name "content-type"`: {Names: []string{"x-caller", "content-type"}},
		`the name "x-caller%41"`:  {Names: []string{"x-caller%41"}},
	} {
		_, err := grpcctx.NewClient(grpcctx.ClientConfig{Propagator: owning{fields: fields}})
		if err == nil || !strings.Contains(err.Error(), "grpcctx: client: Propagator: authctx: field set: "+want) {
			t.Errorf("%v does not say that %s", err, want)
		}
	}
}

// owning is a propagator of fields.
type owning struct {
	authctx.Propagator
	fields authctx.FieldSet
}

func (o owning) Fields() authctx.FieldSet { return o.fields }

// hollowObserver fails when it is nil, as most types do.
type hollowObserver struct{ seen int }

func (o *hollowObserver) Observe(context.Context, authctx.Event) { o.seen++ }

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
		if strings.Contains(strings.NewReplacer("_", "-", ".", "-").Replace(name), "x-user") || strings.HasPrefix(name, "txn") || strings.Contains(name, "authorization") {
			t.Errorf("the handler sees %s", name)
		}
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

// ServerOptions says so.
func TestUnknownMethodsAreDecidedWhereTheyHaveAHandler(t *testing.T) {
	for _, method := range []string{"/" + echoService + "/Nope", "/authctx.test.v1.Other/Nope"} {
		seen := new(journal)
		opts := newServer(t, func(c *grpcctx.ServerConfig) { c.Observer = seen }).ServerOptions()
		ask := func(ctx context.Context, opts ...grpc.ServerOption) codes.Code {
			return status.Code(dial(t, serve(t, new(echo), opts...)).Invoke(ctx, method, nothing(), nothing()))
		}
		if code := ask(t.Context(), opts...); code != codes.Unimplemented || len(seen.All()) > 0 {
			t.Errorf("%s: %v, %d events", method, code, len(seen.All()))
		}
		opts = append(opts, grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			return status.Error(codes.Unimplemented, "unknown method")
		}))
		if code := ask(t.Context(), opts...); code != codes.Unauthenticated {
			t.Errorf("%s, with a handler: %v", method, code)
		}
		if code := ask(withToken(t.Context(), "alice"), opts...); code != codes.Unimplemented {
			t.Errorf("%s, with a handler, for alice: %v", method, code)
		}
		var told []string
		for _, e := range seen.All() {
			told = append(told, e.Target)
		}
		if !slices.Equal(told, []string{method, method}) {
			t.Errorf("the observer is told of %q", told)
		}
	}
}

// ServerOptions says so.
func TestUnaryMessagesAreDecodedBeforeAnybodyIsAsked(t *testing.T) {
	seen := new(journal)
	opts := newServer(t, func(c *grpcctx.ServerConfig) { c.Observer = seen }).ServerOptions()
	cc := dial(t, serve(t, new(echo), append(opts, grpc.MaxRecvMsgSize(1000))...))
	for name, test := range map[string]struct {
		message any
		code    codes.Code
	}{
		"malformed": {wrapperspb.Bytes([]byte{0xff}), codes.Internal}, // no text is like that
		"too large": {wrapperspb.String(strings.Repeat("x", 1000)), codes.ResourceExhausted},
	} {
		if err := cc.Invoke(t.Context(), unary, test.message, nothing()); status.Code(err) != test.code || len(seen.All()) > 0 {
			t.Errorf("%s: %v, %d events", name, err, len(seen.All()))
		}
	}
	for _, method := range streams {
		wantRefusal(t, call(t.Context(), cc, method), authctx.NoCredentials)
	}
}

// ServerOptions and CheckServices say so.
func TestAStreamThatIsDescribedAsNoneRunsWithoutInterceptors(t *testing.T) {
	e := new(echo)
	desc := e.desc()
	desc.Streams[0].ClientStreams = false
	auth := newServer(t)
	srv := grpc.NewServer(auth.ServerOptions()...)
	srv.RegisterService(desc, nil)
	if err := auth.CheckServices(srv); err != nil {
		t.Errorf("CheckServices can see it: %v", err)
	}
	if err := call(t.Context(), dial(t, run(t, srv)), clientStream); err != nil || len(e.calls()) != 1 {
		t.Errorf("%v, %d calls", err, len(e.calls()))
	}
}

// CheckServices says so.
func TestAClientThatChecksHealthNeedsThatToBePublic(t *testing.T) {
	const config = `{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}`
	for _, public := range []string{"/grpc.health.v1.Health/*", "/other.v1.Service/*"} {
		s := newServer(t, func(c *grpcctx.ServerConfig) {
			c.Policy = newPolicy(t, authctx.PolicyConfig{Default: authctx.Authenticated(), Public: []string{public}})
		})
		srv := newEcho(new(echo), s.ServerOptions())
		healthpb.RegisterHealthServer(srv, health.NewServer())
		cc := dial(t, run(t, srv), grpc.WithDefaultServiceConfig(config))
		want := codes.Unavailable
		if public == "/grpc.health.v1.Health/*" {
			want = codes.OK
		}
		if err := call(withToken(t.Context(), "alice"), cc, unary); status.Code(err) != want {
			t.Errorf("with %s in Public: %v", public, err)
		}
	}
}

// TestNobodyIsLetInPastTheEffectiveEnd has an authenticator that does not look at
// it, as one of session cookies may not.
func TestNobodyIsLetInPastTheEffectiveEnd(t *testing.T) {
	end := time.Unix(1_700_000_000, 0)
	alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = end })
	for _, past := range []time.Duration{-1, 0, 24 * time.Hour} {
		for _, observer := range []authctx.Observer{nil, new(journal)} {
			s := newServer(t, func(c *grpcctx.ServerConfig) {
				c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
				c.Now = func() time.Time { return end.Add(past) }
				c.Observer = observer
			})
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer alice"))
			if res, err := s.Check(ctx, unary); errors.Is(err, authctx.TokenExpired) != (past >= 0) || res.Principal.IsZero() != (past >= 0) {
				t.Errorf("%v past the end: %v, %v", past, res.Principal, err)
			}
			if past < 0 {
				continue
			}
			for _, method := range kinds {
				e := new(echo)
				err := call(withToken(t.Context(), "alice"), pipe(t, e, s.ServerOptions()), method)
				wantRefusal(t, err, authctx.TokenExpired)
				if len(e.calls()) > 0 {
					t.Errorf("%s: the handler runs %v past the end", method, past)
				}
			}
		}
	}
}

// A lookup may take until the end has come.
func TestNobodyIsLetInWhoseEndCameDuringTheLookup(t *testing.T) {
	end := time.Unix(1_700_000_000, 0)
	clock, alice := end.Add(-1), newPrincipal(t, func(a *authctx.Attributes) { a.Expires = end })
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Now = func() time.Time { return clock }
		c.Authenticator = authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
			clock = clock.Add(time.Second)
			return authctx.Result{Principal: alice}, nil
		})
	})
	if res, err := s.Check(t.Context(), unary); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("%v, %v", res.Principal, err)
	}
}

// What Check says of a call is what the interceptors would do, and that is all.
func TestCheckDecidesAndChangesNothing(t *testing.T) {
	seen := new(journal)
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Observer = seen
		c.Policy = newPolicy(t, authctx.PolicyConfig{
			Rules:  map[string]authctx.Rule{unary: authctx.Role("editor"), serverStream: authctx.Role("admin")},
			Public: []string{bidiStream},
		})
	})
	nonce := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator = wantsNonce })
	for _, test := range []struct {
		name, method string
		send         metadata.MD
		who          string
		reason       authctx.Reason
	}{
		{"allowed", unary, metadata.Pairs("authorization", "Bearer alice", "x-user-id", "root"), "alice", 0},
		{"refused by a rule", serverStream, metadata.Pairs("authorization", "Bearer alice"), "alice", authctx.PermissionDenied},
		{"not listed", clientStream, metadata.Pairs("authorization", "Bearer alice"), "alice", authctx.PermissionDenied},
		{"without credentials", unary, metadata.Pairs("x-user-id", "root"), "", authctx.NoCredentials},
		{"with bad ones", unary, metadata.Pairs("authorization", "Bearer mallory"), "", authctx.InvalidToken},
		{"public", bidiStream, metadata.Pairs("authorization", "Bearer alice"), "", 0},
	} {
		e := new(echo)
		var got authctx.Result
		var decided error
		tryOut := func(ctx context.Context, method string) {
			got, decided = s.Check(ctx, method)
			if res, err := nonce.Check(ctx, method); !errors.Is(err, authctx.NonceRequired) || len(res.Response) != 1 {
				t.Errorf("%s: %v, %v", test.name, res.Response, err)
			}
		}
		cc := dial(t, serve(t, e, observing(tryOut)...))
		var answered metadata.MD
		if err := call(metadata.NewOutgoingContext(t.Context(), test.send), cc, test.method, grpc.Header(&answered)); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if got.Principal.Subject() != test.who || authctx.ReasonOf(decided).Public() != test.reason.Public() {
			t.Errorf("%s: %v, %v", test.name, got.Principal, decided)
		}
		told := seen.All()
		if last := told[len(told)-1]; last.Outcome != authctx.OutcomeOf(decided) || last.Target != test.method {
			t.Errorf("%s: the observer is told %+v", test.name, last)
		}
		md, _ := metadata.FromIncomingContext(e.one(t))
		for name, values := range test.send {
			if !slices.Equal(md[name], values) {
				t.Errorf("%s: the handler sees %s: %q", test.name, name, md[name])
			}
		}
		if p, ok := authctx.FromContext(e.one(t)); ok || len(answered["dpop-nonce"]) > 0 {
			t.Errorf("%s: the handler sees %v, the client %v", test.name, p, answered)
		}
	}
}

// wantsNonce refuses every call, with a field for the answer.
var wantsNonce = authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
	return authctx.Result{Response: []authctx.Field{{Name: "dpop-nonce", Value: "n1"}}}, authctx.NonceRequired
})

// observing is a server that goes on as it did, and calls f for each call.
func observing(f func(ctx context.Context, method string)) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			f(ctx, info.FullMethod)
			return next(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			f(ss.Context(), info.FullMethod)
			return next(srv, ss)
		}),
	}
}

// returning is interceptors that keep in err what calls return.
func returning(err *error) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, _ error) {
			resp, *err = next(ctx, req)
			return resp, *err
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			*err = next(srv, ss)
			return *err
		}),
	}
}

// The peer is told no cause, so somebody has to be. Statuses and errors of another
// kind are sent as they are, and none of ours.
func TestTheObserverIsToldWhatAHandlerRefuses(t *testing.T) {
	missing := &authctx.Error{Reason: authctx.PermissionDenied, Cause: errors.New("role gold required")}
	unavailable := fmt.Errorf("asking: %w", authctx.Unavailable)
	for _, method := range kinds {
		for _, test := range []struct {
			err  error
			told bool
		}{
			{missing, true}, {unavailable, true},
			{nil, false}, {status.Error(codes.NotFound, "no such thing"), false}, {errors.New("disk full"), false},
			{grpcctx.Status(missing).Err(), false}, // a handler that answers by itself
		} {
			for _, end := range []time.Time{{}, farFuture} { // without a watch and with one
				seen := new(journal)
				s := newServer(t, func(c *grpcctx.ServerConfig) {
					c.Observer = authctx.ObserverFunc(func(ctx context.Context, e authctx.Event) {
						if p, _ := authctx.FromContext(ctx); !p.Equal(e.Principal) {
							t.Errorf("%s, %v: the context is not that of the call of %v", method, test.err, e.Principal)
						}
						seen.Observe(ctx, e)
					})
					p := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = end })
					c.Authenticator = bearer(map[string]authctx.Principal{"alice": p}, nil)
				})
				var outside error
				cc := pipe(t, &echo{result: test.err}, append(returning(&outside), s.ServerOptions()...))
				_ = call(withToken(t.Context(), "alice"), cc, method)
				if !errors.Is(outside, test.err) {
					t.Errorf("%s, %v: an interceptor outside has %v", method, test.err, outside)
				}
				all := seen.All()
				if !test.told {
					if len(all) != 1 {
						t.Errorf("%s, %v: %+v", method, test.err, all)
					}
					continue
				}
				if len(all) != 2 {
					t.Fatalf("%s, %v: %+v", method, test.err, all)
				}
				last := all[1]
				if !errors.Is(last.Err, test.err) || last.Outcome != authctx.OutcomeOf(test.err) || last.Reason != authctx.ReasonOf(test.err) ||
					last.Entry != all[0].Entry || last.Method != "POST" || last.Target != method || last.Peer != all[0].Peer ||
					!last.Principal.Equal(all[0].Principal) || last.Duration != 0 || len(last.Ignored) > 0 {
					t.Errorf("%s, %v: %+v", method, test.err, last)
				}
			}
		}
	}
}
