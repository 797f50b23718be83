package jwtauth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
)

// keyfuncCheck is how long a storage of somebody else may hold up a request to say
// whether it still has a key.
const keyfuncCheck = time.Second

// KeysFromKeyfunc makes a [KeySource] of a keyfunc that is there already. It
// must hold the keys of one issuer only, and tokens must name their key.
//
// What is read from it is held to the same rules as elsewhere: no symmetric, no
// private and no weak keys, "use" and "key_ops" respected, one algorithm.
//
// How it loads keys remains its own affair. It gets five seconds to find a key, on a
// context that is not the request's. Each time that a token comes again, it gets one
// second to confirm that it still has the key, and a key that it does not confirm
// does not count. With its defaults, keyfunc cannot tell a provider that is down from
// a key that is unknown. [NewRemoteKeys] can, and finds keys without reading the
// storage each time.
//
// [Key.Withdraw] is final for as long as the storage has the key under that ID.
func KeysFromKeyfunc(kf keyfunc.Keyfunc) (KeySource, error) {
	if absent.Nil(kf) || absent.Nil(kf.Storage()) {
		return nil, errors.New("jwtauth: the keyfunc is nil or has no storage")
	}
	return &keyfuncKeys{storage: kf.Storage(), handedOut: map[string]*Key{}}, nil
}

type keyfuncKeys struct {
	storage jwkset.Storage

	mu        sync.Mutex
	handedOut map[string]*Key // so that a key that stays is the same Key
}

func (s *keyfuncKeys) Key(ctx context.Context, keyID string, algorithm Algorithm) (*Key, error) {
	switch {
	case keyID == "":
		return nil, errNoKeyID
	case len(keyID) > maxKeyIDLength || algorithm.symmetric():
		return nil, errNoSuchKey
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyWait)
	defer cancel()
	for {
		known := s.known(keyID)
		jwk, err := s.storage.KeyRead(ctx, keyID)
		if err != nil {
			refused := s.refusal(err)
			if known != nil && errors.Is(refused, authctx.UnknownKey) {
				known.withdraw(errKeyRestated) // should the key come back, handOut makes another Key of it
			}
			return nil, refused
		}
		key, err := keyOf(jwk)
		if err == nil && key.id != keyID {
			err = errors.New("the storage returned another key")
		}
		if err != nil {
			return nil, &authctx.Error{Reason: authctx.UnknownKey, Cause: fmt.Errorf("key %.64q: %w", keyID, err)}
		}
		if key := s.handOut(key, known); key != nil {
			return key, nil
		}
	}
}

// holds implements keyHolder as far as it can tell without the storage.
func (s *keyfuncKeys) holds(keyID string) bool {
	known := s.known(keyID)
	return known != nil && known.ended() == nil
}

// known returns the key that was handed out for an ID, which may have left.
func (s *keyfuncKeys) known(keyID string) *Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handedOut[keyID]
}

// origins is what keyOrigins asks for.
func (s *keyfuncKeys) origins() []any {
	if own, ok := s.storage.(keyStorage); ok {
		return []any{own.keys}
	}
	return []any{s.storage}
}

func (s *keyfuncKeys) refusal(err error) error {
	if errors.Is(err, authctx.Unavailable) { // whatever another part of the storage says
		return unavailable("keyfunc", err)
	}
	if refusal, ok := errors.AsType[*authctx.Error](err); ok {
		return unavailable("keyfunc", refusal, authctx.UnknownKey)
	}
	if errors.Is(err, jwkset.ErrKeyNotFound) {
		return errNoSuchKey
	}
	return &authctx.Error{Reason: authctx.Unavailable, Cause: err, RetryAfter: keyWait}
}

// handOut returns the Key that was handed out for the same key before, or k. If there
// is another since known, which was there before k was read, it returns nil: k may be
// older than that one, which somebody may have withdrawn. When k is new, it forgets
// what the storage no longer has, so that rotations do not add up. What is not handed
// out any more counts no longer, even if the storage has it again: nobody could
// withdraw it.
func (s *keyfuncKeys) handOut(k, known *Key) *Key {
	if known.goesOnAs(k) {
		return known
	}
	k.gone = func() error {
		all, err := s.readAll()
		if err != nil {
			return errKeyUnconfirmed
		}
		return k.confirmedBy(all)
	}
	if known != nil && known.sameMaterial(k) {
		k.first = known.origin()
	}
	s.mu.Lock()
	old := maps.Clone(s.handedOut)
	s.mu.Unlock()
	all, err := s.readAll() // without the lock, or everybody would wait for it
	s.mu.Lock()
	defer s.mu.Unlock()
	switch now := s.handedOut[k.id]; {
	case now.goesOnAs(k): // another request was faster
		return now
	case now != known:
		return nil
	}
	if known != nil {
		known.withdraw(errKeyRestated)
	}
	maps.DeleteFunc(s.handedOut, func(id string, o *Key) bool {
		left := err == nil && o == old[id] && !o.among(all)
		if left {
			o.withdraw(errKeyRestated)
		}
		return left
	})
	s.handedOut[k.id] = k
	return k
}

// goesOnAs reports whether k, which may be nil, is handed out for other.
func (k *Key) goesOnAs(other *Key) bool {
	return k != nil && k.withdrawn.Load() == nil && k.same(other)
}

// readAll returns what the storage has, without loading anything.
func (s *keyfuncKeys) readAll() ([]jwkset.JWK, error) {
	ctx, cancel := context.WithTimeout(context.Background(), keyfuncCheck)
	defer cancel()
	return s.storage.KeyReadAll(ctx)
}

// confirmedBy returns nil if k is one of all, of which the same is said. If
// something else is, it is errKeyRestated, and errKeyGone if all has no such key
// or none that may verify. It looks at no more than what may change: this happens
// each time that a token is sent again.
func (k *Key) confirmedBy(all []jwkset.JWK) error {
	why := errKeyGone
	for _, jwk := range all {
		if !k.is(jwk) {
			continue
		}
		m := jwk.Marshal()
		algorithm, err := algorithmFor(k.material, Algorithm(m.ALG))
		switch {
		case err != nil || checkUse(m) != nil:
		case algorithm == k.algorithm:
			return nil
		default:
			why = errKeyRestated
		}
	}
	return why
}

// among reports whether k is one of all, whatever is said of it.
func (k *Key) among(all []jwkset.JWK) bool { return slices.ContainsFunc(all, k.is) }

// is reports whether jwk is k, whatever is said of it.
func (k *Key) is(jwk jwkset.JWK) bool {
	if jwk.Marshal().KID != k.id {
		return false
	}
	m, ok := k.material.(interface{ Equal(crypto.PublicKey) bool })
	return ok && m.Equal(jwk.Key())
}

// keyOf makes a Key of a jwkset key by the rules for keys from JSON.
func keyOf(jwk jwkset.JWK) (*Key, error) {
	m := jwk.Marshal()
	if err := checkUse(m); err != nil {
		return nil, err
	}
	return newPublicKey(m.KID, Algorithm(m.ALG), jwk.Key())
}

func checkUse(m jwkset.JWKMarshal) error {
	switch {
	case m.USE != "" && !verifyingUse(string(m.USE)):
		return errOtherUse
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return errOtherOps
	}
	return nil
}
