package authctx

import (
	"errors"
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
	errVerbatim = errors.New("cannot be written without encoding, which this layout does not have")
)

// plainByte reports whether c stands for itself in a written element.
func plainByte(c byte) bool {
	return c > ' ' && c < 0x7f && c != ',' && c != '=' && c != '%'
}

// appendEscaped appends s to b, percent-encoded where it must be.
func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; plainByte(c) {
			b = append(b, c)
		} else {
			b = appendHex(b, c)
		}
	}
	return b
}

func appendHex(b []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(b, '%', digits[c>>4], digits[c&15])
}

func escape(s string) string {
	for i := range len(s) {
		if !plainByte(s[i]) {
			return string(appendEscaped(make([]byte, 0, len(s)+16), s))
		}
	}
	return s
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
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errGrammar
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi > 15 || lo > 15 {
			return "", errGrammar
		}
		b = append(b, hi<<4|lo)
		i += 2
	}
	if !utf8.Valid(b) {
		return "", errGrammar
	}
	return string(b), nil
}

// unhex returns the value of a hexadecimal digit, and more than 15 for any
// other byte.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// joinList writes a list in one value.
func joinList(list []string) string {
	if len(list) == 1 {
		return escape(list[0])
	}
	n := len(list)
	for _, s := range list {
		n += len(s)
	}
	b := make([]byte, 0, n)
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendEscaped(b, s)
	}
	return string(b)
}

// splitList reads a list; an empty element is an error.
func splitList(value string, element func(string) (string, error)) ([]string, error) {
	list := make([]string, 0, strings.Count(value, ",")+1)
	for part := range strings.SplitSeq(value, ",") {
		s, err := element(part)
		if err != nil {
			return nil, err
		}
		if s == "" {
			return nil, errGrammar
		}
		list = append(list, s)
	}
	return list, nil
}

// joinPairs writes a list whose elements are two texts around sep.
func joinPairs(sep byte, pairs func(yield func(left, right string) bool)) string {
	var b []byte
	for left, right := range pairs {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = append(appendEscaped(b, left), sep)
		b = appendEscaped(b, right)
	}
	return string(b)
}

// splitPairs reads what joinPairs writes.
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

// verbatim checks that HTTP and gRPC carry s unchanged: printable ASCII without
// space at an end.
func verbatim(s string) error {
	if strings.Trim(s, " ") != s {
		return errVerbatim
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return errVerbatim
		}
	}
	return nil
}

// readVerbatim reads a value that stands for itself, without the space around
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
	b := make([]byte, 0, len(key)+8)
	for i := range len(key) {
		c := key[i]
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' {
			b = append(b, c)
		} else {
			b = appendHex(b, c)
		}
	}
	return string(b)
}
