// Package absent knows values that look given and are not.
package absent

import "reflect"

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
