package jwtauth

import (
	"cmp"
	"container/list"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/moment"
	"github.com/authctx/authctx/internal/strictjson"
)

// resolver remembers what Resolve answered. An issuer is
//
//   - asked about while a call of Resolve runs (asking). Requests wait for it unless
//     they have an answer that may be used.
//   - kept when there was an answer (known), which is used as it is until MaxAge.
//   - a newcomer at first, and proven once a token of it was verified. Newcomers
//     leave before others, but none while a request uses it.
//   - going on when its answer could not be renewed, which is used until MaxStale
//     and renewed behind the requests.
//   - denied for a while when there is no such issuer (unknown) or nobody could tell
//     (failing).
//   - none of these once it is forgotten (forgotten), as if nobody had named it yet. A
//     call that had begun for whoever waits asks Resolve again.
//
// An answer that is no longer kept stays while requests use it, but counts for no
// cached token and no stream. A verifier that no answer and no call needs is
// released; until that has ended, Resolve is asked for another.
type resolver struct {
	cfg    ResolvingVerifierConfig
	parser *strictjson.Parser
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	owned  sync.WaitGroup // calls of Resolve, and verifiers until they are released

	mu        sync.Mutex
	known     map[string]*resolved
	owners    keyOwners  // of known
	proven    *list.List // of known: a token was verified, the last time most recently in front
	newcomers *list.List // of known: others that are not in use, the latest in front
	unknown   denials    // issuers that do not exist
	failing   denials    // issuers of which nobody could tell
	asking    map[string]*resolveCall
	strangers int               // of asking: issuers that are not known
	forgotten map[string]uint64 // by name: calls of Resolve that had begun by then; empty when none goes on
	closed    atomic.Bool       // stays as it is while mu is held

	held    map[*Verifier]*held
	leaving map[*Verifier]chan struct{} // closed when its Release has ended
	calls   uint64                      // of Resolve
	failed  error                       // the last panic of Release
}

// resolved is an answer that is kept.
type resolved struct {
	resolver *resolver
	issuer   string
	held     *held
	policy   *issuerPolicy // of the verifier, but it ends with the answer
	since    time.Time     // when it was taken over
	goingOn  bool          // it could not be renewed in time: nobody waits for that any more
	requests int           // that use it
	ended    atomic.Bool   // it is not kept any more
	*standing
}

// standing is what an issuer keeps from one answer to the next.
type standing struct {
	readying atomic.Int32 // key sources that have not said whether they have keys

	inUse  int           // requests that use any answer about it
	proven bool          // a token of it was verified
	used   time.Time     // when that was last
	place  *list.Element // in proven or newcomers; nil while a newcomer is in use
}

// resolveCoolDown is how long what could not be told is not asked again.
const resolveCoolDown = 10 * time.Second

var (
	errResolving      = refusal(authctx.Unavailable, "too many issuers are being looked up")
	errResolverClosed = refusal(authctx.Unavailable, "the resolving verifier is closed")
	errNotResolved    = refusal(authctx.Unavailable, "Resolve has not returned")
	errForgotten      = refusal(authctx.Unavailable, "the issuer was forgotten while it was looked up")
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
func (r *resolver) lookup(iss string) (*issuerPolicy, *resolveCall, error) {
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
	if err := cmp.Or(r.unknown.find(iss, now), r.failing.find(iss, now)); err != nil {
		return nil, nil, err
	}
	goesOn := known != nil && known.goingOn && r.goOn(known, now)
	call := r.asking[iss]
	if call == nil || call.answered && !goesOn {
		if known == nil && r.strangers >= maxResolving {
			return nil, nil, errResolving
		}
		call = r.start(strings.Clone(iss), known == nil)
	}
	if goesOn {
		return known.use(), nil, nil
	}
	call.waiting++
	return nil, call, nil
}

// collect ends a request's wait for a call. If that is over without an answer, an
// issuer that is known goes on.
func (r *resolver) collect(ctx context.Context, call *resolveCall) (*issuerPolicy, error) {
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
	known := r.known[call.issuer]
	if known != nil && r.goOn(known, now) {
		return known.use(), nil
	}
	return nil, known.about(*errNotResolved)
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
	a.policy, a.goingOn = &policy, true
	return true
}

// end is when an answer cannot go on any more.
func (r *resolver) end(a *resolved) time.Time { return a.since.Add(r.cfg.MaxStale) }
