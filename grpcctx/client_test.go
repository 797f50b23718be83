package grpcctx_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/internal/uncarried"
)

// recorder is a server that keeps the metadata of the last call as it came.
func recorder(t *testing.T) (addr string, last func() metadata.MD) {
	e := new(echo)
	addr = serve(t, e)
	return addr, func() metadata.MD {
		t.Helper()
		calls := e.calls()
		if len(calls) == 0 {
			t.Fatal("no call arrived")
		}
		md, _ := metadata.FromIncomingContext(calls[len(calls)-1])
		return md
	}
}

// identityIn returns the part of md that looks like identity.
func identityIn(md metadata.MD) metadata.MD {
	found := metadata.MD{}
	for name, values := range md {
		if authctx.IdentityFields().Owns(name) {
			found[name] = values
		}
	}
	return found
}

func TestTheCallerOfTheContextArrives(t *testing.T) {
	out, in := plainFields(t)
	whole := newPrincipal(t, func(a *authctx.Attributes) {
		a.Name = "Zoë, \"the\" = 100%\r\n\x00 Example "
		a.Permissions, a.Groups, a.AMR = []string{"orders:create", "a,b"}, []string{"g 1"}, []string{"pwd", "otp"}
		a.Actors = []authctx.Actor{{Issuer: "https://issuer.example", Subject: "robot"}}
		a.Extra = map[string][]string{"region": {"eu", "us"}}
		a.Expires = time.Now().Add(time.Hour)
	})
	e := new(echo)
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator = in })
	cc := dial(t, serve(t, e, s.ServerOptions()...), newClient(t, grpcctx.ClientConfig{Propagator: out}).DialOptions()...)
	for i, method := range kinds {
		if err := call(authctx.NewContext(t.Context(), whole), cc, method); err != nil {
			t.Fatal(err)
		}
		if p, _ := authctx.FromContext(e.calls()[i]); !p.Equal(whole) {
			t.Errorf("%s: the handler sees %+v, want %+v", method, p.Attributes(), whole.Attributes())
		}
	}
	for _, method := range kinds {
		wantRefusal(t, call(t.Context(), cc, method), authctx.NoCredentials)
	}
}

// Whatever was in the context before, our fields arrive once and ours alone.
func TestRule6_OutgoingMetadataHasOneValueOfOurs(t *testing.T) {
	out, _ := plainFields(t)
	alice := newPrincipal(t)
	want := metadata.MD{}
	if err := out.Inject(t.Context(), alice, func(name, value string) { want.Append(name, value) }); err != nil {
		t.Fatal(err)
	}
	dirty := map[string]func(context.Context) context.Context{
		"nothing": func(ctx context.Context) context.Context { return ctx },
		"appended pairs": func(ctx context.Context) context.Context {
			return metadata.AppendToOutgoingContext(ctx, "x-user-id", "root", "X-User-Roles", "admin", "x-user-id", "root")
		},
		"raw keys in upper case": func(ctx context.Context) context.Context {
			return metadata.NewOutgoingContext(ctx, metadata.MD{"X-USER-ID": {"root"}, "X-User-Id": {"root"}, "x-user-id": {"root"}, "Txn-Token": {"e30"}})
		},
		"look-alikes": func(ctx context.Context) context.Context {
			return metadata.NewOutgoingContext(ctx, metadata.Pairs("x_user_id", "root", "x.user.id", "root", "x-user-id-bin", "root",
				"grpc-metadata-x-user-id", "root", "x-user-future", "1", "txn_token", "e30"))
		},
		"the incoming metadata of another caller": func(ctx context.Context) context.Context {
			ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("x-user-id", "bob", "x-user-email", "bob@example.com"))
			md, _ := metadata.FromIncomingContext(ctx)
			return metadata.NewOutgoingContext(ctx, md)
		},
		"our own metadata of an earlier call": func(ctx context.Context) context.Context {
			return metadata.NewOutgoingContext(ctx, metadata.Join(want, want))
		},
	}
	addr, last := recorder(t)
	cc := dial(t, addr, newClient(t, grpcctx.ClientConfig{Propagator: out}).DialOptions()...)
	for name, spoil := range dirty {
		for _, method := range kinds {
			t.Run(name+method, func(t *testing.T) {
				ctx := metadata.AppendToOutgoingContext(spoil(t.Context()), "x-request-id", "42")
				if err := call(authctx.NewContext(ctx, alice), cc, method); err != nil {
					t.Fatal(err)
				}
				if got := identityIn(last()); !maps.EqualFunc(got, want, slices.Equal) {
					t.Errorf("arrived %v, want %v", got, want)
				}
				if got := last().Get("x-request-id"); !slices.Equal(got, []string{"42"}) {
					t.Errorf("other metadata arrived as %q", got)
				}
				if err := call(ctx, cc, method); err != nil {
					t.Fatal(err)
				}
				if got := identityIn(last()); len(got) != 0 {
					t.Errorf("a call without a caller carried %v", got)
				}
			})
		}
	}
}

