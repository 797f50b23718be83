package jwtauth_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// kmsSigner hides the type of a private key, as a key management service does.
type kmsSigner struct{ inner crypto.Signer }

func (k kmsSigner) Public() crypto.PublicKey { return k.inner.Public() }
func (k kmsSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.inner.Sign(r, digest, opts)
}

func pkcs8(key any) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})
}

// ecParameters is what "openssl ecparam -genkey" writes before a key on P-256.
var ecParameters = pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS",
	Bytes: must(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}))})

func TestSigningKeyRefusesWhatCannotSign(t *testing.T) {
	rsa2048 := must(rsa.GenerateKey(rand.Reader, 2048))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	_, ed, _ := ed25519.GenerateKey(nil)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(ed.Public()))})
	for name, tt := range map[string]struct {
		cfg  jwtauth.SigningKeyConfig
		want []string
	}{
		"nothing at all names both settings": {jwtauth.SigningKeyConfig{}, []string{"Algorithm", "exactly one of Signer, PEM and Secret"}},
		"no algorithm":                       {jwtauth.SigningKeyConfig{Signer: ed}, []string{"Algorithm"}},
		"algorithm none":                     {jwtauth.SigningKeyConfig{Algorithm: "none", Signer: ed}, []string{"Algorithm"}},
		"two keys":                           {jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, Signer: ed, PEM: pkcs8(ed)}, []string{"exactly one"}},
		"RSA key for HMAC":                   {jwtauth.SigningKeyConfig{Algorithm: jwtauth.HS256, Signer: rsa2048}, []string{"Algorithm is HS256", "Secret"}},
		"secret for RSA":                     {jwtauth.SigningKeyConfig{Algorithm: jwtauth.RS256, Secret: make([]byte, 64)}, []string{"Secret is for HMAC", "Algorithm is RS256"}},
		"curve of another algorithm":         {jwtauth.SigningKeyConfig{Algorithm: jwtauth.ES256, Signer: p384}, []string{"ES256"}},
		"short secret":                       {jwtauth.SigningKeyConfig{Algorithm: jwtauth.HS256, Secret: make([]byte, 31)}, []string{"at least 32 bytes"}},
		"secret shorter than the hash":       {jwtauth.SigningKeyConfig{Algorithm: jwtauth.HS512, Secret: make([]byte, 63)}, []string{"at least 64 bytes"}},
		"weak RSA":                           {jwtauth.SigningKeyConfig{Algorithm: jwtauth.RS256, Signer: weakRSA{}}, []string{"not 1024"}},
		"an RSA key that was not loaded":     {jwtauth.SigningKeyConfig{Algorithm: jwtauth.RS256, Signer: (*rsa.PrivateKey)(nil)}, []string{"Signer is a nil *rsa.PrivateKey"}},
		"an Ed25519 key that was not loaded": {jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, Signer: ed25519.PrivateKey(nil)}, []string{"Signer", "64 bytes, not 0"}},
		"an Ed25519 seed":                    {jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, Signer: ed25519.PrivateKey(ed.Seed())}, []string{"Signer", "64 bytes, not 32"}},
		"no PEM":                             {jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, PEM: []byte("secret-text")}, []string{"no PEM block"}},
		"two private keys":                   {jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, PEM: append(pkcs8(ed), pkcs8(ed)...)}, []string{"PEM must hold one private key and nothing behind it"}},
		"a key and garbage":                  {jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, PEM: append(pkcs8(ed), "secret-text"...)}, []string{"nothing behind it"}},
		"parameters alone":                   {jwtauth.SigningKeyConfig{Algorithm: jwtauth.ES256, PEM: ecParameters}, []string{"no PEM block of a key"}},
		"public key":                         {jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, PEM: public}, []string{"not an unencrypted private key"}},
		"broken private key": {jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA,
			PEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret-text")})}, []string{"cannot be parsed"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jwtauth.NewSigningKey(tt.cfg)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret-text") {
				t.Errorf("error quotes the input: %v", err)
			}
		})
	}
}

// weakRSA is a signer of 1024 bits, which crypto/rsa itself refuses to make.
type weakRSA struct{}

func (weakRSA) Public() crypto.PublicKey {
	key := must(rsa.GenerateKey(rand.Reader, 2048)).PublicKey
	key.N.Rsh(key.N, 1024)
	return &key
}

func (weakRSA) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }

