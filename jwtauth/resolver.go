package jwtauth

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
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
	owned  sync.WaitGroup // calls of Resolve, and verifiers until they are released

	mu        sync.Mutex
	known     map[string]*resolved
	proven    *list.List // of known: a token was verified, the last time most recently in front
	newcomers *list.List // of known: others that are not in use, the latest in front
	unknown   denials    // issuers that do not exist
	failing   denials    // issuers of which nobody could tell
	asking    map[string]*resolving
	strangers int         // of asking: issuers that are not known
	closed    atomic.Bool // stays as it is while mu is held

	held    map[*Verifier]*held
	leaving map[*Verifier]chan struct{} // closed when its Release has ended
	calls   uint64                      // of Resolve
	failed  error                       // what Release did last in place of returning
}

// resolved is an answer that is kept.
type resolved struct {
	resolver *resolver
	issuer   string
	held     *held
	policy   *issuerPolicy // of the verifier, but it ends with the answer
	origins  []any         // of its keys
	asked    time.Time     // when it was taken over
	late     bool          // it could not be renewed: nobody waits for that any more
	requests int           // that use it
	proven   bool          // a token of the issuer was verified
	place    *list.Element // in proven or newcomers; nil while a newcomer is in use
}

// resolving is one call of Resolve, for which any number of requests wait.
type resolving struct {
	issuer   string
	stranger bool
	number   uint64          // among all calls
	ctx      context.Context // ends with its time
	waiting  int             // requests
	answered bool            // what follows is final, though the keys may be waited for yet
	policy   *issuerPolicy   // in use by each request that waited
	err      error
	done     chan struct{} // closed when answered
}

// resolveCoolDown is how long what could not be told is not asked again.
const resolveCoolDown = 10 * time.Second

var (
	errResolving      = refusal(authctx.Unavailable, "too many issuers are being looked up")
	errResolverClosed = refusal(authctx.Unavailable, "the resolving verifier is closed")
	errNotResolved    = refusal(authctx.Unavailable, "Resolve has not returned")
	errStillReleased  = refusal(authctx.Unavailable, "Release has not returned of the verifier that Resolve did")
)

// choose implements chooser. The policy is in use until its answer is left.
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
// be, though not for a Resolve that takes no notice of its context. The answer is
// in use until it is left.
func (r *resolver) find(ctx context.Context, iss string) (*issuerPolicy, error) {
	policy, call, err := r.lookup(iss)
	if call == nil {
		return policy, err
	}
	select {
	case <-call.done:
	case <-call.ctx.Done():
	case <-ctx.Done():
	}
	return r.collect(ctx, call)
}

// lookup returns what is known, or the call to wait for.
func (r *resolver) lookup(iss string) (*issuerPolicy, *resolving, error) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() {
		return nil, nil, errResolverClosed
	}
	known := r.known[iss]
	if known != nil && !moment.Reached(known.policy.until, now) {
		return known.use(), nil, nil
	}
	if err := r.denied(iss, now); err != nil {
		return nil, nil, err
	}
	late := known != nil && known.late && r.goOn(known, now)
	call := r.asking[iss]
	if call == nil || call.answered && !late {
		if known == nil && r.strangers >= maxResolving {
			return nil, nil, errResolving
		}
		call = r.start(strings.Clone(iss), known == nil)
	}
	if late {
		return known.use(), nil, nil
	}
	call.waiting++
	return nil, call, nil
}

// collect ends a request's wait for a call. If that is over without an answer, an
// issuer that is known goes on.
func (r *resolver) collect(ctx context.Context, call *resolving) (*issuerPolicy, error) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if call.answered {
		return call.policy, call.err
	}
	call.waiting--
	if r.closed.Load() {
		return nil, errResolverClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, unavailable("issuer", err)
	}
	if known := r.known[call.issuer]; known != nil && r.goOn(known, now) {
		return known.use(), nil
	}
	return nil, errNotResolved
}

// goOn lets an answer be believed for a little longer that could not be renewed,
// unless that has lasted for too long. It needs the lock.
func (r *resolver) goOn(a *resolved, now time.Time) bool {
	if !moment.Reached(a.policy.until, now) {
		return true
	}
	end := r.end(a)
	if moment.Reached(end, now) {
		return false
	}
	policy := *a.policy
	if policy.until = now.Add(resolveCoolDown); end.Before(policy.until) {
		policy.until = end
	}
	a.policy, a.late = &policy, true
	return true
}

