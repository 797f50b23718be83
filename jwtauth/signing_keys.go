package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What [SigningKeysConfig] means by zero.
const (
	DefaultKeyAhead  = 10 * time.Minute
	DefaultKeyRetain = 24 * time.Hour
)

// SigningKeysConfig configures [NewSigningKeys]. Current is required.
type SigningKeysConfig struct {
	// Current signs until the first rotation.
	Current *SigningKey
	// Published are public keys that verify but never sign here: keys that
	// signed before a restart, keys that will sign after the next one, and keys
	// of other replicas. They stay published until they are withdrawn.
	Published []*Key
	// Ahead is how long a new key is published before it signs, so that
	// verifiers know it by then. It should exceed the time for which verifiers
	// cache the key set and the time it takes to rotate all replicas. Zero
	// means [DefaultKeyAhead].
	Ahead time.Duration
	// Retain is how long a key is published after it signed last. It must cover
	// the life of every token signed with it, leeway, and streams that are
	// rechecked: a key that is not published any more ends those too. Zero
	// means [DefaultKeyRetain].
	Retain time.Duration
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// SigningKeys is the key set of one issuer: one key signs; others are published
// beside it because they will sign soon or because tokens that they signed are
// still alive.
//
// Replicas that share keys are given the same ones and publish the same set,
// since key IDs are thumbprints. Replicas with keys of their own publish each
// other's public keys. Either way [SigningKeys.Rotate] may reach the replicas
// at different moments, as long as it reaches all of them within Ahead.
//
// SigningKeys is safe for concurrent use. It runs no goroutine: a rotation takes
// its course with the clock. It is a [KeySource] too, for programs that verify
// their own tokens.
type SigningKeys struct {
	ahead, retain time.Duration
	now           func() time.Time

	change sync.Mutex // held by whoever replaces the ring
	ring   atomic.Pointer[keyRing]
}

// keyRing is immutable. It is never without a key that signs.
type keyRing struct {
	keys      []ringKey // in the order in which they sign
	published []*Key
}

// ringKey is a key and when it begins to sign; it ends when the next begins.
type ringKey struct {
	*SigningKey
	from time.Time
}

// NewSigningKeys returns the key set for cfg, or an error that names every
// setting that is missing or contradictory.
func NewSigningKeys(cfg SigningKeysConfig) (*SigningKeys, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("jwtauth: signing keys: "+format, args...))
	}
	s := &SigningKeys{ahead: cfg.Ahead, retain: cfg.Retain, now: cfg.Now}
	setDefault(&s.ahead, DefaultKeyAhead)
	setDefault(&s.retain, DefaultKeyRetain)
	if s.ahead < 0 {
		bad("Ahead is negative")
	}
	if s.retain < 0 {
		bad("Retain is negative")
	}
	if s.now == nil {
		s.now = time.Now
	}
	ids := map[string]bool{}
	if cfg.Current == nil {
		bad("Current is required")
	} else {
		ids[cfg.Current.ID()] = true
	}
	for i, key := range cfg.Published {
		switch {
		case key == nil:
			bad("Published[%d] is nil", i)
			continue
		case key.symmetric():
			bad("Published[%d] is a secret, which is never published", i)
			continue
		case key.ID() == "" || ids[""]:
			bad("Published[%d]: only a key that stands alone may be without ID", i)
		case ids[key.ID()]:
			bad("Published[%d] has the ID of another key", i)
		}
		ids[key.ID()] = true
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.ring.Store(&keyRing{keys: []ringKey{{SigningKey: cfg.Current}}, published: slices.Clone(cfg.Published)})
	return s, nil
}

