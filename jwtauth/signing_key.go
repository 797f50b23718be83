package jwtauth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"github.com/authctx/authctx/internal/absent"
)

// SigningKeyConfig configures [NewSigningKey]. Algorithm is required, and
// exactly one of Signer, PEM and Secret.
type SigningKeyConfig struct {
	// Algorithm is the one algorithm the key signs with.
	Algorithm Algorithm
	// Signer is a private key, in memory or behind a key management service.
	// Its public key must be of crypto/rsa, crypto/ecdsa or crypto/ed25519.
	Signer crypto.Signer `json:"-"`
	// PEM is one unencrypted private key: PKCS #8, or the older forms "RSA
	// PRIVATE KEY" and "EC PRIVATE KEY", before which "EC PARAMETERS" may stand.
	// Nothing may follow it.
	PEM []byte `json:"-"`
	// Secret is the key of an HMAC algorithm, at least as long as its hash (RFC
	// 7518 section 3.2). Whoever can verify with it can also sign.
	Secret []byte `json:"-"`
	// ID is the key ID ("kid"). Empty means the RFC 7638 thumbprint, which is
	// the same in every replica; a secret has none then, because its
	// thumbprint would help to guess it.
	ID string
}

// Format implements [fmt.Formatter], so that no verb prints a secret. There are two
// exceptions, in which fmt does not call Format and prints all fields: the verbs %p
// and %w, and a configuration in an unexported field of a struct that is printed.
func (c SigningKeyConfig) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// String is what all verbs print, for printers that ask for nothing else.
func (c SigningKeyConfig) String() string {
	return fmt.Sprintf("configuration of signing key %q for %s", c.ID, c.Algorithm)
}

// SigningKey is a private key bound to one algorithm. It never changes and may
// be used concurrently. Nothing prints its secret parts, whatever it is printed
// with and wherever it is held.
type SigningKey struct {
	public *Key
	sign   func(input []byte) ([]byte, error) // holds the secret, where nothing that prints looks
	header string                             // JOSE header up to the value of "typ"
}

// NewSigningKey returns the key that cfg describes, or an error that names every
// setting that is missing or wrong. It copies the secret.
func NewSigningKey(cfg SigningKeyConfig) (*SigningKey, error) {
	var problems problems
	bad := problems.add
	alg, err := ParseAlgorithm(string(cfg.Algorithm))
	if err != nil {
		bad("Algorithm is required and must be one of this package's constants")
	}
	cfg.Algorithm = alg // Ed25519 is EdDSA
	given := 0
	for _, is := range []bool{cfg.Signer != nil, len(cfg.PEM) > 0, len(cfg.Secret) > 0} {
		if is {
			given++
		}
	}
	switch secret := len(cfg.Secret) > 0; {
	case given != 1:
		bad("exactly one of Signer, PEM and Secret is required, not %d", given)
	case secret && err == nil && !alg.symmetric():
		bad("Secret is for HMAC algorithms, and Algorithm is %s, which signs with a Signer or PEM", alg)
	case !secret && alg.symmetric():
		bad("Algorithm is %s, which signs with a Secret and not with a Signer or PEM", alg)
	}
	if ed, is := cfg.Signer.(ed25519.PrivateKey); is && len(ed) != ed25519.PrivateKeySize {
		bad("Signer must be an Ed25519 private key of %d bytes, not %d", ed25519.PrivateKeySize, len(ed))
	} else if cfg.Signer != nil && absent.Nil(cfg.Signer) {
		bad("Signer is a nil %T", cfg.Signer)
	}
	if err := problems.of("signing key"); err != nil {
		return nil, err
	}
	if len(cfg.PEM) > 0 {
		signer, err := parsePrivateKey(cfg.PEM)
		if err != nil {
			return nil, err
		}
		cfg.Signer = signer
	}
	return newSigningKey(cfg)
}

