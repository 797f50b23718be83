package jwtauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// segment decodes one part of a token without verifying it.
func segment(t testing.TB, token string, i int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("token has %d parts", len(parts))
	}
	var m map[string]any
	if err := json.Unmarshal(must(base64.RawURLEncoding.DecodeString(parts[i])), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func tokenHeader(t testing.TB, token string) map[string]any { return segment(t, token, 0) }
func tokenClaims(t testing.TB, token string) map[string]any { return segment(t, token, 1) }

func issuerWith(t testing.TB, key *jwtauth.SigningKey, now func() time.Time) *jwtauth.Issuer {
	t.Helper()
	keys, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: keys, Lifetime: 5 * time.Minute, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}

func TestRule1_AnIssuedTokenLivesForADayAtMost(t *testing.T) {
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA), Ahead: time.Hour, Retain: 48 * time.Hour}))
	for life, good := range map[time.Duration]bool{24 * time.Hour: true, 24*time.Hour + 1: false, 24*time.Hour + time.Second: false, -time.Second: false} {
		_, err := jwtauth.NewIssuer(jwtauth.IssuerConfig{Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: keys, Lifetime: life})
		if good != (err == nil) {
			t.Errorf("%v: %v", life, err)
		}
	}
}

func TestRule1_IssuerNamesEveryMissingSetting(t *testing.T) {
	_, err := jwtauth.NewIssuer(jwtauth.IssuerConfig{})
	for _, want := range []string{"Issuer", "Audiences", "Keys", "Lifetime"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
}

func TestIssuerRefusesContradictions(t *testing.T) {
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA), Retain: time.Minute}))
	good := jwtauth.IssuerConfig{Issuer: "https://a.example", Audiences: []string{"api"}, Keys: keys, Lifetime: time.Minute}
	if _, err := jwtauth.NewIssuer(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*jwtauth.IssuerConfig){
		"an issuer that is no URL":           func(c *jwtauth.IssuerConfig) { c.Issuer = "auth" },
		"an issuer with a query":             func(c *jwtauth.IssuerConfig) { c.Issuer += "?x=1" },
		"an issuer without a host":           func(c *jwtauth.IssuerConfig) { c.Issuer = "https://:443" },
		"an issuer with an empty query":      func(c *jwtauth.IssuerConfig) { c.Issuer += "?" },
		"an issuer with a fragment":          func(c *jwtauth.IssuerConfig) { c.Issuer += "#x" },
		"an issuer with an empty fragment":   func(c *jwtauth.IssuerConfig) { c.Issuer += "/#" },
		"an issuer with a user":              func(c *jwtauth.IssuerConfig) { c.Issuer = "https://u:p@a.example" },
		"an empty audience":                  func(c *jwtauth.IssuerConfig) { c.Audiences = []string{"api", ""} },
		"no lifetime":                        func(c *jwtauth.IssuerConfig) { c.Lifetime = 0 },
		"a lifetime of less than a second":   func(c *jwtauth.IssuerConfig) { c.Lifetime = time.Second - 1 },
		"a lifetime that no token can say":   func(c *jwtauth.IssuerConfig) { c.Lifetime = 1500 * time.Millisecond },
		"a lifetime of a week":               func(c *jwtauth.IssuerConfig) { c.Lifetime = 7 * 24 * time.Hour },
		"tokens that outlive published keys": func(c *jwtauth.IssuerConfig) { c.Lifetime = 2 * time.Minute },
	} {
		cfg := good
		if change(&cfg); errorOf(jwtauth.NewIssuer(cfg)) == nil {
			t.Errorf("accepted %s", name)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }

// Every algorithm, in memory and behind a crypto.Signer, must verify with
// golang-jwt and keyfunc, which share no signing code with the issuer.
func TestIssuedTokensVerifyElsewhere(t *testing.T) {
	rs := must(rsa.GenerateKey(rand.Reader, 2048))
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	keys := []jwtauth.SigningKeyConfig{
		{Algorithm: jwtauth.RS256, Signer: rs}, {Algorithm: jwtauth.RS256, Signer: kmsSigner{rs}}, {Algorithm: jwtauth.RS512, Signer: rs},
		{Algorithm: jwtauth.PS256, Signer: rs}, {Algorithm: jwtauth.PS384, Signer: kmsSigner{rs}},
		{Algorithm: jwtauth.ES256, Signer: ec}, {Algorithm: jwtauth.ES256, Signer: kmsSigner{ec}},
		{Algorithm: jwtauth.ES384, Signer: must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))},
		{Algorithm: jwtauth.ES512, Signer: must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))},
	}
	for _, cfg := range keys {
		t.Run(fmt.Sprintf("%s with %T", cfg.Algorithm, cfg.Signer), func(t *testing.T) {
			verifyElsewhere(t, must(jwtauth.NewSigningKey(cfg)))
		})
	}
	t.Run("EdDSA", func(t *testing.T) { verifyElsewhere(t, newTestKey(t, jwtauth.EdDSA)) })
	for _, alg := range []jwtauth.Algorithm{jwtauth.HS256, jwtauth.HS384, jwtauth.HS512} {
		t.Run(string(alg), func(t *testing.T) {
			secret := []byte(strings.Repeat("0123456789abcdef", 4))
			issuer := issuerWith(t, must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: alg, Secret: secret})), nil)
			token := must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"}))
			if _, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return secret, nil },
				jwt.WithValidMethods([]string{string(alg)})); err != nil {
				t.Error(err)
			}
		})
	}
}

