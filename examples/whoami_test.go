package examples_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// asGateway is what a gateway would write for a caller.
var asGateway = []string{
	"X-User-Id: alice", "X-User-Issuer: https://idp.example.com", "X-User-Name: Alice%20Example",
	"X-User-Email: alice@example.com", "X-User-Tenant: acme", "X-User-Client-Id: web",
	"X-User-Roles: admin,editor", "X-User-Permissions: orders:create",
	"X-User-Scopes: profile", "X-User-Groups: staff,on%20call",
}

// body is the JSON that whoami answers with.
type body struct {
	Issuer, Subject, Kind, Name, Email, Tenant string
	ClientID                                   string `json:"client_id"`
	Roles, Permissions, Scopes, Groups         []string
	Provenance                                 string
	Received                                   []string
}

func decode(t *testing.T, r reply) body {
	t.Helper()
	var b body
	if err := json.Unmarshal([]byte(r.body), &b); err != nil {
		t.Fatalf("status %d, body %q: %v", r.status, r.body, err)
	}
	return b
}

func startWhoami(t *testing.T, args ...string) (p *process, httpURL, grpcAddress string) {
	t.Helper()
	p = start(t, "whoami", append([]string{"-http", "127.0.0.1:0", "-grpc", "127.0.0.1:0"}, args...)...)
	return p, "http://" + p.address("http listening on"), p.address("grpc listening on")
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestWhoamiAnswersWithTheCallerItSees(t *testing.T) {
	t.Parallel()
	_, url, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")

	r := send(t, "GET", url+"/whoami", append(asGateway, "X-Request-Id: 7")...)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, content type %q, body %s", r.status, r.header.Get("Content-Type"), r.body)
	}
	got := decode(t, r)
	for _, name := range []string{"host", "x-request-id", "x-user-id", "x-user-roles"} {
		if !slices.Contains(got.Received, name) {
			t.Errorf("received %q lacks %q", got.Received, name)
		}
	}
	if !slices.IsSorted(got.Received) {
		t.Errorf("received is not sorted: %q", got.Received)
	}
	got.Received = nil
	want := body{
		Issuer: "https://idp.example.com", Subject: "alice", Kind: "user", Name: "Alice Example",
		Email: "alice@example.com", Tenant: "acme", ClientID: "web",
		Roles: []string{"admin", "editor"}, Permissions: []string{"orders:create"},
		Scopes: []string{"profile"}, Groups: []string{"staff", "on call"}, Provenance: "asserted",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestWhoamiNamesWhatNetHTTPKeepsElsewhere(t *testing.T) {
	t.Parallel()
	_, url, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/whoami", io.NopCloser(strings.NewReader("x")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-User-Id", "alice")
	req.Header.Set("X-User-Issuer", "https://idp.example.com")
	req.Trailer = http.Header{"X-Sum": {"1"}}
	got := decode(t, exchange(t, req))
	for _, name := range []string{"host", "trailer", "transfer-encoding"} {
		if !slices.Contains(got.Received, name) {
			t.Errorf("received %q lacks %q", got.Received, name)
		}
	}
}

func TestWhoamiHasEveryFieldEvenWhenItIsEmpty(t *testing.T) {
	t.Parallel()
	_, url, _ := startWhoami(t, "-trust", "network")

	r := send(t, "GET", url+"/whoami", asGateway[:2]...)
	var fields map[string]any
	if err := json.Unmarshal([]byte(r.body), &fields); err != nil {
		t.Fatalf("%q: %v", r.body, err)
	}
	for _, name := range []string{"issuer", "subject", "kind", "name", "email", "tenant", "client_id", "provenance"} {
		if _, ok := fields[name].(string); !ok {
			t.Errorf("%s is %v, not a string", name, fields[name])
		}
	}
	for _, name := range []string{"roles", "permissions", "scopes", "groups", "received"} {
		if _, ok := fields[name].([]any); !ok {
			t.Errorf("%s is %v, not an array", name, fields[name])
		}
	}
}

func TestWhoamiRulesOverHTTP(t *testing.T) {
	t.Parallel()
	_, url, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8,::1/128")
	nobody := []string(nil)
	plain := asGateway[:2]
	for _, test := range []struct {
		name, method, path string
		as                 []string
		status             int
	}{
		{"health is public", "GET", "/health", nobody, 200},
		{"health ignores who is asking", "GET", "/health", []string{"X-User-Id: half"}, 200},
		{"whoami needs a caller", "GET", "/whoami", nobody, 401},
		{"half an identity is refused", "GET", "/whoami", []string{"X-User-Id: half"}, 400},
		{"a doubled identity is refused", "GET", "/whoami", append(asGateway[:2:2], "X-User-Id: bob"), 400},
		{"any caller may see whoami", "GET", "/whoami", plain, 200},
		{"admin needs the role", "GET", "/admin", plain, 403},
		{"admin with the role", "GET", "/admin", asGateway, 200},
		{"orders need the permission", "POST", "/orders", plain, 403},
		{"orders with the permission", "POST", "/orders", asGateway, 201},
		{"no such page", "GET", "/nothing", asGateway, 404},
		{"no such method", "DELETE", "/orders", asGateway, 405},
	} {
		t.Run(test.name, func(t *testing.T) {
			if r := send(t, test.method, url+test.path, test.as...); r.status != test.status {
				t.Errorf("status %d, want %d; body %s", r.status, test.status, r.body)
			}
		})
	}
}

// The log says why, which its clients are not told.
func TestWhoamiDoesNotBelieveStrangers(t *testing.T) {
	t.Parallel()
	p, url, grpcAddress := startWhoami(t, "-trust", "cidr:10.0.0.0/8")
	const why = "identity fields not believed: peer 127.0.0.1 is in no trusted prefix"
	logged := func(transport string) func() bool {
		return func() bool {
			for line := range strings.Lines(p.stderr.String()) {
				var record struct{ Transport, Cause string }
				if err := json.Unmarshal([]byte(line), &record); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				if record.Transport == transport && strings.HasSuffix(record.Cause, why) {
					return true
				}
			}
			return false
		}
	}

	if r := send(t, "GET", url+"/whoami", asGateway...); r.status != 401 || strings.Contains(r.body, why) {
		t.Errorf("status %d, want 401; body %s", r.status, r.body)
	}
	eventually(t, "the refusal in the log", logged("http"))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user-id", "alice", "x-user-issuer", "https://idp.example.com")
	_, err := pb.NewWhoAmIClient(dial(t, grpcAddress)).Get(ctx, &pb.GetRequest{})
	wantStatus(t, err, codes.Unauthenticated)
	eventually(t, "the refusal over gRPC in the log", logged("grpc"))
}

func wantStatus(t *testing.T, err error, code codes.Code) {
	t.Helper()
	s := status.Convert(err)
	if s.Code() != code {
		t.Errorf("got %v, want %v", err, code)
		return
	}
	infos := 0
	for _, detail := range s.Details() {
		if _, ok := detail.(*errdetails.ErrorInfo); ok {
			infos++
		}
	}
	if infos != 1 {
		t.Errorf("%v has %d ErrorInfo, want 1", err, infos)
	}
}

func TestWhoamiOverGRPC(t *testing.T) {
	t.Parallel()
	_, _, address := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	conn := dial(t, address)
	client := pb.NewWhoAmIClient(conn)
	asUser := metadata.AppendToOutgoingContext(t.Context(),
		"x-user-id", "alice", "x-user-issuer", "https://idp.example.com", "x-trace", "7")
	asAdmin := metadata.AppendToOutgoingContext(asUser, "x-user-roles", "admin")

	t.Run("Get answers with the caller", func(t *testing.T) {
		c, err := client.Get(asAdmin, &pb.GetRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Subject != "alice" || c.Issuer != "https://idp.example.com" || c.Kind != "user" ||
			c.Provenance != "asserted" || !slices.Equal(c.Roles, []string{"admin"}) {
			t.Errorf("got %v", c)
		}
		for _, name := range []string{"x-trace", "x-user-id", "x-user-issuer", "x-user-roles"} {
			if !slices.Contains(c.Received, name) {
				t.Errorf("received %q lacks %q", c.Received, name)
			}
		}
		if !slices.IsSorted(c.Received) || slices.ContainsFunc(c.Received, func(n string) bool { return n[0] == ':' }) {
			t.Errorf("received %q is not sorted or has pseudo-headers", c.Received)
		}
	})
	t.Run("nobody is refused on every method", func(t *testing.T) {
		_, err := client.Get(t.Context(), &pb.GetRequest{})
		wantStatus(t, err, codes.Unauthenticated)
		watch, err := client.Watch(t.Context(), &pb.WatchRequest{})
		if err == nil {
			_, err = watch.Recv()
		}
		wantStatus(t, err, codes.Unauthenticated)
		chat, err := client.Chat(t.Context())
		if err == nil {
			_, err = chat.Recv()
		}
		wantStatus(t, err, codes.Unauthenticated)
	})
	t.Run("Admin needs the role", func(t *testing.T) {
		_, err := client.Admin(asUser, &pb.AdminRequest{})
		wantStatus(t, err, codes.PermissionDenied)
		if _, err := client.Admin(asAdmin, &pb.AdminRequest{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("Watch goes on answering", func(t *testing.T) {
		watchTwice(t, client, asUser, "alice")
	})
	t.Run("Chat echoes", func(t *testing.T) {
		chatOnce(t, client, asUser)
	})
	t.Run("health and reflection are public", func(t *testing.T) {
		h, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
		if err != nil || h.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("health: %v, %v", h, err)
		}
		if services := reflectServices(t, conn); !slices.Contains(services, "authctx.examples.v1.WhoAmI") {
			t.Errorf("reflection lists %q", services)
		}
	})
}

func reflectServices(t *testing.T, conn *grpc.ClientConn) (names []string) {
	t.Helper()
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: "*"},
	}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range answer.GetListServicesResponse().GetService() {
		names = append(names, s.Name)
	}
	return names
}

func TestWhoamiStopsInGoodOrder(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p, _, address := startWhoami(t, "-trust", "network")
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user-id", "alice", "x-user-issuer", "https://idp.example.com")
			watch, err := pb.NewWhoAmIClient(dial(t, address)).Watch(ctx, &pb.WatchRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := watch.Recv(); err != nil {
				t.Fatal(err)
			}
			p.signal(signal)
			for err == nil { // the open stream must not keep the program alive
				_, err = watch.Recv()
			}
			if code := p.wait(); code != 0 {
				t.Errorf("exit status %d; standard error:\n%s", code, p.stderr.String())
			}
		})
	}
}

func watchTwice(t *testing.T, client pb.WhoAmIClient, ctx context.Context, subject string) {
	t.Helper()
	watch, err := client.Watch(ctx, &pb.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if c.Subject != subject {
			t.Errorf("got %v", c)
		}
	}
}

func chatOnce(t *testing.T, client pb.WhoAmIClient, ctx context.Context) {
	t.Helper()
	chat, err := client.Chat(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one", "", "två", strings.Repeat("x", 1<<20)} {
		if err := chat.Send(&pb.ChatMessage{Text: text}); err != nil {
			t.Fatal(err)
		}
		if m, err := chat.Recv(); err != nil || m.Text != text {
			t.Fatalf("%.20q came back as %.20q, %v", text, m.GetText(), err)
		}
	}
	if err := chat.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := chat.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v, want EOF", err)
	}
}
