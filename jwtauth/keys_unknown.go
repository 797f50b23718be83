package jwtauth

import (
	"context"
	"strings"
	"time"
)

// find looks for a key that is not in the set.
func (r *RemoteKeys) find(ctx context.Context, keyID string) (*Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	since := r.seen.note(keyID, r.started)
	key, load, err := r.await(keyID, since, nil)
	if load == nil {
		return key, err
	}
	timeout := time.NewTimer(r.cfg.Timeout)
	defer timeout.Stop()
	for load != nil {
		if cause := r.waitFor(ctx, load, timeout.C); cause != nil {
			return nil, r.unavailable(cause)
		}
		key, load, err = r.await(keyID, since, load)
	}
	return key, err
}

// waitFor waits for the end of a load, letting go of the lock meanwhile.
func (r *RemoteKeys) waitFor(ctx context.Context, load *keyLoad, timeout <-chan time.Time) error {
	r.waiting++
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.waiting--
	}()
	select {
	case <-load.done:
		return nil
	case <-ctx.Done():
		return errNotWaited
	case <-timeout:
		return errSlowKeys
	}
}

// await returns the load to wait for, and nil when key and err are the answer.
// It needs the lock.
//
// since is the number of loads that had begun when the key was first asked for.
// Only one that began later can prove that there is no such key: an earlier one
// may have been answered just before the provider published it. That proof
// stands for a cool-down, whether or not loads fail meanwhile, and for a request
// that has waited for it in any case. If that load fails, who has waited for it
// is told so: a cool-down may be shorter than a load that fails, and a request
// must not cause one after the other.
func (r *RemoteKeys) await(keyID string, since uint64, waited *keyLoad) (key *Key, load *keyLoad, err error) {
	if key = r.known(keyID); key != nil {
		return key, nil, nil
	}
	now := time.Now()
	absent := r.good > since
	brought := waited != nil && r.good >= waited.number
	switch {
	case r.closed:
		return nil, nil, r.unavailable(errClosed)
	case absent && (brought || now.Before(r.goodAt.Add(r.cfg.CoolDown))):
		r.seen.note(keyID, since) // who comes next has not waited for the loads that made it forgotten
		return nil, nil, errNoSuchKey
	case waited != nil && waited.number > since:
		return nil, nil, r.unavailable(errFailedLoad)
	case r.pending == nil && now.Before(r.coolTill):
		return nil, nil, r.unavailable(errCoolDown)
	case r.waiting >= maxWaiting:
		return nil, nil, r.unavailable(errHeldUp)
	case r.pending == nil:
		r.coolTill = now.Add(r.cfg.CoolDown)
		r.begin().asked = true
		select {
		case r.asked <- struct{}{}:
		default: // a signal that nobody has taken yet will do
		}
	}
	return nil, r.pending, nil
}

// known reads the set as it is now.
func (r *RemoteKeys) known(keyID string) *Key {
	if set := r.set.Load(); set != nil {
		return set.byID[keyID]
	}
	return nil
}

// holds implements keyHolder.
func (r *RemoteKeys) holds(keyID string) bool { return r.known(keyID) != nil }

// begin makes a load for the background to carry out. It needs the lock.
func (r *RemoteKeys) begin() *keyLoad {
	r.started++
	r.pending = &keyLoad{number: r.started, done: make(chan struct{})}
	return r.pending
}

// sightings remembers how many loads had begun when an unknown key was first
// asked for, or when it left the set. It is bounded: what is not asked for while
// two loads bring keys is forgotten, and when it is full it takes no more, so
// that a flood of invented keys costs those who send it a "try again later"
// where "no" was due.
type sightings struct {
	current, previous map[string]uint64
}

const maxSightings = 1000

// note returns how many loads had begun when the key was first asked for, which it
// remembers to be so many if nothing is known.
func (s *sightings) note(keyID string, loads uint64) uint64 {
	if n, ok := s.current[keyID]; ok {
		return n
	}
	if n, ok := s.previous[keyID]; ok {
		loads = n
	}
	if len(s.current) < maxSightings {
		if s.current == nil {
			s.current = map[string]uint64{}
		}
		s.current[strings.Clone(keyID)] = loads // keyID may be part of a large token
	}
	return loads
}

// removed remembers a key that was in the set until that load, which proves that
// it is gone. There are never more of these than a set has keys, so they count
// against no bound.
func (s *sightings) removed(keyID string, load uint64) {
	if s.current == nil {
		s.current = map[string]uint64{}
	}
	s.current[keyID] = load - 1
}

func (s *sightings) turn() { s.current, s.previous = nil, s.current }
