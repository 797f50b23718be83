//lint:file-ignore SA1019 broken keys can only be made from raw coordinates

package jwtauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// The keys of these tests. RSA keys take long to make, so each is made once.
var (
	keysRSA     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	keysWeakRSA = sync.OnceValue(func() *rsa.PrivateKey {
		return unapproved(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1536)) })
	})
	keysP256    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	keysP384    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	keysP521    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	keysEd25519 = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, 32)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// unapproved returns what f makes, also where only what FIPS 140 approves may run:
// attackers do not keep to that.
func unapproved[T any](f func() T) (made T) {
	fips140.WithoutEnforcement(func() { made = f() })
	return made
}

func TestNewPublicKeyBindsAKeyToOneAlgorithm(t *testing.T) {
	beyond31Bits := int64(1)<<32 + 1 // where an int has 32 bits, no less wrong
	for _, c := range []struct {
		name      string
		algorithm jwtauth.Algorithm
		pub       crypto.PublicKey
		want      jwtauth.Algorithm // empty: refused
	}{
		{"RS256", jwtauth.RS256, &keysRSA().PublicKey, jwtauth.RS256},
		{"PS512", jwtauth.PS512, &keysRSA().PublicKey, jwtauth.PS512},
		{"P-256 says it itself", "", &keysP256().PublicKey, jwtauth.ES256},
		{"P-384 says it itself", "", &keysP384().PublicKey, jwtauth.ES384},
		{"P-521 says it itself", "", &keysP521().PublicKey, jwtauth.ES512},
		{"Ed25519 says it itself", "", keysEd25519().Public(), jwtauth.EdDSA},
		{"Ed25519 by its new name", "Ed25519", keysEd25519().Public(), jwtauth.EdDSA},

		{"RSA must be told", "", &keysRSA().PublicKey, ""},
		{"RSA is not for HMAC", jwtauth.HS256, &keysRSA().PublicKey, ""},
		{"RSA is not for curves", jwtauth.ES256, &keysRSA().PublicKey, ""},
		{"P-256 is not for ES384", jwtauth.ES384, &keysP256().PublicKey, ""},
		{"P-521 is not for ES256", jwtauth.ES256, &keysP521().PublicKey, ""},
		{"Ed25519 is not for ES256", jwtauth.ES256, keysEd25519().Public(), ""},
		{"RSA 2048 by no algorithm that exists", "RS1", &keysRSA().PublicKey, ""},
		{"none", "none", &keysRSA().PublicKey, ""},
		{"lower case", "rs256", &keysRSA().PublicKey, ""},
		{"a private key", jwtauth.RS256, keysRSA(), ""},
		{"a private curve key", jwtauth.ES256, keysP256(), ""},
		{"no key", jwtauth.RS256, nil, ""},
		{"a nil RSA key", jwtauth.RS256, (*rsa.PublicKey)(nil), ""},
		{"an empty RSA key", jwtauth.RS256, &rsa.PublicKey{}, ""},
		{"a nil ECDSA key", jwtauth.ES256, (*ecdsa.PublicKey)(nil), ""},
		{"an empty ECDSA key", jwtauth.ES256, &ecdsa.PublicKey{}, ""},
		{"a curve without a point", jwtauth.ES256, &ecdsa.PublicKey{Curve: elliptic.P256()}, ""},
		{"P-224", "", &must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)).PublicKey, ""},
		{"an empty Ed25519 key", jwtauth.EdDSA, ed25519.PublicKey{}, ""},
		{"a secret", jwtauth.HS256, []byte(strings.Repeat("s", 64)), ""},
		{"a PEM text", jwtauth.HS256, "-----BEGIN PUBLIC KEY-----", ""},
		{"1536 bits", jwtauth.RS256, &keysWeakRSA().PublicKey, ""},
		{"an even modulus", jwtauth.RS256, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2048), E: 65537}, ""},
		{"a negative modulus", jwtauth.RS256, &rsa.PublicKey{N: new(big.Int).Neg(keysRSA().N), E: 65537}, ""},
		{"exponent 1", jwtauth.RS256, &rsa.PublicKey{N: keysRSA().N, E: 1}, ""},
		{"an even exponent", jwtauth.RS256, &rsa.PublicKey{N: keysRSA().N, E: 65536}, ""},
		{"an exponent beyond 31 bits", jwtauth.RS256, &rsa.PublicKey{N: keysRSA().N, E: int(beyond31Bits)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := jwtauth.NewPublicKey("k1", c.algorithm, c.pub)
			if c.want == "" {
				if err == nil || key != nil {
					t.Fatalf("got %v, %v; want a refusal", key, err)
				}
				return
			}
			if err != nil || key.ID() != "k1" || key.Algorithm() != c.want || key.Withdrawn() {
				t.Fatalf("got %v, %v", key, err)
			}
		})
	}
}