// start begins a call on a context of our own, so that no request that leaves
// takes the answer from the others. It needs the lock.
func (r *resolver) start(iss string, stranger bool) *resolving {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
	call := &resolving{issuer: iss, stranger: stranger, ctx: ctx, done: make(chan struct{})}
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
func (r *resolver) ask(ctx context.Context, call *resolving) {
	defer r.finish(call)
	h, err := r.resolve(ctx, call)
	if err == nil {
		defer r.letGo(h)
		err = r.awaitKeys(ctx, call, h)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking[call.issuer] != call {
		return
	}
	if err == nil {
		err = r.keep(call, h)
	}
	if err != nil {
		r.fail(call, err)
	}
}

// resolve returns the verifier that Resolve does, held. If that was released
// meanwhile, Resolve did not know, and is asked again.
func (r *resolver) resolve(ctx context.Context, call *resolving) (*held, error) {
	for {
		r.number(call)
		v, err := r.cfg.Resolve(ctx, call.issuer)
		if err == nil && unmade(v) {
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

// awaitKeys waits for the keys of a new answer as long as the one before goes on:
// keys that are not there yet take no keys away that are.
func (r *resolver) awaitKeys(ctx context.Context, call *resolving, h *held) error {
	loaded, cancel := context.WithCancel(context.Background())
	cancel() // waits for nothing
	if all, _ := ready(loaded, h.verifier); all || !r.answerEarly(call, h) {
		return nil
	}
	_, err := ready(ctx, h.verifier)
	return err
}

// answerEarly answers a call with what was known before, if that is something
// else than h and may go on.
func (r *resolver) answerEarly(call *resolving, h *held) bool {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known[call.issuer]
	if known == nil || known.held == h || !r.goOn(known, now) {
		return false
	}
	known.late = true
	call.answer(known.policy, nil)
	return true
}

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

// keep takes an answer over. It needs the lock.
func (r *resolver) keep(call *resolving, h *held) error {
	if r.closed.Load() {
		return errResolverClosed
	}
	now, policy := r.cfg.Now(), *h.verifier.policy
	a := &resolved{
		resolver: r, issuer: call.issuer, held: h, policy: &policy, origins: keyOrigins(policy.Keys), asked: now,
	}
	policy.until, policy.Now, policy.answer = now.Add(r.cfg.MaxAge), r.cfg.Now, a
	if err := r.ownKeys(a, now); err != nil {
		h.borrowed = true
		return err
	}
	r.insert(a)
	call.answer(a.policy, nil)
	r.crowd()
	return nil
}

// ownKeys refuses an answer whose keys are another issuer's too: a key serves
// one issuer. Another whose answer is over is dropped. It needs the lock.
func (r *resolver) ownKeys(a *resolved, now time.Time) error {
	for _, other := range r.known {
		switch {
		case other.issuer == a.issuer || other.policy.Issuer == a.policy.Issuer || !shareKeys(a.origins, other.origins):
		case !moment.Reached(other.policy.until, now):
			return &authctx.Error{Reason: authctx.Unavailable, Cause: fmt.Errorf(
				"jwtauth: Resolve: the issuer %q shares its Keys with %q", a.policy.Issuer, other.policy.Issuer)}
		default:
			r.drop(other)
		}
	}
	return nil
}

// fail answers a call for which there is nothing new. It needs the lock.
func (r *resolver) fail(call *resolving, err error) {
	now, known := r.cfg.Now(), r.known[call.issuer]
	switch {
	case authctx.ReasonOf(err) == authctx.WrongIssuer:
		if known != nil {
			r.drop(known)
		}
		r.unknown.add(call.issuer, errIssuer, now.Add(r.cfg.UnknownFor), r.cfg.MaxIssuers)
	case known != nil && r.goOn(known, now):
		call.answer(known.policy, nil)
	default:
		err = later(err)
		r.failing.add(call.issuer, err, now.Add(resolveCoolDown), r.cfg.MaxIssuers)
	}
	call.answer(nil, err)
}

// later says when to try again.
func later(err error) error {
	refused := authctx.Error{Reason: authctx.Unavailable}
	if named, ok := errors.AsType[*authctx.Error](err); ok {
		refused = *named
	}
	refused.RetryAfter = cmp.Or(refused.RetryAfter, resolveCoolDown)
	return &refused
}

// answer ends the wait of requests, if nothing has yet. It needs the lock.
func (c *resolving) answer(policy *issuerPolicy, err error) {
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
func (r *resolver) finish(call *resolving) {
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
	if call.stranger {
		r.strangers--
	}
}

// over reports whether an answer is not to be believed any more.
func (r *resolver) over(p *issuerPolicy, now time.Time) bool {
	return r.closed.Load() || moment.Reached(p.until, now)
}

// denied returns why an issuer is not asked about now. It needs the lock.
func (r *resolver) denied(iss string, now time.Time) error {
	if err := r.unknown.find(iss, now); err != nil {
		return err
	}
	return r.failing.find(iss, now)
}

// denials are what issuers are answered with for a while.
type denials map[string]denial

type denial struct {
	err   error
	until time.Time
}

func (d denials) find(iss string, now time.Time) error {
	if no, ok := d[iss]; ok && !moment.Reached(no.until, now) {
		return no.err
	}
	return nil
}

func (d denials) add(iss string, err error, until time.Time, bound int) {
	if len(d) >= bound {
		clear(d)
	}
	d[iss] = denial{err, until}
}
