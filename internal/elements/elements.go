// Package elements knows the fields whose lines have parts that are owned one by
// one: cookies, and the WebSocket subprotocols that a client offers.
package elements

import (
	"slices"
	"strings"

	"github.com/authctx/authctx"
)

// Strip removes from the lines of the named field the cookies and subprotocols
// that are in set, but for the cookies of kept: those of the cookie field, for
// nobody has read its look-alikes. Of every other field it returns the lines as
// they are.
func Strip(name string, lines []string, set, kept *authctx.FieldSet) (left []string, changed bool) {
	switch {
	case len(set.Cookies) > 0 && IsCookie(name):
		read := strings.EqualFold(name, "cookie")
		return Remove(lines, ";", func(element string) bool {
			cookie, _, _ := strings.Cut(element, "=")
			cookie = strings.Trim(cookie, space)
			return !(read && slices.Contains(kept.Cookies, cookie)) &&
				slices.ContainsFunc(set.Cookies, func(c string) bool { return strings.EqualFold(c, cookie) })
		})
	case len(set.Subprotocols) > 0 && isField(name, "sec-websocket-protocol"):
		return Remove(lines, ",", func(element string) bool {
			return slices.ContainsFunc(set.Subprotocols, func(prefix string) bool {
				return len(element) >= len(prefix) && strings.EqualFold(element[:len(prefix)], prefix)
			})
		})
	}
	return lines, false
}

// IsCookie reports whether some server might take the named field for that of
// cookies.
func IsCookie(name string) bool { return isField(name, "cookie") }

func isField(name, field string) bool { return authctx.FieldSet{Names: []string{field}}.Owns(name) }

// space is what net/http trims from the elements of a line, line breaks
// included, although none can arrive.
const space = " \t\r\n"

// Remove returns lines without the elements that remove says, and lines itself
// when there are none of these.
func Remove(lines []string, sep string, remove func(element string) bool) (left []string, changed bool) {
	for _, line := range lines {
		var elements []string
		for element := range strings.SplitSeq(line, sep) {
			element = strings.Trim(element, space)
			if remove(element) {
				changed = true
			} else if element != "" {
				elements = append(elements, element)
			}
		}
		if len(elements) > 0 {
			left = append(left, strings.Join(elements, sep+" "))
		}
	}
	if !changed {
		return lines, false
	}
	return left, true
}

// A Cookie is what identifies a cookie, whether or not its value is quoted.
type Cookie struct{ Name, Value string }

// ParseCookie reads an element of a cookie field. Its name is in lower case.
func ParseCookie(element string) Cookie {
	name, value, _ := strings.Cut(element, "=")
	return Cookie{strings.ToLower(strings.Trim(name, space)), strings.Trim(value, space+`"`)}
}
