package jwtauth

import (
	"context"
	"time"

	"github.com/authctx/authctx"
)

// verified is a token that was looked at. It does not change once it was handed
// out.
type verified struct {
	token  VerifiedToken
	policy *issuerPolicy
	key    *Key
	tenant string    // empty unless the policy's issuer is a template
	size   int       // in bytes, roughly
	until  time.Time // when a cache must forget it, by either clock
	ends   time.Time // when the token does, which the principal may outlive

	refused error // why the token does not count; only introspection remembers that
}

// endBy makes a cache forget v at that time at the latest; zero sets no end.
// until is moved and not replaced: a date in a token has no reading of the
// monotonic clock, and MaxAge counts by that one too.
func (v *verified) endBy(end time.Time) {
	if !end.IsZero() && end.Before(v.until) {
		v.until = v.until.Add(end.Sub(v.until))
	}
}

// stands reports whether the token still counts.
func (v *verified) stands(ctx context.Context) error {
	if err := v.lasts(v.policy.Now()); err != nil {
		return err
	}
	return v.admitted(ctx)
}

// admitted asks whoever may change their mind about a token that was verified.
func (v *verified) admitted(ctx context.Context) error {
	if err := v.policy.issuer.admits(ctx, v.tenant); err != nil {
		return v.policy.about(err)
	}
	return v.policy.revoked(ctx, v.token.Principal)
}

// lasts is stands as far as nobody needs to be asked.
func (v *verified) lasts(now time.Time) error {
	if v.refused != nil {
		return v.refused
	}
	if v.token.Principal.ExpiredAt(now) {
		return errExpired
	}
	return v.key.stands()
}

// recheck is VerifiedToken.Recheck.
func (v *verified) recheck(ctx context.Context) error { return v.policy.about(v.stillStands(ctx)) }

func (v *verified) stillStands(ctx context.Context) error {
	now := v.policy.Now()
	switch err := v.lasts(now); {
	case err == error(errKeyRestated), err == error(errKeyUnconfirmed) && v.mayBeConfirmed(),
		err == nil && v.policy.over(now):
		return v.confirm(ctx)
	case err != nil:
		return err
	}
	return v.admitted(ctx)
}

// mayBeConfirmed reports whether another Key may be there of a key that nobody
// confirms: v's own is withdrawn for good, or the issuer may have another source.
// Otherwise its source was asked just now and could not tell.
func (v *verified) mayBeConfirmed() bool { return v.key.ended() != nil || v.policy.answer != nil }

// confirm asks the issuer's present verifier whether it still has v's key for that
// algorithm, issuer and tenant, because the source that v came from has another
// Key for it, had none for too long or was closed, or the answer about the issuer
// is over.
func (v *verified) confirm(ctx context.Context) (err error) {
	policy, iss := v.policy, v.token.Principal.Issuer()
	if a := policy.answer; a != nil {
		if policy, err = a.resolver.find(ctx, a.issuer); err != nil {
			return err
		}
		defer func() { policy.answer.leave(err == nil) }()
		if !policy.Claims.cfg.spiffe {
			iss = policy.canonical(a.issuer) // which may be a spelling no longer
		}
	}
	if policy.vouched != nil {
		iss = policy.Issuer // and not that of the caller who is vouched for
	}
	tenant, ok := policy.issuer.match(iss)
	if !ok {
		return &policy.wrongIssuer
	}
	algorithm := v.policy.algorithmOf(v.key)
	if err := policy.accepted.check(algorithm); err != nil {
		return err
	}
	key, err := policy.findKey(ctx, &header{keyID: v.key.id, algorithm: algorithm})
	switch {
	case err != nil:
		return err
	case !key.sameKey(v.key):
		return errKeyGone
	case !policy.issuer.serves(key.issuer, iss):
		return errKeyIssuer
	}
	if err := policy.issuer.admits(ctx, tenant); err != nil {
		return err
	}
	return v.revoked(ctx, policy, iss)
}

// revoked asks an issuer's present verifier about the caller. If iss, which is what the
// issuer is called by now, is another name, it asks under both: whoever revokes may know
// either.
func (v *verified) revoked(ctx context.Context, policy *issuerPolicy, iss string) error {
	caller := v.token.Principal
	err := policy.revoked(ctx, caller)
	if err != nil || policy.Revocations == nil || policy.vouched != nil || iss == caller.Issuer() {
		return err
	}
	a := caller.Attributes()
	a.Issuer = iss
	policy.canonicalActors(&a)
	if caller, err = authctx.New(a); err != nil {
		return policy.refusal(authctx.InvalidToken, err)
	}
	return policy.revoked(ctx, caller)
}

// verifiedOverhead is what a verified token takes besides its claims, of which
// most attributes are parts, and its lists.
const verifiedOverhead = 1024

// listBytes is roughly what lists take. Most texts in them are parts of the
// claims; they count all the same, because a mapping can make much of little.
func listBytes(a *authctx.Attributes) int {
	size := 2 * textHeader * len(a.Actors)
	for _, list := range [...][]string{a.AMR, a.Roles, a.Permissions, a.Scopes, a.Groups} {
		size += textBytes(list)
	}
	for _, list := range a.Extra {
		size += 8*textHeader + textBytes(list) // with the entry of the map
	}
	return size
}

const textHeader = 16 // bytes of a string besides its text

func textBytes(list []string) int {
	size := textHeader * len(list)
	for _, text := range list {
		size += len(text)
	}
	return size
}
