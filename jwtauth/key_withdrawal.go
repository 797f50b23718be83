package jwtauth

import (
	"slices"

	"github.com/authctx/authctx"
)

// Withdrawn reports whether the source of the key has stopped vouching for it.
// What was verified with it counts no longer, cached results included.
func (k *Key) Withdrawn() bool { return k.stands() != nil }

// Withdraw ends everything that was verified with k, cached results included. A
// [KeySource] of your own calls it when the issuer has removed the key. It is
// final, may be called again, and is safe for concurrent use.
//
// Where a source of this package has made several Keys of the same key, because
// the issuer says something else of it by now, such as an algorithm, all of them
// are withdrawn. [RemoteKeys] that have the key never believe it again, not under
// another ID either. Another source may hold the same key as a Key of its own,
// which is not withdrawn.
func (k *Key) Withdraw() {
	all := []*Key{k.origin()}
	for i := 0; i < len(all); i++ { // also those of which another call says so already: it may be under way
		all[i].distrusted.Store(true)
		for _, twin := range all[i].joined() {
			if !slices.Contains(all, twin) {
				all = append(all, twin)
			}
		}
	}
}

// origin returns the Key that says whether somebody withdrew k.
func (k *Key) origin() *Key {
	if k.first != nil {
		return k.first
	}
	return k
}

// join makes a withdrawal of k or other, which is the same key from elsewhere, one
// of both.
func (k *Key) join(other *Key) {
	k, other = k.origin(), other.origin()
	k.addTwin(other)
	other.addTwin(k)
	if k.distrusted.Load() || other.distrusted.Load() { // by somebody who may not have seen the other
		k.Withdraw()
	}
}

func (k *Key) addTwin(other *Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Contains(k.twins, other) {
		k.twins = append(k.twins, other)
	}
}

// joined returns the twins, which the caller only reads.
func (k *Key) joined() []*Key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.twins
}

// withdraw says why, for the source of the key: errKeyGone or errKeyRestated where
// the issuer has said so, errKeyUnconfirmed where nobody can tell.
func (k *Key) withdraw(why *authctx.Error) { k.withdrawn.CompareAndSwap(nil, why) }

// stands returns nil, or why the key counts no longer.
func (k *Key) stands() error {
	if why := k.ended(); why != nil {
		return why
	}
	if k.gone != nil {
		return k.gone()
	}
	return nil
}

// ended is stands as far as nobody needs to be asked.
func (k *Key) ended() *authctx.Error {
	if k.origin().distrusted.Load() {
		return errKeyGone
	}
	return k.withdrawn.Load()
}

var (
	errKeyGone        = refusal(authctx.UnknownKey, "the issuer has withdrawn the key")
	errKeyUnconfirmed = refusal(authctx.Unavailable, "nobody confirms the key any more")
	errKeyRestated    = refusal(authctx.Unavailable, "the issuer says something else of the key now")
)
