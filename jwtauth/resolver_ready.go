package jwtauth

import (
	"context"
	"errors"
	"time"
)

// readyGrace is how long a source may take to answer once its context is over.
const readyGrace = 100 * time.Millisecond

var errDeafReady = errors.New("Ready takes no notice of its context")

// ready waits for the keys of v, no longer than ctx, and reports whether they are
// all there. It is an error if no source of v has any, not if one of several has
// none: that may be down for ever. A source that cannot tell counts as one that
// has its keys, one that takes no notice of ctx as one that has none.
func ready(ctx context.Context, v *Verifier) (all bool, _ error) {
	sources := membersOf(v.policy.Keys)
	answers := make(chan error, len(sources)) // has room for those that nobody waits for
	for _, source := range sources {          // side by side: one that hangs takes no time from the others
		go func() { answers <- sourceReady(ctx, source) }()
	}
	have, failure := 0, errDeafReady
	over, late := ctx.Done(), (<-chan time.Time)(nil)
	for waiting := len(sources); waiting > 0; {
		select {
		case err := <-answers:
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
		return false, unavailable("keys", failure)
	}
	return have == len(sources), nil
}

// allReady reports whether the keys of v are there, and waits for none.
func allReady(v *Verifier) bool {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	all, _ := ready(over, v)
	return all
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

// sourceReady asks a source, or the one that it wraps, whether its keys are there.
func sourceReady(ctx context.Context, source KeySource) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	for _, s := range append([]any{source}, keyOrigins(source)...) {
		if s, ok := s.(interface{ Ready(context.Context) error }); ok {
			return s.Ready(ctx)
		}
	}
	return nil
}
