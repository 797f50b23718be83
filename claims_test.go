package authctx_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/authctx/authctx"
)

func TestRule3_DecodedNamesDoNotShadowOneAnother(t *testing.T) {
	type app struct {
		Role string `json:"role"`
	}
	type Base struct {
		Level string `json:"level"`
	}
	type claims struct {
		Base
		App    app            `json:"app"`
		Apps   []any          `json:"apps"`
		ByName map[string]app `json:"by_name"`
		Any    map[string]any `json:"any"`
		Title  string
		Hidden app  `json:"-"`
		Next   *app `json:"next,omitempty"`
	}
	for _, c := range []struct {
		claims string
		ok     bool
	}{
		{`{"app":{"role":"user"},"apps":[{"role":"a"}],"next":null}`, true},
		{`{"app":{"role":"user","ROLE":"admin"}}`, false},
		{`{"app":{"ROLE":"admin","role":"user"}}`, false},
		{`{"app":{"role":"user","ro\u004ce":"admin"}}`, false},
		{`{"app":{"role":"user"},"APP":{"role":"admin"}}`, false},
		{`{"apps":[{"role":"a"},{"role":"b","Role":"c"}]}`, false},
		{`{"app\u017f":[{"role":"b","Role":"c"}]}`, false}, // the long s, which folds to s
		{`{"by_name":{"x":{"role":"b","Role":"c"}}}`, false},
		{`{"next":{"role":"b","Role":"c"}}`, false},
		{`{"level":"1","Level":"2"}`, false}, // promoted
		{`{"title":"1","Title":"2"}`, false}, // by the name of the field
		{`{"by_name":{"App":{"role":"a"},"app":{"role":"b"}}}`, false},
		{`{"any":[[],{"a":"app","App":["app"]}]}`, false},
		{`{"other":{"role":"a","ROLE":"b"}}`, false}, // nobody reads it, as far as can be told
		{`{"App":{"Role":"role"},"next":{"role":"Role"},"apps":["role","Role",{},[]]}`, true},
	} {
		p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", Claims: c.claims})
		var got claims
		if err := p.DecodeClaims(&got); (err == nil) != c.ok || !c.ok && !reflect.DeepEqual(got, claims{}) {
			t.Errorf("%s: %+v, %v", c.claims, got, err)
		}
		var held any = &claims{}
		if err := p.DecodeClaims(&held); (err == nil) != c.ok {
			t.Errorf("%s into a struct that an interface holds: %v", c.claims, err)
		}
		var all map[string]any
		var raw map[string]json.RawMessage
		var one any
		if err := errors.Join(p.DecodeClaims(&all), p.DecodeClaims(&raw), p.DecodeClaims(&one)); err != nil || len(all) == 0 || len(raw) == 0 || one == nil {
			t.Errorf("%s into a map: %v", c.claims, err)
		}
	}
}

func TestRule3_ANumberThatNoFloatHoldsHidesNoNames(t *testing.T) {
	for claims, ok := range map[string]bool{
		`{"x":1e999,"role":"user","ROLE":"admin"}`:         false,
		`{"role":"user","ROLE":"admin","x":1e999}`:         false,
		`{"x":[-1e400],"a":{"role":"user","Role":"root"}}`: false,
		`{"x":1e999,"role":"user"}`:                        true,
	} {
		p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", Claims: claims})
		var got struct {
			Role string `json:"role"`
		}
		if err := p.DecodeClaims(&got); (err == nil) != ok || !ok && got.Role != "" {
			t.Errorf("%s: %+v, %v", claims, got, err)
		}
	}
}

func TestDecodeClaimsReportsWhatDoesNotFit(t *testing.T) {
	p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", Claims: `{"a":{"b":1}}`})
	for name, v := range map[string]any{
		"nil": nil, "no pointer": struct{}{}, "a list": &[]string{}, "a list inside": &struct{ A []string }{}, "text": &struct{ A string }{},
	} {
		if err := p.DecodeClaims(v); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
