package examples_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A client that knows nothing but the address of an API asks that first, and each
// answer says whom to ask next (RFC 9728 section 5).
func TestGatewayTellsClientsWhereTheyGetTokens(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := startProvider(t)
	const resource = "https://gateway.example/api"
	s := startGateway(t, p, "-upstream", httpURL, "-resource", resource, "-scopes", "orders:read,orders:write", "-audience", resource)
	s.waitReady(t)
	refused := send(t, "GET", s.url+"/whoami")
	_, rest, _ := strings.Cut(refused.header.Get("WWW-Authenticate"), `resource_metadata="`)
	where, _, _ := strings.Cut(rest, `"`)
	path, ok := strings.CutPrefix(where, "https://gateway.example/")
	if refused.status != 401 || !ok {
		t.Fatalf("status %d, metadata at %q", refused.status, where)
	}
	var document struct {
		Resource string
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	if r := send(t, "GET", s.url+"/"+path); r.status != 200 {
		t.Fatalf("the document: status %d, body %s", r.status, r.body)
	} else if err := json.Unmarshal([]byte(r.body), &document); err != nil {
		t.Fatal(err)
	}
	if document.Resource != resource || !slices.Equal(document.Servers, []string{p.issuer}) || !slices.Equal(document.Scopes, []string{"orders:read", "orders:write"}) {
		t.Fatalf("the document says %+v", document)
	}
	token := p.token(t, jwt.MapClaims{"aud": document.Resource})
	if r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+token); r.status != 200 {
		t.Errorf("a token for it: status %d, body %s", r.status, r.body)
	}
}

func TestGatewayTakesKeysFromJWKS(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := startProvider(t)
	s := startGateway(t, p, "-jwks", p.issuer+"/keys", "-algorithms", "EdDSA", "-upstream", httpURL)
	s.waitReady(t)
	if r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+p.token(t, nil)); r.status != 200 {
		t.Errorf("status %d, body %s", r.status, r.body)
	}
}

func TestGatewayFollowsAKeyRotation(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	s := startGateway(t, startProvider(t), "-upstream", httpURL, "-keys-refresh", "2s", "-keys-cooldown", "1s")
	s.waitReady(t)
	get := func(token string) int {
		return send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+token).status
	}
	old := s.token(t, nil)
	if status := get(old); status != 200 {
		t.Fatalf("status %d before", status)
	}
	s.rotate(t, "k2")
	if status := get(s.token(t, nil)); status != 200 {
		t.Errorf("the new key is not known at once: status %d", status)
	}
	eventually(t, "the old key to be forgotten", func() bool { return get(old) == 401 })
}

// No token leads the gateway to these keys: it finds the change by itself.
func TestGatewayLoadsKeysAsOftenAsItIsTold(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	s := startGateway(t, startProvider(t), "-upstream", httpURL, "-keys-refresh", "1s")
	s.waitReady(t)
	old := s.token(t, nil)
	s.rotate(t, "k2")
	eventually(t, "the old key to be forgotten", func() bool {
		return send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+old).status == 401
	})
}

// A token of nobody's spends the load that unknown keys may cause. A key that is
// published after that is one for later, and the client learns for how much later.
func TestGatewayLooksForUnknownKeysAsOftenAsItIsTold(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := startProvider(t)
	forger := &provider{issuer: p.issuer}
	forger.rotate(t, "forged")
	s := startGateway(t, p, "-upstream", httpURL, "-keys-cooldown", "10m")
	s.waitReady(t)
	if r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+forger.token(t, nil)); r.status != 401 {
		t.Fatalf("a forged token: status %d", r.status)
	}
	p.rotate(t, "k2")
	r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+s.token(t, nil))
	if after, err := strconv.Atoi(r.header.Get("Retry-After")); r.status != 503 || err != nil || after <= 10 || after > 600 {
		t.Errorf("status %d, Retry-After %q", r.status, r.header.Get("Retry-After"))
	}
}

func TestGatewayTakesTokensOfSeveralIssuers(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	one, other := startProvider(t), startProvider(t)
	s := startGateway(t, one, "-issuer", other.issuer, "-upstream", httpURL)
	s.waitReady(t)
	for _, p := range []*provider{one, other} {
		r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+p.token(t, nil))
		if r.status != 200 || decode(t, r).Issuer != p.issuer {
			t.Errorf("status %d, body %s", r.status, r.body)
		}
	}
	forged := one.token(t, jwt.MapClaims{"iss": other.issuer})
	if r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+forged); r.status != 401 {
		t.Errorf("one issuer's key vouched for another: status %d", r.status)
	}
}

