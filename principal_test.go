package authctx_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
)

// full returns attributes with every field set to something telling.
func full() authctx.Attributes {
	return authctx.Attributes{
		Issuer: "https://idp.example", Subject: "alice", Kind: authctx.Service, Provenance: authctx.Verified,
		Name: "Alice", Email: "alice@example.com", Tenant: "acme", ClientID: "web", SessionID: "s1", TokenID: "t1",
		ACR: "gold", AMR: []string{"pwd", "otp"},
		Roles: []string{"admin", "editor"}, Permissions: []string{"orders:create"},
		Scopes: []string{"orders.read"}, Groups: []string{"/staff"}, GroupsIncomplete: true,
		AuthTime: time.Unix(1000, 0), IssuedAt: time.Unix(2000, 0), Expires: time.Unix(253402300799, 0), AsOf: time.Unix(1500, 0),
		Actors: []authctx.Actor{{Issuer: "https://idp.example", Subject: "robot"}, {Issuer: "x", Subject: "y"}},
		Extra:  map[string][]string{"region": {"eu", "us"}, "plan": {"pro"}},
		Claims: `{"sub":"alice","secret":"s3cret"}`,
	}
}

func mustNew(t testing.TB, a authctx.Attributes) authctx.Principal {
	t.Helper()
	p, err := authctx.New(a)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return p
}

func alice(t testing.TB) authctx.Principal {
	return mustNew(t, authctx.Attributes{Issuer: "https://idp.example", Subject: "alice", Roles: []string{"editor"}})
}

func TestPrincipalReadsWhatItWasMadeOf(t *testing.T) {
	a := full()
	p := mustNew(t, a)
	got := map[string]any{
		"Issuer": p.Issuer(), "Subject": p.Subject(), "Kind": p.Kind(), "Provenance": p.Provenance(), "Name": p.Name(),
		"Email": p.Email(), "Tenant": p.Tenant(), "ClientID": p.ClientID(), "SessionID": p.SessionID(), "TokenID": p.TokenID(),
		"ACR": p.ACR(), "AMR": p.AMR(), "Roles": p.Roles(), "Permissions": p.Permissions(), "Scopes": p.Scopes(),
		"Groups": p.Groups(), "GroupsIncomplete": p.GroupsIncomplete(), "AuthTime": p.AuthTime(), "IssuedAt": p.IssuedAt(),
		"Expires": p.Expires(), "AsOf": p.AsOf(), "Actors": p.Actors(), "region": p.Extra("region"), "none": p.Extra("none"),
	}
	want := map[string]any{
		"Issuer": a.Issuer, "Subject": a.Subject, "Kind": a.Kind, "Provenance": a.Provenance, "Name": a.Name,
		"Email": a.Email, "Tenant": a.Tenant, "ClientID": a.ClientID, "SessionID": a.SessionID, "TokenID": a.TokenID,
		"ACR": a.ACR, "AMR": a.AMR, "Roles": a.Roles, "Permissions": a.Permissions, "Scopes": a.Scopes,
		"Groups": a.Groups, "GroupsIncomplete": true, "AuthTime": a.AuthTime.UTC(), "IssuedAt": a.IssuedAt.UTC(),
		"Expires": a.Expires.UTC(), "AsOf": a.AsOf.UTC(), "Actors": a.Actors, "region": []string{"eu", "us"}, "none": []string(nil),
	}
	for name := range want {
		if fmt.Sprintf("%#v", got[name]) != fmt.Sprintf("%#v", want[name]) {
			t.Errorf("%s = %#v, want %#v", name, got[name], want[name])
		}
	}
	if actor, ok := p.Actor(); !ok || actor.Subject != "robot" {
		t.Errorf("Actor = %v, %v; want the outermost", actor, ok)
	}
	if !p.Equal(mustNew(t, p.Attributes())) {
		t.Error("New(p.Attributes()) differs from p")
	}
}

