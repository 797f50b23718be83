package jwtauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/keyfunc/v3"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/moment"
)

// RemoteKeys is the key set of one issuer, loaded over HTTP and kept up to date
// in the background. It is a [KeySource] and safe for concurrent use.
//
// A known key is found without a lock, a clock or a wait, whatever the provider is
// doing. For an unknown one, requests share a single load, on a context that is
// none of theirs. However many requests there are, they cause one load per
// cool-down. Until such a load has ended the answer is [authctx.Unavailable], and
// only then [authctx.UnknownKey].
//
// Only a well-formed set with at least one usable key replaces the keys. A key that is
// unchanged in the new set stays the same [Key]. Every other old one is withdrawn, and
// with it what it verified. There is one exception: if the new set still has the key and
// only says something else of it, such as an algorithm that was added, a stream goes on
// if its token would verify again.
//
// Not used are symmetric keys, private keys, keys for encryption, weak keys, keys
// without an ID, and keys for signatures that share an ID.
type RemoteKeys struct {
	cfg   RemoteKeysConfig
	owner string // of the keys, as errors name it
	fetch fetcher
	set   atomic.Pointer[keySet] // nil while there are no keys to believe

	mu       sync.Mutex // never held during I/O
	pending  *keyLoad   // the load that is under way or asked for; nil when there is none
	started  uint64     // loads begun
	good     uint64     // number of the last load that brought keys, if they are still believed; else 0
	goodAt   time.Time  // when that load began
	coolTill time.Time  // no request causes a load before
	nextAt   time.Time  // when the next load begins by itself
	seen     sightings
	firsts   []*Key // of the keys in the set, or in the last one, and of those that somebody withdrew
	waiting  int
	stats    RemoteKeysStats
	closed   bool

	keyfunc keyfunc.Keyfunc

	asked  chan struct{} // holds one signal that pending was set by a request
	ctx    context.Context
	cancel context.CancelFunc
	owned  sync.WaitGroup
}

// keySet is what lookups read. It is never changed.
type keySet struct {
	byID     map[string]*Key
	loadedAt time.Time
}

// keyLoad is one load of the keys, which any number of requests wait for.
type keyLoad struct {
	number uint64
	asked  bool          // by a request
	done   chan struct{} // closed at its end
}

// maxWaiting bounds the requests that a provider which hangs can hold up at the
// same time.
const maxWaiting = 1000

// NewRemoteKeys returns the keys of cfg at once and loads them in the
// background: a program whose provider is down starts, answers
// [authctx.Unavailable], and recovers by itself. The error names everything
// that is missing or contradictory in cfg. [RemoteKeys.Close] must be called in
// the end.
func NewRemoteKeys(cfg RemoteKeysConfig) (*RemoteKeys, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &RemoteKeys{cfg: cfg, owner: cfg.owner(), fetch: newFetcher(cfg), asked: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if r.keyfunc, err = newKeyfunc(r); err != nil {
		r.cancel()
		return nil, err
	}
	r.mu.Lock()
	first := r.begin()
	r.mu.Unlock()
	r.owned.Go(func() { r.refresh(first) })
	if cfg.MaxStale > 0 {
		r.owned.Go(r.expire)
	}
	return r, nil
}

// LoadRemoteKeys is [NewRemoteKeys] for a program that must not start without
// its keys: it waits for the first load, no longer than ctx, and fails if that
// fails. ctx counts for nothing after that.
func LoadRemoteKeys(ctx context.Context, cfg RemoteKeysConfig) (*RemoteKeys, error) {
	r, err := NewRemoteKeys(cfg)
	if err != nil {
		return nil, err
	}
	if r.Ready(ctx) == nil {
		return r, nil
	}
	err = r.Stats().LastError
	if err == nil {
		err = ctx.Err()
	}
	return nil, errors.Join(fmt.Errorf("jwtauth: loading the %s: %w", r.owner, err), r.Close())
}

// Key implements [KeySource]. A token that names no key finds none, since how
// many keys a provider publishes is its own affair.
func (r *RemoteKeys) Key(ctx context.Context, keyID string, algorithm Algorithm) (*Key, error) {
	if k := r.known(keyID); k != nil {
		return k, nil
	}
	switch {
	case keyID == "":
		return nil, errNoKeyID
	case len(keyID) > maxKeyIDLength || algorithm.symmetric():
		return nil, errNoSuchKey // no set could bring it
	}
	return r.find(ctx, keyID)
}

// Ready returns nil when there are keys, and otherwise [authctx.Unavailable]
// with the reason. It waits for a load that is under way, no longer than ctx,
// and starts none.
func (r *RemoteKeys) Ready(ctx context.Context) error {
	r.mu.Lock()
	load := r.pending
	r.mu.Unlock()
	if load != nil && r.set.Load() == nil {
		select {
		case <-load.done:
		case <-ctx.Done():
		}
	}
	if r.set.Load() != nil {
		return nil
	}
	return r.noKeys()
}

// noKeys says why there are none to believe.
func (r *RemoteKeys) noKeys() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stats.LoadedAt.IsZero() {
		return r.unavailable(errStaleKeys)
	}
	return r.unavailable(errNoKeys)
}