func setDefault(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

// Rotate publishes next at once and lets it sign once Ahead has passed. The key
// that signs until then stays published for Retain after that, so that neither
// a verifier with an old copy of the key set nor a token signed a moment before
// fails.
//
// It refuses a key without an ID and one that is in the set already, unless it is
// one of Published, whose turn has come then.
func (s *SigningKeys) Rotate(next *SigningKey) error {
	if next == nil {
		return errors.New("jwtauth: rotate: no key")
	}
	s.change.Lock()
	defer s.change.Unlock()
	now := s.now()
	ring := s.ring.Load()
	known := ring.find(next.ID())
	switch {
	case next.ID() == "" || ring.find("") != nil:
		return errors.New("jwtauth: rotate: keys that follow one another need IDs")
	case known != nil && !(slices.Contains(ring.published, known) && known.same(next.public)):
		return fmt.Errorf("jwtauth: rotate: key %q is in the set already", next.ID())
	}
	from := now.Add(s.ahead)
	if last := ring.keys[len(ring.keys)-1].from; from.Before(last) {
		from = last
	}
	live := slices.Clone(ring.live(now, s.retain))
	s.ring.Store(&keyRing{keys: append(live, ringKey{next, from}), published: without(ring.published, known)})
	return nil
}

// Withdraw takes a key out of the set at once, for one whose secret has leaked:
// it is not published any more, does not sign, and what it signed counts no
// longer where this set is the [KeySource]. Elsewhere tokens fail as soon as
// the verifier fetches the key set again.
//
// When it is the key that signs, the key of the rotation under way takes over
// immediately; without one, Withdraw refuses: rotate first.
func (s *SigningKeys) Withdraw(keyID string) error {
	s.change.Lock()
	defer s.change.Unlock()
	now := s.now()
	ring := s.ring.Load()
	key := ring.find(keyID)
	if key == nil {
		return fmt.Errorf("jwtauth: withdraw: no key %q in the set", keyID)
	}
	changed := &keyRing{keys: slices.Clone(ring.keys), published: without(ring.published, key)}
	if current := ring.current(now); ring.keys[current].public == key {
		if current+1 == len(ring.keys) {
			return fmt.Errorf("jwtauth: withdraw: key %q is the only one to sign with; rotate first", keyID)
		}
		changed.keys[current+1].from = now
	}
	changed.keys = slices.DeleteFunc(changed.keys, func(k ringKey) bool { return k.public == key })
	s.ring.Store(changed)
	key.withdraw(errKeyGone)
	return nil
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

// signing returns the key that signs now.
func (s *SigningKeys) signing() *SigningKey {
	ring := s.ring.Load()
	return ring.keys[ring.current(s.now())].SigningKey
}

// verificationKeys returns every key with which a token of this set may have
// been signed, and those that will sign.
func (s *SigningKeys) verificationKeys() []*Key {
	ring := s.ring.Load()
	keys := make([]*Key, 0, len(ring.keys)+len(ring.published))
	for _, key := range ring.live(s.now(), s.retain) {
		keys = append(keys, key.public)
	}
	return append(keys, ring.published...)
}

// current returns the index of the key that signs now.
func (r *keyRing) current(now time.Time) int {
	i := len(r.keys) - 1
	for i > 0 && r.keys[i].from.After(now) {
		i--
	}
	return i
}

// live returns the keys that have not signed their last token longer than
// retain ago.
func (r *keyRing) live(now time.Time, retain time.Duration) []ringKey {
	keys := r.keys
	for len(keys) > 1 && !now.Before(keys[1].from.Add(retain)) {
		keys = keys[1:]
	}
	return keys
}

// find returns the key of that ID, nil when there is none.
func (r *keyRing) find(keyID string) *Key {
	for _, key := range r.keys {
		if key.public.id == keyID {
			return key.public
		}
	}
	for _, key := range r.published {
		if key.id == keyID {
			return key
		}
	}
	return nil
}

func without(keys []*Key, key *Key) []*Key {
	return slices.DeleteFunc(slices.Clone(keys), func(k *Key) bool { return k == key })
}

func (k *Key) symmetric() bool {
	_, ok := k.material.([]byte)
	return ok
}
