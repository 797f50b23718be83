package jwtauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"math/big"
)

// Sizes that a key must have. Larger RSA keys are refused because verifying
// with them is a way to keep a server busy (CVE-2023-29409).
const (
	minRSABits     = 2048
	maxRSABits     = 8192
	maxKeyIDLength = 256 // also of what strangers can make sources look up
)

// same reports whether nothing but the pointers tells k and other apart.
func (k *Key) same(other *Key) bool {
	return k.algorithm == other.algorithm && k.issuer == other.issuer && k.sameKey(other)
}

// sameKey is same, whatever else is said of the key.
func (k *Key) sameKey(other *Key) bool { return k.id == other.id && k.sameMaterial(other) }

func (k *Key) sameMaterial(other *Key) bool {
	switch m := k.material.(type) {
	case hmacSecret:
		o, ok := other.material.(hmacSecret)
		return ok && subtle.ConstantTimeCompare(m(), o()) == 1
	case interface{ Equal(crypto.PublicKey) bool }:
		return m.Equal(other.material)
	}
	return false
}

// fingerprint stands for a key, whatever its ID: by it the same key is found among
// many without comparing it with each.
type fingerprint [sha256.Size]byte

func (k *Key) fingerprint() fingerprint {
	if secret, ok := k.material.(hmacSecret); ok { // long and random: its hash tells nothing
		return sha256.Sum256(append([]byte("HMAC "), secret()...))
	}
	spki, _ := x509.MarshalPKIXPublicKey(k.material) // fails for no key that is accepted here
	return sha256.Sum256(spki)
}

// newPublicKey is [NewPublicKey] without its demand that RSA keys name an
// algorithm, which not every provider meets.
func newPublicKey(id string, algorithm Algorithm, pub crypto.PublicKey) (*Key, error) {
	if len(id) > maxKeyIDLength {
		return nil, errLongKeyID
	}
	material, err := checkedCopy(pub)
	if err != nil {
		return nil, err
	}
	algorithm, err = algorithmFor(material, algorithm)
	if err != nil {
		return nil, err
	}
	return &Key{id: id, algorithm: algorithm, material: material}, nil
}

// algorithmFor returns the one algorithm of a public key of which its source says
// that, which may be nothing. It is empty for an RSA key then.
func algorithmFor(material any, said Algorithm) (Algorithm, error) {
	if said == "" {
		return onlyAlgorithm(material), nil
	}
	a, err := ParseAlgorithm(string(said))
	if err != nil {
		return "", errors.New("its algorithm is not one that is supported here")
	}
	if !a.fits(material) {
		return "", fmt.Errorf("a key of type %T and this size cannot verify %s", material, a)
	}
	return a, nil
}

// onlyAlgorithm returns the algorithm of a public key for which there is no other.
func onlyAlgorithm(material any) Algorithm {
	for _, a := range [...]Algorithm{ES256, ES384, ES512, EdDSA} {
		if a.fits(material) {
			return a
		}
	}
	return ""
}

func checkedCopy(pub crypto.PublicKey) (material any, err error) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if err := checkRSA(k); err != nil {
			return nil, err
		}
		return &rsa.PublicKey{N: new(big.Int).Set(k.N), E: k.E}, nil
	case *ecdsa.PublicKey:
		return checkedECDSA(k)
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("an Ed25519 key has %d bytes, not %d", ed25519.PublicKeySize, len(k))
		}
		if smallOrder(k) {
			return nil, errors.New("the Ed25519 key is of small order: anybody can sign for it")
		}
		return append(ed25519.PublicKey(nil), k...), nil
	}
	if _, private := pub.(crypto.Signer); private {
		return nil, fmt.Errorf("%T is a private key: verifying needs its public half", pub)
	}
	return nil, fmt.Errorf("%T is not a public key that is supported here", pub)
}

func checkRSA(k *rsa.PublicKey) error {
	switch {
	case k == nil || k.N == nil:
		return errors.New("the RSA key is nil")
	case k.N.Sign() <= 0 || k.N.BitLen() < minRSABits || k.N.BitLen() > maxRSABits:
		return fmt.Errorf("an RSA key must have between %d and %d bits, not %d", minRSABits, maxRSABits, k.N.BitLen())
	case k.N.Bit(0) == 0:
		return errors.New("the RSA modulus is even")
	case k.E < 3 || k.E%2 == 0 || k.E > math.MaxInt32:
		return errors.New("the RSA exponent must be odd and between 3 and 2^31-1")
	case weakGenerator(k.N):
		return errors.New("the RSA key can be broken: what made it did not choose its primes at random (CVE-2017-15361)")
	}
	return refusedByFIPS140(k)
}

// refusedByFIPS140 returns why no signature verifies with k where only what FIPS 140
// approves may run (GODEBUG=fips140=only), so that this does not show in every token.
func refusedByFIPS140(k *rsa.PublicKey) error {
	if !fips140.Enforced() {
		return nil
	}
	err := rsa.VerifyPKCS1v15(k, crypto.SHA256, make([]byte, sha256.Size), make([]byte, k.Size()))
	if errors.Is(err, rsa.ErrVerification) { // the key was used
		return nil
	}
	return err
}

func checkedECDSA(k *ecdsa.PublicKey) (material any, err error) {
	//lint:ignore SA1019 a nil coordinate would make Bytes panic
	if k == nil || k.X == nil || k.Y == nil {
		return nil, errors.New("the ECDSA key is nil")
	}
	if onlyAlgorithm(k) == "" {
		return nil, errors.New("the ECDSA key must be on P-256, P-384 or P-521")
	}
	point, err := k.Bytes()
	if err != nil {
		return nil, errors.New("the ECDSA key is not a point on its curve")
	}
	copied, err := ecdsa.ParseUncompressedPublicKey(k.Curve, point)
	if err != nil {
		return nil, errors.New("the ECDSA key is not a point on its curve")
	}
	return copied, nil
}
