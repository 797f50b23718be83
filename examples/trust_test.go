package examples_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/authctx/authctx/examples/internal/democa"
	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// startTxnSystem starts a gateway that forwards Transaction Tokens and a service
// that believes nothing else.
func startTxnSystem(t *testing.T, args ...string) (s *system, whoamiURL, whoamiGRPC string) {
	t.Helper()
	internal := freeAddress(t)
	_, whoamiURL, whoamiGRPC = startWhoami(t, "-trust", "txn:http://"+internal+"/.well-known/jwks.json")
	if !slices.Contains(args, "-upstream") {
		args = append(args, "-upstream", whoamiURL)
	}
	s = startGateway(t, startProvider(t), append([]string{"-grpc-upstream", whoamiGRPC,
		"-forward", "txn", "-internal-listen", internal}, args...)...)
	if got := s.gateway.address("internal listening on"); got != internal {
		t.Fatalf("internal address %s, want %s", got, internal)
	}
	s.waitReady(t)
	client := pb.NewWhoAmIClient(dial(t, s.address))
	eventually(t, "the service to have the gateway's keys", func() bool {
		_, err := client.Get(as(t, s.token(t, nil)), &pb.GetRequest{})
		return err == nil
	})
	return s, whoamiURL, whoamiGRPC
}

// freeAddress returns a loopback address that nobody listens on, of a port that is
// not among those which systems give to who asks for any (32768 and up), and that no
// other test gets: a program that is started with it finds it free, then and later.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err != nil {
			continue
		}
		defer l.Close()
		address := l.Addr().String()
		if _, given := freeAddresses.LoadOrStore(address, true); !given {
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// freeAddresses are those that freeAddress has returned.
var freeAddresses sync.Map

func TestTransactionTokensCarryTheCaller(t *testing.T) {
	t.Parallel()
	s, whoamiURL, whoamiGRPC := startTxnSystem(t)
	token := s.token(t, nil)

	r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+token, "Txn-Token: forged", "X-User-Roles: admin")
	got := decode(t, r)
	if r.status != 200 || got.Subject != "testuser" || got.Issuer != s.issuer || got.Provenance != "signed" ||
		got.Tenant != "acme" || !slices.Equal(got.Roles, []string{"user"}) || !slices.Equal(got.Groups, []string{"staff"}) {
		t.Errorf("status %d, the service saw %s", r.status, r.body)
	}
	if !slices.Contains(got.Received, "txn-token") || slices.Contains(got.Received, "x-user-roles") ||
		slices.Contains(got.Received, "authorization") {
		t.Errorf("the service received %q", got.Received)
	}

	client := pb.NewWhoAmIClient(dial(t, s.address))
	c, err := client.Get(as(t, token), &pb.GetRequest{})
	if err != nil || c.Subject != "testuser" || c.Provenance != "signed" {
		t.Errorf("over gRPC the service saw %v, %v", c, err)
	}
	watchTwice(t, client, as(t, token), "testuser")
	chatOnce(t, client, as(t, token))

	for name, header := range map[string][]string{
		"plain fields":                        asGateway,
		"an access token":                     {"Authorization: Bearer " + token},
		"an access token as if it were a txn": {"Txn-Token: " + token},
	} {
		t.Run(name+" around the gateway", func(t *testing.T) {
			if r := send(t, "GET", whoamiURL+"/whoami", header...); r.status != 401 {
				t.Errorf("status %d, body %s", r.status, r.body)
			}
			ctx := t.Context()
			for _, line := range header {
				key, value, _ := strings.Cut(line, ": ")
				ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(key), value)
			}
			_, err := pb.NewWhoAmIClient(dial(t, whoamiGRPC)).Get(ctx, &pb.GetRequest{})
			wantStatus(t, err, codes.Unauthenticated)
		})
	}
}

// Services that read tokens ask for keys before a gateway signs.
func TestAGatewayPublishesKeysBeforeItSigns(t *testing.T) {
	t.Parallel()
	s := startSystem(t, "-internal-listen", "127.0.0.1:0")
	r := send(t, "GET", "http://"+s.gateway.address("internal listening on")+"/.well-known/jwks.json")
	if r.status != 200 || strings.Count(r.body, `"kid"`) != 1 {
		t.Errorf("keys: status %d, body %s", r.status, r.body)
	}
	r = send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+s.token(t, nil))
	if got := decode(t, r); r.status != 200 || got.Provenance != "asserted" || slices.Contains(got.Received, "txn-token") {
		t.Errorf("status %d, the service saw %s", r.status, r.body)
	}
}

