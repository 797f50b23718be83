package examples_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

func TestGatewayPassesGRPCThrough(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	conn := dial(t, s.address)
	client := pb.NewWhoAmIClient(conn)
	ctx := as(t, s.token(t, nil))

	t.Run("unary", func(t *testing.T) {
		c, err := client.Get(ctx, &pb.GetRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Subject != "testuser" || c.Issuer != s.issuer || c.Tenant != "acme" || slices.Contains(c.Received, "authorization") {
			t.Errorf("the service saw %v", c)
		}
	})
	t.Run("server stream", func(t *testing.T) { watchTwice(t, client, ctx, "testuser") })
	t.Run("both ways", func(t *testing.T) { chatOnce(t, client, ctx) })
	t.Run("a refusal of the service, its details intact", func(t *testing.T) {
		for range 50 { // trailers-only answers are easily broken by a proxy, now and then
			_, err := client.Admin(ctx, &pb.AdminRequest{})
			wantStatus(t, err, codes.PermissionDenied)
		}
	})
	t.Run("a method nobody knows", func(t *testing.T) {
		err := conn.Invoke(ctx, "/no.Such/Method", &pb.GetRequest{}, &pb.Caller{})
		if c := status.Code(err); c != codes.Unimplemented && c != codes.PermissionDenied {
			t.Errorf("got %v", err)
		}
	})
	t.Run("public methods of the service are not public here", func(t *testing.T) {
		if c := status.Code(conn.Invoke(t.Context(), "/grpc.health.v1.Health/Check", &pb.GetRequest{}, &pb.GetRequest{})); c != codes.Unauthenticated {
			t.Errorf("health without a token: %v", c)
		}
	})
}

func TestGatewayRefusesOverGRPC(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	client := pb.NewWhoAmIClient(dial(t, s.address))
	forged := s.token(t, nil)
	forged = forged[:len(forged)-8] + "AAAAAAAA"

	for name, ctx := range map[string]context.Context{
		"no token":       t.Context(),
		"forged token":   as(t, forged),
		"expired token":  as(t, s.token(t, jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()})),
		"two tokens":     metadata.AppendToOutgoingContext(as(t, s.token(t, nil)), "authorization", "Bearer "+s.token(t, nil)),
		"fields instead": metadata.AppendToOutgoingContext(t.Context(), "x-user-id", "a", "x-user-issuer", "b"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.Get(ctx, &pb.GetRequest{})
			wantStatus(t, err, codes.Unauthenticated)
			chat, err := client.Chat(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for err == nil { // until the stream is known to be over
				err = chat.Send(&pb.ChatMessage{Text: strings.Repeat("x", 64<<10)})
			}
			_, err = chat.Recv()
			wantStatus(t, err, codes.Unauthenticated)
		})
	}
}

func TestRule9_StreamsThroughTheGatewayEndWithTheirCaller(t *testing.T) {
	t.Parallel()
	s := startSystem(t, "-leeway", "0s")
	client := pb.NewWhoAmIClient(dial(t, s.address))
	soon := as(t, s.token(t, jwt.MapClaims{"exp": time.Now().Add(6 * time.Second).Unix()}))

	silent, err := client.Chat(soon)
	if err != nil {
		t.Fatal(err)
	}
	idle, err := client.Chat(soon)
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Send(&pb.ChatMessage{Text: "once"}); err != nil {
		t.Fatal(err)
	}
	if _, err := idle.Recv(); err != nil {
		t.Fatal(err)
	}
	flooded, err := client.Chat(soon)
	if err != nil {
		t.Fatal(err)
	}
	go func() { // until nothing goes in any more, and nobody reads what comes back
		for flooded.Send(&pb.ChatMessage{Text: strings.Repeat("x", 64<<10)}) == nil {
		}
	}()
	watch, err := client.Watch(soon, &pb.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	for ; err == nil; answers++ {
		_, err = watch.Recv()
	}
	wantStatus(t, err, codes.Unauthenticated)
	if answers < 2 {
		t.Errorf("it ended after %d answers", answers-1)
	}
	for _, chat := range []grpc.BidiStreamingClient[pb.ChatMessage, pb.ChatMessage]{silent, idle} {
		_, err := chat.Recv() // the service is blocked in a receive
		wantStatus(t, err, codes.Unauthenticated)
	}
}

// The service echoes and its client does not read: everybody on the way must
// be held back, and nothing may be lost or piled up in the gateway.
func TestGatewayKeepsFlowControl(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	client := pb.NewWhoAmIClient(dial(t, s.address))
	chat, err := client.Chat(as(t, s.token(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	const messages, size = 400, 64 << 10 // 25 MiB
	var sent atomic.Int64
	go func() {
		message := &pb.ChatMessage{Text: strings.Repeat("x", size)}
		for range messages {
			if chat.Send(message) != nil {
				return
			}
			sent.Add(1)
		}
		chat.CloseSend()
	}()
	standstill(&sent, messages)
	if n := sent.Load(); n >= messages/2 {
		t.Errorf("%d of %d messages went in though nobody read", n, messages)
	}
	ctx, cancel := context.WithTimeout(as(t, s.token(t, nil)), patience)
	defer cancel()
	if _, err := client.Get(ctx, &pb.GetRequest{}); err != nil {
		t.Errorf("another call on the same connection: %v", err)
	}
	received := 0
	for ; err == nil; received++ {
		_, err = chat.Recv()
	}
	if received-1 != messages {
		t.Errorf("%d messages came back, want %d; the end is %v", received-1, messages, err)
	}
}

// To a gRPC server, a proxy that says too much when calls are cancelled looks
// like an attacker, and all calls on its connection end.
func TestGatewaySurvivesCancelledCalls(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	client := pb.NewWhoAmIClient(dial(t, s.address))
	ctx := as(t, s.token(t, nil))
	open, err := client.Chat(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		cancelled, cancel := context.WithCancel(ctx)
		watch, err := client.Watch(cancelled, &pb.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Chat(cancelled); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	if err := open.Send(&pb.ChatMessage{Text: "still here"}); err != nil {
		t.Fatal(err)
	}
	if m, err := open.Recv(); err != nil || m.Text != "still here" {
		t.Errorf("got %v, %v", m, err)
	}
}
