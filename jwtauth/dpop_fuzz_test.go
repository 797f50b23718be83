package jwtauth_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// FuzzDPoPProof signs any header and claims with the client's key, as the holder
// of a stolen session could. What passes must mean the same to encoding/json and
// golang-jwt, which read other documents than we do.
func FuzzDPoPProof(f *testing.F) {
	client := signerFor(f, jwtauth.EdDSA)
	x := b64(string(testEdKey().Public().(ed25519.PublicKey)))
	jwk := `{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`
	sum := sha256.Sum256([]byte(jwk))
	alice, err := authctx.New(authctx.Attributes{Issuer: testIssuer, Subject: "alice"})
	if err != nil {
		f.Fatal(err)
	}
	bound := jwtauth.VerifiedToken{Principal: alice, Confirmation: jwtauth.Confirmation{KeyThumbprint: b64(string(sum[:]))}}
	v := verifierFunc(func(string) (jwtauth.VerifiedToken, error) { return bound, nil })

	token := sha256.Sum256([]byte("token"))
	header := `{"typ":"dpop+jwt","alg":"EdDSA","jwk":` + jwk + `}`
	claims := `{"jti":"1","htm":"GET","htu":"https://api.example/orders","iat":` + asJSON(f, testNow.Unix()) + `,"ath":"` + b64(string(token[:])) + `"}`
	f.Add(header, claims)
	for _, change := range [][2]string{
		{`"EdDSA"`, `"none"`}, {`"EdDSA"`, `"Ed25519"`}, {`"typ"`, `"Typ"`}, {`"typ":`, `"typ":"JWT","typ":`}, {`"kty"`, `"d":"AA","kty"`},
		{`"GET"`, `"POST"`}, {`"htm"`, `"HTM":"PUT","htm"`}, {`"jti":"1"`, `"jti":["1"]`}, {`"iat":`, `"iat":1,"iat":`}, {`"ath"`, `"\u0061th"`},
		{x, laxBase64(x)},
	} {
		f.Add(strings.Replace(header, change[0], change[1], 1), strings.Replace(claims, change[0], change[1], 1))
	}
	f.Fuzz(func(t *testing.T, header, claims string) {
		d := newDPoP(t, v, func(cfg *jwtauth.DPoPConfig) { cfg.Now = configFor(t, client).Now })
		proof := client.compact(t, header, claims)
		if _, err := d.Authenticate(t.Context(), dpopRequest("token", proof)); err != nil {
			if r := authctx.ReasonOf(err); r != authctx.InvalidProof && r != authctx.InvalidToken {
				t.Fatalf("refused for %v", err)
			}
			return
		}
		var h struct {
			Typ, Alg string
			JWK      map[string]any
			Crit     any
		}
		var c map[string]any
		if json.Unmarshal([]byte(header), &h) != nil || json.Unmarshal([]byte(claims), &c) != nil {
			t.Fatal("passed and is not JSON")
		}
		iat, _ := c["iat"].(float64)
		age := float64(testNow.Unix()) - iat
		if h.Typ != "dpop+jwt" || h.Alg != "EdDSA" && h.Alg != "Ed25519" || h.JWK["x"] != x || h.JWK["d"] != nil || h.Crit != nil ||
			c["htm"] != "GET" || c["ath"] != b64(string(token[:])) || age >= 90 || age < -30 {
			t.Fatalf("passed: %s %s", header, claims)
		}
		if id, ok := c["jti"].(string); !ok || id == "" || len(id) > 256 {
			t.Fatalf("passed: %q", id)
		}
		if h.Alg == "EdDSA" {
			parser := jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"EdDSA"}))
			if _, err := parser.Parse(proof, func(*jwt.Token) (any, error) { return testEdKey().Public(), nil }); err != nil {
				t.Fatalf("passed, but not with golang-jwt: %v", err)
			}
		}
	})
}

// FuzzClientCert holds the parser of RFC 9440 to its grammar: what it accepts is
// a way to write what it returns, padding, the bits left over and parameters
// aside.
func FuzzClientCert(f *testing.F) {
	for _, s := range []string{":AAAA:", "::", ":", "", ":AA==:", ":AA=:", ":AB==:", " :AAAA: ", ":AAAA:;a", `:AAAA:;a="\"";b=?0`, ":AAAA:,:AAAA:", ":A\nAAA:", ":_-__:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		der, err := jwtauth.ClientCert(field)
		if err != nil {
			return
		}
		inner, parameters, _ := strings.Cut(strings.TrimPrefix(strings.Trim(field, " "), ":"), ":")
		inner, again := strings.TrimRight(inner, "="), base64.RawStdEncoding.EncodeToString(der)
		most := max(0, len(again)-1) // the last character may hold bits that are left over
		if len(inner) != len(again) || inner[:most] != again[:most] {
			t.Fatalf("%q was read as %q", field, again)
		}
		if parameters != "" && parameters[0] != ';' {
			t.Fatalf("%q was read as parameters", parameters)
		}
	})
}

func TestCVE_2025_30204_AProofOfDotsCostsNothing(t *testing.T) {
	dots := strings.Repeat(".", 1<<20)
	allocations := testing.AllocsPerRun(10, func() {
		if _, err := jwtauth.ProofThumbprint(dots, jwtauth.ES256); err == nil {
			t.Fatal("a proof made of dots was read")
		}
	})
	if allocations > 10 { // the helper makes a few; the race detector, some more
		t.Errorf("refusing it costs %v allocations", allocations)
	}
}

func TestCVE_2015_9235_APublicKeyIsNoHMACSecret(t *testing.T) {
	c := newDPoPCase(t, nil)
	jwk := c.proof().Header["jwk"].(map[string]any)
	for name, secret := range map[string]string{"the JWK": asJSON(t, jwk), "a coordinate": jwk["x"].(string), "the thumbprint": c.key.Thumbprint(), "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			forged := c.proof().SignWith("HS256", []byte(secret))
			c.try(t, c.request(unapproved(forged.Sign)), authctx.InvalidProof)
			c.try(t, c.request(unapproved(forged.SetHeader("alg", "ES256").Sign)), authctx.InvalidProof)
		})
	}
}

// laxBase64 returns base64url text of 32 bytes with another last digit, which a
// lax decoder reads as the same bytes.
func laxBase64(s string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(s) - 1
	return s[:last] + string(digits[strings.IndexByte(digits, s[last])|1])
}
