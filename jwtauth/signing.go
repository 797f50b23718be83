package jwtauth

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// signToken returns the compact serialization (RFC 7515 section 7.1) of claims,
// which are a JSON object, under a header with this "typ". What encoded holds is
// the rest of the object, in base64url already; three must then divide the length
// of claims, so that the two join.
func (k *SigningKey) signToken(typ string, claims []byte, encoded string) (string, error) {
	buffer := tokenBuffers.Get().(*[]byte)
	defer releaseTokenBuffer(buffer)
	b64 := base64.RawURLEncoding
	token := b64.AppendEncode((*buffer)[:0], []byte(k.header+typ+`"}`))
	token = append(token, '.')
	token = b64.AppendEncode(token, claims)
	token = append(token, encoded...)
	*buffer = token
	sig, err := k.sign(token)
	if err != nil {
		return "", fmt.Errorf("jwtauth: sign with key %q: %w", k.public.id, err)
	}
	token = append(token, '.')
	*buffer = b64.AppendEncode(token, sig)
	return string(*buffer), nil
}

// signWithSecret returns what makes the MAC of an input. It copies the secret.
func signWithSecret(alg Algorithm, secret []byte) func([]byte) ([]byte, error) {
	secret = bytes.Clone(secret)
	return func(input []byte) ([]byte, error) { return alg.method().Sign(string(input), secret) }
}

// signWith returns what makes the JWS signature of an input. golang-jwt's RSA and
// ECDSA methods refuse a crypto.Signer, so these are signed here, and so is
// Ed25519, for which it would copy the input.
func signWith(alg Algorithm, signer crypto.Signer) func([]byte) ([]byte, error) {
	return func(input []byte) ([]byte, error) {
		switch alg {
		case EdDSA:
			if _, ours := signer.(ed25519.PrivateKey); !ours {
				input = bytes.Clone(input) // which somebody else may keep
			}
			return signer.Sign(rand.Reader, input, crypto.Hash(0)) // of the message itself, RFC 8037 section 3.1
		case PS256, PS384, PS512:
			return signDigest(signer, input, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: alg.hash()})
		case ES256, ES384, ES512:
			der, err := signDigest(signer, input, alg.hash())
			if err != nil {
				return nil, err
			}
			return ecdsaRaw(der, alg.method().(*jwt.SigningMethodECDSA).KeySize)
		default:
			return signDigest(signer, input, alg.hash())
		}
	}
}

func signDigest(signer crypto.Signer, input []byte, opts crypto.SignerOpts) ([]byte, error) {
	h := opts.HashFunc().New()
	h.Write(input)
	return signer.Sign(rand.Reader, h.Sum(nil), opts)
}

// ecdsaRaw turns the ASN.1 form that every crypto.Signer returns into the two
// numbers of that many bytes that JWS wants (RFC 7518 section 3.4).
func ecdsaRaw(der []byte, size int) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil || len(rest) > 0 || sig.R.Sign() <= 0 || sig.S.Sign() <= 0 ||
		sig.R.BitLen() > size*8 || sig.S.BitLen() > size*8 {
		return nil, errors.New("the signer returned no ECDSA signature")
	}
	raw := make([]byte, 2*size)
	sig.R.FillBytes(raw[:size])
	sig.S.FillBytes(raw[size:])
	return raw, nil
}
