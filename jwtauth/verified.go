package jwtauth

import (
	"context"
	"time"
)

// verified is a token that was looked at. It does not change
// once it was handed out.
type verified struct {
	token  VerifiedToken
	policy *issuerPolicy
	key    *Key
	size   int       // in bytes, roughly
	until  time.Time // when a cache must forget it

	refused error // why the token does not count; only introspection remembers that
}

// endBy makes a cache forget v at that time at the latest; zero sets no end.
func (v *verified) endBy(end time.Time) {
	if !end.IsZero() && end.Before(v.until) {
		v.until = end
	}
}

// stands reports whether the token still counts at time now.
func (v *verified) stands(ctx context.Context, now time.Time) error {
	if v.refused != nil {
		return v.refused
	}
	if v.token.Principal.ExpiredAt(now) {
		return errExpired
	}
	if err := v.key.stands(); err != nil {
		return err
	}
	return v.policy.revoked(ctx, v.token.Principal)
}

// recheck is VerifiedToken.Recheck.
func (v *verified) recheck(ctx context.Context) error { return v.stands(ctx, v.policy.Now()) }

// verifiedOverhead is what a verified token takes besides its claims, of which
// most attributes are parts.
const verifiedOverhead = 1024
