package jwtauth

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/authctx/authctx"
)

// Introspector asks an authorization server about tokens that cannot be
// verified here (RFC 7662). It is a [TokenVerifier] and safe for concurrent use.
//
// It sends every token that it is asked about to its endpoint. Beside another
// Bearer, its own has [OpaqueShape], or the endpoint gets to see the tokens of
// other issuers; for several issuers of JWTs use a [MultiVerifier].
//
// Requests with the same token wait for one question, which runs on no caller's
// context. Answers are remembered by a keyed hash of the token, see
// [IntrospectorConfig]. An endpoint that fails, is slow, redirects, or answers
// anything but a JSON object with a boolean "active" (RFC 7662 section 2.2) makes
// the answer [authctx.Unavailable] and is asked again by the next request; so
// does one that refuses our own credentials. The exception is 400 with
// "unsupported_token_type", which is about the token: [authctx.WrongType].
//
// "active" alone lets nobody in: the audience must be ours, and so must the
// issuer if there is one; dates are judged as those of a JWT; and what the
// endpoint says is no access token, such as a refresh token, is refused, and so
// is what has the claims of an ID token or of an event. A member of another type
// than it should have makes the token [authctx.InvalidToken], as in a JWT; null,
// which some servers write where they have no value, is no member.
//
// If the answer has no "exp", the principal ends Cache.MaxAge plus Leeway after the
// answer came, so that services to which it is passed on have an end to go by. This holds
// without a cache too, with the default of MaxAge.
type Introspector struct {
	policy   *issuerPolicy
	endpoint string
	timeout  time.Duration
	client   *http.Client
	sign     func(*http.Request) // adds our credentials; a closure prints no secret
	cache    *tokenCache
	refused  *tokenCache // apart, so that invented tokens push out no good ones
	key      *Key        // stands for the endpoint until Close

	mu        sync.Mutex
	active    recentTokens
	pending   int // those of strangers included
	strangers int // questions about tokens that were not active lately
	limit     int
	closed    bool
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	owned     sync.WaitGroup
}

// NewIntrospector returns an introspector, or an error that names every field of
// cfg that is missing or contradictory. It sends nothing until it is asked.
// [Introspector.Close] must be called in the end.
func NewIntrospector(cfg IntrospectorConfig) (*Introspector, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	timeout := cmp.Or(cfg.Timeout, defaultIntrospectionTimeout)
	policy := cfg.policy()
	bounds := policy.Cache
	bounds.Disabled = false // what is not remembered is still shared while it is asked
	refused := bounds
	refused.MaxEntries, refused.MaxBytes = bounds.MaxEntries/refusedPart, bounds.MaxBytes/refusedPart
	good := bounds
	good.MaxEntries, good.MaxBytes = bounds.MaxEntries-refused.MaxEntries, bounds.MaxBytes-refused.MaxBytes
	id, secret := url.QueryEscape(cfg.ClientID), url.QueryEscape(cfg.ClientSecret)
	i := &Introspector{
		policy: policy, endpoint: cfg.Endpoint, timeout: timeout,
		client: introspectionClient(cfg.Transport, timeout),
		sign:   func(r *http.Request) { r.SetBasicAuth(id, secret) },
		cache:  newTokenCache(good), refused: newTokenCache(refused), key: new(Key),
		active: recentTokens{most: bounds.MaxEntries}, limit: cmp.Or(cfg.MaxPending, defaultMaxPending),
	}
	i.ctx, i.cancel = context.WithCancel(context.Background())
	return i, nil
}

func introspectionClient(transport http.RoundTripper, timeout time.Duration) *http.Client {
	if transport == nil {
		own := ownTransport(timeout)
		// Unlike key sets, answers are asked for all the time.
		own.DisableKeepAlives, own.MaxIdleConnsPerHost, own.IdleConnTimeout = false, 32, 90*time.Second
		transport = own
	}
	return clientOver(transport)
}

// Close ends what is being asked and waits for it. Questions after that are
// answered with [authctx.Unavailable], those about tokens that were active and
// the rechecks of streams included. It may be called again and always returns
// nil.
func (i *Introspector) Close() error {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.key.withdraw(errIntrospectorClosed) // no answer that is remembered counts any more
	i.cancel()
	i.owned.Wait()
	i.client.CloseIdleConnections()
	return nil
}

