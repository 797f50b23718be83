package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/authctx/authctx/internal/strictjson"
)

var claims = strictjson.Config{Known: []string{"sub", "iss", "exp", "roles", "kid", "oId"}}

// problem parses src as claims and returns what is wrong with it, 0 for nothing.
func problem(t testing.TB, src string) strictjson.Problem {
	t.Helper()
	var doc strictjson.Doc
	err := strictjson.NewParser(claims).Parse(&doc, src)
	if err == nil {
		return 0
	}
	e, ok := errors.AsType[strictjson.Error](err)
	if !ok {
		t.Fatalf("error is a %T", err)
	}
	if doc.Root().Kind() != strictjson.Missing {
		t.Errorf("a refused document left something behind")
	}
	return e.Problem
}

func parse(t testing.TB, src string) *strictjson.Doc {
	t.Helper()
	doc := new(strictjson.Doc)
	if err := strictjson.NewParser(claims).Parse(doc, src); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestGrammarVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, JSON, Problem string
		Accepted            bool
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			got := problem(t, v.JSON)
			if v.Accepted != (got == 0) || !v.Accepted && got.String() != v.Problem {
				t.Errorf("got %q, want accepted=%v %q", got, v.Accepted, v.Problem)
			}
		})
	}
}

var long = strings.Repeat("x", 600)

