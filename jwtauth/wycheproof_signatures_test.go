//go:build !race

package jwtauth_test

import (
	"encoding/hex"
	"testing"

	"github.com/authctx/authctx/jwtauth"
)

// Nothing runs beside these checks, which the race detector would slow down tenfold.
func TestWycheproofSignatures(t *testing.T) {
	for name, a := range map[string]jwtauth.Algorithm{
		"ecdsa_secp256r1_sha256_p1363_test.json": jwtauth.ES256,
		"ecdsa_secp384r1_sha384_p1363_test.json": jwtauth.ES384,
		"ecdsa_secp521r1_sha512_p1363_test.json": jwtauth.ES512,
		"ed25519_test.json":                      jwtauth.EdDSA,
		"rsa_signature_2048_sha256_test.json":    jwtauth.RS256,
		"rsa_pss_2048_sha256_mgf1_32_test.json":  jwtauth.PS256,
	} {
		for _, g := range wycheproof(t, name) {
			key, err := jwtauth.ParsePublicKeyPEM("", a, []byte(g.PublicKeyPEM))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, test := range g.Tests {
				good := jwtauth.KeyVerifies(key, a, must(hex.DecodeString(test.Msg)), must(hex.DecodeString(test.Sig)))
				if good != (test.Result == "valid") && test.Result != "acceptable" {
					t.Errorf("%s %d (%s): %v", name, test.TcID, test.Comment, good)
				}
			}
		}
	}
}
