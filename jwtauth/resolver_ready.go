package jwtauth

import "context"

// ready waits for the keys of v and reports whether they are all there. It is an
// error if no source of v has any, not if one of several has none: that may be
// down for ever. A source that cannot tell counts as one that has its keys.
func ready(ctx context.Context, v *Verifier) (all bool, _ error) {
	sources := membersOf(v.policy.Keys)
	answers := make(chan error, len(sources))
	for _, source := range sources { // side by side: one that hangs takes no time from the others
		go func() { answers <- sourceReady(ctx, source) }()
	}
	var failures []error
	for range sources {
		if err := <-answers; err != nil {
			failures = append(failures, err)
		}
	}
	if len(failures) == len(sources) {
		return false, unavailable("keys", failures[0])
	}
	return len(failures) == 0, nil
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