func TestRule12_TheContextMetadataOfTheApplicationIsNotChanged(t *testing.T) {
	addr, _ := recorder(t)
	cc := dial(t, addr, newClient(t, grpcctx.ClientConfig{}).DialOptions()...)
	mine := metadata.MD{"x-user-id": {"root"}, "X-Trace": {"1"}}
	ctx := authctx.NewContext(metadata.NewOutgoingContext(t.Context(), mine), newPrincipal(t))
	if err := call(ctx, cc, unary); err != nil {
		t.Fatal(err)
	}
	if want := (metadata.MD{"x-user-id": {"root"}, "X-Trace": {"1"}}); !maps.EqualFunc(mine, want, slices.Equal) {
		t.Errorf("metadata is now %v", mine)
	}
}

// A careless service forwards all incoming metadata. Behind our server there is
// no credential and no identity left in it.
func TestIncomingMetadataForwardedWholesaleLeaksNothing(t *testing.T) {
	out, in := plainFields(t)
	addr, last := recorder(t)
	onward := dial(t, addr, newClient(t, grpcctx.ClientConfig{Propagator: out}).DialOptions()...)
	careless := func(ss grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(ss.Context())
		return errors.Join(call(metadata.NewOutgoingContext(ss.Context(), md), onward, unary), ss.SendMsg(nothing()))
	}
	authenticator := authctx.OneOf(bearer(map[string]authctx.Principal{"alice": newPrincipal(t)}, nil), in)
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator = authenticator })
	cc := dial(t, serve(t, &echo{onStream: careless}, s.ServerOptions()...))
	for _, ctx := range []context.Context{
		withToken(t.Context(), "alice"),
		metadata.AppendToOutgoingContext(t.Context(), "x-user-id", "alice", "x-user-issuer", "https://issuer.example"),
	} {
		if err := call(ctx, cc, bidiStream); err != nil {
			t.Fatal(err)
		}
		if got := last(); len(got["authorization"]) != 0 || !slices.Equal(got["x-user-id"], []string{"alice"}) {
			t.Errorf("the next service received %v", got)
		}
	}
}

func TestRule7_ACallerIsSentOverConnectionsThatWereToldToAndNoOthers(t *testing.T) {
	namedAddr, named := recorder(t)
	otherAddr, other := recorder(t)
	carrying := dial(t, namedAddr, newClient(t, grpcctx.ClientConfig{}).DialOptions()...)
	silent := dial(t, otherAddr)
	e := &echo{onStream: func(ss grpc.ServerStream) error {
		return errors.Join(call(ss.Context(), carrying, bidiStream), call(ss.Context(), silent, bidiStream), ss.SendMsg(nothing()))
	}}
	cc := dial(t, serve(t, e, newServer(t).ServerOptions()...))
	if err := call(withToken(t.Context(), "alice"), cc, bidiStream); err != nil {
		t.Fatal(err)
	}
	if got := named()["x-user-id"]; !slices.Equal(got, []string{"alice"}) {
		t.Errorf("the named destination received %q", got)
	}
	if got := other(); len(identityIn(got)) != 0 || len(got["authorization"]) != 0 {
		t.Errorf("another destination received %v", got)
	}
}

