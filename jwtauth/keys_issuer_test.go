package jwtauth_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// newKeyID is a key that nobody has looked for yet.
const newKeyID = `{"alg":"EdDSA","typ":"at+jwt","kid":"new"}`

// RFC 8725 section 3.8: the keys of one issuer serve its tokens and no others, so
// that those of another cause no load and leave the cool-down to a rotation.
func TestRFC8725_3_8_ATokenOfAnotherIssuerIsWrongAndCausesNoLoad(t *testing.T) {
	signer := signerFor(t, jwtauth.EdDSA)
	for name, claims := range map[string]struct {
		text string
		want authctx.Reason
	}{
		"another issuer":      {asJSON(t, goodClaims(map[string]any{"iss": "https://staging.example"})), authctx.WrongIssuer},
		"a slash too many":    {asJSON(t, goodClaims(map[string]any{"iss": testIssuer + "/"})), authctx.WrongIssuer},
		"expired besides":     {asJSON(t, goodClaims(map[string]any{"iss": "https://staging.example", "exp": 1})), authctx.WrongIssuer},
		"no issuer":           {asJSON(t, goodClaims(map[string]any{"iss": nil})), authctx.InvalidToken},
		"a list":              {asJSON(t, goodClaims(map[string]any{"iss": []string{testIssuer}})), authctx.InvalidToken},
		"two issuers":         {`{"iss":"` + testIssuer + `","iss":"https://staging.example"}`, authctx.InvalidToken},
		"in two spellings":    {`{"iss":"` + testIssuer + `","ISS":"https://staging.example"}`, authctx.InvalidToken},
		"unreadable":          {`{"iss":"` + testIssuer + `"`, authctx.InvalidToken},
		"no object":           {`["` + testIssuer + `"]`, authctx.InvalidToken},
		"ours, which expired": {asJSON(t, goodClaims(map[string]any{"exp": 1})), authctx.UnknownKey},
		"ours, for another":   {asJSON(t, goodClaims(map[string]any{"aud": "other"})), authctx.UnknownKey},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(edSet(1))
			v := remoteVerifier(t, signer, s)
			synctest.Wait()
			_, err := v.Verify(t.Context(), signer.compact(t, newKeyID, claims.text))
			if got := authctx.ReasonOf(err); got != claims.want {
				t.Errorf("%s: %v, want %v", name, err, claims.want)
			}
			if loads := s.fetches() - 1; loads != 0 && claims.want != authctx.UnknownKey {
				t.Errorf("%s: %d loads", name, loads)
			}
		})
	}
}

func TestRFC8725_3_8_TokensOfAnotherIssuerDoNotHoldUpARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := signerFor(t, jwtauth.EdDSA)
		s := newKeyServer(edSet(1))
		v := remoteVerifier(t, signer, s)
		synctest.Wait()
		foreign := asJSON(t, goodClaims(map[string]any{"iss": "https://staging.example"}))
		for range 4 {
			if _, err := v.Verify(t.Context(), signer.compact(t, newKeyID, foreign)); authctx.ReasonOf(err) != authctx.WrongIssuer {
				t.Error(err)
			}
		}
		s.serve(jwks(jwk("new", testEdKey().Public())))
		if _, err := v.Verify(t.Context(), edToken(t, signer, "new", 0)); err != nil {
			t.Error(err)
		}
	})
}

// A source of somebody else is not asked either: what it does to find a key is
// not known here.
func TestRFC8725_3_8_ATokenOfAnotherIssuerIsNotLookedUpElsewhereEither(t *testing.T) {
	signer := signerFor(t, jwtauth.EdDSA)
	asked := 0
	own := keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
		asked++
		return signer.key, nil
	})
	kf, _ := memoryKeyfunc(t)
	for name, keys := range map[string]jwtauth.KeySource{"own": own, "keyfunc": must(jwtauth.KeysFromKeyfunc(kf))} {
		v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = keys })
		token := signer.token(t, goodClaims(map[string]any{"iss": "https://staging.example"}))
		if _, err := v.Verify(t.Context(), token); authctx.ReasonOf(err) != authctx.WrongIssuer {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}

// countingStorage counts how often it is asked for a key.
type countingStorage struct {
	jwkset.Storage
	reads int
}

