package jwtauthtest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// A service that asks about opaque tokens is tested over HTTP too. In a test, t is
// its *testing.T.
func ExampleToken_Opaque() {
	t := &exampleT{}
	defer t.end()

	idp := jwtauthtest.NewIssuer(t, nil)
	introspector, err := jwtauth.NewIntrospector(jwtauth.IntrospectorConfig{
		Endpoint:     idp.IntrospectionURL(),
		ClientID:     jwtauthtest.IntrospectionClientID,
		ClientSecret: jwtauthtest.IntrospectionSecret,
		Issuer:       idp.URL(),
		Audiences:    []string{jwtauthtest.Audience},
		Cache:        jwtauth.CacheConfig{Disabled: true}, // no answer is remembered
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer introspector.Close()
	token := idp.Token().Set("sub", "bob").Opaque()
	p, err := introspector.Verify(t.Context(), token)
	fmt.Println(p.Subject(), p.Roles(), err)
	idp.Break(jwtauthtest.Junk())
	_, err = introspector.Verify(t.Context(), token)
	fmt.Println("during an outage:", errors.Is(err, authctx.Unavailable))
	idp.Repair()
	idp.Revoke(token)
	_, err = introspector.Verify(t.Context(), token)
	fmt.Println("revoked:", errors.Is(err, authctx.InvalidToken))
	// Output:
	// bob [editor] <nil>
	// during an outage: true
	// revoked: true
}

func TestRFC7662_ActiveIsAnOpaqueTokenThatIsGoodNow(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	i := jwtauthtest.NewIssuer(t, &jwtauthtest.Options{Now: func() time.Time { return now }})
	ask := func(secret, token string) string {
		resp, err := http.PostForm(strings.Replace(i.IntrospectionURL(), "//", "//"+jwtauthtest.IntrospectionClientID+":"+secret+"@", 1), url.Values{"token": {token}})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return fmt.Sprint(resp.StatusCode, " ", string(text))
	}
	token, revoked := i.Token(), i.Token().Opaque()
	good := token.Opaque()
	token.Set("sub", "changed afterwards")
	i.Revoke(revoked)
	i.For(t).Revoke(revoked)
	for name, token := range map[string]string{
		"a good one": good, "without an end": i.Token().Set("exp", nil).Opaque(),
		"an end that is no date": i.Token().Set("exp", "soon").Opaque(), "said to be inactive": i.Token().Set("active", false).Opaque(),
	} {
		if got := ask(jwtauthtest.IntrospectionSecret, token); !strings.HasPrefix(got, `200 {"active":true,`) || !strings.Contains(got, `"sub":"alice"`) {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, token := range map[string]string{
		"none": "", "a signed one": i.Token().Sign(), "revoked": revoked,
		"expired": i.Token().Set("exp", now).Opaque(), "not yet valid": i.Token().NotYetValid().Opaque(),
	} {
		if got := ask(jwtauthtest.IntrospectionSecret, token); got != `200 {"active":false}` {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := ask("wrong", good); got != "401 " {
		t.Errorf("a wrong secret: %s", got)
	}
	if _, err := get(t, i.IntrospectionURL()); err == nil || !strings.HasPrefix(err.Error(), "405") {
		t.Errorf("a GET: %v", err)
	}
	if i.Discoveries() != 0 {
		t.Errorf("counted %d discoveries", i.Discoveries())
	}
}
