package examples_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
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
	s := startGateway(t, newProvider(t).run(t), append([]string{
		"-upstream", httpURL, "-grpc-upstream", grpcAddress, "-forward", "fields"}, args...)...)
	s.waitReady(t)
	return s
}

func (s *system) waitReady(t *testing.T) {
	t.Helper()
	eventually(t, "the gateway to be ready", func() bool { return send(t, "GET", s.url+"/readyz", "").status == 200 })
}

// as returns the context of a gRPC call with a token.
func as(t *testing.T, token string) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

func TestGatewayCarriesTheCallerOverHTTP(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	token := "Authorization: Bearer " + s.token(t, nil)

	r := send(t, "GET", s.url+"/whoami", "", token)
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
			r := send(t, test.method, s.url+test.path, "", "Authorization: Bearer "+s.token(t, test.changes))
			if r.status != test.status {
				t.Errorf("status %d, want %d; body %s", r.status, test.status, r.body)
			}
		})
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
			r := send(t, "GET", s.url+"/whoami", "", test.header...)
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

// forgeries are identity fields as some server behind us would read them.
var forgeries = []string{
	"X-User-Id", "x-user-id", "X_User_Id", "X-User_Id", "X.User.Id", "x-USER-roles", "X_User_Roles", "X.User.Roles",
	"X-User-Permissions", "X-User-Anything-New", "X-User-Id-Bin", "X-User-Roles-bin", "Grpc-Metadata-X-User-Roles",
	"Grpc-Metadata-X-User-Id-Bin", "grpc_metadata_x_user_roles", "Txn-Token", "txn_token", "Txn.Token", "Txn-Token-Bin",
	"Grpc-Metadata-Txn-Token",
}

func TestRule6_ForgedFieldsChangeNothingBehindTheGateway(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	token := "Authorization: Bearer " + s.token(t, jwt.MapClaims{"permissions": nil})
	want := decode(t, send(t, "GET", s.url+"/whoami", "", token))

	for _, name := range forgeries {
		t.Run(name, func(t *testing.T) {
			forged := name + ": admin"
			r := send(t, "GET", s.url+"/whoami", "", token, forged, "Connection: "+name+", x-user-id")
			if r.status != 200 {
				t.Fatalf("status %d, body %s", r.status, r.body)
			}
			got := decode(t, r)
			if got.Subject != want.Subject || !slices.Equal(got.Roles, want.Roles) || len(got.Permissions) != 0 {
				t.Errorf("the service saw %+v", got)
			}
			if !slices.Equal(got.Received, want.Received) {
				t.Errorf("the service received %q\nwithout the forgery %q", got.Received, want.Received)
			}
			if r := send(t, "GET", s.url+"/admin", "", token, forged); r.status != 403 {
				t.Errorf("admin: status %d", r.status)
			}
			if r := send(t, "GET", s.url+"/whoami", "", forged); r.status != 401 {
				t.Errorf("without a token: status %d", r.status)
			}
		})
	}
}

