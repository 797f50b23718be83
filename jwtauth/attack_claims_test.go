package jwtauth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// strictClaims are claims that must not be accepted although the issuer signed
// them: the good ones, with what is given in their place.
var strictClaims = map[string]string{
	"CVE-2020-26160 aud is an empty list": `"aud":[]`,
	"aud is a list of nothing":            `"aud":[""]`,
	"aud is a list of many types":         `"aud":["https://api.example",1]`,
	"aud is a list in a list":             `"aud":[["https://api.example"]]`,
	"aud is an object":                    `"aud":{"https://api.example":true}`,
	"aud is a number":                     `"aud":7`,
	"aud is null":                         `"aud":null`,
	"aud is nothing":                      `"aud":""`,
	"aud is a prefix":                     `"aud":"https://api.example/"`,
	"aud is in another case":              `"aud":"HTTPS://API.EXAMPLE"`,
	"aud is a list in a string":           `"aud":"https://api.example https://other.example"`,
	"CVE-2024-53861 iss is longer":        `"iss":"https://issuer.example.evil.example"`,
	"iss is shorter":                      `"iss":"https://issuer"`,
	"iss has a slash":                     `"iss":"https://issuer.example/"`,
	"iss is in another case":              `"iss":"https://Issuer.example"`,
	"CVE-2025-30144 iss is a list":        `"iss":["https://issuer.example"]`,
	"iss is null":                         `"iss":null`,
	"iss is a number":                     `"iss":1`,
	"CVE-2026-75509 sub is a list":        `"sub":["alice"]`,
	"sub is a number":                     `"sub":9007199254740993`,
	"sub is nothing":                      `"sub":""`,
	"sub is null":                         `"sub":null`,
	"go-jose 73 sub in another case":      `"sub":"alice","SUB":"admin"`,
	"sub with the long s":                 "\"sub\":\"alice\",\"\u017Fub\":\"admin\"",
	"a case variant alone":                `"sub":"alice","Aud":"https://api.example"`,
	"nbf in another case":                 `"Nbf":0`,
	"iat in another case":                 `"Iat":0`,
	"jti in another case":                 `"Jti":"x"`,
	"cnf in another case":                 `"Cnf":{"jkt":"x"}`,
	"tid in another case":                 `"Tid":"x"`,
	"at_hash in another case":             `"At_Hash":"x"`,
	"c_hash in another case":              `"C_Hash":"x"`,
	"s_hash in another case":              `"S_Hash":"x"`,
	"nonce in another case":               `"Nonce":"x"`,
	"events in another case":              `"Events":{}`,
	"a duplicate name":                    `"sub":"alice","sub":"admin"`,
	"an escaped duplicate":                `"sub":"alice","s\u0075b":"admin"`,
	"a duplicate in an object":            `"sub":"alice","act":{"sub":"a","sub":"b"}`,
	"libjwt 283 exp saturates":            `"exp":1e19`,
	"exp overflows a float":               `"exp":1e308`,
	"exp beyond a float":                  `"exp":1e400`,
	"any claim beyond a float":            `"limits":{"daily":[1e400]}`,
	"exp is the largest integer":          `"exp":9223372036854775807`,
	"exp is beyond the year 9999":         `"exp":253402300800`,
	"exp is negative":                     `"exp":-1`,
	"exp is zero":                         `"exp":0`,
	"exp is null":                         `"exp":null`,
	"exp is text":                         `"exp":"4102444800"`,
	"exp is in 1970":                      `"exp":1.5`,
	"exp is true":                         `"exp":true`,
	"exp in another case":                 `"exp":1,"EXP":4102444800`,
	"nbf wraps around":                    `"nbf":1e19`,
	"nbf beyond a float":                  `"nbf":1e308`,
	"nbf is text":                         `"nbf":"0"`,
	"nbf is null":                         `"nbf":null`,
	"nbf is negative":                     `"nbf":-1`,
	"iat is text":                         `"iat":"0"`,
	"iat wraps around":                    `"iat":9.3e18`,
	"iat is before 1970":                  `"iat":-1`,
	"invalid UTF-8":                       "\"sub\":\"al\xffice\"",
	"half a surrogate pair":               `"sub":"\udc00"`,
	"CVE-2025-53864 deep nesting":         `"x":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat("}", 40),
	"data after the end":                  `"x":1}{"a":1`,
	"an ID token":                         `"at_hash":"x"`,
	"an ID token of the hybrid flow":      `"c_hash":"x"`,
	"a logout token":                      `"events":{"http://schemas.openid.net/event/backchannel-logout":{}}`,
}

func TestStrictClaims(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	const header = `{"alg":"EdDSA","typ":"JWT","kid":"k1"}`
	whole := func(changed string) string {
		name := changed[:strings.IndexByte(changed, ':')+1]
		claims := "{" + changed
		for _, claim := range []string{
			`"iss":"https://issuer.example"`, `"sub":"alice"`, `"aud":"https://api.example"`,
			fmt.Sprintf(`"exp":%d`, testNow.Unix()+600),
		} {
			if !strings.HasPrefix(claim, name) {
				claims += "," + claim
			}
		}
		return claims + "}"
	}
	if _, err := v.Verify(t.Context(), s.compact(t, header, whole(`"x":1`))); err != nil {
		t.Fatalf("the claims that all of these spoil: %v", err)
	}
	for name, changed := range strictClaims {
		claims := whole(changed)
		if name == "data after the end" {
			claims = whole(`"y":1`) + "{}"
		}
		refused(t, v, name, s.compact(t, header, claims))
	}
	for _, claims := range []string{``, `null`, `[]`, `"alice"`, `{`, `{}`, "{}\x00"} {
		refused(t, v, "claims "+claims, s.compact(t, header, claims))
	}
}

func TestAT_2_2_WhatIsRequiredIsRequired(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	strict := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Types = jwtauth.RFC9068Types() })
	usual := newVerifier(t, s, nil)
	for claim, always := range map[string]bool{
		"iss": true, "sub": true, "aud": true, "exp": true, "client_id": false, "iat": false, "jti": false,
	} {
		token := s.token(t, goodClaims(map[string]any{claim: nil}))
		refused(t, strict, "strict without "+claim, token)
		if always {
			refused(t, usual, "without "+claim, token)
		} else if _, err := usual.Verify(t.Context(), token); err != nil {
			t.Errorf("without %s: %v", claim, err)
		}
	}
}

func TestCVE_2024_51744_AForgedTokenIsNeverMerelyExpired(t *testing.T) {
	s := signerFor(t, jwtauth.ES256)
	token := newSigner(t, "k1").token(t, goodClaims(map[string]any{"exp": testNow.Unix() - 3600, "aud": "x", "iss": "y"}))
	_, err := newVerifier(t, s, nil).Verify(t.Context(), token)
	if !errors.Is(err, authctx.BadSignature) || errors.Is(err, authctx.TokenExpired) {
		t.Error(err)
	}
}

func TestCVE_2020_15240_NoWayInGoesAroundTheSignature(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	token := s.token(t, goodClaims(nil))
	forged := token[:strings.LastIndexByte(token, '.')+1] + strings.Repeat("A", 86)
	refused(t, newVerifier(t, s, nil), "forged", forged)
	disabled := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Cache.Disabled = true })
	refused(t, disabled, "forged, without cache", forged)
	bearer := newBearer(t, disabled, nil)
	if res, err := bearer.Authenticate(t.Context(), fields("authorization", "Bearer "+forged)); !errors.Is(err, authctx.BadSignature) || !res.Principal.IsZero() {
		t.Errorf("Bearer: %v, %v", res.Principal, err)
	}
}

// The last moment of .NET is a common way to say "never".
func TestTheEffectiveEndStaysWithinTheYear9999(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	const last = 253402300799
	for _, leeway := range []time.Duration{jwtauth.NoLeeway, 0, jwtauth.MaxLeeway} {
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Leeway = leeway })
		for _, exp := range []int64{last - 31, last - 30, last - 29, last} {
			p, err := v.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"exp": exp})))
			if err != nil || p.Expires().Unix() < exp || p.Expires().Unix() > last {
				t.Errorf("leeway %v, exp %d: %v, %v", leeway, exp, p.Expires(), err)
			}
		}
	}
}

func TestOperatorsLearnWhatWasExpected(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	clients := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Audiences, c.ClientIDs = nil, []string{"web"} })
	issuer, audience := goodClaims(map[string]any{"iss": "https://evil.example"}), goodClaims(map[string]any{"aud": "other"})
	for name, test := range map[string]struct {
		verifier jwtauth.TokenVerifier
		claims   map[string]any
		reason   authctx.Reason
		cause    string
	}{
		"issuer":            {v, issuer, authctx.WrongIssuer, `iss is none of ["` + testIssuer + `"]`},
		"one of issuers":    {must(jwtauth.NewMultiVerifier(v)), issuer, authctx.WrongIssuer, `iss is none of ["` + testIssuer + `"]`},
		"audience":          {v, audience, authctx.WrongAudience, `aud names none of ["` + testAudience + `"]`},
		"audience, no text": {v, goodClaims(map[string]any{"aud": []string{"x", "y"}}), authctx.WrongAudience, `aud names none of ["` + testAudience + `"]`},
		"client":            {clients, goodClaims(map[string]any{"aud": nil, "client_id": "evil"}), authctx.WrongAudience, `none of ["web"]`},
	} {
		_, err := test.verifier.VerifyToken(t.Context(), s.token(t, test.claims))
		e, ok := errors.AsType[*authctx.Error](err)
		if !ok || e.Reason != test.reason || e.Cause == nil || !strings.Contains(e.Cause.Error(), test.cause) || strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOperatorsLearnWhatStrictJSONHasAgainstClaims(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.MaxTokenBytes = 1 << 20 })
	for claims, cause := range map[string]string{
		`{"sub":"mallory","sub":"m"}`:                                  "duplicate member name at byte",
		`{"sub":"mallory","Sub":"m"}`:                                  `member name that is another spelling of one that is read here, "sub", at byte`,
		`{"Groups":["mallory"]}`:                                       `member name that is another spelling of one that is read here, "groups", at byte`,
		`{"tier":"mallory","Tier":"m"}`:                                "member name that differs from another in case only at byte",
		`{"sub":"mallory","x":1e400}`:                                  "number too large at byte",
		`{"sub":"mallory"}{}`:                                          "data after the end at byte",
		"{\"sub\":\"mallory\xff\"}":                                    "not valid UTF-8 at byte",
		`{"x":[` + strings.Repeat(`"mallory",`, 1<<13) + `"mallory"]}`: "too many values",
	} {
		_, err := v.Verify(t.Context(), s.compact(t, `{"alg":"EdDSA","kid":"k1"}`, claims))
		if !errors.Is(err, authctx.InvalidToken) || !strings.Contains(err.Error(), "token claims are not strict JSON: "+cause) || strings.Contains(err.Error(), "mallory") {
			t.Errorf("%.40s: %v", claims, err)
		}
	}
}

func TestCVE_2026_55689_AudienceIsNeverSwitchedOff(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	for _, audiences := range [][]string{nil, {}, {""}, {testAudience, ""}} {
		cfg := configFor(t, s)
		cfg.Audiences = audiences
		_, err := jwtauth.NewVerifier(cfg)
		requireNames(t, err, "Audiences")
	}
}

func TestCAMEL_24734_EveryConfiguredAudienceCounts(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Audiences = []string{"a", "b"} })
	for _, test := range []struct {
		aud  any
		want error
	}{
		{"a", nil}, {"b", nil}, {"c", authctx.WrongAudience},
		{[]string{"c", "b"}, nil}, {[]string{"c", "d"}, authctx.WrongAudience},
	} {
		if _, err := v.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"aud": test.aud}))); !errors.Is(err, test.want) {
			t.Errorf("%v: %v", test.aud, err)
		}
	}
}

func TestProvidersWithoutAudienceNeedAClientRule(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	alone := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Audiences, c.ClientIDs = nil, []string{"web", "app"} })
	both := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.ClientIDs = []string{"web"} })
	for _, test := range []struct {
		client, aud any
		alone, both error
	}{
		{"web", nil, nil, authctx.WrongAudience},
		{"app", nil, nil, authctx.WrongAudience},
		{"other", nil, authctx.WrongAudience, authctx.WrongAudience},
		{nil, nil, authctx.WrongAudience, authctx.WrongAudience},
		{"web", []string{}, nil, authctx.WrongAudience}, // Ory Hydra
		{"other", []string{}, authctx.WrongAudience, authctx.WrongAudience},
		{"web", []string{""}, authctx.WrongAudience, authctx.WrongAudience},
		{"web", "", authctx.WrongAudience, authctx.WrongAudience},
		{"web", testAudience, authctx.WrongAudience, nil},
		{"web", "other", authctx.WrongAudience, authctx.WrongAudience},
		{"app", testAudience, authctx.WrongAudience, authctx.WrongAudience},
	} {
		token := s.token(t, goodClaims(map[string]any{"client_id": test.client, "aud": test.aud}))
		if _, err := alone.Verify(t.Context(), token); !errors.Is(err, test.alone) {
			t.Errorf("client %v, aud %v, ClientIDs alone: %v", test.client, test.aud, err)
		}
		if _, err := both.Verify(t.Context(), token); !errors.Is(err, test.both) {
			t.Errorf("client %v, aud %v, both: %v", test.client, test.aud, err)
		}
	}
}

func TestCVE_2020_26892_TimeIsCheckedToTheSecond(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	at := testNow.Unix()
	for _, test := range []struct {
		name          string
		leeway        time.Duration
		exp, nbf, iat any
		want          error
	}{
		{"exp is now", jwtauth.NoLeeway, at, nil, nil, authctx.TokenExpired},
		{"exp is a second ahead", jwtauth.NoLeeway, at + 1, nil, nil, nil},
		{"a fraction does not count", jwtauth.NoLeeway, float64(at) + 0.9, nil, nil, authctx.TokenExpired},
		{"the default leeway holds", 0, at - 29, nil, nil, nil},
		{"the default leeway ends", 0, at - 30, nil, nil, authctx.TokenExpired},
		{"the largest leeway holds", jwtauth.MaxLeeway, at - 299, nil, nil, nil},
		{"the largest leeway ends", jwtauth.MaxLeeway, at - 300, nil, nil, authctx.TokenExpired},
		{"nbf is now", jwtauth.NoLeeway, at + 60, at, nil, nil},
		{"nbf is ahead", jwtauth.NoLeeway, at + 60, at + 1, nil, authctx.TokenNotYetValid},
		{"nbf is within the leeway", 0, at + 60, at + 30, nil, nil},
		{"nbf is beyond the leeway", 0, at + 60, at + 31, nil, authctx.TokenNotYetValid},
		{"iat is ahead", jwtauth.NoLeeway, at + 60, nil, at + 1, authctx.TokenNotYetValid},
		{"iat is within the leeway", 0, at + 60, nil, at + 30, nil},
		{"nbf is the end of time", 0, at + 60, int64(253402300799), nil, authctx.TokenNotYetValid},
	} {
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Leeway = test.leeway })
		token := s.token(t, goodClaims(map[string]any{"exp": test.exp, "nbf": test.nbf, "iat": test.iat}))
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestMaxLifetimeIsCountedFromIssue(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.MaxLifetime = 10 * time.Minute })
	at := testNow.Unix()
	for _, test := range []struct {
		iat, exp any
		good     bool
	}{{at, at + 600, true}, {at, at + 601, false}, {nil, at + 60, false}, {at - 500, at + 100, true}} {
		_, err := v.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"iat": test.iat, "exp": test.exp})))
		if (err == nil) != test.good || err != nil && !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("iat %v exp %v: %v", test.iat, test.exp, err)
		}
	}
}

func TestRule11_NoErrorHoldsAnythingOfTheToken(t *testing.T) {
	s := signerFor(t, jwtauth.ES256)
	v := newVerifier(t, s, nil)
	const secret = "canary5c3b"
	var tokens []string
	for _, header := range strictHeaders {
		if strings.HasPrefix(header, "{") {
			tokens = append(tokens, s.compact(t, strings.Replace(header, "{", `{"`+secret+`":"`+secret+`",`, 1), `{}`))
		}
	}
	for _, claim := range []string{"iss", "sub", "aud", "exp", "nbf", "cnf", "scope", "act", "roles", secret} {
		tokens = append(tokens, s.token(t, goodClaims(map[string]any{claim: []any{secret, 1, map[string]any{secret: 1}}})))
	}
	tokens = append(tokens, secret, s.token(t, goodClaims(map[string]any{"iss": secret})), s.compact(t, `{"alg":"ES256","kid":"`+secret+`"}`, secret),
		s.compact(t, `{"alg":"`+secret+`"}`, `{}`))
	for _, token := range tokens {
		_, err := v.Verify(t.Context(), token)
		if err == nil {
			continue // an unknown claim is nothing bad
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, secret) || strings.Contains(text, b64(secret)) || len(err.Error()) > 300 {
			t.Errorf("%s", text)
		}
	}
}

func TestRule2_NothingThatMustBeCheckedCanBeLeftOut(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	for field, clear := range map[string]func(*jwtauth.VerifierConfig){
		"Issuer":     func(c *jwtauth.VerifierConfig) { c.Issuer = "" },
		"Audiences":  func(c *jwtauth.VerifierConfig) { c.Audiences = nil },
		"Algorithms": func(c *jwtauth.VerifierConfig) { c.Algorithms = nil },
		"Keys":       func(c *jwtauth.VerifierConfig) { c.Keys = nil },
	} {
		cfg := configFor(t, s)
		clear(&cfg)
		_, err := jwtauth.NewVerifier(cfg)
		requireNames(t, err, field)
	}
	for _, claim := range []string{"iss", "aud", "exp"} {
		refused(t, newVerifier(t, s, nil), claim, s.token(t, goodClaims(map[string]any{claim: nil})))
	}
}

func TestRule3_OneIssuersClaimsAreNotReadBeforeTheSignature(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, s, nil)
	for _, claims := range []string{`not JSON`, `{"sub":1,"sub":2}`, strings.Repeat("[", 5000)} {
		token := newSigner(t, "k1").compact(t, `{"alg":"EdDSA","kid":"k1"}`, claims)
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.BadSignature) {
			t.Errorf("%.20s: %v", claims, err)
		}
	}
}
