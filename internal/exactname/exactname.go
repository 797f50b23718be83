// Package exactname knows names that are compared byte by byte.
package exactname

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Rule is what errors say of a name that [Valid] refuses.
const Rule = "must be UTF-8 without characters that cannot be seen and without a space at either end"

// Valid reports whether somebody can mean s: a line break or a space that came along
// from a file would match nothing, and a program that starts with it refuses
// everybody.
func Valid(s string) bool {
	unseen := func(r rune) bool { return !strconv.IsPrint(r) }
	return s == strings.TrimSpace(s) && utf8.ValidString(s) && !strings.ContainsFunc(s, unseen)
}