func TestRule6_ForgedMetadataChangesNothingBehindTheGateway(t *testing.T) {
	t.Parallel()
	s := startSystem(t)
	client := pb.NewWhoAmIClient(dial(t, s.address))
	token := s.token(t, jwt.MapClaims{"permissions": nil})
	want, err := client.Get(as(t, token), &pb.GetRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range forgeries {
		name = strings.ToLower(name)
		t.Run(name, func(t *testing.T) {
			got, err := client.Get(metadata.AppendToOutgoingContext(as(t, token), name, "admin"), &pb.GetRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != want.Subject || !slices.Equal(got.Roles, want.Roles) || len(got.Permissions) != 0 ||
				!slices.Equal(got.Received, want.Received) {
				t.Errorf("the service saw %v\nwithout the forgery %v", got, want)
			}
		})
	}
}

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
	soon := as(t, s.token(t, jwt.MapClaims{"exp": time.Now().Add(3 * time.Second).Unix()}))

	silent, err := client.Chat(soon)
	if err != nil {
		t.Fatal(err)
	}
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
	_, err = silent.Recv() // the service is blocked in a receive
	wantStatus(t, err, codes.Unauthenticated)
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
	const messages, size = 2000, 64 << 10 // 125 MiB
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
	for before := int64(-1); sent.Load() != before || before == 0; time.Sleep(300 * time.Millisecond) {
		before = sent.Load()
	}
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

func TestGatewayStartsWithoutItsProvider(t *testing.T) {
	t.Parallel()
	_, httpURL, grpcAddress := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := newProvider(t)
	s := startGateway(t, p, "-upstream", httpURL, "-grpc-upstream", grpcAddress, "-forward", "fields")
	token := p.token(t, nil)
	client := pb.NewWhoAmIClient(dial(t, s.address))

	if r := send(t, "GET", s.url+"/healthz", ""); r.status != 200 {
		t.Errorf("healthz: status %d", r.status)
	}
	if r := send(t, "GET", s.url+"/readyz", ""); r.status != 503 {
		t.Errorf("readyz: status %d, want 503", r.status)
	}
	r := send(t, "GET", s.url+"/whoami", "", "Authorization: Bearer "+token)
	if r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q; want 503 with one", r.status, r.header.Get("Retry-After"))
	}
	_, err := client.Get(as(t, token), &pb.GetRequest{})
	wantStatus(t, err, codes.Unavailable)

	p.run(t)
	s.waitReady(t)
	if r := send(t, "GET", s.url+"/whoami", "", "Authorization: Bearer "+token); r.status != 200 {
		t.Errorf("after recovery: status %d, body %s", r.status, r.body)
	}
	if _, err := client.Get(as(t, token), &pb.GetRequest{}); err != nil {
		t.Errorf("after recovery: %v", err)
	}
}

func TestGatewayTakesKeysFromJWKS(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := newProvider(t).run(t)
	s := startGateway(t, p, "-jwks", p.issuer+"/keys", "-algorithms", "EdDSA", "-upstream", httpURL)
	s.waitReady(t)
	if r := send(t, "GET", s.url+"/whoami", "", "Authorization: Bearer "+p.token(t, nil)); r.status != 200 {
		t.Errorf("status %d, body %s", r.status, r.body)
	}
}

func TestGatewayTakesTokensOfSeveralIssuers(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	one, other := newProvider(t).run(t), newProvider(t).run(t)
	s := startGateway(t, one, "-issuer", other.issuer, "-upstream", httpURL)
	s.waitReady(t)
	for _, p := range []*provider{one, other} {
		r := send(t, "GET", s.url+"/whoami", "", "Authorization: Bearer "+p.token(t, nil))
		if r.status != 200 || decode(t, r).Issuer != p.issuer {
			t.Errorf("status %d, body %s", r.status, r.body)
		}
	}
	forged := one.token(t, jwt.MapClaims{"iss": other.issuer})
	if r := send(t, "GET", s.url+"/whoami", "", "Authorization: Bearer "+forged); r.status != 401 {
		t.Errorf("one issuer's key vouched for another: status %d", r.status)
	}
}

func TestGatewayJudgesTokensAsItsFlagsSay(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := newProvider(t).run(t)
	justExpired := jwt.MapClaims{"exp": time.Now().Add(-5 * time.Second).Unix()}
	for _, test := range []struct {
		name   string
		args   []string
		token  string
		status int
	}{
		{"untyped tokens are taken", nil, p.typedToken(t, "JWT", nil), 200},
		{"ID tokens are not", nil, p.typedToken(t, "JWT", jwt.MapClaims{"at_hash": "x"}), 401},
		{"a type is asked for", []string{"-typ", "at+jwt"}, p.token(t, nil), 200},
		{"and another refused", []string{"-typ", "at+jwt"}, p.typedToken(t, "JWT", nil), 401},
		{"clocks may differ", nil, p.token(t, justExpired), 200},
		{"not with a small leeway", []string{"-leeway", "1s"}, p.token(t, justExpired), 401},
		{"not without leeway", []string{"-leeway", "0s"}, p.token(t, justExpired), 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startGateway(t, p, append(test.args, "-upstream", httpURL)...)
			s.waitReady(t)
			if r := send(t, "GET", s.url+"/whoami", "", "Authorization: Bearer "+test.token); r.status != test.status {
				t.Errorf("status %d, want %d; body %s", r.status, test.status, r.body)
			}
		})
	}
}

