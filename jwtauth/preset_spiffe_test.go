package jwtauth_test

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

const (
	svidDomain   = "spiffe://example.org"
	svidSubject  = svidDomain + "/ns/shop/sa/billing"
	svidAudience = svidDomain + "/orders"
)

// svidConfig is how JWT-SVIDs of a signer are verified: with the trust domain's
// bundle as its endpoint serves it, roots of certificates included.
func svidConfig(t *testing.T, s testSigner) jwtauth.VerifierConfig {
	t.Helper()
	bundle := jwks(
		jwk("", &keysP384().PublicKey, jwkMembers{"kid": nil, "use": "x509-svid", "x5c": []string{"AAAA"}}),
		jwk("k1", &testECKeys()[jwtauth.ES256].PublicKey, jwkMembers{"use": "jwt-svid"}),
	)
	bundle = bundle[:len(bundle)-1] + `,"spiffe_sequence":12,"spiffe_refresh_hint":300}`
	cfg := configFor(t, s)
	cfg.Keys = keysFrom(t, newKeyServer(bundle))
	cfg.Issuer, cfg.Audiences = svidDomain, []string{svidAudience}
	cfg.Claims, cfg.Types = jwtauth.SPIFFEClaims(), jwtauth.SPIFFETypes()
	return cfg
}

// svidClaims are those that SPIRE writes.
func svidClaims(t *testing.T, change map[string]any) string {
	t.Helper()
	claims := goodClaims(map[string]any{
		"iss": nil, "client_id": nil, "scope": nil, "jti": nil, "sub": svidSubject, "aud": []string{svidAudience},
	})
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return asJSON(t, claims)
}

func TestJWTSVIDsOfEveryTypeAreTakenWhereAskedFor(t *testing.T) {
	s := signerFor(t, jwtauth.ES256)
	asked := svidConfig(t, s)
	notAsked := asked
	notAsked.Types = jwtauth.TypePolicy{}
	for typ, want := range map[string]struct{ asked, notAsked bool }{
		``:                 {true, true},
		`,"typ":"JWT"`:     {true, true},
		`,"typ":"JOSE"`:    {true, false},
		`,"typ":"at+jwt"`:  {false, true},
		`,"typ":"wit+jwt"`: {false, false},
	} {
		token := s.compact(t, `{"alg":"ES256","kid":"k1"`+typ+`}`, svidClaims(t, nil))
		p, err := must(jwtauth.NewVerifier(asked)).Verify(t.Context(), token)
		if (err == nil) != want.asked || err != nil && !errors.Is(err, authctx.WrongType) {
			t.Errorf("%s: %v", typ, err)
		}
		if err == nil && (p.Issuer() != svidDomain || p.Subject() != svidSubject || p.Kind() != authctx.Service) {
			t.Errorf("%s: %+v", typ, p.Attributes())
		}
		if _, err := must(jwtauth.NewVerifier(notAsked)).Verify(t.Context(), token); (err == nil) != want.notAsked {
			t.Errorf("%s, not asked for: %v", typ, err)
		}
	}
}

func TestWhatIsNoJWTSVIDIsRefusedUnderEveryType(t *testing.T) {
	s := signerFor(t, jwtauth.ES256)
	v := must(jwtauth.NewVerifier(svidConfig(t, s)))
	for name, change := range map[string]map[string]any{
		"an ID token":           {"at_hash": "x"},
		"a logout token":        {"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}},
		"events of no object":   {"events": []string{"x"}},
		"another trust domain":  {"sub": "spiffe://example.com/ns/shop/sa/billing"},
		"another audience":      {"aud": []string{svidDomain + "/stock"}},
		"no audience":           {"aud": nil},
		"no expiry":             {"exp": nil},
		"no SPIFFE ID":          {"sub": "billing"},
		"the domain as subject": {"sub": svidDomain},
		"a space in the path":   {"sub": svidDomain + "/a b"},
		"an encoded letter":     {"sub": svidDomain + "/%61"},
		"an ID of 2,049 bytes":  {"sub": svidDomain + "/" + strings.Repeat("x", 2048-len(svidDomain))},
	} {
		for _, typ := range []string{``, `,"typ":"JWT"`, `,"typ":"JOSE"`} {
			token := s.compact(t, `{"alg":"ES256","kid":"k1"`+typ+`}`, svidClaims(t, change))
			refused(t, v, name+typ, token)
		}
	}
}

func TestOfASPIFFEBundleOnlyTheKeysOfJWTSVIDsCount(t *testing.T) {
	bundle := jwks(
		jwk("same", &keysP384().PublicKey, jwkMembers{"use": "x509-svid"}),
		jwk("same", edKey(1), jwkMembers{"use": "jwt-svid"}),
		jwk("other", edKey(2), jwkMembers{"use": json.RawMessage(`"JWT-SVID"`)}),
	)
	keys, skipped, err := jwtauth.ParseJWKSet([]byte(bundle))
	if err != nil || len(keys) != 1 || len(skipped) != 2 || !jwtauth.HasMaterial(keys[0], edKey(1)) {
		t.Errorf("%v, %v, %v", keys, skipped, err)
	}
}

func TestRule1_SPIFFEClaimsNeedATrustDomainAsIssuer(t *testing.T) {
	cfg := svidConfig(t, signerFor(t, jwtauth.ES256))
	for _, issuer := range []string{"https://example.org", "example.org", "spiffe://Example.org", svidDomain + "/", svidSubject} {
		cfg.Issuer = issuer
		_, err := jwtauth.NewVerifier(cfg)
		requireNames(t, err, "Issuer")
	}
}
