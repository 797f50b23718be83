package jwtauth

import (
	"container/list"

	"github.com/authctx/authctx/internal/moment"
)

// use returns the policy of an answer, which is in use until the answer is left.
// It needs the lock, like all that follow here but leave.
func (a *resolved) use() *issuerPolicy {
	a.requests++
	if a.inUse++; !a.proven {
		a.resolver.unlist(a) // whoever is being verified is pushed out by nobody
	}
	return a.policy
}

// leave ends the use of an answer; verified reports that a token was. Nothing
// else makes an issuer a proven one: whom strangers name pushes out nobody. Nil
// is for policies that nobody resolved.
func (a *resolved) leave(verified bool) {
	if a == nil {
		return
	}
	r := a.resolver
	r.mu.Lock()
	defer r.mu.Unlock()
	a.requests--
	a.inUse--
	if known := r.known[a.issuer]; known != nil {
		r.list(known, verified)
	}
	r.endUnused(a) // before crowd, which may drop a
	r.crowd()
}

// list puts an answer in front of the list where it belongs if a token was
// verified, or if it is in none. A newcomer that is in use belongs to none.
func (r *resolver) list(a *resolved, verified bool) {
	if verified {
		a.used = r.cfg.Now()
	}
	switch {
	case verified && a.proven:
		r.proven.MoveToFront(a.place)
	case verified:
		r.unlist(a)
		a.proven, a.place = true, r.proven.PushFront(a)
	case a.place == nil && a.inUse == 0:
		a.place = r.newcomers.PushFront(a)
	}
}

// unlist takes an answer out of its list.
func (r *resolver) unlist(a *resolved) {
	switch {
	case a.place == nil:
	case a.proven:
		r.proven.Remove(a.place)
	default:
		r.newcomers.Remove(a.place)
	}
	a.place = nil
}

// insert makes a the answer that is kept about its issuer. The issuer stays where
// it was, in a list or in none: a renewal is no use.
func (r *resolver) insert(a *resolved) {
	a.held.users++
	old := r.known[a.issuer]
	r.known[a.issuer] = a
	a.standing = new(standing)
	if old != nil {
		a.standing = old.standing
		r.retire(old)
	}
	r.owners.add(a)
	if a.place != nil {
		a.place.Value = a
	} else {
		r.list(a, false)
	}
}

// crowd drops what is too much. Newcomers that nobody uses have the room that is
// left, and one of them has room always. Proven issuers that are idle make room
// for them.
func (r *resolver) crowd() {
	for r.proven.Len() > r.cfg.MaxIssuers || r.newcomers.Len() > r.room() && r.idle(r.proven.Back()) {
		r.drop(r.proven.Back().Value.(*resolved))
	}
	for r.newcomers.Len() > max(1, r.room()) {
		r.drop(r.newcomers.Back().Value.(*resolved))
	}
}

// room is how many newcomers there may be.
func (r *resolver) room() int { return r.cfg.MaxIssuers - r.proven.Len() }

// idle reports whether nobody has used an issuer for MaxStale. A token of it that
// was verified may have been used from the cache for MaxAge after that, of which
// nothing is known here.
func (r *resolver) idle(place *list.Element) bool {
	if place == nil {
		return false
	}
	last := place.Value.(*resolved).used.Add(r.cfg.MaxAge)
	return moment.Reached(last.Add(r.cfg.MaxStale), r.cfg.Now())
}

func (r *resolver) drop(a *resolved) {
	r.unlist(a)
	delete(r.known, a.issuer)
	r.retire(a)
}

// retire ends what an answer vouches for that is not kept any more.
func (r *resolver) retire(a *resolved) {
	a.ended.Store(true)
	r.owners.remove(a)
	r.endUnused(a)
}

// endUnused lets go of the verifier of an answer that is neither kept nor in use.
func (r *resolver) endUnused(a *resolved) {
	if a.requests == 0 && a.ended.Load() {
		r.giveBack(a.held)
	}
}
