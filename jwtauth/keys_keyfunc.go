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
// How it loads keys remains its own affair. It gets a context that is not the
// request's: five seconds to find a key, and one second, each time that a token
// comes again, to confirm that it still has the key, which does not count
// otherwise. With its defaults, keyfunc cannot tell a provider that is down from a
// key that is unknown. [NewRemoteKeys] can, and finds keys without reading the
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
	jwk, err := s.storage.KeyRead(ctx, keyID)
	if err != nil {
		if known := s.known(keyID); known != nil && errors.Is(err, jwkset.ErrKeyNotFound) {
			known.noticeIfGone()
		}
		return nil, s.refusal(err)
	}
	key, err := keyOf(jwk)
	if err == nil && key.id != keyID {
		err = errors.New("the storage returned another key")
	}
	if err != nil {
		return nil, &authctx.Error{Reason: authctx.UnknownKey, Cause: fmt.Errorf("key %.64q: %w", keyID, err)}
	}
	return s.handOut(key), nil
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

// handOut returns the Key that was handed out for the same key before, or k,
// unless k was read before a rotation: what handedOut has of an ID is the newest
// key that the storage was seen with, and leaves only withdrawn. The storage is
// asked without the lock, or everybody would wait for it.
func (s *keyfuncKeys) handOut(k *Key) *Key {
	k.gone = func() error {
		all, err := s.readAll()
		if err != nil {
			return errKeyUnconfirmed
		}
		err = k.confirmedBy(all)
		if err == error(errKeyLeft) {
			k.withdraw(errKeyLeft)
		}
		return err
	}
	known, others := s.remember(k, nil)
	for !known.same(k) {
		if s.late(k, known) {
			return known
		}
		known, others = s.remember(k, known)
	}
	if len(others) > 0 {
		s.forget(others)
	}
	return known
}

// errKeyLeft is errKeyGone for a key that the storage no longer had: if it has
// it again, it is believed again. One that somebody withdrew stays withdrawn.
var errKeyLeft = refusal(authctx.UnknownKey, keyIsGone)

// remember makes k the key that is handed out, in place of one that left or that
// k replaces, and returns the others there were before. If there is yet another
// of that ID, it returns that one.
func (s *keyfuncKeys) remember(k, replaced *Key) (known *Key, others map[string]*Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.handedOut[k.id]
	if old != nil && old != replaced && old.withdrawn.Load() != errKeyLeft {
		return old, nil
	}
	if old != nil {
		if old.sameMaterial(k) {
			k.first = old.origin()
		}
		old.makeWay(k, errKeyLeft)
		delete(s.handedOut, k.id)
	}
	others = maps.Clone(s.handedOut)
	s.handedOut[k.id] = k
	return k, others
}

// late reports whether the storage has other and not k by now, or says of the key
// what other does, or nobody can tell. To replace a key is to withdraw it for
// good.
func (s *keyfuncKeys) late(k, other *Key) bool {
	all, err := s.readAll()
	return err != nil || other.confirmedBy(all) == nil && k.confirmedBy(all) != nil
}

// forget drops those of keys that the storage no longer has, so that rotations
// do not add up. What it has stays, whatever it says of it: somebody may have
// withdrawn it.
func (s *keyfuncKeys) forget(keys map[string]*Key) {
	all, err := s.readAll()
	if err != nil {
		return // the next new key will do
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, k := range keys {
		if k.among(all) {
			continue
		}
		k.withdraw(errKeyLeft)
		if s.handedOut[id] == k {
			delete(s.handedOut, id)
		}
	}
}

// readAll returns what the storage has, without loading anything.
func (s *keyfuncKeys) readAll() ([]jwkset.JWK, error) {
	ctx, cancel := context.WithTimeout(context.Background(), keyfuncCheck)
	defer cancel()
	return s.storage.KeyReadAll(ctx)
}

// confirmedBy returns nil if k is one of all, of which the same is said. If
// something else is, it is errKeyRestated, and errKeyLeft if all has no such key
// or none that may verify. It looks at no more than what may change: this happens
// each time that a token is sent again.
func (k *Key) confirmedBy(all []jwkset.JWK) error {
	why := errKeyLeft
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
