package jwtauth

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/authctx/authctx/internal/moment"
)

// CacheConfig bounds a verifier's memory of tokens that were verified. The zero
// CacheConfig is a good default.
//
// Tokens are remembered by a keyed hash and not kept. What is remembered lives
// no longer than the token, its key, MaxAge, or a revocation, and being used
// does not make it live longer.
type CacheConfig struct {
	// Disabled verifies every token anew. Then no bound may be set.
	Disabled bool
	// MaxEntries bounds the number of tokens; 65,536 when zero, and never fewer
	// than two.
	MaxEntries int
	// MaxBytes bounds the memory, roughly; 64 MiB when zero, and at least 4 KiB, or
	// 16 KiB for an [Introspector], so that a small token has room. The encoded
	// fields that up to two propagators of plain fields keep with a caller come on
	// top.
	MaxBytes int
	// MaxAge is the longest that a token is remembered: at least 1 ms, 10 minutes
	// when zero.
	MaxAge time.Duration
}

// leastCacheBytes has room for a token, even in one of two generations.
const leastCacheBytes = 4 << 10

func (c *CacheConfig) validate(p *problems) {
	if c.Disabled && *c != (CacheConfig{Disabled: true}) {
		p.add("Cache is disabled and has bounds")
		return
	}
	if c.MaxEntries < 0 {
		p.add("Cache.MaxEntries must not be negative")
	}
	if c.MaxBytes != 0 && c.MaxBytes < leastCacheBytes {
		p.add("Cache.MaxBytes must be at least %d, or no token has room; Disabled remembers none", leastCacheBytes)
	}
	p.atLeast(time.Millisecond, "Cache.MaxAge", c.MaxAge)
}

func (c CacheConfig) withDefaults() CacheConfig {
	c.MaxEntries, c.MaxBytes = cmp.Or(c.MaxEntries, 1<<16), cmp.Or(c.MaxBytes, 64<<20)
	c.MaxAge = cmp.Or(c.MaxAge, 10*time.Minute)
	return c
}

// tokenCache remembers verified tokens. It takes next to no memory before it is
// first used, because verifiers that are joined do not use theirs.
type tokenCache struct {
	hash   *tokenHash
	bounds CacheConfig
	start  sync.Once
	shards []cacheShard // a power of two, at most 256
}

// cacheShard keeps two generations. When the young one is full it becomes the
// old one and what was old is gone; what is used moves to the young one.
type cacheShard struct {
	mu         sync.RWMutex
	young, old map[digest]*verified
	bytes      int       // of young
	flights    []*flight // few: what is being verified at this moment
	landed     *flight   // for the next one; nil or empty
	maxEntries int       // of one generation
	maxBytes   int
	_          [32]byte // keeps neighbours out of one cache line
}

// newTokenCache returns nil when there is nothing to remember.
func newTokenCache(bounds CacheConfig) *tokenCache {
	if bounds.Disabled {
		return nil
	}
	return &tokenCache{hash: newTokenHash(), bounds: bounds}
}

func (c *tokenCache) makeShards() {
	n := 1
	for n < 256 && n*64 <= c.bounds.MaxEntries && n*(256<<10) <= c.bounds.MaxBytes {
		n *= 2
	}
	c.shards = make([]cacheShard, n)
	for i := range c.shards {
		s := &c.shards[i]
		s.maxEntries, s.maxBytes = max(1, c.bounds.MaxEntries/n/2), c.bounds.MaxBytes/n/2
		s.young, s.old = map[digest]*verified{}, map[digest]*verified{}
	}
}

func (c *tokenCache) shard(d digest) *cacheShard {
	c.start.Do(c.makeShards)
	return &c.shards[int(d[0])&(len(c.shards)-1)]
}

// get returns what is remembered of a token, nil when that is nothing or not to
// be believed any more.
func (c *tokenCache) get(d digest) *verified {
	s := c.shard(d)
	s.mu.RLock()
	v, young := s.young[d]
	if !young {
		v = s.old[d]
	}
	s.mu.RUnlock()
	if v == nil {
		return nil
	}
	if moment.Reached(v.until, v.policy.Now()) || v.key.Withdrawn() || v.policy.ended() {
		s.forget(d, v)
		return nil
	}
	if !young {
		s.renew(d, v)
	}
	return v
}

func (s *cacheShard) forget(d digest, v *verified) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young[d] == v {
		delete(s.young, d)
		s.bytes -= v.size
	}
	if s.old[d] == v {
		delete(s.old, d)
	}
}

// renew moves what is used to the young generation. Its end stays as it is.
func (s *cacheShard) renew(d digest, v *verified) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.old[d] == v {
		delete(s.old, d)
		s.put(d, v)
	}
}

func (s *cacheShard) put(d digest, v *verified) {
	if v.size > s.maxBytes {
		return
	}
	if len(s.young) >= s.maxEntries || s.bytes+v.size > s.maxBytes {
		s.old, s.young, s.bytes = s.young, s.old, 0
		clear(s.young)
	}
	if _, there := s.young[d]; !there {
		s.young[d] = v
		s.bytes += v.size
	}
}

// put remembers what introspection refused.
func (c *tokenCache) put(d digest, v *verified) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(d, v)
}

// flight is the verification of one token that several requests wait for.
type flight struct {
	digest digest
	policy *issuerPolicy
	key    *Key
	found  *verified
	err    error
	done   chan struct{} // nil until somebody waits
}

// join returns the flight of a token that is being verified with the same key,
// or a new one that the caller must lead and finish.
func (c *tokenCache) join(d digest, policy *issuerPolicy, key *Key) (_ *flight, leader bool) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fl := range s.flights {
		if fl.digest == d && fl.policy == policy && fl.key == key {
			if fl.done == nil {
				fl.done = make(chan struct{})
			}
			return fl, false
		}
	}
	fl := s.landed
	if s.landed = nil; fl == nil {
		fl = new(flight)
	}
	*fl = flight{digest: d, policy: policy, key: key, err: errAborted}
	s.flights = append(s.flights, fl)
	return fl, true
}

// finish remembers a good result and wakes whoever waits. The flight is nobody's
// then but theirs.
func (c *tokenCache) finish(fl *flight) {
	s := c.shard(fl.digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.flights, fl)
	s.flights = slices.Delete(s.flights, i, i+1)
	if fl.err == nil && fl.found.refused == nil && !fl.policy.Cache.Disabled {
		s.put(fl.digest, fl.found)
	}
	if fl.done != nil {
		close(fl.done)
		return
	}
	*fl = flight{}
	s.landed = fl
}

// wait returns what the leader found out, or gives up with ctx. What is waited for
// is said in the error.
func (fl *flight) wait(ctx context.Context, what string) (*verified, error) {
	select {
	case <-fl.done:
		return fl.found, fl.err
	case <-ctx.Done():
		return nil, unavailable(what, ctx.Err())
	}
}
