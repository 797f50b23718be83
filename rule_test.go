package authctx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
)

func fails(r authctx.Reason) authctx.Rule {
	return authctx.RuleFunc(func(context.Context, authctx.Principal) error { return r })
}

func TestAuthorize(t *testing.T) {
	editor := authctx.NewContext(context.Background(), mustNew(t, authctx.Attributes{
		Issuer: "i", Subject: "s", Roles: []string{"editor", "cert-managerXio"}, Permissions: []string{"orders:create"}, Scopes: []string{"read"},
		Groups: []string{"/staff"}, GroupsIncomplete: true, ACR: "silver", AuthTime: time.Unix(1000, 0),
	}))
	yes, no := authctx.Authenticated(), fails(authctx.PermissionDenied)
	unsure, scope := fails(authctx.Unavailable), fails(authctx.InsufficientScope)
	says := func(err error) authctx.Rule {
		return authctx.RuleFunc(func(context.Context, authctx.Principal) error { return err })
	}
	var nilRule authctx.Rule
	for _, c := range []struct {
		name string
		rule authctx.Rule
		want authctx.Reason // zero allows
	}{
		{"any known caller is authenticated", yes, 0},
		{"a role that is held", authctx.Role("editor"), 0},
		{"a role that is not held", authctx.Role("admin"), authctx.PermissionDenied},
		{"a role is matched exactly, not by case", authctx.Role("Editor"), authctx.PermissionDenied},
		{"a role is matched exactly, not by prefix", authctx.Role("edit"), authctx.PermissionDenied},
		{"CVE-2026-39350 a dot in a role is a dot", authctx.Role("cert-manager.io"), authctx.PermissionDenied},
		{"a star in a role is a star", authctx.Role("*"), authctx.PermissionDenied},
		{"the empty role is nobody's", authctx.Role(""), authctx.PermissionDenied},
		{"a group the caller is in", authctx.Group("/staff"), 0},
		{"a group the caller is not in", authctx.Group("/board"), authctx.PermissionDenied},
		{"the empty group is nobody's", authctx.Group(""), authctx.PermissionDenied},
		{"a login of the right context", authctx.ACR("gold", "silver"), 0},
		{"a login of another context", authctx.ACR("gold"), authctx.InsufficientAuthentication},
		{"the empty context is nobody's", authctx.ACR(""), authctx.InsufficientAuthentication},
		{"a fresh login", authctx.MaxAuthAge(time.Minute, at(1059)), 0},
		{"a login that has just become too old", authctx.MaxAuthAge(time.Minute, at(1060)), authctx.InsufficientAuthentication},
		{"a login five minutes ahead of the clock", authctx.MaxAuthAge(time.Hour, at(700)), 0},
		{"a login further ahead of it", authctx.MaxAuthAge(time.Hour, at(699)), authctx.InsufficientAuthentication},
		{"a login in ten days", authctx.MaxAuthAge(time.Hour, at(1000-10*86400)), authctx.InsufficientAuthentication},
		{"no age at all allows nobody", authctx.MaxAuthAge(0, at(1000)), authctx.InsufficientAuthentication},
		{"no age at all allows nobody whose clock is ahead", authctx.MaxAuthAge(0, at(900)), authctx.InsufficientAuthentication},
		{"a permission that is held", authctx.Permission("orders:create"), 0},
		{"a permission is not a role", authctx.Permission("editor"), authctx.PermissionDenied},
		{"the empty permission is nobody's", authctx.Permission(""), authctx.PermissionDenied},
		{"a scope that was granted", authctx.Scope("read"), 0},
		{"a scope that was not granted", authctx.Scope("write"), authctx.InsufficientScope},
		{"the empty scope is nobody's", authctx.Scope(""), authctx.InsufficientScope},
		{"a nil rule denies", nilRule, authctx.PermissionDenied},
		{"a nil function denies", authctx.RuleFunc(nil), authctx.PermissionDenied},
		{"All of one", authctx.All(yes), 0},
		{"All needs every rule", authctx.All(yes, yes, no), authctx.PermissionDenied},
		{"All returns the first refusal", authctx.All(yes, scope, no), authctx.InsufficientScope},
		{"All with a nil member denies", authctx.All(yes, nil), authctx.PermissionDenied},
		{"Any needs one rule", authctx.Any(no, yes), 0},
		{"Any with nothing but nil denies", authctx.Any(nil, nil), authctx.PermissionDenied},
		{"Any returns the first refusal", authctx.Any(scope, no), authctx.InsufficientScope},
		{"Any that could not be decided", authctx.Any(no, unsure, scope), authctx.Unavailable},
		{"Any allows in spite of an undecided rule", authctx.Any(unsure, yes), 0},
		{"an error without a reason denies", says(errors.New("no")), authctx.PermissionDenied},
		{"so does an Error without one", says(&authctx.Error{Cause: errors.New("no")}), authctx.PermissionDenied},
		{"and one that is wrapped", says(fmt.Errorf("x: %w", &authctx.Error{})), authctx.PermissionDenied},
		{"and a reason that is none", says(authctx.Reason(0)), authctx.PermissionDenied},
		{"and one out of range", says(&authctx.Error{Reason: 200}), authctx.PermissionDenied},
		{"of several, that nobody could tell", says(errors.Join(authctx.PermissionDenied, authctx.Unavailable)), authctx.Unavailable},
		{"Any takes that for undecided", authctx.Any(scope, says(errors.Join(authctx.PermissionDenied, authctx.Unavailable))), authctx.Unavailable},
		{"Any takes it for a refusal", authctx.Any(scope, says(&authctx.Error{})), authctx.InsufficientScope},
	} {
		if got := authctx.ReasonOf(authctx.Authorize(editor, c.rule)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got := authctx.ReasonOf(authctx.Authorize(context.Background(), c.rule)); got != authctx.NoCredentials {
			t.Errorf("%s: without a caller: %v, want no credentials", c.name, got)
		}
	}
}

func TestTenantAndIssuerAreMatchedExactly(t *testing.T) {
	ofAcme := mustNew(t, authctx.Attributes{Issuer: "https://idp.example", Subject: "s", Tenant: "acme"})
	ofNone := mustNew(t, authctx.Attributes{Issuer: "https://idp.example/", Subject: "s"})
	for name, c := range map[string]struct {
		rule           authctx.Rule
		ofAcme, ofNone bool
	}{
		"the tenant":                {authctx.Tenant("acme"), true, false},
		"of other case":             {authctx.Tenant("Acme"), false, false},
		"the beginning of a tenant": {authctx.Tenant("acm"), false, false},
		"a star":                    {authctx.Tenant("*"), false, false},
		"the empty tenant":          {authctx.Tenant(""), false, false},
		"the issuer":                {authctx.Issuer("https://idp.example"), true, false},
		"the issuer with a slash":   {authctx.Issuer("https://idp.example/"), false, true},
		"the issuer in capitals":    {authctx.Issuer("https://IDP.example"), false, false},
		"the empty issuer":          {authctx.Issuer(""), false, false},
		"a tenant is not an issuer": {authctx.Issuer("acme"), false, false},
		"an issuer is not a tenant": {authctx.Tenant("https://idp.example"), false, false},
		"the tenant of this issuer": {authctx.All(authctx.Issuer("https://idp.example"), authctx.Tenant("acme")), true, false},
		"the tenant of another":     {authctx.All(authctx.Issuer("https://idp.example/"), authctx.Tenant("acme")), false, false},
	} {
		for p, want := range map[*authctx.Principal]bool{&ofAcme: c.ofAcme, &ofNone: c.ofNone} {
			err := authctx.Authorize(authctx.NewContext(t.Context(), *p), c.rule)
			if want != (err == nil) || !want && authctx.ReasonOf(err) != authctx.PermissionDenied {
				t.Errorf("%s: %v of tenant %q: %v", name, p, p.Tenant(), err)
			}
		}
	}
}

// A handler that asks a rule itself, and not [authctx.Authorize], may have nobody
// to ask about.
func TestNoRuleAllowsTheZeroPrincipal(t *testing.T) {
	var nobody authctx.Principal
	users := func(_ context.Context, p authctx.Principal) error {
		if p.Kind() == authctx.User { // as nobody reads
			return nil
		}
		return authctx.PermissionDenied
	}
	for name, rule := range map[string]authctx.Rule{
		"Authenticated": authctx.Authenticated(), "Role": authctx.Role("admin"), "Role of nobody": authctx.Role(""),
		"Group": authctx.Group("staff"), "Permission": authctx.Permission("read"), "Scope": authctx.Scope("read"),
		"Tenant": authctx.Tenant("acme"), "Tenant of nobody": authctx.Tenant(""), "Issuer": authctx.Issuer("i"), "Issuer of nobody": authctx.Issuer(""),
		"ACR": authctx.ACR("gold"), "ACR of nobody": authctx.ACR(""), "MaxAuthAge": authctx.MaxAuthAge(math.MaxInt64, nil),
		"All": authctx.All(authctx.Authenticated()), "All of one's own": authctx.All(ownRule{}), "All with nil": authctx.All(nil),
		"Any": authctx.Any(authctx.Role("x"), authctx.Authenticated()), "Any of one's own": authctx.Any(ownRule{}),
		"a function about kinds": authctx.RuleFunc(users), "a nil function": authctx.RuleFunc(nil),
	} {
		if err := rule.Check(t.Context(), nobody); !errors.Is(err, authctx.NoCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ownRule is no RuleFunc, and allows whoever it is asked about.
type ownRule struct{}

func (ownRule) Check(context.Context, authctx.Principal) error { return nil }

func TestARefusalWithoutAReasonKeepsItsCause(t *testing.T) {
	refusal := &authctx.Error{Cause: io.EOF, Scopes: []string{"x"}}
	rule := authctx.RuleFunc(func(context.Context, authctx.Principal) error { return refusal })
	err := authctx.Authorize(authctx.NewContext(t.Context(), alice(t)), rule)
	e, ok := errors.AsType[*authctx.Error](err)
	if !ok || e.Reason != authctx.PermissionDenied || len(e.Scopes) != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("%+v", err)
	}
	if refusal.Reason != 0 {
		t.Error("the rule's own error was changed")
	}
}

// A client that is told of one scope at a time, and asks for what it is told alone,
// goes round in circles.
func TestAScopeRefusalNamesAllThatAreNeeded(t *testing.T) {
	scope := authctx.Scope("read")
	inner := authctx.All(authctx.Scope("write"), authctx.Role("editor"))
	rule := authctx.All(scope, inner, authctx.Any(authctx.Scope("a"), authctx.Scope("b")), authctx.Scope("read"))
	for _, c := range []struct {
		rule   authctx.Rule
		has    []string
		wanted []string
	}{
		{rule, nil, []string{"read", "write"}},
		{rule, []string{"read"}, []string{"read", "write"}},
		{rule, []string{"write"}, []string{"read", "write"}},
		{rule, []string{"read", "write"}, []string{"read", "write", "a"}},
		{authctx.All(authctx.Scope("a"), authctx.Scope("b"), authctx.Scope("c")), nil, []string{"a", "b", "c"}},
		{inner, nil, []string{"write"}}, // what it is part of does not change it
		{scope, nil, []string{"read"}},
		{authctx.Any(rule, authctx.Scope("admin")), []string{"read"}, []string{"read", "write"}},
	} {
		p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", Roles: []string{"editor"}, Scopes: c.has})
		err := authctx.Authorize(authctx.NewContext(t.Context(), p), c.rule)
		if e, ok := errors.AsType[*authctx.Error](err); !ok || e.Reason != authctx.InsufficientScope || !slices.Equal(e.Scopes, c.wanted) || cap(e.Scopes) > len(e.Scopes) {
			t.Errorf("with %v: %v, wanted %v", c.has, err, c.wanted)
		}
	}
	if err := rule.Check(t.Context(), authctx.Principal{}); !errors.Is(err, authctx.NoCredentials) {
		t.Errorf("nobody: %v", err)
	}
}

func TestScopeRefusalSaysWhatWouldDo(t *testing.T) {
	err := authctx.Scope("orders.write").Check(context.Background(), alice(t))
	if e, ok := errors.AsType[*authctx.Error](err); !ok || !slices.Equal(e.Scopes, []string{"orders.write"}) {
		t.Errorf("%v does not name the scope", err)
	}
}

func TestRefusingAllocatesNothing(t *testing.T) {
	ctx := authctx.NewContext(context.Background(), alice(t))
	rule := authctx.All(authctx.Authenticated(), authctx.Any(authctx.Role("admin"), authctx.Scope("x")))
	if n := testing.AllocsPerRun(100, func() { _ = authctx.Authorize(ctx, rule) }); n > 0 {
		t.Errorf("Authorize allocates %v times", n)
	}
}

func TestPolicyConfigReportsEverythingThatIsWrong(t *testing.T) {
	rule := authctx.Authenticated()
	_, err := authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"GET /nil": nil, "orders": rule, "/pkg.*/M": rule, "/shop.*/*": rule, "/*": rule, "GET /a/*": rule, "/shop.v1.*": rule, "/shop.v1.Orders*": rule, "/shop.v1.Orders/**": rule, "/both": rule, "": rule,
			" /pkg.S/M": rule, "/pkg.S/N\n": rule, "/a\tb": rule, "/a\u200cb": rule},
		Public: []string{"/both", "health"},
	})
	for _, part := range []string{`"GET /nil"`, `"orders"`, `"/pkg.*/M"`, `"/shop.*/*"`, `"/*"`, `"GET /a/*"`, `"/shop.v1.*"`, `"/shop.v1.Orders*"`, `"/shop.v1.Orders/**"`, `"/both"`, `"health"`, `""`,
		`" /pkg.S/M" has white space around it`, `"/pkg.S/N\n" has white space around it`, `"/a\tb" has a control character`, `"/a\u200cb" must be UTF-8`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error does not name %s:\n%v", part, err)
		}
	}
	if _, err := authctx.NewPolicy(authctx.PolicyConfig{Default: authctx.RuleFunc(nil)}); err == nil || !strings.Contains(err.Error(), "Default is a nil rule") {
		t.Errorf("a nil function: %v", err)
	}
	if _, err := authctx.NewPolicy(authctx.PolicyConfig{}); err == nil {
		t.Error("an empty policy was accepted")
	}
}