func TestCVE_2023_29409_HugeRSAKeysAreRefused(t *testing.T) {
	n := new(big.Int).SetBit(big.NewInt(1), 8192, 1)
	if _, err := jwtauth.NewPublicKey("k1", jwtauth.RS256, &rsa.PublicKey{N: n, E: 65537}); err == nil {
		t.Fatal("a key of 8193 bits was taken")
	}
}

func TestCVE_2022_23806_PointsOffTheCurveAreRefused(t *testing.T) {
	p := elliptic.P256().Params().P
	good := keysP256().PublicKey
	for name, pub := range map[string]*ecdsa.PublicKey{
		"off the curve":   {Curve: good.Curve, X: good.X, Y: new(big.Int).Add(good.Y, big.NewInt(1))},
		"x beyond p":      {Curve: good.Curve, X: new(big.Int).Add(good.X, p), Y: good.Y},
		"negative y":      {Curve: good.Curve, X: good.X, Y: new(big.Int).Neg(good.Y)},
		"zero":            {Curve: good.Curve, X: new(big.Int), Y: new(big.Int)},
		"x of 1000 bytes": {Curve: good.Curve, X: new(big.Int).Lsh(good.X, 8000), Y: good.Y},
	} {
		if _, err := jwtauth.NewPublicKey("k1", "", pub); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestNewHMACKeyWantsASecretAsLongAsTheHash(t *testing.T) {
	for algorithm, size := range map[jwtauth.Algorithm]int{jwtauth.HS256: 32, jwtauth.HS384: 48, jwtauth.HS512: 64} {
		if _, err := jwtauth.NewHMACKey("", algorithm, make([]byte, size-1)); err == nil {
			t.Errorf("%s: %d bytes were taken", algorithm, size-1)
		}
		if key, err := jwtauth.NewHMACKey("", algorithm, make([]byte, size)); err != nil || key.Algorithm() != algorithm {
			t.Errorf("%s: %v, %v", algorithm, key, err)
		}
	}
	for _, algorithm := range []jwtauth.Algorithm{"", "none", jwtauth.RS256, jwtauth.EdDSA} {
		if _, err := jwtauth.NewHMACKey("", algorithm, make([]byte, 64)); err == nil {
			t.Errorf("%q was taken", algorithm)
		}
	}
}

func TestParsePublicKeyPEM(t *testing.T) {
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkix := must(x509.MarshalPKIXPublicKey(&keysRSA().PublicKey))
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert := must(x509.CreateCertificate(rand.Reader, template, template, &keysRSA().PublicKey, keysRSA()))
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"PKIX", block("PUBLIC KEY", pkix), true},
		{"PKCS 1", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&keysRSA().PublicKey)), true},
		{"certificate", block("CERTIFICATE", cert), true},
		{"space around it", "\n\n" + block("PUBLIC KEY", pkix) + "\n\n", true},
		{"PKCS 8 private key", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(keysRSA()))), false},
		{"PKCS 1 private key", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(keysRSA())), false},
		{"two blocks", block("PUBLIC KEY", pkix) + block("PUBLIC KEY", pkix), false},
		{"mislabelled", block("PUBLIC KEY", cert), false},
		{"DER without PEM", string(pkix), false},
		{"nothing", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := jwtauth.ParsePublicKeyPEM("k1", jwtauth.RS256, []byte(c.text))
			if (err == nil) != c.ok || c.ok && key.ID() != "k1" {
				t.Fatalf("got %v, %v", key, err)
			}
		})
	}
}

func TestCVE_2015_9235_APEMTextIsNeverAnHMACSecret(t *testing.T) {
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&keysRSA().PublicKey))})
	if key, err := jwtauth.ParsePublicKeyPEM("k1", jwtauth.HS256, text); err == nil {
		t.Fatalf("got %v", key)
	}
}

// The modulus is no product of two primes, which nobody can see.
func TestAnRSAKeyHasBetween2048And8192Bits(t *testing.T) {
	for bits, good := range map[int]bool{2047: false, 2048: true, 8192: true, 8193: false} {
		n := must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1))))
		n.SetBit(n.SetBit(n, bits-1, 1), 0, 1)
		if _, err := jwtauth.NewPublicKey("k", jwtauth.RS256, &rsa.PublicKey{N: n, E: 65537}); good != (err == nil) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

func TestAKeyIDIsOneThatATokenCanName(t *testing.T) {
	for id, good := range map[string]bool{
		"": true, "k": true, strings.Repeat("k", 256): true, strings.Repeat("k", 257): false,
	} {
		_, public := jwtauth.NewPublicKey(id, jwtauth.RS256, &keysRSA().PublicKey)
		_, secret := jwtauth.NewHMACKey(id, jwtauth.HS256, make([]byte, 32))
		if good != (public == nil) || good != (secret == nil) {
			t.Errorf("%.10q: %v, %v", id, public, secret)
		}
	}
}

