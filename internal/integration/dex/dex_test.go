package dex

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// everything is what a client can ask Dex for.
const everything = "openid profile email groups federated:id offline_access"

func verifierConfig(p *provider, keys jwtauth.KeySource) jwtauth.VerifierConfig {
	return jwtauth.VerifierConfig{
		Issuer: p.issuer, Audiences: []string{web}, Algorithms: []jwtauth.Algorithm{jwtauth.RS256}, Keys: keys,
		Types: jwtauth.IDTokenTypes(), Claims: jwtauth.DexClaims(),
	}
}

// loadKeys discovers the keys.
func loadKeys(t *testing.T, p *provider) *jwtauth.RemoteKeys {
	t.Helper()
	keys, err := jwtauth.LoadRemoteKeys(t.Context(), jwtauth.RemoteKeysConfig{Issuer: p.issuer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	return keys
}

func TestAUserWhoLoggedInIsTheCaller(t *testing.T) {
	dex := startDex(t)
	verifier := must(jwtauth.NewVerifier(verifierConfig(dex, loadKeys(t, dex))))
	got := dex.login(t, everything)
	for kind, token := range map[string]string{"ID token": got.ID, "access token": got.Access} {
		p, err := verifier.Verify(t.Context(), token)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		if life := time.Until(p.Expires()); life < 59*time.Minute || life > time.Hour+time.Minute || time.Since(p.IssuedAt()) > time.Minute {
			t.Errorf("%s: issued at %v, ends at %v", kind, p.IssuedAt(), p.Expires())
		}
		have := p.Attributes()
		want := must(authctx.New(authctx.Attributes{
			Issuer: dex.issuer, Subject: have.Subject, Name: "Kilgore Trout", Email: "kilgore@kilgore.trout", ClientID: web,
			Groups: []string{"authors"}, Provenance: authctx.Verified, Kind: authctx.User,
			Extra:    map[string][]string{"connector": {"mock"}, "connector-user-id": {"0-385-28089-0"}},
			IssuedAt: have.IssuedAt, Expires: have.Expires, Claims: have.Claims,
		}))
		if !p.Equal(want) {
			t.Errorf("%s:\n got %+v\nwant %+v", kind, have, want.Attributes())
		}
	}
}

// Dex tells an ID token from an access token by nothing but what a client does
// with it, and neither says that it is one: an ID token is taken by choice.
func TestTokensOfDexAreNoAccessTokens(t *testing.T) {
	dex := startDex(t)
	keys := loadKeys(t, dex)
	cfg := verifierConfig(dex, keys)
	cfg.Types = jwtauth.TypePolicy{}
	access := must(jwtauth.NewVerifier(cfg))
	cfg = verifierConfig(dex, keys)
	cfg.Audiences = []string{api}
	other := must(jwtauth.NewVerifier(cfg))
	got := dex.password(t, "openid email")
	for kind, token := range map[string]string{"ID token": got.ID, "access token": got.Access} {
		if _, err := access.Verify(t.Context(), token); !errors.Is(err, authctx.WrongType) {
			t.Errorf("%s for access: %v", kind, err)
		}
		if _, err := other.Verify(t.Context(), token); !errors.Is(err, authctx.WrongAudience) {
			t.Errorf("%s for another client: %v", kind, err)
		}
	}
}

// A service is a client of its own, whose name the clients of its callers ask for.
func TestATokenForAServiceNamesTheClientThatAskedForIt(t *testing.T) {
	dex := startDex(t)
	cfg := verifierConfig(dex, loadKeys(t, dex))
	cfg.Audiences = []string{api}
	verifier := must(jwtauth.NewVerifier(cfg))
	got := dex.login(t, "openid audience:server:client_id:"+api)
	p, err := verifier.Verify(t.Context(), got.Access)
	if err != nil || p.ClientID() != web {
		t.Errorf("%v, the client is %q", err, p.ClientID())
	}
}

func TestALoginThatIsRefreshedStaysTheSameCaller(t *testing.T) {
	dex := startDex(t)
	verifier := must(jwtauth.NewVerifier(verifierConfig(dex, loadKeys(t, dex))))
	first := dex.password(t, everything)
	second := dex.token(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}})
	before, err1 := verifier.Verify(t.Context(), first.Access)
	after, err2 := verifier.Verify(t.Context(), second.Access)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if before.Subject() != after.Subject() || before.Name() != "alice" || after.Name() != "alice" || first.Access == second.Access {
		t.Errorf("%+v, then %+v", before.Attributes(), after.Attributes())
	}
	if _, err := verifier.Verify(t.Context(), first.Refresh); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("the refresh token: %v", err)
	}
}

// Jobs exchange what another provider gave them (RFC 8693). An ID token that
// belongs to no login has no hash of anything in it.
func TestATokenOfAnotherProviderIsExchanged(t *testing.T) {
	dex := startDex(t)
	verifier := must(jwtauth.NewVerifier(verifierConfig(dex, loadKeys(t, dex))))
	for _, kind := range []string{"id_token", "access_token"} {
		got := dex.token(t, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "connector_id": {"mock"}, "scope": {"openid groups federated:id"},
			"subject_token": {"of another provider"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
			"requested_token_type": {"urn:ietf:params:oauth:token-type:" + kind},
		})
		p, err := verifier.Verify(t.Context(), got.Access)
		if err != nil || p.ClientID() != web || !slices.Equal(p.Groups(), []string{"authors"}) {
			t.Errorf("%s: %v, %+v", kind, err, p.Attributes())
		}
	}
}

func TestAServiceBehindDex(t *testing.T) {
	dex := startDex(t)
	verifier := must(jwtauth.NewVerifier(verifierConfig(dex, loadKeys(t, dex))))
	server := must(httpctx.NewServer(httpctx.ServerConfig{
		Authenticator: must(jwtauth.NewBearer(verifier, nil)),
		Policy:        authctx.DefaultPolicy(authctx.Authenticated()),
	}))
	authors := server.Require(authctx.Group("authors"))
	service := httptest.NewServer(server.Handler(authors(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := authctx.FromContext(r.Context())
		_, _ = w.Write([]byte("hello " + caller.Name()))
	}))))
	defer service.Close()
	author, reader := dex.login(t, everything), dex.password(t, "openid")
	for what, try := range map[string]struct {
		token  string
		status int
	}{
		"an author":         {author.Access, http.StatusOK},
		"somebody else":     {reader.Access, http.StatusForbidden},
		"a token cut short": {author.Access[:len(author.Access)-4], http.StatusUnauthorized},
		"a refresh token":   {author.Refresh, http.StatusUnauthorized},
		"another signature": {author.Access[:strings.LastIndexByte(author.Access, '.')] + reader.Access[strings.LastIndexByte(reader.Access, '.'):], http.StatusUnauthorized},
	} {
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, service.URL, nil))
		req.Header.Set("Authorization", "Bearer "+try.token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != try.status {
			t.Errorf("%s: %s, want %d", what, resp.Status, try.status)
		}
	}
}
