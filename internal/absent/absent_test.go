package absent_test

import (
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/authctx/authctx/internal/absent"
)

type (
	pointer  struct{}
	list     []int
	table    map[string]int
	function func()
)

func TestWhatLooksGivenAndIsNot(t *testing.T) {
	for name, v := range map[string]any{
		"nothing": nil, "a nil pointer": (*pointer)(nil), "a nil function": function(nil), "a nil channel": (chan int)(nil),
	} {
		if !absent.Nil(v) {
			t.Errorf("%s counts as given", name)
		}
	}
	if !absent.Hollow((*pointer)(nil)) {
		t.Error("a nil pointer is not hollow")
	}
	for name, v := range map[string]any{"nothing": nil, "a pointer": &pointer{}, "a nil function": function(nil), "a nil slice": list(nil), "a struct": pointer{}} {
		if absent.Hollow(v) {
			t.Errorf("%s is hollow", name)
		}
	}
	for name, v := range map[string]any{
		"a pointer": &pointer{}, "a struct": pointer{}, "an empty slice": list{}, "an empty map": table{}, "a nil slice": list(nil), "a nil map": table(nil), "zero": 0, "a function": function(func() {}),
	} {
		if absent.Nil(v) {
			t.Errorf("%s counts as absent", name)
		}
	}
}

func TestOursAreThePackagesOfThisModule(t *testing.T) {
	module := strings.TrimSuffix(reflect.TypeFor[absent.Open]().PkgPath(), "/internal/absent")
	for path, want := range map[string]bool{module: true, module + "/httpctx": true, module + "x": false, module + "-otel/trace": false, module + "/httpctx_test": false, "math/big": false, "": false} {
		if absent.IsOurs(path) != want {
			t.Errorf("%q is ours: %v", path, !want)
		}
	}
}

func TestWhatNoConstructorMade(t *testing.T) {
	for name, v := range map[string]any{
		"nothing": nil, "a nil pointer": (*absent.Made)(nil), "a zero value": absent.Made{}, "a pointer to one": new(absent.Made),
	} {
		if !absent.Unmade(v) {
			t.Errorf("%s counts as made", name)
		}
	}
	for name, v := range map[string]any{
		"of no fields": absent.Empty{}, "no struct": absent.Func(func() {}), "of a test": &struct{ n int }{}, "of the standard library": new(big.Int),
		"to be filled in": new(absent.Open), "set": absent.NewMade(), "a function": function(func() {}), "a nil list": list(nil),
	} {
		if absent.Unmade(v) {
			t.Errorf("%s counts as unmade", name)
		}
	}
}
