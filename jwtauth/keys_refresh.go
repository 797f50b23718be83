package jwtauth

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/authctx/authctx/internal/moment"
)

const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// refresh carries out every load, one after the other, so that no response can
// overtake a later one. Loads that requests ask for do not move the schedule of
// those that come by themselves: clients must not be able to cause more than
// their one per cool-down.
func (r *RemoteKeys) refresh(first *keyLoad) {
	defer r.abandon()
	next := time.NewTimer(time.Hour)
	defer next.Stop()
	failures := 0
	for load, own := first, true; ; load, own = r.nextLoad(next) {
		if load == nil {
			return
		}
		began := time.Now()
		maxAge, err := r.carryOut(load, own)
		if !own {
			continue
		}
		if failures++; err == nil {
			failures = 0
		}
		next.Reset(r.schedule(began, maxAge, failures))
	}
}

// nextLoad waits for the next load, nil when the source was closed, and
// reports whether it comes by itself.
func (r *RemoteKeys) nextLoad(next *time.Timer) (load *keyLoad, own bool) {
	for {
		select {
		case <-r.ctx.Done():
			return nil, false
		case <-r.asked:
		case <-next.C:
			own = r.due(next)
		}
		r.mu.Lock()
		load = r.pending
		if load == nil && own && !r.closed {
			load = r.begin()
		}
		r.mu.Unlock()
		if load != nil || own {
			return load, own
		}
	}
}

// due reports whether it is time for the load that comes by itself. If not, next
// ticks again.
func (r *RemoteKeys) due(next *time.Timer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := moment.Wait(r.nextAt, time.Now())
	if wait > 0 {
		next.Reset(wait)
	}
	return wait == 0
}

// schedule sets when the load after one that began then comes by itself, and
// returns how long to wait before a look at the clock. Jitter only makes it
// earlier, and what the load took is part of the interval, since that is a
// promise. A failure is given time to pass.
func (r *RemoteKeys) schedule(began time.Time, maxAge time.Duration, failures int) time.Duration {
	wait := r.cfg.RefreshInterval
	if maxAge > 0 {
		wait = min(wait, max(maxAge, time.Minute))
	}
	if failures > 0 {
		wait = min(wait, lastRetry, firstRetry<<min(failures-1, 8))
	}
	wait -= rand.N(wait/10 + 1)
	if failures == 0 {
		wait = max(wait-time.Since(began), minRefresh)
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nextAt = now.Add(wait)
	return moment.Wait(r.nextAt, now)
}

// carryOut does a load and takes over what it brings.
func (r *RemoteKeys) carryOut(load *keyLoad, own bool) (maxAge time.Duration, err error) {
	began := time.Now()
	set, maxAge, doubt, err := r.fetch.load(r.ctx, own, load.asked)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Loads++
	r.stats.LastError = doubt
	if err == nil {
		r.good, r.goodAt = load.number, began
		r.stats.LoadedAt, r.stats.Skipped = time.Now(), set.skipped
		r.seen.turn()
		r.replace(set.keys)
	} else {
		r.stats.Failures++
		r.stats.LastError = err
	}
	r.land(load)
	return maxAge, err
}

// land ends a load. It needs the lock.
func (r *RemoteKeys) land(load *keyLoad) {
	r.pending = nil
	close(load.done)
}

// abandon ends the load that the end of the source has overtaken.
func (r *RemoteKeys) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending != nil {
		r.land(r.pending)
	}
}

// replace makes keys, which the last good load brought, the ones that are
// believed, and withdraws those that are no longer among them. It needs the lock.
func (r *RemoteKeys) replace(keys []*Key) {
	old := r.set.Load()
	if old == nil {
		old = &keySet{}
	}
	r.set.Store(r.takeOver(keys, old))
	for id, o := range old.byID {
		switch now := r.known(id); {
		case now == o:
		case now == nil:
			o.withdraw(errKeyGone)
			r.seen.removed(id, r.good)
		case now.sameMaterial(o):
			o.withdraw(errKeyRestated)
		default:
			o.withdraw(errKeyGone)
		}
	}
}

// disown withdraws all keys, because nobody confirms them any more. It needs the
// lock.
func (r *RemoteKeys) disown() {
	r.good = 0
	if set := r.set.Swap(nil); set != nil {
		for _, k := range set.byID {
			k.withdraw(errKeyUnconfirmed)
		}
	}
}

// takeOver returns the set of keys after old. One that is there as it was stays the
// same Key. Any other begins with the withdrawal, if there was one, of what it was
// called or was said of it before: nobody finds it without. It needs the lock.
func (r *RemoteKeys) takeOver(keys []*Key, old *keySet) *keySet {
	set := &keySet{byID: make(map[string]*Key, len(keys)), loadedAt: time.Now()}
	for _, k := range keys {
		if o := old.byID[k.id]; o != nil && o.same(k) {
			k = o
		} else if i := slices.IndexFunc(r.firsts, k.sameMaterial); i >= 0 {
			k.first = r.firsts[i]
		} else {
			r.firsts = append(r.firsts, k)
		}
		set.byID[k.id] = k
	}
	r.firsts = slices.DeleteFunc(r.firsts, func(f *Key) bool { return !f.distrusted.Load() && !set.began(f) })
	return set
}

// began reports whether a key of the set shares the withdrawal of first.
func (s *keySet) began(first *Key) bool {
	for _, k := range s.byID {
		if k.origin() == first {
			return true
		}
	}
	return false
}

// expire withdraws keys that have not been confirmed for too long.
func (r *RemoteKeys) expire() {
	for {
		now := time.Now()
		end := now.Add(r.cfg.MaxStale)
		r.mu.Lock()
		if set := r.set.Load(); set != nil {
			if loaded := set.loadedAt.Add(r.cfg.MaxStale); moment.Reached(loaded, now) {
				r.disown()
			} else {
				end = loaded
			}
		}
		r.mu.Unlock()
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(moment.Wait(end, now)):
		}
	}
}
