package jwtauth

import (
	"context"
	"sync/atomic"

	"github.com/authctx/authctx"
)

// Verifier verifies the tokens of one issuer, strictly and for any transport:
//
//   - size, characters and segments before anything is decoded, the header
//     before the key, the signature before the claims;
//   - a key that is not at hand is looked for only if the token, not verified
//     yet, names the issuer, so that tokens of others cost no load;
//   - one algorithm per key, from a list; keys from configuration only;
//   - issuer, audience, expiry and kind of token always.
//
// The JSON of the header must begin with "{". White space in front, which JSON
// allows and no issuer writes, is refused.
//
// It is safe for concurrent use and starts no goroutine. Tokens that were
// verified are remembered by a keyed hash, see [CacheConfig]; nothing is shared
// with other verifiers.
type Verifier struct {
	front    front
	policy   *issuerPolicy
	released atomic.Pointer[releaseMark]
}

// NewVerifier returns a verifier, or an error that names every field of cfg that
// is missing or contradictory. It keeps nothing that the caller can change.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	return newVerifier(cfg, labelFor("verifier", cfg.Issuer))
}

func newVerifier(cfg VerifierConfig, label string) (*Verifier, error) {
	policy, err := newIssuerPolicy(cfg, label)
	if err != nil {
		return nil, err
	}
	v := &Verifier{policy: policy}
	v.front.init(policy.MaxTokenBytes, policy.Algorithms, policy.Cache)
	return v, nil
}

// Issuer returns the issuer as it was configured.
func (v *Verifier) Issuer() string { return v.policy.VerifierConfig.Issuer }

// Verify returns whom a plain bearer token speaks for. It refuses tokens that
// are bound to a key or certificate ("cnf"), because a string alone cannot show
// that its presenter has it; see [Verifier.VerifyToken]. Otherwise it is the
// same. A token that was verified before is answered without allocation.
func (v *Verifier) Verify(ctx context.Context, token string) (authctx.Principal, error) {
	found, _, err := v.front.verify(ctx, v.policy, token)
	return plain(found, err)
}

// VerifyToken implements [TokenVerifier]. A token with a
// [VerifiedToken.Confirmation] counts only if the caller checks that too.
func (v *Verifier) VerifyToken(ctx context.Context, token string) (VerifiedToken, error) {
	return result(v.front.verify(ctx, v.policy, token))
}

// chooser finds the policy of the issuer that a token names. What it reads is
// not verified and serves to choose and nothing else: the policy checks it
// again.
type chooser interface {
	choose(ctx context.Context, s *scratch) (*issuerPolicy, error)
}

// choose implements chooser: one issuer needs no look at the claims.
func (p *issuerPolicy) choose(context.Context, *scratch) (*issuerPolicy, error) { return p, nil }

// front is what all tokens pass first, whoever issued them.
type front struct {
	maxBytes int
	headers  headerCache
	cache    *tokenCache // nil when disabled
}

func (f *front) init(maxBytes int, algorithms []Algorithm, cache CacheConfig) {
	f.maxBytes, f.cache = maxBytes, newTokenCache(cache)
	f.headers.allowed = newAccepted(algorithms)
}

// verify returns the verified token and whether it had been verified before.
func (f *front) verify(ctx context.Context, issuers chooser, token string) (*verified, bool, error) {
	c, err := cut(token, f.maxBytes)
	if err != nil {
		return nil, false, err
	}
	h := f.headers.get(c.header())
	known := h != nil
	if !known {
		if h, err = parseHeader(c.header(), &f.headers.allowed); err != nil {
			return nil, false, err
		}
	}
	var d digest
	if f.cache != nil {
		d = f.cache.hash.sum(token)
		if v := f.cache.get(d); v != nil {
			if err := v.admitted(ctx); err != nil {
				return nil, false, err
			}
			return v, true, nil
		}
	}
	v, err := f.first(ctx, issuers, c, h, d)
	if err != nil {
		return nil, false, err
	}
	if !known {
		f.headers.remember(c.header(), h)
	}
	if err := v.policy.revoked(ctx, v.token.Principal); err != nil {
		return nil, false, err
	}
	return v, false, nil
}

// first verifies a token that is not in the cache. The search for the key and the
// question about its tenant run on the context of the caller.
func (f *front) first(ctx context.Context, issuers chooser, c compact, h *header, d digest) (found *verified, _ error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.decode(c); err != nil {
		return nil, err
	}
	policy, err := issuers.choose(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() { policy.answer.leave(found != nil) }()
	found, err = f.judge(ctx, policy, c, h, d, s)
	return found, policy.about(err)
}

// judge verifies a token by the policy that was chosen for it.
func (f *front) judge(ctx context.Context, policy *issuerPolicy, c compact, h *header, d digest, s *scratch) (*verified, error) {
	if len(c.token) > policy.MaxTokenBytes {
		return nil, errTooLong
	}
	if err := policy.checkHeader(h); err != nil {
		return nil, err
	}
	if err := policy.checkNamed(h, s); err != nil {
		return nil, err
	}
	key, err := policy.findKey(ctx, h)
	if err != nil {
		return nil, err
	}
	v, err := f.together(ctx, policy, c, h, key, s, d)
	if err != nil {
		return nil, err
	}
	if err := f.letIn(ctx, v, d); err != nil {
		return nil, err
	}
	return v, nil
}

// together verifies a token once for all requests that come with it meanwhile. What
// they share is computation alone, which no caller can abort for the others.
func (f *front) together(ctx context.Context, policy *issuerPolicy, c compact, h *header, key *Key, s *scratch, d digest) (*verified, error) {
	now := policy.Now() // the search for the key may have taken its time
	if f.cache == nil {
		return policy.verify(c, h, key, s, now)
	}
	shared, leader := f.cache.join(d, policy, key)
	if !leader {
		return shared.wait(ctx, "verification by another request")
	}
	defer f.cache.finish(shared)
	shared.found, shared.err = policy.verify(c, h, key, s, now)
	return shared.found, shared.err
}

// letIn asks about the tenant of a token that was verified just now. One who is not
// let in takes nobody's place in the cache.
func (f *front) letIn(ctx context.Context, v *verified, d digest) error {
	err := v.policy.issuer.admits(ctx, v.tenant)
	if err == error(errTenant) && f.cache != nil {
		f.cache.shard(d).forget(d, v)
	}
	return err
}

// plain returns the principal of a token that asks for no proof of possession.
func plain(v *verified, err error) (authctx.Principal, error) {
	if err != nil {
		return authctx.Principal{}, err
	}
	if !v.token.Confirmation.IsZero() {
		return authctx.Principal{}, v.policy.about(errBound)
	}
	return v.token.Principal, nil
}

func result(v *verified, cached bool, err error) (VerifiedToken, error) {
	if err != nil {
		return VerifiedToken{}, err
	}
	token := v.token
	token.Cached = cached
	return token, nil
}
