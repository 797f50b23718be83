package jwtauth

import (
	"context"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
)

// NewStaticKeys returns a source of keys that are known from the start and
// never change. They are one issuer's: a key must not be in the sources of two,
// whatever it is called there.
//
// Several keys must have IDs, all different, and then only tokens that name one
// of them find a key. A single key also serves tokens that name none, and if it
// has no ID itself, tokens that name any, since there is nothing to confuse it
// with.
func NewStaticKeys(first *Key, rest ...*Key) (KeySource, error) {
	s := &staticKeys{byID: make(map[string]*Key, 1+len(rest))}
	var problems problems
	for i, k := range append([]*Key{first}, rest...) {
		switch {
		case absent.Unmade(k):
			problems.add("key %d is nil or was made by no constructor", i)
			continue
		case k.id == "" && len(rest) > 0:
			problems.add("key %d has no ID, and there are several", i)
		case s.byID[k.id] != nil:
			problems.add("several keys have the ID %q", k.id)
		}
		s.byID[k.id] = k
		s.fingerprints = append(s.fingerprints, k.fingerprint())
	}
	if err := problems.of("static keys"); err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		s.only = first
	}
	return s, nil
}

type staticKeys struct {
	byID         map[string]*Key
	only         *Key  // nil when there are several
	fingerprints []any // of all
}

func (s *staticKeys) Key(_ context.Context, keyID string, _ Algorithm) (*Key, error) {
	if s.only != nil && (keyID == "" || s.only.id == "") {
		return s.only, nil
	}
	if k := s.byID[keyID]; k != nil {
		return k, nil
	}
	if keyID == "" {
		return nil, errNoKeyID
	}
	return nil, errNoSuchKey
}

// holds implements keyHolder.
func (s *staticKeys) holds(keyID string) bool {
	_, err := s.Key(context.Background(), keyID, "")
	return err == nil
}

// origins is what keyOrigins asks for. A static key is itself however often it
// was made, and whatever its ID.
func (s *staticKeys) origins() []any { return s.fingerprints }

// Refusals that say nothing of the request are made once.
var (
	errNoKeyID   = refusal(authctx.UnknownKey, "the token does not name its key, and there may be several")
	errNoSuchKey = refusal(authctx.UnknownKey, "the issuer has no usable key of that ID")
)