func verifyElsewhere(t *testing.T, key *jwtauth.SigningKey) {
	issuer := issuerWith(t, key, nil)
	rec := httptest.NewRecorder()
	issuer.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
	kf, err := keyfunc.NewJWKSetJSON(rec.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // ECDSA signatures differ in length before they are padded
		token := must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"}))
		if _, err := jwt.Parse(token, kf.Keyfunc, jwt.WithValidMethods([]string{string(key.Algorithm())}),
			jwt.WithIssuer("https://auth.example"), jwt.WithAudience("api"), jwt.WithExpirationRequired()); err != nil {
			t.Error(err)
		}
	}
}

func TestIssueWritesTheClaimsOfRFC9068(t *testing.T) {
	clock := newTestClock()
	issuer := issuerWith(t, newTestKey(t, jwtauth.EdDSA), clock.Now)
	token, err := issuer.Issue(t.Context(), authctx.Attributes{
		Subject: "alice", ClientID: "web", Name: "Alice", Email: "alice@example.com", Tenant: "acme", SessionID: "s1",
		TokenID: "t1", ACR: "2", AMR: []string{"pwd", "otp"}, Roles: []string{"admin"}, Permissions: []string{"orders:create"},
		Scopes: []string{"read", "write"}, Groups: []string{"g"}, AuthTime: clock.Now().Add(-time.Hour),
		Actors: []authctx.Actor{{Issuer: "i1", Subject: "s1"}, {Issuer: "i2", Subject: "s2"}},
		Extra:  map[string][]string{"https://example.com/team": {"blue"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if h := tokenHeader(t, token); h["typ"] != "at+jwt" || h["alg"] != "EdDSA" || len(h) != 3 {
		t.Errorf("header %v", h)
	}
	now := float64(clock.Now().Unix())
	want := map[string]any{
		"iss": "https://auth.example", "sub": "alice", "aud": "api", "client_id": "web", "iat": now, "exp": now + 300,
		"jti": "t1", "scope": "read write", "roles": []any{"admin"}, "groups": []any{"g"}, "entitlements": []any{"orders:create"},
		"tenant": "acme", "name": "Alice", "email": "alice@example.com", "sid": "s1", "acr": "2", "amr": []any{"pwd", "otp"},
		"auth_time":                now - 3600,
		"act":                      map[string]any{"iss": "i1", "sub": "s1", "act": map[string]any{"iss": "i2", "sub": "s2"}},
		"https://example.com/team": []any{"blue"},
	}
	if got := tokenClaims(t, token); !reflect.DeepEqual(got, want) {
		t.Errorf("claims\n got %v\nwant %v", got, want)
	}
}

func TestIssuedTokensComeBackAsTheSameCaller(t *testing.T) {
	clock := newTestClock()
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.ES256), Now: clock.Now}))
	issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: "https://auth.example", Audiences: []string{"api", "other"}, Keys: keys, Lifetime: time.Minute, Now: clock.Now,
	}))
	mapping := must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Extra: map[string][]jwtauth.ClaimSource{"region": {jwtauth.Claim("region")}},
	}))
	verifier := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Keys: keys,
		Types: jwtauth.RFC9068Types(), Claims: mapping, Leeway: jwtauth.NoLeeway, Now: clock.Now,
	}))
	user := fullAttributes(clock.Now())
	user.Issuer, user.Expires, user.AsOf, user.GroupsIncomplete = "", time.Time{}, time.Time{}, false
	user.Extra = map[string][]string{"region": {"eu", "us"}}
	user.Provenance, user.Claims = 99, "{" // which are ignored
	for _, a := range []authctx.Attributes{user, {Subject: "batch", Kind: authctx.Service, TokenID: "t"}} {
		p, err := verifier.Verify(t.Context(), must(issuer.Issue(t.Context(), a)))
		if err != nil {
			t.Fatal(err)
		}
		a.Issuer, a.IssuedAt, a.Expires, a.Provenance = "https://auth.example", clock.Now(), clock.Now().Add(time.Minute), authctx.Verified
		a.Claims = ""
		if a.Kind == authctx.Service {
			a.ClientID = a.Subject
		}
		got, want := p.Attributes(), must(authctx.New(a)).Attributes()
		got.Claims, want.Claims = "", ""
		if !reflect.DeepEqual(got, want) {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
	}
}

