package jwtauth_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// TestAVerifierReadsEveryProvidersToken signs the payloads of testdata/claims
// that are complete tokens and verifies them as a user of the preset would.
func TestAVerifierReadsEveryProvidersToken(t *testing.T) {
	signer := signerFor(t, jwtauth.EdDSA)
	verified := map[string]bool{}
	for _, v := range claimVectors(t) {
		var token struct {
			Exp int64
			Aud json.RawMessage
		}
		if err := json.Unmarshal(v.Claims, &token); err != nil {
			t.Fatal(err)
		}
		if v.Want == nil || token.Exp == 0 {
			continue
		}
		verified[v.Preset] = true
		t.Run(v.Preset+"/"+v.Name, func(t *testing.T) {
			mapping, err := jwtauth.PresetClaims(v.Preset, v.Args...)
			if err != nil {
				t.Fatal(err)
			}
			cfg := configFor(t, signer)
			cfg.Issuer, cfg.Claims, cfg.Leeway = v.Want.Issuer, mapping, jwtauth.NoLeeway
			cfg.Now = func() time.Time { return time.Unix(token.Exp-60, 0) }
			if cfg.Audiences = audiences(t, token.Aud); cfg.Audiences == nil {
				cfg.ClientIDs = []string{v.Want.ClientID}
			}
			switch v.Preset {
			case "google", "firebase", "dex": // by explicit choice
				cfg.Types = jwtauth.IDTokenTypes()
			case "spiffe":
				cfg.Types = jwtauth.SPIFFETypes()
			}
			verifier, err := jwtauth.NewVerifier(cfg)
			if err != nil {
				t.Fatal(err)
			}
			p, err := verifier.Verify(t.Context(), signer.compact(t, `{"alg":"EdDSA","typ":"JWT","kid":"k1"}`, string(v.Claims)))
			if err != nil {
				t.Fatal(err)
			}
			got, want := p.Attributes(), *v.Want
			want.Provenance, want.Expires, want.Claims = authctx.Verified, time.Unix(token.Exp, 0), got.Claims
			wantAttributes(t, got, want)
		})
	}
	for _, name := range jwtauth.PresetNames() {
		if !verified[name] {
			t.Errorf("no token of preset %s was verified", name)
		}
	}
}

func TestAClaimOfAnotherSpellingIsReadWhereItIsMapped(t *testing.T) {
	signer := signerFor(t, jwtauth.EdDSA)
	for name, test := range map[string]struct {
		mapping        jwtauth.ClaimMappingConfig
		claims         map[string]any
		groups, person string
	}{
		"in place of the usual one": {
			jwtauth.ClaimMappingConfig{Groups: []jwtauth.ClaimSource{jwtauth.Claim("Groups")}},
			map[string]any{"Groups": []string{"staff"}}, "staff", "",
		},
		"besides the usual one": {
			jwtauth.ClaimMappingConfig{Name: []jwtauth.ClaimSource{jwtauth.Claim("username"), jwtauth.Claim("Username")}},
			map[string]any{"Username": "joe"}, "", "joe",
		},
	} {
		token := signer.token(t, goodClaims(test.claims))
		if _, err := newVerifier(t, signer, nil).Verify(t.Context(), token); authctx.ReasonOf(err) != authctx.InvalidToken {
			t.Errorf("%s, not mapped: %v", name, err)
		}
		mapped := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Claims = must(jwtauth.NewClaimMapping(test.mapping)) })
		p, err := mapped.Verify(t.Context(), token)
		if err != nil || p.Name() != test.person || strings.Join(p.Groups(), " ") != test.groups {
			t.Errorf("%s: %v, %q, %q", name, err, p.Name(), p.Groups())
		}
	}
}

// audiences reads an aud claim, nil when it names nobody.
func audiences(t *testing.T, raw json.RawMessage) []string {
	t.Helper()
	var one string
	var several []string
	if raw == nil || json.Unmarshal(raw, &one) != nil && json.Unmarshal(raw, &several) != nil {
		return nil
	}
	if one != "" {
		several = []string{one}
	}
	if len(several) == 0 {
		return nil
	}
	return several[:1]
}
