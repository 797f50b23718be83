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
	// maxOddPath and maxLaxReadings bound the work that a path makes which has
	// several readings.
	maxOddPath     = 2048
	maxLaxReadings = 64
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
	decoded := []string{raw}
	for range maxReadings {
		lax := laxReadings(decoded)
		if len(lax) > maxLaxReadings {
			return nil, unclear("the path can be read in too many ways")
		}
		decoded = nil
		for _, p := range lax {
			d := decode(p)
			if misleading(d) {
				return nil, unclear("the path has dot segments or control characters")
			}
			paths = appendNew(paths, escapePath(cleanPath(p)))
			if d != p {
				decoded = appendNew(decoded, d)
			}
		}
		if len(decoded) == 0 {
			return paths, nil
		}
	}
	return nil, unclear("the path is encoded several times")
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// laxReadings returns paths and, after them, how servers read these that tell
// less apart: a backslash from a slash, what stands behind ";", "?" or "#" from
// nothing, a slash at the end from none, and any of these together, in any
// order. It gives up soon after maxLaxReadings.
func laxReadings(all []string) []string {
	for i := 0; i < len(all) && len(all) <= maxLaxReadings; i++ {
		p := all[i]
		all = appendNew(all, strings.ReplaceAll(p, `\`, "/"))
		all = appendNew(all, parameters.ReplaceAllString(p, ""))
		for _, end := range []string{";", "?", "#"} {
			before, _, _ := strings.Cut(p, end)
			all = appendNew(all, before)
		}
		all = appendNew(all, strings.TrimRight(p, "/"))
	}
	return all
}

var parameters = regexp.MustCompile(`;[^/]*`) // RFC 3986 section 3.3

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

// escapePath decodes the segments of p, and escapes them all alike. A segment
// that is nothing but an encoded slash stays encoded: a mux takes it for a slash
// at the end, and others take it for an ID.
func escapePath(p string) string {
	segments := strings.Split(p, "/")
	for i, s := range segments {
		if d := decode(s); d != "/" {
			s = d
		}
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}
