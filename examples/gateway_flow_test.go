package examples_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// flows is a service of which one method sends as much as goes out, one never
// reads, and any other answers a message with its length, one of them later.
type flows struct{ sent atomic.Int64 }

var bothWays = &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}

func (f *flows) serve(_ any, stream grpc.ServerStream) error {
	switch method, _ := grpc.MethodFromServerStream(stream); method {
	case "/flows/Flood":
		for chunk := wrapperspb.Bytes(make([]byte, 16<<10)); ; f.sent.Add(int64(len(chunk.Value))) {
			if err := stream.SendMsg(chunk); err != nil {
				return err
			}
		}
	case "/flows/Ignore":
		<-stream.Context().Done()
		return stream.Context().Err()
	case "/flows/Later":
		time.Sleep(20 * time.Millisecond)
	}
	var m wrapperspb.BytesValue
	if err := stream.RecvMsg(&m); err != nil {
		return err
	}
	return stream.SendMsg(wrapperspb.Int64(int64(len(m.Value))))
}

// startFlows starts the service, with a gateway in front.
func startFlows(t *testing.T, options ...grpc.ServerOption) (*flows, *system) {
	t.Helper()
	f := new(flows)
	server := grpc.NewServer(append(options, grpc.UnknownServiceHandler(f.serve))...)
	l := listen(t, "127.0.0.1:0")
	go server.Serve(l)
	t.Cleanup(server.Stop)
	s := startGateway(t, startProvider(t), "-grpc-upstream", l.Addr().String())
	s.waitReady(t)
	return f, s
}

// length asks a method for the length of a message of so many bytes.
func length(ctx context.Context, conn *grpc.ClientConn, method string, n int) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience/3)
	defer cancel()
	var answer wrapperspb.Int64Value
	err := conn.Invoke(ctx, method, wrapperspb.Bytes(make([]byte, n)), &answer)
	return answer.Value, err
}

// standstill waits until n does not change any more, or is past the most.
func standstill(n *atomic.Int64, most int64) {
	for before := int64(-1); (n.Load() != before || before == 0) && n.Load() <= most; time.Sleep(300 * time.Millisecond) {
		before = n.Load()
	}
}

// All callers share a connection to the upstream, and its window.
func TestClientsOfTheGatewayThatDoNotReadStopNobodyElse(t *testing.T) {
	t.Parallel()
	f, s := startFlows(t)
	ctx := as(t, s.token(t, nil))
	const unread, most = 300, 512 << 10 // bytes each on the way, in all buffers
	slow, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStaticStreamWindowSize(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	for range unread {
		stream, err := slow.NewStream(ctx, bothWays, "/flows/Flood")
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(wrapperspb.Bytes(nil)); err != nil {
			t.Fatal(err)
		}
	}
	standstill(&f.sent, unread*most)
	if n := f.sent.Load() / unread; n > most {
		t.Fatalf("%d bytes of every stream were sent to clients that do not read", n)
	}
	if n, err := length(ctx, dial(t, s.address), "/flows/Length", 1); n != 1 || err != nil {
		t.Errorf("another client got %d, %v", n, err)
	}
}

// More streams than net/http may one day take for the window of a connection
// leave room for another: its documentation bounds that by 4 MiB.
func TestUploadsThroughTheGatewayThatNobodyReadsStopNoOther(t *testing.T) {
	t.Parallel()
	_, s := startFlows(t)
	conn := dial(t, s.address)
	ctx := as(t, s.token(t, nil))
	const stuck = 100
	var sent atomic.Int64
	for range stuck {
		stream, err := conn.NewStream(ctx, bothWays, "/flows/Ignore")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for chunk := wrapperspb.Bytes(make([]byte, 16<<10)); stream.SendMsg(chunk) == nil; {
				sent.Add(int64(len(chunk.Value)))
			}
		}()
	}
	standstill(&sent, 1<<40)
	for _, size := range []int{1, 100 << 10} {
		if n, err := length(ctx, conn, "/flows/Length", size); n != int64(size) || err != nil {
			t.Errorf("a call of %d bytes got %d, %v", size, n, err)
		}
	}
}

// Before a new connection says how many calls it takes at once, the gateway sends
// more.
func TestTheGatewaySendsCallsThatTheUpstreamRefusedAnew(t *testing.T) {
	t.Parallel()
	_, s := startFlows(t, grpc.MaxConcurrentStreams(20))
	conn := dial(t, s.address)
	ctx := as(t, s.token(t, nil))
	var calls sync.WaitGroup
	for range 100 {
		calls.Go(func() {
			if n, err := length(ctx, conn, "/flows/Later", 1000); n != 1000 || err != nil {
				t.Errorf("got %d, %v", n, err)
			}
		})
	}
	calls.Wait()
}
