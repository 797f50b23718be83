package jwtauth_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// FuzzClaimMapping holds presets to what must be true of any mapping: what it
// returns is a principal, names the issuer and subject that encoding/json finds
// in the claims, and lists nothing that the claims do not contain.
func FuzzClaimMapping(f *testing.F) {
	presets := jwtauth.PresetNames()
	for _, v := range claimVectors(f) {
		f.Add(uint8(slices.Index(presets, v.Preset)), string(v.Claims))
	}
	f.Fuzz(func(t *testing.T, preset uint8, claims string) {
		name := presets[int(preset)%len(presets)]
		mapping, err := jwtauth.PresetClaims(name)
		if err != nil {
			t.Fatal(err)
		}
		a, err := jwtauth.ReadClaims(mapping, claims)
		if err != nil {
			if authctx.ReasonOf(err).Public() != authctx.InvalidToken {
				t.Fatalf("%v blames something else than the token", err)
			}
			return
		}
		if _, err := authctx.New(a); err != nil {
			t.Fatalf("%s made what is no principal: %v", name, err)
		}
		var all any
		dec := json.NewDecoder(strings.NewReader(claims))
		dec.UseNumber()
		if err := dec.Decode(&all); err != nil {
			t.Fatal(err)
		}
		found := texts(all, map[string]bool{})
		if name != "spiffe" && !found[a.Issuer] || !found[a.Subject] {
			t.Fatalf("%s: issuer %q or subject %q is not in the claims", name, a.Issuer, a.Subject)
		}
		for _, actor := range a.Actors {
			if !found[actor.Subject] || actor.Issuer != a.Issuer && !found[actor.Issuer] {
				t.Fatalf("%s: actor %v is not in the claims", name, actor)
			}
		}
		if name != "rfc9068" {
			return // other presets divide and trim
		}
		for _, list := range [][]string{a.Roles, a.Permissions, a.Groups, a.AMR} {
			for i, value := range list {
				if !found[value] || slices.Contains(list[:i], value) {
					t.Fatalf("%q is not in the claims, or listed twice", value)
				}
			}
		}
	})
}

// texts collects every string and number in a JSON value.
func texts(v any, into map[string]bool) map[string]bool {
	switch v := v.(type) {
	case string:
		into[v] = true
	case json.Number:
		into[v.String()] = true
	case []any:
		for _, e := range v {
			texts(e, into)
		}
	case map[string]any:
		for _, e := range v {
			texts(e, into)
		}
	}
	return into
}
