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
	// Resolve returns the verifier of an issuer. The issuer is the "iss" of a token that
	// nobody has verified yet, so look it up, and never derive an address from it. If
	// nothing has changed, return the same verifier as last time, unless Release has
	// closed its keys.
	//
	// Return [authctx.WrongIssuer] if there is no such issuer. If there was one, this
	// ends its cached tokens and its streams too, but not before Resolve is asked again:
	// after MaxAge, or after a call of [ResolvingVerifier.Forget]. Any other error means
	// that nobody could tell, and Resolve is not called for that issuer again for ten
	// seconds. Such an error should name the issuer, for the operator.
	//
	// If the program has an issuer of its own beside its customers', Resolve returns its
	// verifier like theirs, and Release must not close it if others use it.
	//
	// Resolve must be safe for concurrent use. Requests for the same issuer wait for
	// one call, whose context belongs to none of them, and Resolve must return when
	// that ends. Until it does, its issuer is [authctx.Unavailable], unless MaxStale
	// keeps the last answer. While 64 calls about new issuers are under way, no other
	// new issuer is looked up, since strangers could begin any number.
	//
	// A different verifier takes over when it has keys, or after MaxStale. Until then
	// the last one goes on, so that a provider which is down takes no known keys away.
	// A key source with a method like [RemoteKeys.Ready] is asked whether it has keys;
	// any other counts as having them, and of joined sources one suffices. Ready must
	// return when its context ends; otherwise the source counts as having none, and
	// while eight such calls about an issuer have not returned, no other source of it
	// is asked either, except [RemoteKeys].
	//
	// A key source or a static key serves one issuer. While the answer about the first
	// issuer is believed, a second issuer with the same key is [authctx.Unavailable].
	// After that, if a token of the first issuer was verified, Resolve is asked about the
	// first again, and the first keeps the key until Resolve returns WrongIssuer for it or
	// a verifier without that key. If that verifier has keys of another issuer in its
	// turn, the first keeps the old ones until MaxStale.
	//
	// So where customers bring their own keys, have each prove that it has the private
	// key, and register no key twice. Public keys are no secret: a customer that has
	// another's registered beside its own, and is asked about first, keeps the other
	// out.
	//
	// Resolve is asked about each spelling of an issuer that has
	// [VerifierConfig.IssuerAliases], and returns one verifier for all. To rename such
	// an issuer, make its next name an alias for MaxAge first. Otherwise the next name is
	// another issuer with the same keys, and its tokens are [authctx.Unavailable] until
	// no earlier spelling keeps them, which may take MaxStale unless that is forgotten.
	Resolve func(ctx context.Context, issuer string) (*Verifier, error)
	// Release, if not nil, is called with each verifier that Resolve returned, also with
	// one that is refused, once it is no longer kept and no request uses it, so that its
	// key source can be closed. If it is, Resolve returns a new verifier from then on,
	// even if nothing else has changed. Streams go on if the next answer has the same
	// keys. If Resolve returns a verifier that is being released, Resolve is asked again
	// when that is done. No request waits for Release, and nothing bounds how many run at
	// once, so it must return.
	//
	// If Release closes key sources, give each verifier one of its own, as in the example.
	// If several have one, count them, and close it with the last: if it were closed with
	// the first, a customer that registers another's address could have the other's keys
	// closed.
	Release func(*Verifier)
	// Timeout bounds one call of Resolve, and how long requests wait for it and
	// Close for it and for Release: at least 1 ms, 5 s when zero.
	Timeout time.Duration
	// Algorithms are those that any issuer may use; each verifier has its own
	// list besides.
	Algorithms []Algorithm
	// MaxIssuers bounds how many verifiers are kept, besides those that requests
	// are using; 1,000 when zero. The least recently used leaves first, where an
	// issuer is used when a token of it is verified. Issuers of which no token was
	// verified, which anybody can name, have the remaining room, at least one
	// place, and the places of issuers that were not used for MaxAge plus MaxStale.
	// An issuer counts once for each of its spellings that tokens have, though one
	// verifier serves them all.
	//
	// It must exceed the number of issuers in use. Otherwise they push one another
	// out together with their tokens in the cache, and each that comes back costs a
	// Resolve and a load of its keys, which strangers can cause, too.
	MaxIssuers int
	// MaxAge is how long an answer of Resolve is believed, tokens in the cache
	// included: at least 1 ms, 10 minutes when zero. Streams are rechecked by the
	// next answer.
	MaxAge time.Duration
	// MaxStale is how long an answer of Resolve is believed in all, MaxAge included, if
	// it cannot be renewed: because Resolve fails, or because the keys of the new answer
	// are not there yet or are another issuer's. Zero means a day, or MaxAge if that is
	// longer. It must not be shorter than MaxAge; if the two are the same, no answer is
	// believed for longer than MaxAge. Requests wait for the first renewal that fails;
	// later ones are ten seconds apart and delay no request.
	MaxStale time.Duration
	// UnknownFor is how long an issuer that does not exist is not asked about
	// again: at least 1 ms, one minute when zero. [ResolvingVerifier.Forget] ends it.
	UnknownFor time.Duration
	// MaxTokenBytes, Cache and Now are as in [VerifierConfig], defaults included. A
	// token must also meet the MaxTokenBytes of its issuer's verifier, and is
	// remembered only if that one's Cache is not Disabled and no longer than its
	// Cache.MaxAge. Now takes the place of the verifiers' own clocks.
	MaxTokenBytes int
	Cache         CacheConfig
	Now           func() time.Time
}

