package jwtauth_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/authctx/authctx/jwtauth"
)

// The signature of R = the neutral element and S = 0 is good under a key of
// small order for one message in eight, at least, and nobody needs a private key
// for it.
func TestEd25519KeysOfSmallOrderAreRefused(t *testing.T) {
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1
	for _, y := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		for _, sign := range []byte{0, 0x80} {
			key := ed25519.PublicKey(must(hex.DecodeString(y)))
			key[31] |= sign
			passes := false
			for n := 0; n < 1000 && !passes; n++ {
				passes = ed25519.Verify(key, fmt.Append(nil, n), forged)
			}
			if !passes {
				t.Errorf("%x: the attack does not work, so there is nothing to refuse", key)
			}
			if _, err := jwtauth.NewPublicKey("k1", jwtauth.EdDSA, key); err == nil {
				t.Errorf("NewPublicKey takes %x, under which a forgery passes", key)
			}
			if _, err := jwtauth.ParseJWK([]byte(jwk("k1", key))); err == nil {
				t.Errorf("ParseJWK takes %x", key)
			}
		}
	}
}
