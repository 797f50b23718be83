package examples_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// startEndpoint serves answers about bob's tokens, each with the members given, and
// returns its URL with the credentials of the gateway there. All other tokens are
// not active.
func startEndpoint(t *testing.T, answers map[string]map[string]any) string {
	t.Helper()
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "gateway" || secret != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		members, active := answers[r.FormValue("token")]
		answer := map[string]any{"active": active}
		if active {
			answer = map[string]any{"active": true, "sub": "bob", "aud": audience,
				"client_id": "web", "exp": time.Now().Add(time.Hour).Unix()}
			maps.Copy(answer, members)
		}
		writeJSON(w, answer)
	}))
	t.Cleanup(endpoint.Close)
	return strings.Replace(endpoint.URL, "//", "//gateway:s3cret@", 1)
}

func TestGatewayAsksAboutOpaqueTokens(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p := startProvider(t)
	s := startGateway(t, p, "-upstream", httpURL, "-introspect", startEndpoint(t, map[string]map[string]any{
		"opaque-and-good":      {"iss": p.issuer},
		"opaque-and-of-nobody": nil,
		"opaque-and-foreign":   {"iss": "https://other.example.com"},
	}))
	s.waitReady(t)
	for _, test := range []struct {
		token, subject string
		status         int
	}{
		{"opaque-and-good", "bob", 200},
		{"opaque-and-of-nobody", "bob", 200},
		{"opaque-and-foreign", "", 401},
		{"opaque-and-bad", "", 401},
		{s.token(t, nil), "testuser", 200},
		{s.token(t, jwt.MapClaims{"aud": "https://other.example.com"}), "", 401},
	} {
		r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+test.token)
		if r.status != test.status || r.status == 200 && decode(t, r).Subject != test.subject {
			t.Errorf("%.20s: status %d, body %s", test.token, r.status, r.body)
		}
	}
}

// "iss" is optional in an answer (RFC 7662 section 2.2). Which flag comes first is
// no witness to whose bob it is about.
func TestGatewayWithSeveralIssuersIsToldWhoseOpaqueTokensAre(t *testing.T) {
	t.Parallel()
	_, httpURL, _ := startWhoami(t, "-trust", "cidr:127.0.0.0/8")
	p, partner := startProvider(t), startProvider(t)
	s := startGateway(t, p, "-issuer", partner.issuer, "-upstream", httpURL,
		"-introspect", startEndpoint(t, map[string]map[string]any{
			"of-nobody":      nil,
			"of-null":        {"iss": nil},
			"of-the-first":   {"iss": p.issuer},
			"of-the-partner": {"iss": partner.issuer},
		}))
	s.waitReady(t)
	for _, test := range []struct {
		token  string
		status int
	}{
		{"of-nobody", 401},
		{"of-null", 401},
		{"of-the-first", 200},
		{"of-the-partner", 401}, // for whom the endpoint does not speak
	} {
		r := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+test.token)
		if r.status != test.status || r.status == 200 && decode(t, r).Issuer != p.issuer {
			t.Errorf("%s: status %d, body %s", test.token, r.status, r.body)
		}
	}
	eventually(t, "the log to say that the issuer is missing", func() bool {
		return strings.Count(s.gateway.stderr.String(), "claim iss is not that") == 2
	})
}
