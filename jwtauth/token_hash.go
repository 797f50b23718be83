package jwtauth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
)

// digest stands for a token.
type digest [sha256.Size]byte

// tokenHash is the keyed hash by which tokens are remembered, so that nobody
// outside can tell where one lands and a copy of the memory does not show it.
//
// It hashes first and hides then: GHASH (NIST SP 800-38D), a universal hash that
// processors compute at several times the speed of SHA-256, makes 16 bytes of a
// token, and SHA-256 under a secret makes the digest of these. GHASH takes two
// different tokens for one with a probability below 2^-117 if they have up to 16
// KiB, and below 2^-111 if up to 1 MiB, even if they were chosen by somebody who
// does not know its key. It is had as the tag of GCM, to which the encryption of a
// fixed nonce adds a constant; that tag is never seen outside. Nor would a
// collision serve anybody: making another token with the digest of a good one takes
// the good one.
type tokenHash struct {
	ghash  cipher.AEAD // nil where FIPS 140-only mode has no GCM with a nonce of ours
	secret [sha256.Size]byte
}

// oneNonce serves GCM where nothing is encrypted.
var oneNonce = make([]byte, 12)

// newTokenHash returns a hash with keys of its own.
func newTokenHash() *tokenHash {
	h, key := new(tokenHash), make([]byte, 16)
	_, _ = rand.Read(h.secret[:]) // never fails
	_, _ = rand.Read(key)
	if block, err := aes.NewCipher(key); err == nil {
		h.ghash, _ = cipher.NewGCM(block)
	}
	return h
}

func (h *tokenHash) sum(token string) digest {
	b := tokenBuffers.Get().(*[]byte)
	defer releaseTokenBuffer(b)
	if h.ghash == nil {
		*b = append(append((*b)[:0], h.secret[:]...), token...)
		return sha256.Sum256(*b)
	}
	*b = append(append((*b)[:0], token...), h.secret[:]...)
	*b = h.ghash.Seal(*b, oneNonce, nil, (*b)[:len(token)])
	return sha256.Sum256((*b)[len(token):])
}