func TestGatewayReadsClaimsByPreset(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := newProvider(t).run(t)
	for _, test := range []struct {
		preset string
		claims jwt.MapClaims
		status int // of a request that needs the role admin
	}{
		{"keycloak", jwt.MapClaims{"typ": "Bearer", "roles": nil, "realm_access": map[string]any{"roles": []string{"admin"}}}, 200},
		{"keycloak", jwt.MapClaims{"typ": "Bearer", "roles": nil, "resource_access": map[string]any{audience: map[string]any{"roles": []string{"admin"}}}}, 200},
		{"keycloak:other", jwt.MapClaims{"typ": "Bearer", "roles": nil, "resource_access": map[string]any{audience: map[string]any{"roles": []string{"admin"}}}}, 403},
		{"keycloak", jwt.MapClaims{"typ": "ID", "realm_access": map[string]any{"roles": []string{"admin"}}}, 401},
		{"google", jwt.MapClaims{"at_hash": "x", "roles": []string{"admin"}}, 200},
		{"rfc9068", jwt.MapClaims{"at_hash": "x", "roles": []string{"admin"}}, 401},
		{"cognito", jwt.MapClaims{"aud": nil, "client_id": audience, "token_use": "access", "roles": []string{"admin"}}, 200},
		{"cognito", jwt.MapClaims{"aud": nil, "client_id": "other", "token_use": "access", "roles": []string{"admin"}}, 401},
		{"spiffe", jwt.MapClaims{"sub": "spiffe://example.org/x"}, 401}, // of another issuer
	} {
		s := startGateway(t, p, "-claims", test.preset, "-upstream", httpURL)
		s.waitReady(t)
		token := p.typedToken(t, "JWT", test.claims)
		if r := send(t, "GET", s.url+"/admin", "", "Authorization: Bearer "+token); r.status != test.status {
			t.Errorf("%s %v: status %d, body %s", test.preset, test.claims, r.status, r.body)
		}
	}
}

func TestGatewayAsksAboutOpaqueTokens(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := newProvider(t).run(t)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "gateway" || secret != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		active := r.FormValue("token") == "opaque-and-good"
		answer := map[string]any{"active": active}
		if active {
			answer = map[string]any{"active": true, "iss": p.issuer, "sub": "bob", "aud": audience,
				"client_id": "web", "exp": time.Now().Add(time.Hour).Unix()}
		}
		writeJSON(w, answer)
	}))
	defer endpoint.Close()
	s := startGateway(t, p, "-upstream", httpURL, "-introspect", strings.Replace(endpoint.URL, "//", "//gateway:s3cret@", 1))
	s.waitReady(t)
	for _, test := range []struct {
		token, subject string
		status         int
	}{
		{"opaque-and-good", "bob", 200},
		{"opaque-and-bad", "", 401},
		{s.token(t, nil), "testuser", 200},
		{s.token(t, jwt.MapClaims{"aud": "https://other.example.com"}), "", 401},
	} {
		r := send(t, "GET", s.url+"/whoami", "", "Authorization: Bearer "+test.token)
		if r.status != test.status || r.status == 200 && decode(t, r).Subject != test.subject {
			t.Errorf("%.20s: status %d, body %s", test.token, r.status, r.body)
		}
	}
}

func TestGatewayWithoutAnUpstreamOfThatKind(t *testing.T) {
	t.Parallel()
	s := startGateway(t, newProvider(t).run(t), "-upstream", "http://127.0.0.1:1")
	s.waitReady(t)
	_, err := pb.NewWhoAmIClient(dial(t, s.address)).Get(as(t, s.token(t, nil)), &pb.GetRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v, want Unimplemented", err)
	}
}

