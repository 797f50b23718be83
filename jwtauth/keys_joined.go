package jwtauth

import (
	"context"
	"errors"
	"slices"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
)

// JoinKeys returns the keys of several sources as one source, for an issuer
// whose tokens more than one program signs with keys of its own: two gateways of
// a trust domain, say, both of which mint Transaction Tokens for the same services.
// Each must answer at all times: the keys of a job that does not always run are for
// another to publish ([SigningKeysConfig].Published).
//
// All sources are believed equally. Whoever signs with a key of any of them can
// name whatever caller the others can, and nothing tells afterwards which of them
// it was. Several issuers are for a [MultiVerifier] instead, where each has keys
// of its own.
//
// A key that a source of this package has at hand is found without asking the
// others. Any other is looked for in all of them side by side, so that a provider
// which hangs does not hold up the tokens of the others. It is
// [authctx.UnknownKey] when all sources say so, and otherwise
// [authctx.Unavailable]. A source that takes no notice of its context is left to
// itself when the key was found or the request is over.
//
// Tokens must name their keys, and key IDs must differ from source to source, as
// thumbprints do: of two keys with the same ID only one counts.
//
// The sources stay the caller's, to close and to ask for statistics. Whether a
// program is ready while one of them is not, only the program can say:
// [RemoteKeys.Ready] tells of each.
func JoinKeys(first KeySource, rest ...KeySource) (KeySource, error) {
	j := &joinedKeys{sources: append([]KeySource{first}, rest...)}
	var problems problems
	for i, source := range j.sources {
		if absent.Unmade(source) {
			problems.add("source %d is nil or was made by no constructor", i)
		} else if key := atHand(context.Background(), source, "", ""); key != nil && key.id == "" {
			problems.add("source %d has a key without ID, which tokens could not name", i)
		}
	}
	if err := problems.of("joined keys"); err != nil {
		return nil, err
	}
	return j, nil
}

type joinedKeys struct{ sources []KeySource }

func (j *joinedKeys) Key(ctx context.Context, keyID string, algorithm Algorithm) (*Key, error) {
	if keyID == "" {
		return nil, errNoKeyID
	}
	if key := j.known(ctx, keyID, algorithm); key != nil {
		return key, nil
	}
	return j.find(ctx, keyID, algorithm)
}

// known returns the key if a source has it at hand.
func (j *joinedKeys) known(ctx context.Context, keyID string, algorithm Algorithm) *Key {
	for _, source := range j.sources {
		if key := atHand(ctx, source, keyID, algorithm); key != nil {
			return key
		}
	}
	return nil
}

// atHand returns the key if source can tell without asking anybody that it has
// it.
func atHand(ctx context.Context, source KeySource, keyID string, algorithm Algorithm) *Key {
	holder := holderOf(source)
	if holder == nil || !holder.holds(keyID) {
		return nil
	}
	key, err := source.Key(ctx, keyID, algorithm)
	if err != nil {
		return nil
	}
	return key
}

// find asks all sources side by side and takes the first key that comes.
func (j *joinedKeys) find(ctx context.Context, keyID string, algorithm Algorithm) (*Key, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan keyAnswer, len(j.sources)) // has room for those that nobody waits for
	for _, source := range j.sources {
		go func() { answers <- askForKey(ctx, source, keyID, algorithm) }()
	}
	var failures []error
	for range j.sources {
		select {
		case a := <-answers:
			if a.err == nil {
				return a.key, nil
			}
			if authctx.ReasonOf(a.err) != authctx.UnknownKey {
				failures = append(failures, a.err)
			}
		case <-ctx.Done():
			return nil, couldNotTell(append(failures, errNotWaited))
		}
	}
	if failures != nil {
		return nil, couldNotTell(failures)
	}
	return nil, errNoSuchKey
}

// keyAnswer is what a source said.
type keyAnswer struct {
	key *Key
	err error
}

// askForKey asks a source on a goroutine of ours.
func askForKey(ctx context.Context, source KeySource, keyID string, algorithm Algorithm) (a keyAnswer) {
	defer func() {
		if p := recover(); p != nil {
			a.err = panicked(p)
		}
	}()
	a.key, a.err = askSource(ctx, source, keyID, algorithm)
	switch {
	case a.err != nil:
	case a.key == nil:
		a.err = errNoKey
	case a.key.id != keyID:
		a.err = errWrongKey // which may be right for another source
	}
	return a
}

// couldNotTell says why of every source that failed, and to come back when one
// of them may be asked again.
func couldNotTell(failures []error) error {
	refused := &authctx.Error{Reason: authctx.Unavailable}
	for i, err := range failures {
		named, ok := errors.AsType[*authctx.Error](err)
		if !ok || named == nil {
			continue
		}
		if err == error(named) && named.Cause != nil {
			failures[i] = named.Cause
		}
		if wait := named.RetryAfter; wait > 0 && (refused.RetryAfter == 0 || wait < refused.RetryAfter) {
			refused.RetryAfter = wait
		}
	}
	refused.Cause = errors.Join(failures...)
	return refused
}

// holds implements keyHolder.
func (j *joinedKeys) holds(keyID string) bool {
	return slices.ContainsFunc(j.sources, func(source KeySource) bool {
		holder := holderOf(source)
		return holder != nil && holder.holds(keyID)
	})
}

// origins is what keyOrigins asks for.
func (j *joinedKeys) origins() []any {
	var all []any
	for _, source := range j.sources {
		all = append(all, keyOrigins(source)...)
	}
	return all
}
