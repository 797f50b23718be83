package examples_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// system is provider, gateway and service.
type system struct {
	*provider
	gateway *process
	address string
	url     string
}

func startGateway(t *testing.T, p *provider, args ...string) *system {
	t.Helper()
	gateway := start(t, "gateway", append([]string{
		"-listen", "127.0.0.1:0", "-issuer", p.issuer, "-audience", audience}, args...)...)
	address := gateway.address("listening on")
	return &system{p, gateway, address, "http://" + address}
}

// startSystem starts all three and waits until the gateway has its keys.
func startSystem(t *testing.T, args ...string) *system {
	t.Helper()
	_, httpURL, grpcAddress := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	s := startGateway(t, startProvider(t), append([]string{
		"-upstream", httpURL, "-grpc-upstream", grpcAddress, "-forward", "fields"}, args...)...)
	s.waitReady(t)
	return s
}

func (s *system) waitReady(t *testing.T) {
	t.Helper()
	eventually(t, "the gateway to be ready", func() bool { return send(t, "GET", s.url+"/readyz").status == 200 })
}

// as returns the context of a gRPC call with a token.
func as(t *testing.T, token string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

func TestGatewayCarriesTheCallerOverHTTP(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	token := "Authorization: Bearer " + s.token(t, nil)

	r := send(t, "GET", s.url+"/whoami", token)
	if r.status != 200 {
		t.Fatalf("status %d, body %s", r.status, r.body)
	}
	got := decode(t, r)
	if got.Subject != "testuser" || got.Issuer != s.issuer || got.Name != "Test User" || got.Email != "test@example.com" ||
		got.Tenant != "acme" || got.ClientID != "web" || got.Provenance != "asserted" ||
		!slices.Equal(got.Roles, []string{"user"}) || !slices.Equal(got.Permissions, []string{"orders:read"}) ||
		!slices.Equal(got.Scopes, []string{"orders", "profile"}) || !slices.Equal(got.Groups, []string{"staff"}) {
		t.Errorf("the service saw %+v", got)
	}
	if slices.Contains(got.Received, "authorization") {
		t.Error("the client's token was passed on")
	}

	for _, test := range []struct {
		name, method, path string
		changes            jwt.MapClaims
		status             int
	}{
		{"rules are the service's", "GET", "/admin", nil, 403},
		{"a role opens", "GET", "/admin", jwt.MapClaims{"roles": []string{"admin"}}, 200},
		{"a permission is missing", "POST", "/orders", nil, 403},
		{"a permission opens", "POST", "/orders", jwt.MapClaims{"permissions": []string{"orders:create"}}, 201},
		{"another audience", "GET", "/whoami", jwt.MapClaims{"aud": "https://other.example.com"}, 401},
		{"no audience", "GET", "/whoami", jwt.MapClaims{"aud": nil}, 401},
		{"another issuer", "GET", "/whoami", jwt.MapClaims{"iss": "https://evil.example.com"}, 401},
		{"expired", "GET", "/whoami", jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}, 401},
		{"no expiry", "GET", "/whoami", jwt.MapClaims{"exp": nil}, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := send(t, test.method, s.url+test.path, "Authorization: Bearer "+s.token(t, test.changes))
			if r.status != test.status {
				t.Errorf("status %d, want %d; body %s", r.status, test.status, r.body)
			}
		})
	}
}

// So it is to whoever dials.
func TestAnUpstreamWithoutAHostIsOnThisMachine(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	s := startGateway(t, startProvider(t), "-upstream", strings.Replace(httpURL, "127.0.0.1", "", 1))
	s.waitReady(t)
	if r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+s.token(t, nil)); r.status != 200 {
		t.Errorf("status %d, body %s", r.status, r.body)
	}
}

// httputil drops what Go cannot parse of a query; upstreams in other languages can.
func TestGatewayPassesAQueryOnAsItCame(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.RawQuery)
	}))
	t.Cleanup(upstream.Close)
	s := startGateway(t, startProvider(t), "-upstream", upstream.URL)
	s.waitReady(t)
	for _, query := range []string{"a=1&b=2", "q=100%&page=2", "a=1;b=2", "a=%zz"} {
		r := send(t, "GET", s.url+"/?"+query, "Authorization: Bearer "+s.token(t, nil))
		if r.status != 200 || r.body != query {
			t.Errorf("?%s arrives as ?%s (status %d)", query, r.body, r.status)
		}
	}
}

func TestGatewayServesEveryProtocolOnOneAddress(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	if _, err := pb.NewWhoAmIClient(dial(t, s.address)).Get(as(t, s.token(t, nil)), &pb.GetRequest{}); err != nil {
		t.Errorf("gRPC: %v", err)
	}
	for major, set := range map[int]func(*http.Protocols){
		1: func(p *http.Protocols) { p.SetHTTP1(true) },
		2: func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		set(transport.Protocols)
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.token(t, nil))
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.ProtoMajor != major || res.StatusCode != 200 {
			t.Errorf("HTTP/%d: status %d over %s", major, res.StatusCode, res.Proto)
		}
	}
}

