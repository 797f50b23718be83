package jwtauth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx/jwtauth"
)

// oracle is golang-jwt at its strictest. It may take what a Verifier refuses,
// never the other way round.
func oracle(s testSigner, public any, token string) (map[string]any, error) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{string(s.algorithm)}), jwt.WithIssuer(testIssuer), jwt.WithAudience(testAudience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return testNow }),
	)
	claims := jwt.MapClaims{}
	_, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return public, nil })
	return claims, err
}

// notLaxer verifies a token by both ways and compares what they read.
func notLaxer(t *testing.T, v *jwtauth.Verifier, s testSigner, public any, token string) {
	t.Helper()
	p, err := v.Verify(t.Context(), token)
	if err != nil {
		if !p.IsZero() {
			t.Errorf("a principal with an error: %v", p)
		}
		return
	}
	claims, oracleErr := oracle(s, public, token)
	// The name of RFC 9864 is one that golang-jwt does not know.
	if oracleErr != nil && !strings.HasPrefix(token, b64(`{"alg":"Ed25519"`)) {
		t.Fatalf("accepted what golang-jwt refuses: %v\n%s", oracleErr, token)
	}
	if oracleErr == nil && (claims["sub"] != p.Subject() || claims["iss"] != p.Issuer()) {
		t.Errorf("read %q of %q, golang-jwt %v of %v", p.Subject(), p.Issuer(), claims["sub"], claims["iss"])
	}
	var again map[string]any
	if err := p.DecodeClaims(&again); err != nil || again["sub"] != p.Subject() {
		t.Errorf("claims read otherwise a second time: %v, %v", again["sub"], err)
	}
	if q, err := v.Verify(t.Context(), token); err != nil || !q.Equal(p) {
		t.Errorf("read otherwise from the cache: %v, %v", q, err)
	}
}

// FuzzSignedTokens is about headers and claims that the issuer itself signed.
func FuzzSignedTokens(f *testing.F) {
	s := signerFor(f, jwtauth.HS256)
	v := newVerifier(f, s, func(c *jwtauth.VerifierConfig) { c.Cache.MaxEntries = 16 })
	good := asJSON(f, goodClaims(map[string]any{"act": map[string]any{"sub": "x"}, "roles": []string{"a"}}))
	f.Add(`{"alg":"HS256","typ":"at+jwt","kid":"k1"}`, good)
	for _, header := range strictHeaders {
		f.Add(strings.ReplaceAll(header, "ES256", "HS256"), good)
	}
	for _, changed := range strictClaims {
		f.Add(`{"alg":"HS256","kid":"k1"}`, strings.Replace(good, `"sub":"alice"`, `"sub":"alice",`+changed, 1))
		f.Add(`{"alg":"HS256","kid":"k1"}`, "{"+changed+"}")
	}
	f.Fuzz(func(t *testing.T, header, claims string) {
		notLaxer(t, v, s, testSecret, s.compact(t, header, claims))
	})
}

// FuzzTokens is about whatever a stranger sends.
func FuzzTokens(f *testing.F) {
	s := signerFor(f, jwtauth.EdDSA)
	v := newVerifier(f, s, func(c *jwtauth.VerifierConfig) { c.Cache.MaxEntries = 16 })
	m := must(jwtauth.NewMultiVerifier(v))
	token := s.token(f, goodClaims(nil))
	dot := strings.LastIndexByte(token, '.')
	for _, seed := range []string{token, "", ".", "..", "eyJ.e.e", token + ".x", token + "=", token[:dot], token[:dot] + "\n" + token[dot:], "{}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		notLaxer(t, v, s, testEdKey().Public(), token)
		_, single := v.Verify(t.Context(), token)
		if _, many := m.Verify(t.Context(), token); (single == nil) != (many == nil) {
			t.Errorf("one verifier says %v, several say %v", single, many)
		}
	})
}

// FuzzBearer is about requests of any shape: no answer but those that the
// contract has, and no token taken that was not presented.
func FuzzBearer(f *testing.F) {
	s := signerFor(f, jwtauth.EdDSA)
	v := newVerifier(f, s, nil)
	bearers := []*jwtauth.Bearer{
		newBearer(f, v, nil), newBearer(f, v, &jwtauth.BearerOptions{Cookie: "t"}),
		newBearer(f, v, &jwtauth.BearerOptions{Header: "x-token"}),
	}
	token := s.token(f, goodClaims(nil))
	f.Add("authorization", "Bearer "+token, "cookie", "t="+token)
	f.Add("Authorization", "bearer  x", "X-Token", token)
	f.Add("authorization", "Bearer", "authorization", "")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		for _, b := range bearers {
			res, err := b.Authenticate(t.Context(), fields(n1, v1, n2, v2))
			if (err == nil) == res.Principal.IsZero() {
				t.Errorf("%v with %v", res.Principal, err)
			}
			if err == nil && !strings.Contains(v1, token) && !strings.Contains(v2, token) {
				t.Error("let in without the token")
			}
		}
	})
}
