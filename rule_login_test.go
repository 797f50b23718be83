package authctx_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/authctx/authctx"
)

// refusalOf returns what a rule says to a caller with these attributes.
func refusalOf(t *testing.T, rule authctx.Rule, a authctx.Attributes) *authctx.Error {
	t.Helper()
	a.Issuer, a.Subject = "i", "s"
	e, ok := errors.AsType[*authctx.Error](authctx.Authorize(authctx.NewContext(t.Context(), mustNew(t, a)), rule))
	if !ok {
		t.Fatal("the rule refuses nobody")
	}
	return e
}

func minutes(n int) authctx.Rule {
	return authctx.MaxAuthAge(time.Duration(n)*time.Minute, at(10_000))
}

func TestALoginRefusalNamesAllThatIsNeeded(t *testing.T) {
	acr, all, anyOf := authctx.ACR, authctx.All, authctx.Any
	inner := all(minutes(5), acr("gold", "silver"))
	strong, recent := authctx.Attributes{ACR: "silver"}, authctx.Attributes{AuthTime: time.Unix(9_990, 0)}
	for name, c := range map[string]struct {
		rule    authctx.Rule
		has     authctx.Attributes
		classes []string
		minutes int
		scopes  []string
	}{
		"the class, when the age is missing":   {all(acr("gold", "silver"), minutes(5)), strong, []string{"gold", "silver"}, 5, nil},
		"the age, when the class is missing":   {all(minutes(5), acr("gold")), recent, []string{"gold"}, 5, nil},
		"the smallest age":                     {all(minutes(60), minutes(5), minutes(20)), authctx.Attributes{}, nil, 5, nil},
		"what All accept, as the first has it": {all(acr("a", "gold", "silver"), acr("silver", "gold")), authctx.Attributes{}, []string{"gold", "silver"}, 0, nil},
		"not the empty class":                  {all(acr("", "gold"), acr("gold", "")), authctx.Attributes{}, []string{"gold"}, 0, nil},
		"its own, when no class is common":     {all(acr("gold"), acr("silver"), acr("gold")), authctx.Attributes{}, []string{"gold"}, 0, nil},
		"and each its own":                     {all(acr("silver"), acr("gold")), strong, []string{"gold"}, 0, nil},
		"of an All inside":                     {all(acr("silver", "x"), inner, minutes(4)), strong, []string{"silver"}, 4, nil},
		"which stays as it was":                {inner, strong, []string{"gold", "silver"}, 5, nil},
		"the scopes":                           {all(authctx.Scope("a"), acr("gold"), authctx.Scope("b")), authctx.Attributes{Scopes: []string{"a"}}, []string{"gold"}, 0, []string{"a", "b"}},
		"with what an Any wants":               {all(minutes(5), anyOf(acr("gold"), authctx.Role("x")), authctx.Scope("a")), recent, []string{"gold"}, 5, []string{"a"}},
		"with an All in an Any":                {all(minutes(5), anyOf(all(acr("gold"), authctx.Scope("a")), authctx.Role("x"))), recent, []string{"gold"}, 5, []string{"a"}},
		"but not what an Any may want":         {all(minutes(5), anyOf(acr("gold"), authctx.Role("x"))), strong, nil, 5, nil},
		"nothing from beside it in an Any":     {anyOf(acr("gold"), minutes(5)), authctx.Attributes{}, []string{"gold"}, 0, nil},
	} {
		e := refusalOf(t, c.rule, c.has)
		var age time.Duration
		if e.MaxAge != nil {
			age = *e.MaxAge
		}
		if e.Reason != authctx.InsufficientAuthentication || !slices.Equal(e.ACRValues, c.classes) || age != time.Duration(c.minutes)*time.Minute || !slices.Equal(e.Scopes, c.scopes) {
			t.Errorf("%s: %v names %q, %v, %q", name, e, e.ACRValues, age, e.Scopes)
		}
		if cap(e.ACRValues) > len(e.ACRValues) || cap(e.Scopes) > len(e.Scopes) {
			t.Errorf("%s: who appends to what is named writes where others do", name)
		}
	}
}

// RFC 9470 section 4. The provider gives what it is asked for and no more.
func TestAClientThatAsksForWhatItIsToldGetsIn(t *testing.T) {
	age, acr, scope := minutes(5), authctx.ACR("gold"), authctx.Scope("write")
	either := authctx.Any(authctx.All(authctx.ACR("silver", "gold"), authctx.Scope("read")), authctx.Role("admin"))
	for name, rule := range map[string]authctx.Rule{
		"class, age": authctx.All(acr, age), "age, class": authctx.All(age, acr),
		"class, scope": authctx.All(acr, scope), "scope, class": authctx.All(scope, acr),
		"age, scope, class": authctx.All(age, authctx.All(scope, acr)), "class, scope, age": authctx.All(authctx.All(acr, scope), age),
		"Any, scope, age": authctx.All(either, scope, age), "age, scope, Any": authctx.All(age, scope, either),
	} {
		a := authctx.Attributes{Issuer: "i", Subject: "s", ACR: "pwd", AuthTime: time.Unix(1, 0)}
		for tokens := 1; ; tokens++ {
			err := authctx.Authorize(authctx.NewContext(t.Context(), mustNew(t, a)), rule)
			if err == nil {
				break
			}
			e, _ := errors.AsType[*authctx.Error](err)
			if tokens > 3 {
				t.Errorf("%s: not in after %d tokens: %v", name, tokens, err)
				break
			}
			a.ACR, a.AuthTime, a.Scopes = "pwd", time.Unix(1, 0), slices.Clone(e.Scopes)
			if e.ACRValues != nil {
				a.ACR = e.ACRValues[0]
			}
			if e.MaxAge != nil {
				a.AuthTime = time.Unix(10_000, 0)
			}
		}
	}
}

