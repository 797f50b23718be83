package jwtauth

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authctx/authctx"
)

// Key is one verification key of one issuer. It is made by the constructors of
// this package, does not change but for being withdrawn, and may be shared and
// used concurrently. It prints its ID and algorithm, never a secret, whatever it
// is printed with and wherever it is held.
type Key struct {
	id        string
	algorithm Algorithm                     // empty when the source did not say
	issuer    string                        // the only issuer it may verify for, empty when not restricted
	material  any                           // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or hmacSecret
	withdrawn atomic.Pointer[authctx.Error] // why its source stands by this Key no longer, nil while it does
	gone      func() error                  // asks the source why the Key counts no longer; nil where the source says so by withdrawn
	macs      sync.Pool                     // of hash.Hash keyed with material, when that is a secret

	// Withdraw is about the key, of which a source may have made several Keys: all
	// share what the first of them has of this.
	first      *Key        // nil when that is this one
	distrusted atomic.Bool // Withdraw was called
	mu         sync.Mutex
	twins      []*Key // first Keys of the same key from elsewhere; with mu
}

// KeySource finds the verification keys of exactly one issuer. Implementations
// are safe for concurrent use.
//
// A verified token is remembered together with its key, and the source is not asked
// again. So a source must return the same Key each time, and call [Key.Withdraw] when
// a key is removed; otherwise its tokens go on being accepted from the cache, for
// 10 minutes by default.
type KeySource interface {
	// Key returns the key with which a token says it was signed. The key ID
	// comes from a token nobody has verified and may be anything; it is empty
	// when the token names none, and then only a source that has a single key
	// may answer.
	//
	// The error is [authctx.UnknownKey] when the issuer is known not to have
	// such a key. Any other means that nobody could tell, and counts as
	// [authctx.Unavailable].
	//
	// ctx is the request's, with a deadline in at most five seconds; sources of this
	// package have bounds of their own. Key must return when ctx ends, or the request
	// goes on waiting. A load that other requests wait for, too, needs a context of
	// its own, or whoever hangs up would end it for all of them.
	Key(ctx context.Context, keyID string, algorithm Algorithm) (*Key, error)
}

// keyWait is how long a source of somebody else may hold up a request to find a key.
const keyWait = 5 * time.Second

// askSource asks a source no longer than is good for a request. Those of this
// package see to that themselves.
func askSource(ctx context.Context, source KeySource, keyID string, algorithm Algorithm) (*Key, error) {
	if holderOf(source) == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, keyWait)
		defer cancel()
	}
	return source.Key(ctx, keyID, algorithm)
}

// keyHolder is a [KeySource] of this package. It can tell whether it has a key at
// hand; any other may have to ask somebody.
type keyHolder interface{ holds(keyID string) bool }

// holderOf returns a source of this package, and nil for any other. What embeds one
// has its methods, but may look for keys elsewhere.
func holderOf(source KeySource) keyHolder {
	switch source.(type) {
	case *RemoteKeys, *SigningKeys, *staticKeys, *keyfuncKeys, *joinedKeys:
		return source.(keyHolder)
	}
	return nil
}

// NewPublicKey returns a key for tokens signed with the private half of pub,
// an [*rsa.PublicKey], [*ecdsa.PublicKey] or [ed25519.PublicKey], which it
// copies. The ID is what tokens call the key ("kid"); it may be empty for a key
// that is used alone.
//
// A key serves one algorithm (RFC 8725 section 3.1). An empty one is read off
// the key where only one is possible, on curves; for RSA it must be given. Where
// only what FIPS 140 approves may run (GODEBUG=fips140=only), an RSA key that cannot
// be used then is refused.
func NewPublicKey(id string, algorithm Algorithm, pub crypto.PublicKey) (*Key, error) {
	key, err := newPublicKey(id, algorithm, pub)
	if err == nil && key.algorithm == "" {
		err = errors.New("an RSA key needs an algorithm, such as RS256")
	}
	if err != nil {
		return nil, keyError(id, err)
	}
	return key, nil
}

// NewHMACKey returns a key for tokens authenticated with secret, which it
// copies. Whoever verifies with it can also issue. The secret must be random
// and at least as long as the algorithm's hash (RFC 7518 section 3.2).
func NewHMACKey(id string, algorithm Algorithm, secret []byte) (*Key, error) {
	switch {
	case !algorithm.symmetric():
		return nil, keyError(id, fmt.Errorf("%q is not an HMAC algorithm", algorithm))
	case len(secret) < algorithm.hash().Size():
		return nil, keyError(id, fmt.Errorf("%s needs a secret of at least %d bytes", algorithm, algorithm.hash().Size()))
	case len(id) > maxKeyIDLength:
		return nil, keyError(id, errLongKeyID)
	}
	secret = bytes.Clone(secret)
	return &Key{id: id, algorithm: algorithm, material: hmacSecret(func() []byte { return secret })}, nil
}

// hmacSecret returns the bytes of a secret. It is a function because nothing that
// prints looks into one; fmt asks no method of what a field holds that is not
// exported, nor for %p and %w.
type hmacSecret func() []byte

func (k *Key) symmetric() bool {
	_, ok := k.material.(hmacSecret)
	return ok
}

// ID returns the key ID, empty when the key has none.
func (k *Key) ID() string { return k.id }

// Algorithm returns the one algorithm the key is bound to, empty when it is an
// RSA key from a JWK that names none; the verifier's configuration then decides.
func (k *Key) Algorithm() Algorithm { return k.algorithm }

// Issuer returns the only issuer whose tokens the key may verify, as the JWK's
// "issuer" member says, and empty when it does not. Entra ID publishes the keys
// of all tenants in one set this way; there the value may hold the literal
// "{tenantid}", which stands for the token's tenant.
func (k *Key) Issuer() string { return k.issuer }

// Format implements [fmt.Formatter] so that no verb prints more than the ID and
// the algorithm.
func (k *Key) Format(s fmt.State, _ rune) {
	if k == nil {
		fmt.Fprint(s, "<nil>")
		return
	}
	fmt.Fprintf(s, "key %q (%s)", k.id, k.algorithm)
}

var errLongKeyID = fmt.Errorf("the key ID is longer than %d bytes", maxKeyIDLength)

func keyError(id string, err error) error {
	return fmt.Errorf("jwtauth: key %.64q: %w", id, err)
}
