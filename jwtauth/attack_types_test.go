package jwtauth_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestCVE_2025_68129_AnIDTokenIsNoAccessToken(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	idToken := func(extra map[string]any) string {
		extra["aud"], extra["nonce"], extra["azp"] = "web", "n", "web"
		return s.compact(t, `{"alg":"EdDSA","typ":"JWT","kid":"k1"}`, asJSON(t, goodClaims(extra)))
	}
	refused(t, newVerifier(t, s, nil), "for its client", idToken(map[string]any{}))
	careless := func(c *jwtauth.VerifierConfig) { c.Audiences = []string{"web"} }
	refused(t, newVerifier(t, s, careless), "for us", idToken(map[string]any{"at_hash": "x"}))
	byChoice := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { careless(c); c.Types = jwtauth.IDTokenTypes() })
	if _, err := byChoice.Verify(t.Context(), idToken(map[string]any{"at_hash": "x"})); err != nil {
		t.Errorf("by explicit choice: %v", err)
	}
	refused(t, byChoice, "an access token where ID tokens are meant", s.token(t, goodClaims(map[string]any{"aud": "web"})))
}

// Hashes are optional in the ID tokens of the code flow (OpenID Connect Core
// section 3.1.3.6), and certified providers leave them out; the nonce is not, if
// the client sent one.
func TestAnIDTokenWithoutHashesIsNoAccessToken(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	token := func(header string, changes map[string]any) string {
		bare := map[string]any{"aud": "web", "client_id": nil, "scope": nil, "jti": nil, "nonce": "n"}
		maps.Copy(bare, changes)
		return s.compact(t, `{"alg":"EdDSA","kid":"k1"`+header+`}`, asJSON(t, goodClaims(bare)))
	}
	policy := func(types jwtauth.TypePolicy) *jwtauth.Verifier {
		return newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Audiences, c.Types = []string{"web"}, types })
	}
	for name, idToken := range map[string]string{
		"with a nonce":             token("", nil),
		"with a nonce and a type":  token(`,"typ":"JWT"`, nil),
		"of several audiences":     token("", map[string]any{"aud": []string{"web", "app"}, "azp": "app"}),
		"with a hash of the state": token("", map[string]any{"nonce": nil, "s_hash": "x"}),
		"of Keycloak":              token(`,"typ":"JWT"`, map[string]any{"azp": "web", "typ": "ID"}),
		"with a type as a list":    token("", map[string]any{"typ": []string{"Bearer"}}),
		"of Zitadel, by the implicit flow": token(`,"typ":"JWT"`, map[string]any{
			"azp": "web", "client_id": "web", "amr": []string{"pwd"}, "auth_time": 1_700_000_000}),
		"of Glewlwyd, with scopes": token(`,"typ":"JWT"`, map[string]any{
			"azp": "web", "scope": []string{"openid", "read"}, "amr": []string{"password"}, "sid": "s1"}),
		"with a hash and a type": token("", map[string]any{"at_hash": "x", "typ": "Bearer"}),
		"in all but name, as of authentik": token(`,"typ":"JWT"`, map[string]any{
			"azp": "web", "uid": "u1", "sid": "s1", "acr": "goauthentik.io/providers/oauth2/default"}),
	} {
		refused(t, policy(jwtauth.TypePolicy{}), name, idToken)
		refused(t, policy(jwtauth.NamedTypes("JWT")), name, idToken)
		if _, err := policy(jwtauth.IDTokenTypes()).Verify(t.Context(), idToken); err != nil {
			t.Errorf("%s, by explicit choice: %v", name, err)
		}
	}
	_, err := policy(jwtauth.TypePolicy{}).Verify(t.Context(), token("", nil))
	wantRefusal(t, err, "wrong_type", `jwtauth: issuer "https://issuer.example": claims are those of an ID token: nonce beside azp, or without scope and client_id`)
	for name, accessToken := range map[string]string{
		"with the nonce of its login":         token("", map[string]any{"scope": "openid"}),
		"with the nonce of its login and scp": token("", map[string]any{"scp": []string{"read"}}),
		"of Azure AD B2C": token(`,"typ":"JWT"`, map[string]any{
			"azp": "web", "scp": "App.Write App.Read", "tfp": "B2C_1_Signup", "ver": "1.0"}),
		"with the nonce of its login, its client": token("", map[string]any{"client_id": "web"}),
		"with the nonce of its login and cid":     token("", map[string]any{"cid": "web"}),
		"of a Keycloak that writes no scope":      token(`,"typ":"JWT"`, map[string]any{"azp": "web", "typ": "Bearer"}),
		"of Keycloak, bound to a key":             token(`,"typ":"JWT"`, map[string]any{"azp": "web", "typ": "DPoP"}),
		"with a nonce that is null":               token("", map[string]any{"nonce": nil}),
		"that says so in its type":                token(`,"typ":"at+jwt"`, nil),
	} {
		if _, err := policy(jwtauth.TypePolicy{}).Verify(t.Context(), accessToken); err != nil {
			t.Errorf("an access token %s: %v", name, err)
		}
	}
}

