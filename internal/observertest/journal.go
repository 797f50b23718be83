// Package observertest has an observer for tests.
package observertest

import (
	"context"
	"slices"
	"sync"

	"github.com/authctx/authctx"
)

// Journal is an observer that keeps what it is told. The zero Journal is ready,
// must not be copied, and is safe for concurrent use.
type Journal struct {
	mu     sync.Mutex
	events []authctx.Event
}

// Observe implements [authctx.Observer].
func (j *Journal) Observe(_ context.Context, e authctx.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

// All returns what was told so far.
func (j *Journal) All() []authctx.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}
