package jwtauth

// recentTokens are those that were active when the endpoint was last asked, the
// last half of most at least. They are known for longer than answers count, to
// tell who comes again when one has ended from who has made a token up.
type recentTokens struct {
	most       int
	young, old map[digest]struct{}
}

func (r *recentTokens) has(d digest) bool {
	_, young := r.young[d]
	_, old := r.old[d]
	return young || old
}

func (r *recentTokens) add(d digest) {
	if len(r.young) >= max(1, r.most/2) {
		r.old, r.young = r.young, nil
	}
	if r.young == nil {
		r.young = map[digest]struct{}{}
	}
	r.young[d] = struct{}{}
}

func (r *recentTokens) remove(d digest) {
	delete(r.young, d)
	delete(r.old, d)
}
