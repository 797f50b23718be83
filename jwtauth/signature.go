package jwtauth

import (
	"crypto/hmac"
	"crypto/rsa"
	"hash"

	"github.com/golang-jwt/jwt/v5"
)

// method returns golang-jwt's implementation of a, nil when a is none of the
// constants.
func (a Algorithm) method() jwt.SigningMethod {
	switch a {
	case HS256:
		return jwt.SigningMethodHS256
	case HS384:
		return jwt.SigningMethodHS384
	case HS512:
		return jwt.SigningMethodHS512
	case RS256:
		return jwt.SigningMethodRS256
	case RS384:
		return jwt.SigningMethodRS384
	case RS512:
		return jwt.SigningMethodRS512
	case PS256:
		return ps256
	case PS384:
		return ps384
	case PS512:
		return ps512
	case ES256:
		return jwt.SigningMethodES256
	case ES384:
		return jwt.SigningMethodES384
	case ES512:
		return jwt.SigningMethodES512
	case EdDSA:
		return jwt.SigningMethodEdDSA
	}
	return nil
}

// golang-jwt's own PS methods verify with any salt length; the salt is as long
// as the hash (RFC 7518 section 3.5).
var (
	ps256 = pssMethod(PS256)
	ps384 = pssMethod(PS384)
	ps512 = pssMethod(PS512)
)

func pssMethod(a Algorithm) jwt.SigningMethod {
	hash := a.hash()
	return &jwt.SigningMethodRSAPSS{
		SigningMethodRSA: &jwt.SigningMethodRSA{Name: string(a), Hash: hash},
		Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash},
	}
}

// verifies reports whether signature is k's over input under the algorithm a.
// It is the one place where a signature is checked, and the last to make sure
// that a key serves no algorithm but its own.
func (k *Key) verifies(a Algorithm, input string, signature []byte) bool {
	if k.algorithm != "" && k.algorithm != a || !a.fits(k.material) {
		return false
	}
	if secret, symmetric := k.material.(hmacSecret); symmetric {
		return k.algorithm == a && k.authenticates(secret, input, signature)
	}
	return a.method().Verify(input, signature, k.material) == nil
}

// authenticates checks a MAC. golang-jwt prepares the secret anew each time, and
// that takes as long as the rest.
func (k *Key) authenticates(secret hmacSecret, input string, signature []byte) bool {
	mac, _ := k.macs.Get().(hash.Hash)
	if mac == nil {
		mac = hmac.New(k.algorithm.hash().New, secret())
	}
	buffer := tokenBuffers.Get().(*[]byte)
	defer releaseTokenBuffer(buffer) // with the right signature, it holds a token
	*buffer = append((*buffer)[:0], input...)
	_, _ = mac.Write(*buffer) // never fails
	*buffer = mac.Sum(*buffer)
	mac.Reset()
	k.macs.Put(mac)
	return hmac.Equal((*buffer)[len(input):], signature)
}