func TestZeroPrincipalIsNobody(t *testing.T) {
	var p authctx.Principal
	if !p.IsZero() || p.Subject() != "" || p.Roles() != nil || p.HasRole("") || p.ExpiredAt(time.Now()) || p.Provenance() != authctx.Asserted {
		t.Errorf("zero principal reads as somebody: %#v", p)
	}
	if _, ok := p.Actor(); ok {
		t.Error("nobody has an actor")
	}
	if err := p.DecodeClaims(new(any)); err == nil {
		t.Error("nobody has claims")
	}
	if !p.Equal(authctx.Principal{}) || p.Equal(alice(t)) || alice(t).Equal(p) {
		t.Error("Equal confuses nobody and somebody")
	}
}

func TestNewReportsEverythingThatIsWrong(t *testing.T) {
	_, err := authctx.New(authctx.Attributes{
		Kind: 9, Provenance: 9, Name: "\xff", Roles: []string{""}, Groups: []string{"\xff"},
		Expires: time.Unix(-1, 0), AuthTime: time.Unix(253402300800, 0),
		Actors: []authctx.Actor{{Issuer: "only"}}, Extra: map[string][]string{"": {"x"}, "k": {""}},
	})
	if err == nil {
		t.Fatal("New accepted it")
	}
	for _, name := range []string{"Issuer", "Subject", "Kind", "Provenance", "Name", "Roles", "Groups", "Expires", "AuthTime", "Actors[0]", `key that is empty`, `"k"`} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("error does not name %s:\n%v", name, err)
		}
	}
}

func TestAbsentAndEmptyAreTheSame(t *testing.T) {
	base := authctx.Attributes{Issuer: "i", Subject: "s"}
	empty := base
	empty.Roles, empty.Actors = []string{}, []authctx.Actor{}
	empty.Extra = map[string][]string{"k": {}}
	if !mustNew(t, base).Equal(mustNew(t, empty)) {
		t.Error("an empty list differs from an absent one")
	}
}

func TestTimesAreCutToSeconds(t *testing.T) {
	end := time.Unix(100, 999_999_999)
	p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", Expires: end})
	if !p.Expires().Equal(time.Unix(100, 0)) {
		t.Errorf("Expires = %v", p.Expires())
	}
	for at, want := range map[int64]bool{99: false, 100: true, 101: true} {
		if got := p.ExpiredAt(time.Unix(at, 0)); got != want {
			t.Errorf("ExpiredAt(%d) = %v", at, got)
		}
	}
}

func TestEqualSeesEveryAttribute(t *testing.T) {
	changes := map[string]func(*authctx.Attributes){
		"Issuer": func(a *authctx.Attributes) { a.Issuer += "x" }, "Subject": func(a *authctx.Attributes) { a.Subject += "x" },
		"Kind": func(a *authctx.Attributes) { a.Kind = authctx.User }, "Provenance": func(a *authctx.Attributes) { a.Provenance-- },
		"Name": func(a *authctx.Attributes) { a.Name = "" }, "Email": func(a *authctx.Attributes) { a.Email = "" },
		"Tenant": func(a *authctx.Attributes) { a.Tenant = "" }, "ClientID": func(a *authctx.Attributes) { a.ClientID = "" },
		"SessionID": func(a *authctx.Attributes) { a.SessionID = "" }, "TokenID": func(a *authctx.Attributes) { a.TokenID = "" },
		"ACR": func(a *authctx.Attributes) { a.ACR = "" }, "AMR": func(a *authctx.Attributes) { a.AMR = nil },
		"Roles": func(a *authctx.Attributes) { a.Roles = []string{"editor", "admin"} }, "Permissions": func(a *authctx.Attributes) { a.Permissions = nil },
		"Scopes": func(a *authctx.Attributes) { a.Scopes = nil }, "Groups": func(a *authctx.Attributes) { a.Groups = nil },
		"GroupsIncomplete": func(a *authctx.Attributes) { a.GroupsIncomplete = false },
		"AuthTime":         func(a *authctx.Attributes) { a.AuthTime = time.Time{} }, "IssuedAt": func(a *authctx.Attributes) { a.IssuedAt = time.Time{} },
		"Expires": func(a *authctx.Attributes) { a.Expires = time.Time{} }, "AsOf": func(a *authctx.Attributes) { a.AsOf = time.Time{} },
		"Actors": func(a *authctx.Attributes) { a.Actors = a.Actors[:1] }, "Extra": func(a *authctx.Attributes) { a.Extra["plan"] = []string{"free"} },
		"Claims": func(a *authctx.Attributes) { a.Claims = "" },
	}
	p := mustNew(t, full())
	for name, change := range changes {
		a := full()
		change(&a)
		if p.Equal(mustNew(t, a)) {
			t.Errorf("a different %s is not seen", name)
		}
	}
}

