package jwtauth

import (
	"context"
	"iter"
	"slices"

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
	for _, origin := range a.held.origins {
		owner := o[origin]
		if owner == nil {
			owner = &keyOwner{a.policy.Issuer, map[*resolved]struct{}{}}
			o[origin] = owner
		}
		owner.answers[a] = struct{}{}
	}
}

func (o keyOwners) remove(a *resolved) {
	for _, origin := range a.held.origins {
		owner := o[origin]
		if owner == nil {
			continue // joined sources have it twice
		}
		if delete(owner.answers, a); len(owner.answers) == 0 {
			delete(o, origin)
		}
	}
}

// sharing yields the answers about other issuers that have keys of h too, of what
// Resolve said of issuer. Those about other spellings of h's issuer are not about
// another, even if they are from when another of these was its name. It needs the lock.
func (r *resolver) sharing(issuer string, h *held) iter.Seq[*resolved] {
	same := append(h.verifier.policy.spellings(), issuer)
	return func(yield func(*resolved) bool) {
		for _, origin := range h.origins {
			owner := r.owners[origin]
			if owner == nil || owner.issuer == h.verifier.policy.Issuer {
				continue
			}
			for other := range owner.answers {
				if !slices.Contains(same, other.issuer) && !yield(other) { // its own gives way to h
					return
				}
			}
		}
	}
}

// askOwners asks again about proven issuers that have keys of h and whose answers
// are over. Otherwise whoever names another with the same keys, which takes no
// token that is good, could take them away from those that nobody has asked about
// for MaxAge. They are asked about one by one, for the first that keeps its keys
// settles it. What Resolve returned is announced before: nobody waits for a call that
// waits here, or two could wait for one another.
func (r *resolver) askOwners(ctx context.Context, call *resolveCall, h *held) {
	r.announce(call, h)
	asked := map[string]bool{}
	for {
		issuer := r.overdueOwner(call.issuer, h, asked)
		if issuer == "" {
			return
		}
		asked[issuer] = true
		if policy, err := r.find(ctx, issuer); err == nil {
			policy.answer.leave(false)
		}
	}
}

// overdueOwner returns a proven issuer to ask about, or none if there is none or
// the keys stay with another whatever that says.
func (r *resolver) overdueOwner(issuer string, h *held, asked map[string]bool) (overdue string) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, owner := range r.takeover(issuer, h, now).owners {
		if asked[owner.issuer] || !moment.Reached(owner.policy.until, now) || r.successor(owner, now) != nil {
			return ""
		}
		overdue = owner.issuer
	}
	return overdue
}
