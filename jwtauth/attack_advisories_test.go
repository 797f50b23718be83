package jwtauth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestCVE_2022_23541_OneSourceMayHoldKeysOfEveryKind(t *testing.T) {
	hs, rs := signerFor(t, jwtauth.HS256), signerFor(t, jwtauth.RS256)
	secret := must(jwtauth.NewHMACKey("mac", jwtauth.HS256, testSecret))
	v := newVerifier(t, rs, func(c *jwtauth.VerifierConfig) {
		c.Keys = must(jwtauth.NewStaticKeys(rs.key, secret))
		c.Algorithms = []jwtauth.Algorithm{jwtauth.RS256, jwtauth.HS256}
	})
	claims := asJSON(t, goodClaims(nil))
	for name, token := range map[string]string{
		"HS256 that names the RSA key": hs.compact(t, `{"alg":"HS256","kid":"k1"}`, claims),
		"RS256 that names the secret":  rs.compact(t, `{"alg":"RS256","kid":"mac"}`, claims),
		"HS256 that names no key":      hs.compact(t, `{"alg":"HS256"}`, claims),
	} {
		refused(t, v, name, token)
	}
	for name, token := range map[string]string{
		"RS256": rs.compact(t, `{"alg":"RS256","kid":"k1"}`, claims), "HS256": hs.compact(t, `{"alg":"HS256","kid":"mac"}`, claims),
	} {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s with its own key: %v", name, err)
		}
	}
}

func TestCVE_2022_23539_AKeyVerifiesOnlyWithAnAlgorithmOfItsType(t *testing.T) {
	tokens := map[jwtauth.Algorithm]string{}
	for _, used := range allAlgorithms {
		tokens[used] = signerFor(t, used).compact(t, `{"alg":"`+string(used)+`","kid":"k1"}`, asJSON(t, goodClaims(nil)))
	}
	for _, keyed := range allAlgorithms {
		for _, used := range allAlgorithms {
			if used == keyed {
				continue
			}
			v := newVerifier(t, signerFor(t, keyed), func(c *jwtauth.VerifierConfig) {
				c.Algorithms = []jwtauth.Algorithm{used, keyed}
			})
			refused(t, v, string(used)+" with the key of "+string(keyed), tokens[used])
		}
	}
}

func TestCVE_2024_8901_AnotherTrustedSignerIsNotThisOne(t *testing.T) {
	// Two gateways, both with keys that are valid somewhere.
	ours, theirs := newSigner(t, "gateway"), newSigner(t, "gateway")
	refused(t, newVerifier(t, ours, nil), "another gateway's assertion",
		theirs.compact(t, `{"alg":"ES256","kid":"gateway"}`, asJSON(t, goodClaims(nil))))
}

func TestCVE_2021_29652_NoSignatureIsNotASignature(t *testing.T) {
	s := signerFor(t, jwtauth.HS256)
	v := newVerifier(t, s, nil)
	token := s.token(t, goodClaims(nil))
	unsigned := token[:strings.LastIndexByte(token, '.')]
	for _, tail := range []string{"", ".", ".AA", "." + strings.Repeat("A", 43), ".garbage"} {
		refused(t, v, "signature "+tail, unsigned+tail)
	}
}

func TestSPIRE_1_11_3_ATokenWithoutEndIsRefused(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	for _, types := range []jwtauth.TypePolicy{{}, jwtauth.RFC9068Types(), jwtauth.NamedTypes("at+jwt")} {
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Types = types })
		refused(t, v, types.String(), s.token(t, goodClaims(map[string]any{"exp": nil})))
	}
}

func TestCVE_2021_21378_AnUnknownIssuerIsNotAMissingCredential(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	bearer := newBearer(t, must(jwtauth.NewMultiVerifier(v)), nil)
	for name, token := range map[string]string{
		"unknown issuer": s.token(t, goodClaims(map[string]any{"iss": "https://evil.example"})),
		"expired":        s.token(t, goodClaims(map[string]any{"exp": testNow.Unix() - 600})),
		"garbage":        "garbage",
	} {
		_, err := bearer.Authenticate(t.Context(), fields("authorization", "Bearer "+token))
		if errors.Is(err, authctx.NoCredentials) || !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCVE_2025_64527_TwoTokensAreRefusedWhateverTheKeysDo(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	down := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
		c.Keys = keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
			t.Error("a key was looked up")
			return nil, authctx.Unavailable
		})
	})
	token := s.token(t, goodClaims(nil))
	_, err := newBearer(t, down, nil).Authenticate(t.Context(), fields("authorization", "Bearer "+token, "authorization", "Bearer "+token))
	if !errors.Is(err, authctx.InvalidRequest) {
		t.Error(err)
	}
}

func TestCVE_2026_71326_NoChoiceOfNamesMakesTwoRevocationsOne(t *testing.T) {
	list := &jwtauth.MemoryRevocations{Now: func() time.Time { return testNow }}
	list.RevokeToken("ab", "c", testNow.Add(time.Hour))
	list.RevokeSession("a|b", "c", testNow.Add(time.Hour))
	for _, a := range []authctx.Attributes{
		{Issuer: "a", Subject: "x", TokenID: "bc"}, {Issuer: "abc", Subject: "x"}, {Issuer: "ab", Subject: "c"},
		{Issuer: "a", Subject: "x", SessionID: "b|c"}, {Issuer: "a|b", Subject: "x", TokenID: "c"},
	} {
		if got, _ := list.Revoked(t.Context(), principalOf(t, a)); got {
			t.Errorf("%+v is revoked", a)
		}
	}
}

func TestBCP_3_8_CallersOfTwoIssuersAreNeverOne(t *testing.T) {
	a, b := newSigner(t, "k1"), newSigner(t, "k1")
	m := must(jwtauth.NewMultiVerifier(verifierOf(t, "https://a.example", a), verifierOf(t, "https://b.example", b)))
	p := must(m.Verify(t.Context(), a.token(t, goodClaims(map[string]any{"iss": "https://a.example"}))))
	q := must(m.Verify(t.Context(), b.token(t, goodClaims(map[string]any{"iss": "https://b.example"}))))
	if p.Equal(q) || p.Subject() != q.Subject() || p.Issuer() == q.Issuer() {
		t.Errorf("%v and %v", p, q)
	}
}

func TestCVE_2026_47203_OnlyTheSubjectOfThatSpellingIsRevoked(t *testing.T) {
	list := &jwtauth.MemoryRevocations{Now: func() time.Time { return testNow }}
	list.RevokeSubject(testIssuer, "\u00c9ve", testNow, testNow.Add(time.Hour))
	for subject, want := range map[string]bool{"\u00c9ve": true, "\u00e9ve": false, "E\u0301ve": false, "\u00c9ve ": false} {
		p := principalOf(t, authctx.Attributes{Issuer: testIssuer, Subject: subject})
		if got, err := list.Revoked(t.Context(), p); got != want || err != nil {
			t.Errorf("%q: %v, %v", subject, got, err)
		}
	}
}
