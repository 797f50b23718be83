package jwtauth_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

var allAlgorithms = []jwtauth.Algorithm{
	jwtauth.HS256, jwtauth.HS384, jwtauth.HS512, jwtauth.RS256, jwtauth.RS384, jwtauth.RS512,
	jwtauth.PS256, jwtauth.PS384, jwtauth.PS512, jwtauth.ES256, jwtauth.ES384, jwtauth.ES512, jwtauth.EdDSA,
}

func TestEveryAlgorithmVerifiesItsOwnTokensAndNoOthers(t *testing.T) {
	tokens := map[jwtauth.Algorithm]string{}
	for _, a := range allAlgorithms {
		tokens[a] = signerFor(t, a).token(t, goodClaims(nil))
	}
	for _, a := range allAlgorithms {
		v := newVerifier(t, signerFor(t, a), nil)
		for b, token := range tokens {
			p, err := v.Verify(t.Context(), token)
			if a == b && (err != nil || p.Subject() != "alice" || p.Provenance() != authctx.Verified) {
				t.Errorf("%s: %v, %v", a, p, err)
			}
			if a != b && !errors.Is(err, authctx.InvalidToken) {
				t.Errorf("a verifier for %s takes a token by %s: %v", a, b, err)
			}
		}
	}
}

func TestVerifyReadsWhatRFC9068Defines(t *testing.T) {
	s := signerFor(t, jwtauth.ES256)
	p, err := newVerifier(t, s, nil).Verify(t.Context(), s.token(t, goodClaims(map[string]any{"tenant": "acme"})))
	if err != nil {
		t.Fatal(err)
	}
	if p.Issuer() != testIssuer || p.ClientID() != "web" || p.TokenID() != "t1" || p.Tenant() != "acme" ||
		!p.HasScope("write") || p.Kind() != authctx.User {
		t.Errorf("%+v", p.Attributes())
	}
	if want := testNow.Add(600*time.Second + 30*time.Second); !p.Expires().Equal(want) {
		t.Errorf("effective end %v, want exp and leeway: %v", p.Expires(), want)
	}
	var claims struct{ Sub, Scope string }
	if err := p.DecodeClaims(&claims); err != nil || claims.Sub != "alice" || claims.Scope != "read write" {
		t.Errorf("claims %+v, %v", claims, err)
	}
}

func TestATokenThatNamesNoKeyIsTakenWhereThereIsOneAlone(t *testing.T) {
	s, other := signerFor(t, jwtauth.EdDSA), signerFor(t, jwtauth.ES256)
	claims := asJSON(t, goodClaims(nil))
	unnamed := s.compact(t, `{"alg":"EdDSA","typ":"at+jwt"}`, claims)
	if _, err := newVerifier(t, s, nil).Verify(t.Context(), unnamed); err != nil {
		t.Errorf("the only key has an ID: %v", err)
	}
	refused(t, newVerifier(t, s, nil), "another ID than that of the only key", s.compact(t, `{"alg":"EdDSA","typ":"at+jwt","kid":"k2"}`, claims))
	nameless := must(jwtauth.NewPublicKey("", jwtauth.EdDSA, testEdKey().Public()))
	one := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Keys = must(jwtauth.NewStaticKeys(nameless)) })
	for _, token := range []string{unnamed, s.token(t, goodClaims(nil))} {
		if _, err := one.Verify(t.Context(), token); err != nil {
			t.Errorf("the only key has no ID: %v", err)
		}
	}
	second := must(jwtauth.NewPublicKey("k2", jwtauth.ES256, other.private.(*ecdsa.PrivateKey).Public()))
	refused(t, newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Keys = must(jwtauth.NewStaticKeys(s.key, second)) }), "one of two keys", unnamed)
}

func TestATokenWhoseSubjectIsItsClientIsAService(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	p, err := newVerifier(t, s, nil).Verify(t.Context(), s.token(t, goodClaims(map[string]any{"sub": "job", "client_id": "job"})))
	if err != nil || p.Kind() != authctx.Service {
		t.Errorf("%v, %v", p, err)
	}
}

func TestHeadersThatRealProvidersSendAreIgnored(t *testing.T) {
	s := signerFor(t, jwtauth.RS256)
	v := newVerifier(t, s, nil)
	for _, extra := range []string{
		`"x5t":"abc"`, `"x5t#S256":"abc"`, `"x5c":["MIIB"]`, `"jku":"https://evil.example/jwks"`, `"x5u":"https://evil.example/c"`,
		`"typ":"JWT"`, `"typ":"application/at+JWT"`, `"ver":{"a":[1]}`,
	} {
		if _, err := v.Verify(t.Context(), s.compact(t, `{"alg":"RS256","kid":"k1",`+extra+`}`, asJSON(t, goodClaims(nil)))); err != nil {
			t.Errorf("%s: %v", extra, err)
		}
	}
}