func TestBCP_3_11_TypesDivideTokens(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	types := []string{`"at+jwt"`, `"AT+JWT"`, `"application/at+jwt"`, `"JWT"`, ``, `"dpop+jwt"`, `"logout+jwt"`, `"txntoken+jwt"`, `"secevent+jwt"`, `"x/at+jwt"`, `"acme+jwt"`, `"JOSE"`}
	for name, test := range map[string]struct {
		policy jwtauth.TypePolicy
		good   string // a mark for each of types
	}{
		"default": {jwtauth.TypePolicy{}, "yyyyynnnnnnn"},
		"strict":  {jwtauth.RFC9068Types(), "yyynnnnnnnnn"},
		"named":   {jwtauth.NamedTypes("application/Acme+jwt"), "nnnnnnnnnnyn"},
		"two":     {jwtauth.NamedTypes("acme+jwt", "JWT"), "nnnynnnnnnyn"},
		"ID":      {jwtauth.IDTokenTypes(), "nnnyynnnnnnn"},
		"SPIFFE":  {jwtauth.SPIFFETypes(), "nnnyynnnnnny"},
	} {
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Types = test.policy })
		for i, typ := range types {
			header := `{"alg":"EdDSA","kid":"k1"}`
			if typ != "" {
				header = `{"alg":"EdDSA","kid":"k1","typ":` + typ + `}`
			}
			token := s.compact(t, header, asJSON(t, goodClaims(nil)))
			if _, err := v.Verify(t.Context(), token); (err == nil) != (test.good[i] == 'y') || err != nil && !errors.Is(err, authctx.WrongType) {
				t.Errorf("%s (%v): typ %s: %v", name, test.policy, typ, err)
			}
		}
	}
}

func TestBCP_3_11_AnEmptyTypeIsNoAbsentOne(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	for _, typ := range []string{`""`, `"application/"`, `"Application/"`} {
		for _, policy := range []jwtauth.TypePolicy{{}, jwtauth.IDTokenTypes(), jwtauth.SPIFFETypes(), jwtauth.NamedTypes("JWT")} {
			v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Types = policy })
			refused(t, v, typ, s.compact(t, `{"alg":"EdDSA","kid":"k1","typ":`+typ+`}`, asJSON(t, goodClaims(nil))))
		}
	}
}

func TestBCP_3_11_OtherKindsOfTokenCannotBeNamed(t *testing.T) {
	for _, typ := range []string{"dpop+jwt", "logout+jwt", "application/LOGOUT+jwt", "secevent+jwt", "txntoken+jwt", "txn_token", "authctx-deferred+jwt", "token-introspection+jwt", "oauth-authz-req+jwt"} {
		cfg := configFor(t, signerFor(t, jwtauth.EdDSA))
		cfg.Types = jwtauth.NamedTypes("at+jwt", typ)
		name := strings.TrimPrefix(strings.ToLower(typ), "application/")
		if _, err := jwtauth.NewVerifier(cfg); err == nil || !strings.Contains(err.Error(), "Types has \""+name) {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func TestRFC8417_AnEventIsNoAccessTokenWhateverItIsCalled(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	claims := asJSON(t, goodClaims(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}))
	for typ, policy := range map[string]jwtauth.TypePolicy{
		"at+jwt": {}, "AT+jwt": jwtauth.RFC9068Types(), "acme+jwt": jwtauth.NamedTypes("acme+jwt"), "JWT": jwtauth.IDTokenTypes(), "JOSE": jwtauth.SPIFFETypes(),
	} {
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Types = policy })
		if _, err := v.Verify(t.Context(), s.compact(t, `{"alg":"EdDSA","kid":"k1","typ":"`+typ+`"}`, claims)); !errors.Is(err, authctx.WrongType) {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// A claim of that name which is no set of events says nothing where the header
// names the kind of token, and too much where it does not.
func TestRFC8417_OnlyAnObjectIsEventsOfATypedToken(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	for _, events := range []any{[]string{"read", "write"}, "none", 1} {
		claims := asJSON(t, goodClaims(map[string]any{"events": events}))
		for typ, want := range map[string]error{"at+jwt": nil, "JWT": authctx.WrongType} {
			if _, err := v.Verify(t.Context(), s.compact(t, `{"alg":"EdDSA","kid":"k1","typ":"`+typ+`"}`, claims)); !errors.Is(err, want) {
				t.Errorf("%s with %v: %v, want %v", typ, events, err, want)
			}
		}
	}
}
