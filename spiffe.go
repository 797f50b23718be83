package authctx

import "strings"

// spiffeScheme begins every SPIFFE ID.
const spiffeScheme = "spiffe://"

// maxSPIFFEID is the longest ID that anybody may make (SPIFFE-ID section 2.3).
const maxSPIFFEID = 2048

// splitSPIFFEID splits an ID (SPIFFE-ID section 2) into the name of its trust
// domain and its path, which is empty or begins with "/". Nothing is normalized:
// what needed that is no ID.
func splitSPIFFEID(id string) (domain, path string, ok bool) {
	rest, ok := strings.CutPrefix(id, spiffeScheme)
	if !ok || len(id) > maxSPIFFEID {
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
			if !validSPIFFESegment(segment) {
				return "", "", false
			}
		}
	}
	return domain, path, true
}

func validSPIFFESegment(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && s != "." && s != ".."
}
