package jwtauth

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/authctx/authctx"
)

const (
	reuseShards     = 16
	maxReusePerPart = 1024 // tokens of one generation of one shard
)

// txnReuse remembers which token was minted for whom. Its memory is bounded by
// the callers of two windows.
type txnReuse struct {
	window time.Duration
	seed   maphash.Seed
	shards [reuseShards]reuseShard
}

// reuseShard keeps two generations; the older one goes when the younger has
// lasted for a window or is full.
type reuseShard struct {
	mu         sync.RWMutex
	young, old map[reuseKey]*reusable
	since      time.Time // when young began
}

// reuseKey finds a candidate; whether it is for the same caller is compared in
// full.
type reuseKey struct{ issuer, subject, tokenID string }

type reusable struct {
	minted
	principal authctx.Principal
	scopes    []string
	until     time.Time
}

func newTxnReuse(window time.Duration) *txnReuse {
	return &txnReuse{window: window, seed: maphash.MakeSeed()}
}

func (r *txnReuse) shard(p authctx.Principal) (*reuseShard, reuseKey) {
	key := reuseKey{p.Issuer(), p.Subject(), p.TokenID()}
	return &r.shards[maphash.Comparable(r.seed, key)%reuseShards], key
}

// get returns a token that may still be sent for p, empty when there is none.
func (r *txnReuse) get(p authctx.Principal, scopes []string, now time.Time) string {
	s, key := r.shard(p)
	s.mu.RLock()
	found := s.young[key]
	if found == nil {
		found = s.old[key]
	}
	s.mu.RUnlock()
	if found == nil || !now.Before(found.until) || found.key.Withdrawn() ||
		!slices.Equal(found.scopes, scopes) || !found.principal.Equal(p) {
		return ""
	}
	return found.token
}

func (r *txnReuse) put(p authctx.Principal, scopes []string, m minted, now time.Time) {
	s, key := r.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= maxReusePerPart || !now.Before(s.since.Add(r.window)) {
		s.old, s.young, s.since = s.young, map[reuseKey]*reusable{}, now
	}
	s.young[key] = &reusable{minted: m, principal: p, scopes: scopes, until: now.Add(r.window)}
}
