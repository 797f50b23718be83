package grpcctx_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
)

// TestAForwardProxyOnThisMachineIsNotThisMachine has a proxy that a process takes
// from its environment, once: so the client is a process of its own.
func TestAForwardProxyOnThisMachineIsNotThisMachine(t *testing.T) {
	if service := os.Getenv("AUTHCTX_TEST_SERVICE"); service != "" {
		clientBehindAProxy(t, service)
		return
	}
	service, last := recorder(t)
	proxy := connectProxy(t, service)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	client := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	client.Env = slices.Concat(os.Environ(), []string{"AUTHCTX_TEST_SERVICE=" + service,
		"HTTPS_PROXY=http://" + proxy, "https_proxy=", "NO_PROXY=", "no_proxy="})
	if out, err := client.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := last(); len(got["x-who"]) == 0 {
		t.Errorf("received %v", got)
	}
}

// clientBehindAProxy is the process that has the proxy.
func clientBehindAProxy(t *testing.T, service string) {
	alice := authctx.NewContext(t.Context(), newPrincipal(t))
	_, port, err := net.SplitHostPort(service)
	if err != nil {
		t.Fatal(err)
	}
	toService := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", service)
	})
	client := newClient(t, grpcctx.ClientConfig{}) // of all connections
	for name, test := range map[string]struct {
		target string
		opts   []grpc.DialOption
		sent   bool
	}{
		"a remote address":                     {"dns:///203.0.113.7:50051", nil, false},
		"a remote address without a scheme":    {"203.0.113.7:50051", nil, false},
		"a remote name, resolved by the proxy": {"orders.example:443", nil, false},
		"a remote name without a port":         {"dns:///orders.example", nil, false},
		"a remote address, passed through":     {"passthrough:///203.0.113.7:50051", nil, false},
		"this machine by address":              {service, nil, true},
		"this machine by name":                 {"dns:///localhost:" + port, nil, true},
		"this machine, passed through":         {"passthrough:///" + service, nil, true},
		"a dialer that stays on this machine":  {"passthrough:///orders.example:443", []grpc.DialOption{toService}, true},
	} {
		cc := dial(t, test.target, append(test.opts, client.DialOptions()...)...)
		for _, method := range kinds {
			err := call(alice, cc, method)
			if test.sent && err != nil {
				t.Errorf("%s, %s: %v", name, method, err)
			} else if !test.sent && (status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "InsecureAllowPlaintext")) {
				t.Errorf("%s, %s: the caller was sent through the proxy: %v", name, method, err)
			}
		}
		if err := call(metadata.AppendToOutgoingContext(t.Context(), "x-who", name), cc, unary); err != nil {
			t.Errorf("%s: a call without a caller: %v", name, err)
		}
	}
}

// connectProxy starts a proxy of which every tunnel leads to the service.
func connectProxy(t *testing.T, service string) (addr string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			go tunnel(conn, service)
		}
	}()
	return lis.Addr().String()
}

func tunnel(conn net.Conn, service string) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	if _, err := http.ReadRequest(r); err != nil {
		return
	}
	up, err := net.Dial("tcp", service)
	if err != nil {
		return
	}
	defer up.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(up, r) }()
	_, _ = io.Copy(conn, up)
}

// foreignField is a propagator that writes more than it says.
type foreignField struct{ written string }

func (foreignField) Fields() authctx.FieldSet {
	return authctx.FieldSet{Names: []string{"X-Team-ID"}, Prefixes: []string{"x-squad-"}}
}

func (f foreignField) Inject(_ context.Context, _ authctx.Principal, set func(name, value string)) error {
	set("x-team-id", "a")
	set("x-squad-lead", "b")
	set(f.written, "viewer")
	return nil
}

func TestRule6_APropagatorThatWritesWhatItDoesNotOwnSendsNothing(t *testing.T) {
	e := new(echo)
	addr := serve(t, e)
	for _, written := range []string{"x-team-role", "authorization"} {
		cc := dial(t, addr, newClient(t, grpcctx.ClientConfig{Propagator: foreignField{written}}).DialOptions()...)
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-team-role", "admin")
		err := call(authctx.NewContext(ctx, newPrincipal(t)), cc, unary)
		if status.Code(err) != codes.Internal || err == nil || !strings.Contains(err.Error(), written) || strings.Contains(status.Convert(err).Message(), written) {
			t.Errorf("%s: %v", written, err)
		}
	}
	if n := len(e.calls()); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
	cc := dial(t, addr, newClient(t, grpcctx.ClientConfig{Propagator: foreignField{"x-squad-size"}}).DialOptions()...)
	if err := call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, unary); err != nil {
		t.Error(err)
	}
}
