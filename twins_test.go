package authctx

import (
	"context"
	"crypto/x509"
	"math/big"
	"reflect"
	"slices"
	"testing"

	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/exactname"
	"github.com/authctx/authctx/internal/fieldname"
	"github.com/authctx/authctx/internal/spiffeid"
	"github.com/authctx/authctx/internal/strictjson"
)

// The root imports the standard library only, so it writes again what other
// packages share. These rules must not drift apart.
func TestRulesThatAreWrittenTwiceAreTheSame(t *testing.T) {
	if !slices.Equal(credentialFields[:], fieldname.Credentials[:]) {
		t.Errorf("fields of credentials: %q and %q", credentialFields, fieldname.Credentials)
	}
	if !slices.Equal(gatewayPrefixes[:], fieldname.GatewayPrefixes[:]) {
		t.Errorf("prefixes of gateways: %q and %q", gatewayPrefixes, fieldname.GatewayPrefixes)
	}
	if maxTime != strictjson.MaxDate {
		t.Errorf("the end of time: %d and %d", int64(maxTime), int64(strictjson.MaxDate))
	}
	for _, v := range []any{
		nil, 0, "", (*x509.Certificate)(nil), &x509.Certificate{}, func() {}, (func())(nil), []int(nil), map[int]int(nil), make(chan int), (chan int)(nil), RuleFunc(nil),
		RuleFunc(func(context.Context, Principal) error { return nil }), callerKey{}, Principal{}, new(FieldsAuthenticator), &oneOf{members: []Authenticator{nil}}, NewAuthenticator(FieldSet{}, nil), FieldLayout{}, new(big.Int),
	} {
		if isUnmade(v) != absent.Unmade(v) {
			t.Errorf("%v %#v was made by nobody: %v and %v", reflect.TypeOf(v), v, isUnmade(v), absent.Unmade(v))
		}
		if isNil(v) != absent.Nil(v) {
			t.Errorf("%v %#v is nil: %v and %v", reflect.TypeOf(v), v, isNil(v), absent.Nil(v))
		}
	}
	if exactRule != exactname.Rule {
		t.Errorf("the rule of names: %q and %q", exactRule, exactname.Rule)
	}
	for _, s := range []string{"", "a", "a b", " a", "a\n", "\xff", "\ufffd", "a\u00a0", "\u200b", "\u00fc"} {
		if exactName(s) != exactname.Valid(s) {
			t.Errorf("%q is a name: %v and %v", s, exactName(s), exactname.Valid(s))
		}
	}
	names := []string{"", "sub", "SUB", "\u017fub", "\u212aid", "kid", "stra\u00dfe", "STRASSE", "\u01c5", "\u01c6", "\u03c3", "\u03c2", "\u03a3", "i", "\u0130", "\u0131"}
	for _, a := range names {
		for _, b := range names {
			if (foldName(a) == foldName(b)) != (strictjson.Fold(a) == strictjson.Fold(b)) {
				t.Errorf("%q and %q are one name in one place alone", a, b)
			}
		}
	}
}

// What is looked up by its canonical name misses nothing that Owns would find.
func FuzzOneName(f *testing.F) {
	for _, pair := range [][2]string{
		{"authorization", "Grpc-Metadata-Authorization"}, {"x-key", "X_KEY.BIN"}, {"x", "trailer-grpcgateway-x-bin-bin"},
		{"trailer-x", "TRAILER_X"}, {"-bin", "-bin-bin"}, {"grpc-metadata-", "grpcgateway-grpc-metadata-"}, {"\xffx", "\xffX-bin"}, {"x-bin", "X.Bin"},
		{"grpcgateway", "grpcgateway-bin"}, {"trailer", "grpc-metadata-trailer-bin"},
		{"x", "trailer-trailer-trailer-trailer-trailer-trailer-trailer-trailer-trailer-y"},
	} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if (FieldSet{Names: []string{"\xff" + b}}).Owns(b) {
			return // of so many prefixes that it is nobody's
		}
		if a != "" && (FieldSet{Names: []string{a}}).Owns(b) && fieldname.Canonical(a) != fieldname.Canonical(b) {
			t.Errorf("%q is %q, and %q is %q", a, fieldname.Canonical(a), b, fieldname.Canonical(b))
		}
	})
}

func FuzzSPIFFEID(f *testing.F) {
	for _, id := range []string{"spiffe://prod.example/gateway", "spiffe://prod.example", "spiffe://d/a//b", "spiffe://d/..", "spiffe://D/a", "https://d/a", "spiffe://d/a b", "spiffe://"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		domain, path, ok := splitSPIFFEID(id)
		if d, p, k := spiffeid.Split(id); d != domain || p != path || k != ok {
			t.Errorf("%q: %q %q %v and %q %q %v", id, domain, path, ok, d, p, k)
		}
	})
}
