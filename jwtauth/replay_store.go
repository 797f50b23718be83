package jwtauth

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// ReplayStore remembers which DPoP proofs were used. Implementations are safe
// for concurrent use; those that replicas share make each proof pass once in
// all of them together.
type ReplayStore interface {
	// Use records a key and reports whether it is new, in one step: of any
	// number of simultaneous calls with one key, exactly one is told true. The
	// key, a hash, may be forgotten at until and not before.
	//
	// An error means that nobody could tell, and the request is answered with
	// [authctx.Unavailable]. A store whose answer was lost must return one: clients of
	// Redis repeat their command instead, and are told that the key is used, by their
	// own first attempt. Turn that off, or write a random value and compare it.
	//
	// ctx is the request's, with a deadline in at most five seconds. Use must return
	// when it ends, or the request waits on.
	Use(ctx context.Context, key [32]byte, until time.Time) (fresh bool, err error)
}

// MemoryReplayStore is a [ReplayStore] in the memory of one process. The zero
// MemoryReplayStore is ready; it must not be copied.
//
// When it is full of keys that still count, it fails, and requests are refused with 503
// until some have ended. Forgetting one of them instead would let the proof of another
// client pass again, and clients can make as many proofs as they like. If the clock is
// set back, a key counts as used if its end is no later than that of a key which was
// forgotten before. One lock guards it, held for about 1% of the time that verifying a
// proof takes.
type MemoryReplayStore struct {
	// MaxEntries bounds the number of keys, about 120 bytes each; 1,048,576
	// when zero or less. As many proofs can be used within their lifetime.
	// Set it before first use.
	MaxEntries int
	// Now is the clock; nil means [time.Now]. Set it before first use.
	Now func() time.Time

	mu        sync.Mutex
	used      map[[32]byte]struct{}
	queue     replayQueue // the same keys, the first to end in front
	forgotten int64       // the latest until of keys that are gone, in Unix nanoseconds
}

const defaultReplayEntries = 1 << 20

var errReplayFull = errors.New("more proofs are in use than can be remembered")

// Use implements [ReplayStore].
func (m *MemoryReplayStore) Use(_ context.Context, key [32]byte, until time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used == nil {
		m.used = map[[32]byte]struct{}{}
	}
	now, end := clockOf(m.Now)().UnixNano(), until.UnixNano()
	for len(m.queue) > 0 && m.queue[0].until <= now {
		e := heap.Pop(&m.queue).(replayEntry)
		delete(m.used, e.key)
		m.forgotten = max(m.forgotten, e.until)
	}
	// What has ended may be forgotten already, also if the clock was set back since.
	if _, used := m.used[key]; used || end <= max(now, m.forgotten) {
		return false, nil
	}
	if len(m.queue) >= cmp.Or(max(0, m.MaxEntries), defaultReplayEntries) {
		return false, errReplayFull
	}
	m.used[key] = struct{}{}
	heap.Push(&m.queue, replayEntry{end, key})
	return true, nil
}

// Len returns how many keys are in memory, ended ones included.
func (m *MemoryReplayStore) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue)
}

type replayEntry struct {
	until int64 // Unix nanoseconds
	key   [32]byte
}

// replayQueue is a [heap.Interface].
type replayQueue []replayEntry

func (q replayQueue) Len() int           { return len(q) }
func (q replayQueue) Less(i, j int) bool { return q[i].until < q[j].until }
func (q replayQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *replayQueue) Push(x any)        { *q = append(*q, x.(replayEntry)) }
func (q *replayQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}
