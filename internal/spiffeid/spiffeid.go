// Package spiffeid knows the form of SPIFFE IDs (SPIFFE-ID section 2).
package spiffeid

import "strings"

// Scheme begins every SPIFFE ID.
const Scheme = "spiffe://"

// maxBytes is the longest ID that anybody may make (section 2.3).
const maxBytes = 2048

// Split splits an ID into the name of its trust domain and its path, which is
// empty or begins with "/". Nothing is normalized: what needed that is no ID.
func Split(id string) (domain, path string, ok bool) {
	rest, ok := strings.CutPrefix(id, Scheme)
	if !ok || len(id) > maxBytes {
		return "", "", false
	}
	domain = rest
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		domain, path = rest[:i], rest[i:]
	}
	if domain == "" || strings.Trim(domain, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return "", "", false
	}
	if path != "" {
		for segment := range strings.SplitSeq(path[1:], "/") {
			if !validSegment(segment) {
				return "", "", false
			}
		}
	}
	return domain, path, true
}

func validSegment(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && s != "." && s != ".."
}
