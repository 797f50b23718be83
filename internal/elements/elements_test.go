package elements_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/elements"
)

func TestOnlyWhatIsTakenAwayChangesALine(t *testing.T) {
	set := elements.NewSet(authctx.FieldSet{Cookies: []string{"sid", "Träger", "ses\u017fion"}, Subprotocols: []string{"bearer."}})
	for _, c := range []struct {
		name    string
		lines   []string
		kept    authctx.FieldSet
		want    []string
		changed bool
	}{
		{"cookie", []string{" a=1;;b=2 ; "}, authctx.FieldSet{}, []string{" a=1;;b=2 ; "}, false},
		{"cookie", []string{"a=1;b=2; sid=x"}, authctx.FieldSet{}, []string{"a=1;b=2"}, true},
		{"cookie", []string{"sid=x;a=1;b=2;; sid=y ; c=3;sid=z;"}, authctx.FieldSet{}, []string{"a=1;b=2;; c=3"}, true},
		{"cookie", []string{"a=1 ;", "sid=x;", ";", "b=2"}, authctx.FieldSet{}, []string{"a=1 ;", ";", "b=2"}, true},
		{"Cookie", []string{"SID=x", "a=1"}, authctx.FieldSet{}, []string{"a=1"}, true},
		{"cookie", []string{"sid=x"}, authctx.FieldSet{}, nil, true},
		{"cookie", []string{"a=1; sid"}, authctx.FieldSet{}, []string{"a=1"}, true},
		{"cookie", []string{"a=1; sid = x"}, authctx.FieldSet{}, []string{"a=1"}, true},
		{"cookie", []string{"a=sid; side=x"}, authctx.FieldSet{}, []string{"a=sid; side=x"}, false},
		{"cookie", []string{"sid=x; Sid=y"}, authctx.FieldSet{Cookies: []string{"sid"}}, []string{"sid=x"}, true},
		{"cookie", []string{"TRÄGER=x; SesSion=y; a=1", "trager=x; tr\xffger=y; session2=x; sessio=x"}, authctx.FieldSet{}, []string{"a=1", "trager=x; tr\xffger=y; session2=x; sessio=x"}, true},
		{"cookie", []string{";;; ;\t;", ";"}, authctx.FieldSet{}, []string{";;; ;\t;", ";"}, false},
		{"sec-websocket-protocol", []string{"chat,,v2"}, authctx.FieldSet{}, []string{"chat,,v2"}, false},
		{"Sec-WebSocket-Protocol", []string{"chat, Bearer.x"}, authctx.FieldSet{}, []string{"chat"}, true},
		{"sec-websocket-protocol", []string{"bearer."}, authctx.FieldSet{}, nil, true},
		{"sec-websocket-protocol", []string{"bearer, bear"}, authctx.FieldSet{}, []string{"bearer, bear"}, false},
		{"Grpcgateway-Cookie", []string{"a=1; sid=x"}, authctx.FieldSet{}, []string{"a=1"}, true},
		{"grpcgateway-cookie", []string{"a=1; sid=x"}, authctx.FieldSet{Cookies: []string{"sid"}}, []string{"a=1"}, true},
		{"Grpc_Metadata-Cookie-Bin", []string{"sid=x"}, authctx.FieldSet{}, nil, true},
		{"Grpc-Metadata-Sec-WebSocket-Protocol", []string{"chat, bearer.x"}, authctx.FieldSet{}, []string{"chat"}, true},
		{"accept", []string{"chat, bearer.x"}, authctx.FieldSet{}, []string{"chat, bearer.x"}, false},
		{"x-cookie", []string{"sid=x"}, authctx.FieldSet{}, []string{"sid=x"}, false},
	} {
		before := slices.Clone(c.lines)
		left, changed := set.Strip(c.name, c.lines, &c.kept)
		if !slices.Equal(left, c.want) || changed != c.changed {
			t.Errorf("%s: %q leaves %q, %v", c.name, c.lines, left, changed)
		}
		if !slices.Equal(c.lines, before) {
			t.Errorf("%s: what was lent became %q", c.name, c.lines)
		}
	}
}

// The peer chooses how many cookies there are. Were each compared with every
// name, this would take minutes.
func TestManyCookiesAreLookedUp(t *testing.T) {
	var fields authctx.FieldSet
	for i := range 1000 {
		fields.Cookies = append(fields.Cookies, fmt.Sprint("session-", i))
	}
	set := elements.NewSet(fields)
	for _, line := range []string{strings.Repeat("session-a=b;", 1<<16), strings.Repeat("A=b;", 1<<18), strings.Repeat(";", 1<<20), strings.Repeat("\u017f", 1<<19)} {
		if _, changed := set.Strip("Cookie", []string{line}, &authctx.FieldSet{}); changed {
			t.Fatalf("%.20q was in the set", line)
		}
	}
}