func TestGatewaySaysWhenAnUpstreamIsAway(t *testing.T) {
	t.Parallel()
	s := startGateway(t, newProvider(t).run(t), "-upstream", "http://127.0.0.1:1", "-grpc-upstream", "127.0.0.1:1")
	s.waitReady(t)
	if r := send(t, "GET", s.url+"/", "", "Authorization: Bearer "+s.token(t, nil)); r.status != http.StatusBadGateway {
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
	send(t, "GET", s.url+"/whoami", "", "Authorization: Bearer "+s.token(t, nil))
	send(t, "GET", s.url+"/whoami", "")
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

func TestGatewayRefusesBadFlags(t *testing.T) {
	t.Parallel()
	good := []string{"-listen", "127.0.0.1:0", "-issuer", "https://idp.example.com", "-audience", "a", "-upstream", "http://127.0.0.1:1"}
	for name, test := range map[string]struct {
		args []string
		says []string
	}{
		"nothing at all":        {nil, []string{"-issuer", "-audience", "-upstream"}},
		"no audience":           {[]string{"-issuer", "https://idp.example.com", "-upstream", "http://127.0.0.1:1"}, []string{"-audience"}},
		"an empty issuer":       {append(good[:0:0], append(good, "-issuer", "")...), []string{"issuer"}},
		"an unknown algorithm":  {append(good[:0:0], append(good, "-algorithms", "RS256,none")...), []string{"none"}},
		"an empty algorithm":    {append(good[:0:0], append(good, "-algorithms", "")...), []string{"lgorithm"}},
		"an unknown forward":    {append(good[:0:0], append(good, "-forward", "everything")...), []string{"-forward", "everything"}},
		"keys that never rest":  {append(good[:0:0], append(good, "-forward", "txn", "-rotate", "1ms")...), []string{"-rotate"}},
		"tokens for hours":      {append(good[:0:0], append(good, "-forward", "txn", "-txn-life", "5h")...), []string{"Lifetime"}},
		"an upstream of no URL": {append(good[:0:0], append(good, "-upstream", "127.0.0.1:1")...), []string{"-upstream"}},
		"a gRPC upstream URL":   {append(good[:0:0], append(good, "-grpc-upstream", "http://127.0.0.1:1")...), []string{"-grpc-upstream"}},
		"no credentials to ask": {append(good[:0:0], append(good, "-introspect", "http://127.0.0.1:1")...), []string{"GATEWAY_CLIENT_SECRET"}},
		"a bad URL to ask":      {append(good[:0:0], append(good, "-introspect", "http://id:s3cret@[")...), []string{"-introspect"}},
		"an unknown flag":       {append(good[:0:0], append(good, "-nonsense")...), []string{"-nonsense"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runToEnd(t, "gateway", test.args...)
			if code != 2 || stdout != "" || strings.Contains(stderr, "s3cret") {
				t.Errorf("exit status %d, standard output %q, standard error %q", code, stdout, stderr)
			}
			for _, s := range test.says {
				if !strings.Contains(stderr, s) {
					t.Errorf("standard error lacks %q:\n%s", s, stderr)
				}
			}
		})
	}
}

func TestHelpExplainsEveryFlag(t *testing.T) {
	t.Parallel()
	for program, flags := range map[string][]string{
		"gateway": {"listen", "issuer", "audience", "jwks", "algorithms", "upstream", "grpc-upstream", "forward",
			"introspect", "external-url", "typ", "claims", "leeway", "keys-refresh", "keys-cooldown", "trust-domain", "internal-listen", "txn-life", "rotate"},
		"quickstart": {"serve", "token-life"},
		"whoami":     {"http", "grpc", "trust", "trust-domain", "cert", "key"},
	} {
		t.Run(program, func(t *testing.T) {
			code, stdout, stderr := runToEnd(t, program, "-h")
			if code != 0 || stderr != "" {
				t.Errorf("exit status %d, standard error %q", code, stderr)
			}
			for _, name := range flags {
				if !strings.Contains(stdout, "  -"+name) {
					t.Errorf("-%s is not explained:\n%s", name, stdout)
				}
			}
		})
	}
}