// GenerateSigningKey returns a new random key: RSA of 2048 bits, or of the curve
// that alg names. For HMAC it is a secret without an ID. The private part stays
// within the process; a key that replicas share or that outlives a restart
// comes from elsewhere, see [SigningKeyConfig].
func GenerateSigningKey(alg Algorithm) (*SigningKey, error) {
	alg, err := ParseAlgorithm(string(alg))
	if err != nil {
		return nil, fmt.Errorf("jwtauth: signing key: %w", err)
	}
	cfg := SigningKeyConfig{Algorithm: alg}
	switch alg {
	case EdDSA:
		_, cfg.Signer, err = ed25519.GenerateKey(nil)
	case ES256:
		cfg.Signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		cfg.Signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ES512:
		cfg.Signer, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case RS256, RS384, RS512, PS256, PS384, PS512:
		cfg.Signer, err = rsa.GenerateKey(rand.Reader, minRSABits)
	case HS256, HS384, HS512:
		cfg.Secret = make([]byte, alg.hash().Size())
		rand.Read(cfg.Secret)
	}
	if err != nil {
		return nil, fmt.Errorf("jwtauth: signing key: %w", err)
	}
	return NewSigningKey(cfg)
}

// newSigningKey makes a key of a Signer or a Secret.
func newSigningKey(cfg SigningKeyConfig) (*SigningKey, error) {
	public, err := verificationHalf(cfg)
	if err != nil {
		return nil, err
	}
	k := &SigningKey{public: public, header: joseHeader(cfg.Algorithm, public.id)}
	if cfg.Signer == nil {
		k.sign = signWithSecret(cfg.Algorithm, cfg.Secret)
	} else {
		k.sign = signWith(cfg.Algorithm, cfg.Signer)
	}
	return k, nil
}

// verificationHalf returns a key of the Secret, or the public key of the Signer
// under its thumbprint, unless cfg gives an ID.
func verificationHalf(cfg SigningKeyConfig) (*Key, error) {
	if cfg.Signer == nil {
		return NewHMACKey(cfg.ID, cfg.Algorithm, cfg.Secret)
	}
	key, err := NewPublicKey(cfg.ID, cfg.Algorithm, cfg.Signer.Public())
	if err != nil || cfg.ID != "" {
		return key, err
	}
	jwk, err := publicJWK(key)
	if err != nil {
		return nil, err
	}
	key.id = thumbprint(jwk)
	return key, nil
}

// joseHeader returns a JOSE header that ends where the value of "typ" goes.
func joseHeader(alg Algorithm, id string) string {
	h := `{"alg":"` + string(alg) + `"`
	if id != "" {
		quoted, _ := json.Marshal(id) // a string always marshals
		h += `,"kid":` + string(quoted)
	}
	return h + `,"typ":"`
}

// parsePrivateKey reads the one key of a PEM file. Its errors hold nothing of
// what is secret in it.
func parsePrivateKey(data []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(data)
	if block != nil && block.Type == "EC PARAMETERS" { // which "openssl ecparam -genkey" writes first
		block, rest = pem.Decode(rest)
	}
	switch {
	case block == nil:
		return nil, errors.New("jwtauth: signing key: PEM holds no PEM block of a key")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("jwtauth: signing key: PEM must hold one private key and nothing behind it")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("jwtauth: signing key: PEM holds a %.40q, not an unencrypted private key", block.Type)
	}
	if err != nil {
		return nil, errors.New("jwtauth: signing key: PEM holds a private key that cannot be parsed")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("jwtauth: signing key: PEM holds a key of type %T, which does not sign", key)
	}
	return signer, nil
}

// ID returns the key ID, empty when the key has none.
func (k *SigningKey) ID() string { return k.public.id }

// Algorithm returns the algorithm the key signs with.
func (k *SigningKey) Algorithm() Algorithm { return k.public.algorithm }

// VerificationKey returns the key that verifies what k signs: the public key,
// or the secret itself when the algorithm is symmetric.
func (k *SigningKey) VerificationKey() *Key { return k.public }

// is reports whether a published key is the public half of k. A JWK need not say
// for which algorithm it is.
func (k *SigningKey) is(published *Key) bool {
	return k.public.sameMaterial(published) && (published.algorithm == "" || published.algorithm == k.public.algorithm)
}

// String names the key and its algorithm.
func (k SigningKey) String() string {
	if k.public == nil {
		return "no signing key"
	}
	return fmt.Sprintf("signing key %q for %s", k.public.id, k.public.algorithm)
}

// Format keeps every verb as quiet as String.
func (k SigningKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }
