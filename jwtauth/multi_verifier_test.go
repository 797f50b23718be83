package jwtauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// newSigner returns a signer with an ES256 key of its own.
func newSigner(t testing.TB, keyID string) testSigner {
	t.Helper()
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return testSigner{jwtauth.ES256, private, must(jwtauth.NewPublicKey(keyID, jwtauth.ES256, private.Public()))}
}

// verifierOf returns a verifier for an issuer of that name.
func verifierOf(t testing.TB, issuer string, s testSigner) *jwtauth.Verifier {
	t.Helper()
	return newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer = issuer })
}

// countedKeys counts how often keys are looked up.
func countedKeys(s testSigner, n *atomic.Int32) jwtauth.KeySource {
	return keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
		n.Add(1)
		return s.key, nil
	})
}

func TestCVE_2026_50202_AKeyVerifiesForItsOwnIssuerOnly(t *testing.T) {
	a, b := newSigner(t, "k1"), newSigner(t, "k1") // the same key ID
	m, err := jwtauth.NewMultiVerifier(verifierOf(t, "https://a.example", a), verifierOf(t, "https://b.example", b))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, issuer string
		signer       testSigner
		want         error
	}{
		{"a's own", "https://a.example", a, nil},
		{"b's own", "https://b.example", b, nil},
		{"a's by b's key", "https://a.example", b, authctx.BadSignature},
		{"b's by a's key", "https://b.example", a, authctx.BadSignature},
		{"a stranger's", "https://c.example", a, authctx.WrongIssuer},
	} {
		for range 2 { // the second time from the cache, if at all
			p, err := m.Verify(t.Context(), test.signer.token(t, goodClaims(map[string]any{"iss": test.issuer})))
			if !errors.Is(err, test.want) || test.want == nil && p.Issuer() != test.issuer {
				t.Errorf("%s: %v, %v", test.name, p, err)
			}
		}
	}
}

func TestCVE_2025_59936_AnUnknownIssuerCausesNoKeyLookup(t *testing.T) {
	var lookups atomic.Int32
	s := newSigner(t, "k1")
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Keys = countedKeys(s, &lookups) })
	m, err := jwtauth.NewMultiVerifier(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, iss := range []any{"https://evil.example", testIssuer + "/", testIssuer + "#x", testIssuer + "\x00", strings.ToUpper(testIssuer), "", nil, 7, []any{testIssuer}} {
		if _, err := m.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"iss": iss}))); !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("iss %v: %v", iss, err)
		}
	}
	if n := lookups.Load(); n != 0 {
		t.Errorf("%d key lookups", n)
	}
}

func TestEachIssuerHasItsOwnRules(t *testing.T) {
	a, b := newSigner(t, "k1"), signerFor(t, jwtauth.EdDSA)
	va := newVerifier(t, a, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Types = "https://a.example", jwtauth.RFC9068Types() })
	vb := newVerifier(t, b, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Audiences = "https://b.example", []string{"b"} })
	m, err := jwtauth.NewMultiVerifier(va, vb)
	if err != nil {
		t.Fatal(err)
	}
	claims := func(iss, aud string) string { return asJSON(t, goodClaims(map[string]any{"iss": iss, "aud": aud})) }
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"a":                 {a.compact(t, `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, claims("https://a.example", testAudience)), nil},
		"a, untyped":        {a.compact(t, `{"alg":"ES256","kid":"k1"}`, claims("https://a.example", testAudience)), authctx.WrongType},
		"a with b's aud":    {a.compact(t, `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, claims("https://a.example", "b")), authctx.WrongAudience},
		"b, untyped":        {b.compact(t, `{"alg":"EdDSA","kid":"k1"}`, claims("https://b.example", "b")), nil},
		"b by a's method":   {a.compact(t, `{"alg":"ES256","kid":"k1"}`, claims("https://b.example", "b")), authctx.InvalidToken},
		"b with a's aud":    {b.compact(t, `{"alg":"EdDSA","kid":"k1"}`, claims("https://b.example", testAudience)), authctx.WrongAudience},
		"a claims a's type": {b.compact(t, `{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}`, claims("https://a.example", testAudience)), authctx.InvalidToken},
	} {
		if _, err := m.Verify(t.Context(), test.token); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestRule3_TheLimitOfATokenIsThatOfItsIssuer(t *testing.T) {
	a, b := newSigner(t, "k1"), signerFor(t, jwtauth.EdDSA)
	va := newVerifier(t, a, func(c *jwtauth.VerifierConfig) { c.Issuer, c.MaxTokenBytes = "https://a.example", 1<<10 })
	vb := newVerifier(t, b, func(c *jwtauth.VerifierConfig) { c.Issuer, c.MaxTokenBytes = "https://b.example", 4<<10 })
	m := must(jwtauth.NewMultiVerifier(va, vb))
	token := func(s testSigner, issuer string, pad int) string {
		return s.token(t, goodClaims(map[string]any{"iss": issuer, "pad": strings.Repeat("x", pad)}))
	}
	for name, test := range map[string]struct {
		token string
		good  bool
	}{
		"a": {token(a, "https://a.example", 0), true}, "a, too long": {token(a, "https://a.example", 1<<10), false},
		"b": {token(b, "https://b.example", 1<<10), true}, "b, too long": {token(b, "https://b.example", 4<<10), false},
	} {
		if _, err := m.Verify(t.Context(), test.token); test.good != (err == nil) || !test.good && !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Which spelling of a claim could be taken for another depends on what the
// issuer's own mapping reads.
func TestRule3_TheNamesThatCountAreThoseOfTheTokensIssuer(t *testing.T) {
	signers := map[string]testSigner{}
	of := func(issuer, roles string) *jwtauth.Verifier {
		signers[issuer] = newSigner(t, "k1")
		return newVerifier(t, signers[issuer], func(c *jwtauth.VerifierConfig) {
			c.Issuer = issuer
			c.Claims = must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{Roles: []jwtauth.ClaimSource{jwtauth.Claim(roles)}}))
		})
	}
	a, b := of("https://a.example", "team"), of("https://b.example", "unit")
	byIssuer := map[string]*jwtauth.Verifier{"https://a.example": a, "https://b.example": b}
	multi := must(jwtauth.NewMultiVerifier(a, b))
	resolving := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve:    func(_ context.Context, issuer string) (*jwtauth.Verifier, error) { return byIssuer[issuer], nil },
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: func() time.Time { return testNow },
	}))
	for issuer, alone := range byIssuer {
		for _, claim := range []string{"team", "Team", "unit", "Unit"} {
			token := signers[issuer].token(t, goodClaims(map[string]any{"iss": issuer, claim: []string{"x"}}))
			_, want := alone.Verify(t.Context(), token)
			for name, v := range map[string]jwtauth.TokenVerifier{"multi": multi, "resolving": resolving} {
				if _, err := v.VerifyToken(t.Context(), token); fmt.Sprint(err) != fmt.Sprint(want) {
					t.Errorf("%s, %s of %s: %v, want %v", name, claim, issuer, err, want)
				}
			}
		}
	}
}

func TestRule1_NewMultiVerifierRefusesNilAndDoubles(t *testing.T) {
	v := verifierOf(t, testIssuer, newSigner(t, "k1"))
	if _, err := jwtauth.NewMultiVerifier(v, nil); err == nil {
		t.Error("nil accepted")
	}
	if _, err := jwtauth.NewMultiVerifier(v, verifierOf(t, testIssuer, newSigner(t, "k2"))); err == nil {
		t.Error("one issuer twice accepted")
	}
	shared := must(jwtauth.NewStaticKeys(newSigner(t, "k1").key))
	of := func(issuer string) *jwtauth.Verifier {
		return newVerifier(t, newSigner(t, "k1"), func(c *jwtauth.VerifierConfig) { c.Issuer, c.Keys = issuer, shared })
	}
	if _, err := jwtauth.NewMultiVerifier(of("https://a.example"), of("https://b.example")); err == nil {
		t.Error("one key source for two issuers accepted")
	}
}

func TestRule2_IssuersThatShareKeysAreRefusedHoweverTheyDo(t *testing.T) {
	s := newSigner(t, "k1")
	remote := keysFrom(t, newKeyServer(edSet(1)))
	stored := must(keyfunc.New(keyfunc.Options{Ctx: t.Context(), Storage: jwkset.NewMemoryStorage()}))
	static := func() jwtauth.KeySource { return must(jwtauth.NewStaticKeys(s.key)) }
	adapted := func(kf keyfunc.Keyfunc) func() jwtauth.KeySource {
		return func() jwtauth.KeySource { return must(jwtauth.KeysFromKeyfunc(kf)) }
	}
	itself := func() jwtauth.KeySource { return remote }
	secret := func(id string) func() jwtauth.KeySource {
		return func() jwtauth.KeySource {
			return must(jwtauth.NewStaticKeys(must(jwtauth.NewHMACKey(id, jwtauth.HS256, testSecret))))
		}
	}
	public := func() jwtauth.KeySource {
		return must(jwtauth.NewStaticKeys(must(jwtauth.NewPublicKey("k2", jwtauth.ES256, s.private.(*ecdsa.PrivateKey).Public()))))
	}
	for name, sources := range map[string][2]func() jwtauth.KeySource{
		"one source":                       {itself, itself},
		"one key in two sources":           {static, static},
		"one secret in two keys":           {secret("k1"), secret("k2")},
		"one public key in two keys":       {static, public},
		"one keyfunc in two sources":       {adapted(stored), adapted(stored)},
		"remote keys and their keyfunc":    {itself, adapted(remote.Keyfunc())},
		"the keyfunc of remote keys twice": {adapted(remote.Keyfunc()), adapted(remote.Keyfunc())},
	} {
		of := func(i int) *jwtauth.Verifier {
			return newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
				c.Issuer, c.Keys = fmt.Sprintf("https://%d.example", i), sources[i]()
			})
		}
		if _, err := jwtauth.NewMultiVerifier(of(0), of(1)); err == nil || !strings.Contains(err.Error(), "shares its Keys") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEachIssuerIsJudgedByItsOwnClock(t *testing.T) {
	a, b := newSigner(t, "k1"), newSigner(t, "k1")
	now := testNow
	ahead := newVerifier(t, a, func(c *jwtauth.VerifierConfig) {
		c.Issuer, c.Now = "https://a.example", func() time.Time { return now.Add(2 * time.Hour) }
	})
	m := must(jwtauth.NewMultiVerifier(ahead, newVerifier(t, b, func(c *jwtauth.VerifierConfig) {
		c.Issuer, c.Now = "https://b.example", func() time.Time { return now }
	})))
	token := b.token(t, goodClaims(map[string]any{"iss": "https://b.example"}))
	for i := range 2 {
		if found, err := m.VerifyToken(t.Context(), token); err != nil || found.Cached != (i == 1) {
			t.Errorf("%v, cached: %v", err, found.Cached)
		}
	}
	now = now.Add(time.Hour)
	if _, err := m.Verify(t.Context(), token); !errors.Is(err, authctx.TokenExpired) {
		t.Error(err)
	}
}

