package conformance

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/internal/moment/momenttest"
)

// TestRule9_AStreamThroughAGatewayEndsForAClientThatDoesNotReadToo has clients that
// come back when a message has long been under way.
func TestRule9_AStreamThroughAGatewayEndsForAClientThatDoesNotReadToo(t *testing.T) {
	t.Parallel()
	closes := func(cs grpc.ClientStream) { _ = cs.CloseSend() }
	for how, sends := range map[string]func(grpc.ClientStream){
		"closes its side":      closes,
		"leaves its side open": func(grpc.ClientStream) {},
		"sends more than the service takes": func(cs grpc.ClientStream) {
			for cs.SendMsg(wrapperspb.String(strings.Repeat("y", 100_000))) == nil {
			}
		},
	} {
		for when, reason := range map[string]authctx.Reason{"at the end": authctx.TokenExpired, "at a recheck": authctx.TokenRevoked} {
			t.Run("it "+how+", "+when, func(t *testing.T) {
				t.Parallel()
				s := openUnread(t, reason)
				go sends(s.ClientStream)
				select {
				case <-s.released:
				case <-time.After(patience):
					t.Error("the service still has the stream")
				}
				s.readToEnd(t, reason)
			})
		}
	}
	t.Run("it comes back soon", func(t *testing.T) {
		t.Parallel()
		s := openUnread(t, authctx.TokenExpired)
		closes(s.ClientStream)
		<-s.clock.Passed()
		time.Sleep(time.Second)
		s.readToEnd(t, authctx.TokenExpired)
		<-s.released
	})
}

// unread is a stream through a gateway to a service that sends as fast as it can and
// takes nothing.
type unread struct {
	grpc.ClientStream
	clock    *momenttest.Eve // of its caller's end
	released chan struct{}   // closed when the service is
}

// unreadText is what the service sends, in messages of which several are on their way.
var unreadText = strings.Repeat("x", 50_000)

// openUnread opens a stream for a caller who comes to an end for reason.
func openUnread(t *testing.T, reason authctx.Reason) *unread {
	t.Helper()
	clock, cfg := comesToAnEnd(t, reason)
	cfg.Refuse = grpcctx.Refuse
	s := &unread{clock: clock, released: make(chan struct{})}
	addr := runGRPC(t, func(_ any, ss grpc.ServerStream) error {
		defer close(s.released)
		time.AfterFunc(aWhile, clock.Pass)
		for {
			if err := ss.SendMsg(wrapperspb.String(unreadText)); err != nil {
				return err
			}
		}
	})
	cc := grpcGateway(t, addr, cfg)
	cs, err := cc.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/a.B/C")
	if err != nil {
		t.Fatal(err)
	}
	if err := cs.SendMsg(wrapperspb.String("")); err != nil {
		t.Fatal(err)
	}
	s.ClientStream = cs
	return s
}

// readToEnd has every message whole, and then the reason.
func (s *unread) readToEnd(t *testing.T, reason authctx.Reason) {
	t.Helper()
	for {
		m := new(wrapperspb.StringValue)
		err := s.RecvMsg(m)
		if err == nil && m.Value != unreadText {
			t.Fatalf("a message of %d bytes", len(m.Value))
		}
		if err == nil {
			continue
		}
		if e, ok := grpcctx.FromError(err); !ok || e.Reason != reason {
			t.Errorf("ended with %v", err)
		}
		return
	}
}
