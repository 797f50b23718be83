package httpctx

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	// maxDecodings is within how many decodings a path stops to change.
	maxDecodings = 4
	// maxOddPath bounds the work that a path can make which needs more than one
	// reading. It is what servers take at least (RFC 9112 section 3).
	maxOddPath = 8000
)

// readings returns the path of r, clean and escaped, in the ways in which servers
// are known to read it, first that of a mux: segment by segment. A path that a
// mux would clean is an error, and so is one that climbs in some reading, since
// then each could lead anywhere.
func readings(r *http.Request) ([]string, error) {
	if u := r.URL; u.Opaque != "" || u.Path == "*" || u.Path == "" && r.Method == http.MethodConnect {
		return nil, unclear("the request names no path")
	}
	raw := target(r.URL)
	if !strings.HasPrefix(raw, "/") { // as behind a StripPrefix
		raw = "/" + raw
	}
	switch {
	case raw != cleanPath(raw):
		return nil, unclear("the path has empty or dot segments")
	case !strings.ContainsAny(raw, `%\;#`) && !strings.HasSuffix(raw, "/"):
		return []string{escapePath(raw)}, nil
	case len(raw) > maxOddPath:
		return nil, unclear("the path is too long")
	}
	var paths []string
	for range maxDecodings {
		for _, lax := range laxReadings(raw) {
			if misleading(decode(lax)) {
				return nil, unclear("the path has dot segments or control characters")
			}
			if p := escapePath(cleanPath(lax)); !slices.Contains(paths, p) {
				paths = append(paths, p)
			}
		}
		decoded := decode(raw)
		if decoded == raw {
			return paths, nil
		}
		raw = decoded
	}
	return nil, unclear("the path is encoded several times")
}

// laxReadings returns a path and, after it, how servers read it that tell less
// apart: a backslash from a slash, what stands behind ";", "?" or "#" from
// nothing, a slash at the end from none, and any of these together.
func laxReadings(p string) []string {
	all := []string{p}
	for _, lax := range []func(string) string{
		func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
		func(p string) string { return parameters.ReplaceAllString(p, "") },
		func(p string) string { return suffix.ReplaceAllString(p, "") },
		func(p string) string { return strings.TrimRight(p, "/") },
	} {
		for _, p := range all {
			if q := lax(p); !slices.Contains(all, q) {
				all = append(all, q)
			}
		}
	}
	return all
}

var (
	parameters = regexp.MustCompile(`;[^/]*`) // RFC 3986 section 3.3
	suffix     = regexp.MustCompile(`(?s)[?#].*`)
	escape     = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
)

// misleading reports whether a decoded path climbs, or has characters at which
// servers cut it off.
func misleading(p string) bool {
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// decode decodes what is encoded and leaves what merely looks like it.
func decode(p string) string {
	return escape.ReplaceAllStringFunc(p, func(escaped string) string {
		c, _ := hex.DecodeString(escaped[1:])
		return string(c)
	})
}

// cleanPath cleans p as a mux does.
func cleanPath(p string) string {
	clean := path.Clean("/" + p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return clean
}

// escapePath decodes the segments of p, and escapes them all alike.
func escapePath(p string) string {
	segments := strings.Split(p, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(decode(s))
	}
	return strings.Join(segments, "/")
}
