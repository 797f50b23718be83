package jwtauthtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

func get(t testing.TB, url string) ([]byte, error) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// verify verifies with golang-jwt, so that a mistake here is not made twice.
func verify(t testing.TB, i *jwtauthtest.Issuer, token string) error {
	t.Helper()
	set, err := get(t, i.JWKSURL())
	if err != nil {
		t.Fatal(err)
	}
	kf, err := keyfunc.NewJWKSetJSON(set)
	if err != nil {
		t.Fatal(err)
	}
	_, err = jwt.Parse(token, kf.Keyfunc, jwt.WithIssuer(i.URL()), jwt.WithAudience(jwtauthtest.Audience), jwt.WithExpirationRequired())
	return err
}

func TestTokensVerifyWithThePublishedKeys(t *testing.T) {
	for _, alg := range []jwtauth.Algorithm{"", jwtauth.RS256, jwtauth.PS256, jwtauth.ES384, jwtauth.ES512, jwtauth.EdDSA} {
		i := jwtauthtest.NewIssuer(t, &jwtauthtest.Options{Algorithm: alg})
		if err := verify(t, i, i.Token().Sign()); err != nil {
			t.Errorf("algorithm %q: %v", alg, err)
		}
	}
}

func TestDiscoveryLeadsToTheKeys(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		text, err := get(t, i.URL()+path)
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]string
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		if doc["issuer"] != i.URL() || doc["jwks_uri"] != i.JWKSURL() {
			t.Errorf("%s: %v", path, doc)
		}
	}
	if i.Discoveries() != 2 || i.Fetches() != 0 {
		t.Errorf("counted %d discoveries and %d fetches", i.Discoveries(), i.Fetches())
	}
}

func TestRotationPublishesOldKeysUntilTheyAreDropped(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	before := i.Token().Sign()
	i.Rotate()
	after := i.Token().Sign()
	if err := verify(t, i, before); err != nil {
		t.Errorf("a token from before the rotation: %v", err)
	}
	if err := verify(t, i, after); err != nil {
		t.Errorf("a token from after the rotation: %v", err)
	}
	i.DropOldKeys()
	if err := verify(t, i, before); err == nil {
		t.Error("a token verifies whose key was dropped")
	}
	if err := verify(t, i, after); err != nil {
		t.Errorf("a token of the key that signs: %v", err)
	}
	if i.Fetches() != 4 {
		t.Errorf("counted %d fetches, want 4", i.Fetches())
	}
}

func TestFaults(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	release := make(chan struct{})
	close(release)
	for name, tt := range map[string]struct {
		fault http.Handler
		want  string // of the body; empty when there must be none
	}{
		"down":       {jwtauthtest.Down(), ""},
		"status":     {jwtauthtest.Status(503), ""},
		"junk":       {jwtauthtest.Junk(), "<!doctype"},
		"no keys":    {jwtauthtest.NoKeys(), `{"keys":[]}`},
		"slow":       {jwtauthtest.Slow(release, jwtauthtest.NoKeys()), `{"keys":[]}`},
		"slow, well": {jwtauthtest.Slow(release, i.Handler()), `{"keys":[{`},
		"user's own": {http.NotFoundHandler(), ""},
	} {
		i.Break(tt.fault)
		body, err := get(t, i.JWKSURL())
		if tt.want == "" && err == nil {
			t.Errorf("%s: answered %.40q", name, body)
		}
		if tt.want != "" && (err != nil || !strings.HasPrefix(string(body), tt.want)) {
			t.Errorf("%s: %.40q, %v", name, body, err)
		}
	}
	i.Repair()
	if err := verify(t, i, i.Token().Sign()); err != nil {
		t.Errorf("after Repair: %v", err)
	}
}

func TestHangLastsUntilTheClientGivesUp(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	ctx, giveUp := context.WithCancel(t.Context())
	i.Break(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		giveUp() // the request is there
		jwtauthtest.Hang().ServeHTTP(w, r)
	}))
	req, err := http.NewRequestWithContext(ctx, "GET", i.JWKSURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOversizedExceedsAnyBound(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	i.Break(jwtauthtest.Oversized())
	resp, err := http.Get(i.JWKSURL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	const bound = 2 << 20
	if n, err := io.CopyN(io.Discard, resp.Body, bound); n != bound {
		t.Errorf("only %d bytes came: %v", n, err)
	}
}

func TestTheBuilderChangesWhatItIsTold(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	i := jwtauthtest.NewIssuer(t, &jwtauthtest.Options{Now: func() time.Time { return now }, Audience: "a", Lifetime: time.Hour})
	secret := make([]byte, 32)
	token := i.TokenFor(jwtauthtest.Service(t).Attributes()).
		Set("sub", "bob").Set("client_id", nil).SetHeader("x", 1).SignWith("HS256", secret).Sign()
	parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return secret, nil },
		jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithAudience("a"), jwt.WithIssuer(i.URL()))
	if err != nil {
		t.Fatal(err)
	}
	claims := parsed.Claims.(jwt.MapClaims)
	if claims["sub"] != "bob" || claims["client_id"] != nil || parsed.Header["x"] != 1.0 || parsed.Header["typ"] != "at+jwt" {
		t.Errorf("header %v, claims %v", parsed.Header, claims)
	}
	if claims["exp"] != float64(now.Add(time.Hour).Unix()) {
		t.Errorf("exp %v", claims["exp"])
	}
}

func TestCallersAreReadyMadeAndChangeable(t *testing.T) {
	user := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Roles = []string{"admin"} })
	if !user.HasRole("admin") || user.HasRole("editor") || user.Subject() != "alice" || user.Provenance() != authctx.Verified {
		t.Errorf("user %v", user.Attributes())
	}
	if service := jwtauthtest.Service(t); service.Kind() != authctx.Service || service.ClientID() != service.Subject() {
		t.Errorf("service %v", service.Attributes())
	}
}
