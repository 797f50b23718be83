package jwtauthtest_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// newVerifier returns a verifier of i's tokens that takes keys over HTTP.
func newVerifier(t testing.TB, i *jwtauthtest.Issuer, alg jwtauth.Algorithm, change ...func(*jwtauth.VerifierConfig)) *jwtauth.Verifier {
	t.Helper()
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: i.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := keys.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := jwtauth.VerifierConfig{
		Issuer: i.URL(), Audiences: []string{jwtauthtest.Audience}, Algorithms: []jwtauth.Algorithm{alg}, Keys: keys,
	}
	for _, f := range change {
		f(&cfg)
	}
	v, err := jwtauth.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheVerifierTakesGoodTokensAndNoBadOne(t *testing.T) {
	for _, alg := range []jwtauth.Algorithm{jwtauth.ES256, jwtauth.RS256, jwtauth.EdDSA} {
		i := jwtauthtest.NewIssuer(t, &jwtauthtest.Options{Algorithm: alg})
		v := newVerifier(t, i, alg)
		want := jwtauthtest.User(t)
		if p, err := v.Verify(t.Context(), i.Token().Sign()); err != nil || p.Subject() != want.Subject() || !p.HasRole("editor") ||
			!p.HasPermission("orders:read") || p.Issuer() != i.URL() {
			t.Errorf("%s: %v, %v", alg, p, err)
		}
		if p, err := v.Verify(t.Context(), i.TokenFor(jwtauthtest.Service(t).Attributes()).Sign()); err != nil || p.Kind() != authctx.Service {
			t.Errorf("%s: %v, %v", alg, p, err)
		}
		good, bad := i.Token().Bad()
		if _, err := v.Verify(t.Context(), good); err != nil || len(bad) < 35 {
			t.Fatalf("%d bad tokens of one that is %v", len(bad), err)
		}
		wantBad(t, v, string(alg), bad)
	}
}

func wantBad(t *testing.T, v *jwtauth.Verifier, what string, bad []jwtauthtest.BadToken) {
	t.Helper()
	for _, b := range bad {
		if _, err := v.Verify(t.Context(), b.Token); !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("%s: %s: %v", what, b.Name, err)
		}
		if strings.ContainsFunc(b.Token, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s: %s cannot be sent in a header", what, b.Name)
		}
	}
}

func TestNoBadTokenIsGoodWhateverItsClaims(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	v := newVerifier(t, i, jwtauth.ES256)
	for claim, value := range map[string]any{
		"aud": []string{"x", jwtauthtest.Audience}, "admin": true, "sub": "admin", "typ": "Bearer", "name": json.RawMessage(`"\ufffd"`),
	} {
		good, bad := i.Token().Set(claim, value).Bad()
		if _, err := v.Verify(t.Context(), good); err != nil {
			t.Errorf("good with %s: %v", claim, err)
		}
		wantBad(t, v, claim, bad)
	}
}

func TestNoBadTokenIsGoodForAServiceThatWasSetUpInAnotherWay(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	clients := func(claims *jwtauth.ClaimMapping) func(*jwtauth.VerifierConfig) {
		return func(c *jwtauth.VerifierConfig) { c.Claims, c.Audiences, c.ClientIDs = claims, nil, []string{"web"} }
	}
	_, all := i.Token().Bad()
	for name, c := range map[string]struct {
		token  *jwtauthtest.Token
		change func(*jwtauth.VerifierConfig)
		fewer  int // bad tokens than there are of others
	}{
		"RFC 9068":                 {i.Token(), func(c *jwtauth.VerifierConfig) { c.Types = jwtauth.RFC9068Types() }, 0},
		"large tokens":             {i.Token(), func(c *jwtauth.VerifierConfig) { c.MaxTokenBytes = 1 << 20 }, 0},
		"no audience":              {i.Token().Set("aud", nil), clients(nil), 1},
		"null audience":            {i.Token().Set("aud", json.RawMessage("null")), clients(nil), 1},
		"empty audience":           {i.Token().SetHeader("typ", "JWT").Set("aud", []string{}), clients(jwtauth.HydraClaims()), 1},
		"an audience and a client": {i.Token(), func(c *jwtauth.VerifierConfig) { c.ClientIDs = []string{"web"} }, 0},
		"SPIFFE": {i.Token().SetHeader("typ", "JWT").Set("iss", nil).Set("sub", "spiffe://example.org/a"), func(c *jwtauth.VerifierConfig) {
			c.Claims, c.Types, c.Issuer = jwtauth.SPIFFEClaims(), jwtauth.SPIFFETypes(), "spiffe://example.org"
		}, 3},
		"ID tokens": {i.Token().SetHeader("typ", "JWT").Set("nonce", "n").Set("azp", "web"), func(c *jwtauth.VerifierConfig) {
			c.Types = jwtauth.IDTokenTypes()
		}, 2},
		"ID tokens of a code": {i.Token().SetHeader("typ", "JWT").Set("c_hash", "x").Set("azp", "web"), func(c *jwtauth.VerifierConfig) {
			c.Types = jwtauth.IDTokenTypes()
		}, 2},
		"ID tokens of Firebase": {i.Token().SetHeader("typ", "JWT").Set("firebase", map[string]any{"sign_in_provider": "password"}), func(c *jwtauth.VerifierConfig) {
			c.Types, c.Claims = jwtauth.IDTokenTypes(), jwtauth.FirebaseClaims()
		}, 2},
	} {
		v := newVerifier(t, i, jwtauth.ES256, c.change)
		good, bad := c.token.Bad()
		if _, err := v.Verify(t.Context(), good); err != nil || len(bad) != len(all)-c.fewer {
			t.Errorf("%s: %d bad tokens of one that is %v", name, len(bad), err)
		}
		wantBad(t, v, name, bad)
	}
}