func TestEdDSAAndEd25519AreTheSameAlgorithm(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	token := s.compact(t, `{"alg":"Ed25519","kid":"k1"}`, asJSON(t, goodClaims(nil)))
	for _, a := range []jwtauth.Algorithm{"EdDSA", "Ed25519"} {
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Algorithms = []jwtauth.Algorithm{a} })
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("configured as %s: %v", a, err)
		}
	}
}

// A 30 that was to be seconds is 30 ns: every token would live too long, and every
// question take too long.
func TestRule1_ADurationWithoutAUnitIsNoSetting(t *testing.T) {
	for _, d := range []time.Duration{-1, 1, 30, 3600} {
		verifier := configFor(t, signerFor(t, jwtauth.EdDSA))
		verifier.MaxLifetime, verifier.Cache.MaxAge = d, d
		introspection := introspectionConfig("https://as.example.com/introspect", newClock())
		introspection.Timeout = d
		for name, err := range map[string]error{
			"MaxLifetime":  errorOf(jwtauth.NewVerifier(verifier)),
			"Cache.MaxAge": errorOf(jwtauth.NewVerifier(verifier)),
			"transaction token authenticator: MaxLifetime": errorOf(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{MaxLifetime: d})),
			"deferred work authenticator: MaxLifetime":     errorOf(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{MaxLifetime: d})),
			"Retain":                         errorOf(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Retain: d})),
			"IdleLifetime":                   errorOf(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{Lifetime: time.Hour, IdleLifetime: d})),
			"as.example.com\": Timeout":      errorOf(jwtauth.NewIntrospector(introspection)),
			"jwks\": Timeout":                errorOf(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: jwksURL, Timeout: d})),
			"resolving verifier: Timeout":    errorOf(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{Timeout: d})),
			"resolving verifier: MaxAge":     errorOf(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{MaxAge: d})),
			"resolving verifier: UnknownFor": errorOf(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{UnknownFor: d})),
		} {
			if err == nil || !strings.Contains(err.Error(), name+" must be at least 1") || !strings.Contains(err.Error(), d.String()) {
				t.Errorf("%s of %v: %v", name, d, err)
			}
		}
	}
}

func TestRule1_NewVerifierNamesEveryProblem(t *testing.T) {
	_, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{})
	requireNames(t, err, "Issuer", "Audiences", "Algorithms", "Keys")

	cfg := configFor(t, signerFor(t, jwtauth.RS256))
	cfg.Audiences, cfg.ClientIDs = []string{"a", ""}, []string{""}
	cfg.Algorithms = []jwtauth.Algorithm{"none", jwtauth.RS256}
	cfg.Leeway, cfg.MaxLifetime, cfg.MaxTokenBytes = time.Hour, -1, 10
	cfg.AllowMissingTokenID, cfg.Tenants = true, jwtauth.AnyTenant()
	cfg.Types = jwtauth.NamedTypes("")
	cfg.Cache = jwtauth.CacheConfig{Disabled: true, MaxEntries: -1}
	_, err = jwtauth.NewVerifier(cfg)
	requireNames(t, err, "Audiences", "ClientIDs", "Algorithms", "Leeway", "MaxLifetime", "MaxTokenBytes",
		"AllowMissingTokenID", "Tenants", "Types", "Cache")

	for _, leeway := range []time.Duration{-2, -time.Second, time.Millisecond, 1500 * time.Millisecond, 5*time.Minute + 1, 5*time.Minute + time.Second} {
		cfg = configFor(t, signerFor(t, jwtauth.RS256))
		cfg.Leeway = leeway
		_, err = jwtauth.NewVerifier(cfg)
		requireNames(t, err, "Leeway")
	}

	for size, good := range map[int]bool{-1: false, 1: false, 255: false, 256: true, 1 << 20: true, 1<<20 + 1: false} {
		cfg = configFor(t, signerFor(t, jwtauth.RS256))
		cfg.MaxTokenBytes = size
		if _, err = jwtauth.NewVerifier(cfg); good != (err == nil) {
			t.Errorf("MaxTokenBytes %d: %v", size, err)
		}
	}

	cfg = configFor(t, signerFor(t, jwtauth.RS256))
	cfg.Types, cfg.Audiences, cfg.ClientIDs = jwtauth.RFC9068Types(), nil, []string{"web"}
	_, err = jwtauth.NewVerifier(cfg)
	requireNames(t, err, "Types:")

	cfg = configFor(t, signerFor(t, jwtauth.RS256))
	cfg.Types = jwtauth.NamedTypes("at+jwt", " jwt")
	_, err = jwtauth.NewVerifier(cfg)
	requireNames(t, err, `Types: " jwt"`)

	cfg = configFor(t, signerFor(t, jwtauth.RS256))
	cfg.Issuer = "https://login.example/{tenantid}/v2.0"
	_, err = jwtauth.NewVerifier(cfg)
	requireNames(t, err, "Tenants")

	cfg = configFor(t, signerFor(t, jwtauth.RS256))
	cfg.Issuer, cfg.Tenants = "https://login.example/{tenantid}/{tenantid}", jwtauth.AnyTenant()
	_, err = jwtauth.NewVerifier(cfg)
	requireNames(t, err, "Issuer")
}

