package jwtauth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

func TestRule1_TxnConfigNamesEveryMissingSetting(t *testing.T) {
	_, err := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{Lifetime: time.Hour, Reuse: -1})
	for _, want := range []string{"TrustDomain", "Workload", "Keys", "Lifetime", "Reuse"} {
		if err == nil || !strings.Contains(err.Error(), "jwtauth: transaction token propagator: "+want) {
			t.Errorf("propagator: error does not name %s: %v", want, err)
		}
	}
	for _, life := range []time.Duration{-time.Minute, time.Second - 1, 1500 * time.Millisecond, 10*time.Minute + 1} {
		if _, err := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{Lifetime: life}); err == nil || !strings.Contains(err.Error(), "Lifetime must be whole seconds") {
			t.Errorf("propagator: a life of %v: %v", life, err)
		}
	}
	_, err = jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{Reuse: time.Second,
		RequestContext: func(context.Context, authctx.Principal) (map[string]any, error) { return nil, nil }})
	if err == nil || !strings.Contains(err.Error(), "Reuse and RequestContext exclude each other") {
		t.Errorf("propagator: one request is told of in a token for several: %v", err)
	}
	_, err = jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{Algorithms: []jwtauth.Algorithm{}})
	for _, want := range []string{"TrustDomain", "Keys", "Algorithms"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("authenticator: error does not name %s: %v", want, err)
		}
	}
	for _, want := range []string{"TrustDomain is", "Keys is", "Algorithms is"} {
		if err == nil || !strings.Contains(err.Error(), "jwtauth: transaction token authenticator: "+want) {
			t.Errorf("authenticator: the error does not say what it is about: %v", err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "Audiences") {
		t.Errorf("authenticator: the error is about a setting that it does not have: %v", err)
	}
}

func TestNoAuthenticatorTakesTokensThatLiveLongerThanTheirKindMay(t *testing.T) {
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
	constructors := map[time.Duration]func(life time.Duration) error{
		jwtauth.MaxTxnLifetime: func(life time.Duration) error {
			return errorOf(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "d", Keys: keys, MaxLifetime: life}))
		},
		jwtauth.MaxDeferredLifetime: func(life time.Duration) error {
			return errorOf(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
				TrustDomain: "d", Topics: []string{"t", "u"}, Keys: keys, MaxLifetime: life}))
		},
	}
	for most, make := range constructors {
		if err := make(most); err != nil {
			t.Errorf("%v: %v", most, err)
		}
		for _, life := range []time.Duration{most + 1, -1} {
			if err := make(life); err == nil || strings.Count(err.Error(), ": MaxLifetime must") != 1 {
				t.Errorf("%v where %v is the most: %v", life, most, err)
			}
		}
	}
}

// A trust domain is a StringOrURI (RFC 7519 section 2). With a space in it, which
// a file or a variable may end in, every service would refuse every token.
func TestRule1_ATrustDomainHoldsNothingThatCannotBeSeen(t *testing.T) {
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
	constructors := map[string]func(domain string) error{
		"TxnPropagator": func(domain string) error {
			return errorOf(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: domain, Workload: "w", Keys: keys}))
		},
		"TxnAuthenticator": func(domain string) error {
			return errorOf(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: domain, Keys: keys}))
		},
		"DeferredPropagator": func(domain string) error {
			return errorOf(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
				TrustDomain: domain, Topic: "t", Workload: "w", Keys: keys, Lifetime: time.Hour}))
		},
		"DeferredAuthenticator": func(domain string) error {
			return errorOf(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{TrustDomain: domain, Topics: []string{"t"}, Keys: keys}))
		},
	}
	for name, make := range constructors {
		for _, good := range []string{"prod", "prod.example", "spiffe://prod.example", "https://prod.example/", "urn:example:prod", "d\u00f6main.example"} {
			if err := make(good); err != nil {
				t.Errorf("%s, %q: %v", name, good, err)
			}
		}
		for _, bad := range []string{"", " ", "a b", "prod.example ", " prod.example", "prod.example\n", "prod\t", "prod\u00a0", "\ufeffprod", "prod\u200b", "prod\x00", "prod\xff"} {
			if err := make(bad); err == nil || !strings.Contains(err.Error(), ": TrustDomain ") {
				t.Errorf("%s, %q: %v", name, bad, err)
			}
		}
	}
}

