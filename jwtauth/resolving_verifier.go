package jwtauth

import (
	"cmp"
	"container/list"
	"context"
	"time"

	"github.com/authctx/authctx"
)

// ResolvingVerifierConfig says how a [ResolvingVerifier] finds its issuers. Resolve and
// Algorithms are required.
type ResolvingVerifierConfig struct {
	// Resolve returns the verifier of an issuer. It is asked for whatever tokens
	// that nobody has verified name as "iss", so it must only look the name up,
	// never derive an address from it. [authctx.WrongIssuer] means that there is
	// no such issuer; any other error that nobody could tell, and then it is not
	// asked about that issuer for ten seconds.
	//
	// While nothing has changed, the verifier of last time is the best answer.
	// Another takes its place when its keys are there: a key source with a method
	// like [RemoteKeys.Ready] is waited for, and meanwhile the one before goes on,
	// so that a provider which is down takes away no keys that are known. Of
	// sources that are joined, one with keys suffices. A source whose Ready takes
	// no notice of its context counts as one without keys and is left to itself.
	// While eight of an issuer have not returned, later answers about it count as
	// without the keys of whatever has a Ready, but for [RemoteKeys]. After
	// MaxStale the other counts with its keys or without. WrongIssuer is what
	// counts at once, for tokens in the cache and streams too.
	//
	// Requests for the same issuer wait for one call, which runs on no request's
	// context and must end with its own. One that does not is given up: its
	// issuer is [authctx.Unavailable] until it returns, unless MaxStale lets it
	// go on, and 64 of them stop the lookup of new issuers, because strangers
	// could begin any number.
	//
	// Two issuers must not share a key source or a static key: while the answer
	// about the first is believed, the second is answered with
	// [authctx.Unavailable], and not released.
	Resolve func(ctx context.Context, issuer string) (*Verifier, error)
	// Release, when it is not nil, is called with every verifier that Resolve
	// returned once it is not kept any more and no request uses it, so that its
	// key source can be closed. Streams go on if the keys of the next answer are
	// the same. If Resolve returns a verifier that is being released, it is asked
	// again after that. No request waits for Release, and nothing bounds how many
	// run at once, so it must return.
	Release func(*Verifier)
	// Timeout bounds one call of Resolve, and how long requests wait for it and
	// Close for it and for Release: at least 1 ms, 5 s when zero.
	Timeout time.Duration
	// Algorithms are those that any issuer may use; each verifier has its own
	// list besides.
	Algorithms []Algorithm
	// MaxIssuers bounds how many verifiers are kept besides those that requests
	// use, the least recently used leaving first; 1,000 when zero. An issuer is
	// used when a token of it is verified; those that somebody has only named
	// share the room that is left, which is never less than one. They have the
	// room of those, too, that were not used for MaxAge and MaxStale together.
	//
	// It must exceed the number of issuers in use. Otherwise they push one another
	// out, with their tokens in the cache, each that comes back costs a Resolve
	// and a load of its keys, and strangers can bring back any that is not kept.
	MaxIssuers int
	// MaxAge is how long an answer of Resolve is believed, tokens in the cache
	// included: at least 1 ms, 10 minutes when zero. Streams are rechecked by the
	// next answer.
	MaxAge time.Duration
	// MaxStale is how long the last answer goes on when Resolve cannot tell, or
	// while the keys of its next answer are not there, counted as MaxAge is; a day
	// when zero. It must not be shorter than MaxAge; when it is the same, nothing
	// goes on. Requests wait for the first renewal that fails. Those after it, ten
	// seconds apart, hold up nobody, and WrongIssuer counts when it comes.
	MaxStale time.Duration
	// UnknownFor is how long an issuer that does not exist is not asked about
	// again: at least 1 ms, one minute when zero.
	UnknownFor time.Duration
	// MaxTokenBytes, Cache and Now are as in [VerifierConfig]. Now takes the place of
	// the verifiers' own clocks.
	MaxTokenBytes int
	Cache         CacheConfig
	Now           func() time.Time
}

