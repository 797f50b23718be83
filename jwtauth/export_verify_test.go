package jwtauth

import (
	"context"
)

// Restrict returns a copy of k that may serve one issuer only, as a JWK with an
// "issuer" makes it.
func Restrict(k *Key, issuer string) *Key {
	return &Key{id: k.id, algorithm: k.algorithm, material: k.material, issuer: issuer}
}

// Held returns a copy of k, a secret, that calls hold in the midst of every
// verification.
func Held(k *Key, hold func()) *Key {
	secret := k.material.(hmacSecret)
	return &Key{id: k.id, algorithm: k.algorithm, material: hmacSecret(func() []byte {
		hold()
		return secret()
	})}
}

// CacheLen returns how many tokens v remembers.
func CacheLen(v *Verifier) (n int) {
	for i := range v.front.cache.shards {
		s := &v.front.cache.shards[i]
		s.mu.RLock()
		n += len(s.young) + len(s.old)
		s.mu.RUnlock()
	}
	return n
}

// CheckSignature does with a token what a verifier does before it looks at the
// claims.
func CheckSignature(token string, keys KeySource, algorithms []Algorithm) error {
	c, err := cut(token, defaultMaxTokenBytes)
	if err != nil {
		return err
	}
	h, err := parseHeader(c.header(), &accepted{algorithms: algorithms})
	if err != nil {
		return err
	}
	s := new(scratch)
	if err := s.decode(c); err != nil {
		return err
	}
	p := &issuerPolicy{VerifierConfig: VerifierConfig{Algorithms: algorithms, Keys: keys}}
	key, err := p.findKey(context.Background(), h)
	if err != nil {
		return err
	}
	if !key.verifies(h.algorithm, c.signingInput(), s.signature) {
		return errSignature
	}
	return nil
}

// KeyVerifies checks a bare signature.
func KeyVerifies(k *Key, a Algorithm, input, signature []byte) bool {
	return k.verifies(a, string(input), signature)
}

// FillCache makes v remember n more tokens, which other returns, each as if it were
// the given one and by a copy of its own.
func FillCache(v *Verifier, token string, n int, other func(i int) string) {
	c := v.front.cache
	found := c.get(c.hash.sum(token))
	for i := range n {
		remembered := *found
		c.put(c.hash.sum(other(i)), &remembered)
	}
}

// HeaderLen returns how many headers v knows.
func HeaderLen(v *Verifier) int {
	if set := v.front.headers.known.Load(); set != nil {
		return len(set.all)
	}
	return 0
}

// NewTokenHash returns the hash of a new cache.
func NewTokenHash() func(token string) [32]byte {
	h := newTokenHash()
	return func(token string) [32]byte { return h.sum(token) }
}