// ResolvingVerifier verifies the tokens of issuers that are not known in
// advance, such as one for each customer. It keeps a bounded number of them, and
// strangers who name issuers cannot push out one a token of which was verified,
// nor hold up its renewal. It is safe for concurrent use.
//
// Each issuer says of its callers which roles, permissions, scopes and groups they
// have and which tenant they act in, and [authctx.Role] and its like ask for no
// issuer: a customer whose provider writes "admin" has admins, of whichever tenant
// it names. Where not all issuers are believed alike, let the [ClaimMapping] of each
// keep that apart, by a prefix of your own ([ClaimSource].AddPrefix) and a Tenant of
// your own ([ClaimSource].Constant); or let rules ask for the [authctx.Issuer] as well.
//
// It also says of them their kind, client, [authctx.Principal.ACR] and time of login, and
// who acts for them ("act"), for which it may name any issuer: a customer can call your
// own support desk the actor of its user. The customers' mappings should refuse "act"
// ([ClaimMappingConfig].Refuse), unless no rule and no service goes by it.
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
		Issuer: "-", Audiences: []string{"-"}, Keys: &staticKeys{byID: map[string]*Key{}}, // each verifier has its own
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
	cfg.UnknownFor, cfg.Now, cfg.Cache = cmp.Or(cfg.UnknownFor, defaultUnknownFor), common.Now, common.Cache
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultResolveTime)
	r := &ResolvingVerifier{resolver: resolver{
		cfg: cfg, parser: claimsParser(nil), proven: list.New(), newcomers: list.New(),
		known: map[string]*resolved{}, owners: keyOwners{}, unknown: denials{}, failing: denials{}, asking: map[string]*resolveCall{},
		forgotten: map[string]uint64{},
		held:      map[*Verifier]*held{}, leaving: map[*Verifier]chan struct{}{},
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

// Forget ends what is known of an issuer: its verifier, that there is no such issuer, or
// that nobody could tell. Call it after an issuer was entered, changed or removed, when
// Resolve would say so. Resolve is asked when the next token of it comes. Tokens in the
// cache count no longer, streams are rechecked by the next answer as they are after
// MaxAge, and the verifier is released when no request uses it. Requests that have their
// answer end as they began. A call of Resolve that is under way, which may not know yet,
// is repeated within its Timeout.
//
// All spellings are forgotten that a verifier of the issuer has, see
// [VerifierConfig.IssuerAliases], whichever is given, except one that is itself the name
// of another issuer. Of a spelling without a verifier nothing tells whose it is: after
// entering an issuer, call Forget for each. A tenant of a [TenantPlaceholder] is an issuer
// like any other, and the templated name stands for all of them.
//
// After that the issuer counts as a new one. If Resolve then fails, or the next verifier
// has no keys yet, there is no earlier answer that could go on until MaxStale. Strangers
// can hold up its lookup and push it out until a token of it was verified again. Its keys
// are free for whichever issuer has them next.
//
// Forget waits for nobody and is safe for concurrent use. Neither Resolve nor Release may
// call it about their own issuer: Resolve would be asked again until its time is over. It
// does nothing after Close. Other processes have verifiers of their own.
func (r *ResolvingVerifier) Forget(issuer string) { r.resolver.forget(issuer) }

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