// The service behind the gateway is well, and so is the token: trying again
// would not help.
func TestACallerTooLargeToCarryIsNotTheServicesFailure(t *testing.T) {
	t.Parallel()
	txn, _, _ := startTxnSystem(t)
	for name, s := range map[string]*system{"fields": startSystem(t), "txn": txn} {
		var groups []string
		for n := range 200 {
			groups = append(groups, fmt.Sprintf("3f2504e0-4f89-41d3-9a0c-%012d", n))
		}
		token := s.token(t, map[string]any{"groups": groups})
		r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+token)
		if r.status != 500 || !strings.Contains(r.body, "the caller could not be carried on") {
			t.Errorf("%s: status %d, body %s", name, r.status, r.body)
		}
		_, err := pb.NewWhoAmIClient(dial(t, s.address)).Get(as(t, token), &pb.GetRequest{})
		if grpcstatus.Code(err) != codes.Internal {
			t.Errorf("%s over gRPC: %v", name, err)
		}
		if log := s.gateway.stderr.String(); !strings.Contains(log, "bytes") || strings.Contains(log, "upstream does not answer") {
			t.Errorf("%s: the log lacks the cause or blames the service:\n%s", name, log)
		}
	}
}

func TestTransactionTokensOfAnotherTrustDomainAreRefused(t *testing.T) {
	t.Parallel()
	internal := freeAddress(t)
	_, url, _ := startWhoami(t, "-trust", "txn:http://"+internal+"/.well-known/jwks.json", "-trust-domain", "elsewhere.local")
	s := startGateway(t, startProvider(t), "-upstream", url, "-forward", "txn", "-internal-listen", internal)
	s.waitReady(t)
	eventually(t, "the service to refuse the token", func() bool {
		return send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+s.token(t, nil)).status == 401
	})
}

func TestTransactionTokensHaveTheFormOfTheDraft(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Txn-Token")
	}))
	defer upstream.Close()
	s := startGateway(t, startProvider(t), "-upstream", upstream.URL, "-forward", "txn",
		"-trust-domain", "prod.example", "-txn-life", "90s")
	s.waitReady(t)
	send(t, "GET", s.url+"/", "Authorization: Bearer "+s.token(t, nil))

	token, _, err := jwt.NewParser().ParseUnverified(arrived(t, seen), jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	claims := token.Claims.(jwt.MapClaims)
	if token.Header["typ"] != "txntoken+jwt" || claims["aud"] != "prod.example" || claims["sub"] != "testuser" ||
		claims["req_wl"] != "spiffe://prod.example/gateway" || claims["txn"] == "" || claims["scope"] != "orders profile" {
		t.Errorf("header %v, claims %v", token.Header, claims)
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 90 {
		t.Errorf("it is good for %v s, want 90", life)
	}
}

// What -h says of a flag that is not given. The keys of an address that others
// reach would be published to them, too.
func TestTransactionTokensNeedNoFurtherFlag(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Txn-Token")
	}))
	defer upstream.Close()
	s := startGateway(t, startProvider(t), "-upstream", upstream.URL, "-forward", "txn")
	s.waitReady(t)

	internal := s.gateway.address("internal listening on")
	if host, port, err := net.SplitHostPort(internal); err != nil || host != "127.0.0.1" || port == "0" {
		t.Errorf("keys are published on %q, %v", internal, err)
	}
	if r := send(t, "GET", "http://"+internal+"/.well-known/jwks.json"); r.status != 200 {
		t.Errorf("keys: status %d", r.status)
	}

	if r := send(t, "GET", s.url+"/", "Authorization: Bearer "+s.token(t, nil)); r.status != 200 {
		t.Fatalf("status %d, body %s", r.status, r.body)
	}
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(arrived(t, seen), claims); err != nil {
		t.Fatal(err)
	}
	life := claims["exp"].(float64) - claims["iat"].(float64)
	if claims["aud"] != "authctx.local" || claims["req_wl"] != "spiffe://authctx.local/gateway" || life != 120 {
		t.Errorf("claims %v", claims)
	}
}