// Authelia took two spellings of a name for one user where it looked rules up,
// and for two elsewhere. Here a name is its bytes, everywhere.
func TestCVE_2026_47203_NamesAreComparedByteForByte(t *testing.T) {
	spellings := []string{"\u00e9ve", "e\u0301ve", "\u00c9ve", "\u00e9ve ", "\uff45ve", "eve"}
	for i, a := range spellings {
		for j, b := range spellings {
			of := func(issuer, subject string) authctx.Principal {
				return mustNew(t, authctx.Attributes{Issuer: issuer, Subject: subject, Roles: []string{subject}})
			}
			if got := of("i", a).Equal(of("i", b)); got != (i == j) {
				t.Errorf("subjects %q and %q are equal: %v", a, b, got)
			}
			if got := of(a, "s").Equal(of(b, "s")); got != (i == j) {
				t.Errorf("issuers %q and %q are equal: %v", a, b, got)
			}
			ctx := authctx.NewContext(context.Background(), of("i", a))
			if got := authctx.Authorize(ctx, authctx.Role(b)) == nil; got != (i == j) {
				t.Errorf("role %q passes for %q: %v", a, b, got)
			}
		}
	}
}

func TestRule12_WhatACallerLentIsNeverChanged(t *testing.T) {
	a := full()
	p := mustNew(t, a)
	a.Roles[0], a.Extra["plan"][0], a.Actors[0].Subject = "x", "x", "x"
	a.Extra["new"] = []string{"x"}
	p.Roles()[0], p.Groups()[0], p.Extra("region")[0], p.Actors()[0].Subject = "x", "x", "x", "x"
	twin := p.Attributes()
	twin.Roles[0], twin.Extra["plan"][0] = "x", "x"
	if !p.Equal(mustNew(t, full())) {
		t.Errorf("a principal was changed through a slice or map of its maker or reader: %+v", p.Attributes())
	}
}

func TestAppendingToAListDoesNotReachTheNext(t *testing.T) {
	twin := mustNew(t, full()).Attributes()
	_ = append(twin.AMR, "x")
	_ = append(twin.Roles, "x")
	if twin.Roles[0] != "admin" || twin.Permissions[0] != "orders:create" {
		t.Errorf("lists share spare room: %v %v", twin.Roles, twin.Permissions)
	}
}

func TestRule11_PrintingAPrincipalShowsNoClaims(t *testing.T) {
	p := mustNew(t, full())
	result := authctx.Result{Principal: p, Forward: []authctx.Field{{Name: "txn-token", Value: "t0ken"}}}
	ctx := result.NewContext(context.Background())
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "caller", p, "ctx", ctx)
	out, _ := json.Marshal(p)
	printed := log.String() + string(out)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		printed += fmt.Sprintf(verb, p) + fmt.Sprintf(verb, &p) + fmt.Sprintf(verb, ctx) + fmt.Sprintf(verb, inner) + fmt.Sprintf(verb, result) +
			fmt.Sprintf(verb, struct{ P authctx.Principal }{p}) + fmt.Sprintf(verb, struct{ p authctx.Principal }{p})
	}
	for _, secret := range []string{"Alice", "alice@example.com", "acme", "admin", "orders", "s3cret", "t0ken", "robot", "gold", "pwd", "staff", "region"} {
		if strings.Contains(printed, secret) {
			t.Errorf("%q is printed", secret)
		}
	}
	if want := "service alice of https://idp.example (verified)"; p.String() != want {
		t.Errorf("String = %q, want %q", p.String(), want)
	}
	if (authctx.Principal{}).String() != "nobody" || (authctx.Principal{}).LogValue().String() != "nobody" {
		t.Error("nobody is not printed as nobody")
	}
}

