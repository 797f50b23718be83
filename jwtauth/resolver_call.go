package jwtauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/moment"
)

// resolveCall is one call of Resolve, for which any number of requests wait.
type resolveCall struct {
	issuer   string
	stranger bool
	number   uint64          // among all calls
	ctx      context.Context // ends with its time
	waiting  int             // requests
	next     *issuerPolicy   // what Resolve returned, once owners of its keys are asked about
	answered bool            // what follows is final, though the keys may be waited for yet
	policy   *issuerPolicy   // in use by each request that waited
	err      error
	done     chan struct{} // closed when answered
}

// start begins a call on a context of our own, so that no request that leaves
// takes the answer from the others. It needs the lock.
func (r *resolver) start(iss string, stranger bool) *resolveCall {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
	call := &resolveCall{issuer: iss, stranger: stranger, ctx: ctx, done: make(chan struct{})}
	r.asking[iss] = call
	if stranger {
		r.strangers++
	}
	r.owned.Go(func() {
		defer cancel()
		r.ask(ctx, call)
	})
	return call
}

// ask calls Resolve and answers the call with what comes of it, unless a later
// call has taken its place: that one knows better.
func (r *resolver) ask(ctx context.Context, call *resolveCall) {
	defer r.finish(call)
	for r.askOnce(ctx, call) {
	}
}

// askOnce reports whether to ask again, for the issuer was forgotten meanwhile.
func (r *resolver) askOnce(ctx context.Context, call *resolveCall) (again bool) {
	h, err := r.resolve(ctx, call)
	if err == nil {
		defer r.letGo(h)
		if err = r.waitForKeys(ctx, call, h); err == nil {
			r.askOwners(ctx, call, h)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking[call.issuer] != call {
		return false
	}
	if r.outdated(call, h) {
		call.next, err = nil, errForgotten
		if !call.answered && ctx.Err() == nil {
			return true
		}
	}
	if err == nil {
		err = r.keep(call, h)
	}
	if err != nil {
		r.fail(call, err)
	}
	return false
}

// resolve returns the verifier that Resolve does, held. If that was released
// meanwhile, Resolve did not know, and is asked again.
func (r *resolver) resolve(ctx context.Context, call *resolveCall) (*held, error) {
	for {
		r.number(call)
		v, err := r.cfg.Resolve(ctx, call.issuer)
		if err == nil && absent.Unmade(v) {
			err = errors.New("jwtauth: Resolve returned neither an error nor a verifier that NewVerifier made")
		}
		if err != nil {
			return nil, unavailable("issuer", err, authctx.WrongIssuer)
		}
		h, leaving := r.hold(call, v)
		if h != nil {
			return h, nil
		}
		select {
		case <-leaving:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return nil, errStillReleased
		}
	}
}

// waitForKeys waits for the keys of a new answer as long as the one before goes
// on: keys that are not there yet take no keys away that are.
func (r *resolver) waitForKeys(ctx context.Context, call *resolveCall, h *held) error {
	r.mu.Lock()
	known := r.replaced(call, h)
	r.mu.Unlock()
	if known == nil {
		return nil
	}
	keys := askReady(ctx, h.verifier, &known.readying)
	if keys.all() || !r.goOnUntilReady(call, h) {
		return nil
	}
	return keys.wait(ctx)
}

// replaced returns what h takes the place of, nil unless that is something else
// and may go on. It needs the lock.
func (r *resolver) replaced(call *resolveCall, h *held) *resolved {
	known := r.known[call.issuer]
	if known == nil || known.held == h || moment.Reached(r.end(known), r.cfg.Now()) {
		return nil
	}
	return known
}

// goOnUntilReady answers a call with what h takes the place of.
func (r *resolver) goOnUntilReady(call *resolveCall, h *held) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.replaced(call, h)
	if known == nil {
		return false
	}
	r.goOn(known, r.cfg.Now())
	known.goingOn = true
	call.answer(known.policy, nil)
	return true
}

// keep takes an answer over. It needs the lock.
func (r *resolver) keep(call *resolveCall, h *held) error {
	if r.closed.Load() {
		return errResolverClosed
	}
	now := r.cfg.Now()
	if err := r.ownKeys(call.issuer, h, now); err != nil {
		r.giveUpKeys(call.issuer, h, now)
		return err
	}
	policy := *h.verifier.policy
	a := &resolved{resolver: r, issuer: call.issuer, held: h, policy: &policy, since: now}
	policy.until, policy.Now, policy.answer = now.Add(r.cfg.MaxAge), r.cfg.Now, a
	policy.Cache.MaxAge = min(policy.Cache.MaxAge, r.cfg.Cache.MaxAge)
	r.insert(a)
	call.answer(a.policy, nil)
	r.crowd()
	return nil
}

// fail answers a call for which there is nothing new. It needs the lock.
func (r *resolver) fail(call *resolveCall, err error) {
	now, known := r.cfg.Now(), r.known[call.issuer]
	switch {
	case authctx.ReasonOf(err) == authctx.WrongIssuer:
		if known != nil {
			r.drop(known)
		}
		r.unknown.add(call.issuer, errIssuer, now.Add(r.cfg.UnknownFor), r.cfg.MaxIssuers)
	case known != nil && r.goOn(known, now):
		call.answer(known.policy, nil)
	case err == error(errForgotten) || r.outdated(call, nil): // the next may ask at once
	default:
		err = known.about(later(err))
		r.failing.add(call.issuer, err, now.Add(resolveCoolDown), r.cfg.MaxIssuers)
	}
	call.answer(nil, err)
}

// later says when to try again.
func later(err error) authctx.Error {
	refused := authctx.Error{Reason: authctx.Unavailable}
	if named, ok := errors.AsType[*authctx.Error](err); ok {
		refused = *named
	}
	refused.RetryAfter = cmp.Or(refused.RetryAfter, resolveCoolDown)
	return refused
}

// about is [issuerPolicy.about] for an issuer that was known; any other is only
// what a token says, and a is nil.
func (a *resolved) about(refused authctx.Error) error {
	if a != nil {
		refused.Cause = &issuerError{a.policy.Issuer, refused.Cause}
	}
	return &refused
}

// answer ends the wait of requests, if nothing has yet. It needs the lock.
func (c *resolveCall) answer(policy *issuerPolicy, err error) {
	if c.answered {
		return
	}
	c.answered, c.policy, c.err = true, policy, err
	for ; policy != nil && c.waiting > 0; c.waiting-- {
		policy.answer.use()
	}
	close(c.done)
}

// finish ends a call, whatever became of it. A panic of Resolve is a failure like
// others and ends no program: strangers choose what it is asked.
func (r *resolver) finish(call *resolveCall) {
	var err error = errNotResolved
	if p := recover(); p != nil {
		err = unavailable("issuer", fmt.Errorf("panic in Resolve: %v", p))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !call.answered {
		r.fail(call, err)
	}
	if r.asking[call.issuer] == call {
		delete(r.asking, call.issuer)
	}
	if len(r.asking) == 0 {
		clear(r.forgotten)
	}
	if call.stranger {
		r.strangers--
	}
}
