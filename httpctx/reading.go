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
	// maxReadings is how many times a path is read and then decoded, until that
	// does not change it.
	maxReadings = 3
	// maxOddPath bounds the work that a path makes which has several readings.
	maxOddPath = 2048
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
		return nil, unclear("the path is too long for one with encoded or special characters")
	}
	var paths []string
	for range maxReadings {
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
	if !strings.Contains(p, "%") {
		return p
	}
	decoded := make([]byte, 0, len(p))
	for len(p) > 0 {
		var c [1]byte
		if p[0] == '%' && len(p) >= 3 {
			if _, err := hex.Decode(c[:], []byte(p[1:3])); err == nil {
				decoded, p = append(decoded, c[0]), p[3:]
				continue
			}
		}
		decoded, p = append(decoded, p[0]), p[1:]
	}
	return string(decoded)
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