// ResolvingVerifier verifies the tokens of issuers that are not known in
// advance, such as one for each customer. It keeps a bounded number of them, and
// strangers who name issuers cannot push out one a token of which was verified,
// nor hold up its renewal. It is safe for concurrent use.
type ResolvingVerifier struct {
	front    front
	resolver resolver
}

// Bounds of a resolver.
const (
	defaultMaxIssuers    = 1000
	defaultResolverAge   = 10 * time.Minute
	defaultResolverStale = 24 * time.Hour
	defaultUnknownFor    = time.Minute
	defaultResolveTime   = 5 * time.Second
	maxIssuerBytes       = 1024
	maxResolving         = 64 // issuers that are not kept
)

// NewResolvingVerifier returns a verifier, or an error that names every field
// that is missing or wrong. [ResolvingVerifier.Close] must be called in the end.
func NewResolvingVerifier(cfg ResolvingVerifierConfig) (*ResolvingVerifier, error) {
	common := VerifierConfig{
		Issuer: "-", Audiences: []string{"-"}, Keys: new(staticKeys), // each verifier has its own
		Algorithms: cfg.Algorithms, MaxTokenBytes: cfg.MaxTokenBytes, Cache: cfg.Cache, Now: cfg.Now,
	}
	problems := common.validate()
	if cfg.Resolve == nil {
		problems.add("Resolve is required")
	}
	if cfg.MaxIssuers < 0 {
		problems.add("MaxIssuers must not be negative")
	}
	problems.atLeast(time.Millisecond, "Timeout", cfg.Timeout)
	problems.atLeast(time.Millisecond, "MaxAge", cfg.MaxAge)
	problems.atLeast(time.Millisecond, "UnknownFor", cfg.UnknownFor)
	maxAge := cmp.Or(cfg.MaxAge, defaultResolverAge)
	if cfg.MaxStale != 0 && cfg.MaxStale < maxAge {
		problems.add("MaxStale must not be shorter than MaxAge, which is %v", maxAge)
	}
	if err := problems.of("resolving verifier"); err != nil {
		return nil, err
	}
	common = common.withDefaults()
	cfg.MaxIssuers, cfg.MaxAge = cmp.Or(cfg.MaxIssuers, defaultMaxIssuers), maxAge
	cfg.MaxStale = cmp.Or(cfg.MaxStale, max(defaultResolverStale, maxAge))
	cfg.UnknownFor, cfg.Now = cmp.Or(cfg.UnknownFor, defaultUnknownFor), common.Now
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultResolveTime)
	r := &ResolvingVerifier{resolver: resolver{
		cfg: cfg, parser: claimsParser(nil), proven: list.New(), newcomers: list.New(),
		known: map[string]*resolved{}, owners: keyOwners{}, unknown: denials{}, failing: denials{}, asking: map[string]*resolveCall{},
		readying: map[string]int{}, held: map[*Verifier]*held{}, leaving: map[*Verifier]chan struct{}{},
	}}
	r.resolver.ctx, r.resolver.cancel = context.WithCancel(context.Background())
	r.front.init(common.MaxTokenBytes, common.Algorithms, common.Cache)
	return r, nil
}

// Close ends the calls of Resolve and releases every verifier that is kept, those
// in use when their requests end. It waits for all this no longer than the
// Timeout; what Resolve returns later is released then. All tokens are
// [authctx.Unavailable] after that, in the cache or not, so close it after the
// servers that use it. It may be called again. The error says that Release
// panicked, now or earlier, or has not returned.
func (r *ResolvingVerifier) Close() error { return r.resolver.close() }

// Verify is [Verifier.Verify].
func (r *ResolvingVerifier) Verify(ctx context.Context, token string) (authctx.Principal, error) {
	found, _, err := r.verify(ctx, token)
	return plain(found, err)
}

// VerifyToken implements [TokenVerifier].
func (r *ResolvingVerifier) VerifyToken(ctx context.Context, token string) (VerifiedToken, error) {
	return result(r.verify(ctx, token))
}

func (r *ResolvingVerifier) verify(ctx context.Context, token string) (_ *verified, cached bool, _ error) {
	if r.resolver.closed.Load() { // the cache does not know
		return nil, false, errResolverClosed
	}
	return r.front.verify(ctx, &r.resolver, token)
}
