package grpcctx

import (
	"context"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/authctx/authctx"
)

// quiet is a stream that does nothing.
type quiet struct{ grpc.ServerStream }

func (quiet) SendMsg(any) error { return nil }
func (quiet) RecvMsg(any) error { return nil }

func TestMessagesOfAStreamCostNothing(t *testing.T) {
	message := new(int)
	plain := serverStream{quiet{}, context.Background()}
	for _, stream := range []grpc.ServerStream{&plain, &watchedStream{serverStream: plain}} {
		if n := testing.AllocsPerRun(100, func() {
			if stream.SendMsg(message) != nil || stream.RecvMsg(message) != nil {
				t.Fatal("failed")
			}
		}); n != 0 {
			t.Errorf("%T: a message there and back takes %v allocations", stream, n)
		}
	}
}

func TestIncomingMetadataIsReadWithoutACopy(t *testing.T) {
	r, strip := newMDReader(), newStripper()
	md := metadata.Pairs("x-user-id", "alice", "other", "value")
	others := metadata.Pairs("other", "value")
	ctx := metadata.NewIncomingContext(context.Background(), md)
	copied := testing.AllocsPerRun(100, func() { strip.without(md) })
	if n := testing.AllocsPerRun(100, func() { r.incoming(ctx, &strip) }); n != copied {
		t.Errorf("reading takes %v allocations, stripping %v: grpc keeps incoming metadata elsewhere now", n, copied)
	}
	same := func(a, b metadata.MD) bool { return maps.EqualFunc(a, b, slices.Equal) }
	if got, left := r.incoming(ctx, &strip); !same(got, md) || !same(left, others) {
		t.Errorf("read %v and left %v", got, left)
	}
	if got, left := r.incoming(context.Background(), &strip); got != nil || len(left) != 0 {
		t.Errorf("read %v and left %v where there is nothing", got, left)
	}
	unknown := mdReader{key: "something else"}
	if got, left := unknown.incoming(ctx, &strip); !same(got, md) || !same(left, others) {
		t.Errorf("without the key, read %v and left %v", got, left)
	}
	// Another interceptor made this one: keys from the wire have no capitals.
	capital := metadata.NewIncomingContext(context.Background(), metadata.MD{"X-User-ID": {"alice"}, "Other": {"value"}})
	if got, left := r.incoming(capital, &strip); !same(got, md) || !same(left, others) {
		t.Errorf("in capitals, read %v and left %v", got, left)
	}
	mixed := metadata.NewIncomingContext(context.Background(), metadata.MD{"X-User-ID": {"alice"}, "other": {"value"}})
	for range 20 { // whichever of the two comes last
		if got, left := r.incoming(mixed, &strip); !same(got, md) || !same(left, others) {
			t.Errorf("one of them in capitals, read %v and left %v", got, left)
		}
	}
}

// What is known of a forward proxy may be no more than that there is one.
func TestAForwardProxyOfUnknownPortListensOnAny(t *testing.T) {
	for name, test := range map[string]struct {
		proxy forwardProxy
		want  bool
	}{
		"none":           {forwardProxy{}, false},
		"this port":      {forwardProxy{exists: true, port: 3128}, true},
		"another port":   {forwardProxy{exists: true, port: 3129}, false},
		"of no port":     {forwardProxy{exists: true}, true},
		"no proxy, port": {forwardProxy{port: 3128}, false},
	} {
		if got := test.proxy.listensOn(3128); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if p := proxyFor("dns:///%zz"); p != (forwardProxy{exists: true}) {
		t.Errorf("a target that nobody can read is taken for one without a proxy: %+v", p)
	}
}

// The peer of the handler that makes a call is not the peer of the call.
func TestThePeerOfAHandlerVouchesForNoConnection(t *testing.T) {
	handler := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.UnixAddr{Name: "/run/service", Net: "unix"}})
	g, cc := new(guard), idle(t, "localhost:1")
	if !g.withinMachine(handler, cc) {
		t.Error("a Unix socket leaves the machine")
	}
	for name, ctx := range map[string]context.Context{
		"hidden": withoutPeer(handler), "none": context.Background(), "none, hidden": withoutPeer(context.Background()),
		"nil":         peer.NewContext(context.Background(), &peer.Peer{Addr: (*net.UnixAddr)(nil)}),
		"far":         peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 1}}),
		"any address": peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4zero, Port: 1}}),
	} {
		if g.withinMachine(ctx, cc) {
			t.Errorf("%s: counts as this machine", name)
		}
	}
	near := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}})
	if !g.withinMachine(near, cc) || g.withinMachine(near, nil) {
		t.Error("a loopback address counts with a connection, and only then")
	}
}