func TestATenantTemplateFitsOnlyTheTokensOwnTenant(t *testing.T) {
	s := newSigner(t, "k1")
	const template = "https://login.example/{tenantid}/v2.0"
	only := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Tenants = template, jwtauth.OnlyTenants("t-1", "t-2") })
	anyOf := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Tenants = template, jwtauth.AnyTenant() })
	multi, err := jwtauth.NewMultiVerifier(only, verifierOf(t, "https://a.example", newSigner(t, "k1")))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		iss     string
		tid     any
		only    error
		anyOne  error
		meaning string
	}{
		{"https://login.example/t-1/v2.0", "t-1", nil, nil, "a listed tenant"},
		{"https://login.example/t-2/v2.0", "t-2", nil, nil, "another listed tenant"},
		{"https://login.example/t-3/v2.0", "t-3", authctx.WrongIssuer, nil, "a tenant not listed"},
		{"https://login.example/t-1/v2.0", "t-2", authctx.WrongIssuer, authctx.WrongIssuer, "tid of another tenant"},
		{"https://login.example/t-1/v2.0", nil, authctx.WrongIssuer, authctx.WrongIssuer, "no tid"},
		{"https://login.example/t-1/v2.0", 1, authctx.WrongIssuer, authctx.WrongIssuer, "tid is no text"},
		{"https://login.example//v2.0", "", authctx.WrongIssuer, authctx.WrongIssuer, "an empty tenant"},
		{"https://login.example/{tenantid}/v2.0", "{tenantid}", authctx.WrongIssuer, authctx.WrongIssuer, "the template itself"},
		{"https://login.example/t-1/x/v2.0", "t-1/x", authctx.WrongIssuer, authctx.WrongIssuer, "two segments"},
		{"https://evil.example/t-1/v2.0", "t-1", authctx.WrongIssuer, authctx.WrongIssuer, "another host"},
		{"https://login.example/t-1/v2.0/x", "t-1", authctx.WrongIssuer, authctx.WrongIssuer, "a longer issuer"},
	} {
		token := s.token(t, goodClaims(map[string]any{"iss": test.iss, "tid": test.tid}))
		for name, v := range map[string]interface {
			Verify(context.Context, string) (authctx.Principal, error)
		}{"only": only, "multi": multi, "any": anyOf} {
			want := test.only
			if name == "any" {
				want = test.anyOne
			}
			if p, err := v.Verify(t.Context(), token); !errors.Is(err, want) || want == nil && p.Issuer() != test.iss {
				t.Errorf("%s by %s: %v, %v", test.meaning, name, p, err)
			}
		}
	}
}

func TestAKeyRestrictedToAnIssuerServesNoOther(t *testing.T) {
	s := signerFor(t, jwtauth.RS256)
	const template = "https://login.example/{tenantid}/v2.0"
	for restriction, want := range map[string]error{
		"":                                nil,
		"https://login.example/t-1/v2.0":  nil,
		template:                          nil,
		"https://login.example/t-2/v2.0":  authctx.WrongIssuer,
		"https://sts.example/{tenantid}/": authctx.WrongIssuer,
	} {
		keys := must(jwtauth.NewStaticKeys(jwtauth.Restrict(s.key, restriction)))
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.Issuer, c.Tenants, c.Keys = template, jwtauth.AnyTenant(), keys
		})
		token := s.token(t, goodClaims(map[string]any{"iss": "https://login.example/t-1/v2.0", "tid": "t-1"}))
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("key for %q: %v", restriction, err)
		}
	}
}