func TestNoBadTransactionTokenIsGoodForAService(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: i.JWKSURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	service, err := jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "prod.example", Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string) error {
		fields := authctx.FieldMap(map[string][]string{authctx.TxnTokenField: {token}})
		_, err := service.Authenticate(t.Context(), &authctx.Request{Fields: fields})
		return err
	}
	good, bad := i.TxnToken("prod.example", jwtauthtest.User(t)).Bad()
	if err := ask(good); err != nil || len(bad) < 30 {
		t.Fatalf("%d bad tokens of one that is %v", len(bad), err)
	}
	for _, b := range bad {
		want := authctx.InvalidToken
		if b.Name == "JSON serialization" {
			want = authctx.InvalidRequest
		}
		if err := ask(b.Token); !errors.Is(err, want) {
			t.Errorf("%s: %v", b.Name, err)
		}
	}
}

func TestTheVerifierFollowsARotationAndSurvivesAnOutage(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	v := newVerifier(t, i, jwtauth.ES256)
	if _, err := v.Verify(t.Context(), i.Token().Sign()); err != nil {
		t.Fatal(err)
	}
	i.Rotate()
	if _, err := v.Verify(t.Context(), i.Token().Sign()); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	i.Break(jwtauthtest.Down())
	if _, err := v.Verify(t.Context(), i.TokenFor(jwtauthtest.Service(t).Attributes()).Sign()); err != nil {
		t.Errorf("a known key during an outage: %v", err)
	}
	i.Rotate()
	if _, err := v.Verify(t.Context(), i.Token().Sign()); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("a new key during an outage: %v", err)
	}
	if i.Discoveries() != 1 {
		t.Errorf("discovered %d times", i.Discoveries())
	}
}

func TestDefectsAreWhatTheirNamesSay(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	v := newVerifier(t, i, jwtauth.ES256)
	for want, token := range map[authctx.Reason]*jwtauthtest.Token{
		authctx.TokenExpired:     i.Token().Expired(),
		authctx.TokenNotYetValid: i.Token().NotYetValid(),
		authctx.WrongAudience:    i.Token().Set("aud", "other"),
		authctx.WrongIssuer:      i.Token().Set("iss", "https://evil.test"),
		authctx.WrongType:        i.Token().SetHeader("typ", "dpop+jwt"),
	} {
		if _, err := v.Verify(t.Context(), token.Sign()); !errors.Is(err, want) {
			t.Errorf("%v: %v", want, err)
		}
	}
	short := jwtauthtest.NewIssuer(t, &jwtauthtest.Options{Lifetime: time.Minute})
	exp, _ := short.Token().Claims["exp"].(interface{ Int64() (int64, error) })
	if n, err := exp.Int64(); err != nil || n > time.Now().Add(time.Minute).Unix() {
		t.Errorf("exp %v, %v", n, err)
	}
}

func TestTxnTokenIsOneForServicesAndNobodyElse(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: i.JWKSURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	svc, err := jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "prod.test", Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	authenticate := func(token *jwtauthtest.Token) (authctx.Result, error) {
		fields := map[string][]string{authctx.TxnTokenField: {token.Sign()}}
		return authctx.Authenticate(t.Context(), svc, &authctx.Request{Transport: "http", Fields: authctx.FieldMap(fields)})
	}
	alice := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(time.Hour) })
	res, err := authenticate(i.TxnToken("prod.test", alice))
	if err != nil || res.Principal.Subject() != "alice" || res.Principal.Issuer() != alice.Issuer() || !res.Principal.HasRole("editor") {
		t.Errorf("%v, %v", res.Principal, err)
	}
	if _, err := authenticate(i.TxnToken("staging.test", alice).Set("iss", "prod.test")); !errors.Is(err, authctx.WrongAudience) {
		t.Errorf("of another trust domain: %v", err)
	}
	if _, err := authenticate(i.Token()); !errors.Is(err, authctx.WrongType) {
		t.Errorf("an access token: %v", err)
	}
}
