// Package strictjson reads the JSON of JOSE headers, claims and introspection
// responses so that no two readers can disagree about it.
//
// encoding/json takes the last of two members of one name, matches names
// without regard to case and turns what is not UTF-8 into U+FFFD; others make
// infinity of a number that is too large. Each of these lets a document mean one
// thing to a verifier and another to whoever reads it next. Here such a document
// is refused (RFC 7515 section 4, RFC 7519 section 4, RFC 8725 section 3.7).
//
// A document is scanned once, into an index of offsets; values are decoded when
// they are asked for.
package strictjson

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deeply objects and arrays may nest, the outermost counted.
const MaxDepth = 32

// Defaults of Config.
const (
	DefaultMaxBytes  = 64 << 10
	DefaultMaxValues = 8 << 10
)

// Config says what a [Parser] accepts.
type Config struct {
	// Known are the top-level member names with a meaning to the caller. A
	// document with a different spelling of one, equal under Unicode simple
	// case folding ("SUB" for "sub") and not itself known, is refused.
	Known []string
	// MaxBytes bounds the document; DefaultMaxBytes when zero or negative.
	MaxBytes int
	// MaxValues bounds the number of member names and values in it;
	// DefaultMaxValues when zero or negative.
	MaxValues int
}

// Parser parses JSON objects of one kind. It is immutable.
type Parser struct {
	known     map[string]struct{} // as spelled
	folded    map[string]string   // known names by their folding
	longest   int                 // known name
	plain     bool                // no known name is changed by folding
	maxBytes  int
	maxValues int
}

// NewParser returns a parser. It keeps nothing of cfg.
func NewParser(cfg Config) *Parser {
	p := &Parser{
		known: map[string]struct{}{}, folded: map[string]string{}, plain: true,
		maxBytes: cmp.Or(max(0, cfg.MaxBytes), DefaultMaxBytes), maxValues: cmp.Or(max(0, cfg.MaxValues), DefaultMaxValues),
	}
	for _, name := range cfg.Known {
		name = strings.Clone(name)
		p.known[name] = struct{}{}
		if fold := Fold(name); p.folded[fold] == "" {
			p.folded[fold] = name
		}
		p.longest = max(p.longest, len(name))
		p.plain = p.plain && !foldable(name)
	}
	return p
}

// Parse reads src, which must be one JSON object, into d, whose earlier content
// it replaces. The error is an [Error]; d holds nothing then.
//
// d keeps src, and so do texts read from it: they are substrings wherever
// nothing had to be unescaped.
func (p *Parser) Parse(d *Doc, src string) error {
	*d = Doc{nodes: d.nodes[:0]}
	if len(src) > p.maxBytes {
		return Error{Problem: TooLong, Offset: p.maxBytes}
	}
	if !utf8.ValidString(src) {
		return Error{Problem: BadUTF8, Offset: invalidUTF8(src)}
	}
	if d.nodes == nil {
		d.nodes = make([]node, 0, min(len(src)/10+8, p.maxValues))
	}
	s := scanner{src: src, nodes: d.nodes, names: &d.names, max: p.maxValues}
	problem := s.document()
	if problem == 0 {
		problem = p.shadows(&s)
	}
	if problem != 0 {
		*d = Doc{nodes: s.nodes[:0]}
		return Error{Problem: problem, Offset: s.at, Known: s.known}
	}
	d.src, d.nodes = src, s.nodes
	return nil
}

// Check returns what p has against a document that another parser accepted: a
// different spelling of a name that p knows. It does not look at p's bounds.
func (p *Parser) Check(d *Doc) error {
	s := scanner{src: d.src, nodes: d.nodes, names: &d.names}
	if problem := p.shadows(&s); problem != 0 {
		return Error{Problem: problem, Offset: s.at, Known: s.known}
	}
	return nil
}

func invalidUTF8(src string) int {
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRuneInString(src[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(src)
}

// Error says what is wrong with a document and where, and holds nothing of it.
type Error struct {
	Problem Problem
	Offset  int    // in bytes
	Known   string // the name that is spelled otherwise, if that is the problem
}

// Error implements error.
func (e Error) Error() string {
	if e.Known != "" {
		return fmt.Sprintf("strict JSON: %v, %q, at byte %d", e.Problem, e.Known, e.Offset)
	}
	return fmt.Sprintf("strict JSON: %v at byte %d", e.Problem, e.Offset)
}

// Problem is a way in which a document is refused.
type Problem uint8

// The problems.
const (
	_ Problem = iota
	TooLong
	TooDeep
	TooMany
	BadUTF8
	BadSyntax
	BadString
	BadNumber
	HugeNumber
	NotObject
	TrailingData
	DuplicateName
	ShadowedName   // by another in the document
	MisspelledName // which would be a known one
)

// String describes the problem in a few words.
func (p Problem) String() string { return problemTexts[p] }

var problemTexts = [...]string{
	TooLong:        "document too long",
	TooDeep:        "nested too deeply",
	TooMany:        "too many values",
	BadUTF8:        "not valid UTF-8",
	BadSyntax:      "syntax error",
	BadString:      "malformed string",
	BadNumber:      "malformed number",
	HugeNumber:     "number too large",
	NotObject:      "not an object",
	TrailingData:   "data after the end",
	DuplicateName:  "duplicate member name",
	ShadowedName:   "member name that differs from another in case only",
	MisspelledName: "member name that is another spelling of one that is read here",
}
