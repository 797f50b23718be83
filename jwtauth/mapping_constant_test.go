package jwtauth_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// ofAcme is the mapping of an issuer that is one tenant's and never says so.
func ofAcme() *jwtauth.ClaimMapping {
	constant := func(value string) []jwtauth.ClaimSource { return []jwtauth.ClaimSource{{Constant: value}} }
	return must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Tenant:      constant("acme"),
		Roles:       []jwtauth.ClaimSource{jwtauth.Claim("roles"), {Constant: "customer"}, jwtauth.Claim("more")},
		Permissions: constant("orders:read"),
		Scopes:      constant("orders.read"),
		Groups:      []jwtauth.ClaimSource{{Constant: "staff"}, {Constant: "all of Acme"}, {Constant: "staff"}},
		Extra:       map[string][]jwtauth.ClaimSource{"plan": constant("gold")},
	}))
}

func TestAConstantIsTheValueWhateverTheTokenSays(t *testing.T) {
	for claims, roles := range map[string][]string{
		`{"iss":"i","sub":"s"}`: {"customer"},
		`{"iss":"i","sub":"s","tenant":"globex","scope":"all","groups":["root"]}`: {"customer"},
		`{"iss":"i","sub":"s","tenant":7,"groups":{"a":1}}`:                       {"customer"},
		`{"iss":"i","sub":"s","Tenant":"globex"}`:                                 {"customer"},
		`{"iss":"i","sub":"s","roles":["a","customer"],"more":"b"}`:               {"a", "customer", "b"},
	} {
		got, err := jwtauth.ReadClaims(ofAcme(), claims)
		if err != nil {
			t.Errorf("%s: %v", claims, err)
			continue
		}
		wantAttributes(t, got, authctx.Attributes{
			Issuer: "i", Subject: "s", Tenant: "acme", Roles: roles, Permissions: []string{"orders:read"}, Scopes: []string{"orders.read"},
			Groups: []string{"staff", "all of Acme"}, Extra: map[string][]string{"plan": {"gold"}},
		})
	}
}

func TestATextThatIsConstantStandsInForClaimsThatAreAbsent(t *testing.T) {
	mapping := must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Tenant: []jwtauth.ClaimSource{jwtauth.Claim("tenant"), {Constant: "acme"}},
	}))
	for tenant, want := range map[string]string{`"globex"`: "globex", `""`: "acme", `null`: "acme"} {
		got, err := jwtauth.ReadClaims(mapping, `{"iss":"i","sub":"s","tenant":`+tenant+`}`)
		if err != nil || got.Tenant != want {
			t.Errorf("%s: %q, %v", tenant, got.Tenant, err)
		}
	}
	if got, err := jwtauth.ReadClaims(mapping, `{"iss":"i","sub":"s","tenant":["globex"]}`); err == nil {
		t.Errorf("a claim that cannot be read: %q", got.Tenant)
	}
}

func TestAConstantLetsInNoTokenOfAnotherKind(t *testing.T) {
	cfg := ofAcme().Config()
	cfg.Require = []jwtauth.ClaimTest{{Path: []string{"tenant"}, Values: []string{"acme"}}}
	cfg.Refuse = []jwtauth.ClaimTest{{Path: []string{"roles"}, Values: []string{"customer"}}}
	mapping := must(jwtauth.NewClaimMapping(cfg))
	for claims, good := range map[string]bool{
		`{"iss":"i","sub":"s"}`:                                      false,
		`{"iss":"i","sub":"s","tenant":"acme"}`:                      true,
		`{"iss":"i","sub":"s","tenant":"acme","roles":["customer"]}`: false,
	} {
		if _, err := jwtauth.ReadClaims(mapping, claims); (err == nil) != good {
			t.Errorf("%s: %v", claims, err)
		}
	}
}

// From the cache a caller comes as from the token, here and behind an endpoint.
func TestAConstantIsThereHoweverATokenIsVerified(t *testing.T) {
	signer := signerFor(t, jwtauth.EdDSA)
	local := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Claims = ofAcme() })
	cfg := introspectionConfig(newEndpoint(t, answer(good)).URL, newClock())
	cfg.Claims = ofAcme()
	for name, v := range map[string]struct {
		verifier jwtauth.TokenVerifier
		token    string
	}{
		"a verifier": {local, signer.token(t, goodClaims(map[string]any{"tenant": "globex"}))}, "an introspector": {newIntrospector(t, cfg), "opaque"},
	} {
		for range 2 {
			verified, err := v.verifier.VerifyToken(t.Context(), v.token)
			p := verified.Principal
			if err != nil || p.Tenant() != "acme" || !slices.Contains(p.Roles(), "customer") || !p.HasScope("orders.read") {
				t.Errorf("%s: tenant %q, roles %q, %v", name, p.Tenant(), p.Roles(), err)
			}
		}
	}
}

func TestRule1_AConstantThatCannotBeMeantIsReportedByItsField(t *testing.T) {
	one := []jwtauth.ClaimSource{{Constant: "x"}}
	_, err := jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Subject: one, Name: one, Email: one, ClientID: one, SessionID: one, TokenID: one, ACR: one, AuthTime: one, AMR: one,
		Tenant: []jwtauth.ClaimSource{{Constant: "x"}, jwtauth.Claim("tenant")},
		Roles: []jwtauth.ClaimSource{
			{Constant: "x", Path: []string{"roles"}}, {Constant: "x", Form: jwtauth.ClaimWords}, {Constant: "x", Member: "m"},
			{Constant: "x", TrimPrefix: "p"}, {Constant: "x", AddPrefix: "p"},
		},
		Permissions: []jwtauth.ClaimSource{{Constant: "x\n"}, {Constant: "\xff"}},
		Scopes:      []jwtauth.ClaimSource{{Constant: "orders.read orders.write"}},
		Extra:       map[string][]jwtauth.ClaimSource{"k": {{Constant: " "}}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	const whole = " has a Constant, which excludes Path, Form, Member, TrimPrefix and AddPrefix"
	const exact = ", which must be UTF-8 without characters that cannot be seen and without a space at either end"
	var want []string
	for _, each := range []string{"Subject", "Name", "Email"} {
		want = append(want, each+"[0] differs from token to token and cannot be a Constant")
	}
	want = append(want, "Tenant[1] stands behind a Constant and would never be read")
	for _, each := range []string{"ClientID", "SessionID", "TokenID", "ACR", "AuthTime", "AMR"} {
		want = append(want, each+"[0] differs from token to token and cannot be a Constant")
	}
	want = append(want, "Roles[0]"+whole, "Roles[1]"+whole, "Roles[2]"+whole, "Roles[3]"+whole, "Roles[4]"+whole,
		`Permissions[0] has the Constant "x\n"`+exact, `Permissions[1] has the Constant "\xff"`+exact,
		"Scopes[0] has a Constant that is no scope token (RFC 6749 section 3.3)",
		`Extra["k"][0] has the Constant " "`+exact)
	got := strings.Split(strings.ReplaceAll(err.Error(), "jwtauth: claim mapping: ", ""), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