// What is compared byte by byte matches nothing with a line break that came along
// from a file.
func TestRule1_ANameHoldsNothingThatCannotBeSeen(t *testing.T) {
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
	verifier := func(change func(*jwtauth.VerifierConfig)) error {
		cfg := jwtauth.VerifierConfig{Issuer: "i", Audiences: []string{"a"}, Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Keys: keys}
		change(&cfg)
		return errorOf(jwtauth.NewVerifier(cfg))
	}
	introspector := func(change func(*jwtauth.IntrospectorConfig)) error {
		cfg := introspectionConfig("https://as.example/introspect", newClock())
		change(&cfg)
		i, err := jwtauth.NewIntrospector(cfg)
		if err == nil {
			t.Cleanup(func() { _ = i.Close() })
		}
		return err
	}
	issuer := func(change func(*jwtauth.IssuerConfig)) error {
		cfg := jwtauth.IssuerConfig{Issuer: "https://a.example", Audiences: []string{"a"}, Keys: keys, Lifetime: time.Minute}
		change(&cfg)
		return errorOf(jwtauth.NewIssuer(cfg))
	}
	txn := func(change func(*jwtauth.TxnPropagatorConfig)) error {
		cfg := jwtauth.TxnPropagatorConfig{TrustDomain: "d", Workload: "w", Keys: keys}
		change(&cfg)
		return errorOf(jwtauth.NewTxnPropagator(cfg))
	}
	deferred := func(change func(*jwtauth.DeferredPropagatorConfig)) error {
		cfg := jwtauth.DeferredPropagatorConfig{TrustDomain: "d", Topic: "t", Workload: "w", Keys: keys, Lifetime: time.Hour}
		change(&cfg)
		return errorOf(jwtauth.NewDeferredPropagator(cfg))
	}
	for name, make := range map[string]func(string) error{
		"verifier: Issuer": func(s string) error { return verifier(func(c *jwtauth.VerifierConfig) { c.Issuer = s }) },
		"verifier: Audiences": func(s string) error {
			return verifier(func(c *jwtauth.VerifierConfig) { c.Audiences = []string{"a", s} })
		},
		"verifier: ClientIDs": func(s string) error { return verifier(func(c *jwtauth.VerifierConfig) { c.ClientIDs = []string{s} }) },
		"introspector: Issuer": func(s string) error {
			return introspector(func(c *jwtauth.IntrospectorConfig) { c.Issuer = s })
		},
		"introspector: Audiences": func(s string) error {
			return introspector(func(c *jwtauth.IntrospectorConfig) { c.Audiences = []string{s} })
		},
		"introspector: ClientIDs": func(s string) error {
			return introspector(func(c *jwtauth.IntrospectorConfig) { c.ClientIDs = []string{"a", s} })
		},
		"issuer: Audiences": func(s string) error { return issuer(func(c *jwtauth.IssuerConfig) { c.Audiences = []string{s} }) },
		"issuer: Issuer": func(s string) error {
			return issuer(func(c *jwtauth.IssuerConfig) { c.Issuer = "https://a.example/" + s })
		},
		"token propagator: Issuer":     func(s string) error { return txn(func(c *jwtauth.TxnPropagatorConfig) { c.Issuer = s }) },
		"token propagator: SoleIssuer": func(s string) error { return txn(func(c *jwtauth.TxnPropagatorConfig) { c.SoleIssuer = s }) },
		"token propagator: Workload":   func(s string) error { return txn(func(c *jwtauth.TxnPropagatorConfig) { c.Workload = s }) },
		"token authenticator: Issuer": func(s string) error {
			return errorOf(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "d", Issuer: s, Keys: keys}))
		},
		"work propagator: Topic":    func(s string) error { return deferred(func(c *jwtauth.DeferredPropagatorConfig) { c.Topic = s }) },
		"work propagator: Workload": func(s string) error { return deferred(func(c *jwtauth.DeferredPropagatorConfig) { c.Workload = s }) },
		"work authenticator: Topics": func(s string) error {
			return errorOf(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{TrustDomain: "d", Topics: []string{"t", s}, Keys: keys}))
		},
	} {
		kind, setting, _ := strings.Cut(name, ": ")
		for _, good := range []string{"orders", "urn:example:orders", "Orders of 2026", "https://api.example/a=b", "bücher"} {
			if err := make(good); err != nil {
				t.Errorf("%s, %q: %v", name, good, err)
			}
		}
		for _, bad := range []string{"a ", "a\n", "a\r\n", "a\x00", "a\xff", "a\u200b"} {
			if err := make(bad); err == nil || !strings.Contains(err.Error(), kind) || !strings.Contains(err.Error(), ": "+setting+": ") ||
				strings.Count(err.Error(), "without a space at either end") != 1 {
				t.Errorf("%s, %q: %v", name, bad, err)
			}
		}
	}
}

