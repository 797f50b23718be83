package jwtauth

import (
	"container/list"
	"context"
	"errors"
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
	// same issuer wait for one call.
	Resolve func(ctx context.Context, issuer string) (*Verifier, error)
	// Release, when it is not nil, is called with every verifier that Resolve
	// returned once it is no longer kept, so that its key source can be closed.
	// Requests that began before may still use it.
	Release func(*Verifier)
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
// strangers who make up issuers cannot push out one that is kept. It is safe for
// concurrent use.
type ResolvingVerifier struct {
	front    front
	resolver resolver
}

// Bounds of a resolver.
const (
	defaultMaxIssuers  = 1000
	defaultResolverAge = 10 * time.Minute
	defaultUnknownFor  = time.Minute
	maxIssuerBytes     = 1024
	maxResolving       = 64
)

// NewResolvingVerifier returns a verifier, or an error that names every field
// that is missing or wrong.
func NewResolvingVerifier(cfg ResolverConfig) (*ResolvingVerifier, error) {
	common := Config{
		Issuer: "-", Audiences: []string{"-"}, Keys: new(staticKeys), // each verifier has its own
		Algorithms: cfg.Algorithms, MaxTokenBytes: cfg.MaxTokenBytes, Cache: cfg.Cache, Now: cfg.Now,
	}
	errs := []error{common.validate()}
	if cfg.Resolve == nil {
		errs = append(errs, errors.New("jwtauth: Resolve is required"))
	}
	if cfg.MaxIssuers < 0 || cfg.MaxAge < 0 || cfg.UnknownFor < 0 {
		errs = append(errs, errors.New("jwtauth: MaxIssuers, MaxAge and UnknownFor must not be negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	common = common.withDefaults()
	cfg.MaxIssuers, cfg.MaxAge = orDefault(cfg.MaxIssuers, defaultMaxIssuers), orDefault(cfg.MaxAge, defaultResolverAge)
	cfg.UnknownFor, cfg.Now = orDefault(cfg.UnknownFor, defaultUnknownFor), common.Now
	r := &ResolvingVerifier{resolver: resolver{
		cfg: cfg, parser: claimsParser(nil), recent: list.New(), known: map[string]*list.Element{}, unknown: map[string]time.Time{}, asking: map[string]chan struct{}{},
	}}
	r.front.init(common.MaxTokenBytes, common.Algorithms, common.Cache)
	return r, nil
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

	mu      sync.Mutex
	recent  *list.List // of resolved, most recently used first
	known   map[string]*list.Element
	unknown map[string]time.Time // until when an issuer is known not to exist
	asking  map[string]chan struct{}
}

// resolved is one answer.
type resolved struct {
	issuer   string
	verifier *Verifier
	policy   *issuerPolicy // of verifier, but it ends with the answer
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
	for {
		policy, wait, err := r.lookup(iss)
		if policy != nil || err != nil {
			return policy, err
		}
		if wait == nil {
			return r.ask(ctx, strings.Clone(iss))
		}
		select {
		case <-wait: // whoever asked may have been cut off: look again
		case <-ctx.Done():
			return nil, unavailable("issuer", ctx.Err())
		}
	}
}

// lookup returns what is known, or a channel to wait on. When it returns nothing
// at all the caller must ask.
func (r *resolver) lookup(iss string) (*issuerPolicy, <-chan struct{}, error) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.known[iss]; e != nil {
		if known := e.Value.(*resolved); now.Before(known.policy.until) {
			r.recent.MoveToFront(e)
			return known.policy, nil, nil
		}
	}
	if until, ok := r.unknown[iss]; ok && now.Before(until) {
		return nil, nil, errIssuer
	}
	if wait := r.asking[iss]; wait != nil {
		return nil, wait, nil
	}
	if len(r.asking) >= maxResolving {
		return nil, nil, errResolving
	}
	r.asking[strings.Clone(iss)] = make(chan struct{})
	return nil, nil, nil
}

var errResolving = refusal(authctx.Unavailable, "too many issuers are being looked up")

// ask calls Resolve on behalf of everybody who waits.
func (r *resolver) ask(ctx context.Context, iss string) (*issuerPolicy, error) {
	defer r.asked(iss)
	v, err := r.cfg.Resolve(ctx, iss)
	if err == nil && v == nil {
		err = errors.New("jwtauth: Resolve returned neither a verifier nor an error")
	}
	policy, gone := r.keep(iss, v, err)
	for _, old := range gone {
		if r.cfg.Release != nil {
			r.cfg.Release(old)
		}
	}
	if err != nil {
		return nil, unavailable("issuer", err, authctx.WrongIssuer)
	}
	return policy, nil
}

// asked wakes whoever waits, whatever became of the call.
func (r *resolver) asked(iss string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.asking[iss])
	delete(r.asking, iss)
}

// keep remembers an answer and returns the verifiers that had to leave for it.
func (r *resolver) keep(iss string, v *Verifier, err error) (_ *issuerPolicy, gone []*Verifier) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
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
		return nil, slices.DeleteFunc(gone, r.keeps)
	}
	delete(r.unknown, iss)
	policy := *v.policy
	policy.until, policy.Now = now.Add(r.cfg.MaxAge), r.cfg.Now
	r.known[iss] = r.recent.PushFront(&resolved{iss, v, &policy})
	for r.recent.Len() > r.cfg.MaxIssuers {
		gone = append(gone, r.drop(r.recent.Back()))
	}
	return &policy, slices.DeleteFunc(gone, r.keeps)
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
