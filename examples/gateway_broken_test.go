package examples_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// A client calls again after Unavailable, and takes Internal for a fault of the service.
func TestGatewayTellsAServiceThatHasGoneFromOneThatBreaksOff(t *testing.T) {
	t.Parallel()
	whoami, _, address := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	aborts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write(make([]byte, 5)) // an empty message
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	aborts.Config.Protocols = new(http.Protocols)
	aborts.Config.Protocols.SetUnencryptedHTTP2(true)
	aborts.Config.ErrorLog = log.New(io.Discard, "", 0)
	aborts.Start()
	t.Cleanup(aborts.Close)
	for name, test := range map[string]struct {
		upstream string
		leave    func()
		want     codes.Code
		told     string
	}{
		"gone":       {address, func() { whoami.signal(os.Kill) }, codes.Unavailable, "upstream broke off"},
		"breaks off": {aborts.Listener.Addr().String(), func() {}, codes.Internal, "INTERNAL_ERROR"},
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
