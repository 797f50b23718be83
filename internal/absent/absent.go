// Package absent knows values that look given and are not.
package absent

import (
	"reflect"
	"strings"
)

// Hollow reports whether v is an interface around a nil pointer. It is for settings
// that may be left nil: such a pointer would only fail at the first request. Nil
// functions are not reported: their types say what they do.
func Hollow(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// Nil reports whether v is nil, or an interface around a nil pointer, function or
// channel, which is what a constructor leaves behind whose error was dropped. It is for
// constructors, so that a program does not start with one. A nil map or slice is not
// reported: it is an empty one, whose methods may work.
func Nil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Chan:
		return r.IsNil()
	default:
		return false
	}
}

// Unmade reports whether v is Nil, or the zero value of a type of this module that
// only constructors make, by itself or behind a pointer: such a value looks like
// any other and fails at the first request, which over gRPC ends the program.
// What others fill in has a field that they can set, and may well be zero.
func Unmade(v any) bool {
	if Nil(v) {
		return true
	}
	r := reflect.Indirect(reflect.ValueOf(v))
	if r.Kind() != reflect.Struct || r.NumField() == 0 || !isOurs(r.Type().PkgPath()) {
		return false
	}
	for i := range r.NumField() { // and no further than to the first that is set: others may be in use
		if r.Type().Field(i).IsExported() || !r.Field(i).IsZero() {
			return false
		}
	}
	return true
}

type here struct{}

var module = strings.TrimSuffix(reflect.TypeFor[here]().PkgPath(), "/internal/absent")

// isOurs reports whether path is that of a package of this module which is no test.
func isOurs(path string) bool {
	return (path == module || strings.HasPrefix(path, module+"/")) && !strings.HasSuffix(path, "_test")
}
