package jwtauth

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/moment"
	"github.com/authctx/authctx/internal/strictjson"
)

// resolver remembers what Resolve answered.
type resolver struct {
	cfg    ResolverConfig
	parser *strictjson.Parser
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	owned  sync.WaitGroup

	mu        sync.Mutex
	recent    *list.List // of resolved, most recently used first
	known     map[string]*list.Element
	unknown   map[string]time.Time // until when an issuer is known not to exist
	asking    map[string]*resolving
	strangers int         // of asking: issuers that are not kept
	closed    atomic.Bool // stays as it is while mu is held
	failed    error       // what Release did last in place of returning
}

// resolved is one answer.
type resolved struct {
	issuer   string
	verifier *Verifier
	policy   *issuerPolicy // of verifier, but it ends with the answer
	origins  []any         // of its keys
}

// resolving is one call of Resolve, for which any number of requests wait.
type resolving struct {
	issuer   string
	stranger bool
	ctx      context.Context // ends with its time
	policy   *issuerPolicy
	err      error
	done     chan struct{} // closed at its end
}

// choose implements chooser.
func (r *resolver) choose(ctx context.Context, s *scratch) (*issuerPolicy, error) {
	if err := s.parseClaims(r.parser); err != nil {
		return nil, err
	}
	iss, _ := s.doc.Get("iss").Text()
	if iss == "" || len(iss) > maxIssuerBytes {
		return nil, errIssuer
	}
	return r.find(ctx, iss)
}

// find returns the present answer about an issuer, which it waits for if need
// be, though not for a Resolve that takes no notice of its context.
func (r *resolver) find(ctx context.Context, iss string) (*issuerPolicy, error) {
	policy, call, err := r.lookup(iss)
	if call == nil {
		return policy, err
	}
	select {
	case <-call.done:
		return call.policy, call.err
	case <-ctx.Done():
		return nil, unavailable("issuer", ctx.Err())
	case <-call.ctx.Done():
	}
	select {
	case <-call.done: // its context ends then, too
		return call.policy, call.err
	default:
		return nil, errNotResolved
	}
}

// lookup returns what is known, or the call to wait for.
func (r *resolver) lookup(iss string) (*issuerPolicy, *resolving, error) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() {
		return nil, nil, errResolverClosed
	}
	e := r.known[iss]
	if e != nil {
		if known := e.Value.(*resolved); !moment.Reached(known.policy.until, now) {
			r.recent.MoveToFront(e)
			return known.policy, nil, nil
		}
	}
	if until, ok := r.unknown[iss]; ok && !moment.Reached(until, now) {
		return nil, nil, errIssuer
	}
	if call := r.asking[iss]; call != nil {
		return nil, call, nil
	}
	if e == nil && r.strangers >= maxResolving {
		return nil, nil, errResolving
	}
	return nil, r.start(strings.Clone(iss), e == nil), nil
}

var (
	errResolving      = refusal(authctx.Unavailable, "too many issuers are being looked up")
	errResolverClosed = refusal(authctx.Unavailable, "the resolving verifier is closed")
	errNotResolved    = refusal(authctx.Unavailable, "Resolve has not returned")
)

// start begins a call on a context of our own, so that no request that leaves
// takes the answer from the others. It needs the lock.
func (r *resolver) start(iss string, stranger bool) *resolving {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
	call := &resolving{issuer: iss, stranger: stranger, ctx: ctx, done: make(chan struct{}), err: errNotResolved}
	r.asking[iss] = call
	if stranger {
		r.strangers++
	}
	r.owned.Go(func() {
		defer cancel()
		r.release(r.ask(ctx, call))
	})
	return call
}

// finish wakes whoever waits, whatever became of the call. A panic of Resolve is
// a failure like others and ends no program: strangers choose what it is asked.
func (r *resolver) finish(call *resolving) {
	if p := recover(); p != nil {
		call.err = unavailable("issuer", fmt.Errorf("panic in Resolve: %v", p))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.asking, call.issuer)
	if call.stranger {
		r.strangers--
	}
	close(call.done)
}

// ask calls Resolve, keeps the answer and ends the call. It returns the verifiers
// that had to leave: nobody waits for their release.
func (r *resolver) ask(ctx context.Context, call *resolving) (gone []*Verifier) {
	defer r.finish(call)
	v, err := r.cfg.Resolve(ctx, call.issuer)
	if err == nil && v == nil {
		err = errors.New("jwtauth: Resolve returned neither a verifier nor an error")
	}
	if err != nil {
		err = unavailable("issuer", err, authctx.WrongIssuer)
	}
	call.policy, gone, call.err = r.keep(call.issuer, v, err)
	return gone
}

