package examples_test

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// A client calls again after Unavailable, and takes Internal for a fault of the service.
func TestGatewayTellsAServiceThatHasGoneFromOneThatBreaksOff(t *testing.T) {
	t.Parallel()
	killed, _, address := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	deployed, stop := deployedAnew(t)
	for name, test := range map[string]struct {
		upstream string
		leave    func()
		want     codes.Code
		told     string
	}{
		"killed":        {address, func() { killed.signal(os.Kill) }, codes.Unavailable, `"upstream broke off its answer"`},
		"deployed anew": {deployed, stop, codes.Unavailable, `"upstream broke off its answer"`},
		"breaks off":    {breakingOff(t), func() {}, codes.Internal, "INTERNAL_ERROR"},
	} {
		s := startGateway(t, startProvider(t), "-grpc-upstream", test.upstream)
		s.waitReady(t)
		watch, err := pb.NewWhoAmIClient(dial(t, s.address)).Watch(as(t, s.token(t, nil)), &pb.WatchRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for test.leave(); err == nil; {
			_, err = watch.Recv()
		}
		if got := status.Code(err); got != test.want {
			t.Errorf("%s: %v", name, err)
		}
		eventually(t, name+": the log", func() bool { return strings.Contains(s.gateway.stderr.String(), test.told) })
	}
}

// deployedAnew is a service that answers once and then says that it goes, until stop.
func deployedAnew(t *testing.T) (address string, stop func()) {
	t.Helper()
	srv := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		if err := stream.SendMsg(&pb.Caller{}); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}))
	l := listen(t, "127.0.0.1:0")
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	return l.Addr().String(), func() {
		go srv.GracefulStop()
		time.Sleep(100 * time.Millisecond)
		srv.Stop()
	}
}

// breakingOff is a service that answers once and resets the stream.
func breakingOff(t *testing.T) (address string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write(make([]byte, 5)) // an empty message
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// A client announces ten bytes and sends five, once the service has begun to answer.
func TestGatewayBlamesNoServiceForAClientThatSendsLessThanItSaid(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	var head bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":authority", s.address}, {":path", pb.WhoAmI_Chat_FullMethodName},
		{"content-type", "application/grpc"}, {"te", "trailers"}, {"content-length", "10"}, {"authorization", "Bearer " + s.token(t, nil)},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true})
	_ = framer.WriteData(1, false, make([]byte, 5)) // an empty message
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.DataFrame:
			_ = framer.WriteData(1, true, nil)
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				if field.Name == "grpc-status" {
					t.Errorf("the call ends with the status %s", field.Value)
				}
			}
			if frame.StreamEnded() {
				return
			}
		case *http2.RSTStreamFrame:
			if log := s.gateway.stderr.String(); strings.Contains(log, "upstream broke off") {
				t.Error(log)
			}
			return
		}
	}
}