func testPolicy(t *testing.T, fallback authctx.Rule) *authctx.Policy {
	t.Helper()
	p, err := authctx.NewPolicy(authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{
			"GET /orders/{id}":    authctx.Authenticated(),
			"/shop.Orders/*":      authctx.Role("editor"),
			"/shop.Orders/Delete": authctx.Role("admin"),
		},
		Public:  []string{"GET /health", "/grpc.health.v1.Health/*"},
		Default: fallback,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRule10_WhatAPolicyDoesNotListIsRefused(t *testing.T) {
	p, ctx, editor := testPolicy(t, nil), context.Background(), alice(t)
	for _, c := range []struct {
		entry authctx.Entry
		name  string
		known authctx.Reason // for a known caller
		anon  authctx.Reason
	}{
		{p.Route("GET /orders/{id}"), "GET /orders/{id}", 0, authctx.NoCredentials},
		{p.Route("GET /orders/7"), "", authctx.PermissionDenied, authctx.NoCredentials},
		{p.Route("/orders/{id}"), "", authctx.PermissionDenied, authctx.NoCredentials},
		{p.Route(""), "", authctx.PermissionDenied, authctx.NoCredentials},
		{p.Route("GET /health"), "GET /health", 0, 0},
		{p.Route("/shop.Orders/*"), "/shop.Orders/*", 0, authctx.NoCredentials},
		{p.Route("/shop.Orders/List"), "", authctx.PermissionDenied, authctx.NoCredentials},
		{p.RPC("/shop.Orders/List"), "/shop.Orders/*", 0, authctx.NoCredentials},
		{p.RPC("/shop.Orders/Delete"), "/shop.Orders/Delete", authctx.PermissionDenied, authctx.NoCredentials},
		{p.RPC("/shop.OrdersX/List"), "", authctx.PermissionDenied, authctx.NoCredentials},
		{p.RPC("/shop.Orders"), "", authctx.PermissionDenied, authctx.NoCredentials},
		{p.RPC("shop.Orders/List"), "", authctx.PermissionDenied, authctx.NoCredentials},
		{p.RPC("/grpc.health.v1.Health/Check"), "/grpc.health.v1.Health/*", 0, 0},
		{p.RPC(""), "", authctx.PermissionDenied, authctx.NoCredentials},
		{(*authctx.Policy)(nil).RPC("/shop.Orders/List"), "", authctx.PermissionDenied, authctx.NoCredentials},
		{(*authctx.Policy)(nil).Route("GET /health"), "", authctx.PermissionDenied, authctx.NoCredentials},
		{authctx.Entry{}, "", authctx.PermissionDenied, authctx.NoCredentials},
	} {
		if c.entry.Name != c.name || c.entry.Listed() != (c.name != "") {
			t.Errorf("entry %q, want %q", c.entry.Name, c.name)
		}
		if got := authctx.ReasonOf(c.entry.Check(ctx, editor)); got != c.known {
			t.Errorf("%q for a known caller: %v, want %v", c.name, got, c.known)
		}
		if got := authctx.ReasonOf(c.entry.Check(ctx, authctx.Principal{})); got != c.anon {
			t.Errorf("%q without a caller: %v, want %v", c.name, got, c.anon)
		}
	}
}

func TestDefaultRuleAppliesToWhatIsNotListed(t *testing.T) {
	p, ctx := testPolicy(t, authctx.Authenticated()), context.Background()
	alone := authctx.DefaultPolicy(authctx.Authenticated())
	for _, e := range []authctx.Entry{p.Route("GET /else"), p.RPC("/else.S/M"), alone.Route("GET /else"), alone.Route(""), alone.RPC("/else.S/M")} {
		if e.Name != "default" || !e.Listed() || e.Public {
			t.Errorf("entry %+v is not the default", e)
		}
		if err := e.Check(ctx, alice(t)); err != nil {
			t.Errorf("a known caller: %v", err)
		}
		if !errors.Is(e.Check(ctx, authctx.Principal{}), authctx.NoCredentials) {
			t.Error("the default let in somebody unknown")
		}
	}
	if err := p.RPC("/shop.Orders/Delete").Check(ctx, alice(t)); !errors.Is(err, authctx.PermissionDenied) {
		t.Errorf("the default overrides a listed rule: %v", err)
	}
	for _, name := range []string{"shop.Orders/Delete", "GET /orders/{id}", ""} {
		if e := p.RPC(name); e.Listed() {
			t.Errorf("%q is no full method and has the entry %q", name, e.Name)
		}
	}
}

func TestRule1_ADefaultPolicyWithoutARuleListsNothing(t *testing.T) {
	for name, rule := range map[string]authctx.Rule{"nil": nil, "a nil pointer": (*pointerRule)(nil), "a nil function": authctx.RuleFunc(nil)} {
		if e := authctx.DefaultPolicy(rule).Route("GET /else"); e.Listed() {
			t.Errorf("%s: the entry %q", name, e.Name)
		}
	}
}

func TestPolicyDoesNotKeepItsConfig(t *testing.T) {
	rules := map[string]authctx.Rule{"/a": authctx.Role("admin")}
	p, err := authctx.NewPolicy(authctx.PolicyConfig{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	rules["/a"] = authctx.Authenticated()
	rules["/b"] = authctx.Authenticated()
	if !slices.Equal(p.Names(), []string{"/a"}) || p.Route("/a").Check(context.Background(), alice(t)) == nil {
		t.Error("the policy changed with the map it was made of")
	}
}

func TestRule12_AChangedRefusalChangesNoRule(t *testing.T) {
	ctx := context.Background()
	stale := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", ACR: "bronze", AuthTime: time.Unix(1000, 0)})
	fresh, gold := authctx.MaxAuthAge(time.Minute, at(2000)), authctx.ACR("gold")
	e, _ := errors.AsType[*authctx.Error](fresh.Check(ctx, stale))
	*e.MaxAge = 24 * time.Hour
	e, _ = errors.AsType[*authctx.Error](gold.Check(ctx, stale))
	e.ACRValues[0] = "bronze"
	if fresh.Check(ctx, stale) == nil || gold.Check(ctx, stale) == nil {
		t.Error("whoever holds a refusal can loosen the rule")
	}
}

func TestRule1_ARuleWithANilMemberIsNone(t *testing.T) {
	for name, rule := range map[string]authctx.Rule{
		"All of nil":           authctx.All(nil),
		"Any of nil":           authctx.Any(authctx.Authenticated(), nil),
		"All of a nil pointer": authctx.All(authctx.Authenticated(), (*pointerRule)(nil)),
		"Any of a nil pointer": authctx.Any((*pointerRule)(nil)),
		"a nil pointer":        (*pointerRule)(nil),
		"a nil function below": authctx.All(authctx.Any(authctx.RuleFunc(nil))),
	} {
		if _, err := authctx.NewPolicy(authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/": rule}}); err == nil {
			t.Errorf("%s is taken for a rule", name)
		}
		if err := authctx.Authorize(authctx.NewContext(t.Context(), alice(t)), rule); !errors.Is(err, authctx.PermissionDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A rule may call another itself.
func TestRule1_ANilFunctionThatIsAskedDirectlyDenies(t *testing.T) {
	if err := authctx.RuleFunc(nil).Check(t.Context(), alice(t)); !errors.Is(err, authctx.PermissionDenied) {
		t.Error(err)
	}
}

type pointerRule struct{ err error }

func (r *pointerRule) Check(context.Context, authctx.Principal) error { return r.err }

// A nil pointer in an error is not nil, whatever its author meant.
func TestANilErrorPointerOfARuleDenies(t *testing.T) {
	var none *authctx.Error
	for name, err := range map[string]error{"bare": none, "wrapped": fmt.Errorf("x: %w", none)} {
		rule := authctx.RuleFunc(func(context.Context, authctx.Principal) error { return err })
		if got := authctx.ReasonOf(authctx.Authorize(authctx.NewContext(t.Context(), alice(t)), rule)); got != authctx.PermissionDenied {
			t.Errorf("%s: %v", name, got)
		}
	}
}

type ownOrder struct{}

func (ownOrder) Check(context.Context, authctx.Principal) error { return nil }

type named string

func (named) Check(context.Context, authctx.Principal) error { return nil }
func (n named) String() string                               { return string(n) }

func TestRulesPrintAsTheyAreMade(t *testing.T) {
	for want, rule := range map[string]authctx.Rule{
		"Authenticated()": authctx.Authenticated(), `Role("a")`: authctx.Role("a"), `Group("a\nb")`: authctx.Group("a\nb"),
		`Permission("")`: authctx.Permission(""), `Tenant("a")`: authctx.Tenant("a"), `Issuer("a")`: authctx.Issuer("a"),
		`Scope("a")`: authctx.Scope("a"), `ACR("a", "b")`: authctx.ACR("a", "b"), "MaxAuthAge(1h0m0s)": authctx.MaxAuthAge(time.Hour, nil),
		`All(Scope("a"), Any(Scope("b"), ACR("c")), Role("d"))`: authctx.All(authctx.Scope("a"),
			authctx.All(authctx.Any(authctx.Scope("b"), authctx.ACR("c")), authctx.Role("d"))),
		"Any(the order is the caller's own, authctx_test.ownOrder, authctx.RuleFunc)": authctx.Any(named("the order is the caller's own"), ownOrder{},
			authctx.RuleFunc(func(context.Context, authctx.Principal) error { return nil })),
	} {
		if got := fmt.Sprint(rule); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if got := authctx.DefaultPolicy(rule).String(); got != "default  "+want+"\n" {
			t.Errorf("%q", got)
		}
	}
	for _, text := range []string{"", "a\n/admin  Role(\"admin\")", "\xff", "a\tb"} {
		if got := authctx.DefaultPolicy(named(text)).String(); got != fmt.Sprintf("default  %q\n", text) {
			t.Errorf("%q", got)
		}
	}
	for _, nobodys := range []*authctx.Policy{nil, {}} {
		if got := nobodys.String(); got != "default  nobody\n" {
			t.Errorf("%q", got)
		}
	}
}
