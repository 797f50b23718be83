package jwtauth

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ParsePublicKeyPEM reads one PEM block of type "PUBLIC KEY", "RSA PUBLIC KEY"
// or "CERTIFICATE" as [NewPublicKey] would take the key in it. Of a certificate
// only the key counts, neither its names nor its dates. A PEM text is never
// taken for an HMAC secret (CVE-2015-9235), and a private key is refused.
func ParsePublicKeyPEM(id string, algorithm Algorithm, text []byte) (*Key, error) {
	pub, err := parsePEM(text)
	if err != nil {
		return nil, keyError(id, err)
	}
	return NewPublicKey(id, algorithm, pub)
}

func parsePEM(text []byte) (crypto.PublicKey, error) {
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("there is no PEM block")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("there is more than one PEM block")
	}
	// The parsers' errors may quote what they read, so they are not passed on.
	switch block.Type {
	case "PUBLIC KEY":
		if pub, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			return pub, nil
		}
	case "RSA PUBLIC KEY":
		if pub, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
			return pub, nil
		}
	case "CERTIFICATE":
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			return cert.PublicKey, nil
		}
	default:
		return nil, fmt.Errorf("the PEM block is a %.40q, not a public key", block.Type)
	}
	return nil, fmt.Errorf("the PEM block %q cannot be read", block.Type)
}
