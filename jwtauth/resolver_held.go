package jwtauth

import (
	"errors"
	"fmt"
	"time"
)

// held counts who needs a verifier that Resolve returned: answers that are kept
// or in use, and calls. It is released when there are none.
type held struct {
	verifier *Verifier
	origins  []any // of its keys
	users    int
}

// releaseMark says when a verifier was released last.
type releaseMark struct {
	by    *resolver
	calls uint64 // of Resolve that had begun by then
}

// number makes a call of Resolve the latest.
func (r *resolver) number(call *resolveCall) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	call.number = r.calls
}

// hold holds what Resolve returned, unless that was released after the call began.
// Then it returns a channel that is closed when the Release has ended.
func (r *resolver) hold(call *resolveCall, v *Verifier) (*held, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if leaving := r.leaving[v]; leaving != nil {
		return nil, leaving
	}
	if mark := v.released.Load(); mark != nil && mark.by == r && call.number <= mark.calls {
		ended := make(chan struct{})
		close(ended)
		return nil, ended
	}
	h := r.held[v]
	if h == nil {
		h = &held{verifier: v, origins: keyOrigins(v.policy.Keys)}
		r.held[v] = h
		r.owned.Add(1)
	}
	h.users++
	return h, nil
}

// letGo is giveBack for a call that is over.
func (r *resolver) letGo(h *held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.giveBack(h)
}

// giveBack takes a user from a verifier and lets the last begin its release, for
// which nobody waits. It needs the lock.
func (r *resolver) giveBack(h *held) {
	if h.users--; h.users > 0 {
		return
	}
	delete(r.held, h.verifier)
	if r.cfg.Release == nil {
		r.owned.Done()
		return
	}
	r.leaving[h.verifier] = make(chan struct{})
	go r.release(h.verifier)
}

func (r *resolver) release(v *Verifier) {
	defer r.owned.Done()
	defer r.released(v)
	r.cfg.Release(v)
}

// released ends a release, which takes nobody along if it panics.
func (r *resolver) released(v *Verifier) {
	p := recover()
	r.mu.Lock()
	defer r.mu.Unlock()
	if p != nil {
		r.failed = fmt.Errorf("jwtauth: panic in Release: %v", p)
	}
	v.released.Store(&releaseMark{r, r.calls})
	close(r.leaving[v])
	delete(r.leaving, v)
}

func (r *resolver) close() error {
	r.mu.Lock()
	r.closed.Store(true)
	for _, a := range r.known {
		r.drop(a)
	}
	r.mu.Unlock()
	r.cancel()
	ended := r.await()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !ended && len(r.held)+len(r.leaving) > 0 {
		return errors.Join(r.failed, errNotReleased)
	}
	return r.failed
}

var errNotReleased = errors.New("jwtauth: Release has not returned, or requests go on")

// await waits for what is owned and reports whether that has ended, but does not wait
// for ever for a Resolve or Release that does not return.
func (r *resolver) await() bool {
	ended := make(chan struct{})
	go func() {
		r.owned.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-time.After(r.cfg.Timeout):
		return false
	}
}