func TestGatewayRefusesOverHTTP(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	good := s.token(t, nil)
	for _, test := range []struct {
		name      string
		header    []string
		status    int
		challenge string // must be in WWW-Authenticate
	}{
		{"no token", nil, 401, "Bearer"},
		{"junk", []string{"Authorization: Bearer junk"}, 401, `error="invalid_token"`},
		{"a forged signature", []string{"Authorization: Bearer " + good[:len(good)-8] + "AAAAAAAA"}, 401, `error="invalid_token"`},
		{"two tokens", []string{"Authorization: Bearer " + good, "Authorization: Bearer " + good}, 400, `error="invalid_request"`},
		{"fields instead of a token", asGateway, 401, "Bearer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := send(t, "GET", s.url+"/whoami", test.header...)
			if r.status != test.status || !strings.Contains(r.header.Get("WWW-Authenticate"), test.challenge) {
				t.Errorf("status %d, challenge %q, body %s", r.status, r.header.Get("WWW-Authenticate"), r.body)
			}
			if got := r.header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if strings.Contains(r.body, good) {
				t.Error("the answer has the token in it")
			}
		})
	}
	if strings.Contains(s.gateway.stderr.String(), good[:60]) {
		t.Error("the log has the token in it")
	}
}

func TestGatewayWithoutAnUpstreamOfThatKind(t *testing.T) {
	t.Parallel()
	s := startGateway(t, startProvider(t), "-upstream", "http://127.0.0.1:1")
	s.waitReady(t)
	_, err := pb.NewWhoAmIClient(dial(t, s.address)).Get(as(t, s.token(t, nil)), &pb.GetRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v, want Unimplemented", err)
	}
}

func TestGatewaySaysWhenAnUpstreamIsAway(t *testing.T) {
	t.Parallel()
	s := startGateway(t, startProvider(t), "-upstream", "http://127.0.0.1:1", "-grpc-upstream", "127.0.0.1:1")
	s.waitReady(t)
	if r := send(t, "GET", s.url+"/", "Authorization: Bearer "+s.token(t, nil)); r.status != http.StatusBadGateway {
		t.Errorf("HTTP: status %d, want 502", r.status)
	}
	_, err := pb.NewWhoAmIClient(dial(t, s.address)).Get(as(t, s.token(t, nil)), &pb.GetRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("gRPC: %v, want Unavailable", err)
	}
}

func TestGatewayLogsDecisionsAsJSON(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+s.token(t, nil))
	send(t, "GET", s.url+"/whoami")
	s.gateway.signal(syscall.SIGTERM)
	if code := s.gateway.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	reasons := map[string]int{}
	for line := range strings.Lines(s.gateway.stderr.String()) {
		var record struct{ Msg, Reason string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("%q is not JSON", line)
		}
		if strings.HasPrefix(record.Msg, "authctx: ") {
			reasons[record.Reason]++
		}
	}
	if reasons[""] == 0 || reasons["no_credentials"] == 0 {
		t.Errorf("decisions logged by reason: %v", reasons)
	}
}

func TestGatewayStopsWithAStreamOpen(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	watch, err := pb.NewWhoAmIClient(dial(t, s.address)).Watch(as(t, s.token(t, nil)), &pb.WatchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	s.gateway.signal(syscall.SIGINT)
	if code := s.gateway.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// A service that starts just then, or has not met the key yet, has to read the tokens
// of requests that go on.
func TestGatewayPublishesItsKeysForAsLongAsItDrains(t *testing.T) {
	t.Parallel()
	arrived, draining, keys := make(chan struct{}), make(chan struct{}), ""
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-draining
		res, err := http.Get(keys)
		if err != nil {
			t.Error(err)
			return
		}
		res.Body.Close()
		w.WriteHeader(res.StatusCode)
	}))
	defer upstream.Close()
	s := startGateway(t, startProvider(t), "-upstream", upstream.URL, "-forward", "txn")
	keys = "http://" + s.gateway.address("internal listening on") + "/.well-known/jwks.json"
	s.waitReady(t)
	token := "Authorization: Bearer " + s.token(t, nil)
	answered := make(chan reply, 1)
	go func() { answered <- send(t, "GET", s.url+"/", token) }()
	<-arrived
	s.gateway.signal(syscall.SIGTERM)
	eventually(t, "the gateway to take no more clients", func() bool {
		c, err := net.Dial("tcp", s.address)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(draining)
	if r := <-answered; r.status != 200 {
		t.Errorf("status %d, body %s", r.status, r.body)
	}
	if code := s.gateway.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
