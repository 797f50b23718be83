package jwtauth

// Restrict returns a copy of k that may serve one issuer only, as a JWK with an
// "issuer" makes it.
func Restrict(k *Key, issuer string) *Key {
	return &Key{id: k.id, algorithm: k.algorithm, material: k.material, issuer: issuer}
}

// Withdraw does what a key source does when a key leaves.
func Withdraw(k *Key) { k.withdraw() }

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
