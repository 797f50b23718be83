package jwtauth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/authctx/authctx/jwtauth"
)

// rocaFactor returns a number of so many bits with the structure that the broken
// generator gave its primes: a power of 65537 modulo the product of the first
// primes, plus a multiple of that product. To be prime it would have to be tried
// again a few hundred times, which changes nothing of what can be seen.
func rocaFactor(size, smallPrimes int) *big.Int {
	product := big.NewInt(1)
	for p, found := int64(2), 0; found < smallPrimes; p++ {
		if big.NewInt(p).ProbablyPrime(0) {
			product.Mul(product, big.NewInt(p))
			found++
		}
	}
	least := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(3), uint(size-2)), product)
	k := must(rand.Int(rand.Reader, new(big.Int).Rsh(least, 2)))
	exponent := must(rand.Int(rand.Reader, product))
	n := new(big.Int).Exp(big.NewInt(65537), exponent, product)
	return n.Add(n, k.Add(k, least).Add(k, big.NewInt(1)).Mul(k, product))
}

func TestCVE_2017_15361_KeysOfABrokenGeneratorAreRefused(t *testing.T) {
	// Key sizes, and how many primes the generator used for them.
	for size, smallPrimes := range map[int]int{2048: 126, 3072: 126, 4096: 225} {
		n := new(big.Int).Mul(rocaFactor(size/2, smallPrimes), rocaFactor(size/2, smallPrimes))
		pub := &rsa.PublicKey{N: n, E: 65537}
		if pub.N.BitLen() != size {
			t.Fatalf("the key has %d bits, want %d", pub.N.BitLen(), size)
		}
		der := must(x509.MarshalPKIXPublicKey(pub))
		jwk := fmt.Sprintf(`{"kty":"RSA","kid":"k","alg":"RS256","e":"AQAB","n":%q}`,
			base64.RawURLEncoding.EncodeToString(n.Bytes()))
		load := map[string]func() error{
			"NewPublicKey": func() error {
				_, err := jwtauth.NewPublicKey("k", jwtauth.RS256, pub)
				return err
			},
			"ParsePublicKeyPEM": func() error {
				block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
				_, err := jwtauth.ParsePublicKeyPEM("k", jwtauth.RS256, block)
				return err
			},
			"ParseJWK": func() error {
				_, err := jwtauth.ParseJWK([]byte(jwk))
				return err
			},
			"ParseJWKSet": func() error {
				_, _, err := jwtauth.ParseJWKSet([]byte(`{"keys":[` + jwk + `]}`))
				return err
			},
		}
		for name, f := range load {
			if err := f(); err == nil || !strings.Contains(err.Error(), "CVE-2017-15361") {
				t.Errorf("%s, %d bits: %v", name, size, err)
			}
		}
	}
}

func TestCVE_2017_15361_OrdinaryKeysAreTaken(t *testing.T) {
	for range 3 {
		key := must(rsa.GenerateKey(rand.Reader, 2048))
		if _, err := jwtauth.NewPublicKey("k", jwtauth.RS256, &key.PublicKey); err != nil {
			t.Error(err)
		}
	}
	// Primes are not what is looked for, so that odd numbers do as well.
	for range 20000 {
		n := must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 2047)))
		n.SetBit(n, 2047, 1).SetBit(n, 0, 1)
		if _, err := jwtauth.NewPublicKey("k", jwtauth.RS256, &rsa.PublicKey{N: n, E: 65537}); err != nil {
			t.Errorf("%x: %v", n, err)
		}
	}
	// One factor of that structure does not make the product one of its powers.
	n := new(big.Int).Mul(rocaFactor(1024, 126), must(rsa.GenerateKey(rand.Reader, 2048)).Primes[0])
	if _, err := jwtauth.NewPublicKey("k", jwtauth.RS256, &rsa.PublicKey{N: n, E: 65537}); err != nil {
		t.Error(err)
	}
}

// What loading a key costs, the look at how it was made included: a small part
// of one signature check.
func BenchmarkNewPublicKey(b *testing.B) {
	key := testRSAKey()
	for b.Loop() {
		if _, err := jwtauth.NewPublicKey("k", jwtauth.RS256, &key.PublicKey); err != nil {
			b.Fatal(err)
		}
	}
}
