package jwtauth_test

import (
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// go-chi/jwtauth and Django's SimpleJWT write "user_id": 123.
func TestAWholeNumberIsATextWhereAMappingNamesAClaimOfItsOwn(t *testing.T) {
	own := func(path ...string) []jwtauth.ClaimSource { return []jwtauth.ClaimSource{jwtauth.Claim(path...)} }
	mapping := must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Subject: []jwtauth.ClaimSource{{Path: []string{"user_id"}, AddPrefix: "u-"}},
		Tenant:  own("org", "id"), ClientID: own("app_id"), SessionID: own("session"), TokenID: own("serial"),
		Name: own("number"), Email: own("box"), ACR: own("level"),
	}))
	got, err := jwtauth.ReadClaims(mapping, `{"iss":"i","user_id":123,"org":{"id":0},"app_id":7,"session":8,"serial":12345678901234567890123,
		"number":9007199254740993,"box":1,"level":2}`)
	if err != nil {
		t.Fatal(err)
	}
	wantAttributes(t, got, authctx.Attributes{
		Issuer: "i", Subject: "u-123", Tenant: "0", ClientID: "7", SessionID: "8", TokenID: "12345678901234567890123",
		Name: "9007199254740993", Email: "1", ACR: "2",
	})
	same, err := jwtauth.ReadClaims(mapping, `{"iss":"i","user_id":"123"}`)
	if err != nil || same.Subject != got.Subject {
		t.Errorf("%q and %q are one caller, %v", same.Subject, got.Subject, err)
	}
	for _, n := range []string{"-1", "-0", "1.0", "1.5", "1e3", "1E3", "true", "false", "[1]", `{"value":1}`} {
		_, err := jwtauth.ReadClaims(mapping, `{"iss":"i","user_id":`+n+`}`)
		wantRefusal(t, err, "invalid_token", "jwtauth: claim user_id is neither a string nor a whole number in digits")
	}
}

func TestATextIsTheFirstThatIsThere(t *testing.T) {
	mapping := must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Tenant: []jwtauth.ClaimSource{jwtauth.Claim("tenant", "id"), jwtauth.Claim("org"), jwtauth.Claim("site")},
	}))
	for claims, want := range map[string]string{
		`"tenant":{"id":"a"},"org":"b"`:   "a",
		`"tenant":{"id":""},"org":"b"`:    "b",
		`"tenant":{"id":null},"site":"c"`: "c",
		`"tenant":{},"org":"","site":3`:   "3",
		`"tenant":{"id":7},"org":"b"`:     "7", // a claim of the issuer's own, whatever it stands in
		`"tenant":{"id":""},"org":null`:   "",
	} {
		if got, err := jwtauth.ReadClaims(mapping, `{"iss":"i","sub":"s",`+claims+`}`); err != nil || got.Tenant != want {
			t.Errorf("%s: %q, %v", claims, got.Tenant, err)
		}
	}
}

// RFC 7519, RFC 9068, RFC 7662 and OpenID Connect say that these are strings, and
// whoever maps one of them to another attribute does not change that.
func TestCVE_2025_30144_ANumberIsNoTextInAClaimThatIsAString(t *testing.T) {
	cfg := jwtauth.RFC9068Claims().Config()
	claims := []string{"iss", "aud"}
	for _, sources := range [][]jwtauth.ClaimSource{
		cfg.Subject, cfg.Name, cfg.Email, cfg.Tenant, cfg.ClientID, cfg.SessionID, cfg.TokenID, cfg.ACR,
	} {
		for _, s := range sources {
			claims = append(claims, s.Path[0])
		}
	}
	for _, name := range claims {
		mapping := must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
			Subject: []jwtauth.ClaimSource{jwtauth.Claim("id")}, Tenant: []jwtauth.ClaimSource{jwtauth.Claim(name)},
		}))
		text := `{"id":1,"` + name + `":42}`
		if name != "iss" {
			text = `{"iss":"i",` + text[1:]
			_, err := jwtauth.ReadClaims(mapping, text)
			wantRefusal(t, err, "invalid_token", "jwtauth: claim "+name+" is not a string")
		} else if _, err := jwtauth.ReadClaims(mapping, text); err == nil {
			t.Error("a number is an issuer")
		}
	}
}
