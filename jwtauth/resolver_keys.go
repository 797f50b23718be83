package jwtauth

import (
	"fmt"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/moment"
)

// keyOwners finds whom keys serve, by their origins, so that no answer is
// compared with all that are kept.
type keyOwners map[any]*keyOwner

// keyOwner is the one issuer, as its policy names it, that keys serve. With a
// template there may be an answer for each tenant.
type keyOwner struct {
	issuer  string
	answers map[*resolved]struct{}
}

// add takes in an answer that is kept. Nobody else owns its keys.
func (o keyOwners) add(a *resolved) {
	for _, origin := range a.origins {
		owner := o[origin]
		if owner == nil {
			owner = &keyOwner{a.policy.Issuer, map[*resolved]struct{}{}}
			o[origin] = owner
		}
		owner.answers[a] = struct{}{}
	}
}

func (o keyOwners) remove(a *resolved) {
	for _, origin := range a.origins {
		owner := o[origin]
		if owner == nil {
			continue // joined sources have it twice
		}
		if delete(owner.answers, a); len(owner.answers) == 0 {
			delete(o, origin)
		}
	}
}

// ownKeys refuses an answer whose keys are another issuer's too: a key serves
// one issuer. Another whose answer is over is dropped. It needs the lock.
func (r *resolver) ownKeys(a *resolved, now time.Time) error {
	for _, origin := range a.origins {
		owner := r.owners[origin]
		if owner == nil || owner.issuer == a.policy.Issuer {
			continue
		}
		for other := range owner.answers {
			switch {
			case other.issuer == a.issuer: // a takes its place
			case !moment.Reached(other.policy.until, now):
				return &authctx.Error{Reason: authctx.Unavailable, Cause: fmt.Errorf(
					"jwtauth: Resolve: the issuer %q shares its Keys with %q", a.policy.Issuer, other.policy.Issuer)}
			default:
				r.drop(other)
			}
		}
	}
	return nil
}