func TestIssueFillsInWhatIsLeftOut(t *testing.T) {
	clock := newTestClock()
	issuer := issuerWith(t, newTestKey(t, jwtauth.EdDSA), clock.Now)
	one := tokenClaims(t, must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "batch", Kind: authctx.Service})))
	two := tokenClaims(t, must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "batch", Kind: authctx.Service})))
	if one["client_id"] != "batch" {
		t.Errorf("client_id of a service is %v", one["client_id"])
	}
	if id, _ := one["jti"].(string); len(id) < 22 || id == two["jti"] {
		t.Errorf("token IDs %v and %v are not 128 random bits", one["jti"], two["jti"])
	}
	end := clock.Now().Add(time.Minute)
	early := tokenClaims(t, must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c", Expires: end})))
	if early["exp"] != float64(end.Unix()) {
		t.Errorf("an earlier end was not honoured: %v", early["exp"])
	}
	late := tokenClaims(t, must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c", Expires: clock.Now().Add(time.Hour)})))
	if late["exp"] != one["exp"] {
		t.Errorf("a later end outlives Lifetime: %v", late["exp"])
	}
}

func TestIssueRefuses(t *testing.T) {
	clock := newTestClock()
	issuer := issuerWith(t, newTestKey(t, jwtauth.EdDSA), clock.Now)
	for name, change := range map[string]func(*authctx.Attributes){
		"no subject":                      func(a *authctx.Attributes) { a.Subject = "" },
		"no client":                       func(a *authctx.Attributes) { a.ClientID = "" },
		"another issuer":                  func(a *authctx.Attributes) { a.Issuer = "https://evil.example" },
		"a user who is the client":        func(a *authctx.Attributes) { a.Subject = "c" },
		"a service that is not":           func(a *authctx.Attributes) { a.Kind = authctx.Service },
		"an end in the past":              func(a *authctx.Attributes) { a.Expires = clock.Now() },
		"two scopes in one":               func(a *authctx.Attributes) { a.Scopes = []string{"read admin"} },
		"a scope with a quote":            func(a *authctx.Attributes) { a.Scopes = []string{`re"ad`} },
		"an incomplete group list":        func(a *authctx.Attributes) { a.GroupsIncomplete = true },
		"attributes of an earlier time":   func(a *authctx.Attributes) { a.AsOf = clock.Now() },
		"an empty role":                   func(a *authctx.Attributes) { a.Roles = []string{""} },
		"an extra claim named sub":        func(a *authctx.Attributes) { a.Extra = map[string][]string{"sub": {"admin"}} },
		"an extra claim named SUB":        func(a *authctx.Attributes) { a.Extra = map[string][]string{"SUB": {"admin"}} },
		"an extra claim that folds to it": func(a *authctx.Attributes) { a.Extra = map[string][]string{"ſub": {"admin"}} },
		"an extra claim of an ID token":   func(a *authctx.Attributes) { a.Extra = map[string][]string{"at_hash": {"x"}} },
		"extra claims that differ in case": func(a *authctx.Attributes) {
			a.Extra = map[string][]string{"dept": {"x"}, "other": {"y"}, "Dept": {"z"}}
		},
		"an end within this second": func(a *authctx.Attributes) { a.Expires = clock.Now().Add(time.Second - 1) },
		"more actors than verifiers read": func(a *authctx.Attributes) {
			for n := range 32 {
				a.Actors = append(a.Actors, authctx.Actor{Issuer: "i", Subject: fmt.Sprint(n)})
			}
		},
		"more than verifiers read": func(a *authctx.Attributes) { a.Name = strings.Repeat("x", 12<<10) },
	} {
		a := authctx.Attributes{Subject: "u", ClientID: "c"}
		change(&a)
		if token, err := issuer.Issue(t.Context(), a); err == nil || token != "" {
			t.Errorf("issued a token for %s", name)
		}
	}
	for _, name := range []string{"txn", "req_wl", "tctx", "rctx", "cnf", "act", "may_act", "events", "token_use", "token_usage", "typ", "nonce",
		"purp", "azd", "active", "token_type"} {
		a := authctx.Attributes{Subject: "u", ClientID: "c", Extra: map[string][]string{name: {"x"}}}
		if token, err := issuer.Issue(t.Context(), a); err == nil || token != "" {
			t.Errorf("issued a token with an extra claim named %s", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := issuer.Issue(ctx, authctx.Attributes{Subject: "u", ClientID: "c"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}

// Whatever is issued, a verifier that was told nothing else takes it.
func TestIssuedTokensAreNotRefused(t *testing.T) {
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
	issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: keys, Lifetime: time.Minute,
	}))
	verifier := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Keys: keys,
	}))
	issued := 0
	try := func(name string, change func(*authctx.Attributes)) {
		a := authctx.Attributes{Subject: "u", ClientID: "c"}
		change(&a)
		token, err := issuer.Issue(t.Context(), a)
		if err != nil {
			return
		}
		issued++
		p, err := verifier.Verify(t.Context(), token)
		if err != nil || p.Name() != a.Name || len(p.Actors()) != len(a.Actors) || p.Subject() != "u" || p.ClientID() != "c" || p.Tenant() != "" {
			t.Errorf("%s: issued, and then %v, %v", name, p, err)
		}
	}
	names := append(jwtauth.ClaimNames(jwtauth.RFC9068Claims()), "exp", "nbf", "cnf", "tid", "at_hash", "c_hash", "events", "dept")
	for _, name := range names {
		for _, spelled := range []string{name, strings.ToUpper(name), strings.ReplaceAll(name, "s", "ſ")} {
			try("extra "+spelled, func(a *authctx.Attributes) { a.Extra = map[string][]string{spelled: {"x"}} })
		}
	}
	for n := range 40 {
		try(fmt.Sprint(n, " actors"), func(a *authctx.Attributes) {
			for n := range n {
				a.Actors = append(a.Actors, authctx.Actor{Issuer: "i", Subject: fmt.Sprint(n)})
			}
		})
		try(fmt.Sprint(n, " KiB"), func(a *authctx.Attributes) { a.Name = strings.Repeat("x", n<<10) })
	}
	if issued < 40 {
		t.Errorf("only %d tokens were issued", issued)
	}
}

