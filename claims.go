package authctx

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// decodeClaims is [json.Unmarshal], which matches names to the fields of a
// struct without regard to case and lets the last one win, for claims in which
// no name wins over another.
func decodeClaims(claims string, v any) error {
	raw := []byte(claims)
	if t := reflect.TypeOf(v); t != nil {
		if err := checkShadows(raw, t); err != nil {
			return err
		}
	}
	return json.Unmarshal(raw, v)
}

// checkShadows refuses JSON in which two names fit one field of the type it is
// decoded into. What does not fit the type is left for the decoder to report.
func checkShadows(raw json.RawMessage, t reflect.Type) error {
	switch t.Kind() {
	case reflect.Pointer:
		return checkShadows(raw, t.Elem())
	case reflect.Slice, reflect.Array:
		var elements []json.RawMessage
		_ = json.Unmarshal(raw, &elements)
		for _, element := range elements {
			if err := checkShadows(element, t.Elem()); err != nil {
				return err
			}
		}
	case reflect.Map:
		for _, member := range members(raw) {
			if err := checkShadows(member, t.Elem()); err != nil {
				return err
			}
		}
	case reflect.Struct:
		return checkFields(raw, t)
	}
	return nil
}

func checkFields(raw json.RawMessage, t reflect.Type) error {
	folded := map[string][]json.RawMessage{}
	for name, member := range members(raw) {
		folded[foldName(name)] = append(folded[foldName(name)], member)
	}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		found := folded[foldName(name)]
		if len(found) > 1 {
			return fmt.Errorf("authctx: claims have several spellings of %q, which would shadow one another; decode that object into a map", name)
		}
		for _, member := range found {
			if err := checkShadows(member, f.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

func members(raw json.RawMessage) map[string]json.RawMessage {
	var object map[string]json.RawMessage
	_ = json.Unmarshal(raw, &object)
	return object
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
