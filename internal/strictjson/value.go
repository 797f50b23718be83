package strictjson

import (
	"iter"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Doc is a parsed document. The zero Doc is empty, and its root is Missing. A
// Doc that is parsed into again reuses its memory, so it can be pooled. Reading
// it concurrently is fine while nobody parses into it.
type Doc struct {
	src   string
	nodes []node
	names nameSlots // of the outermost object
}

// Root returns the outermost object.
func (d *Doc) Root() Value {
	if len(d.nodes) == 0 {
		return Value{}
	}
	return Value{doc: d}
}

// Get returns a member of the outermost object, as [Value.Get] does.
func (d *Doc) Get(name string) Value { return d.Root().Get(name) }

// Clear forgets the document and keeps the memory of its index. Where names were
// means nothing without nodes.
func (d *Doc) Clear() { d.src, d.nodes = "", d.nodes[:0] }

// Value is a handle on one value of a [Doc], good until the Doc is parsed into
// again. The zero Value is Missing.
type Value struct {
	doc *Doc
	i   int
}

// Kind is what a value is.
type Kind uint8

// The kinds. Missing is the kind of what a document does not have.
const (
	Missing Kind = iota
	Null
	False
	True
	Number
	String
	Array
	Object
)

// Kind returns what v is.
func (v Value) Kind() Kind {
	if v.doc == nil {
		return Missing
	}
	return v.node().kind
}

// Exists reports whether v is there and not null.
func (v Value) Exists() bool { return v.Kind() > Null }

func (v Value) node() *node { return &v.doc.nodes[v.i] }

// Get returns the member of exactly that name, and a Missing value when v has
// none or is no object.
func (v Value) Get(name string) Value {
	if v.Kind() != Object {
		return Value{}
	}
	tag, nodes := nameTag(name), v.doc.nodes
	if v.i == 0 && v.doc.names.complete {
		i := int(v.doc.names.node[slot(tag)])
		if i == 0 {
			return Value{}
		}
		if nodes[i].tag == tag && nodes[i].is(v.doc.src, name) {
			return Value{doc: v.doc, i: i + 1}
		}
	}
	for i, end := v.i+1, int(v.node().next); i < end; i = int(nodes[i+1].next) {
		if nodes[i].tag == tag && nodes[i].is(v.doc.src, name) {
			return Value{doc: v.doc, i: i + 1}
		}
	}
	return Value{}
}

// Members yields the members of an object in order, and nothing otherwise.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Kind() != Object {
			return
		}
		nodes := v.doc.nodes
		for i, end := v.i+1, int(v.node().next); i < end; i = int(nodes[i+1].next) {
			if !yield(nodes[i].text(v.doc.src), Value{doc: v.doc, i: i + 1}) {
				return
			}
		}
	}
}

// Elements yields the elements of an array in order, and nothing otherwise.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Array {
			return
		}
		nodes := v.doc.nodes
		for i, end := v.i+1, int(v.node().next); i < end; i = int(nodes[i].next) {
			if !yield(Value{doc: v.doc, i: i}) {
				return
			}
		}
	}
}

// Text returns the text of a string and whether v is one. It is a substring of
// the document unless there was something to unescape.
func (v Value) Text() (string, bool) {
	if v.doc == nil {
		return "", false
	}
	n := v.node()
	if n.kind != String {
		return "", false
	}
	return n.text(v.doc.src), true
}

// Raw returns v as the document has it, a string with its quotes; empty when v
// is Missing.
func (v Value) Raw() string {
	switch n := v.Kind(); n {
	case Missing:
		return ""
	case String:
		return v.doc.src[v.node().start-1 : v.node().end+1]
	default:
		return v.doc.src[v.node().start:v.node().end]
	}
}

// text returns the text of a string node.
func (n *node) text(src string) string {
	raw := src[n.start:n.end]
	if !n.escaped {
		return raw
	}
	return unescape(raw)
}

// is compares the text of a string node to name, and unescapes no text that is
// longer: a stranger may have made it so.
func (n *node) is(src, name string) bool {
	raw := src[n.start:n.end]
	if !n.escaped {
		return raw == name
	}
	return len(raw) <= longestEscape*len(name) && unescape(raw) == name
}

// longestEscape is in how many bytes an escape sequence may say one.
const longestEscape = 6

// unescape decodes what escape has accepted.
func unescape(raw string) string {
	var b strings.Builder
	b.Grow(len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			b.WriteByte(raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'u':
			r, n := unicodeEscape(raw[i:])
			b.WriteRune(r)
			i += n
			continue
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		default: // a quote, a slash or a backslash
			b.WriteByte(c)
		}
		i += 2
	}
	return b.String()
}

// unicodeEscape decodes the \u escape, or pair of escapes, that s starts with
// and returns its length, 0 when it is malformed or half a surrogate pair.
func unicodeEscape(s string) (r rune, n int) {
	first, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, 6
	}
	second, ok := hex4(s[6:])
	if !ok {
		return 0, 0
	}
	if r = utf16.DecodeRune(first, second); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

// hex4 decodes one \u escape.
func hex4(s string) (r rune, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for _, c := range []byte(s[2:6]) {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