func (s *countingStorage) KeyRead(ctx context.Context, id string) (jwkset.JWK, error) {
	s.reads++
	return s.Storage.KeyRead(ctx, id)
}

// That a key was there once is no reason to go on looking for it.
func TestRFC8725_3_8_ATokenOfAnotherIssuerIsNotLookedUpForAKeyThatLeft(t *testing.T) {
	signer := signerFor(t, jwtauth.EdDSA)
	_, store := memoryKeyfunc(t, theirs("k1", testEdKey().Public(), nil))
	storage := &countingStorage{Storage: store}
	v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) {
		c.Keys = must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: storage}))))
	})
	if _, err := v.Verify(t.Context(), edToken(t, signer, "k1", 0)); err != nil {
		t.Fatal(err)
	}
	must(0, store.KeyReplaceAll(t.Context(), nil))
	storage.reads = 0
	foreign := signer.token(t, goodClaims(map[string]any{"iss": "https://staging.example"}))
	for range 5 {
		if _, err := v.Verify(t.Context(), foreign); err == nil {
			t.Error("accepted")
		}
	}
	if storage.reads > 1 { // the first finds out
		t.Errorf("looked for %d times", storage.reads)
	}
	must(0, store.KeyWrite(t.Context(), theirs("k1", testEdKey().Public(), nil)))
	if _, err := v.Verify(t.Context(), edToken(t, signer, "k1", 1)); err != nil {
		t.Errorf("after it came back: %v", err)
	}
}

// What is at hand costs nothing, so that nothing is read before the signature.
func TestRule3_TheSignatureIsJudgedBeforeTheIssuerWhereTheKeyIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signer := signerFor(t, jwtauth.EdDSA)
		s := newKeyServer(edSet(1))
		v := remoteVerifier(t, signer, s)
		synctest.Wait()
		for _, claims := range []string{asJSON(t, goodClaims(map[string]any{"iss": "https://staging.example"})), "{"} {
			token := signer.compact(t, `{"alg":"EdDSA","kid":"k1"}`, claims)
			if _, err := v.Verify(t.Context(), token); authctx.ReasonOf(err) != authctx.BadSignature {
				t.Errorf("%s: %v", claims, err)
			}
		}
	})
}

// An issuer may be a template or, for SPIFFE, in the subject. Which tenants are
// let in is no question to ask about what nobody has signed.
func TestRFC8725_3_8_ATokenNamesItsIssuerInTheWayOfItsIssuer(t *testing.T) {
	signer := signerFor(t, jwtauth.EdDSA)
	entra := func(c *jwtauth.VerifierConfig) {
		c.Issuer = "https://login.example/" + jwtauth.TenantPlaceholder + "/v2.0"
		c.Tenants = func(context.Context, string) (bool, error) {
			t.Error("the tenant of a forged token was judged")
			return true, nil
		}
	}
	svid := func(c *jwtauth.VerifierConfig) {
		c.Issuer, c.Claims, c.Types = svidDomain, jwtauth.SPIFFEClaims(), jwtauth.SPIFFETypes()
	}
	for name, test := range map[string]struct {
		change func(*jwtauth.VerifierConfig)
		claims map[string]any
		want   authctx.Reason
	}{
		"a tenant":                  {entra, map[string]any{"iss": "https://login.example/a/v2.0", "tid": "a"}, authctx.UnknownKey},
		"not its own tenant":        {entra, map[string]any{"iss": "https://login.example/a/v2.0", "tid": "b"}, authctx.UnknownKey},
		"two segments":              {entra, map[string]any{"iss": "https://login.example/a/b/v2.0", "tid": "a/b"}, authctx.WrongIssuer},
		"another provider":          {entra, map[string]any{"tid": "a"}, authctx.WrongIssuer},
		"a SPIFFE ID":               {svid, map[string]any{"iss": nil, "sub": svidSubject}, authctx.UnknownKey},
		"one with another iss":      {svid, map[string]any{"sub": svidSubject}, authctx.UnknownKey},
		"one of another domain":     {svid, map[string]any{"iss": svidDomain, "sub": "spiffe://other.example/x"}, authctx.WrongIssuer},
		"a subject that is no such": {svid, map[string]any{"iss": svidDomain}, authctx.InvalidToken},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(edSet(1))
			keys := keysFrom(t, s)
			v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { test.change(c); c.Keys = keys })
			synctest.Wait()
			token := signer.compact(t, `{"alg":"EdDSA","kid":"new"}`, asJSON(t, goodClaims(test.claims)))
			if _, err := v.Verify(t.Context(), token); authctx.ReasonOf(err) != test.want {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
			if looked := s.fetches() > 1; looked != (test.want == authctx.UnknownKey) {
				t.Errorf("%s: looked for the key: %v", name, looked)
			}
		})
	}
}

