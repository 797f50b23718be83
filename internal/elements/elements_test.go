package elements_test

import (
	"slices"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/elements"
)

func TestOnlyWhatIsTakenAwayChangesALine(t *testing.T) {
	set := authctx.FieldSet{Cookies: []string{"sid"}, Subprotocols: []string{"bearer."}}
	for _, c := range []struct {
		name    string
		lines   []string
		kept    authctx.FieldSet
		want    []string
		changed bool
	}{
		{"cookie", []string{" a=1;;b=2 ; "}, authctx.FieldSet{}, []string{" a=1;;b=2 ; "}, false},
		{"cookie", []string{"a=1;b=2; sid=x"}, authctx.FieldSet{}, []string{"a=1; b=2"}, true},
		{"Cookie", []string{"SID=x", "a=1"}, authctx.FieldSet{}, []string{"a=1"}, true},
		{"cookie", []string{"sid=x"}, authctx.FieldSet{}, nil, true},
		{"cookie", []string{"a=1; sid"}, authctx.FieldSet{}, []string{"a=1"}, true},
		{"cookie", []string{"a=1; sid = x"}, authctx.FieldSet{}, []string{"a=1"}, true},
		{"cookie", []string{"a=sid; side=x"}, authctx.FieldSet{}, []string{"a=sid; side=x"}, false},
		{"cookie", []string{"sid=x; Sid=y"}, authctx.FieldSet{Cookies: []string{"sid"}}, []string{"sid=x"}, true},
		{"sec-websocket-protocol", []string{"chat,,v2"}, authctx.FieldSet{}, []string{"chat,,v2"}, false},
		{"Sec-WebSocket-Protocol", []string{"chat, Bearer.x"}, authctx.FieldSet{}, []string{"chat"}, true},
		{"sec-websocket-protocol", []string{"bearer."}, authctx.FieldSet{}, nil, true},
		{"sec-websocket-protocol", []string{"bearer, bear"}, authctx.FieldSet{}, []string{"bearer, bear"}, false},
		{"Grpcgateway-Cookie", []string{"a=1; sid=x"}, authctx.FieldSet{}, []string{"a=1"}, true},
		{"grpcgateway-cookie", []string{"a=1; sid=x"}, authctx.FieldSet{Cookies: []string{"sid"}}, []string{"a=1"}, true},
		{"Grpc_Metadata-Cookie-Bin", []string{"sid=x"}, authctx.FieldSet{}, nil, true},
		{"Grpc-Metadata-Sec-WebSocket-Protocol", []string{"chat, bearer.x"}, authctx.FieldSet{}, []string{"chat"}, true},
		{"x-cookie", []string{"sid=x"}, authctx.FieldSet{}, []string{"sid=x"}, false},
	} {
		before := slices.Clone(c.lines)
		left, changed := elements.Strip(c.name, c.lines, &set, &c.kept)
		if !slices.Equal(left, c.want) || changed != c.changed {
			t.Errorf("%s: %q leaves %q, %v", c.name, c.lines, left, changed)
		}
		if !slices.Equal(c.lines, before) {
			t.Errorf("%s: what was lent became %q", c.name, c.lines)
		}
	}
}
