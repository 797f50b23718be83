package httpctx

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/authctx/authctx"
)

// pattern is an entry of a policy whose name is a pattern of [http.ServeMux], or
// a whole RPC service.
type pattern struct {
	entry    authctx.Entry
	method   string // empty for any
	host     string // empty for any
	segments []segment
	tree     bool // it ends in "/" or "{name...}", and matches what is below
	slash    bool // it ends in "{$}"
	// shape is the path without letter case and the names of wildcards, spelled so
	// that the shape of a more specific one is less.
	shape string
}

// segment is one of a pattern: a literal, decoded, or for the zero value a
// wildcard.
type segment struct{ text, folded string }

// impossible reports whether a path with such a segment is refused or cleaned.
func (s segment) impossible() bool {
	return s.text == "." || s.text == ".." || s.text == "/" || strings.ContainsFunc(s.text, unicode.IsControl)
}

// parsePattern parses a name, which a mux has taken.
func parsePattern(name string, entry authctx.Entry) *pattern {
	p := &pattern{entry: entry}
	before, path, _ := strings.Cut(name, "/")
	p.host = before
	if i := strings.IndexAny(before, " \t"); i >= 0 {
		p.method, p.host = before[:i], strings.TrimLeft(before[i:], " \t")
	}
	for i, s := range strings.Split(path, "/") {
		switch {
		case s == "" || strings.HasPrefix(s, "{") && strings.HasSuffix(s, "...}"):
			p.tree = true
			s = "{z...}"
		case s == "{$}":
			p.slash = true
		case s[0] == '{':
			p.segments = append(p.segments, segment{})
			s = "{w" + strconv.Itoa(i) + "}"
		default:
			text, err := url.PathUnescape(s)
			if err != nil { // then a mux takes it as it stands
				text = s
			}
			folded := fold(text)
			p.segments = append(p.segments, segment{text, folded})
			s = strings.ReplaceAll(url.PathEscape(folded), "~", "%7E") // all of which is less than "{"
		}
		p.shape += "/" + s
	}
	return p
}

// isTree reports whether a pattern matches what is below it.
func isTree(pattern string) bool {
	return strings.HasSuffix(pattern, "/") || strings.HasSuffix(pattern, "...}")
}

// wrong says why no request falls under p, empty when some may.
func (p *pattern) wrong() string {
	name := strconv.Quote(p.entry.Name)
	switch {
	case p.method != strings.ToUpper(p.method):
		return "the method of " + name + " is not in upper case, and is no request's"
	case p.method == "ANY" || p.method == "ALL" || strings.ContainsAny(p.method, "|,"):
		return name + " is for a method of that name; leave it out to rule every method, or have a pattern for each"
	case strings.ContainsAny(p.host, " \t"):
		return name + " has a space where none belongs"
	case !isASCII(p.host):
		return "the host of " + name + " is not in ASCII, as clients send it (xn--…)"
	case p.host != strings.ToLower(p.host) || strings.HasSuffix(p.host, ".") || strings.Contains(p.host, ":") && !isIPv6(p.host):
		return "the host of " + name + " has a capital, a port or a dot at its end, and is no request's"
	case strings.Contains(p.entry.Name, "//") || slices.ContainsFunc(p.segments, segment.impossible):
		return name + " has a segment that is empty, a dot or a slash, or a control character, and is no request's"
	case strings.ContainsAny(p.path(), "?#*") || strings.Contains(p.path(), "/:") || strings.Contains(p.path(), "/<"):
		return name + ` looks like a pattern of another router, or has a query: a wildcard is "{name}", and "?", "#", "*", "/:" and "/<" are percent-encoded`
	}
	return ""
}

// path returns the path as it is written.
func (p *pattern) path() string { return p.entry.Name[strings.IndexByte(p.entry.Name, '/'):] }

// isIPv6 reports whether host is such an address, as it stands in a URL or as a
// mux leaves it that has taken away the port.
func isIPv6(host string) bool {
	bare := strings.Trim(host, "[]")
	_, err := netip.ParseAddr(bare)
	return err == nil && strings.Contains(bare, ":") && (host == bare || host == "["+bare+"]")
}

// match reports whether a request falls under p in some reading, and whether it
// does in every one.
func (p *pattern) match(q *query) (some, every bool) {
	if !p.serves(q.method) || p.host != "" && !slices.Contains(q.hosts, p.host) {
		return false, false
	}
	every = p.host == "" || len(q.hosts) == 1
	for i, s := range p.segments {
		if i == len(q.segments) {
			return q.open, false
		}
		if s != (segment{}) {
			if s.folded != q.segments[i].folded {
				return false, false
			}
			every = every && s.text == q.segments[i].text
		}
	}
	switch below := len(q.segments) > len(p.segments); {
	case p.tree:
		return true, every && (below || q.slash || q.open)
	case below || !p.slash && (q.slash || q.open): // table.askTrimmed asks of that
		return false, false
	}
	return true, every && q.slash == p.slash
}

func (p *pattern) serves(method string) bool {
	return p.method == "" || p.method == method || p.method == http.MethodGet && method == http.MethodHead
}

// beginning returns the literals that p begins with, "a/b".
func (p *pattern) beginning() string {
	var literals []string
	for _, s := range p.segments {
		if s == (segment{}) {
			break
		}
		literals = append(literals, s.folded)
	}
	return strings.Join(literals, "/")
}

// ties reports whether p and o are one to a server that does not look at case.
func (p *pattern) ties(o *pattern) bool {
	return p.method == o.method && p.host == o.host && p.shape == o.shape
}

// conflicts reports whether no mux takes both p and o, or none that does not look
// at case. It makes muxes to find out: ask only of what overlaps and is of one
// host, for no other patterns conflict.
func (p *pattern) conflicts(o *pattern) bool {
	folded := func(p *pattern) string { return p.method + " " + p.host + p.shape }
	return conflict(p.entry.Name, o.entry.Name) || !p.ties(o) && conflict(folded(p), folded(o))
}

func conflict(a, b string) bool {
	mux := http.NewServeMux()
	return register(mux, a) == "" && register(mux, b) != ""
}

// register says why mux does not take a pattern, empty when it does. A mux has no
// other way to say it than a panic.
func register(mux *http.ServeMux, pattern string) (problem string) {
	defer func() {
		if p := recover(); p != nil {
			problem = fmt.Sprint(p)
		}
	}()
	mux.Handle(pattern, http.NotFoundHandler())
	return ""
}

// prefix returns what the methods of a service begin with.
func (p *pattern) prefix() string { return strings.TrimSuffix(p.entry.Name, "*") }

// hasMethod reports whether a name is of a single method of a service.
func (p *pattern) hasMethod(name string) bool {
	return maybeRPC(name) && strings.HasPrefix(name, p.prefix())
}
