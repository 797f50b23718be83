package jwtauth

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/moment"
)

const (
	memoShards = 16
	// Entries of one generation of one shard: few where they save encoding,
	// more where they save signing.
	encodedPerPart  = 128
	reusablePerPart = 1024
	// What the entries of one generation of one shard take, roughly: 64 MiB in
	// all, since clients choose how large their tokens are.
	memoBytesPerPart = 64 << 20 / memoShards / 2
	encodedWindow    = time.Minute
)

// txnMemo remembers callers that tokens were minted for, of each shard those of
// two windows at most. A shard that nobody comes to forgets nobody.
type txnMemo struct {
	window  time.Duration
	perPart int
	seed    maphash.Seed
	shards  [memoShards]memoShard
}

// memoShard keeps two generations; the older one goes when the younger has
// lasted for a window or is full.
type memoShard struct {
	mu         sync.RWMutex
	young, old map[memoKey]*txnEntry
	bytes      int       // of young
	since      time.Time // when young began
}

// memoKey tells apart what one caller asks for in turn: from two logins, or with
// the scopes of two routes. Whether it is the same caller is compared in full.
type memoKey struct {
	issuer, subject, tokenID, session string
	end                               time.Time
	scopes                            uint64 // their hash
}

// txnEntry is what is known of a caller with these scopes. It does not change.
type txnEntry struct {
	principal authctx.Principal
	scopes    []string
	subject   string // what the trust domain calls the caller
	claims    string // an encoded txnCaller
	size      int    // in bytes, roughly, without a token
	minted           // what may be sent again before until; zero when nothing may
	until     time.Time
}

// reusable reports whether there is a token that may still be sent.
func (e *txnEntry) reusable(now time.Time) bool {
	return e != nil && e.token != "" && !moment.Reached(e.until, now) && !e.key.Withdrawn()
}

// reuse returns a copy of e with a token.
func (e *txnEntry) reuse(m minted, until time.Time) *txnEntry {
	again := *e
	again.minted, again.until = m, until
	return &again
}

func (e *txnEntry) bytes() int { return e.size + len(e.token) }

// newTxnMemo returns a memo of tokens that are reused for that long, or, when
// that is zero, of encoded callers.
func newTxnMemo(reuse time.Duration) *txnMemo {
	if reuse > 0 {
		return &txnMemo{window: reuse, perPart: reusablePerPart, seed: maphash.MakeSeed()}
	}
	return &txnMemo{window: encodedWindow, perPart: encodedPerPart, seed: maphash.MakeSeed()}
}

func (m *txnMemo) shard(p authctx.Principal, scopes []string) (*memoShard, memoKey) {
	key := memoKey{p.Issuer(), p.Subject(), p.TokenID(), p.SessionID(), p.Expires(), 0}
	for _, scope := range scopes {
		key.scopes = key.scopes*31 + maphash.String(m.seed, scope)
	}
	return &m.shards[maphash.Comparable(m.seed, key)%memoShards], key
}

// get returns what is known of p with these scopes, nil when that is nothing.
func (m *txnMemo) get(p authctx.Principal, scopes []string) *txnEntry {
	s, key := m.shard(p, scopes)
	s.mu.RLock()
	found := s.young[key]
	if found == nil {
		found = s.old[key]
	}
	s.mu.RUnlock()
	if found == nil || !slices.Equal(found.scopes, scopes) || !found.principal.Equal(p) {
		return nil
	}
	return found
}

// put remembers e, which lasts for a window at least while there is room.
func (m *txnMemo) put(e *txnEntry, now time.Time) {
	if e.bytes() > memoBytesPerPart {
		return
	}
	s, key := m.shard(e.principal, e.scopes)
	s.mu.Lock()
	defer s.mu.Unlock()
	full := len(s.young) >= m.perPart || s.bytes+e.bytes() > memoBytesPerPart
	if s.young == nil || full || !now.Before(s.since.Add(m.window)) {
		s.old, s.young, s.bytes, s.since = s.young, map[memoKey]*txnEntry{}, 0, now
	}
	if before := s.young[key]; before != nil {
		s.bytes -= before.bytes()
	}
	s.young[key] = e
	s.bytes += e.bytes()
}