func TestTxnPropagatorRefusesContradictions(t *testing.T) {
	for name, row := range map[string]struct {
		change func(*jwtauth.TxnPropagatorConfig)
		says   string
	}{
		"tokens that outlive published keys": {func(c *jwtauth.TxnPropagatorConfig) { c.Lifetime = 4 * time.Minute }, "set SigningKeysConfig.Retain"},
		"reuse for more than half a life":    {func(c *jwtauth.TxnPropagatorConfig) { c.Reuse = 61 * time.Second }, "Reuse must not"},
		"two ways to name subjects": {func(c *jwtauth.TxnPropagatorConfig) {
			c.SoleIssuer, c.Subject = "i", func(context.Context, authctx.Principal) (string, error) { return "s", nil }
		}, "SoleIssuer and Subject"},
		"a symmetric key without its name": {func(c *jwtauth.TxnPropagatorConfig) {
			c.Keys = must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.HS256)}))
		}, "AllowHMACAndLetEveryVerifierMint"},
	} {
		keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA), Retain: 3 * time.Minute}))
		cfg := jwtauth.TxnPropagatorConfig{TrustDomain: "d", Workload: "w", Keys: keys}
		if _, err := jwtauth.NewTxnPropagator(cfg); err != nil {
			t.Fatalf("refused a good configuration: %v", err)
		}
		row.change(&cfg)
		if _, err := jwtauth.NewTxnPropagator(cfg); err == nil || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: want an error about %q alone: %v", name, row.says, err)
		}
	}
}

func TestAPropagatorThatIsNotMadeRestrictsNoKeys(t *testing.T) {
	for name, fail := range map[string]func(*jwtauth.SigningKeys) error{
		"TxnPropagator": func(keys *jwtauth.SigningKeys) error {
			return errorOf(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: "d", Keys: keys}))
		},
		"DeferredPropagator": func(keys *jwtauth.SigningKeys) error {
			return errorOf(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{TrustDomain: "d", Topic: "t", Keys: keys, Lifetime: time.Hour}))
		},
	} {
		keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
		if err := fail(keys); err == nil || !strings.Contains(err.Error(), "Workload") {
			t.Fatalf("%s without Workload: %v", name, err)
		}
		if err := keys.Rotate(newTestKey(t, jwtauth.ES384)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTxnWithHMACNeedsTheNameOfTheDanger(t *testing.T) {
	secret := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.HS256, Secret: make([]byte, 32), ID: "h"}))
	w := newTxnWorld(t, secret, func(e *jwtauth.TxnPropagatorConfig, s *jwtauth.TxnAuthenticatorConfig) {
		e.AllowHMACAndLetEveryVerifierMint = true
		s.Algorithms = []jwtauth.Algorithm{jwtauth.HS256}
	})
	token := must(inject(t.Context(), w.edge, jwtauthtest.User(t)))
	if _, err := w.authenticate(token); err != nil {
		t.Errorf("named: %v", err)
	}
	asymmetric := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: testDomain, Keys: w.keys, Now: w.Now}))
	if _, err := authctx.Authenticate(t.Context(), asymmetric, txnRequest(token)); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("a verifier that did not list HS256: %v", err)
	}
	rotated := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	if err := rotated.keys.Rotate(secret); err == nil {
		t.Error("rotated to a symmetric key")
	}
}

// A verifier takes EdDSA, ES256 and RS256 unless told otherwise, so tokens that
// are signed in another way would fail everywhere.
func TestTxnIsMintedWithWhatEveryVerifierTakes(t *testing.T) {
	named := func(c *jwtauth.TxnPropagatorConfig) { c.AllowHMACAndLetEveryVerifierMint = true }
	keysOf := func(key *jwtauth.SigningKey) *jwtauth.SigningKeys {
		return must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key}))
	}
	mint := func(keys *jwtauth.SigningKeys, changes ...func(*jwtauth.TxnPropagatorConfig)) error {
		cfg := jwtauth.TxnPropagatorConfig{TrustDomain: "d", Workload: "w", Keys: keys}
		for _, change := range changes {
			change(&cfg)
		}
		return errorOf(jwtauth.NewTxnPropagator(cfg))
	}
	for alg, want := range map[jwtauth.Algorithm]bool{
		jwtauth.EdDSA: true, jwtauth.ES256: true, jwtauth.RS256: true, jwtauth.PS256: false, jwtauth.ES384: false, jwtauth.HS256: false,
	} {
		other := newTestKey(t, alg)
		if err := mint(keysOf(other)); (err == nil) != want {
			t.Errorf("%s: %v", alg, err)
		}
		if other.ID() == "" {
			continue // a secret; it cannot follow another key
		}
		keys := keysOf(newTestKey(t, jwtauth.EdDSA))
		must(0, keys.Rotate(other))
		if err := mint(keys); (err == nil) != want {
			t.Errorf("%s from the next rotation on: %v", alg, err)
		}
		keys = keysOf(newTestKey(t, jwtauth.EdDSA))
		must(0, mint(keys))
		if err := keys.Rotate(other); (err == nil) != want {
			t.Errorf("rotation to %s: %v", alg, err)
		}
	}
	if err := mint(keysOf(newTestKey(t, jwtauth.HS256)), named); err != nil {
		t.Errorf("HS256 by name: %v", err)
	}
	if err := mint(keysOf(newTestKey(t, jwtauth.HS512)), named); err == nil {
		t.Error("HS512 by the name of HS256")
	}
	short := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.PS256), Retain: time.Second}))
	for _, want := range []string{"PS256", "set SigningKeysConfig.Retain, which is 1s"} {
		if err := mint(short); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}
