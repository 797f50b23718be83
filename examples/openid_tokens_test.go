package examples_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestOpenIDAccessTokensAreVerified(t *testing.T) {
	t.Parallel()
	o := startOpenID(t)
	keys := o.keys(t)
	common := func(c *jwtauth.VerifierConfig) { c.Keys = keys }
	verifiers := map[string]*jwtauth.Verifier{
		"by default":     o.verifier(t, common),
		"as of RFC 9068": o.verifier(t, common, func(c *jwtauth.VerifierConfig) { c.Types = jwtauth.RFC9068Types() }),
	}
	for _, way := range []string{"RS256", "ES256", "EdDSA", "Ed25519"} {
		alice, machine := o.login("alice", way), o.machine("machine", way)
		for name, v := range verifiers {
			p, err := v.Verify(t.Context(), alice.AccessToken)
			if err != nil || p.Kind() != authctx.User || p.Subject() != "alice" || p.ClientID() != "web" || p.Issuer() != o.issuer ||
				p.Name() != "alice Example" || p.TokenID() == "" || !slices.Equal(p.Scopes(), []string{"orders.read"}) {
				t.Errorf("%s, %s: %+v, %v", way, name, p.Attributes(), err)
			}
			p, err = v.Verify(t.Context(), machine.AccessToken)
			if err != nil || p.Kind() != authctx.Service || p.Subject() != "machine" || p.ClientID() != "machine" {
				t.Errorf("%s, %s: %+v, %v", way, name, p.Attributes(), err)
			}
		}
	}
	for what, token := range map[string]string{
		"of an algorithm that is not listed": o.machine("machine", "PS256").AccessToken,
		"of another form":                    o.machine("machine", "opaque").AccessToken,
	} {
		if p, err := verifiers["by default"].Verify(t.Context(), token); !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("a token %s: %v, %v", what, p, err)
		}
	}
	other := o.verifier(t, common, func(c *jwtauth.VerifierConfig) { c.Audiences = []string{"https://other.example.com"} })
	if _, err := other.Verify(t.Context(), o.machine("machine", "ES256").AccessToken); !errors.Is(err, authctx.WrongAudience) {
		t.Errorf("a token for another API: %v", err)
	}
}

// The provider types no ID token and leaves the hash out wherever it may.
func TestOpenIDIDTokensAreNoAccessTokens(t *testing.T) {
	t.Parallel()
	o := startOpenID(t)
	keys := o.keys(t)
	policy := func(audience string, types jwtauth.TypePolicy) *jwtauth.Verifier {
		return o.verifier(t, func(c *jwtauth.VerifierConfig) { c.Keys, c.Audiences, c.Types = keys, []string{audience}, types })
	}
	login := o.login("alice", "ES256")
	front := func(responseType string) string {
		return o.authorize("alice", url.Values{
			"response_type": {responseType}, "scope": {"openid"}, "nonce": {"n-2"}, "state": {"s"},
		}).Get("id_token")
	}
	for flow, idToken := range map[string]string{
		"code": login.IDToken, "refresh": o.refresh(login.RefreshToken, "ES256").IDToken,
		"implicit": front("id_token"), "hybrid": front("code id_token"),
	} {
		for name, v := range map[string]*jwtauth.Verifier{
			"by default":                         policy(audience, jwtauth.TypePolicy{}),
			"by default, the client an audience": policy("web", jwtauth.TypePolicy{}),
			"as of RFC 9068":                     policy(audience, jwtauth.RFC9068Types()),
			"as of RFC 9068, the client too":     policy("web", jwtauth.RFC9068Types()),
		} {
			p, err := v.Verify(t.Context(), idToken)
			if !errors.Is(err, authctx.WrongType) && !errors.Is(err, authctx.WrongAudience) {
				t.Errorf("%s, %s: %v, %v", flow, name, p, err)
			}
		}
		byChoice := policy("web", jwtauth.IDTokenTypes())
		if p, err := byChoice.Verify(t.Context(), idToken); err != nil || p.Subject() != "alice" {
			t.Errorf("%s, by choice: %v, %v", flow, p, err)
		}
		if p, err := byChoice.Verify(t.Context(), login.AccessToken); !errors.Is(err, authctx.WrongType) {
			t.Errorf("%s, an access token where ID tokens are meant: %v, %v", flow, p, err)
		}
	}
}

// A signed answer of the userinfo endpoint has nothing of its own but the client
// it is for, so that the audience has to do.
func TestOpenIDUserinfoIsNoAccessToken(t *testing.T) {
	t.Parallel()
	o := startOpenID(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", o.metadata.UserInfo, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+o.login("alice", "").AccessToken)
	res, err := o.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	signed, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", res.StatusCode, err)
	}
	if p, err := o.verifier(t).Verify(t.Context(), string(signed)); !errors.Is(err, authctx.WrongAudience) {
		t.Errorf("by default: %v, %v", p, err)
	}
	strict := o.verifier(t, func(c *jwtauth.VerifierConfig) { c.Audiences, c.Types = []string{"web"}, jwtauth.RFC9068Types() })
	if p, err := strict.Verify(t.Context(), string(signed)); !errors.Is(err, authctx.WrongType) {
		t.Errorf("as of RFC 9068, the client an audience: %v, %v", p, err)
	}
}
