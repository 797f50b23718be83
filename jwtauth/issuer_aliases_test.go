package jwtauth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

const testAlias = "issuer.example" // as Google has two spellings

// aliasVerifiers returns verifiers of each kind for an issuer of two spellings.
func aliasVerifiers(t *testing.T, s testSigner, revocations jwtauth.Revocations) map[string]jwtauth.TokenVerifier {
	aliases := []string{"https://old.example", testAlias}
	alone := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.IssuerAliases, c.Revocations = aliases, revocations })
	aliases[1] = "https://changed.example" // the verifier has a copy
	resolving := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve:    func(context.Context, string) (*jwtauth.Verifier, error) { return alone, nil },
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: func() time.Time { return testNow },
	}))
	t.Cleanup(func() { _ = resolving.Close() })
	return map[string]jwtauth.TokenVerifier{
		"alone":     alone,
		"multi":     must(jwtauth.NewMultiVerifier(verifierOf(t, "https://a.example", newSigner(t, "k1")), alone)),
		"resolving": resolving,
	}
}

func TestACallerIsOneUnderEverySpellingOfTheIssuer(t *testing.T) {
	s := newSigner(t, "k1")
	for name, v := range aliasVerifiers(t, s, nil) {
		for _, iss := range []string{testIssuer, testAlias, "https://old.example"} {
			token := s.token(t, goodClaims(map[string]any{
				"iss": iss, "act": map[string]any{"iss": testAlias, "sub": "bob", "act": map[string]any{"sub": "carol", "iss": "https://a.example"}},
			}))
			for _, inCache := range []bool{false, true} {
				found := must(v.VerifyToken(t.Context(), token))
				p, actors := found.Principal, found.Principal.Actors()
				if found.Cached != inCache || p.Issuer() != testIssuer || len(actors) != 2 || actors[0].Issuer != testIssuer || actors[1].Issuer != "https://a.example" {
					t.Errorf("%s, %s: %v with actors %v", name, iss, p, actors)
				}
				var claims struct{ Iss string }
				if err := p.DecodeClaims(&claims); err != nil || claims.Iss != iss {
					t.Errorf("%s: the claims name %s, %v", name, claims.Iss, err)
				}
			}
		}
		for _, iss := range []any{testAlias + "/", "https://" + testAlias + "/", strings.ToUpper(testAlias), "https://changed.example", "", nil, []string{testAlias}} {
			if _, err := v.VerifyToken(t.Context(), s.token(t, goodClaims(map[string]any{"iss": iss}))); !errors.Is(err, authctx.InvalidToken) {
				t.Errorf("%s, %v: %v", name, iss, err)
			}
		}
	}
}

// An answer names the issuer as the token's own claims would.
func TestACallerIsOneUnderEverySpellingInAnAnswer(t *testing.T) {
	const issuer = "https://as.example.com"
	for iss, want := range map[string]error{issuer: nil, "https://old.example": nil, "https://old.example/": authctx.WrongIssuer} {
		said := strings.NewReplacer(`"iss":"`+issuer, `"iss":"`+iss, `"act":{`, `"act":{"iss":"`+iss+`",`).Replace(good)
		cfg := introspectionConfig(newEndpoint(t, answer(said)).URL, newClock())
		cfg.IssuerAliases = []string{"https://old.example"}
		p, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque")
		if !errors.Is(err, want) || err == nil && (p.Issuer() != issuer || p.Actors()[0].Issuer != issuer) {
			t.Errorf("%s: %v of %v, %v", iss, p, p.Actors(), err)
		}
	}
}

