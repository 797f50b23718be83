package jwtauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that hash names
	_ "crypto/sha512"
	"fmt"
)

// Algorithm is a JWS signature algorithm by its registered name (RFC 7518
// section 3.1). "none" is not one and cannot be configured.
type Algorithm string

// The algorithms that tokens may be signed with. EdDSA also stands for
// "Ed25519", its fully specified name in RFC 9864; both are read as the same.
const (
	HS256 Algorithm = "HS256"
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	EdDSA Algorithm = "EdDSA"
)

// ParseAlgorithm returns the algorithm of that exact name, or an error. Case
// matters (RFC 7515 section 4.1.1).
func ParseAlgorithm(name string) (Algorithm, error) {
	switch a := Algorithm(name).short(); a {
	case HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA:
		return a, nil
	}
	return "", fmt.Errorf("jwtauth: %.40q is not a signature algorithm that is supported here", name)
}

// short returns the name that keys, tokens and settings are compared by.
func (a Algorithm) short() Algorithm {
	if a == "Ed25519" {
		return EdDSA
	}
	return a
}

// symmetric reports whether whoever can verify can also sign.
func (a Algorithm) symmetric() bool { return a == HS256 || a == HS384 || a == HS512 }

// fits reports whether a key of this type can be used with a. A secret must be
// as long as the hash (RFC 7518 section 3.2); other sizes are checked where keys
// are made.
func (a Algorithm) fits(material any) bool {
	switch k := material.(type) {
	case hmacSecret:
		return a.symmetric() && len(k()) >= a.hash().Size()
	case *rsa.PublicKey:
		switch a {
		case RS256, RS384, RS512, PS256, PS384, PS512:
			return true
		}
	case *ecdsa.PublicKey:
		switch a {
		case ES256:
			return k.Curve == elliptic.P256()
		case ES384:
			return k.Curve == elliptic.P384()
		case ES512:
			return k.Curve == elliptic.P521()
		}
	case ed25519.PublicKey:
		return a == EdDSA
	}
	return false
}

// hash returns the hash of the algorithm; zero for EdDSA, which hashes itself.
func (a Algorithm) hash() crypto.Hash {
	switch a {
	case HS256, RS256, PS256, ES256:
		return crypto.SHA256
	case HS384, RS384, PS384, ES384:
		return crypto.SHA384
	case HS512, RS512, PS512, ES512:
		return crypto.SHA512
	}
	return 0
}
