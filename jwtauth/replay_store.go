package jwtauth

import (
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
	// [authctx.Unavailable].
	Use(ctx context.Context, key [32]byte, until time.Time) (fresh bool, err error)
}

// ReplayMemory is a [ReplayStore] in the memory of one process. The zero
// ReplayMemory is ready; it must not be copied.
//
// When it is full of keys that still count, it fails, and requests are refused
// with 503 until some have ended. Forgetting one of them instead would let the
// proof of another client pass again, and clients can make as many proofs as
// they like. One lock guards it, held for about 1% of the time that verifying a
// proof takes.
type ReplayMemory struct {
	// MaxEntries bounds the number of keys, about 120 bytes each; 1,048,576
	// when zero or less. As many proofs can be used within their lifetime.
	// Set it before first use.
	MaxEntries int
	// Now is the clock; time.Now when nil. Set it before first use.
	Now func() time.Time

	mu    sync.Mutex
	used  map[[32]byte]struct{}
	queue replayQueue // the same keys, the first to end in front
}

const defaultReplayEntries = 1 << 20

var errReplayFull = errors.New("more proofs are in use than can be remembered")

// Use implements [ReplayStore].
func (m *ReplayMemory) Use(_ context.Context, key [32]byte, until time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now().UnixNano()
	for len(m.queue) > 0 && m.queue[0].until <= now {
		delete(m.used, heap.Pop(&m.queue).(replayEntry).key)
	}
	if _, used := m.used[key]; used || until.UnixNano() <= now {
		return false, nil // what has ended may be forgotten already
	}
	if len(m.queue) >= m.maxEntries() {
		return false, errReplayFull
	}
	if m.used == nil {
		m.used = map[[32]byte]struct{}{}
	}
	m.used[key] = struct{}{}
	heap.Push(&m.queue, replayEntry{until.UnixNano(), key})
	return true, nil
}

// Len returns how many keys are in memory, ended ones included.
func (m *ReplayMemory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue)
}

func (m *ReplayMemory) maxEntries() int {
	if m.MaxEntries <= 0 {
		return defaultReplayEntries
	}
	return m.MaxEntries
}

func (m *ReplayMemory) now() time.Time {
	if m.Now == nil {
		return time.Now()
	}
	return m.Now()
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
