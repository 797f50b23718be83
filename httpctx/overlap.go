package httpctx

import "iter"

// paths has patterns by their segments, so that those which overlap one are found
// without a look at all the others.
type paths struct {
	ending []*pattern        // whose last segment this is
	below  map[string]*paths // by the next segment, folded, empty for a wildcard
}

func (n *paths) add(p *pattern) {
	for _, s := range p.segments {
		next := n.below[s.folded]
		if next == nil {
			next = &paths{}
			if n.below == nil {
				n.below = map[string]*paths{}
			}
			n.below[s.folded] = next
		}
		n = next
	}
	n.ending = append(n.ending, p)
}

// overlapping returns the patterns, in any order, under which some request falls
// that falls under p too. Hosts do not matter.
func (n *paths) overlapping(p *pattern) iter.Seq[*pattern] {
	return func(yield func(*pattern) bool) { n.overlap(p, p.segments, yield) }
}

// overlap calls yield as overlapping does, where these segments of p are left,
// and reports whether that never returned false.
func (n *paths) overlap(p *pattern, left []segment, yield func(*pattern) bool) (more bool) {
	if n == nil {
		return true
	}
	for _, o := range n.ending {
		if (len(left) == 0 || o.tree) && (p.serves(o.method) || o.serves(p.method)) && !yield(o) {
			return false
		}
	}
	var next segment // below a tree, any, as for a wildcard
	if len(left) > 0 {
		next, left = left[0], left[1:]
	} else if !p.tree {
		return true
	}
	if next != (segment{}) {
		return n.below[next.folded].overlap(p, left, yield) && n.below[""].overlap(p, left, yield)
	}
	for _, child := range n.below {
		if !child.overlap(p, left, yield) {
			return false
		}
	}
	return true
}