func TestGatewayJudgesTokensAsItsFlagsSay(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := startProvider(t)
	token := func(typ string, changes jwt.MapClaims) func() string {
		return func() string { return p.typedToken(t, typ, changes) }
	}
	ended := func(ago time.Duration) func() string {
		return func() string { return p.token(t, jwt.MapClaims{"exp": time.Now().Add(-ago).Unix()}) }
	}
	for _, test := range []struct {
		name   string
		args   []string
		token  func() string
		status int
	}{
		{"untyped tokens are taken", nil, token("JWT", nil), 200},
		{"ID tokens are not", nil, token("JWT", jwt.MapClaims{"at_hash": "x"}), 401},
		{"a type is asked for", []string{"-typ", "at+jwt"}, token("at+jwt", nil), 200},
		{"and another refused", []string{"-typ", "at+jwt"}, token("JWT", nil), 401},
		{"that type is RFC 9068, whose tokens have an ID", []string{"-typ", "at+jwt"}, token("at+jwt", jwt.MapClaims{"jti": nil}), 401},
		{"and a client", []string{"-typ", "application/AT+jwt"}, token("at+jwt", jwt.MapClaims{"client_id": nil}), 401},
		{"and a time of issue", []string{"-typ", "at+jwt"}, token("at+jwt", jwt.MapClaims{"iat": nil}), 401},
		{"a type of somebody's own", []string{"-typ", "acme+jwt"}, token("acme+jwt", nil), 200},
		{"which is not the usual one", []string{"-typ", "acme+jwt"}, token("at+jwt", nil), 401},
		{"the second of two", []string{"-typ", "at+jwt,acme+jwt"}, token("acme+jwt", nil), 200},
		{"beside another it is a name", []string{"-typ", "at+jwt,acme+jwt"}, token("at+jwt", jwt.MapClaims{"jti": nil}), 200},
		{"clocks may differ", nil, ended(5 * time.Second), 200},
		{"by 30 s and no more", nil, ended(31 * time.Second), 401},
		{"not with a small leeway", []string{"-leeway", "1s"}, ended(5 * time.Second), 401},
		{"not without leeway", []string{"-leeway", "0s"}, ended(5 * time.Second), 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startGateway(t, p, append(test.args, "-upstream", httpURL)...)
			s.waitReady(t)
			if r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+test.token()); r.status != test.status {
				t.Errorf("status %d, want %d; body %s", r.status, test.status, r.body)
			}
		})
	}
}

func TestGatewayReadsClaimsByPreset(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := startProvider(t)
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
		{"dex", jwt.MapClaims{"at_hash": "x", "roles": []string{"admin"}, "client_id": nil}, 200},
		{"rfc9068", jwt.MapClaims{"at_hash": "x", "roles": []string{"admin"}}, 401},
		{"cognito", jwt.MapClaims{"aud": nil, "client_id": audience, "token_use": "access", "roles": []string{"admin"}}, 200},
		{"cognito", jwt.MapClaims{"aud": nil, "client_id": "other", "token_use": "access", "roles": []string{"admin"}}, 401},
		{"clerk", jwt.MapClaims{"aud": nil, "client_id": nil, "azp": audience, "roles": nil, "org_role": "org:admin"}, 200},
		{"clerk", jwt.MapClaims{"aud": nil, "client_id": nil, "azp": "https://other.example.com", "roles": nil, "org_role": "org:admin"}, 401},
	} {
		s := startGateway(t, p, "-claims", test.preset, "-upstream", httpURL)
		s.waitReady(t)
		token := p.typedToken(t, "JWT", test.claims)
		if r := send(t, "GET", s.url+"/admin", "Authorization: Bearer "+token); r.status != test.status {
			t.Errorf("%s %v: status %d, body %s", test.preset, test.claims, r.status, r.body)
		}
	}
}

func TestGatewayKnowsWorkloadsBySPIFFEID(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := startProvider(t)
	// The bundle of a trust domain is found by its address, not by its name.
	domain := &provider{issuer: "spiffe://example.org"}
	s := startGateway(t, domain, "-claims", "spiffe", "-jwks", p.issuer+"/keys", "-upstream", httpURL)
	s.waitReady(t)
	for _, typ := range []string{"JWT", "JOSE"} {
		token := p.typedToken(t, typ, jwt.MapClaims{"iss": nil, "client_id": nil, "sub": "spiffe://example.org/billing"})
		r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+token)
		if caller := decode(t, r); r.status != 200 || caller.Issuer != domain.issuer || caller.Subject != "spiffe://example.org/billing" {
			t.Errorf("%s: status %d, body %s", typ, r.status, r.body)
		}
	}
	for name, token := range map[string]string{
		"of another trust domain": p.typedToken(t, "JOSE", jwt.MapClaims{"sub": "spiffe://example.com/billing"}),
		"that is no JWT-SVID":     p.token(t, jwt.MapClaims{"sub": "spiffe://example.org/billing"}),
	} {
		if r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+token); r.status != 401 {
			t.Errorf("a token %s: status %d, body %s", name, r.status, r.body)
		}
	}
}