// String names the endpoint and shows no secret.
func (i *Introspector) String() string {
	return fmt.Sprintf("introspection of tokens of %q at %q", i.policy.Issuer, shownURL(i.endpoint))
}

// Format keeps every verb as quiet as String.
func (i *Introspector) Format(f fmt.State, _ rune) { io.WriteString(f, i.String()) }

// Verify returns whom a plain bearer token speaks for, as [Verifier.Verify]
// does.
func (i *Introspector) Verify(ctx context.Context, token string) (authctx.Principal, error) {
	found, _, err := i.verify(ctx, token)
	return plain(found, err)
}

// VerifyToken implements [TokenVerifier]. Its Recheck asks again, as a request
// with the same token would.
func (i *Introspector) VerifyToken(ctx context.Context, token string) (VerifiedToken, error) {
	found, err := result(i.verify(ctx, token))
	if err == nil {
		found.Recheck = func(ctx context.Context) error {
			_, _, err := i.verify(ctx, token)
			return err
		}
	}
	return found, err
}

func (i *Introspector) verify(ctx context.Context, token string) (*verified, bool, error) {
	v, cached, err := i.judged(ctx, token)
	return v, cached, i.policy.about(err)
}

func (i *Introspector) judged(ctx context.Context, token string) (_ *verified, cached bool, err error) {
	switch {
	case len(token) > i.policy.MaxTokenBytes:
		return nil, false, errTooLong
	case !opaque(token):
		return nil, false, errNotOpaque
	}
	d := i.cache.hash.sum(token)
	v := i.remembered(d)
	if cached = v != nil; !cached {
		if v, err = i.ask(ctx, d, token); err != nil {
			return nil, false, err
		}
	}
	if err := v.stands(ctx); err != nil {
		return nil, false, err
	}
	return v, cached, nil
}

func (i *Introspector) remembered(d digest) *verified {
	if v := i.cache.get(d); v != nil {
		return v
	}
	return i.refused.get(d)
}

// opaque reports whether a token is made of characters that tokens are made of
// (RFC 6749 appendix A.12), without spaces.
func opaque(token string) bool {
	for i := range len(token) {
		if c := token[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return token != ""
}

// ask waits for the answer about a token, asking unless somebody does already.
func (i *Introspector) ask(ctx context.Context, d digest, token string) (*verified, error) {
	shared, leader := i.cache.join(d, i.policy, i.key)
	if leader {
		i.cache.join(d, i.policy, i.key) // the leader waits like the others
		i.start(d, shared, token)
	}
	return shared.wait(ctx, "introspection")
}

// start asks on a context of our own, so that no caller who leaves takes the
// answer from the others.
func (i *Introspector) start(d digest, shared *flight, token string) {
	if v := i.remembered(d); v != nil { // since the caller looked
		shared.found, shared.err = v, nil
		i.cache.finish(shared)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	known := i.active.has(d)
	if i.closed || i.pending >= i.limit || !known && i.strangers >= i.strangersLimit() {
		shared.err = errTooManyPending
		if i.closed {
			shared.err = errIntrospectorClosed
		}
		i.cache.finish(shared)
		return
	}
	i.pending++
	if !known {
		i.strangers++
	}
	i.owned.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				shared.err = unavailable("introspection", panicked(p))
			}
			i.end(d, known, shared) // before anybody wakes who may ask the next question
			i.cache.finish(shared)
		}()
		shared.found, shared.err = i.introspect(token)
	})
}

// strangersLimit is three quarters of the limit, and at least 1.
func (i *Introspector) strangersLimit() int {
	return max(1, i.limit-1-(i.limit-1)/4) // limit*3 may overflow
}

// end gives the place of a question back and remembers what its answer says of
// the token.
func (i *Introspector) end(d digest, known bool, answered *flight) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pending--
	if !known {
		i.strangers--
	}
	switch {
	case answered.err != nil:
	case answered.found.refused == nil:
		i.active.add(d)
	default:
		i.active.remove(d)
		if !i.policy.Cache.Disabled {
			i.refused.put(d, answered.found)
		}
	}
}
