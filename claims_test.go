package authctx_test

import (
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
		Apps   []*app         `json:"apps"`
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
		{`{"by_name":{"App":{"role":"a"},"app":{"role":"b"}}}`, true},
		{`{"any":{"App":{"role":"a","ROLE":"b"},"app":1}}`, true},
		{`{"other":{"role":"a","ROLE":"b"},"Other":1}`, true}, // nobody reads it
		{`{"App":{"Role":"a"}}`, true},
	} {
		p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", Claims: c.claims})
		var got claims
		if err := p.DecodeClaims(&got); (err == nil) != c.ok || !c.ok && !reflect.DeepEqual(got, claims{}) {
			t.Errorf("%s: %+v, %v", c.claims, got, err)
		}
		var all map[string]any
		if err := p.DecodeClaims(&all); err != nil || len(all) == 0 {
			t.Errorf("%s into a map: %v", c.claims, err)
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
