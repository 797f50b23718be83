package jwtauth

import (
	"context"
	"iter"

	"github.com/authctx/authctx/internal/moment"
)

// keyOwners finds whom keys serve, by their origins, so that no answer is
// compared with all that are kept.
type keyOwners map[any]keyOwner

// keyOwner is the answers about the one issuer that keys serve, by what it is called in
// each: while it takes another of its spellings for its name, some are from before. With
// a template there may be an answer for each tenant.
type keyOwner map[string]map[*resolved]struct{}

// add takes in an answer that is kept. Nobody else owns its keys.
func (o keyOwners) add(a *resolved) {
	name := a.policy.Issuer
	for _, origin := range a.held.origins {
		owner := o[origin]
		if owner == nil {
			owner = keyOwner{}
			o[origin] = owner
		}
		if owner[name] == nil {
			owner[name] = map[*resolved]struct{}{}
		}
		owner[name][a] = struct{}{}
	}
}

func (o keyOwners) remove(a *resolved) {
	name := a.policy.Issuer
	for _, origin := range a.held.origins { // joined sources have it twice
		owner := o[origin]
		if delete(owner[name], a); len(owner[name]) == 0 {
			delete(owner, name)
		}
		if len(owner) == 0 {
			delete(o, origin)
		}
	}
}

// sharing yields the answers about other issuers that have keys of h too, of what
// Resolve said of issuer. Nothing that one says of itself alone makes it the same as
// another. It needs the lock.
func (r *resolver) sharing(issuer string, h *held) iter.Seq[*resolved] {
	policy := h.verifier.policy
	return func(yield func(*resolved) bool) {
		for _, origin := range h.origins {
			for name, answers := range r.owners[origin] {
				if name == policy.Issuer {
					continue
				}
				for other := range answers { // its own gives way to h
					if other.issuer != issuer && !other.policy.renames(policy) && !yield(other) {
						return
					}
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
