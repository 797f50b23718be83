package jwtauth

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/authctx/authctx"
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

// sharing yields the answers about other issuers that have keys of h too, which Resolve
// returned for issuer. What one says of itself alone makes it the same as no other. It
// needs the lock.
func (r *resolver) sharing(issuer string, h *held) iter.Seq[*resolved] {
	policy := h.verifier.policy
	return func(yield func(*resolved) bool) {
		for _, origin := range h.origins {
			for name, answers := range r.owners[origin] {
				if name == policy.Issuer {
					continue
				}
				for other := range answers { // its own gives way to h
					same := other.issuer == issuer || other.policy.renames(policy) || r.becomes(other, policy)
					if !same && !yield(other) {
						return
					}
				}
			}
		}
	}
}

// becomes reports whether Resolve has returned the issuer of policy in place of other,
// too. It needs the lock.
func (r *resolver) becomes(other *resolved, policy *issuerPolicy) bool {
	call := r.asking[other.issuer]
	return call != nil && call.next != nil && call.next.Issuer == policy.Issuer
}

// ownKeys refuses an answer whose keys are another issuer's too: a key serves one
// issuer. Another whose answer is over is dropped, unless it is a proven one, which
// askOwners had asked about. It needs the lock.
func (r *resolver) ownKeys(issuer string, h *held, now time.Time) error {
	for other := range r.sharing(issuer, h) {
		if other.proven || !moment.Reached(other.policy.until, now) {
			return &authctx.Error{Reason: authctx.Unavailable, Cause: fmt.Errorf(
				"jwtauth: Resolve: the issuer %q shares its Keys with %q", h.verifier.policy.Issuer, other.policy.Issuer)}
		}
	}
	for other := range r.sharing(issuer, h) {
		r.drop(other)
	}
	return nil
}

// giveUpKeys drops the answer about an issuer if it cannot go on and h, which Resolve
// returned in its place and was refused, has none of its keys. Otherwise two issuers
// that exchange keys would keep each other from them for ever. It needs the lock.
func (r *resolver) giveUpKeys(issuer string, h *held, now time.Time) {
	known := r.known[issuer]
	if known == nil || !moment.Reached(r.end(known), now) {
		return
	}
	kept := func(origin any) bool { return slices.Contains(h.origins, origin) }
	if !slices.ContainsFunc(known.held.origins, kept) {
		r.drop(known)
	}
}

// askOwners asks again about proven issuers that have keys of h and whose answers
// are over. Otherwise whoever names another with the same keys, which takes no
// token that is good, could take them away from those that nobody has asked about
// for MaxAge. They are asked about one by one, for the first that keeps its keys
// settles it.
func (r *resolver) askOwners(ctx context.Context, call *resolveCall, h *held) {
	asked := map[string]bool{}
	for {
		issuer := r.overdueOwner(call, h, asked)
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
// the keys stay with another whatever that says. No call that asks about owners waits
// for another that does, or two could wait for one another.
func (r *resolver) overdueOwner(call *resolveCall, h *held, asked map[string]bool) (overdue string) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for other := range r.sharing(call.issuer, h) {
		switch about := r.asking[other.issuer]; {
		case asked[other.issuer], !moment.Reached(other.policy.until, now), about != nil && about.next != nil:
			return ""
		case other.proven:
			overdue = other.issuer
		}
	}
	if overdue != "" {
		call.next = h.verifier.policy
	}
	return overdue
}
