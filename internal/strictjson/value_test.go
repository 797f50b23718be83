package strictjson_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/authctx/authctx/internal/strictjson"
)

func TestValuesAreReadByKind(t *testing.T) {
	doc := parse(t, `{"s":"text","n":null,"t":true,"f":false,"i":-7,"a":[1,[2],{"x":3},"y"],"o":{"s":{"deep":"yes"},"z":0}}`)
	for name, want := range map[string]struct {
		kind strictjson.Kind
		raw  string
	}{
		"s": {strictjson.String, `"text"`}, "n": {strictjson.Null, "null"}, "t": {strictjson.True, "true"},
		"f": {strictjson.False, "false"}, "i": {strictjson.Number, "-7"},
		"a": {strictjson.Array, `[1,[2],{"x":3},"y"]`}, "o": {strictjson.Object, `{"s":{"deep":"yes"},"z":0}`},
		"z": {strictjson.Missing, ""}, "": {strictjson.Missing, ""}, "S": {strictjson.Missing, ""},
	} {
		v := doc.Get(name)
		if v.Kind() != want.kind || v.Raw() != want.raw || v.Exists() != (want.kind > strictjson.Null) {
			t.Errorf("%q: kind %d, raw %s, exists %v", name, v.Kind(), v.Raw(), v.Exists())
		}
		if _, ok := v.Text(); ok != (want.kind == strictjson.String) {
			t.Errorf("%q: is a text: %v", name, ok)
		}
	}
	if s, ok := doc.Get("o").Get("s").Get("deep").Text(); !ok || s != "yes" {
		t.Errorf("o.s.deep = %q, %v", s, ok)
	}
	if doc.Get("s").Get("x").Exists() || doc.Get("gone").Get("x").Exists() {
		t.Error("a member of what is no object")
	}
}

func TestMembersAndElementsComeInOrder(t *testing.T) {
	doc := parse(t, `{"b":[3,[1,2],{"q":[9]},"s"],"a\u0021":{"k":1},"c":0}`)
	var names, raws []string
	for name, v := range doc.Root().Members() {
		names = append(names, name)
		raws = append(raws, v.Raw())
	}
	if !slices.Equal(names, []string{"b", "a!", "c"}) || !slices.Equal(raws, []string{`[3,[1,2],{"q":[9]},"s"]`, `{"k":1}`, "0"}) {
		t.Errorf("members %q %q", names, raws)
	}
	raws = nil
	for v := range doc.Get("b").Elements() {
		raws = append(raws, v.Raw())
	}
	if !slices.Equal(raws, []string{"3", "[1,2]", `{"q":[9]}`, `"s"`}) {
		t.Errorf("elements %q", raws)
	}
	for range doc.Get("c").Elements() {
		t.Error("an element of a number")
	}
	for range doc.Get("b").Members() {
		t.Error("a member of an array")
	}
}

func TestEscapedTextIsDecodedAndPlainTextIsASubstring(t *testing.T) {
	const src = `{"e":"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00!","p":"plain é text"}`
	doc := parse(t, src)
	if s, _ := doc.Get("e").Text(); s != "\"\\/\b\f\n\r\tAé€😀!" {
		t.Errorf("escaped: %q", s)
	}
	s, _ := doc.Get("p").Text()
	at := uintptr(unsafe.Pointer(unsafe.StringData(s))) - uintptr(unsafe.Pointer(unsafe.StringData(src)))
	if s != "plain é text" || at >= uintptr(len(src)) {
		t.Errorf("%q was copied", s)
	}
}

func TestGetFindsEscapedNamesAndNamesAmongMany(t *testing.T) {
	src := `{"\u0073ub":"alice"`
	for i := range 50 {
		src += `,"n` + string(rune('A'+i%26)) + string(rune('a'+i/26)) + `":"` + string(rune('a'+i%26)) + `"`
	}
	doc := parse(t, src+`}`)
	for name, want := range map[string]string{"sub": "alice", "nAa": "a", "nZa": "z", "nXb": "x"} {
		if s, _ := doc.Get(name).Text(); s != want {
			t.Errorf("%s = %q, want %q", name, s, want)
		}
	}
}

func TestGetFindsNamesFarIntoADocument(t *testing.T) {
	src := `{"a":[0` + strings.Repeat(",0", 70000) + `],"sub":"alice","b":1}`
	var doc strictjson.Doc
	if err := strictjson.NewParser(strictjson.Config{MaxBytes: 1 << 20, MaxValues: 1 << 20}).Parse(&doc, src); err != nil {
		t.Fatal(err)
	}
	if s, _ := doc.Get("sub").Text(); s != "alice" || !doc.Get("b").Exists() || !doc.Get("a").Exists() || doc.Get("c").Exists() {
		t.Errorf("sub = %q", s)
	}
}

// libjwt saturated numeric dates at the largest integer, and golang-jwt wraps:
// such a token never ends.
func TestA27_DatesAreNumbersInRange(t *testing.T) {
	for raw, want := range map[string]string{
		"0": "0.000000000", "1.5": "1.500000000", "1767225600": "1767225600.000000000",
		"1767225600.123456789999": "1767225600.123456789", "253402300799": "253402300799.000000000",
		"1.7672256e9": "1767225600.000000000", "15e-1": "1.500000000", "-0": "0.000000000", "-0.0": "0.000000000",

		"253402300800": "", "253402300799.5": "", "1e19": "", "1e308": "", "9e18": "",
		"9223372036854775807": "", "9223372036854775808": "", "18446744073709551616": "",
		"-1": "", "-0.5": "", "-1e-3": "", "null": "", `"123"`: "", "true": "", "[1]": "", `{"x":1}`: "",
	} {
		d, ok := parse(t, `{"exp":`+raw+`}`).Get("exp").Date()
		got := ""
		if ok {
			got = fmt.Sprintf("%d.%09d", d.Unix(), d.Nanosecond())
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", raw, got, want)
		}
	}
	if _, ok := parse(t, `{}`).Get("exp").Date(); ok {
		t.Error("a missing date is one")
	}
}