// KeepCredentials lets a handler see the token; it is not for the next service.
func TestAKeptCredentialIsNotForwardedWholesale(t *testing.T) {
	addr, last := recorder(t)
	onward := dial(t, addr, newClient(t, grpcctx.ClientConfig{}).DialOptions()...)
	careless := func(ss grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(ss.Context())
		ctx := metadata.NewOutgoingContext(ss.Context(), md)
		if len(md["x-own"]) > 0 {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer exchanged")
		}
		return errors.Join(call(ctx, onward, unary), ss.SendMsg(nothing()))
	}
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.KeepCredentials = true })
	cc := dial(t, serve(t, &echo{onStream: careless}, s.ServerOptions()...))
	if err := call(withToken(t.Context(), "alice"), cc, bidiStream); err != nil {
		t.Fatal(err)
	}
	if got := last()["authorization"]; got != nil {
		t.Errorf("the next service received %q", got)
	}
	if err := call(metadata.AppendToOutgoingContext(withToken(t.Context(), "alice"), "x-own", "1"), cc, bidiStream); err != nil {
		t.Fatal(err)
	}
	if got := last()["authorization"]; !slices.Equal(got, []string{"Bearer exchanged"}) {
		t.Errorf("with a token of its own, the next service received %q", got)
	}
}

// fieldSource is an application's own per-RPC credentials.
type fieldSource struct{ name, value string }

func tokenSource(token string) fieldSource { return fieldSource{"authorization", "Bearer " + token} }

func (s fieldSource) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{s.name: s.value}, nil
}

func (fieldSource) RequireTransportSecurity() bool { return false }

func TestTheClientComposesWithInterceptorsAndPerRPCCredentials(t *testing.T) {
	addr, last := recorder(t)
	tag := func(value string) grpc.DialOption {
		return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(metadata.AppendToOutgoingContext(ctx, "x-tag", value, "x-user-id", "root"), method, req, reply, cc, opts...)
		})
	}
	opts := append([]grpc.DialOption{tag("before"), grpc.WithPerRPCCredentials(tokenSource("connection"))},
		newClient(t, grpcctx.ClientConfig{}).DialOptions()...)
	cc := dial(t, addr, opts...)
	ctx := authctx.NewContext(metadata.AppendToOutgoingContext(t.Context(), "x-own", "kept"), newPrincipal(t))
	if err := call(ctx, cc, unary, grpc.PerRPCCredentials(tokenSource("call"))); err != nil {
		t.Fatal(err)
	}
	md := last()
	if !slices.Equal(md["x-tag"], []string{"before"}) || !slices.Equal(md["x-own"], []string{"kept"}) || !slices.Equal(md["x-user-id"], []string{"alice"}) {
		t.Errorf("arrived %v", md)
	}
	if got := slices.Sorted(slices.Values(md["authorization"])); !slices.Equal(got, []string{"Bearer call", "Bearer connection"}) {
		t.Errorf("authorization %q", got)
	}
}

// DialOptions says so: behind ours nobody looks any more.
func TestWhatIsAddedBehindTheClientIsDoubledOrBelieved(t *testing.T) {
	out, in := plainFields(t)
	e := new(echo)
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator = in })
	addr := serve(t, e, s.ServerOptions()...)
	for name, doubled := range map[string]bool{"x-user-roles": true, "x-user-permissions": false} {
		inner := grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(metadata.AppendToOutgoingContext(ctx, name, "admin"), method, req, reply, cc, opts...)
		})
		for how, opt := range map[string]grpc.DialOption{"interceptor": inner, "per-RPC credentials": grpc.WithPerRPCCredentials(fieldSource{name, "admin"})} {
			cc := dial(t, addr, append(newClient(t, grpcctx.ClientConfig{Propagator: out}).DialOptions(), opt)...)
			err := call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, unary)
			if doubled {
				wantRefusal(t, err, authctx.InvalidRequest)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			calls := e.calls()
			if p, _ := authctx.FromContext(calls[len(calls)-1]); !slices.Equal(p.Permissions(), []string{"admin"}) {
				t.Errorf("%s: %q", how, p.Permissions())
			}
		}
	}
}

