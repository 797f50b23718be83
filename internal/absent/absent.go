// Package absent knows values that look given and are not.
package absent

import "reflect"

// Hollow reports whether v is an interface around a nil pointer. It is for
// settings that may be left nil, where that would fail at the first request, and
// leaves nil functions alone, whose types say what they do.
func Hollow(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// Nil reports whether v is nil or an interface around a nil pointer, func or
// chan, such as an error that somebody dropped leaves behind. It is for
// constructors, so that a program does not start with one. A nil map or slice is
// an empty one, whose methods may answer as well as any.
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
