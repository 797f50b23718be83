package jwtauth

import (
	"fmt"
	"slices"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/moment"
)

// successor is what Resolve returned about an issuer last. While keys of it are
// another's, it says all the same which keys the issuer gives up.
type successor struct {
	issuer string
	held   *held
	since  time.Time
}

// announce makes h the successor of what is kept about an issuer.
func (r *resolver) announce(call *resolveCall, h *held) {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.known[call.issuer]
	if known == nil || r.asking[call.issuer] != call {
		return
	}
	h.users++
	r.forgetSuccessor(known)
	known.next = &successor{call.issuer, h, now}
}

// forgetSuccessor needs the lock, like all that follow here.
func (r *resolver) forgetSuccessor(a *resolved) {
	if a.next != nil {
		r.giveBack(a.next.held)
		a.next = nil
	}
}

// successor returns what takes the place of an answer, if that is still believed. It
// is until the issuer was to be asked about once more: those of whom nobody could
// tell at different times are never asked about at the same.
func (r *resolver) successor(a *resolved, now time.Time) *successor {
	if a.next == nil || moment.Reached(a.next.since.Add(r.cfg.MaxAge+resolveCoolDown), now) {
		return nil
	}
	return a.next
}

// takeover is who takes over keys at one moment: an issuer, and with it those that
// give up keys to it or to one another, of which each has its next ones then. Two
// that exchange keys would keep each other from them for ever.
type takeover struct {
	next   []successor    // the first is whose Resolve has returned
	serve  map[any]string // their keys, and the issuer of each
	over   []*resolved    // newcomers, which give way
	owners []*resolved    // others, which keep their keys
	refuse *authctx.Error // because of the first of these
}

// takeover returns what comes of it if h is to be the answer about an issuer. One of
// which no token was verified takes no keys of one that is proven, even if that gives
// them up.
func (r *resolver) takeover(issuer string, h *held, now time.Time) *takeover {
	t := &takeover{serve: map[any]string{}}
	t.add(&successor{issuer, h, now})
	known := r.known[issuer]
	proven := known != nil && known.proven
	for i := 0; i < len(t.next); i++ {
		for other := range r.sharing(t.next[i].issuer, t.next[i].held) {
			switch {
			case t.has(other.issuer):
			case !other.proven && moment.Reached(other.policy.until, now):
				t.over = append(t.over, other)
			case proven && t.add(r.successor(other, now)):
			default:
				t.keeps(other, t.next[i].held)
			}
		}
	}
	return t
}

// add takes in an issuer unless one of its next keys would serve another then.
func (t *takeover) add(s *successor) bool {
	if s == nil {
		return false
	}
	name := s.held.verifier.policy.Issuer
	for _, origin := range s.held.origins {
		if of, ok := t.serve[origin]; ok && of != name {
			return false
		}
	}
	for _, origin := range s.held.origins {
		t.serve[origin] = name
	}
	t.next = append(t.next, *s)
	return true
}

func (t *takeover) has(issuer string) bool {
	return slices.ContainsFunc(t.next, func(s successor) bool { return s.issuer == issuer })
}

// keeps takes in an answer that keeps keys of h.
func (t *takeover) keeps(owner *resolved, h *held) {
	if t.owners = append(t.owners, owner); t.refuse == nil {
		t.refuse = &authctx.Error{Reason: authctx.Unavailable, Cause: fmt.Errorf(
			"jwtauth: Resolve: the issuer %q shares its Keys with %q", h.verifier.policy.Issuer, owner.policy.Issuer)}
	}
}

// ownKeys makes h the answer about an issuer, together with those that exchange keys
// with it. It refuses an answer whose keys are another issuer's too: a key serves
// one issuer. Another whose answer is over is dropped, unless it is a proven one,
// which askOwners had asked about.
func (r *resolver) ownKeys(issuer string, h *held, now time.Time) error {
	t := r.takeover(issuer, h, now)
	if t.refuse != nil {
		return t.refuse
	}
	for _, other := range t.over {
		if !other.ended.Load() {
			r.drop(other)
		}
	}
	for _, s := range t.next { // no key is taken in before it was given up
		if known := r.known[s.issuer]; known != nil {
			r.owners.remove(known)
		}
	}
	for _, s := range t.next {
		r.insert(r.answer(s))
	}
	return nil
}

// answer makes an answer of what Resolve returned.
func (r *resolver) answer(s successor) *resolved {
	policy := *s.held.verifier.policy
	a := &resolved{resolver: r, issuer: s.issuer, held: s.held, policy: &policy, since: s.since}
	policy.until, policy.Now, policy.answer = s.since.Add(r.cfg.MaxAge), r.cfg.Now, a
	policy.Cache.MaxAge = min(policy.Cache.MaxAge, r.cfg.Cache.MaxAge)
	return a
}
