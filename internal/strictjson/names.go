package strictjson

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// fewNames is up to how many members names are compared one by one, and fewBytes
// how much of them. More go through a map, so that the work stays linear in the
// size of the document.
const (
	fewNames = 32
	fewBytes = 512
)

// nameSet finds a member name that occurs twice in one object. The zero value
// is empty.
type nameSet struct {
	count int32
	alike uint32 // bytes of names that were compared because their tags are the same
	seen  uint64 // a bit per tag, so that most names of an inner object need no comparison
}

// add takes in the name at node i of an object and reports whether it is there
// already. Beyond fewNames or fewBytes the answer is left to finish.
func (n *nameSet) add(s *scanner, object, i int) bool {
	n.count++
	if n.count > fewNames {
		return false
	}
	text := s.nodes[i].text(s.src)
	tag := nameTag(text)
	s.nodes[i].tag = tag
	var first bool
	if object == 0 {
		first = s.names.add(tag, i)
		s.names.foldable = s.names.foldable || foldable(text)
	} else {
		bit := uint64(1) << (tag >> 1 & 63)
		first, n.seen = n.seen&bit == 0, n.seen|bit
	}
	if first {
		return false
	}
	for j := object + 1; j < i; j = int(s.nodes[j+1].next) {
		other := &s.nodes[j]
		if other.tag != tag {
			continue
		}
		if other.text(s.src) == text {
			return true
		}
		if n.alike += other.end - other.start; n.alike > fewBytes {
			n.count = fewNames + 1 // as if there were many
			return false
		}
	}
	return false
}

// finish looks at all names of an object that has many.
func (n *nameSet) finish(s *scanner, object int) Problem {
	if n.count <= fewNames {
		if object == 0 {
			s.names.complete = len(s.nodes) <= math.MaxUint16
		}
		return 0
	}
	seen := make(map[string]struct{}, n.count)
	for j := object + 1; j < len(s.nodes); j = int(s.nodes[j+1].next) {
		text := s.nodes[j].text(s.src)
		if _, twice := seen[text]; twice {
			s.at = int(s.nodes[j].start)
			return DuplicateName
		}
		seen[text] = struct{}{}
		s.nodes[j].tag = nameTag(text)
		s.names.foldable = s.names.foldable || object == 0 && foldable(text)
	}
	return 0
}

// nameSlots says of the names of the outermost object, if they are few, where
// one is that is there.
type nameSlots struct {
	node     [256]uint16 // the first name whose tag has this slot; 0 when none has
	complete bool
	foldable bool // folding may change one of the names, few or not
}

// slot spreads tags so widely that few names share a slot.
func slot(tag uint16) uint16 { return tag >> 1 & 255 }

// add reports whether the slot was free.
func (n *nameSlots) add(tag uint16, i int) bool {
	at := &n.node[slot(tag)]
	if *at != 0 || i > math.MaxUint16 {
		return false
	}
	*at = uint16(i)
	return true
}

// nameTag is a cheap hash, for telling most names apart without looking at
// them.
func nameTag(s string) uint16 {
	if s == "" {
		return 0
	}
	n := len(s)
	h := uint32(n) + uint32(s[0])<<5 + uint32(s[n-1])<<10 + uint32(s[n/2])*0x9e5
	return uint16(h*0x9e3779b1>>16) | 1
}

// shadows refuses top-level names that differ in case only, from one another or
// from a known name.
func (p *Parser) shadows(s *scanner) Problem {
	if p.plain && !s.names.foldable {
		return 0
	}
	count, size := 0, 0
	for i := 1; i < len(s.nodes); i = int(s.nodes[i+1].next) {
		text := s.nodes[i].text(s.src)
		count, size = count+1, size+len(text)
		if foldable(text) || !p.plain {
			if s.known = p.misspelled(text); s.known != "" {
				s.at = int(s.nodes[i].start)
				return MisspelledName
			}
		}
	}
	switch {
	case !s.names.foldable:
		return 0
	case count <= fewNames && size <= fewBytes:
		return s.distinctPairs()
	}
	return s.distinctFolds()
}

// misspelled returns the known name of which text is another spelling, empty when
// there is none or text is itself known.
func (p *Parser) misspelled(text string) string {
	if len(text) > utf8.UTFMax*p.longest { // folding keeps the number of runes
		return ""
	}
	if _, exact := p.known[text]; exact {
		return ""
	}
	return p.folded[Fold(text)]
}

// distinctPairs compares every top-level name that folding may change with
// every other one.
func (s *scanner) distinctPairs() Problem {
	for i := 1; i < len(s.nodes); i = int(s.nodes[i+1].next) {
		text := s.nodes[i].text(s.src)
		if !foldable(text) {
			continue
		}
		for j := 1; j < len(s.nodes); j = int(s.nodes[j+1].next) {
			if i != j && strings.EqualFold(text, s.nodes[j].text(s.src)) {
				s.at = int(s.nodes[max(i, j)].start)
				return ShadowedName
			}
		}
	}
	return 0
}

// distinctFolds is distinctPairs in linear time.
func (s *scanner) distinctFolds() Problem {
	seen := make(map[string]struct{}, fewNames)
	for i := 1; i < len(s.nodes); i = int(s.nodes[i+1].next) {
		key := Fold(s.nodes[i].text(s.src))
		if _, twice := seen[key]; twice {
			s.at = int(s.nodes[i].start)
			return ShadowedName
		}
		seen[key] = struct{}{}
	}
	return 0
}

// foldable reports whether folding may change s, that is, whether s has an
// upper-case ASCII letter or anything beyond ASCII.
func foldable(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c < utf8.RuneSelf: // most
		case 'A' <= c && c <= 'Z', c >= utf8.RuneSelf:
			return true
		}
	}
	return false
}

// Fold maps every rune to one representative of its simple case folding class,
// lower case for ASCII letters, so that Fold(a) == Fold(b) says what
// strings.EqualFold(a, b) does.
func Fold(s string) string {
	if !foldable(s) {
		return s
	}
	return strings.Map(foldRune, s)
}

// foldRune finds the least rune of a class as the one that follows the greatest.
func foldRune(r rune) rune {
	if 'a' <= r && r <= 'z' {
		return r
	}
	for {
		next := unicode.SimpleFold(r)
		if next > r {
			r = next
			continue
		}
		if 'A' <= next && next <= 'Z' {
			next += 'a' - 'A'
		}
		return next
	}
}