func TestRule12_IssueChangesNothingItWasLent(t *testing.T) {
	issuer := issuerWith(t, newTestKey(t, jwtauth.EdDSA), nil)
	a := authctx.Attributes{Subject: "u", ClientID: "c", Extra: map[string][]string{"x": {"1"}}, Scopes: []string{"a"}}
	must(issuer.Issue(t.Context(), a))
	if !reflect.DeepEqual(a, authctx.Attributes{Subject: "u", ClientID: "c", Extra: map[string][]string{"x": {"1"}}, Scopes: []string{"a"}}) {
		t.Errorf("attributes changed: %v", a)
	}
}

func TestHandlerServesDiscoveryWhereTheIssuerSays(t *testing.T) {
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
	for identifier, paths := range map[string][]string{
		"https://auth.example":          {"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"},
		"https://auth.example/":         {"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"},
		"https://auth.example/realms/a": {"/realms/a/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/realms/a", "/realms/a/.well-known/jwks.json"},
	} {
		issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
			Issuer: identifier, Audiences: []string{"api"}, Keys: keys, Lifetime: time.Minute,
		}))
		get := func(path string) *http.Response {
			rec := httptest.NewRecorder()
			issuer.Handler().ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
			return rec.Result()
		}
		for _, path := range paths[:2] {
			var doc map[string]string
			if err := json.Unmarshal(must(io.ReadAll(get(path).Body)), &doc); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if doc["issuer"] != identifier || doc["jwks_uri"] != "https://auth.example"+paths[2] {
				t.Errorf("%s of %s: %v", path, identifier, doc)
			}
		}
		if resp := get(paths[2]); resp.StatusCode != 200 {
			t.Errorf("key set of %s: %d", identifier, resp.StatusCode)
		}
		if resp := get("/other"); resp.StatusCode != 404 {
			t.Errorf("other path of %s: %d", identifier, resp.StatusCode)
		}
	}
}

func fetchBody(url string) ([]byte, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