func TestSigningKeyIDIsTheThumbprintInEveryForm(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(nil)
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rs := must(rsa.GenerateKey(rand.Reader, 2048))
	for alg, key := range map[jwtauth.Algorithm]crypto.Signer{jwtauth.EdDSA: ed, jwtauth.ES256: ec, jwtauth.RS256: rs} {
		memory := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: alg, Signer: key}))
		loaded := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: alg, PEM: pkcs8(key)}))
		remote := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: alg, Signer: kmsSigner{key}}))
		if memory.ID() != loaded.ID() || memory.ID() != remote.ID() || len(memory.ID()) != 43 {
			t.Errorf("%s: IDs %q, %q, %q are not one thumbprint", alg, memory.ID(), loaded.ID(), remote.ID())
		}
	}
}

// The key and thumbprint of RFC 8037 appendix A.3.
func TestThumbprintOfRFC8037(t *testing.T) {
	seed := []byte{
		0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
		0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
	}
	key := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, Signer: ed25519.NewKeyFromSeed(seed)}))
	if want := "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; key.ID() != want {
		t.Errorf("thumbprint %q, want %q", key.ID(), want)
	}
}

func TestSigningKeyReadsOlderPEM(t *testing.T) {
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rs := must(rsa.GenerateKey(rand.Reader, 2048))
	sec1 := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(ec))})
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rs)})
	for name, cfg := range map[string]jwtauth.SigningKeyConfig{
		"EC PRIVATE KEY":                     {Algorithm: jwtauth.ES256, PEM: sec1},
		"EC PRIVATE KEY with its parameters": {Algorithm: jwtauth.ES256, PEM: slices.Concat(ecParameters, sec1, []byte("\r\n\n"))},
		"RSA PRIVATE KEY":                    {Algorithm: jwtauth.PS256, PEM: pkcs1},
	} {
		if _, err := jwtauth.NewSigningKey(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKeyThatDoesNotSignIsNoSigningKey(t *testing.T) {
	agrees := must(ecdh.X25519().GenerateKey(rand.Reader))
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(agrees))})
	if key, err := jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, PEM: text}); err == nil || !strings.Contains(err.Error(), "does not sign") {
		t.Errorf("%v, %v", key, err)
	}
}

func TestRule11_NoVerbPrintsASigningKey(t *testing.T) {
	secret := bytes.Repeat([]byte("s3cr"), 8)
	key := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.HS256, Secret: secret, ID: "k1"}))
	const want = `signing key "k1" for HS256`
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		for _, v := range []any{key, *key} {
			if got := fmt.Sprintf(verb, v); got != want {
				t.Errorf("%s of %T prints %q", verb, v, got)
			}
		}
	}
}

func TestRule11_NoVerbPrintsASigningKeyConfig(t *testing.T) {
	secret := bytes.Repeat([]byte("s3cr"), 8)
	const want = `configuration of signing key "k1" for HS256`
	cfg := jwtauth.SigningKeyConfig{Algorithm: jwtauth.HS256, Secret: secret, PEM: secret, ID: "k1"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		for _, v := range []any{&cfg, cfg} {
			if got := fmt.Sprintf(verb, v); got != want {
				t.Errorf("%s of %T prints %q", verb, v, got)
			}
		}
	}
}

// junkSigner has a good public key and answers with whatever it likes.
type junkSigner struct {
	crypto.Signer
	answer []byte
	err    error
}

func (j junkSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return j.answer, j.err
}

func TestASignerThatMisbehavesSignsNothing(t *testing.T) {
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	type pair struct{ R, S *big.Int }
	der := func(r, s *big.Int) []byte { return must(asn1.Marshal(pair{r, s})) }
	one, huge := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 256)
	down := errors.New("key service is down")
	for name, signer := range map[string]junkSigner{
		"nothing":         {ec, nil, nil},
		"junk":            {ec, []byte("junk"), nil},
		"negative r":      {ec, der(big.NewInt(-1), one), nil},
		"zero s":          {ec, der(one, new(big.Int)), nil},
		"r of 257 bits":   {ec, der(huge, one), nil},
		"something after": {ec, append(der(one, one), 0), nil},
		"an error":        {ec, der(one, one), down},
	} {
		key := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.ES256, Signer: signer}))
		token, err := issuerWith(t, key, nil).Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"})
		if err == nil || token != "" {
			t.Errorf("%s: issued %q", name, token)
		}
		if signer.err != nil && !errors.Is(err, down) {
			t.Errorf("%s: the cause is lost: %v", name, err)
		}
	}
}

func TestGeneratedKeysGoByBothNamesOfEdDSA(t *testing.T) {
	if key, err := jwtauth.GenerateSigningKey("Ed25519"); err != nil || key.Algorithm() != jwtauth.EdDSA {
		t.Errorf("%v, %v", key, err)
	}
	if _, err := jwtauth.GenerateSigningKey("none"); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("the error does not name the algorithm: %v", err)
	}
}
