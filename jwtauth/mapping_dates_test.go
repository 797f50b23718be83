package jwtauth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx/jwtauth"
)

// AD FS writes "auth_time" as a text.
func TestTheTimeOfALoginIsReadFromWhereItIsMapped(t *testing.T) {
	const adfs = `"2020-09-09T08:50:55.546Z"`
	read := func(sources ...jwtauth.ClaimSource) []jwtauth.ClaimSource {
		return append([]jwtauth.ClaimSource{}, sources...)
	}
	for _, test := range []struct {
		sources []jwtauth.ClaimSource
		claims  string
		want    int64 // zero for none
		cause   string
	}{
		{nil, `"auth_time":1600`, 1600, ""},
		{nil, `"login":1600`, 0, ""},
		{nil, `"auth_time":` + adfs, 0, "jwtauth: claim auth_time is not a date"},
		{read(), `"auth_time":` + adfs, 0, ""},
		{read(), `"auth_time":1600`, 0, ""},
		{read(jwtauth.Claim("login", "at"), jwtauth.Claim("auth_time")), `"login":{"at":1600},"auth_time":` + adfs, 1600, ""},
		{read(jwtauth.Claim("login", "at"), jwtauth.Claim("auth_time")), `"login":{"at":null},"auth_time":1700`, 1700, ""},
		{read(jwtauth.Claim("login", "at")), `"login":{"at":"1600"}`, 0, "jwtauth: claim login.at is not a date"},
		{read(jwtauth.Claim("login", "at")), `"login":1600`, 0, "jwtauth: claim login is not an object"},
	} {
		mapping := must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{AuthTime: test.sources}))
		for _, m := range []*jwtauth.ClaimMapping{mapping, must(jwtauth.NewClaimMapping(mapping.Config()))} {
			got, err := jwtauth.ReadClaims(m, `{"iss":"i","sub":"s",`+test.claims+`}`)
			if test.cause != "" {
				wantRefusal(t, err, "invalid_token", test.cause)
				continue
			}
			if err != nil || test.want == 0 && !got.AuthTime.IsZero() || test.want != 0 && !got.AuthTime.Equal(time.Unix(test.want, 0)) {
				t.Errorf("%s by %v: %v, %v", test.claims, test.sources, got.AuthTime, err)
			}
		}
	}
}

func TestRule3_AnotherSpellingOfWhereALoginIsReadIsRefused(t *testing.T) {
	mapping := must(jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{AuthTime: []jwtauth.ClaimSource{jwtauth.Claim("login")}}))
	_, err := jwtauth.ReadClaims(mapping, `{"iss":"i","sub":"s","Login":1600}`)
	if err == nil || !strings.Contains(err.Error(), "invalid token") {
		t.Error(err)
	}
}

func TestRule1_ADateHasAPathAlone(t *testing.T) {
	_, err := jwtauth.NewClaimMapping(jwtauth.ClaimMappingConfig{AuthTime: []jwtauth.ClaimSource{
		{}, {Path: []string{"a"}, Form: jwtauth.ClaimWords}, {Path: []string{"a"}, Member: "m"},
		{Path: []string{"a"}, TrimPrefix: "p"}, {Path: []string{"a"}, AddPrefix: "p"}, jwtauth.Claim("a"),
	}})
	want := "jwtauth: claim mapping: AuthTime[0] needs a path without empty segments"
	for _, i := range []string{"1", "2", "3", "4"} {
		want += "\njwtauth: claim mapping: AuthTime[" + i + "] is a date and has a path alone"
	}
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
