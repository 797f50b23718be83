package jwtauth

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// ResolverConfig says how a [ResolvingVerifier] finds its issuers. Resolve and
// Algorithms are required.
type ResolverConfig struct {
	// Resolve returns the verifier of an issuer. It is asked for whatever tokens
	// that nobody has verified name as "iss", so it must only look the name up,
	// never derive an address from it. [authctx.WrongIssuer] means that there is
	// no such issuer; any other error that nobody could tell. Requests for the
	// same issuer wait for one call, which runs on no request's context and
	// must end with its own. Two issuers must not share a key source: the
	// second is answered with [authctx.Unavailable], and not released.
	Resolve func(ctx context.Context, issuer string) (*Verifier, error)
	// Release, when it is not nil, is called with every verifier that Resolve
	// returned once it is no longer kept, so that its key source can be closed.
	// Requests that began before may still use it. Streams go on if the keys of
	// the next answer are the same.
	Release func(*Verifier)
	// Timeout bounds one call of Resolve; 5 s when zero.
	Timeout time.Duration
	// Algorithms are those that any issuer may use; each verifier has its own
	// list besides.
	Algorithms []Algorithm
	// MaxIssuers bounds how many verifiers are kept, the least recently used
	// leaving first; 1,000 when zero.
	MaxIssuers int
	// MaxAge is how long an answer of Resolve is believed, tokens in the cache
	// included; 10 minutes when zero.
	MaxAge time.Duration
	// UnknownFor is how long an issuer that does not exist is not asked about
	// again; one minute when zero.
	UnknownFor time.Duration
	// MaxTokenBytes, Cache and Now are as in [Config]. Now takes the place of
	// the verifiers' own clocks.
	MaxTokenBytes int
	Cache         CacheConfig
	Now           func() time.Time
}

// ResolvingVerifier verifies the tokens of issuers that are not known in
// advance, such as one for each customer. It keeps a bounded number of them, and
// strangers who make up issuers cannot push out one that is kept, nor hold up
// its renewal. It is safe for concurrent use.
type ResolvingVerifier struct {
	front    front
	resolver resolver
}

// Bounds of a resolver.
const (
	defaultMaxIssuers  = 1000
	defaultResolverAge = 10 * time.Minute
	defaultUnknownFor  = time.Minute
	defaultResolveTime = 5 * time.Second
	maxIssuerBytes     = 1024
	maxResolving       = 64 // issuers that are not kept
)

// NewResolvingVerifier returns a verifier, or an error that names every field
// that is missing or wrong. [ResolvingVerifier.Close] must be called in the end.
func NewResolvingVerifier(cfg ResolverConfig) (*ResolvingVerifier, error) {
	common := Config{
		Issuer: "-", Audiences: []string{"-"}, Keys: new(staticKeys), // each verifier has its own
		Algorithms: cfg.Algorithms, MaxTokenBytes: cfg.MaxTokenBytes, Cache: cfg.Cache, Now: cfg.Now,
	}
	errs := []error{common.validate()}
	if cfg.Resolve == nil {
		errs = append(errs, errors.New("jwtauth: Resolve is required"))
	}
	if cfg.MaxIssuers < 0 || cfg.MaxAge < 0 || cfg.UnknownFor < 0 || cfg.Timeout < 0 {
		errs = append(errs, errors.New("jwtauth: MaxIssuers, MaxAge, UnknownFor and Timeout must not be negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	common = common.withDefaults()
	cfg.MaxIssuers, cfg.MaxAge = cmp.Or(cfg.MaxIssuers, defaultMaxIssuers), cmp.Or(cfg.MaxAge, defaultResolverAge)
	cfg.UnknownFor, cfg.Now = cmp.Or(cfg.UnknownFor, defaultUnknownFor), common.Now
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultResolveTime)
	r := &ResolvingVerifier{resolver: resolver{
		cfg: cfg, parser: claimsParser(nil), recent: list.New(), known: map[string]*list.Element{}, unknown: map[string]time.Time{}, asking: map[string]*resolving{},
	}}
	r.resolver.ctx, r.resolver.cancel = context.WithCancel(context.Background())
	r.front.init(common.MaxTokenBytes, common.Algorithms, common.Cache)
	return r, nil
}

// Close ends the calls of Resolve, waits for them, and releases every verifier
// that is kept. Issuers are [authctx.Unavailable] after that, so close it after
// the servers that use it. It returns nil, and may be called again.
func (r *ResolvingVerifier) Close() error {
	r.resolver.close()
	return nil
}

// Verify is [Verifier.Verify].
func (r *ResolvingVerifier) Verify(ctx context.Context, token string) (authctx.Principal, error) {
	found, _, err := r.front.verify(ctx, &r.resolver, token)
	return plain(found, err)
}

// VerifyToken implements [TokenVerifier].
func (r *ResolvingVerifier) VerifyToken(ctx context.Context, token string) (VerifiedToken, error) {
	return result(r.front.verify(ctx, &r.resolver, token))
}

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
	strangers int // of asking: issuers that are not kept
	closed    bool
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
// be.
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
	}
}