func TestACallerWhoCannotBeCarriedIsNotSent(t *testing.T) {
	e := new(echo)
	small, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Budget: 200})
	if err != nil {
		t.Fatal(err)
	}
	cc := dial(t, serve(t, e), newClient(t, grpcctx.ClientConfig{Propagator: small}).DialOptions()...)
	for _, method := range kinds {
		large := newPrincipal(t, func(a *authctx.Attributes) { a.Roles = []string{strings.Repeat("r", 500)} })
		err := call(authctx.NewContext(t.Context(), large), cc, method)
		if err == nil || !strings.Contains(err.Error(), "x-user-roles") {
			t.Errorf("%s: %v does not name the largest field", method, err)
		}
		if st := status.Convert(err); st.Code() != codes.Internal || strings.Contains(st.Message(), "x-user") {
			t.Errorf("%s: a handler would pass on %v", method, st)
		}
		expired := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Unix(1, 0) })
		err = call(authctx.NewContext(t.Context(), expired), cc, method)
		if !errors.Is(err, authctx.TokenExpired) || status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: an expired caller: %v", method, err)
		}
	}
	if n := len(e.calls()); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
}

// gRPC would refuse such a call too, in words that a handler passes on.
func TestWhatMetadataCannotHoldIsNotSent(t *testing.T) {
	e := new(echo)
	addr := serve(t, e)
	for _, test := range []struct {
		name, value string
		sent        bool
	}{
		{"x-remote-user", "jürgen", false},
		{"x-remote-user", "alice\tb", false},
		{"x-remote-user", "alice\x7f", false},
		{"x-remote-extra-%4a", "alice", false},
		{"x-remote-extra-a", "zoë", false},
		{"x-remote-extra-a", " ~", true},
		{"x-remote-bin", "jürgen\x00", true},
		{"X-Remote-Bin", "jürgen\x00", true},
	} {
		cc := dial(t, addr, newClient(t, grpcctx.ClientConfig{Propagator: writing{test.name, test.value}}).DialOptions()...)
		for _, method := range kinds {
			before := len(e.calls())
			err := call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, method)
			if sent := len(e.calls()) > before; sent != test.sent || sent != (err == nil) {
				t.Errorf("%s, %s: %q was sent: %v, %v", method, test.name, test.value, sent, err)
			}
			if test.sent {
				continue
			}
			if text := err.Error(); !strings.Contains(text, test.name) || strings.Contains(text, test.value) {
				t.Errorf("%s: %v does not name %s, or says the value", method, err, test.name)
			}
			if st := status.Convert(err); st.Code() != codes.Internal || st.Message() != uncarried.Detail {
				t.Errorf("%s: a handler would pass on %v", method, st)
			}
		}
	}
}

// writing is a propagator that writes one field.
type writing struct{ name, value string }

func (w writing) Inject(_ context.Context, _ authctx.Principal, set func(name, value string)) error {
	set(w.name, w.value)
	return nil
}

func (writing) Fields() authctx.FieldSet {
	return authctx.FieldSet{Names: []string{"x-remote-user"}, Prefixes: []string{"x-remote-"}}
}

