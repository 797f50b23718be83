package jwtauth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// maxDeafReady is how many sources of an issuer may be left behind before no other
// is asked.
const maxDeafReady = 8

// readyGrace is how long a source may take to answer once its context is over.
const readyGrace = 100 * time.Millisecond

var errDeafReady = errors.New("Ready takes no notice of its context")

// readiness is what each source of a verifier answers: whether it has keys now, and
// whether it has them in time. The channels have room for answers that nobody waits
// for.
type readiness struct {
	sources     int
	now, inTime chan error
}

// askReady asks the sources of v for their keys, within ctx. One that cannot tell
// counts as having them. One that takes no notice of ctx is left behind. While pending
// counts many of those, no source is asked that might be one more, or each renewal of
// the issuer would add to them: it counts as having no keys.
func askReady(ctx context.Context, v *Verifier, pending *atomic.Int32) *readiness {
	members := membersOf(v.policy.Keys)
	q := &readiness{len(members), make(chan error, len(members)), make(chan error, len(members))}
	leftBehind := pending.Load() >= maxDeafReady
	for _, member := range members { // side by side: one that hangs takes no time from the others
		source := readierOf(member)
		switch _, takesNotice := source.(*RemoteKeys); {
		case source == nil:
			q.now <- nil
			q.inTime <- nil
		case leftBehind && !takesNotice:
			q.now <- errDeafReady
			q.inTime <- errDeafReady
		default:
			pending.Add(1)
			go func() {
				defer pending.Add(-1)
				q.ask(ctx, source)
			}()
		}
	}
	return q
}

func (q *readiness) ask(ctx context.Context, source readier) {
	err := errDeafReady // if it ends its goroutine
	defer func() { q.inTime <- err }()
	over, cancel := context.WithCancel(ctx)
	cancel()
	err = isReady(over, source)
	q.now <- err
	if err != nil && ctx.Err() == nil {
		err = isReady(ctx, source)
	}
}

// all reports whether all keys are there now.
func (q *readiness) all() bool {
	late := time.After(readyGrace)
	for range q.sources {
		select {
		case err := <-q.now:
			if err != nil {
				return false
			}
		case <-late:
			return false
		}
	}
	return true
}

// wait waits for the keys, no longer than ctx. It is an error if no source has
// any, not if one of several has none: that may be down for ever.
func (q *readiness) wait(ctx context.Context) error {
	have, failure := 0, errDeafReady
	over, late := ctx.Done(), (<-chan time.Time)(nil)
	for waiting := q.sources; waiting > 0; {
		select {
		case err := <-q.inTime:
			if waiting--; err == nil {
				have++
			} else {
				failure = err
			}
		case <-over:
			over, late = nil, time.After(readyGrace)
		case <-late:
			waiting = 0
		}
	}
	if have == 0 {
		return unavailable("keys", failure)
	}
	return nil
}

// membersOf returns the sources that source joins, or source itself.
func membersOf(source KeySource) []KeySource {
	joined, ok := source.(*joinedKeys)
	if !ok {
		return []KeySource{source}
	}
	var members []KeySource
	for _, member := range joined.sources {
		members = append(members, membersOf(member)...)
	}
	return members
}

// readier is a key source that tells when it has its keys.
type readier interface{ Ready(context.Context) error }

// readierOf returns what can tell whether the keys of a source are there, which
// may be another that it wraps, or nil.
func readierOf(source KeySource) readier {
	for _, s := range append([]any{source}, keyOrigins(source)...) {
		if s, ok := s.(readier); ok {
			return s
		}
	}
	return nil
}

// isReady asks a source on a goroutine of ours.
func isReady(ctx context.Context, source readier) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return source.Ready(ctx)
}
