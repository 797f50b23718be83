// Package elements knows the fields whose lines have parts that are owned one by
// one: cookies, and the WebSocket subprotocols that a client offers.
package elements

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/authctx/authctx"
)

// Set is cookies and subprotocols that are removed. Cookies are looked up in a map,
// because peers choose how many they send.
type Set struct {
	cookies      map[string]bool // by their folded names
	longest      int             // of these
	subprotocols []string
}

// NewSet returns the set of the cookies and subprotocols of fields.
func NewSet(fields authctx.FieldSet) Set {
	s := Set{cookies: map[string]bool{}, subprotocols: fields.Subprotocols}
	for _, cookie := range fields.Cookies {
		folded := appendFolded(nil, cookie, len(cookie)*utf8.UTFMax)
		s.cookies[string(folded)] = true
		s.longest = max(s.longest, len(folded))
	}
	return s
}

// has reports whether a cookie of this name is in s, without regard to case. It
// does not allocate.
func (s *Set) has(cookie string) bool {
	var usual [64]byte
	return s.cookies[string(appendFolded(usual[:0], cookie, s.longest))]
}

// appendFolded appends name without letter case, up to the first letter that is
// past that many bytes.
func appendFolded(b []byte, name string, bytes int) []byte {
	for _, c := range name {
		if len(b) > bytes {
			break
		}
		b = utf8.AppendRune(b, unicode.ToLower(unicode.ToUpper(c))) // in upper case first, some more become the same
	}
	return b
}

// Strip removes from the lines of the named field the cookies and subprotocols
// that are in s. Cookies of kept stay, but only in the cookie field itself, since
// nobody has read its look-alikes. The lines of every other field are returned as
// they are.
func (s *Set) Strip(name string, lines []string, kept *authctx.FieldSet) (left []string, changed bool) {
	switch {
	case len(s.cookies) > 0 && IsCookie(name):
		read := strings.EqualFold(name, "cookie")
		return Remove(lines, ";", func(element string) bool {
			cookie, _, _ := strings.Cut(element, "=")
			cookie = strings.Trim(cookie, space)
			return s.has(cookie) && !(read && slices.Contains(kept.Cookies, cookie))
		})
	case len(s.subprotocols) > 0 && isField(name, "sec-websocket-protocol"):
		return Remove(lines, ",", func(element string) bool {
			return slices.ContainsFunc(s.subprotocols, func(prefix string) bool {
				return len(element) >= len(prefix) && strings.EqualFold(element[:len(prefix)], prefix)
			})
		})
	}
	return lines, false
}

// IsCookie reports whether some server might take the named field for the cookie field.
func IsCookie(name string) bool { return isField(name, "cookie") }

func isField(name, field string) bool { return authctx.FieldSet{Names: []string{field}}.Owns(name) }

// space is what net/http trims from the elements of a line, line breaks
// included, although none can arrive.
const space = " \t\r\n"

// Remove returns lines without the elements for which remove is true, and lines itself
// when there are none. Empty elements do not count.
func Remove(lines []string, sep string, remove func(element string) bool) (left []string, changed bool) {
	for i, line := range lines {
		rest, cut := without(line, sep, remove)
		if cut && !changed {
			left, changed = slices.Clone(lines[:i]), true
		}
		if changed && rest != "" {
			left = append(left, rest)
		}
	}
	if !changed {
		return lines, false
	}
	return left, true
}

// without is Remove for one line. It copies nothing of a line that stays.
func without(line, sep string, remove func(element string) bool) (left string, changed bool) {
	var kept strings.Builder
	for rest, more := line, true; more; {
		before := len(line) - len(rest)
		var element string
		element, rest, more = strings.Cut(rest, sep)
		trimmed := strings.Trim(element, space)
		switch {
		case trimmed != "" && remove(trimmed):
			if !changed {
				changed = true
				kept.Grow(len(line) + len(sep))
				kept.WriteString(line[:before])
			}
		case changed:
			kept.WriteString(element)
			kept.WriteString(sep)
		}
	}
	if !changed {
		return line, false
	}
	return strings.Trim(kept.String(), space+sep), true
}

// A Cookie is what identifies a cookie. Its value is without quotes.
type Cookie struct{ Name, Value string }

// ParseCookie reads an element of a cookie field. Its name is in lower case.
func ParseCookie(element string) Cookie {
	name, value, _ := strings.Cut(element, "=")
	return Cookie{strings.ToLower(strings.Trim(name, space)), strings.Trim(value, space+`"`)}
}
