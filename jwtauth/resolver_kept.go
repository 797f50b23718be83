package jwtauth

// use returns the policy of an answer, which is in use until the answer is left.
// It needs the lock, like all that follow here but leave.
func (a *resolved) use() *issuerPolicy {
	a.held.users++
	return a.policy
}

// leave ends the use of an answer; verified reports that a token was. Nothing
// else makes an issuer one that is used: whom strangers name pushes out nobody.
// Nil is for policies that nobody resolved.
func (a *resolved) leave(verified bool) {
	if a == nil {
		return
	}
	r := a.resolver
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.known[a.issuer]; verified && known != nil {
		r.used(known)
	}
	r.drain(a.held)
}

// used puts an issuer in front.
func (r *resolver) used(a *resolved) {
	if a.proven {
		r.proven.MoveToFront(a.place)
		return
	}
	r.newcomers.Remove(a.place)
	a.proven, a.place = true, r.proven.PushFront(a)
	r.crowd()
}

// insert makes a the answer that is kept about its issuer. The issuer stays where
// it was: a renewal is no use.
func (r *resolver) insert(a *resolved) {
	a.held.users++
	old := r.known[a.issuer]
	r.known[a.issuer] = a
	if old == nil {
		a.place = r.newcomers.PushFront(a)
		return
	}
	a.proven, a.place = old.proven, old.place
	a.place.Value = a
	r.drain(old.held)
}

// crowd drops what is too much. Newcomers have the room that is left, and one of
// them has room always.
func (r *resolver) crowd() {
	for r.proven.Len() > r.cfg.MaxIssuers {
		r.drop(r.proven.Back().Value.(*resolved))
	}
	for r.newcomers.Len() > max(1, r.cfg.MaxIssuers-r.proven.Len()) {
		r.drop(r.newcomers.Back().Value.(*resolved))
	}
}

func (r *resolver) drop(a *resolved) {
	if a.proven {
		r.proven.Remove(a.place)
	} else {
		r.newcomers.Remove(a.place)
	}
	delete(r.known, a.issuer)
	r.drain(a.held)
}