func requireNames(t *testing.T, err error, names ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), ": "+name+" ") {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}

// With two of a kind, the operator's first question is which of them it was.
func TestErrorsSayWhatCouldNotBeMade(t *testing.T) {
	bad := jwtauth.CacheConfig{MaxAge: -1}
	verifier := func(issuer string) error {
		return errorOf(jwtauth.NewVerifier(jwtauth.VerifierConfig{Issuer: issuer, Types: jwtauth.NamedTypes("", "dpop+jwt"), Cache: bad}))
	}
	for label, err := range map[string]error{
		`verifier for "https://a.example"`: verifier("https://a.example"),
		`verifier for "https://b.example"`: verifier("https://b.example"),
		"verifier":                         verifier(""),
		`introspector for "https://a.example"`: errorOf(jwtauth.NewIntrospector(jwtauth.IntrospectorConfig{
			Issuer: "https://a.example", ClientSecret: "secret", Cache: bad})),
		"resolving verifier":               errorOf(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{Cache: bad})),
		"transaction token authenticator":  errorOf(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{Cache: bad})),
		"transaction token propagator":     errorOf(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{})),
		"deferred work propagator":         errorOf(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{})),
		"issuer":                           errorOf(jwtauth.NewIssuer(jwtauth.IssuerConfig{Issuer: "https://u:secret@a.example"})),
		"signing keys":                     errorOf(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Ahead: -1})),
		"refresh tokens":                   errorOf(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{})),
		"static keys":                      errorOf(jwtauth.NewStaticKeys(nil, nil)),
		"multi verifier":                   errorOf(jwtauth.NewMultiVerifier(nil, nil)),
		"deferred work authenticator":      errorOf(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{})),
		"claim mapping":                    errorOf(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{Subject: []jwtauth.ClaimSource{}})),
		`keys of "https://a.example"`:      errorOf(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: "https://a.example", MaxKeys: -1})),
		`keys of "https://a.example/jwks"`: errorOf(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: "https://a.example/jwks?key=secret", MaxKeys: -1})),
		"RemoteKeysConfig":                 errorOf(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: "https://u:secret@a.example", MaxKeys: -1})),
	} {
		if err == nil {
			t.Errorf("%s: accepted", label)
			continue
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, "jwtauth: "+label+": ") || strings.Count(line, "jwtauth: ") > 1 || strings.Contains(line, "secret") {
				t.Errorf("%s: %s", label, line)
			}
		}
	}
}