func TestAClientThatAnyCannotLetInIsToldSoInTheEnd(t *testing.T) {
	rule := authctx.Any(authctx.All(authctx.Scope("a"), authctx.Role("x")), authctx.All(authctx.Scope("b"), authctx.Role("y")))
	for _, has := range [][]string{nil, {"b"}} {
		e := refusalOf(t, rule, authctx.Attributes{Scopes: has})
		if e.Reason != authctx.InsufficientScope {
			t.Fatal(e)
		}
		if e = refusalOf(t, rule, authctx.Attributes{Scopes: e.Scopes}); e.Reason != authctx.PermissionDenied {
			t.Errorf("with %q, then what it was told: %v", has, e)
		}
	}
}

func TestRule12_AChangedRefusalChangesNoOtherRule(t *testing.T) {
	scope, acr, age := authctx.Scope("write"), authctx.ACR("gold"), minutes(5)
	spoil := func(rule authctx.Rule) {
		for _, has := range []authctx.Attributes{{}, {Scopes: []string{"write"}}, {Scopes: []string{"write"}, ACR: "gold"}} {
			a := has
			a.Issuer, a.Subject = "i", "s"
			e, ok := errors.AsType[*authctx.Error](rule.Check(t.Context(), mustNew(t, a)))
			if !ok {
				continue
			}
			for _, list := range [][]string{e.Scopes, e.ACRValues} {
				for i := range list {
					list[i] = "spoilt"
				}
			}
			if e.MaxAge != nil {
				*e.MaxAge = 24 * time.Hour
			}
		}
	}
	for _, rule := range []authctx.Rule{scope, acr, age, authctx.All(acr, age, scope)} {
		spoil(rule)
	}
	e := refusalOf(t, authctx.All(acr, age, scope), authctx.Attributes{})
	if !slices.Equal(e.ACRValues, []string{"gold"}) || *e.MaxAge != 5*time.Minute || !slices.Equal(e.Scopes, []string{"write"}) {
		t.Errorf("what one rule's refusal was changed to, a rule made later names: %q, %v, %q", e.ACRValues, *e.MaxAge, e.Scopes)
	}
	both := authctx.All(acr, age)
	spoil(both)
	if both.Check(t.Context(), mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", ACR: "spoilt", AuthTime: time.Unix(9_000, 0)})) == nil {
		t.Error("whoever holds a refusal can loosen the rule")
	}
}

func TestALoginRefusalAllocatesNothing(t *testing.T) {
	ctx := authctx.NewContext(t.Context(), alice(t))
	for name, rule := range map[string]authctx.Rule{"class": authctx.All(authctx.ACR("x"), minutes(5)), "age": authctx.All(minutes(5), authctx.Any(authctx.ACR("x")))} {
		if n := testing.AllocsPerRun(100, func() { _ = authctx.Authorize(ctx, rule) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestStepUpRefusalSaysWhatWouldDo(t *testing.T) {
	e, ok := errors.AsType[*authctx.Error](authctx.ACR("gold", "silver").Check(context.Background(), alice(t)))
	if !ok || !slices.Equal(e.ACRValues, []string{"gold", "silver"}) {
		t.Errorf("%v does not name the contexts", e)
	}
	e, ok = errors.AsType[*authctx.Error](authctx.MaxAuthAge(time.Hour, nil).Check(context.Background(), alice(t)))
	if !ok || e.MaxAge == nil || *e.MaxAge != time.Hour {
		t.Errorf("%v does not say how fresh; the time of a login that is not known counts as fresh", e)
	}
}

func TestAnEmptyLoginClassIsNobodys(t *testing.T) {
	none := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s"})
	gold := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", ACR: "gold"})
	for name, c := range map[string]struct {
		rule       authctx.Rule
		none, gold bool
	}{
		"empty":         {authctx.ACR(""), false, false},
		"empty, gold":   {authctx.ACR("", "gold"), false, true},
		"gold, empty":   {authctx.ACR("gold", ""), false, true},
		"another":       {authctx.ACR("silver"), false, false},
		"of other case": {authctx.ACR("Gold"), false, false},
	} {
		for p, want := range map[*authctx.Principal]bool{&none: c.none, &gold: c.gold} {
			if err := c.rule.Check(t.Context(), *p); want != (err == nil) || !want && !errors.Is(err, authctx.InsufficientAuthentication) {
				t.Errorf("%s, %q: %v", name, p.ACR(), err)
			}
		}
	}
}

// A rule may stand in several, and what one of these wants is not wanted in the others.
func TestARuleInSeveralAllsNamesForEachWhatItWants(t *testing.T) {
	either := authctx.Any(authctx.Scope("a"), authctx.Scope("b"))
	authctx.All(authctx.Scope("first"), either)
	second := authctx.All(authctx.Scope("second"), either)
	p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", Scopes: []string{"second"}})
	for name, c := range map[string]struct {
		rule authctx.Rule
		want []string
	}{"alone": {either, []string{"a"}}, "in the second": {second, []string{"second", "a"}}} {
		e, _ := errors.AsType[*authctx.Error](c.rule.Check(t.Context(), p))
		if e == nil || !slices.Equal(e.Scopes, c.want) {
			t.Errorf("%s: %v, want %q", name, e, c.want)
		}
	}
}