// A server that allows a caller adds this much to a call and no more: the
// request, the handler's two contexts, and the metadata that is left.
func TestAdmittingACallTakesFewAllocations(t *testing.T) {
	p, err := authctx.New(authctx.Attributes{Issuer: "https://issuer.example", Subject: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(ServerConfig{
		Policy: authctx.DefaultPolicy(authctx.Authenticated()),
		Authenticator: authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}},
			func(context.Context, *authctx.Request) (authctx.Result, error) {
				return authctx.Result{Principal: p}, nil
			}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer alice", "user-agent", "test"))
	if n := testing.AllocsPerRun(100, func() {
		if err := s.admit(ctx, "/a.B/C", new(decision)); err != nil {
			t.Fatal(err)
		}
	}); n > 6 {
		t.Errorf("%v allocations", n)
	}
}

// A connection in plaintext that does not leave the machine is looked at on every
// call, and the environment once per target.
func TestACallOverLoopbackIsCheckedWithoutAllocations(t *testing.T) {
	g := new(guard)
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 50051}})
	ctx = &carrying{ctx, idle(t, "dns:///localhost:50051")}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := g.GetRequestMetadata(ctx); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestProxiesAreRememberedForSoManyTargets(t *testing.T) {
	var ps proxies
	for i := range maxTargets + 10 {
		cc := idle(t, fmt.Sprint("localhost:", 1+i))
		for range 2 {
			if ps.of(cc).exists {
				t.Fatal("a proxy for this machine")
			}
		}
	}
	remembered := 0
	ps.byTarget.Range(func(any, any) bool { remembered++; return true })
	if remembered != maxTargets {
		t.Errorf("%d targets", remembered)
	}
}

// idle returns a client that is not connected.
func idle(t *testing.T, target string) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

// FuzzStrip checks against an oracle of its own that no spelling of an identity
// field is left, and that nothing else is lost.
func FuzzStrip(f *testing.F) {
	for _, name := range []string{
		"x-user-id", "X_User.Id", "x user id", "grpc-metadata-x-user-id", "Grpc-Metadata-Grpc_Metadata-x-user-id-bin-BIN",
		"txn-token", "txn.token-bin", "txn-token-x", "authorization", "x-users", "x-user", "x-user-bin", "x~user!id", "-bin", "grpc-metadata-", "",
		"grpcgateway-authorization", "GrpcGateway_authorization-bin", "grpcgateway-grpc-metadata-x-user-id", "grpc-trailer-txn-token", "grpcgateway-",
	} {
		f.Add(name)
	}
	strip := newStripper(authctx.FieldSet{Names: []string{"authorization"}})
	f.Fuzz(func(t *testing.T, name string) {
		left, _ := strip.without(metadata.MD{name: {"v"}, "other": {"w"}})
		if len(left["other"]) != 1 {
			t.Errorf("stripping %q took another field away", name)
		}
		if _, kept := left[name]; kept == looksLikeIdentity(name) {
			t.Errorf("%q: kept %v", name, kept)
		}
	})
}

func looksLikeIdentity(name string) bool {
	var b strings.Builder
	for _, c := range []byte(name) {
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c < 0x80 && !strings.Contains("abcdefghijklmnopqrstuvwxyz0123456789", string(c)):
			c = '-'
		}
		b.WriteByte(c)
	}
	name = b.String()
	if regexp.MustCompile(`^(grpc-metadata-|grpcgateway-|(grpc-)?trailer-){9}`).MatchString(name) {
		return true // nobody's
	}
	name = regexp.MustCompile(`^(grpc-metadata-|grpcgateway-|(grpc-)?trailer-)+`).ReplaceAllString(name, "")
	if strings.HasPrefix(name, "x-user-") {
		return true
	}
	for strings.HasSuffix(name, "-bin") && name != "-bin" {
		name = strings.TrimSuffix(name, "-bin")
	}
	return name == "authorization" || name == "txn-token"
}

func TestAStatusMessageIsPrintableASCIIOnTheWire(t *testing.T) {
	for message, want := range map[string]string{
		"": "", "plain text": "plain text", "100%": "100%25", "a\r\nb": "a%0D%0Ab", "~\x7f": "~%7F", "\x00": "%00", "zoë": "zo%C3%AB",
	} {
		if got := percentEncode(message); got != want {
			t.Errorf("%q: %q", message, got)
		}
	}
}

// Every byte at every place of what is looked at in one go, and after it.
func TestEveryByteThatIsNotPrintableIsSeen(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			value := []byte(strings.Repeat("~ ", 10))
			value[at] = byte(c)
			if got, want := isPrintable(string(value)), ' ' <= c && c <= '~'; got != want {
				t.Fatalf("byte %#x at %d: printable %v, want %v", c, at, got, want)
			}
		}
	}
}