// A name must not pass for lines of the log or for parts of what is printed
// around it, whatever verb prints it.
func TestANameWithWhichALogCouldBeForgedIsPrintedQuoted(t *testing.T) {
	for name, printed := range map[string]string{
		"alice":                                "alice",
		"auth0|5f7c8ec7":                       "auth0|5f7c8ec7",
		`CORP\alice`:                           `CORP\alice`,
		"system:serviceaccount:shop:orders":    "system:serviceaccount:shop:orders",
		"\u00e9ve@\u4f8b.example":              "\u00e9ve@\u4f8b.example",
		"CN=Alice Smith,O=Shop":                `"CN=Alice Smith,O=Shop"`,
		"mallory\n2026/01/02 caller user root": `"mallory\n2026/01/02 caller user root"`,
		"a\rb":                                 `"a\rb"`,
		"a\x00\x1b[2Jb":                        `"a\x00\x1b[2Jb"`,
		"root of https://idp.example":          `"root of https://idp.example"`,
		`"root"`:                               `"\"root\""`,
		"a\u00a0b":                             `"a\u00a0b"`, // looks like a space
		"a\u2028b":                             `"a\u2028b"`, // a line to some
		"a\u202eb":                             `"a\u202eb"`, // turns around what follows
		"a\u200bb":                             `"a\u200bb"`, // is not seen
		"a\u0085b":                             `"a\u0085b"`,
		"a\u2800b":                             "\"a\u2800b\"", // Unicode calls it a symbol, and it is blank
		"a\u3164b":                             "\"a\u3164b\"", // a letter, likewise
	} {
		p := mustNew(t, authctx.Attributes{Issuer: name, Subject: name, Actors: []authctx.Actor{{Issuer: name, Subject: name}}})
		actor, _ := p.Actor()
		who := printed + " of " + printed
		for _, verb := range []string{"%v", "%+v", "%s"} {
			if got := fmt.Sprintf(verb, actor); got != who {
				t.Errorf("actor with %s: %s, want %s", verb, got, who)
			}
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			if got, want := fmt.Sprintf(verb, p), "user "+who+" (asserted)"; got != want {
				t.Errorf("%s: %s, want %s", verb, got, want)
			}
		}
	}
	if got := (authctx.Actor{Issuer: "i", Subject: "a\xffb"}).String(); got != `"a\xffb" of i` {
		t.Errorf("an actor whose name is no text: %s", got)
	}
	if got := (authctx.Actor{}).String(); got != `"" of ""` {
		t.Errorf("no actor: %s", got)
	}
	p := alice(t)
	if n := testing.AllocsPerRun(100, func() { _ = p.String() }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestDecodeClaimsFillsTheUsersOwnType(t *testing.T) {
	var claims struct {
		Subject string `json:"sub"`
		Secret  string `json:"secret"`
	}
	if err := mustNew(t, full()).DecodeClaims(&claims); err != nil || claims.Secret != "s3cret" || claims.Subject != "alice" {
		t.Errorf("DecodeClaims: %v, %+v", err, claims)
	}
}

func TestContextCarriesTheCaller(t *testing.T) {
	background := context.Background()
	if _, ok := authctx.FromContext(background); ok {
		t.Error("an untouched context has a caller")
	}
	p := alice(t)
	ctx := authctx.NewContext(background, p)
	if got, ok := authctx.FromContext(ctx); !ok || !got.Equal(p) {
		t.Errorf("FromContext = %v, %v", got, ok)
	}
	if _, ok := authctx.FromContext(authctx.NewContext(ctx, authctx.Principal{})); ok {
		t.Error("the zero principal does not take the caller away")
	}
	type other struct{}
	if got := authctx.NewContext(context.WithValue(background, other{}, 7), p).Value(other{}); got != 7 {
		t.Errorf("the parent's value is lost: %v", got)
	}
}

func TestForwardedFieldsBelongToTheirCaller(t *testing.T) {
	token := []authctx.Field{{Name: authctx.TxnTokenField, Value: "t0ken"}}
	end := time.Unix(1_800_000_000, 0)
	ctx := authctx.Result{Principal: alice(t), Forward: token, ForwardUntil: end}.NewContext(context.Background())
	if got := authctx.Forwarded(ctx); len(got) != 1 || got[0] != token[0] {
		t.Errorf("Forwarded = %v", got)
	}
	if got := authctx.ForwardedUntil(ctx); !got.Equal(end) {
		t.Errorf("ForwardedUntil = %v", got)
	}
	authctx.Forwarded(ctx)[0].Value = "x"
	if authctx.Forwarded(ctx)[0].Value != "t0ken" {
		t.Error("the forwarded field can be changed by a reader")
	}
	other := mustNew(t, authctx.Attributes{Issuer: "https://idp.example", Subject: "bob"})
	anew := authctx.NewContext(ctx, other)
	if got := authctx.Forwarded(anew); got != nil || !authctx.ForwardedUntil(anew).IsZero() {
		t.Errorf("another caller inherits %v", got)
	}
	if authctx.Forwarded(context.Background()) != nil || !authctx.ForwardedUntil(context.Background()).IsZero() {
		t.Error("an untouched context forwards something")
	}
}

func TestCopyingAndCarryingAPrincipalCostsOneAllocation(t *testing.T) {
	p, background := mustNew(t, full()), context.Background()
	var ctx context.Context
	if n := testing.AllocsPerRun(100, func() { ctx = authctx.NewContext(background, p) }); n > 1 {
		t.Errorf("NewContext allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		q, _ := authctx.FromContext(ctx)
		if !q.HasRole("admin") || !q.HasScope("orders.read") || !q.HasPermission("orders:create") || !q.HasGroup("/staff") || !q.Equal(p) {
			t.Error("wrong caller")
		}
	}); n > 0 {
		t.Errorf("reading the caller allocates %v times", n)
	}
}

// What is written for a log is read back as nobody by nobody's mistake: loudly.
func TestAPrincipalIsNotReadBackFromJSON(t *testing.T) {
	text, err := json.Marshal(map[string]any{"caller": alice(t), "nobody": authctx.Principal{}})
	want := `{"caller":{"issuer":"https://idp.example","subject":"alice","kind":"user","provenance":"asserted"},"nobody":"nobody"}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	var back map[string]authctx.Principal
	if err := json.Unmarshal(text, &back); err == nil {
		t.Errorf("read back as %v", back)
	}
}

// A store keeps the attributes of a principal, in JSON for example.
func TestAttributesSurviveJSON(t *testing.T) {
	p := mustNew(t, full())
	text, err := json.Marshal(p.Attributes())
	if err != nil || !strings.Contains(string(text), `"Kind":"service","Provenance":"verified"`) {
		t.Fatalf("%s, %v", text, err)
	}
	var a authctx.Attributes
	if err := json.Unmarshal(text, &a); err != nil || !p.Equal(mustNew(t, a)) {
		t.Errorf("%+v, %v", a, err)
	}
	for _, bad := range []string{`{"Kind":"root"}`, `{"Kind":""}`, `{"Provenance":"Verified"}`, `{"Provenance":"provenance(2)"}`} {
		if err := json.Unmarshal([]byte(bad), &a); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}
