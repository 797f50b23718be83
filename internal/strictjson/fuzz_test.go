package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/authctx/authctx/internal/strictjson"
)

// FuzzParse holds the parser to encoding/json in both directions: what it
// accepts, encoding/json accepts and reads as the same value, and an oracle
// built on its tokens finds none of the faults; what it refuses has a fault.
func FuzzParse(f *testing.F) {
	for _, src := range []string{
		realistic, `{}`, `{"sub":"a","SUB":"b"}`, `{"a":1,"\u0061":2}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`,
		`{"ſub":1}`, `{"a":[1.5e3,-0,{"b":null}]} `, "{\"a\":\"\xff\"}", `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		`{"` + long + `Ka":1,"` + long + `ka":2}`, `{"a` + long + `":1,"b` + long + `":{"xa` + long + `":1,"xb` + long + `":2,"xc` + long + `":3}}`,
		`{"A":1,"B":[true,false],"":{"":""}}`, `{"a":1e308,"b":-1e309,"c":1e-400,"d":` + strings.Repeat("9", 309) + `}`,
	} {
		f.Add(src)
	}
	p := strictjson.NewParser(claims)
	f.Fuzz(func(t *testing.T, src string) {
		var doc strictjson.Doc
		err := p.Parse(&doc, src)
		fault := faultOf(src)
		if (err == nil) != (fault == "") {
			t.Fatalf("parser says %v, oracle says %q", err, fault)
		}
		if err != nil {
			return
		}
		dec := json.NewDecoder(strings.NewReader(src))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if got := decode(doc.Root()); !reflect.DeepEqual(got, want) {
			t.Fatalf("read as %v, encoding/json reads %v", got, want)
		}
	})
}

func decode(v strictjson.Value) any {
	switch v.Kind() {
	case strictjson.Object:
		m := map[string]any{}
		for name, member := range v.Members() {
			m[name] = decode(member)
			if got := v.Get(name); got != member {
				m[name] = "Get found another member"
			}
		}
		return m
	case strictjson.Array:
		a := []any{}
		for e := range v.Elements() {
			a = append(a, decode(e))
		}
		return a
	case strictjson.String:
		s, _ := v.Text()
		return s
	case strictjson.Number:
		return json.Number(v.Raw())
	case strictjson.True:
		return true
	case strictjson.False:
		return false
	}
	return nil
}

// faultOf is the oracle: it says why a document must be refused, using nothing
// of the parser.
func faultOf(src string) string {
	switch {
	case len(src) > strictjson.DefaultMaxBytes:
		return "long"
	case !utf8.ValidString(src):
		return "UTF-8"
	case !json.Valid([]byte(src)):
		return "syntax"
	case !strings.HasPrefix(strings.TrimLeft(src, " \t\r\n"), "{"):
		return "no object"
	case hasLoneSurrogate(src):
		return "surrogate"
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(src)))
	dec.UseNumber()
	return walk(dec)
}

// hasLoneSurrogate finds a \u escape that is half a pair: one of which
// encoding/json makes U+FFFD.
func hasLoneSurrogate(src string) bool {
	for rest := strings.ReplaceAll(src, "\uFFFD", ""); ; {
		i := strings.Index(rest, `\`)
		if i < 0 {
			return false
		}
		rest = rest[i:]
		n := 2
		if rest[1] == 'u' {
			n = 6
			var s string
			if !strings.EqualFold(rest[2:6], "fffd") {
				pair := rest[:min(12, len(rest))]
				if json.Unmarshal([]byte(`"`+pair+`"`), &s) == nil && !strings.Contains(s, "\uFFFD") && len(pair) == 12 && pair[6:8] == `\u` {
					n = 12
				} else if json.Unmarshal([]byte(`"`+rest[:6]+`"`), &s) != nil || strings.Contains(s, "\uFFFD") {
					return true
				}
			}
		}
		rest = rest[n:]
	}
}

// walk finds duplicates, shadowing, depth, number of values and numbers that are
// too large.
func walk(dec *json.Decoder) string {
	type frame struct {
		object bool
		names  []string
		isName bool
	}
	var stack []frame
	values := 0
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if d, ok := tok.(json.Delim); ok && (d == '}' || d == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		values++
		if number, ok := tok.(json.Number); ok {
			if _, err := number.Float64(); err != nil {
				return "number out of range"
			}
		}
		if n := len(stack); n > 0 && stack[n-1].object {
			top := &stack[n-1]
			if top.isName = !top.isName; top.isName {
				name := tok.(string)
				for _, other := range top.names {
					if other == name || n == 1 && strings.EqualFold(other, name) {
						return "duplicate or shadow"
					}
				}
				for _, known := range claims.Known {
					if n == 1 && known != name && strings.EqualFold(known, name) {
						return "shadow of a known name"
					}
				}
				top.names = append(top.names, name)
			}
		}
		if d, ok := tok.(json.Delim); ok {
			stack = append(stack, frame{object: d == '{'})
			if len(stack) > strictjson.MaxDepth {
				return "deep"
			}
		}
	}
	if values > strictjson.DefaultMaxValues {
		return "many"
	}
	return ""
}
