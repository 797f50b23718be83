// Package grammar knows small grammars of HTTP and OAuth that several packages
// check.
package grammar

import "strings"

// IsToken reports whether s is a token (RFC 9110 section 5.6.2): a method, a
// scheme, the name of a field, a cookie or a parameter.
func IsToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	})
}

// IsScopeToken reports whether s is a scope token (RFC 6749 section 3.3), which
// can stand in a space-separated list and in a challenge.
func IsScopeToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || c == '"' || c == '\\'
	})
}