func TestRule11_AnIssuerWithAPasswordIsRefusedAndNotShown(t *testing.T) {
	const issuer = "https://u:secret@a.example"
	s := signerFor(t, jwtauth.EdDSA)
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: "https://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	verifier := func(change func(*jwtauth.VerifierConfig)) error {
		cfg := configFor(t, s)
		change(&cfg)
		return errorOf(jwtauth.NewVerifier(cfg))
	}
	introspector := jwtauth.IntrospectorConfig{Issuer: issuer, Endpoint: "https://a.example/i", ClientID: "c", ClientSecret: "x", Audiences: []string{"a"}}
	signing := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
	minter := func(domain, iss, sole string) error {
		return errorOf(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: domain, Issuer: iss, SoleIssuer: sole, Workload: "w", Keys: signing}))
	}
	for name, err := range map[string]error{
		"a minter's domain": minter(issuer+" ", "", ""),
		"a minter":          minter("d", issuer, ""),
		"a sole issuer":     minter("d", "", issuer+" "),
		"an issuer": errorOf(jwtauth.NewIssuer(jwtauth.IssuerConfig{
			Issuer: issuer + " ", Audiences: []string{"a"}, Lifetime: time.Minute, Keys: signing})),
		"a domain":         errorOf(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: issuer, Keys: signing})),
		"Issuer":           verifier(func(c *jwtauth.VerifierConfig) { c.Issuer = issuer }),
		"with a space":     verifier(func(c *jwtauth.VerifierConfig) { c.Issuer = issuer + " " }),
		"others' keys":     verifier(func(c *jwtauth.VerifierConfig) { c.Issuer, c.Keys = issuer, keys }),
		"SPIFFE":           verifier(func(c *jwtauth.VerifierConfig) { c.Issuer, c.Claims = issuer, jwtauth.SPIFFEClaims() }),
		"an alias":         verifier(func(c *jwtauth.VerifierConfig) { c.IssuerAliases = []string{issuer, issuer} }),
		"an introspector":  errorOf(jwtauth.NewIntrospector(introspector)),
		"a MetadataIssuer": errorOf(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: "https://a.example", MetadataIssuer: issuer + " "})),
	} {
		if err == nil || !strings.Contains(err.Error(), "user name") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verifier(func(c *jwtauth.VerifierConfig) { c.Issuer = "https://a.example/@all?x=@" }); err != nil {
		t.Error(err)
	}
}

func TestRule12_AVerifierKeepsNothingThatItsCallerCanChange(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	cfg := configFor(t, s)
	v, err := jwtauth.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Audiences[0], cfg.Algorithms[0] = "other", jwtauth.HS256
	if _, err := v.Verify(t.Context(), s.token(t, goodClaims(nil))); err != nil {
		t.Error(err)
	}
}

func TestRule8_AKeySourceThatCannotTellIsUnavailable(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	other, err := jwtauth.NewPublicKey("k2", jwtauth.EdDSA, testEdKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("network down")
	for name, test := range map[string]struct {
		key  *jwtauth.Key
		err  error
		want authctx.Reason
	}{
		"failure without reason": {nil, cause, authctx.Unavailable},
		"failure with reason":    {nil, authctx.UnknownKey, authctx.UnknownKey},
		"failure beside it":      {nil, errors.Join(authctx.UnknownKey, authctx.Unavailable), authctx.Unavailable},
		"neither key nor error":  {nil, nil, authctx.Unavailable},
		"a key of another ID":    {other, nil, authctx.UnknownKey},
	} {
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.Keys = keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) { return test.key, test.err })
		})
		_, err := v.Verify(t.Context(), s.token(t, goodClaims(nil)))
		if got := authctx.ReasonOf(err); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
		if test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("%s: %v lost its cause", name, err)
		}
	}
}

type keySourceFunc func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error)

func (f keySourceFunc) Key(ctx context.Context, id string, a jwtauth.Algorithm) (*jwtauth.Key, error) {
	return f(ctx, id, a)
}

func TestSenderConstrainedTokensAreRefusedAsPlainBearer(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	token := s.token(t, goodClaims(map[string]any{"cnf": map[string]any{"jkt": "thumb"}}))
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("Verify: %v", err)
	}
	found, err := v.VerifyToken(t.Context(), token)
	if err != nil || found.Confirmation.KeyThumbprint != "thumb" {
		t.Errorf("VerifyToken: %+v, %v", found.Confirmation, err)
	}
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("Verify of a cached token: %v", err)
	}
	for _, cnf := range []any{map[string]any{}, map[string]any{"kid": "x"}, "jkt", map[string]any{"jkt": 1}, map[string]any{"jkt": ""}, []any{}} {
		if _, err := v.VerifyToken(t.Context(), s.token(t, goodClaims(map[string]any{"cnf": cnf}))); !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("cnf %v: %v", cnf, err)
		}
	}
}

func TestRecheckAsksAboutTimeAndRevocationAgain(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	now := testNow
	revocations := &jwtauth.MemoryRevocations{Now: func() time.Time { return now }}
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
		c.Now, c.Revocations = func() time.Time { return now }, revocations
	})
	found, err := v.VerifyToken(t.Context(), s.token(t, goodClaims(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := found.Recheck(t.Context()); err != nil {
		t.Error(err)
	}
	revocations.RevokeToken(testIssuer, "t1", now.Add(time.Hour))
	if err := found.Recheck(t.Context()); !errors.Is(err, authctx.TokenRevoked) {
		t.Error(err)
	}
	now = now.Add(time.Hour)
	if err := found.Recheck(t.Context()); !errors.Is(err, authctx.TokenExpired) {
		t.Error(err)
	}
}
