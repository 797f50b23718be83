package jwtauth_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// The request of RFC 9449 section 7.1, the proof of section 4.1, and the
// thumbprint of section 6.1 of the key that both are signed with.
const (
	rfc9449Token      = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	rfc9449Thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	rfc9449Header     = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19."
	rfc9449Proof      = rfc9449Header + "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	rfc9449TokenProof = rfc9449Header + "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)

// rfc9449DPoP is the resource server of the RFC's example at its time.
func rfc9449DPoP(t testing.TB) *jwtauth.DPoP {
	t.Helper()
	someone, err := authctx.New(authctx.Attributes{Issuer: "https://server.example.com", Subject: "someone@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	v := verifierFunc(func(token string) (jwtauth.VerifiedToken, error) {
		if token != rfc9449Token {
			return jwtauth.VerifiedToken{}, authctx.InvalidToken
		}
		return jwtauth.VerifiedToken{Principal: someone, Confirmation: jwtauth.Confirmation{KeyThumbprint: rfc9449Thumbprint}}, nil
	})
	return newDPoP(t, v, func(cfg *jwtauth.DPoPConfig) {
		cfg.ExternalURL = "https://resource.example.org"
		cfg.Now = func() time.Time { return time.Unix(1562262620, 0) }
		cfg.Shape = jwtauth.OpaqueShape
	})
}

func TestRFC9449_Section7_1_TheExampleRequest(t *testing.T) {
	r := dpopRequest(rfc9449Token, rfc9449Proof)
	r.Target = "/protectedresource"
	res, err := rfc9449DPoP(t).Authenticate(t.Context(), r)
	if err != nil || res.Principal.Subject() != "someone@example.com" {
		t.Errorf("%v, %v", res.Principal, err)
	}
	r.Method = "POST"
	if _, err := rfc9449DPoP(t).Authenticate(t.Context(), r); authctx.ReasonOf(err) != authctx.InvalidProof {
		t.Errorf("POST: %v", err)
	}
}

func TestRFC9449_Section4_1_AProofForTheTokenEndpointIsNoneForAResource(t *testing.T) {
	r := dpopRequest(rfc9449Token, rfc9449TokenProof)
	r.Method, r.Target = "POST", "/token"
	_, err := rfc9449DPoP(t).Authenticate(t.Context(), r)
	if authctx.ReasonOf(err) != authctx.InvalidProof || !strings.Contains(err.Error(), "ath") {
		t.Error(err)
	}
}

func TestRFC9449_Section6_1_ThumbprintOfTheExampleKey(t *testing.T) {
	if got, err := jwtauth.ProofThumbprint(rfc9449Proof, jwtauth.ES256); err != nil || got != rfc9449Thumbprint {
		t.Errorf("%s, %v", got, err)
	}
}

func TestRFC7638_AThumbprintIsOfTheKeyAndNotOfHowItIsWritten(t *testing.T) {
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Algorithms = []jwtauth.Algorithm{jwtauth.RS256} })
	c.key = c.issuer.NewDPoPKey(jwtauth.RS256)
	c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint()})
	p := c.proof()
	jwk := p.Header["jwk"].(map[string]any)
	jwk["use"], jwk["kid"], jwk["e"] = "sig", "k", "AAEAAQ" // a leading zero
	got, err := jwtauth.ProofThumbprint(p.Sign(), jwtauth.RS256)
	if err == nil && got != c.key.Thumbprint() {
		t.Errorf("%s, want %s", got, c.key.Thumbprint())
	}
	jwk["e"] = "AQAB"
	if got, err := jwtauth.ProofThumbprint(p.Sign(), jwtauth.RS256); err != nil || got != c.key.Thumbprint() {
		t.Errorf("%s, %v, want %s", got, err, c.key.Thumbprint())
	}
}

// A coordinate with leading zeros keeps them (RFC 7518 section 6.2.1.2). One key
// in 128 has one.
func TestRFC7518_CoordinatesHaveTheirFullLength(t *testing.T) {
	c := newDPoPCase(t, nil)
	for range 2000 {
		key := c.issuer.NewDPoPKey("")
		p := key.Proof("GET", "https://api.example/orders", c.token)
		jwk := p.Header["jwk"].(map[string]any)
		x, err1 := base64.RawURLEncoding.DecodeString(jwk["x"].(string))
		y, err2 := base64.RawURLEncoding.DecodeString(jwk["y"].(string))
		if err := errors.Join(err1, err2); err != nil || len(x) != 32 || len(y) != 32 {
			t.Fatalf("coordinates of %d and %d bytes, %v", len(x), len(y), err)
		}
		if x[0] != 0 && y[0] != 0 {
			continue
		}
		if got, err := jwtauth.ProofThumbprint(p.Sign(), jwtauth.ES256); err != nil || got != key.Thumbprint() {
			t.Errorf("%s, %v, want %s", got, err, key.Thumbprint())
		}
		return
	}
	t.Fatal("of 2000 keys none has a leading zero")
}
