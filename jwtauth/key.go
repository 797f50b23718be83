package jwtauth

import (
	"context"
	"sync/atomic"
)

// Key is one verification key of one issuer. It is made by the constructors of
// this package, never changes, and may be shared and used concurrently.
type Key struct {
	id        string
	algorithm Algorithm // empty when the source did not say
	material  any       // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or []byte
	issuer    string    // the only issuer the key may serve; empty when its source named none
	withdrawn atomic.Bool
}

// ID returns the key ID, empty when the key has none.
func (k *Key) ID() string { return k.id }

// Algorithm returns the one algorithm the key is bound to, empty when its
// source named none; the verifier's configuration then decides.
func (k *Key) Algorithm() Algorithm { return k.algorithm }

// Issuer returns the one issuer that the source restricted the key to, as the
// "issuer" member of Entra ID's JWKs does, possibly with "{tenantid}" in it;
// empty when it named none.
func (k *Key) Issuer() string { return k.issuer }

// Withdrawn reports whether the source of the key has stopped vouching for it.
// What was verified with it counts no longer, cached results included.
func (k *Key) Withdrawn() bool { return k.withdrawn.Load() }

// withdraw makes everything that was verified with k invalid. It is final.
func (k *Key) withdraw() { k.withdrawn.Store(true) }

// KeySource finds the verification keys of exactly one issuer. Implementations
// are safe for concurrent use.
type KeySource interface {
	// Key returns the key with which a token says it was signed. The key ID
	// comes from a token nobody has verified and may be anything; it is empty
	// when the token names none, and then only a source that has a single key
	// may answer.
	//
	// The error is [authctx.UnknownKey] when the issuer is known not to have
	// such a key, and [authctx.Unavailable] when nobody could tell.
	Key(ctx context.Context, keyID string, algorithm Algorithm) (*Key, error)
}