// RemoteKeysStats is what a health endpoint wants to know. In JSON, errors are
// their texts, which are for operators and not for strangers.
type RemoteKeysStats struct {
	// Keys is how many keys are believed now.
	Keys int
	// Skipped says why keys of the last set could not be used. The slice is
	// only read.
	Skipped []error
	// LoadedAt is when the keys were last loaded, zero before the first time,
	// and Age how long ago that was, as MaxStale counts it: by the wall clock
	// too, which goes on while a machine is suspended.
	LoadedAt time.Time
	Age      time.Duration
	// LastError is why the last load failed or what was wrong with it; nil
	// when all went well.
	LastError error
	// Loads counts the loads that ended, Failures those that brought nothing.
	Loads, Failures uint64
}

// MarshalJSON implements [json.Marshaler]; [slog.JSONHandler] logs the same.
func (s RemoteKeysStats) MarshalJSON() ([]byte, error) {
	type stats RemoteKeysStats // without this method
	texts := struct {
		stats
		Skipped   []any
		LastError any
	}{stats: stats(s), LastError: textOf(s.LastError)}
	for _, err := range s.Skipped {
		texts.Skipped = append(texts.Skipped, textOf(err))
	}
	return json.Marshal(texts)
}

// textOf returns what JSON has of an error, null if there is none.
func textOf(err error) any {
	if err == nil {
		return nil
	}
	return err.Error()
}

// Stats returns the state of the keys.
func (r *RemoteKeys) Stats() RemoteKeysStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	if set := r.set.Load(); set != nil {
		for _, k := range set.byID {
			if k.ended() == nil {
				s.Keys++
			}
		}
	}
	if !s.LoadedAt.IsZero() {
		s.Age = moment.Since(s.LoadedAt, time.Now())
	}
	return s
}

// Close ends the background work and waits for it. Keys that nobody keeps up to
// date any more are not believed: they are withdrawn, and the source answers
// [authctx.Unavailable]. So close it after the servers that use it. It returns
// nil, and may be called again.
func (r *RemoteKeys) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.owned.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disown()
	return nil
}

var (
	errNoKeys     = errors.New("the keys have not been loaded")
	errStaleKeys  = errors.New("the keys were last loaded longer ago than MaxStale")
	errClosed     = errors.New("the key source is closed")
	errCoolDown   = errors.New("the key is not known, and it is too early to look for it")
	errFailedLoad = errors.New("the keys could not be loaded")
	errHeldUp     = errors.New("too many requests wait for keys")
	errSlowKeys   = errors.New("the keys took too long to load")
	errNotWaited  = errors.New("the request ended before the keys were loaded")
)

// unavailable needs the lock.
func (r *RemoteKeys) unavailable(cause error) error {
	if r.closed {
		return &authctx.Error{Reason: authctx.Unavailable, Cause: &keysError{r.owner, errClosed, nil}}
	}
	wait := time.Until(r.coolTill) // once it is over, a request may cause a load
	if next := time.Until(r.nextAt); next > 0 && next < wait {
		wait = next
	}
	return &authctx.Error{
		Reason:     authctx.Unavailable,
		Cause:      &keysError{r.owner, cause, r.stats.LastError},
		RetryAfter: max(wait, time.Second),
	}
}

// keysError says whose keys are unavailable: where there are several sources,
// that is the first question. It is put into words when somebody reads it,
// because a flood of unknown keys makes many.
type keysError struct {
	owner       string
	cause, last error // last is why the last load failed; may be nil
}

func (e *keysError) Error() string {
	if e.last == nil {
		return e.owner + ": " + e.cause.Error()
	}
	return e.owner + ": " + e.cause.Error() + ": " + e.last.Error()
}

func (e *keysError) Unwrap() []error {
	if e.last == nil {
		return []error{e.cause}
	}
	return []error{e.cause, e.last}
}
