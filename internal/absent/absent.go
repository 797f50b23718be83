// Package absent knows values that look given and are not.
package absent

import "reflect"

// Nil reports whether v is nil or an interface around a nil pointer, map, func
// or slice, such as an error that somebody dropped leaves behind. It is for
// constructors, so that a program does not start with one.
func Nil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Slice, reflect.Chan:
		return r.IsNil()
	default:
		return false
	}
}
