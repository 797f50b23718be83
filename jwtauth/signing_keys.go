package jwtauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authctx/authctx/internal/absent"
)

// What [SigningKeysConfig] means by zero.
const (
	defaultKeyAhead  = 10 * time.Minute
	defaultKeyRetain = 24 * time.Hour
)

// SigningKeysConfig configures [NewSigningKeys]. Current is required.
type SigningKeysConfig struct {
	// Current signs until the first rotation.
	Current *SigningKey
	// Published are public keys that verify but never sign here: keys that
	// signed before a restart, keys that will sign after the next one, and keys
	// of other replicas. They stay published until they are withdrawn.
	// [SigningKeys.Publish] adds to them.
	Published []*Key
	// Ahead is how long a new key is published before it signs, so that
	// verifiers know it by then. It should exceed the sum of how long verifiers
	// cache the key set and how long it takes to rotate all replicas. Zero means
	// 10 minutes; it is at least 1 ms.
	Ahead time.Duration
	// Retain is how long a key is published after it signed last, here or in a
	// replica that was told of the rotation up to Ahead later. It must cover the
	// life of every token signed with it, leeway, and streams that are rechecked,
	// which end when their key is not published any more. (Only streams of verifiers
	// whose KeySource is this set go on.) It is at least 1 s; zero means 24 hours. A
	// set of more than 100 keys is refused, here as by verifiers, so retain keys for
	// less time where they are rotated often.
	Retain time.Duration
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// SigningKeys is the key set of one issuer: one key signs; others are published
// beside it because they will sign soon or because tokens that they signed are
// still alive.
//
// Replicas may share keys. They then publish the same set, since key IDs are thumbprints.
// Call [SigningKeys.Rotate] in all of them within half of Ahead, since verifiers are told
// to cache the set for the other half. If there are several rotations, make them in the
// same order everywhere. A replica that missed a rotation, or saw two in another order,
// publishes a different set from then on: restart it.
//
// Or each replica has keys of its own, and all publish the public keys of all. When
// one rotates, the others [SigningKeys.Publish] its new key, at the latest half of
// Ahead afterwards, and [SigningKeys.Withdraw] its old one no sooner than Ahead plus
// Retain after it signed last.
//
// SigningKeys is safe for concurrent use. It runs no goroutine: a rotation takes
// its course with the clock. It is a [KeySource] too, for programs that verify
// their own tokens. A nil or zero SigningKeys has no key: where one is configured it
// counts as missing, and whatever uses it panics.
type SigningKeys struct {
	ahead, retain time.Duration
	now           func() time.Time

	ring       atomic.Pointer[keyRing]
	change     sync.Mutex  // held by whoever replaces the ring
	withdrawn  []*Key      // by Withdraw; with change
	algorithms []Algorithm // that may sign, see reserveForMinting; nil is all; with change
}

// NewSigningKeys returns the key set for cfg, or an error that names every
// setting that is missing or contradictory.
func NewSigningKeys(cfg SigningKeysConfig) (*SigningKeys, error) {
	var problems problems
	bad := problems.add
	s := &SigningKeys{
		ahead: cmp.Or(cfg.Ahead, defaultKeyAhead), retain: cmp.Or(cfg.Retain, defaultKeyRetain), now: clockOf(cfg.Now),
	}
	problems.atLeast(time.Millisecond, "Ahead", cfg.Ahead)
	problems.atLeast(time.Second, "Retain", cfg.Retain)
	ring := new(keyRing)
	switch {
	case absent.Unmade(cfg.Current):
		bad("Current is required, a key that NewSigningKey made")
	case cfg.Current.public.Withdrawn():
		bad("Current is a key that was withdrawn")
	default:
		ring.keys = []ringKey{newRingKey(cfg.Current, cfg.Current.public, time.Time{})}
	}
	for i, key := range cfg.Published {
		if err := ring.publish(key); err != nil {
			bad("Published[%d] %w", i, err)
		}
	}
	if err := problems.of("signing keys"); err != nil {
		return nil, err
	}
	s.ring.Store(ring)
	return s, nil
}

// checkRetain adds to p that tokens of that life may outlive the key that signed
// them.
func (s *SigningKeys) checkRetain(lifetime time.Duration, p *problems) {
	if s.retain < lifetime {
		p.add("Lifetime is longer than Keys retains a key after its last signature; "+
			"set SigningKeysConfig.Retain, which is %v", s.retain)
	}
}

// Rotate publishes next at once and lets it sign once Ahead has passed. The key
// that signs until then stays published for Ahead and Retain after that, so that
// neither a verifier with an old copy of the key set nor a token signed a moment
// before fails, even if a replica is told later.
//
// It refuses a key without an ID, one that was withdrawn, one of an algorithm that
// a propagator with this set does not accept, one beyond 100 in the set, and one that
// is in the set already, under another ID too; but it accepts one of Published. If
// it refuses, the current key goes on signing.
func (s *SigningKeys) Rotate(next *SigningKey) error {
	if absent.Unmade(next) {
		return errors.New("jwtauth: rotate: the key is nil or was made by no constructor")
	}
	s.change.Lock()
	defer s.change.Unlock()
	now := s.now()
	ring := s.ring.Load().live(now)
	known := ring.find(next.ID())
	switch {
	case next.ID() == "" || ring.find("") != nil:
		return errors.New("jwtauth: rotate: keys that follow one another need IDs")
	case known != nil && !(slices.Contains(ring.published, known) && next.is(known)):
		return fmt.Errorf("jwtauth: rotate: key %q is in the set already", next.ID())
	case known == nil && ring.twin(next.public) != nil:
		return fmt.Errorf("jwtauth: rotate: key %q is in the set already, as %q", next.ID(), ring.twin(next.public).id)
	case s.wasWithdrawn(next.public) || known != nil && known.Withdrawn():
		return fmt.Errorf("jwtauth: rotate: key %q was withdrawn", next.ID())
	case known == nil && ring.full():
		return fmt.Errorf("jwtauth: rotate: the key %w", errFullSet)
	case s.algorithms != nil && !slices.Contains(s.algorithms, next.Algorithm()):
		return fmt.Errorf("jwtauth: rotate: a propagator signs with this set and takes %v, not %s", s.algorithms, next.Algorithm())
	}
	from := now.Add(s.ahead)
	if last := ring.keys[len(ring.keys)-1].from; from.Before(last) {
		from = last
	}
	ring.published = without(ring.published, known)
	ring.keys[len(ring.keys)-1].until = from.Add(s.ahead).Add(s.retain)
	ring.keys = append(ring.keys, newRingKey(next, cmp.Or(known, next.public), from))
	s.ring.Store(ring)
	return nil
}

// Publish adds a public key that verifies and does not sign here, such as one
// with which another replica is about to sign (see
// [SigningKeysConfig.Published]). It stays until it is withdrawn or rotated to.
//
// It refuses nil, a secret, which is never published, a key without an ID, one
// that was withdrawn, one beyond 100 in the set, and one that is in the set
// already, or whose ID is.
func (s *SigningKeys) Publish(key *Key) error {
	s.change.Lock()
	defer s.change.Unlock()
	ring := s.ring.Load().live(s.now())
	err := ring.publish(key)
	if err == nil && s.wasWithdrawn(key) {
		err = errWithdrawn
	}
	if err != nil {
		return fmt.Errorf("jwtauth: publish: the key %w", err)
	}
	s.ring.Store(ring)
	return nil
}

// Withdraw takes a key out of the set at once, because its secret has leaked. The
// key is no longer published and no longer signs. What it signed counts no longer
// where this set is the [KeySource], and elsewhere once the verifier has fetched the
// key set again. This set never takes the key again, as another [Key] or under
// another ID either; a new set knows nothing of it.
//
// If it is the key that signs, the next key of a rotation under way takes over at
// once. Without a rotation under way, Withdraw fails: rotate first. The key before it
// stays published for as long as this one would have, since it may go on signing in
// another replica.
//
// Withdraw also fails for a key that is not in the set any more, which it leaves Ahead
// plus Retain after it signed last. Where this set is the KeySource, streams may
// still go on with such a key: [Key.Withdraw] of its [SigningKey.VerificationKey]
// ends them.
func (s *SigningKeys) Withdraw(keyID string) error {
	s.change.Lock()
	defer s.change.Unlock()
	now := s.now()
	ring := s.ring.Load().live(now)
	key := ring.find(keyID)
	if key == nil {
		return fmt.Errorf("jwtauth: withdraw: no key %q in the set; "+
			"for one that left it after Retain, call Withdraw of its VerificationKey", keyID)
	}
	ring.published = without(ring.published, key)
	if i := slices.IndexFunc(ring.keys, func(k ringKey) bool { return k.verifying == key }); i >= 0 {
		current := ring.current(now)
		if i == current && i == len(ring.keys)-1 {
			return fmt.Errorf("jwtauth: withdraw: key %q is the only one to sign with; rotate first", keyID)
		}
		if i > 0 {
			// Where this key has not begun to sign, which may be in a replica that was told
			// of it later and of its end earlier, the key before it signs on until the next
			// one does.
			ring.keys[i-1].until = ring.keys[i].until
		}
		ring.keys = slices.Delete(ring.keys, i, i+1)
		if i == current {
			ring.keys[i].from = now
		}
	}
	s.ring.Store(ring)
	s.withdrawn = append(s.withdrawn, key)
	key.Withdraw()
	return nil
}

// wasWithdrawn reports whether somebody withdrew the key, or this set the same
// key as another Key, under whatever ID. It needs the lock.
func (s *SigningKeys) wasWithdrawn(key *Key) bool {
	return key.Withdrawn() || slices.ContainsFunc(s.withdrawn, key.sameMaterial)
}

// Key implements [KeySource] for tokens that were signed with this set.
func (s *SigningKeys) Key(_ context.Context, keyID string, _ Algorithm) (*Key, error) {
	for _, key := range s.verificationKeys() {
		if key.id == keyID {
			return key, nil
		}
	}
	return nil, errNoSuchKey
}

// holds implements keyHolder.
func (s *SigningKeys) holds(keyID string) bool {
	_, err := s.Key(context.Background(), keyID, "")
	return err == nil
}

// signing returns the key that signs now, unless somebody else withdrew it.
func (s *SigningKeys) signing() (*ringKey, error) {
	ring := s.ring.Load()
	key := &ring.keys[ring.current(s.now())]
	if key.verifying.Withdrawn() {
		return nil, fmt.Errorf("jwtauth: key %q signs and was withdrawn elsewhere; call Rotate, and then Withdraw on this set too", key.ID())
	}
	return key, nil
}

// verificationKeys returns every key with which a token of this set may have
// been signed, and those that will sign.
func (s *SigningKeys) verificationKeys() []*Key {
	ring := s.ring.Load()
	now := s.now()
	keys := make([]*Key, 0, len(ring.keys)+len(ring.published))
	for _, key := range ring.keys {
		if !key.endedAt(now) {
			keys = append(keys, key.verifying)
		}
	}
	return append(keys, ring.published...)
}