func TestRule5_ASubjectIsRevokedUnderEverySpellingOfItsIssuer(t *testing.T) {
	s := newSigner(t, "k1")
	list := &jwtauth.MemoryRevocations{Now: func() time.Time { return testNow }}
	verifiers := aliasVerifiers(t, s, list)
	tokens := []string{s.token(t, goodClaims(nil)), s.token(t, goodClaims(map[string]any{"iss": testAlias}))}
	var found []jwtauth.VerifiedToken
	for _, v := range verifiers {
		for _, token := range tokens {
			found = append(found, must(v.VerifyToken(t.Context(), token)))
		}
	}
	for _, f := range found {
		if err := f.Recheck(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := list.RevokeSubject(testIssuer, "alice", testNow, testNow.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for name, v := range verifiers {
		for _, token := range tokens {
			if _, err := v.VerifyToken(t.Context(), token); !errors.Is(err, authctx.TokenRevoked) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, f := range found {
		if err := f.Recheck(t.Context()); !errors.Is(err, authctx.TokenRevoked) {
			t.Errorf("recheck: %v", err)
		}
	}
}

func TestRule1_EveryAliasThatCannotBeMeantIsReported(t *testing.T) {
	for want, change := range map[string]func(*jwtauth.VerifierConfig){
		`IssuerAliases has an empty element`:                            func(c *jwtauth.VerifierConfig) { c.IssuerAliases = []string{""} },
		`IssuerAliases has "https://x.example" twice`:                   func(c *jwtauth.VerifierConfig) { c.IssuerAliases = []string{"https://x.example", "https://x.example"} },
		`IssuerAliases has "https://issuer.example", which is Issuer`:   func(c *jwtauth.VerifierConfig) { c.IssuerAliases = []string{testIssuer} },
		`IssuerAliases: "https://x.example\n" must be UTF-8`:            func(c *jwtauth.VerifierConfig) { c.IssuerAliases = []string{"https://x.example\n"} },
		`IssuerAliases has "https://x.example/{tenantid}", and {tenant`: func(c *jwtauth.VerifierConfig) { c.IssuerAliases = []string{"https://x.example/{tenantid}"} },
		`IssuerAliases means nothing because Issuer contains {tenantid}`: func(c *jwtauth.VerifierConfig) {
			c.Issuer, c.Tenants, c.IssuerAliases = tenantTemplate, jwtauth.AnyTenant(), []string{testAlias}
		},
		`IssuerAliases means nothing because Claims are those of SPIFFE`: func(c *jwtauth.VerifierConfig) {
			c.Issuer, c.Claims, c.IssuerAliases = "spiffe://td.example", jwtauth.SPIFFEClaims(), []string{testAlias}
		},
	} {
		cfg := configFor(t, signerFor(t, jwtauth.EdDSA))
		change(&cfg)
		if _, err := jwtauth.NewVerifier(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestRule1_ASpellingIsThatOfOneIssuer(t *testing.T) {
	of := func(issuer string, aliases ...string) *jwtauth.Verifier {
		return newVerifier(t, newSigner(t, "k1"), func(c *jwtauth.VerifierConfig) { c.Issuer, c.IssuerAliases = issuer, aliases })
	}
	domain := newVerifier(t, newSigner(t, "k1"), func(c *jwtauth.VerifierConfig) {
		c.Issuer, c.Claims, c.Types = "spiffe://td.example", jwtauth.SPIFFEClaims(), jwtauth.SPIFFETypes()
	})
	a, b := of("https://a.example", "https://x.example"), of("https://b.example", "https://y.example")
	if _, err := jwtauth.NewMultiVerifier(a, b, domain); err != nil {
		t.Error(err)
	}
	for name, others := range map[string][2]*jwtauth.Verifier{
		"https://a.example":   {a, of("https://b.example", "https://y.example", "https://a.example")},
		"https://x.example":   {a, of("https://x.example")},
		"https://y.example":   {b, of("https://c.example", "https://y.example")},
		"spiffe://td.example": {domain, of("https://c.example", "spiffe://td.example")},
	} {
		for _, order := range [][2]*jwtauth.Verifier{others, {others[1], others[0]}} {
			if _, err := jwtauth.NewMultiVerifier(order[0], order[1]); err == nil || !strings.Contains(err.Error(), `two verifiers for the issuer "`+name+`"`) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What a key is restricted to and what the metadata name is Issuer.
func TestAnAliasIsNoIssuerOfKeys(t *testing.T) {
	s := newSigner(t, "k1")
	for restriction, want := range map[string]error{"": nil, testIssuer: nil, testAlias: authctx.WrongIssuer} {
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.IssuerAliases, c.Keys = []string{testAlias}, must(jwtauth.NewStaticKeys(jwtauth.Restrict(s.key, restriction)))
		})
		for _, iss := range []string{testIssuer, testAlias} {
			if _, err := v.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"iss": iss}))); !errors.Is(err, want) {
				t.Errorf("a key for %q, %s: %v", restriction, iss, err)
			}
		}
	}
	cfg := configFor(t, signerFor(t, jwtauth.EdDSA))
	cfg.IssuerAliases = []string{"https://other.example"}
	cfg.Keys = keysFrom(t, newKeyServer(edSet(1)), func(c *jwtauth.RemoteKeysConfig) { c.JWKSURL, c.Issuer = "", "https://other.example" })
	if _, err := jwtauth.NewVerifier(cfg); err == nil || !strings.Contains(err.Error(), "the one that the metadata name is Issuer, and IssuerAliases has the other") {
		t.Errorf("keys that were discovered under an alias: %v", err)
	}
}

func TestAKeyIsLookedForUnderAnAlias(t *testing.T) {
	signer := signerFor(t, jwtauth.EdDSA)
	for iss, want := range map[string]error{testAlias: authctx.UnknownKey, testAlias + "/": authctx.WrongIssuer} {
		synctest.Test(t, func(t *testing.T) {
			keys := newKeyServer(edSet(1))
			v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) {
				c.IssuerAliases, c.Keys, c.Now = []string{testAlias}, keysFrom(t, keys), nil
			})
			synctest.Wait()
			_, err := v.Verify(t.Context(), signer.compact(t, newKeyID, asJSON(t, goodClaims(map[string]any{"iss": iss}))))
			if loads := keys.fetches() - 1; !errors.Is(err, want) || (loads == 1) != (want == error(authctx.UnknownKey)) {
				t.Errorf("%s: %v after %d loads", iss, err, loads)
			}
		})
	}
}

// Two verifiers are what one tries who does not know of IssuerAliases.
func TestWhoeverTriesTwoVerifiersForOneIssuerLearnsOfAliases(t *testing.T) {
	s := newSigner(t, "k1")
	keys := must(jwtauth.NewStaticKeys(s.key))
	of := func(issuer string) *jwtauth.Verifier {
		return newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Keys = issuer, keys })
	}
	_, err := jwtauth.NewMultiVerifier(of(testIssuer), of(testAlias))
	if err == nil || !strings.Contains(err.Error(), "IssuerAliases has the other") {
		t.Error(err)
	}
}

func TestARefusalNamesEverySpellingOfTheIssuer(t *testing.T) {
	s := newSigner(t, "k1")
	verifiers := aliasVerifiers(t, s, nil)
	for _, name := range []string{"alone", "multi"} {
		_, err := verifiers[name].VerifyToken(t.Context(), s.token(t, goodClaims(map[string]any{"iss": "https://evil.example"})))
		for _, want := range []string{`"` + testIssuer + `"`, `"` + testAlias + `"`} {
			if !errors.Is(err, authctx.WrongIssuer) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not name %s", name, err, want)
			}
		}
	}
}
