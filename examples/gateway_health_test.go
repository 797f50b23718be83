package examples_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

func TestGatewayStartsWithoutItsProvider(t *testing.T) {
	t.Parallel()
	_, httpURL, grpcAddress := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := newProvider(t)
	s := startGateway(t, p, "-upstream", httpURL, "-grpc-upstream", grpcAddress, "-forward", "fields")
	token := p.token(t, nil)
	client := pb.NewWhoAmIClient(dial(t, s.address))

	if r := send(t, "GET", s.url+"/healthz"); r.status != 200 {
		t.Errorf("healthz: status %d", r.status)
	}
	if r := send(t, "GET", s.url+"/readyz"); r.status != 503 {
		t.Errorf("readyz: status %d, want 503", r.status)
	}
	r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+token)
	if r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q; want 503 with one", r.status, r.header.Get("Retry-After"))
	}
	_, err := client.Get(as(t, token), &pb.GetRequest{})
	wantStatus(t, err, codes.Unavailable)

	p.run(t)
	s.waitReady(t)
	if r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+token); r.status != 200 {
		t.Errorf("after recovery: status %d, body %s", r.status, r.body)
	}
	if _, err := client.Get(as(t, token), &pb.GetRequest{}); err != nil {
		t.Errorf("after recovery: %v", err)
	}
}

// A probe comes every few seconds, so the log has a cause once, and the end of it.
func TestGatewayLogsWhyItIsNotReady(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := startGateway(t, p, "-upstream", "http://127.0.0.1:1")
	logged := func(line string) int { return strings.Count(s.gateway.stderr.String(), line) }
	const cause = "connection refused"
	eventually(t, "the cause, which nobody asked for", func() bool { return logged(cause) == 1 })
	for range 5 {
		if r := send(t, "GET", s.url+"/readyz"); r.status != 503 || strings.Contains(r.body, cause) {
			t.Errorf("readyz: status %d, body %s", r.status, r.body)
		}
	}
	p.run(t)
	s.waitReady(t)
	eventually(t, "the end of it", func() bool { return logged(`"ready: `) == 1 })
	if logged(cause) != 1 {
		t.Errorf("the log:\n%s", s.gateway.stderr.String())
	}
}

// It goes on with the keys it has, and who looks after it must learn of that.
func TestGatewayLogsThatKeysCannotBeLoadedAgain(t *testing.T) {
	t.Parallel()
	p := startProvider(t)
	s := startGateway(t, p, "-upstream", "http://127.0.0.1:1", "-keys-refresh", "1s")
	s.waitReady(t)
	logged := func(line string) bool {
		if r := send(t, "GET", s.url+"/readyz"); r.status != 200 {
			t.Errorf("readyz: status %d", r.status)
		}
		return strings.Count(s.gateway.stderr.String(), line) == 1
	}
	p.setDown(true)
	eventually(t, "the cause", func() bool { return logged("502") && logged("keys do not load") && logged(p.issuer+": ") })
	p.setDown(false)
	eventually(t, "the end of it", func() bool { return logged(`"keys load`) })
}

func TestGatewayIsReadyWhenAnyIssuerIs(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p, down := startProvider(t), newProvider(t)
	s := startGateway(t, p, "-issuer", down.issuer, "-upstream", httpURL)
	s.waitReady(t)
	if r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+p.token(t, nil)); r.status != 200 {
		t.Errorf("of the issuer that is there: status %d, body %s", r.status, r.body)
	}
	if r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+down.token(t, nil)); r.status != 503 {
		t.Errorf("of the one that is not: status %d, want 503", r.status)
	}
}

// A connection that is reset is told with the port of the client, which is another
// each time.
func TestGatewayTellsOneCauseOfNotBeingReadyOnce(t *testing.T) {
	t.Parallel()
	l := listen(t, "127.0.0.1:0")
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1))
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}()
	s := startGateway(t, providerAt(t, l.Addr().String()), "-upstream", "http://127.0.0.1:1", "-keys-cooldown", "100ms")
	const cause = "reset by peer"
	told := func() int { return strings.Count(s.gateway.stderr.String(), cause) }
	for range 10 { // each load is a connection
		if r := send(t, "GET", s.url+"/readyz"); r.status != http.StatusServiceUnavailable {
			t.Fatalf("status %d", r.status)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if n := told(); n != 1 {
		t.Errorf("told %d times:\n%s", n, s.gateway.stderr.String())
	}
}