// What kept a call from being sent is for whoever made it. However a handler
// returns it, its own client reads no more than the status.
func TestRule11_AHandlerTellsNothingOfACallThatWasNotSent(t *testing.T) {
	for _, test := range []struct {
		name   string
		err    error
		code   codes.Code
		detail string
	}{
		{"without a reason", errors.New("secret-detail"), codes.Internal, uncarried.Detail},
		{"with a reason", &authctx.Error{Reason: authctx.PermissionDenied, Cause: errors.New("secret-detail")},
			codes.PermissionDenied, authctx.PermissionDenied.Description()},
	} {
		onward := dial(t, serve(t, new(echo)), newClient(t, grpcctx.ClientConfig{Propagator: failing{test.err}}).DialOptions()...)
		for _, made := range kinds {
			unsent := call(authctx.NewContext(t.Context(), newPrincipal(t)), onward, made)
			if unsent == nil || !strings.Contains(unsent.Error(), "secret-detail") {
				t.Fatalf("%s: whoever made the call reads %v", test.name, unsent)
			}
			for how, result := range map[string]error{
				"as it is": unsent,
				"wrapped":  fmt.Errorf("get user: %w", unsent),
				"joined":   errors.Join(status.Error(codes.NotFound, "no such user"), unsent),
			} {
				cc := dial(t, serve(t, &echo{result: result}, newServer(t).ServerOptions()...))
				for _, method := range kinds {
					if st := status.Convert(call(withToken(t.Context(), "alice"), cc, method)); st.Code() != test.code || st.Message() != test.detail {
						t.Errorf("%s, %s, %s: the client reads %v", test.name, how, method, st)
					}
				}
			}
		}
	}
}

// failing is a propagator that cannot write anybody.
type failing struct{ err error }

func (f failing) Inject(context.Context, authctx.Principal, func(name, value string)) error {
	return f.err
}

func (failing) Fields() authctx.FieldSet { return authctx.IdentityFields() }

func TestPlaintextIsRefusedUnlessAllowedOrWithinTheMachine(t *testing.T) {
	alice := authctx.NewContext(t.Context(), newPrincipal(t))
	// A handler's context has the peer that called it, here over loopback.
	inHandler := peer.NewContext(alice, &peer.Peer{Addr: loopback})
	for _, method := range kinds {
		e := new(echo)
		closed := pipe(t, e, nil, newClient(t, grpcctx.ClientConfig{}).DialOptions()...)
		for name, ctx := range map[string]context.Context{"a caller": alice, "a caller in a handler": inHandler} {
			err := call(ctx, closed, method)
			if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "InsecureAllowPlaintext") {
				t.Errorf("%s, %s: %v", method, name, err)
			}
		}
		if n := len(e.calls()); n != 0 {
			t.Errorf("%s: %d calls were sent", method, n)
		}
		if err := call(t.Context(), closed, method); err != nil {
			t.Errorf("%s: a call without a caller: %v", method, err)
		}
		open := pipe(t, new(echo), nil, newClient(t, grpcctx.ClientConfig{InsecureAllowPlaintext: true}).DialOptions()...)
		if err := call(alice, open, method); err != nil {
			t.Errorf("%s: allowed by name: %v", method, err)
		}
	}
}

// late is a propagator that goes on writing about a caller when it is asked about
// the next, as one does that looks something up and does not wait for it.
type late struct {
	authctx.FieldSet
	before []func(name, value string)
	panics bool // every second time
}

func (l *late) Fields() authctx.FieldSet { return l.FieldSet }

func (l *late) Inject(_ context.Context, p authctx.Principal, set func(name, value string)) error {
	for _, before := range l.before {
		before("x-user-roles", "admin")
	}
	set("x-user-id", p.Subject())
	set("x-user-issuer", p.Issuer())
	l.before = append(l.before, set)
	if l.panics && len(l.before)%2 == 1 {
		panic("oops")
	}
	return nil
}

func TestWhatIsWrittenTooLateIsNotTheNextCallers(t *testing.T) {
	for name, panics := range map[string]bool{"after a call": false, "after a panic": true} {
		addr, last := recorder(t)
		propagator := &late{FieldSet: authctx.IdentityFields(), panics: panics}
		cc := dial(t, addr, newClient(t, grpcctx.ClientConfig{Propagator: propagator}).DialOptions()...)
		arrives := func() bool {
			defer func() { _ = recover() }()
			if err := call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, unary); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return true
		}
		for range 20 { // what was put aside is not always used again
			if !arrives() {
				continue
			}
			if got := last(); len(got["x-user-id"]) != 1 || len(got["x-user-roles"]) != 0 {
				t.Errorf("%s: the next service received %v", name, got)
			}
		}
	}
}