// Whoever signs for one issuer could otherwise name the other in a token.
func TestRule2_AVerifierTakesTheRemoteKeysOfItsOwnIssuerOnly(t *testing.T) {
	const template = "https://login.example/{tenantid}/v2.0"
	for name, test := range map[string]struct {
		issuer, keysOf, metadata string
		bad                      bool
	}{
		"its own":                          {testIssuer, testIssuer, "", false},
		"of another":                       {testIssuer, "https://other.example", "", true},
		"a slash too many":                 {testIssuer, testIssuer + "/", "", true},
		"a slash too few":                  {testIssuer + "/", testIssuer, "", true},
		"in another case":                  {testIssuer, "https://Issuer.example", "", true},
		"of nobody in particular":          {testIssuer, "", "", false},
		"of a provider of several tenants": {"https://login.example/a/v2.0", "https://login.example/common/v2.0", template, false},
		"of all tenants":                   {template, "https://login.example/common/v2.0", template, false},
		"of a trust domain":                {"prod.example", "https://gateway.example", "", false},
	} {
		s := newKeyServer(edSet(1))
		remote := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) {
			if test.keysOf != "" {
				c.JWKSURL, c.Issuer, c.MetadataIssuer = "", test.keysOf, test.metadata
			}
		})
		for _, keys := range []jwtauth.KeySource{remote, must(jwtauth.KeysFromKeyfunc(remote.Keyfunc()))} {
			cfg := configFor(t, signerFor(t, jwtauth.EdDSA))
			if cfg.Issuer, cfg.Keys = test.issuer, keys; test.issuer == template {
				cfg.Tenants = jwtauth.AnyTenant()
			}
			_, err := jwtauth.NewVerifier(cfg)
			if (err != nil) != test.bad {
				t.Errorf("%s, %T: %v", name, keys, err)
			}
			if err != nil && (!strings.Contains(err.Error(), `"`+test.issuer+`"`) || !strings.Contains(err.Error(), `"`+test.keysOf+`"`)) {
				t.Errorf("%s: not both are named in %v", name, err)
			}
		}
	}
}

// With several issuers "the provider answered 502" does not say whose provider.
func TestWhatIsUnavailableIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		issuer, jwksURL, want string
	}{
		"an issuer":              {issuer: testIssuer, want: `keys of "https://issuer.example": `},
		"an address":             {jwksURL: "https://keys.example/a?token=secret", want: `keys of "https://keys.example/a": `},
		"what could break a log": {issuer: `https://issuer.example/"` + strings.Repeat("x", 5000), want: `keys of "https://issuer.example/\"xx`},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer("")
			s.status = 502
			keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.Issuer, c.JWKSURL = test.issuer, test.jwksURL })
			signer := signerFor(t, jwtauth.EdDSA)
			v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) {
				if c.Keys = keys; test.issuer != "" {
					c.Issuer = test.issuer
				}
			})
			token := signer.token(t, goodClaims(map[string]any{"iss": v.Issuer()}))
			for range 2 { // by a load, and within the cool-down
				_, err := v.Verify(t.Context(), token)
				if text := fmt.Sprint(err); !strings.Contains(text, test.want) || !strings.Contains(text, "answered 502") ||
					strings.Contains(text, "secret") || len(text) > 600 {
					t.Errorf("%s: %s", name, text)
				}
			}
			if err := keys.Ready(t.Context()); !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("%s: ready: %v", name, err)
			}
			keys.Close()
			if _, err := v.Verify(t.Context(), token); !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("%s: closed: %v", name, err)
			}
		})
	}
}
