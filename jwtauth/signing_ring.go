package jwtauth

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/moment"
)

// keyRing does not change once it was stored, and then has a key that signs.
type keyRing struct {
	keys      []ringKey // in the order in which they sign
	published []*Key
}

// ringKey is a key with its times. After a machine was suspended, the next key signs
// at once, since other replicas may have dropped the old one by then; but the old one
// stays published for longer, because the monotonic clock, where Now has one, decides
// when it ends.
type ringKey struct {
	*SigningKey
	verifying *Key      // the public one, or what verifies in place of that and one of Published
	from      time.Time // when it begins to sign
	until     time.Time // when nobody needs it any more; zero while it has no successor
}

// newRingKey returns what signs when its time has come. Whoever withdraws any Key
// of it withdraws all. A published one that names no algorithm would leave
// verifiers to guess it, now that there are tokens.
func newRingKey(k *SigningKey, published *Key, from time.Time) ringKey {
	verifying := k.public
	if published != k.public {
		k.public.join(published)
		verifying = &Key{
			id: k.public.id, algorithm: k.public.algorithm, issuer: published.issuer, material: k.public.material,
			first: k.public.origin(), gone: published.stands,
		}
	}
	return ringKey{SigningKey: k, verifying: verifying, from: from}
}

// current returns the index of the key that signs now.
func (r *keyRing) current(now time.Time) int {
	i := len(r.keys) - 1
	for i > 0 && !moment.Reached(r.keys[i].from, now) {
		i--
	}
	return i
}

// endedAt reports whether nobody needs the key any more.
func (k *ringKey) endedAt(now time.Time) bool { return !k.until.IsZero() && !now.Before(k.until) }

// live returns a copy, which may be changed, without the keys that have ended.
func (r *keyRing) live(now time.Time) *keyRing {
	keys := slices.DeleteFunc(slices.Clone(r.keys), func(k ringKey) bool { return k.endedAt(now) })
	return &keyRing{keys: keys, published: slices.Clone(r.published)}
}

// publish adds a key to a ring that nobody else has yet. Its error goes on after
// what the key is called.
func (r *keyRing) publish(key *Key) error {
	switch {
	case absent.Unmade(key):
		return errors.New("is nil or was made by no constructor")
	case key.symmetric():
		return errors.New("is a secret, which is never published")
	case key.ID() == "" || r.find("") != nil:
		return errors.New("joins another: only a key that stands alone may be without ID")
	case r.find(key.ID()) != nil:
		return errors.New("has the ID of another key")
	case r.twin(key) != nil:
		return fmt.Errorf("is in the set already, as %q", r.twin(key).id)
	case key.Withdrawn():
		return errWithdrawn
	case r.full():
		return errFullSet
	}
	r.published = append(r.published, key)
	return nil
}

// full reports whether one more key would make the set one that verifiers
// refuse, all of it.
func (r *keyRing) full() bool { return len(r.keys)+len(r.published) >= maxSetKeys }

var errWithdrawn = errors.New("was withdrawn")

var errFullSet = fmt.Errorf("would be one of more than %d in the set, which verifiers refuse; "+
	"withdraw old ones or lower Retain", maxSetKeys)

// find returns the key of that ID, nil when there is none.
func (r *keyRing) find(keyID string) *Key {
	for _, key := range r.keys {
		if key.ID() == keyID {
			return key.verifying
		}
	}
	for _, key := range r.published {
		if key.id == keyID {
			return key
		}
	}
	return nil
}

// twin returns the same key under whatever ID, nil when there is none. Two would
// outlive the withdrawal of one.
func (r *keyRing) twin(key *Key) *Key {
	for _, k := range r.keys {
		if k.public.sameMaterial(key) {
			return k.verifying
		}
	}
	if i := slices.IndexFunc(r.published, key.sameMaterial); i >= 0 {
		return r.published[i]
	}
	return nil
}

func without(keys []*Key, key *Key) []*Key {
	return slices.DeleteFunc(slices.Clone(keys), func(k *Key) bool { return k == key })
}
