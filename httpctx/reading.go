package httpctx

import (
	"encoding/hex"
	"net/http"
	"strings"
	"unicode"
)

// A reading is what is sure of a request's path, whoever reads it.
//
// Servers decode a path never, once or again and again. Some take a backslash for
// a slash, drop what follows ";", "?" or "#", or look at no letter case. But none
// of that touches a segment in which, decoded once, stands none of these
// characters and no "%". The path is sure up to the first segment that is not
// such a one. What a server makes of the rest lies below: a path in which a dot
// segment could come to light, by which it would climb, is refused.
//
// So every server reads the sure segments, and behind them whatever an attacker
// likes, or nothing.
type reading struct {
	// folded are the sure segments, decoded, without the slash at either end and
	// without letter case.
	folded string
	// literal are they for a server that does not decode. Where the path is
	// encoded as it has to be, that has its routes encoded too.
	literal string
	slash   bool // the path ends in one
	open    bool // more segments follow, which are not sure
}

// readPath returns the reading of the path of r, or an error if that is not clean or
// could climb. Segments behind the given number of them do not matter.
func readPath(r *http.Request, segments int) (reading, error) {
	if u := r.URL; u.Opaque != "" || u.Path == "*" || u.Path == "" && r.Method == http.MethodConnect {
		return reading{}, unclear("the request names no path")
	}
	path := target(r.URL)
	if raw := r.URL.RawPath; raw != "" && raw != path { // by which some routers go
		return reading{}, unclear("RawPath is not that of Path: something changed one and not the other, which http.StripPrefix would")
	}
	if !strings.HasPrefix(path, "/") { // as behind a StripPrefix
		path = "/" + path
	}
	if strings.Contains(path, "//") {
		return reading{}, unclear("the path has empty segments")
	}
	if misleading(settle(path)) {
		return reading{}, unclear("the path has, or hides, dot segments or control characters")
	}
	sure, open := surePart(path, segments)
	rd := reading{open: open, slash: !open && strings.HasSuffix(sure, "/")}
	sure = strings.Trim(sure, "/")
	rd.literal = decode(sure)
	rd.folded = fold(rd.literal)
	if r.URL.RawPath != "" { // as routers that do not decode ask
		rd.literal = sure
	}
	return rd, nil
}

// surePart returns the beginning of path, of no more than the given number of
// segments, up to the first one that is not sure, and whether there is one.
func surePart(path string, segments int) (sure string, open bool) {
	segment := 0 // where it begins
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '/' {
			if segments--; segments < 0 {
				return path[:i], false
			}
			segment = i
			continue
		}
		if b, ok := encoded(path[i:]); ok {
			c, i = b, i+2
		}
		if ambiguous(c) {
			return path[:segment], true
		}
	}
	return path, false
}

// ambiguous reports whether c is what some server takes for the end of a segment,
// or decodes further.
func ambiguous(c byte) bool {
	switch c {
	case '/', '\\', ';', '?', '#', '%':
		return true
	}
	return false
}

// misleading reports whether a path that is decoded to the end has a dot segment,
// whatever ends a segment, or a character at which servers cut it off.
func misleading(path string) bool {
	segment := 0
	for i := 0; i <= len(path); i++ {
		switch {
		case i == len(path) || ambiguous(path[i]):
			if s := path[segment:i]; s == "." || s == ".." {
				return true
			}
			segment = i + 1
		case path[i] < ' ' || path[i] == 0x7f:
			return true
		}
	}
	return false
}

// settle decodes again and again, until that changes nothing: in one pass, since
// what is decoded can only complete what stands before it.
func settle(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	settled := make([]byte, 0, len(path))
	for i := range len(path) {
		settled = append(settled, path[i])
		for n := len(settled) - 3; n >= 0; n = len(settled) - 3 {
			c, ok := encoded(string(settled[n:]))
			if !ok {
				break
			}
			settled = append(settled[:n], c)
		}
	}
	return string(settled)
}

// decode decodes once what is encoded, and leaves what merely looks like it.
func decode(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	decoded := make([]byte, 0, len(path))
	for len(path) > 0 {
		c, ok := encoded(path)
		if ok {
			path = path[3:]
		} else {
			c, path = path[0], path[1:]
		}
		decoded = append(decoded, c)
	}
	return string(decoded)
}

// encoded returns the byte that path begins with, if that is encoded.
func encoded(path string) (c byte, ok bool) {
	if len(path) < 3 || path[0] != '%' {
		return 0, false
	}
	var b [1]byte
	_, err := hex.Decode(b[:], []byte(path[1:3]))
	return b[0], err == nil
}

// fold makes one of all strings that some server does not tell apart by letter
// case. In upper case first, some more letters become the same.
func fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return strings.Map(func(c rune) rune { return unicode.ToLower(unicode.ToUpper(c)) }, s)
}
