package jwtauthtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// fatalT keeps what ended it.
type fatalT struct {
	testing.TB
	failure string
}

func (t *fatalT) Helper() {}
func (t *fatalT) Fatalf(format string, args ...any) {
	t.failure = fmt.Sprintf(format, args...)
	panic(t)
}

// failure returns how f ends a test that it runs in, empty when it does not.
func failure(t *testing.T, f func(t testing.TB)) string {
	t.Helper()
	sub := &fatalT{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(sub) {
				panic(r)
			}
		}()
		f(sub)
	}()
	return sub.failure
}

func TestWhatCannotBeDoneEndsTheTestThatAskedForIt(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	for name, tt := range map[string]struct {
		do   func(i *jwtauthtest.Issuer)
		want string
	}{
		"a claim that is no JSON": {func(i *jwtauthtest.Issuer) { i.Token().Set("x", make(chan int)).Sign() }, "unsupported type"},
		"an unknown algorithm":    {func(i *jwtauthtest.Issuer) { i.Token().SignWith("XX", nil).Sign() }, `"XX"`},
		"a claim that is not UTF-8": {func(i *jwtauthtest.Issuer) {
			i.Token().Set("name", "a\xffb").Sign()
		}, `"name" holds what is not valid UTF-8, which JSON cannot say: use SignText`},
		"one in a list":               {func(i *jwtauthtest.Issuer) { i.Token().Set("roles", []string{"a", "\xc0\x80"}).Sign() }, `"roles" holds`},
		"one that is a member's name": {func(i *jwtauthtest.Issuer) { i.Token().Set("o", map[string]int{"\xff": 1}).Sign() }, `"o" holds`},
		"one in a list of anything": {func(i *jwtauthtest.Issuer) {
			i.Token().Set("x", []any{1, nil, map[string]any{"y": []string{"\xff"}}}).Sign()
		}, `"x" holds`},
		"one in a field":               {func(i *jwtauthtest.Issuer) { i.Token().Set("x", struct{ Y [1]string }{[1]string{"\xff"}}).Sign() }, `"x" holds`},
		"one that was put in the map":  {func(i *jwtauthtest.Issuer) { t := i.Token(); t.Claims["x"] = "\xff"; t.Sign() }, `"x" holds`},
		"a claim's name that is none":  {func(i *jwtauthtest.Issuer) { i.Token().Set("\xff", 1).Sign() }, `holds what is not valid UTF-8`},
		"a header that is not UTF-8":   {func(i *jwtauthtest.Issuer) { i.Token().SetHeader("kid", "\xff").Sign() }, `"kid" holds`},
		"a proof that is not UTF-8":    {func(i *jwtauthtest.Issuer) { i.NewDPoPKey("").Proof("\xff", "u", "t").Sign() }, `"htm" holds`},
		"a fault that is nil":          {func(i *jwtauthtest.Issuer) { i.Break(nil) }, "Repair"},
		"a fault that is a nil func":   {func(i *jwtauthtest.Issuer) { i.Break(http.HandlerFunc(nil)) }, "Repair"},
		"what was never opaque":        {func(i *jwtauthtest.Issuer) { i.Revoke(i.Token().Sign()) }, "Token.Opaque"},
		"a caller that cannot be":      {func(i *jwtauthtest.Issuer) { i.TokenFor(authctx.Attributes{}) }, "Subject"},
		"a client's key without pairs": {func(i *jwtauthtest.Issuer) { i.NewDPoPKey(jwtauth.HS256) }, "HS256"},
		"more rotations than keys":     {rotate(100), "call DropOldKeys first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := failure(t, func(t testing.TB) { tt.do(i.For(t)) }); !strings.Contains(got, tt.want) {
				t.Errorf("ended with %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRule1_WhatIsMissingIsNamed(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	for name, do := range map[string]func(t testing.TB){
		"an issuer":    func(t testing.TB) { jwtauthtest.NewIssuer(t, nil) },
		"a subtest's":  func(t testing.TB) { i.For(t) },
		"a user":       func(t testing.TB) { jwtauthtest.User(t) },
		"a service":    func(t testing.TB) { jwtauthtest.Service(t) },
		"a store test": func(t testing.TB) { jwtauthtest.TestRefreshStore(t, nil) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, "pass the *testing.T") {
					t.Errorf("%s without a test: %s", name, got)
				}
			}()
			do(nil)
		}()
	}
	for want, do := range map[string]func(t testing.TB){
		"change 0 is nil":  func(t testing.TB) { jwtauthtest.User(t, nil) },
		"change 1 is nil":  func(t testing.TB) { jwtauthtest.Service(t, func(*authctx.Attributes) {}, nil) },
		"the store is nil": func(t testing.TB) { jwtauthtest.TestRefreshStore(t, nil) },
	} {
		if got := failure(t, do); !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func rotate(times int) func(*jwtauthtest.Issuer) {
	return func(i *jwtauthtest.Issuer) {
		for range times {
			i.Rotate()
		}
	}
}

func TestRotationGoesOnAfterOneTooMany(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	rotate(99)(i)
	if failure(t, func(t testing.TB) { i.For(t).Rotate() }) == "" {
		t.Fatal("published more keys than verifiers take")
	}
	if err := verify(t, i, i.Token().Sign()); err != nil {
		t.Errorf("after what failed: %v", err)
	}
	i.DropOldKeys()
	i.Rotate()
	if err := verify(t, i, i.Token().Sign()); err != nil {
		t.Errorf("after DropOldKeys: %v", err)
	}
}

func TestTextsThatLookSpoiledAreSigned(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	for _, text := range []string{"a\ufffdb", `\ufffd`, `\\ufffd`, "\u2028", "<&>"} {
		token, _, err := jwt.NewParser().ParseUnverified(i.Token().Set("name", text).Sign(), jwt.MapClaims{})
		if err != nil || token.Claims.(jwt.MapClaims)["name"] != text {
			t.Errorf("%q became %v, %v", text, token.Claims, err)
		}
	}
	if _, claims := i.Token().Set("name", json.RawMessage(`"\ufffd"`)).Text(); !strings.Contains(claims, `"name":"\ufffd"`) {
		t.Errorf("JSON became %s", claims)
	}
}

func TestTimesBecomeNumericDates(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	at := time.Now().Add(time.Hour)
	_, claims := i.Token().Set("exp", at).Text()
	var got struct{ Exp int64 }
	if err := json.Unmarshal([]byte(claims), &got); err != nil || got.Exp != at.Unix() {
		t.Errorf("%s, %v", claims, err)
	}
}

func TestRFC9864_Ed25519IsEdDSA(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, &jwtauthtest.Options{Algorithm: "Ed25519"})
	v := newVerifier(t, i, jwtauth.EdDSA)
	token := i.Token()
	for _, alg := range []string{"Ed25519", "EdDSA"} {
		if _, err := v.Verify(t.Context(), token.SetHeader("alg", alg).Sign()); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	if token := i.Token(); token.Header["alg"] != "Ed25519" {
		t.Errorf("alg %v", token.Header["alg"])
	}
}

func TestBadTokensStartFromTheServicesOwn(t *testing.T) {
	i := jwtauthtest.NewIssuer(t, nil)
	names := func(token *jwtauthtest.Token) string {
		good, bad := token.Bad()
		list := "|"
		for _, b := range bad {
			if b.Token == good {
				t.Errorf("%s is as it was", b.Name)
			}
			list += b.Name + "|"
		}
		return list
	}
	for without, token := range map[string]*jwtauthtest.Token{
		"|without an audience|":          i.Token().Set("aud", nil),
		"|an ID token|":                  i.Token().SetHeader("typ", "JWT").Set("nonce", "n"),
		"|typed as a Transaction Token|": i.TxnToken("prod.test", jwtauthtest.User(t)),
	} {
		if !strings.Contains(names(i.Token()), without) || strings.Contains(names(token), without) {
			t.Errorf("%s is not in the list where it should be only", without)
		}
	}
}
