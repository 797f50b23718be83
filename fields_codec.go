package authctx

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The grammar of plain identity fields: text is plain where plain is safe, so
// that a service in any language can read a simple value without decoding, and
// every other byte is percent-encoded. Comma, "=" and space are never plain
// inside an element, so they can separate elements.

var (
	errGrammar  = errors.New("not in the grammar of identity fields")
	errDoubled  = errors.New("it occurs more than once")
	errSpace    = errors.New("space at an end of the value, which is malformed (RFC 9113 section 8.2.1)")
	errVerbatim = errors.New("cannot be written without encoding, which this layout does not have")
)

// plainByte reports whether c stands for itself in a written element.
func plainByte(c byte) bool {
	return c > ' ' && c < 0x7f && c != ',' && c != '=' && c != '%'
}

// writeEscaped writes s, percent-encoded where it must be.
func writeEscaped(b *strings.Builder, s string) {
	for i := range len(s) {
		if c := s[i]; plainByte(c) {
			b.WriteByte(c)
		} else {
			writeHex(b, c)
		}
	}
}

func writeHex(b *strings.Builder, c byte) {
	const digits = "0123456789ABCDEF"
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}

// isPlain reports whether s needs no encoding.
func isPlain(s string) bool {
	for i := range len(s) {
		if !plainByte(s[i]) {
			return false
		}
	}
	return true
}

// unescape reads one element. Space at either end belongs to the transport and
// is dropped; inside, it stands for itself, as does "=", for the sake of
// writers that are not ours.
func unescape(s string) (string, error) {
	s = strings.Trim(s, " \t")
	plain := true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '%':
			plain = false
		case !plainByte(c) && c != ' ' && c != '=':
			return "", errGrammar
		}
	}
	if plain {
		return s, nil
	}
	return percentDecode(s)
}

// percentDecode decodes every %XX of s to valid UTF-8.
func percentDecode(s string) (string, error) {
	decoded, err := url.PathUnescape(s)
	if err != nil || !utf8.ValidString(decoded) {
		return "", errGrammar
	}
	return decoded, nil
}

// splitPairs reads a list whose elements are two texts around sep.
func splitPairs(value string, sep byte, add func(left, right string)) error {
	for element := range strings.SplitSeq(value, ",") {
		element = strings.Trim(element, " \t")
		i := strings.IndexByte(element, sep)
		if i < 0 {
			return errGrammar
		}
		left, err1 := unescape(element[:i])
		right, err2 := unescape(element[i+1:])
		if err1 != nil || err2 != nil || left == "" || right == "" {
			return errGrammar
		}
		add(left, right)
	}
	return nil
}

// parseSeconds reads Unix seconds: digits only, up to the year 9999.
func parseSeconds(value string) (int64, error) {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil || n > maxTime {
		return 0, errGrammar
	}
	return int64(n), nil
}

// verbatim checks that readVerbatim makes s of s.
func verbatim(s string) error {
	if read, err := readVerbatim(s); err != nil || read != s {
		return errVerbatim
	}
	return nil
}

// readVerbatim reads an element that stands for itself, without the space around
// it. Some writers send UTF-8 as it is.
func readVerbatim(s string) (string, error) {
	s = strings.Trim(s, " \t")
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f {
			return "", errGrammar
		}
	}
	if !utf8.ValidString(s) {
		return "", errGrammar
	}
	return s, nil
}

// escapeKey writes a key as part of a field name. Upper case is encoded too,
// for names lose their case on the way.
func escapeKey(key string) string {
	var b strings.Builder
	for i := range len(key) {
		c := key[i]
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' {
			b.WriteByte(c)
		} else {
			writeHex(&b, c)
		}
	}
	return b.String()
}
