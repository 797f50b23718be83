package jwtauth_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// roundTrip makes a function a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzIntrospectionAnswer lets an endpoint answer anything. Whoever is let in
// must also be let in by an oracle that reads the answer with encoding/json.
func FuzzIntrospectionAnswer(f *testing.F) {
	for _, body := range []string{
		good, `{"active":false}`, `{"active":true}`, ``, `null`, strings.Replace(good, `"exp":1767226200,`, "", 1),
		strings.Replace(good, `"orders",`, "", 1), strings.Replace(good, "true", `"true"`, 1), good + good,
		strings.Replace(good, `"Bearer"`, `"DPoP","cnf":{"jkt":"x"}`, 1), strings.Replace(good, `"sub"`, `"SUB"`, 1),
		`{"active":true,"aud":["orders"],"cid":"0"}`, `{"active":true,"aud":"orders","client_id":"c","username":"u"}`,
	} {
		f.Add(body)
	}
	var body string // tests of one fuzz worker run one after the other
	clock := newClock()
	cfg := introspectionConfig("https://as.example.com/introspect", clock)
	cfg.Cache.Disabled = true
	cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
	choices := map[bool]*jwtauth.Introspector{} // by whether clients need no subject
	for _, alone := range []bool{false, true} {
		cfg.ClientWithoutSubject = alone
		choices[alone] = newIntrospector(f, cfg)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		body = answer
		for alone, i := range choices {
			got, err := i.VerifyToken(t.Context(), "opaque")
			switch r := authctx.ReasonOf(err); {
			case err == nil:
				wantLetIn(t, answer, got.Principal, alone)
			case r == authctx.NoCredentials || r == authctx.InvalidRequest:
				t.Fatalf("%v blames the request", err)
			}
		}
	})
}

func wantLetIn(t *testing.T, answer string, p authctx.Principal, alone bool) {
	t.Helper()
	var a map[string]any
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		t.Fatalf("let in by what is no JSON object: %v", err)
	}
	aud, _ := a["aud"].([]any)
	if one, ok := a["aud"].(string); ok {
		aud = []any{one}
	}
	exp, hasEnd := a["exp"].(float64)
	switch {
	case a["active"] != true:
		t.Fatal("let in although not active")
	case p.Subject() == "" || a["sub"] != nil && a["sub"] != p.Subject():
		t.Fatalf("let in as %q", p.Subject())
	case a["sub"] == nil && (!alone || p.Kind() != authctx.Service || p.Subject() != p.ClientID() || a["username"] != nil):
		t.Fatalf("let in as %q, whom nobody named", p.Subject())
	case a["iss"] != nil && a["iss"] != "https://as.example.com" || p.Issuer() != "https://as.example.com":
		t.Fatal("let in by another issuer")
	case !slices.Contains(aud, any("orders")):
		t.Fatal("let in although meant for somebody else")
	case hasEnd && exp+30 <= 1767225600:
		t.Fatal("let in after the end")
	case p.Expires().IsZero():
		t.Fatal("let in without end")
	}
}