// arrived returns what an upstream was sent with a request that has been answered.
func arrived(t *testing.T, sent <-chan string) string {
	t.Helper()
	select {
	case s := <-sent:
		return s
	default:
		t.Fatal("the gateway answered without asking its upstream")
		return ""
	}
}

func TestTransactionTokenKeysRotateWithoutAFailedRequest(t *testing.T) {
	t.Parallel()
	keyIDs := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		token, _, _ := jwt.NewParser().ParseUnverified(r.Header.Get("Txn-Token"), jwt.MapClaims{})
		keyIDs <- token.Header["kid"].(string)
	}))
	defer upstream.Close()
	s, _, _ := startTxnSystem(t, "-rotate", "3s", "-upstream", upstream.URL)
	header, ctx := "Authorization: Bearer "+s.token(t, nil), as(t, s.token(t, nil))
	client := pb.NewWhoAmIClient(dial(t, s.address))

	// The load goes to a service that verifies, over gRPC; which keys sign is
	// seen over HTTP.
	stop, failed := make(chan struct{}), make(chan error, 8)
	var calls atomic.Int64
	var load sync.WaitGroup
	for range cap(failed) {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := client.Get(ctx, &pb.GetRequest{}); err != nil {
					failed <- err
					return
				}
				calls.Add(1)
			}
		})
	}
	seen := map[string]bool{}
	eventually(t, "two other keys to sign", func() bool {
		send(t, "GET", s.url+"/", header)
		seen[arrived(t, keyIDs)] = true
		return len(seen) == 3
	})
	close(stop)
	load.Wait()
	close(failed)
	for err := range failed {
		t.Errorf("after %d calls: %v", calls.Load(), err)
	}
}

func TestWhoamiTrustsCertificates(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	caFile, certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	config, err := ca.Server("spiffe://prod.example/whoami")
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, caFile, ca.PEM())
	writePEM(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: config.Certificates[0].Certificate[0]}))
	key, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	p := start(t, "whoami", "-http", "127.0.0.1:0", "-grpc", "127.0.0.1:0", "-cert", certFile, "-key", keyFile,
		"-trust", "mtls:"+caFile+",spiffe://prod.example/gateway")
	url, grpcAddress := "https://"+p.address("http listening on"), p.address("grpc listening on")

	client := func(a *democa.Authority, id string) *tls.Config {
		config, err := a.Client(id)
		if err != nil {
			t.Fatal(err)
		}
		config.RootCAs = ca.Anonymous().RootCAs
		return config
	}
	for _, test := range []struct {
		name   string
		config *tls.Config
		status int // 0 when there is no connection
		code   codes.Code
	}{
		{"the gateway", client(ca, "spiffe://prod.example/gateway"), 200, codes.OK},
		{"another workload", client(ca, "spiffe://prod.example/gateway2"), 401, codes.Unauthenticated},
		{"nobody", ca.Anonymous(), 401, codes.Unauthenticated},
		{"a stranger by the same name", client(stranger, "spiffe://prod.example/gateway"), 0, codes.Unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			transport := &http.Transport{TLSClientConfig: test.config.Clone()}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/whoami", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = http.Header{"X-User-Id": {"alice"}, "X-User-Issuer": {"https://idp.example.com"}}
			status := 0
			if res, err := transport.RoundTrip(req); err == nil {
				status = res.StatusCode
				res.Body.Close()
			}
			if status != test.status {
				t.Errorf("HTTP: status %d, want %d", status, test.status)
			}
			conn, err := grpc.NewClient(grpcAddress, grpc.WithTransportCredentials(credentials.NewTLS(test.config.Clone())))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user-id", "alice", "x-user-issuer", "https://idp.example.com")
			_, err = pb.NewWhoAmIClient(conn).Get(ctx, &pb.GetRequest{})
			if got := grpcstatus.Code(err); got != test.code {
				t.Errorf("gRPC: %v, want %v", err, test.code)
			}
		})
	}
}

func newAuthority(t *testing.T) *democa.Authority {
	t.Helper()
	ca, err := democa.New()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func writePEM(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