func TestRule11_AKeyPrintsNoMaterial(t *testing.T) {
	secret := strings.Repeat("topsecret!", 7)
	key := must(jwtauth.NewHMACKey("k1", jwtauth.HS512, []byte(secret)))
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "key", key)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%c"} {
		fmt.Fprintf(&log, "\n"+verb+" "+verb, key, struct{ K *jwtauth.Key }{key})
	}
	for _, leak := range []string{"topsecret", hex.EncodeToString([]byte("topsecret")), "116 111 112", "0x74, 0x6f"} {
		if strings.Contains(strings.ToLower(log.String()), leak) {
			t.Errorf("%q is in %s", leak, log.String())
		}
	}
	if got := fmt.Sprint(key); got != `key "k1" (HS512)` {
		t.Errorf("got %s", got)
	}
}

func TestRule12_AKeyKeepsNothingOfWhatItIsMadeOf(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	pub := append(ed25519.PublicKey(nil), keysEd25519().Public().(ed25519.PublicKey)...)
	hmacBefore := must(jwtauth.NewHMACKey("k", jwtauth.HS256, secret))
	edBefore := must(jwtauth.NewPublicKey("k", "", pub))
	if !jwtauth.SameKey(hmacBefore, must(jwtauth.NewHMACKey("k", jwtauth.HS256, secret))) {
		t.Fatal("the same secret makes another key")
	}
	secret[0], pub[0] = 0, pub[0]+1
	if jwtauth.SameKey(hmacBefore, must(jwtauth.NewHMACKey("k", jwtauth.HS256, secret))) {
		t.Error("the secret is shared")
	}
	if jwtauth.SameKey(edBefore, must(jwtauth.NewPublicKey("k", "", pub))) {
		t.Error("the key is shared")
	}
}

func TestStaticKeysFindAKeyOnlyByItsID(t *testing.T) {
	a := must(jwtauth.NewPublicKey("a", jwtauth.RS256, &keysRSA().PublicKey))
	b := must(jwtauth.NewPublicKey("b", "", &keysP256().PublicKey))
	anonymous := must(jwtauth.NewPublicKey("", "", &keysP256().PublicKey))
	one, two := must(jwtauth.NewStaticKeys(a)), must(jwtauth.NewStaticKeys(a, b))
	alone := must(jwtauth.NewStaticKeys(anonymous))
	for _, c := range []struct {
		name   string
		source jwtauth.KeySource
		id     string
		want   *jwtauth.Key
	}{
		{"first of two", two, "a", a},
		{"second of two", two, "b", b},
		{"unknown among two", two, "c", nil},
		{"unnamed among two", two, "", nil},
		{"other case", two, "A", nil},
		{"the only one", one, "a", a},
		{"unnamed, and only one", one, "", a},
		{"another name than the only one's", one, "b", nil},
		{"unnamed, and the only one has no ID", alone, "", anonymous},
		{"any name, and the only one has no ID", alone, "a", anonymous},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.source.Key(context.Background(), c.id, jwtauth.RS256)
			if got != c.want || (c.want == nil) != errors.Is(err, authctx.UnknownKey) {
				t.Fatalf("got %v, %v", got, err)
			}
		})
	}
}

func TestRule1_StaticKeysMustBeThereAndDiffer(t *testing.T) {
	a := must(jwtauth.NewPublicKey("a", jwtauth.RS256, &keysRSA().PublicKey))
	anonymous := must(jwtauth.NewPublicKey("", "", &keysP256().PublicKey))
	for name, keys := range map[string][]*jwtauth.Key{
		"nil":               {nil},
		"nil among others":  {a, nil},
		"twice":             {a, a},
		"no ID, of several": {a, anonymous},
	} {
		if s, err := jwtauth.NewStaticKeys(keys[0], keys[1:]...); err == nil || s != nil {
			t.Errorf("%s: got %v, %v", name, s, err)
		}
	}
	_, err := jwtauth.NewStaticKeys(a, nil, anonymous, a)
	for _, want := range []string{"key 1 is nil", "key 2 has no ID", `the ID "a"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// A key that is not in the set must be an error, not the last key looked at.
func TestCVE_2026_89313_AnAbsentKeyIsAnError(t *testing.T) {
	a := must(jwtauth.NewPublicKey("a", jwtauth.RS256, &keysRSA().PublicKey))
	b := must(jwtauth.NewPublicKey("b", "", &keysP256().PublicKey))
	if key, err := must(jwtauth.NewStaticKeys(a, b)).Key(context.Background(), "absent", ""); key != nil || err == nil {
		t.Fatalf("got %v, %v", key, err)
	}
}
