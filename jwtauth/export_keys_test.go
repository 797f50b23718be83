package jwtauth

import (
	"crypto"
	"errors"
	"sync/atomic"
	"time"
)

// IsClaimsJSON reports whether the signature of a refused token counted.
func IsClaimsJSON(err error) bool {
	_, ok := errors.AsType[claimsJSONError](err)
	return ok
}

// SameKey lets tests outside compare keys by what they are.
func SameKey(a, b *Key) bool { return a.same(b) }

// WhileLocked shows that f needs no lock.
func (r *RemoteKeys) WhileLocked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// Suspend makes it later for r by the wall clock alone, of which timers take no
// notice.
func (r *RemoteKeys) Suspend(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nextAt = r.nextAt.Add(-d)
	set := *r.set.Load()
	set.loadedAt = set.loadedAt.Add(-d)
	r.set.Store(&set)
}

// Sightings returns how many unknown keys are remembered.
func (r *RemoteKeys) Sightings() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen.current) + len(r.seen.previous)
}

// HandedOut returns how many keys a source from a keyfunc remembers.
func HandedOut(source KeySource) int {
	s := source.(*keyfuncKeys)
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.handedOut)
}

// HasMaterial compares what a key verifies with to a key of the standard
// library.
func HasMaterial(k *Key, pub crypto.PublicKey) bool {
	m, ok := k.material.(interface{ Equal(crypto.PublicKey) bool })
	return ok && m.Equal(pub)
}

// ReadMetadata returns the address of the keys in an issuer's metadata.
func ReadMetadata(issuer string, body []byte) (string, error) {
	f := fetcher{cfg: RemoteKeysConfig{Issuer: issuer}}
	return f.readMetadata(body)
}

// CountReads returns k, a secret, and counts how often anybody reads it.
func CountReads(k *Key, reads *atomic.Int64) *Key {
	secret := k.material.(hmacSecret)
	counted := func() []byte {
		reads.Add(1)
		return secret()
	}
	return &Key{id: k.id, algorithm: k.algorithm, material: hmacSecret(counted)}
}
