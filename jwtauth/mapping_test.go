package jwtauth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// claimVector is a token payload and what a preset must make of it.
type claimVector struct {
	Name, Preset   string
	Args           []string
	Claims         json.RawMessage
	Want           *authctx.Attributes
	Refused, Cause string
}

func claimVectors(t testing.TB) []claimVector {
	t.Helper()
	files, err := filepath.Glob("testdata/claims/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no claim vectors: %v", err)
	}
	var all []claimVector
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vectors []claimVector
		if err := json.Unmarshal(data, &vectors); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if len(vectors) == 0 {
			t.Fatalf("%s: no vectors", file)
		}
		all = append(all, vectors...)
	}
	return all
}

func TestPresetsReadRealisticTokens(t *testing.T) {
	covered := map[string]bool{}
	for _, v := range claimVectors(t) {
		covered[v.Preset] = true
		t.Run(v.Preset+"/"+v.Name, func(t *testing.T) {
			mapping, err := jwtauth.PresetClaims(v.Preset, v.Args...)
			if err != nil {
				t.Fatal(err)
			}
			got, err := jwtauth.ReadClaims(mapping, string(v.Claims))
			if v.Want == nil {
				wantRefusal(t, err, v.Refused, v.Cause)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantAttributes(t, got, *v.Want)
		})
	}
	for _, name := range jwtauth.PresetNames() {
		if !covered[name] {
			t.Errorf("preset %s has no token", name)
		}
	}
}

func wantAttributes(t *testing.T, got, want authctx.Attributes) {
	t.Helper()
	p, err := authctx.New(got)
	if err != nil {
		t.Fatal(err)
	}
	q, err := authctx.New(want)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Equal(q) {
		g, _ := json.MarshalIndent(p.Attributes(), "", " ")
		w, _ := json.MarshalIndent(q.Attributes(), "", " ")
		t.Errorf("got %s\nwant %s", g, w)
	}
}

func wantRefusal(t *testing.T, err error, reason, cause string) {
	t.Helper()
	e, ok := errors.AsType[*authctx.Error](err)
	if !ok {
		t.Fatalf("got %v, want a refusal", err)
	}
	if !errors.Is(err, authctx.InvalidToken) || e.Reason.String() != reason || e.Cause.Error() != cause {
		t.Errorf("got %v: %v, want %s: %s", e.Reason, e.Cause, reason, cause)
	}
}

func TestCVE_2025_30144_ClaimsOfAnotherTypeAreRefused(t *testing.T) {
	for claims, cause := range map[string]string{
		`{"iss":["evil","good"],"sub":"s"}`:                       "jwtauth: iss is missing or not text",
		`{"iss":7,"sub":"s"}`:                                     "jwtauth: iss is missing or not text",
		`{"iss":"","sub":"s"}`:                                    "jwtauth: iss is missing or not text",
		`{"sub":"s"}`:                                             "jwtauth: iss is missing or not text",
		`{"iss":"i","sub":["a"]}`:                                 "jwtauth: claim sub is not a string",
		`{"iss":"i","sub":9007199254740993}`:                      "jwtauth: claim sub is not a string",
		`{"iss":"i","sub":{"value":"a"}}`:                         "jwtauth: claim sub is not a string",
		`{"iss":"i","sub":true}`:                                  "jwtauth: claim sub is not a string",
		`{"iss":"i","sub":""}`:                                    "jwtauth: claim sub is missing",
		`{"iss":"i","sub":null}`:                                  "jwtauth: claim sub is missing",
		`{"iss":"i"}`:                                             "jwtauth: claim sub is missing",
		`{"iss":"i","sub":"s","tenant":42}`:                       "jwtauth: claim tenant is not a string",
		`{"iss":"i","sub":"s","client_id":["c"]}`:                 "jwtauth: claim client_id is not a string",
		`{"iss":"i","sub":"s","roles":7}`:                         "jwtauth: claim roles is not a list in the form expected",
		`{"iss":"i","sub":"s","roles":{"admin":true}}`:            "jwtauth: claim roles is not a list in the form expected",
		`{"iss":"i","sub":"s","roles":["a",1]}`:                   "jwtauth: claim roles is not a list in the form expected",
		`{"iss":"i","sub":"s","roles":["a",null]}`:                "jwtauth: claim roles is not a list in the form expected",
		`{"iss":"i","sub":"s","roles":["a",["b"]]}`:               "jwtauth: claim roles is not a list in the form expected",
		`{"iss":"i","sub":"s","groups":[{"display":"no value"}]}`: "jwtauth: claim groups is not a list in the form expected",
		`{"iss":"i","sub":"s","scope":true}`:                      "jwtauth: claim scope is not a list in the form expected",
		`{"iss":"i","sub":"s","auth_time":"yesterday"}`:           "jwtauth: claim auth_time is not a date",
		`{"iss":"i","sub":"s","auth_time":1e19}`:                  "jwtauth: claim auth_time is not a date",
		`{"iss":"i","sub":"s","act":"support"}`:                   "jwtauth: claim act has an actor without a name",
		`{"iss":"i","sub":"s","act":{"sub":7}}`:                   "jwtauth: claim act has an actor without a name",
		`{"iss":"i","sub":"s","act":true}`:                        "jwtauth: claim act has an actor without a name",
		`{"iss":"i","sub":"s","act":{"sub":"a","iss":7}}`:         "jwtauth: claim act has an actor without a name",
		`{"iss":"i","sub":"s","act":{"sub":"a","act":{}}}`:        "jwtauth: claim act has an actor without a name",
		`{"iss":"i","sub":"s","act":[{"sub":"a"}]}`:               "jwtauth: claim act has an actor without a name",
	} {
		t.Run(claims, func(t *testing.T) {
			_, err := jwtauth.ReadClaims(jwtauth.RFC9068Claims(), claims)
			wantRefusal(t, err, "invalid_token", cause)
		})
	}
}

func TestWhatLeadsToAClaimIsAnObject(t *testing.T) {
	sts, err := jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{Refuse: []jwtauth.ClaimTest{{Path: []string{"session", "pending"}, Present: true}}})
	if err != nil {
		t.Fatal(err)
	}
	const entra, keycloak = `{"iss":"i","oid":"s",`, `{"iss":"i","sub":"s","typ":"Bearer",`
	for _, tt := range []struct {
		mapping       *jwtauth.ClaimMapping
		claims, cause string // no cause when the claims are good
	}{
		{jwtauth.KeycloakClaims("api"), keycloak + `"realm_access":["admin"]}`, "jwtauth: claim realm_access is not an object"},
		{jwtauth.KeycloakClaims("api"), keycloak + `"realm_access":"admin"}`, "jwtauth: claim realm_access is not an object"},
		{jwtauth.KeycloakClaims("api"), keycloak + `"resource_access":{"api":["admin"]}}`, "jwtauth: claim resource_access.api is not an object"},
		{jwtauth.KeycloakClaims("api"), keycloak + `"resource_access":{"api":null},"realm_access":null}`, ""},
		{jwtauth.KeycloakClaims("api"), keycloak + `"resource_access":{"other":7},"realm_access":{}}`, ""},
		// A sign that cannot be read is not one that is not there.
		{jwtauth.EntraClaims(), entra + `"_claim_names":"x"}`, "jwtauth: claim _claim_names is not an object"},
		{jwtauth.EntraClaims(), entra + `"_claim_names":[{"groups":"src1"}]}`, "jwtauth: claim _claim_names is not an object"},
		{jwtauth.EntraClaims(), entra + `"_claim_names":null}`, ""},
		{sts, `{"iss":"i","sub":"s","session":"pending"}`, "jwtauth: claim session is not an object"},
	} {
		t.Run(tt.claims, func(t *testing.T) {
			_, err := jwtauth.ReadClaims(tt.mapping, tt.claims)
			switch {
			case tt.cause != "":
				wantRefusal(t, err, "invalid_token", tt.cause)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// A sign that cannot be read must not look like none: the token might be one that
// is refused, and the caller one of another kind.
func TestCVE_2025_30144_SignsOfAnotherTypeAreRefused(t *testing.T) {
	session, err := jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Refuse: []jwtauth.ClaimTest{{Path: []string{"pending"}, Present: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const clerk, entra, keycloak, plain = `{"iss":"i","sub":"s",`, `{"iss":"i","oid":"s",`, `{"iss":"i","sub":"s","typ":`, `{"iss":"i","sub":"s",`
	for _, tt := range []struct {
		mapping       *jwtauth.ClaimMapping
		claims, cause string // no cause when the claims are good
	}{
		{jwtauth.ClerkClaims(), clerk + `"sts":{"v":"pending"}}`, "claim sts is not"},
		{jwtauth.ClerkClaims(), clerk + `"sts":1}`, "claim sts is not"},
		{jwtauth.ClerkClaims(), clerk + `"sts":[["pending"]]}`, "claim sts is not"},
		{jwtauth.ClerkClaims(), clerk + `"sts":["active",{"v":"pending"}]}`, "claim sts is not"},
		{jwtauth.ClerkClaims(), clerk + `"sts":["active",null,true,""]}`, ""},
		{jwtauth.ClerkClaims(), clerk + `"sts":null}`, ""},
		{jwtauth.EntraClaims(), entra + `"hasgroups":1}`, "claim hasgroups is not"},
		{jwtauth.EntraClaims(), entra + `"hasgroups":{}}`, "claim hasgroups is not"},
		{jwtauth.EntraClaims(), entra + `"idtyp":{}}`, "claim idtyp is not"},
		{jwtauth.EntraClaims(), entra + `"hasgroups":false,"idtyp":"user"}`, ""},
		{jwtauth.KeycloakClaims(), keycloak + `7}`, "claim typ is not"},
		{session, plain + `"pending":null}`, ""},
	} {
		t.Run(tt.claims, func(t *testing.T) {
			_, err := jwtauth.ReadClaims(tt.mapping, tt.claims)
			switch {
			case tt.cause != "":
				wantRefusal(t, err, "invalid_token", "jwtauth: "+tt.cause+" text or a boolean, or a list of them")
			case err != nil:
				t.Error(err)
			}
		})
	}
	for _, empty := range []string{`""`, `[]`, `{}`} {
		_, err := jwtauth.ReadClaims(session, plain+`"pending":`+empty+`}`)
		wantRefusal(t, err, "wrong_type", "jwtauth: claim pending is not that of this kind of token")
	}
	for _, sign := range []string{`true`, `"true"`, `[true]`, `[false,"true"]`} {
		a, err := jwtauth.ReadClaims(jwtauth.EntraClaims(), entra+`"hasgroups":`+sign+`}`)
		if err != nil || !a.GroupsIncomplete {
			t.Errorf("hasgroups %s: incomplete %v, %v", sign, a.GroupsIncomplete, err)
		}
	}
}

func TestRule3_CaseVariantsOfMappedClaimsAreRefused(t *testing.T) {
	for _, claims := range []string{
		`{"iss":"i","sub":"s","SUB":"admin"}`, `{"iss":"i","sub":"s","ſub":"admin"}`,
		`{"iss":"i","sub":"s","Roles":["admin"]}`, `{"iss":"i","sub":"s","Auth_Time":1}`,
		`{"iss":"i","sub":"s","roles":["a"],"roles":["admin"]}`,
	} {
		if _, err := jwtauth.ReadClaims(jwtauth.RFC9068Claims(), claims); !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("%s: %v", claims, err)
		}
	}
}

func TestAMappingReadsAnyPathFormAndPrefix(t *testing.T) {
	mapping, err := jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Subject: []jwtauth.ClaimSource{{Path: []string{"https://example.com/id", "a.b:c"}, TrimPrefix: "user:", AddPrefix: "u-"}},
		Roles: []jwtauth.ClaimSource{
			{Path: []string{"groups"}, TrimPrefix: "role:", AddPrefix: "g/"},
			{Path: []string{"urn:x:roles"}, Form: jwtauth.ClaimKeys},
			{Path: []string{"list"}, Form: jwtauth.ClaimCommaList},
			{Path: []string{"people"}, Member: "role"},
			{Path: []string{"deep", "er", "roles"}, Form: jwtauth.ClaimWords},
		},
		Groups: []jwtauth.ClaimSource{},
		Email:  []jwtauth.ClaimSource{},
		Extra:  map[string][]jwtauth.ClaimSource{"level": {jwtauth.Claim("level"), jwtauth.Claim("also")}, "none": {jwtauth.Claim("none")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := jwtauth.ReadClaims(mapping, `{"iss":"i","https://example.com/id":{"a.b:c":"user:7"},"sub":"ignored",
		"groups":["role:a","b","role:"],"urn:x:roles":{"c":{},"d":{}},"list":"e, f,,e","people":[{"role":"g"},"h"],
		"deep":{"er":{"roles":"i  j c"}},"email":"ignored","level":3,"also":[true,"x",1.50]}`)
	if err != nil {
		t.Fatal(err)
	}
	wantAttributes(t, got, authctx.Attributes{
		Issuer: "i", Subject: "u-7",
		Roles: []string{"g/a", "g/b", "c", "d", "e", "f", "g", "h", "i", "j"},
		Extra: map[string][]string{"level": {"3", "true", "x", "1.50"}},
	})
}

func TestWhatTrimPrefixLeavesNothingOfIsAbsent(t *testing.T) {
	mapping := must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Tenant: []jwtauth.ClaimSource{{Path: []string{"org"}, TrimPrefix: "org:", AddPrefix: "o-"}, jwtauth.Claim("tenant")},
		Groups: []jwtauth.ClaimSource{{Path: []string{"groups"}, TrimPrefix: "/", AddPrefix: "g-"}},
	}))
	for org, want := range map[string]string{"org:": "acme", "org:1": "o-1", "1": "o-1", "": "acme"} {
		claims, _ := json.Marshal(map[string]any{"iss": "i", "sub": "s", "org": org, "tenant": "acme", "groups": []string{"/", "/a"}})
		got, err := jwtauth.ReadClaims(mapping, string(claims))
		if err != nil || got.Tenant != want || !slices.Equal(got.Groups, []string{"g-a"}) {
			t.Errorf("%q: tenant %q, groups %q, %v", org, got.Tenant, got.Groups, err)
		}
	}
}

func TestLongListsAreMergedOnce(t *testing.T) {
	var want []string
	for i := range 300 {
		want = append(want, "group-"+string(rune('a'+i%26))+strings.Repeat("x", i/26))
	}
	list, _ := json.Marshal(slices.Concat(want, want))
	got, err := jwtauth.ReadClaims(jwtauth.RFC9068Claims(), `{"iss":"i","sub":"s","roles":["first"],"groups":`+string(list)+`}`)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Groups, want) || !slices.Equal(got.Roles, []string{"first"}) {
		t.Errorf("got %d groups of %d, roles %q", len(got.Groups), len(want), got.Roles)
	}
}

func TestRule1_EveryUnusableFieldOfAMappingIsReported(t *testing.T) {
	_, err := jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{
		Subject: []jwtauth.ClaimSource{},
		Name:    []jwtauth.ClaimSource{{}},
		Email:   []jwtauth.ClaimSource{jwtauth.Claim("email"), {Path: []string{"mail"}, Form: jwtauth.ClaimWords}},
		Roles:   []jwtauth.ClaimSource{jwtauth.Claim("a", "")},
		Groups:  []jwtauth.ClaimSource{{Path: []string{"g"}, Form: 99}},
		AMR:     []jwtauth.ClaimSource{{Path: []string{"g"}, Form: jwtauth.ClaimKeys, Member: "x"}},
		Scopes:  []jwtauth.ClaimSource{{Path: []string{"g"}, AddPrefix: "\xff"}},
		Extra:   map[string][]jwtauth.ClaimSource{"": nil, "k": {{}}},
		Require: []jwtauth.ClaimTest{{Path: []string{"typ"}}, {Values: []string{"x"}}},
		Service: []jwtauth.ClaimTest{{Path: []string{"a"}, Values: []string{""}}, {Path: []string{"a"}, Values: []string{"x"}, Present: true}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		"jwtauth: claim mapping: Subject needs a source",
		"jwtauth: claim mapping: Name[0] needs a path without empty segments",
		"jwtauth: claim mapping: Email[1] is a single text and has neither form nor member",
		"jwtauth: claim mapping: AMR[0] has a form that looks at no member",
		"jwtauth: claim mapping: Roles[0] needs a path without empty segments",
		"jwtauth: claim mapping: Scopes[0] has a prefix that is not valid UTF-8",
		"jwtauth: claim mapping: Groups[0] has an unknown form",
		"jwtauth: claim mapping: Extra has a key that is empty or not valid UTF-8",
		`jwtauth: claim mapping: Extra["k"][0] needs a path without empty segments`,
		"jwtauth: claim mapping: Service[0] has an empty value",
		"jwtauth: claim mapping: Service[1] needs either Values or Present",
		"jwtauth: claim mapping: Require[0] needs either Values or Present",
		"jwtauth: claim mapping: Require[1] needs a path without empty segments",
	}
	if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", err, strings.Join(want, "\n"))
	}
}

// A test of a claim decides who is let in and what kind of caller that is.
func TestAClaimIsTestedByItsValueAndKind(t *testing.T) {
	mapping := func(change func(*jwtauth.ClaimMappingConfig, jwtauth.ClaimTest), test jwtauth.ClaimTest) *jwtauth.ClaimMapping {
		var cfg jwtauth.ClaimMappingConfig
		test.Path = []string{"x"}
		change(&cfg, test)
		return must(jwtauth.NewClaimMapping(cfg))
	}
	refuse := func(c *jwtauth.ClaimMappingConfig, t jwtauth.ClaimTest) { c.Refuse = []jwtauth.ClaimTest{t} }
	require := func(c *jwtauth.ClaimMappingConfig, t jwtauth.ClaimTest) { c.Require = []jwtauth.ClaimTest{t} }
	service := func(c *jwtauth.ClaimMappingConfig, t jwtauth.ClaimTest) { c.Service = []jwtauth.ClaimTest{t} }
	values := jwtauth.ClaimTest{Values: []string{"a", "true"}}
	for x, holds := range map[string]bool{
		`"a"`: true, `["b","a"]`: true, `true`: true, `"true"`: true, `["true"]`: true, `[true]`: true,
		`"b"`: false, `"A"`: false, `"a "`: false, `["b"]`: false, `[]`: false, `[false]`: false,
		`false`: false, `null`: false, `""`: false,
	} {
		claims := `{"iss":"i","sub":"s","x":` + x + `}`
		if _, err := jwtauth.ReadClaims(mapping(refuse, values), claims); holds != errors.Is(err, authctx.InvalidToken) {
			t.Errorf("refuse %s: %v", x, err)
		}
		if _, err := jwtauth.ReadClaims(mapping(require, values), claims); holds != (err == nil) {
			t.Errorf("require %s: %v", x, err)
		}
		if a, err := jwtauth.ReadClaims(mapping(service, values), claims); err != nil || holds != (a.Kind == authctx.Service) {
			t.Errorf("service %s: %v, %v", x, a.Kind, err)
		}
		_, err := jwtauth.ReadClaims(mapping(require, jwtauth.ClaimTest{Present: true}), claims)
		if present := x != `null`; present != (err == nil) {
			t.Errorf("presence of %s: %v", x, err)
		}
	}
	for _, x := range []string{`7`, `{"a":"a"}`, `[["a"]]`, `[{"a":"a"}]`, `["b",7]`, `["a",7]`, `[true,["b"]]`} {
		for name, change := range map[string]func(*jwtauth.ClaimMappingConfig, jwtauth.ClaimTest){"refuse": refuse, "require": require, "service": service} {
			if a, err := jwtauth.ReadClaims(mapping(change, values), `{"iss":"i","sub":"s","x":`+x+`}`); !errors.Is(err, authctx.InvalidToken) {
				t.Errorf("%s %s: %v, %v", name, x, a.Kind, err)
			}
		}
	}
}

func TestListsOfNamesAreThoseOfObjectsAlone(t *testing.T) {
	names := must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{Roles: []jwtauth.ClaimSource{{Path: []string{"x"}, Form: jwtauth.ClaimKeys}}}))
	for x, good := range map[string]bool{
		`{"admin":1}`: true, `[{"admin":1},{"admin":2}]`: true, `[]`: true, `[[{"admin":1}]]`: false, `["admin"]`: false, `[{"admin":1},null]`: false, `"admin"`: false, `7`: false,
	} {
		if a, err := jwtauth.ReadClaims(names, `{"iss":"i","sub":"s","x":`+x+`}`); good != (err == nil) {
			t.Errorf("%s: %q, %v", x, a.Roles, err)
		}
	}
	for _, o := range []string{`"admin"`, `["admin"]`, `7`, `true`} {
		if a, err := jwtauth.ReadClaims(jwtauth.ClerkClaims(), `{"iss":"i","sub":"s","sid":"s","azp":"w","v":2,"o":`+o+`}`); err == nil {
			t.Errorf("Clerk's organization %s: %+v", o, a)
		}
	}
}

// The masks are in the order of the features, and what no mask tells is not granted.
func TestFeaturesWithoutAMaskGrantNothing(t *testing.T) {
	for o, want := range map[string][]string{
		`"per":"read,write","fpm":"3,1"`: {"a:read", "a:write", "b:read"}, `"per":"read,write","fpm":"2"`: {"a:write"},
	} {
		a, err := jwtauth.ReadClaims(jwtauth.ClerkClaims(), `{"iss":"i","sub":"s","sid":"s","azp":"w","v":2,"fea":"o:a,o:b","o":{"id":"o1",`+o+`}}`)
		if err != nil || !slices.Equal(a.Permissions, want) {
			t.Errorf("%s: %q, %v", o, a.Permissions, err)
		}
	}
}

func TestRule3_AnotherSpellingOfTheFeaturesIsRefusedWhereTheyAreRead(t *testing.T) {
	const claims = `{"iss":"i","sub":"s","Fea":"o:a"}`
	if _, err := jwtauth.ReadClaims(jwtauth.ClerkClaims(), claims); authctx.ReasonOf(err) != authctx.InvalidToken {
		t.Errorf("by Clerk: %v", err)
	}
	if _, err := jwtauth.ReadClaims(jwtauth.RFC9068Claims(), claims); err != nil {
		t.Errorf("by others: %v", err)
	}
}

func TestRule12_AMappingSharesNothingWithItsConfig(t *testing.T) {
	cfg := jwtauth.ClaimMappingConfig{
		Roles:   []jwtauth.ClaimSource{jwtauth.Claim("a", "b")},
		Extra:   map[string][]jwtauth.ClaimSource{"k": {jwtauth.Claim("x")}},
		Require: []jwtauth.ClaimTest{{Path: []string{"typ"}, Values: []string{"T"}}},
	}
	mapping, err := jwtauth.NewClaimMapping(cfg)
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(c jwtauth.ClaimMappingConfig) {
		c.Roles[0].Path[1] = "spoiled"
		c.Extra["k"][0].Path[0] = "spoiled"
		c.Extra["new"] = []jwtauth.ClaimSource{jwtauth.Claim("iss")}
		c.Require[0].Path[0], c.Require[0].Values[0] = "spoiled", "spoiled"
	}
	spoil(cfg)
	spoil(mapping.Config())
	got, err := jwtauth.ReadClaims(mapping, `{"iss":"i","sub":"s","typ":"T","a":{"b":["r"]},"x":"y"}`)
	if err != nil {
		t.Fatal(err)
	}
	wantAttributes(t, got, authctx.Attributes{Issuer: "i", Subject: "s", Roles: []string{"r"}, Extra: map[string][]string{"k": {"y"}}})
}

func TestPresetsAreValidAndSurviveBeingRebuilt(t *testing.T) {
	for _, v := range claimVectors(t) {
		preset, err := jwtauth.PresetClaims(v.Preset, v.Args...)
		if err != nil {
			t.Fatal(err)
		}
		rebuilt, err := jwtauth.NewClaimMapping(preset.Config())
		if err != nil {
			t.Fatalf("%s: %v", v.Preset, err)
		}
		a, err1 := jwtauth.ReadClaims(preset, string(v.Claims))
		b, err2 := jwtauth.ReadClaims(rebuilt, string(v.Claims))
		if (err1 == nil) != (err2 == nil) {
			t.Fatalf("%s: %v, rebuilt %v", v.Name, err1, err2)
		}
		if err1 == nil {
			wantAttributes(t, b, a)
		}
	}
}

// Auth0's own examples have namespaces with a slash at the end and without, to
// which they append "roles" and "/roles".
func TestAuth0NamespacesAreReadWithOrWithoutTheSlash(t *testing.T) {
	for namespace, claim := range map[string]string{
		"https://shop.example":        "https://shop.example/roles",
		"https://shop.example/":       "https://shop.example/roles",
		"https://shop.example/claims": "https://shop.example/claims/roles",
		"https://shop.example/v1":     "https://shop.example/v1/roles",
		"https://shop.example#":       "https://shop.example#roles",
		"https://shop.example/app_":   "https://shop.example/app_roles",
		"urn:shop:":                   "urn:shop:roles",
	} {
		for name, mapping := range map[string]*jwtauth.ClaimMapping{
			"Auth0Claims":  jwtauth.Auth0Claims(namespace),
			"PresetClaims": must(jwtauth.PresetClaims("auth0", namespace)),
		} {
			got, err := jwtauth.ReadClaims(mapping, fmt.Sprintf(`{"iss":"i","sub":"s",%q:["editor"]}`, claim))
			if err != nil || !slices.Equal(got.Roles, []string{"editor"}) {
				t.Errorf("%s, %s: %v, %v", name, namespace, got.Roles, err)
			}
		}
	}
}

func TestPresetsAreFoundByExactName(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"Keycloak", nil, `jwtauth: "Keycloak" is no preset; there are auth0, clerk, cognito, dex, entra, firebase, google, hydra, keycloak, kubernetes, okta, rfc9068, spiffe, supabase, zitadel`},
		{"okta", []string{"x"}, "jwtauth: preset okta takes no arguments"},
		{"keycloak", []string{"a", ""}, "jwtauth: preset keycloak has an empty argument"},
		{"auth0", []string{"https://a.example/", "not a url"}, `jwtauth: preset auth0 has the argument "not a url", and namespaces begin with a URL`},
		{"auth0", []string{"a.example/"}, `jwtauth: preset auth0 has the argument "a.example/", and namespaces begin with a URL`},
		{"auth0", []string{"localhost:8080"}, `jwtauth: preset auth0 has the argument "localhost:8080", and namespaces begin with a URL`},
		{"auth0", []string{"/roles"}, `jwtauth: preset auth0 has the argument "/roles", and namespaces begin with a URL`},
		{"auth0", []string{"//a.example/"}, `jwtauth: preset auth0 has the argument "//a.example/", and namespaces begin with a URL`},
		{"auth0", []string{"https://a.example /"}, `jwtauth: preset auth0 has the argument "https://a.example /", and namespaces begin with a URL`},
	} {
		if _, err := jwtauth.PresetClaims(c.name, c.args...); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	if _, err := jwtauth.PresetClaims(""); err == nil {
		t.Error("no name is a preset")
	}
}
