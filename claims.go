package authctx

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// decodeClaims is [json.Unmarshal], which matches names to the fields of a
// struct without regard to case and lets the last one win, for claims in which
// no name wins over another.
func decodeClaims(claims string, v any) error {
	if !exact(v) {
		name, err := shadowed(claims)
		if err != nil {
			return fmt.Errorf("authctx: claims are not JSON: %w", err)
		}
		if name != "" {
			return fmt.Errorf("authctx: claims have several spellings of %q in one object, which would shadow one another; decode them into a map", name)
		}
	}
	return json.Unmarshal([]byte(claims), v)
}

// exact reports whether v takes all names as they are, however deep.
func exact(v any) bool {
	switch v := v.(type) {
	case *map[string]any, *map[string]json.RawMessage, *json.RawMessage:
		return true
	case *any:
		return v != nil && *v == nil // else it may hold a struct
	}
	return false
}

// shadowed returns a name that has another spelling in the same object, empty
// when there is none.
func shadowed(claims string) (string, error) {
	var open []map[string]bool // the names of each object, nil for an array
	name := false              // the next text is one
	d := json.NewDecoder(strings.NewReader(claims))
	d.UseNumber() // or one that no float64 holds would end the search
	for {
		token, err := d.Token()
		switch {
		case err == io.EOF:
			return "", nil
		case err != nil:
			return "", err
		}
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
		case string:
			if name {
				names, folded := open[len(open)-1], foldName(token)
				if names[folded] {
					return token, nil
				}
				names[folded], name = true, false
				continue
			}
		}
		name = len(open) > 0 && open[len(open)-1] != nil
	}
}

// foldName maps every rune to the least of those that encoding/json takes for
// the same.
func foldName(s string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, s)
}