// lookup returns what is known, or the call to wait for.
func (r *resolver) lookup(iss string) (*issuerPolicy, *resolving, error) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil, errResolverClosed
	}
	e := r.known[iss]
	if e != nil {
		if known := e.Value.(*resolved); now.Before(known.policy.until) {
			r.recent.MoveToFront(e)
			return known.policy, nil, nil
		}
	}
	if until, ok := r.unknown[iss]; ok && now.Before(until) {
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
	errNotResolved    = refusal(authctx.Unavailable, "Resolve did not return")
)

// start begins a call on a context of our own, so that no request that leaves
// takes the answer from the others. It needs the lock.
func (r *resolver) start(iss string, stranger bool) *resolving {
	call := &resolving{issuer: iss, stranger: stranger, done: make(chan struct{}), err: errNotResolved}
	r.asking[iss] = call
	if stranger {
		r.strangers++
	}
	r.owned.Go(func() {
		defer r.finish(call)
		ctx, cancel := context.WithTimeout(r.ctx, r.cfg.Timeout)
		defer cancel()
		call.policy, call.err = r.ask(ctx, iss)
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

// ask calls Resolve and keeps the answer.
func (r *resolver) ask(ctx context.Context, iss string) (*issuerPolicy, error) {
	v, err := r.cfg.Resolve(ctx, iss)
	if err == nil && v == nil {
		err = errors.New("jwtauth: Resolve returned neither a verifier nor an error")
	}
	if err != nil {
		err = unavailable("issuer", err, authctx.WrongIssuer)
	}
	policy, gone, err := r.keep(iss, v, err)
	r.release(gone)
	return policy, err
}

// keep remembers an answer and returns the verifiers that had to leave for it.
func (r *resolver) keep(iss string, v *Verifier, err error) (_ *issuerPolicy, gone []*Verifier, _ error) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var origins []any
	if err == nil {
		origins = keyOrigins(v.policy.Keys)
		err = r.ownKeys(iss, v.policy, origins)
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
	policy.present = func(ctx context.Context) (*issuerPolicy, error) { return r.find(ctx, iss) }
	r.known[iss] = r.recent.PushFront(&resolved{iss, v, &policy, origins})
	for r.recent.Len() > r.cfg.MaxIssuers {
		gone = append(gone, r.drop(r.recent.Back()))
	}
	return &policy, slices.DeleteFunc(gone, r.keeps), nil
}

// ownKeys refuses an answer whose keys are another issuer's too: a key serves
// one issuer. It needs the lock.
func (r *resolver) ownKeys(iss string, p *issuerPolicy, origins []any) error {
	shared := func(o any) bool { return slices.Contains(origins, o) }
	for e := r.recent.Front(); e != nil; e = e.Next() {
		other := e.Value.(*resolved)
		if other.issuer != iss && other.policy.Issuer != p.Issuer && slices.ContainsFunc(other.origins, shared) {
			return &authctx.Error{Reason: authctx.Unavailable, Cause: fmt.Errorf(
				"jwtauth: Resolve: the issuer %q shares its Keys with %q", p.Issuer, other.policy.Issuer)}
		}
	}
	return nil
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

func (r *resolver) release(gone []*Verifier) {
	if r.cfg.Release == nil {
		return
	}
	for _, v := range gone {
		r.cfg.Release(v)
	}
}

func (r *resolver) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.owned.Wait()
	r.mu.Lock()
	var gone []*Verifier
	for r.recent.Len() > 0 {
		if v := r.drop(r.recent.Front()); !r.keeps(v) {
			gone = append(gone, v)
		}
	}
	r.mu.Unlock()
	r.release(gone)
}