// A duplicate member must mean one thing to every parser: it is refused.
func TestA17_JWS4_DuplicateNamesAreRefusedAtAnyDepth(t *testing.T) {
	many := func(last string) string {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, `"n%d":0,`, i)
		}
		return b.String() + last
	}
	alike := strings.ReplaceAll(`"xaLONG":0,"xbLONG":0,"\u0078aLONG":1`, "LONG", long)
	together := strings.ReplaceAll(`{"xaLONG":0,"xbLONG":0,"\u0078bLONG":1}`, "LONG", long[:400])
	for name, src := range map[string]string{
		"top level":                    `{"alg":"none","alg":"RS256"}`,
		"the same value":               `{"sub":"a","sub":"a"}`,
		"second level":                 `{"jwk":{"kty":"EC","kty":"oct"}}`,
		"inside an array":              `{"a":[[{"x":1,"y":2,"x":3}]]}`,
		"one of the two escaped":       `{"sub":"alice","\u0073ub":"admin"}`,
		"both escaped differently":     `{"\u0073ub":"alice","s\u0075b":"admin"}`,
		"an escaped slash":             `{"a/b":1,"a\/b":2}`,
		"empty names":                  `{"":1,"":2}`,
		"in an object of many members": `{"a":{` + many(`"n7":1`) + `}}`,
		"among many, one escaped":      `{` + many(`"\u006e7":1`) + `}`,
		"long names":                   `{` + alike + `}`,
		"long names in an object":      `{"a":{` + alike + `}}`,
		"long names together":          together,
		"a nested value in between":    `{"a":{"b":[1,{"c":2}]},"x":1,"a":0}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := problem(t, src); got != strictjson.DuplicateName {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := problem(t, `{"a":{`+many(`"n100":1`)+`}}`); got != 0 {
		t.Errorf("many distinct names: %q", got)
	}
}

// Among so many pairs are all sorts that look alike to whatever saves comparing.
func TestEveryNameOfAPairIsToldFromTheOther(t *testing.T) {
	p := strictjson.NewParser(claims)
	var doc strictjson.Doc
	for i := range 200 {
		for j := range 200 {
			src := fmt.Sprintf(`{"n%d":1,"n%d":2}`, i, j)
			err := p.Parse(&doc, src)
			switch first, second := doc.Get(fmt.Sprint("n", i)), doc.Get(fmt.Sprint("n", j)); {
			case i == j && err == nil:
				t.Errorf("%s is accepted", src)
			case i != j && (first.Raw() != "1" || second.Raw() != "2" || doc.Get("n").Exists()):
				t.Errorf("%s is read as %q, %q, %v", src, first.Raw(), second.Raw(), err)
			}
		}
	}
}

// A reader that ignores case must find the same claims as one that does not.
func TestA18_CaseVariantsOfTopLevelNamesAreRefused(t *testing.T) {
	filler := `"0":0`
	for i := range 40 {
		filler += fmt.Sprintf(`,"f%d":0`, i)
	}
	for name, c := range map[string]struct {
		src  string
		want strictjson.Problem
	}{
		"upper case beside the name":       {`{"sub":"a","SUB":"admin"}`, strictjson.MisspelledName},
		"upper case before the name":       {`{"Sub":"admin","sub":"a"}`, strictjson.MisspelledName},
		"long s for s":                     {`{"sub":"a","ſub":"admin"}`, strictjson.MisspelledName},
		"Kelvin sign for k":                {`{"\u212Aid":"1"}`, strictjson.MisspelledName},
		"a known name only as a variant":   {`{"Exp":4102444800}`, strictjson.MisspelledName},
		"a variant behind an escape":       {`{"\u0053UB":"admin"}`, strictjson.MisspelledName},
		"variants of an unknown name":      {`{"tier":"free","Tier":"gold"}`, strictjson.ShadowedName},
		"variants beyond ASCII":            {`{"größe":1,"GRÖẞE":2}`, strictjson.ShadowedName},
		"a known name with a capital":      {`{"oid":"x"}`, strictjson.MisspelledName},
		"a known variant among many":       {`{` + filler + `,"ROLES":["admin"]}`, strictjson.MisspelledName},
		"an unknown variant among many":    {`{` + filler + `,"tier":"free","TIER":"gold"}`, strictjson.ShadowedName},
		"a variant of a name with capital": {`{"userId":1,"userid":2}`, strictjson.ShadowedName},
		"a variant of a long name":         {`{"a` + long + `":1,"A` + long + `":2}`, strictjson.ShadowedName},
	} {
		t.Run(name, func(t *testing.T) {
			if got := problem(t, c.src); got != c.want {
				t.Errorf("got %q", got)
			}
		})
	}
	lower := strictjson.NewParser(strictjson.Config{Known: []string{"sub", "roles"}})
	for src, accepted := range map[string]bool{
		`{"sub":"a","oId":"x"}`: true, `{"SUB":"admin"}`: false, `{"tier":1,"Tier":2}`: false,
		`{` + filler + `,"Tier":1}`: true, `{` + filler + `,"ROLES":["admin"]}`: false, `{` + filler + `,"tier":1,"TIER":2}`: false,
	} {
		var doc strictjson.Doc
		if err := lower.Parse(&doc, src); (err == nil) != accepted {
			t.Errorf("no known name has a capital, %s: %v", src, err)
		}
	}
	both := strictjson.NewParser(strictjson.Config{Known: []string{"roles", "Roles"}})
	for src, accepted := range map[string]bool{`{"Roles":1}`: true, `{"roles":1}`: true, `{"ROLES":1}`: false, `{"roles":1,"Roles":1}`: false} {
		var doc strictjson.Doc
		if err := both.Parse(&doc, src); (err == nil) != accepted {
			t.Errorf("two spellings known, %s: %v", src, err)
		}
	}
	short := strictjson.NewParser(strictjson.Config{Known: []string{"kk"}})
	for src, accepted := range map[string]bool{`{"\u212A\u212a":1}`: false, `{"\u212A\u212a\u212a":1}`: true, `{"kK":1}`: false} {
		var doc strictjson.Doc
		if err := short.Parse(&doc, src); (err == nil) != accepted {
			t.Errorf("%s beside kk: %v", src, err)
		}
	}
	for _, src := range []string{`{"oId":"x"}`, `{"A` + long + `":1,"B` + long + `":2}`, `{"UserId":1,"TenantId":2}`, `{` + filler + `,"Tier":1}`} {
		if got := problem(t, src); got != 0 {
			t.Errorf("%s: got %q", src, got)
		}
	}
}

// A name of which there is no other spelling in the document differs from none in
// it: the reader learns of which name here it is another spelling.
func TestTheErrorNamesTheNameThatIsSpelledOtherwise(t *testing.T) {
	const spelling = "strict JSON: member name that is another spelling of one that is read here, "
	p := strictjson.NewParser(strictjson.Config{Known: []string{"roles", "groups", "Groups"}})
	for src, want := range map[string]string{
		`{"Roles":["secret"]}`:         spelling + `"roles", at byte 2`,
		`{"secret":1,"roLes":1}`:       spelling + `"roles", at byte 13`,
		`{"roles":1,"Roles":"secret"}`: spelling + `"roles", at byte 12`,
		`{"GROUPS":["secret"]}`:        spelling + `"groups", at byte 2`,
		`{"secret":1,"Secret":2}`:      "strict JSON: member name that differs from another in case only at byte 13",
	} {
		var doc, checked strictjson.Doc
		if err := p.Parse(&doc, src); err == nil || err.Error() != want {
			t.Errorf("%s: %v", src, err)
		}
		if strictjson.NewParser(strictjson.Config{}).Parse(&checked, src) != nil {
			continue // which is wrong whatever is known
		}
		if err := p.Check(&checked); err == nil || err.Error() != want {
			t.Errorf("%s, checked: %v", src, err)
		}
	}
}

func TestFoldTellsApartWhatEqualFoldDoes(t *testing.T) {
	for r := range rune(unicode.MaxRune + 1) {
		other := unicode.SimpleFold(r)
		if beside := "É" + string(r); !strings.EqualFold(strictjson.Fold(beside), beside) {
			t.Errorf("%q folds to %q", beside, strictjson.Fold(beside))
		}
		if other == r {
			continue
		}
		folded := strictjson.Fold(string(r))
		if !strings.EqualFold(folded, string(r)) || strictjson.Fold(string(other)) != folded {
			t.Errorf("%q folds to %q, %q to %q", r, folded, other, strictjson.Fold(string(other)))
		}
	}
}

// An attacker chooses names that look alike until their end.
func TestA17_A18_NamesCostNoMoreThanTheyAreLong(t *testing.T) {
	object := func(name string) string {
		var b strings.Builder
		for letter := 'a'; letter <= 'z'; letter++ {
			b.WriteString(`"` + strings.ReplaceAll(name, "_", string(letter)) + `":0,`)
		}
		return "{" + b.String() + `"Z":0}`
	}
	signs, letters := strings.Repeat(`\u212a`, 399), strings.Repeat(`\u0061`, 399)
	for name, src := range map[string]string{
		"that folding changes":       object(signs + `_\u212a`),
		"that it changes in front":   object(`\u212a_` + letters),
		"that it does not":           object(`\u0061_` + letters),
		"of an inner object":         `{"a":` + object(`\u0061_`+letters) + `}`,
		"of many objects, and short": `{"a":[` + strings.Repeat(object(`\u0061_bb`)+",", 20) + `0]}`,
	} {
		var doc strictjson.Doc
		p := strictjson.NewParser(claims)
		if err := p.Parse(&doc, src); err != nil { // makes the index
			t.Fatalf("names %s: %v", name, err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = p.Parse(&doc, src)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 10*uint64(len(src)) {
			t.Errorf("names %s: %d bytes for %d", name, n, len(src))
		}
	}
}

// What is asked for is compared with long names without unescaping them.
func TestAMemberIsFoundAmongNamesThatLookLikeIt(t *testing.T) {
	src := `{"r\u0078les":4,"` + strings.Repeat(`\u0073`, 100) + `":0,"a\u0062":1,"\u0061b\u0063":2,"\uD83D\ude00":3}`
	doc := parse(t, src)
	for name, want := range map[string]string{"ab": "1", "abc": "2", "😀": "3", strings.Repeat("s", 100): "0", "s": "", "a": "", "roles": "", "rxles": "4"} {
		if got := doc.Get(name).Raw(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// Go replaces what is not UTF-8 by U+FFFD, and two subjects become one.
func TestBCP37_InvalidUTF8AndLoneSurrogatesAreRefused(t *testing.T) {
	for src, want := range map[string]strictjson.Problem{
		"{\"sub\":\"\xff\"}":               strictjson.BadUTF8,
		"{\"sub\":\"\xc0\xaf\"}":           strictjson.BadUTF8, // overlong slash
		"{\"sub\":\"\xed\xa0\x80\"}":       strictjson.BadUTF8, // surrogate in UTF-8
		"{\"\x80\":1}":                     strictjson.BadUTF8,
		"{\"a\":1}\xfe":                    strictjson.BadUTF8,
		`{"sub":"\ud800"}`:                 strictjson.BadString,
		`{"sub":"\udc00"}`:                 strictjson.BadString,
		`{"sub":"\ud800x"}`:                strictjson.BadString,
		`{"sub":"\ud800\u0041"}`:           strictjson.BadString,
		`{"sub":"\ud800\ud800"}`:           strictjson.BadString,
		`{"sub":"\udc00\ud800"}`:           strictjson.BadString,
		`{"sub":"\ud83d\ude00"}`:           0,
		`{"sub":"\ufffd"}`:                 0,
		"{\"sub\":\"\u00e9\U0001F600\"}":   0,
		`{"\ud800":1}`:                     strictjson.BadString,
		"{\"sub\":\"12345678901234\xe2\"}": strictjson.BadUTF8,
	} {
		if got := problem(t, src); got != want {
			t.Errorf("%q: got %q, want %q", src, got, want)
		}
	}
}

func TestCVE_2019_11253_CVE_2025_53864_NestingIsBounded(t *testing.T) {
	nested := func(depth int, open, end string) string {
		return `{"a":` + strings.Repeat(open, depth-1) + "0" + strings.Repeat(end, depth-1) + "}"
	}
	for _, c := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		if got := problem(t, nested(strictjson.MaxDepth, c[0], c[1])); got != 0 {
			t.Errorf("depth %d: %q", strictjson.MaxDepth, got)
		}
		if got := problem(t, nested(strictjson.MaxDepth+1, c[0], c[1])); got != strictjson.TooDeep {
			t.Errorf("depth %d: %q", strictjson.MaxDepth+1, got)
		}
	}
	if got := problem(t, `{"a":`+strings.Repeat("[", 60000)); got != strictjson.TooDeep {
		t.Errorf("60000 brackets: %q", got)
	}
}

func TestCVE_2025_61920_SizeAndNumberOfValuesAreBounded(t *testing.T) {
	p := strictjson.NewParser(strictjson.Config{MaxBytes: 20, MaxValues: 5})
	for src, want := range map[string]strictjson.Problem{
		`{"a":1,"b":2}`:         0,
		`{"a":1,"b":2,"c":3}`:   strictjson.TooMany,
		`{"a":[1,2,3]}`:         strictjson.TooMany,
		`{"a":"0123456789012"}`: strictjson.TooLong,
		`{"a":"012345678901"}`:  0,
	} {
		var doc strictjson.Doc
		err := p.Parse(&doc, src)
		e, _ := errors.AsType[strictjson.Error](err)
		if e.Problem != want {
			t.Errorf("%s: %v", src, err)
		}
	}
	if got := problem(t, `{"a":"`+strings.Repeat("x", strictjson.DefaultMaxBytes)+`"}`); got != strictjson.TooLong {
		t.Errorf("default size: %q", got)
	}
	for _, value := range []string{`0`, `""`, `[]`, `{}`, `null`} {
		if got := problem(t, `{"a":[`+value+strings.Repeat(","+value, strictjson.DefaultMaxValues)+`]}`); got != strictjson.TooMany {
			t.Errorf("default number of %s: %q", value, got)
		}
	}
}

func TestErrorsShowNothingOfTheDocument(t *testing.T) {
	for _, src := range []string{`{"secret":"a","secret":"b"}`, `{"a":"secret`, `{"a":secret}`, `{"SUB":"secret"}`} {
		var doc strictjson.Doc
		err := strictjson.NewParser(claims).Parse(&doc, src)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", src, err)
		}
	}
	var doc strictjson.Doc
	err := strictjson.NewParser(claims).Parse(&doc, `{"a":1,"a":2}`)
	if got, want := fmt.Sprint(err), "strict JSON: duplicate member name at byte 8"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestADocIsReusedWithoutAllocating(t *testing.T) {
	p := strictjson.NewParser(claims)
	var doc strictjson.Doc
	if n := testing.AllocsPerRun(100, func() {
		if err := p.Parse(&doc, realistic); err != nil {
			t.Fatal(err)
		}
		if s, ok := doc.Get("sub").Text(); !ok || s == "" {
			t.Fatal("no sub")
		}
		for range doc.Get("roles").Elements() {
		}
		for range doc.Root().Members() {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	doc.Clear()
	if doc.Root().Kind() != strictjson.Missing || doc.Get("sub").Exists() {
		t.Error("Clear left something behind")
	}
}

const realistic = `{"iss":"https://login.example.com/realms/shop","sub":"5f0c2b1e-8f6d-4c55-9e3b-0a7b1f2d6c11",` +
	`"aud":["https://api.example.com"],"exp":1767225600,"iat":1767222000,"auth_time":1767221990,` +
	`"jti":"0d3f7c9a-6b1c-4a55-8a43-1f7e7c2b9d10","client_id":"web-frontend","sid":"8e0b7c6f-1f54-4f2f",` +
	`"scope":"openid profile email orders.read orders.write offline_access",` +
	`"roles":["customer","editor","support","auditor"],` +
	`"entitlements":["orders:create","orders:read","orders:cancel","invoices:read","invoices:pay","users:read","users:invite","reports:read"],` +
	`"tenant":"acme","acr":"urn:mace:incommon:iap:silver","amr":["pwd","otp"]}`

func BenchmarkParse(b *testing.B) {
	b.Run("strict", func(b *testing.B) {
		p := strictjson.NewParser(claims)
		var doc strictjson.Doc
		b.SetBytes(int64(len(realistic)))
		b.ReportAllocs()
		for b.Loop() {
			if err := p.Parse(&doc, realistic); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json.Valid", func(b *testing.B) {
		b.SetBytes(int64(len(realistic)))
		src := []byte(realistic)
		for b.Loop() {
			if !json.Valid(src) {
				b.Fatal("not valid")
			}
		}
	})
}

func TestManyNamesTakeLinearTimeInComparisons(t *testing.T) {
	// 20,000 members: quadratic comparison would be 200 million of them. The
	// names all share first, middle and last byte and length.
	var b strings.Builder
	b.WriteString(`{"x":0`)
	for i := range 20000 {
		fmt.Fprintf(&b, `,"a%05da%05da":0`, i, 0)
	}
	b.WriteByte('}')
	p := strictjson.NewParser(strictjson.Config{MaxBytes: 1 << 20, MaxValues: 1 << 16})
	var doc strictjson.Doc
	done := make(chan error, 1)
	go func() { done <- p.Parse(&doc, b.String()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("still comparing")
	}
}

// A document that one parser took is judged by another as if that had parsed it.
func TestCheckSaysWhatParseWouldHaveSaid(t *testing.T) {
	wide := strictjson.NewParser(strictjson.Config{})
	narrow := strictjson.NewParser(strictjson.Config{Known: []string{"sub", "Roles"}})
	for _, src := range []string{
		`{}`, `{"sub":1}`, `{"SUB":1}`, `{"\u017fub":1}`, `{"a":{"SUB":1}}`, `{"x":1,"Sub":2}`, `{"Roles":1}`, `{"roles":1}`, `{"ROLES":1,"sub":1}`,
	} {
		var d, parsed strictjson.Doc
		if err := wide.Parse(&d, src); err != nil {
			t.Fatal(src, err)
		}
		if got, want := narrow.Check(&d), narrow.Parse(&parsed, src); got != want {
			t.Errorf("%s: %v, want %v", src, got, want)
		}
	}
}