// keep remembers an answer and returns the verifiers that had to leave for it.
func (r *resolver) keep(iss string, v *Verifier, err error) (_ *issuerPolicy, gone []*Verifier, _ error) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var origins []any
	if err == nil {
		origins = keyOrigins(v.policy.Keys)
		gone, err = r.ownKeys(iss, v.policy, origins, now)
	}
	if err == nil && r.closed.Load() {
		gone, err = append(gone, v), errResolverClosed
	}
	unknown := errors.Is(err, authctx.WrongIssuer)
	if e := r.known[iss]; e != nil && (err == nil || unknown) {
		gone = append(gone, r.drop(e))
	}
	if unknown {
		if len(r.unknown) >= r.cfg.MaxIssuers {
			clear(r.unknown)
		}
		r.unknown[iss] = now.Add(r.cfg.UnknownFor)
	}
	if err != nil {
		return nil, slices.DeleteFunc(gone, r.keeps), err
	}
	delete(r.unknown, iss)
	policy := *v.policy
	policy.until, policy.Now = now.Add(r.cfg.MaxAge), r.cfg.Now
	policy.resolver, policy.resolvedAs = r, iss
	r.known[iss] = r.recent.PushFront(&resolved{iss, v, &policy, origins})
	for r.recent.Len() > r.cfg.MaxIssuers {
		gone = append(gone, r.drop(r.recent.Back()))
	}
	return &policy, slices.DeleteFunc(gone, r.keeps), nil
}

// ownKeys refuses an answer whose keys are another issuer's too: a key serves
// one issuer. It returns the verifiers that held them and had to leave, because
// nothing believes them any more. It needs the lock.
func (r *resolver) ownKeys(iss string, p *issuerPolicy, origins []any, now time.Time) (gone []*Verifier, _ error) {
	for e := r.recent.Front(); e != nil; {
		this, other := e, e.Value.(*resolved)
		e = e.Next()
		switch {
		case other.issuer == iss || other.policy.Issuer == p.Issuer || !shareKeys(origins, other.origins):
		case !moment.Reached(other.policy.until, now):
			return gone, &authctx.Error{Reason: authctx.Unavailable, Cause: fmt.Errorf(
				"jwtauth: Resolve: the issuer %q shares its Keys with %q", p.Issuer, other.policy.Issuer)}
		default:
			gone = append(gone, r.drop(this))
		}
	}
	return gone, nil
}

// over reports whether an answer is not to be believed any more.
func (r *resolver) over(p *issuerPolicy, now time.Time) bool {
	return r.closed.Load() || moment.Reached(p.until, now)
}

// keeps reports whether an answer that is kept is v. Issuers may share one whose
// name is a template.
func (r *resolver) keeps(v *Verifier) bool {
	for e := r.recent.Front(); e != nil; e = e.Next() {
		if e.Value.(*resolved).verifier == v {
			return true
		}
	}
	return false
}

func (r *resolver) drop(e *list.Element) *Verifier {
	old := r.recent.Remove(e).(*resolved)
	delete(r.known, old.issuer)
	return old.verifier
}

// release lets go of verifiers, of each whatever becomes of the others.
func (r *resolver) release(gone []*Verifier) {
	if r.cfg.Release == nil {
		return
	}
	for _, v := range gone {
		r.releaseOne(v)
	}
}

func (r *resolver) releaseOne(v *Verifier) {
	defer func() {
		if p := recover(); p != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.failed = fmt.Errorf("jwtauth: panic in Release: %v", p)
		}
	}()
	r.cfg.Release(v)
}

func (r *resolver) close() error {
	r.mu.Lock()
	r.closed.Store(true)
	r.mu.Unlock()
	r.cancel()
	r.await(r.owned.Wait)
	r.mu.Lock()
	var gone []*Verifier
	for r.recent.Len() > 0 {
		if v := r.drop(r.recent.Front()); !r.keeps(v) {
			gone = append(gone, v)
		}
	}
	r.mu.Unlock()
	released := r.await(func() { r.release(gone) })
	r.mu.Lock()
	defer r.mu.Unlock()
	if !released {
		return errors.Join(r.failed, errNotReleased)
	}
	return r.failed
}

var errNotReleased = errors.New("jwtauth: Release has not returned")

// await waits for f and reports whether it has returned, but does not wait for
// ever for a Resolve or Release that does not.
func (r *resolver) await(f func()) bool {
	ended := make(chan struct{})
	go func() {
		f()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-time.After(r.cfg.Timeout):
		return false
	}
}
