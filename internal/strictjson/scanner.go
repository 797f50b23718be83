package strictjson

import "math/bits"

// node is one value or member name. The nodes of a container follow it in the
// order of the document: elements, or member names each followed by its value.
type node struct {
	start, end uint32 // offsets; of a string, between the quotes
	next       uint32 // the node after this one and all it contains
	tag        uint16 // of a member name: nameTag of its text
	kind       Kind
	escaped    bool // the string holds a backslash
}

// scanner makes nodes of a document. Its methods leave at where the problem is.
type scanner struct {
	src   string
	at    int
	nodes []node
	names *nameSlots
	max   int
	depth int
	known string // the name that is spelled otherwise, if that is the problem
}

func (s *scanner) document() Problem {
	s.space()
	if s.peek() != '{' {
		return NotObject
	}
	if problem := s.value(); problem != 0 {
		return problem
	}
	if s.space(); s.at < len(s.src) {
		return TrailingData
	}
	return 0
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.src) {
		return s.src[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.src) && s.src[s.at] <= ' ' {
		switch s.src[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

// open appends a node that starts here. Its end is set by whoever knows it.
func (s *scanner) open(kind Kind) (int, Problem) {
	i := len(s.nodes)
	if i >= s.max {
		return 0, TooMany
	}
	if i < cap(s.nodes) {
		s.nodes = s.nodes[:i+1]
	} else {
		s.nodes = append(s.nodes, node{})
	}
	// Field by field: a node that is appended whole is put together elsewhere,
	// and copying what was written in parts makes a processor wait.
	n := &s.nodes[i]
	n.start, n.end, n.next = uint32(s.at), 0, uint32(i+1)
	n.tag, n.kind, n.escaped = 0, kind, false
	return i, 0
}

func (s *scanner) value() Problem {
	switch c := s.peek(); c {
	case '{', '[':
		return s.container(c)
	case '"':
		_, problem := s.text()
		return problem
	case 't':
		return s.literal("true", True)
	case 'f':
		return s.literal("false", False)
	case 'n':
		return s.literal("null", Null)
	default:
		if c == '-' || isDigit(c) {
			return s.number()
		}
		return BadSyntax
	}
}

func (s *scanner) container(c byte) Problem {
	if s.depth == MaxDepth {
		return TooDeep
	}
	s.depth++
	kind := Object
	if c == '[' {
		kind = Array
	}
	i, problem := s.open(kind)
	if problem != 0 {
		return problem
	}
	s.at++
	s.space()
	switch {
	case s.peek() == c+2: // ']' is '[' + 2 and '}' is '{' + 2
		s.at++
	case kind == Object:
		problem = s.members(i)
	default:
		problem = s.elements()
	}
	s.nodes[i].end, s.nodes[i].next = uint32(s.at), uint32(len(s.nodes))
	s.depth--
	return problem
}

func (s *scanner) elements() Problem {
	for {
		if problem := s.value(); problem != 0 {
			return problem
		}
		if done, problem := s.separator(']'); done || problem != 0 {
			return problem
		}
	}
}

func (s *scanner) members(object int) Problem {
	var names nameSet
	for {
		if s.peek() != '"' {
			return BadSyntax
		}
		name, problem := s.text()
		if problem != 0 {
			return problem
		}
		if names.add(s, object, name) {
			s.at = int(s.nodes[name].start)
			return DuplicateName
		}
		if s.space(); s.peek() != ':' {
			return BadSyntax
		}
		s.at++
		s.space()
		if problem := s.value(); problem != 0 {
			return problem
		}
		if done, problem := s.separator('}'); problem != 0 {
			return problem
		} else if done {
			return names.finish(s, object)
		}
	}
}

// separator reads what follows an element or member: a comma, or the end of the
// container.
func (s *scanner) separator(end byte) (done bool, _ Problem) {
	s.space()
	switch s.peek() {
	case ',':
		s.at++
		s.space()
		return false, 0
	case end:
		s.at++
		return true, 0
	}
	return false, BadSyntax
}

func (s *scanner) literal(word string, kind Kind) Problem {
	if len(s.src)-s.at < len(word) || s.src[s.at:s.at+len(word)] != word {
		return BadSyntax
	}
	i, problem := s.open(kind)
	if problem != 0 {
		return problem
	}
	s.at += len(word)
	s.nodes[i].end = uint32(s.at)
	return 0
}

// text reads a string, of a value or a name.
func (s *scanner) text() (int, Problem) {
	s.at++
	i, problem := s.open(String)
	if problem != 0 {
		return 0, problem
	}
	for s.plainText(); s.peek() != '"'; s.plainText() {
		if s.peek() != '\\' || !s.escape() {
			return 0, BadString
		}
		s.nodes[i].escaped = true
	}
	s.nodes[i].end = uint32(s.at)
	s.at++
	return i, 0
}

// plainText skips what stands for itself in a string, eight bytes at a time: it
// stops at a quote, a backslash, a control character or the end.
func (s *scanner) plainText() {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	src, i := s.src, s.at
	for ; i+8 <= len(src); i += 8 {
		b := src[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		// The high bit of a byte is set where it is an ASCII character below a
		// space, a quote or a backslash. Borrows only spoil bytes after the first
		// hit.
		hit := ((w - ones*' ') | (w ^ ones*'"' - ones) | (w ^ ones*'\\' - ones)) &^ w & highs
		if hit != 0 {
			s.at = i + bits.TrailingZeros64(hit)/8
			return
		}
	}
	for i < len(src) && src[i] >= ' ' && src[i] != '"' && src[i] != '\\' {
		i++
	}
	s.at = i
}

// escape reads an escape sequence and reports whether it is well formed. Two
// halves of a surrogate pair count as one; a half alone is no character.
func (s *scanner) escape() bool {
	if len(s.src)-s.at < 2 {
		return false
	}
	switch s.src[s.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at += 2
		return true
	case 'u':
		_, n := unicodeEscape(s.src[s.at:])
		s.at += n
		return n > 0
	}
	return false
}
