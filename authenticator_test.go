package authctx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/authctx/authctx"
)

func request(fields map[string][]string) *authctx.Request {
	return &authctx.Request{Transport: "http", Fields: authctx.FieldMap(fields)}
}

// reads returns an authenticator that answers with a caller named after itself
// when its field is "good", and refuses anything else in it.
func reads(t testing.TB, name string, fields authctx.FieldSet) authctx.Authenticator {
	p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: name})
	return authctx.NewAuthenticator(fields, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		values := r.Values(fields.Names[0])
		switch {
		case len(values) == 0 || values[0] == "not mine":
			return authctx.Result{}, authctx.NoCredentials
		case values[0] == "good "+name || values[0] == "good":
			return authctx.Result{Principal: p}, nil
		case values[0] == "down":
			return authctx.Result{}, io.ErrUnexpectedEOF
		}
		return authctx.Result{Principal: p}, authctx.InvalidToken
	})
}

func TestOneOf(t *testing.T) {
	jwt := reads(t, "jwt", authctx.FieldSet{Names: []string{"authorization"}})
	opaque := reads(t, "opaque", authctx.FieldSet{Names: []string{"authorization"}})
	proof := reads(t, "proof", authctx.FieldSet{Names: []string{"authorization", "dpop"}})
	txn := reads(t, "txn", authctx.FieldSet{Names: []string{"txn-token"}})
	for _, c := range []struct {
		name    string
		members []authctx.Authenticator
		fields  map[string][]string
		want    authctx.Reason
		who     string
	}{
		{"nothing presented", []authctx.Authenticator{jwt, txn}, nil, authctx.NoCredentials, ""},
		{"the first member answers", []authctx.Authenticator{jwt, txn}, map[string][]string{"Authorization": {"good"}}, 0, "jwt"},
		{"the second member answers", []authctx.Authenticator{jwt, txn}, map[string][]string{"Txn-Token": {"good"}}, 0, "txn"},
		{"two kinds at once", []authctx.Authenticator{jwt, txn}, map[string][]string{"authorization": {"good"}, "txn-token": {"good"}}, authctx.InvalidRequest, ""},
		{"two kinds at once, one of them bad", []authctx.Authenticator{jwt, txn}, map[string][]string{"authorization": {"bad"}, "txn-token": {"good"}}, authctx.InvalidRequest, ""},
		{"an empty field is absent", []authctx.Authenticator{jwt, txn}, map[string][]string{"authorization": {""}, "txn-token": {"good"}}, 0, "txn"},
		{"members of one field stand side by side", []authctx.Authenticator{jwt, opaque}, map[string][]string{"authorization": {"not mine"}}, authctx.NoCredentials, ""},
		{"a member that reads all the fields makes them one kind", []authctx.Authenticator{jwt, proof}, map[string][]string{"authorization": {"good"}, "dpop": {"x"}}, 0, "jwt"},
		{"bad credentials are not passed to the next member", []authctx.Authenticator{jwt, opaque}, map[string][]string{"authorization": {"good opaque"}}, authctx.InvalidToken, ""},
		{"could not check is not passed to the next member", []authctx.Authenticator{jwt, opaque}, map[string][]string{"authorization": {"down"}}, authctx.Unavailable, ""},
		{"a nil member lets nobody in", []authctx.Authenticator{nil, jwt}, map[string][]string{"authorization": {"good"}}, authctx.Unavailable, ""},
		{"nor does one that holds a nil pointer", []authctx.Authenticator{(*authctx.FieldsAuthenticator)(nil), jwt}, map[string][]string{"authorization": {"good"}}, authctx.Unavailable, ""},
		{"nested", []authctx.Authenticator{authctx.OneOf(jwt, txn), opaque}, map[string][]string{"authorization": {"x"}, "txn-token": {"x"}}, authctx.InvalidRequest, ""},
	} {
		a := authctx.OneOf(c.members[0], c.members[1:]...)
		res, err := a.Authenticate(context.Background(), request(c.fields))
		if got := authctx.ReasonOf(err); got != c.want || res.Principal.Subject() != c.who {
			t.Errorf("%s: %v and %q, want %v and %q", c.name, err, res.Principal.Subject(), c.want, c.who)
		}
	}
}

// An authenticator of a user's own says where it reads and not whether it finds
// something there.
func TestOneOfRefusesTwoKindsWhereverTheyAreRead(t *testing.T) {
	header := reads(t, "header", authctx.FieldSet{Names: []string{"authorization"}})
	bob := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "bob"})
	takes := func(fields authctx.FieldSet) authctx.Authenticator {
		return authctx.NewAuthenticator(fields, func(context.Context, *authctx.Request) (authctx.Result, error) {
			return authctx.Result{Principal: bob}, nil
		})
	}
	for name, c := range map[string]struct {
		fields authctx.FieldSet
		field  string
		value  string
		kinds  bool // whether the value is a credential
	}{
		"a cookie":              {authctx.FieldSet{Cookies: []string{"sid"}}, "Cookie", "a=b; sid=x", true},
		"another cookie":        {authctx.FieldSet{Cookies: []string{"sid"}}, "Cookie", "side=x", false},
		"a subprotocol":         {authctx.FieldSet{Subprotocols: []string{"bearer."}}, "Sec-WebSocket-Protocol", "chat, bearer.x", true},
		"another subprotocol":   {authctx.FieldSet{Subprotocols: []string{"bearer."}}, "Sec-WebSocket-Protocol", "chat", false},
		"another field":         {authctx.FieldSet{Names: []string{"x-api-key"}}, "X-API-Key", "x", true},
		"another field, absent": {authctx.FieldSet{Names: []string{"x-api-key"}}, "X-API-Keys", "x", false},
	} {
		r := request(map[string][]string{"Authorization": {"good"}, c.field: {c.value}})
		res, err := authctx.OneOf(header, takes(c.fields)).Authenticate(t.Context(), r)
		if c.kinds != errors.Is(err, authctx.InvalidRequest) || !c.kinds && res.Principal.Subject() != "header" {
			t.Errorf("%s: %v, %v", name, res.Principal, err)
		}
	}
}

// Only a Presenter can say whether there are fields that are known by a prefix.
func TestOneOfRefusesTwoKindsOfWhichOneIsReadByAPrefix(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	fields := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &k8s, Issuer: "i"})
	header := reads(t, "header", authctx.FieldSet{Names: []string{"authorization"}})
	for _, a := range []authctx.Authenticator{authctx.OneOf(header, fields), authctx.OneOf(fields, header)} {
		r := request(map[string][]string{"Authorization": {"good"}, "X-Remote-Extra-Team": {"x"}})
		if res, err := a.Authenticate(t.Context(), r); !errors.Is(err, authctx.InvalidRequest) {
			t.Errorf("%v, %v", res.Principal, err)
		}
	}
}

// Who may call chooses how many fields there are. With work that grows with the
// cube of their number, this would take minutes.
func TestOneOfRefusesManyKinds(t *testing.T) {
	var members []authctx.Authenticator
	presented := map[string][]string{}
	for i := range 3000 {
		name := fmt.Sprint("x-key-", i)
		members = append(members, authctx.NewAuthenticator(authctx.FieldSet{Names: []string{name}}, nil))
		presented[name] = []string{"good"}
	}
	res, err := authctx.OneOf(members[0], members[1:]...).Authenticate(t.Context(), request(presented))
	if !errors.Is(err, authctx.InvalidRequest) || len(res.Read.Names) != len(members) {
		t.Errorf("%v, read from %d fields", err, len(res.Read.Names))
	}
}

func TestOneOfRefusesTwoKindsThatAreNoFields(t *testing.T) {
	bob := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "bob"})
	takes := func(fields authctx.FieldSet) authctx.Authenticator {
		return authctx.NewAuthenticator(fields, func(context.Context, *authctx.Request) (authctx.Result, error) {
			return authctx.Result{Principal: bob}, nil
		})
	}
	cookies := authctx.OneOf(takes(authctx.FieldSet{Cookies: []string{"a"}}), takes(authctx.FieldSet{Cookies: []string{"b"}}))
	protocols := authctx.OneOf(takes(authctx.FieldSet{Subprotocols: []string{"a."}}), takes(authctx.FieldSet{Subprotocols: []string{"b."}}))
	for name, r := range map[string]*authctx.Request{
		"cookies": request(map[string][]string{"Cookie": {"a=1; b=2"}}), "cookies in two lines": request(map[string][]string{"Cookie": {"a=1", "b=2"}}),
	} {
		if _, err := cookies.Authenticate(t.Context(), r); !errors.Is(err, authctx.InvalidRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := protocols.Authenticate(t.Context(), request(map[string][]string{"Sec-WebSocket-Protocol": {"a.x, b.y"}})); !errors.Is(err, authctx.InvalidRequest) {
		t.Errorf("subprotocols: %v", err)
	}
	if res, err := cookies.Authenticate(t.Context(), request(map[string][]string{"Cookie": {"b=2"}})); err != nil || len(res.Read.Names) != 0 || len(res.Read.Cookies) != 1 {
		t.Errorf("one cookie: %+v, %v", res.Read, err)
	}
}

func TestACookieHasAValue(t *testing.T) {
	r := request(map[string][]string{"Cookie": {`sid; sid2=x;  sid = y; sid=; sid="z"; SID=w`}})
	if got := r.Cookies("sid"); len(got) != 2 || got[0] != "" || got[1] != "z" {
		t.Errorf("%q", got)
	}
}

// What a member leaves to the others is bad if none of them takes it, however
// members are nested and wrapped.
func TestRule8_WhatNobodyTakesIsBadAndNotAbsent(t *testing.T) {
	here := authctx.FieldSet{Names: []string{"authorization"}}
	notMine := &authctx.Error{Reason: authctx.InvalidToken, NotMine: true}
	// Each takes what begins with its name, and refuses what goes on with "bad".
	member := func(name string, other error) authctx.Authenticator {
		p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: name})
		return authctx.NewAuthenticator(here, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
			values := r.Values("authorization")
			switch {
			case len(values) == 0:
				return authctx.Result{}, authctx.NoCredentials
			case !strings.HasPrefix(values[0], name):
				return authctx.Result{}, other
			case strings.HasSuffix(values[0], "bad"):
				return authctx.Result{}, authctx.BadSignature
			}
			return authctx.Result{Principal: p}, nil
		})
	}
	around := func(a authctx.Authenticator, ask func(context.Context, *authctx.Request) (authctx.Result, error)) authctx.Authenticator {
		return authctx.NewAuthenticator(a.Fields(), ask)
	}
	jwt, opaque := member("jwt", notMine), member("opaque", notMine)
	absent := member("own", authctx.NoCredentials)
	cookie := authctx.NewAuthenticator(authctx.FieldSet{Cookies: []string{"sid"}}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{}, authctx.NoCredentials
	})
	for name, a := range map[string]authctx.Authenticator{
		"side by side":     authctx.OneOf(jwt, opaque, absent),
		"in another order": authctx.OneOf(absent, opaque, jwt),
		"nested":           authctx.OneOf(authctx.OneOf(cookie, jwt), authctx.OneOf(opaque, absent)),
		"nested deeply":    authctx.OneOf(authctx.OneOf(authctx.OneOf(jwt)), absent, authctx.OneOf(cookie, authctx.OneOf(opaque))),
		"wrapped":          authctx.OneOf(around(jwt, jwt.Authenticate), around(opaque, opaque.Authenticate), absent),
		"wrapped by Authenticate": authctx.OneOf(around(jwt, func(ctx context.Context, r *authctx.Request) (authctx.Result, error) {
			return authctx.Authenticate(ctx, jwt, r)
		}), opaque, absent),
		"beside what reads no more": authctx.OneOf(cookie, jwt, opaque, absent),
	} {
		for value, want := range map[string]authctx.Reason{
			"jwt": 0, "opaque": 0, "own": 0, "jwt bad": authctx.BadSignature, "opaque bad": authctx.BadSignature, "own bad": authctx.BadSignature,
			"": authctx.NoCredentials, "other": authctx.InvalidToken,
		} {
			res, err := authctx.Authenticate(t.Context(), a, request(map[string][]string{"authorization": {value}}))
			if authctx.ReasonOf(err) != want || err == nil && res.Principal.Subject() != value {
				t.Errorf("%s: %q: %v, %v; want %v", name, value, res.Principal, err, want)
			}
			if want == authctx.InvalidToken && (!res.Read.Owns("authorization") || len(res.Read.Cookies) > 0) {
				t.Errorf("%s: %q was read from %+v", name, value, res.Read)
			}
		}
	}
	// Only what blames the token can be left to others.
	down := member("down", &authctx.Error{Reason: authctx.Unavailable, NotMine: true})
	if _, err := authctx.OneOf(down, jwt).Authenticate(t.Context(), request(map[string][]string{"authorization": {"jwt"}})); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("what could not be checked was left to others: %v", err)
	}
}

func TestOneOfSaysWhereTheAnswerWasRead(t *testing.T) {
	jwt := reads(t, "jwt", authctx.FieldSet{Names: []string{"authorization"}})
	txn := reads(t, "txn", authctx.FieldSet{Names: []string{"txn-token"}})
	res, err := authctx.OneOf(jwt, txn).Authenticate(context.Background(), request(map[string][]string{"txn-token": {"good"}}))
	if err != nil || !res.Read.Owns("txn-token") || res.Read.Owns("authorization") {
		t.Errorf("Read = %+v, %v", res.Read, err)
	}
	if all := authctx.OneOf(jwt, txn).Fields(); !all.Owns("txn-token") || !all.Owns("authorization") {
		t.Errorf("Fields = %+v", all)
	}
}

// An operator who looks for why nobody is let in finds out, in whatever order the
// members are.
func TestOneOfSaysWhyNobodyIsThere(t *testing.T) {
	bearer := reads(t, "jwt", authctx.FieldSet{Names: []string{"authorization"}})
	trust, err := authctx.TrustPeerCIDR("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	fields := reader(t, authctx.FieldsAuthenticatorConfig{Trust: trust})
	stranger := request(map[string][]string{"x-user-id": {"root"}, "x-user-issuer": {"i"}})
	stranger.Peer = netip.MustParseAddrPort("192.0.2.1:4711")
	for order, a := range map[string]authctx.Authenticator{
		"first": authctx.OneOf(fields, bearer), "last": authctx.OneOf(bearer, fields),
		"between": authctx.OneOf(bearer, fields, bearer), "nested": authctx.OneOf(authctx.OneOf(bearer, fields), bearer),
	} {
		_, err := a.Authenticate(t.Context(), stranger)
		if refusal, ok := errors.AsType[*authctx.Error](err); !ok || !errors.Is(err, authctx.NoCredentials) ||
			!strings.Contains(fmt.Sprint(refusal.Cause), "192.0.2.1") {
			t.Errorf("%s: %v", order, err)
		}
	}
}

// Who was shown something knows more than who was not.
func TestOneOfSaysWhyWhatWasThereIsNoCredential(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	fields := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &k8s, Issuer: "i"})
	bearer := reads(t, "jwt", authctx.FieldSet{Names: []string{"authorization"}})
	key := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x-key"}}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		return authctx.Result{}, &authctx.Error{Reason: authctx.NoCredentials, Cause: fmt.Errorf("%d keys", len(r.Values("x-key")))}
	})
	nobody := map[string][]string{"x-remote-user": {"system:anonymous"}}
	both := map[string][]string{"x-remote-user": {"system:anonymous"}, "x-key": {"k"}}
	for name, test := range map[string]struct {
		auth   authctx.Authenticator
		fields map[string][]string
		want   string
	}{
		"nobody, then who is silent": {authctx.OneOf(fields, bearer), nobody, "stands for nobody"},
		"who is silent, then nobody": {authctx.OneOf(bearer, fields), nobody, "stands for nobody"},
		"nobody, then a key":         {authctx.OneOf(fields, key), both, "1 keys"},
		"a key, then nobody":         {authctx.OneOf(key, fields), both, "1 keys"},
		"nobody, then no key":        {authctx.OneOf(fields, key), nobody, "stands for nobody"},
		"no key, then nobody":        {authctx.OneOf(key, fields), nobody, "0 keys"},
	} {
		_, err := test.auth.Authenticate(t.Context(), request(test.fields))
		if !errors.Is(err, authctx.NoCredentials) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRule8_BadAndUnverifiableNeverBecomeAnonymous(t *testing.T) {
	somebody := alice(t)
	for _, c := range []struct {
		name string
		res  authctx.Result
		err  error
		want authctx.Reason
	}{
		{"success without a principal", authctx.Result{}, nil, authctx.Unavailable},
		{"an error without a reason", authctx.Result{}, io.EOF, authctx.Unavailable},
		{"a principal beside an error", authctx.Result{Principal: somebody}, authctx.TokenExpired, authctx.TokenExpired},
		{"absent in one place, unverifiable in another", authctx.Result{}, errors.Join(&authctx.Error{Reason: authctx.NoCredentials}, authctx.Unavailable), authctx.Unavailable},
		{"the other way round", authctx.Result{}, fmt.Errorf("%w; %w", authctx.Unavailable, authctx.NoCredentials), authctx.Unavailable},
		{"absent in one place, bad in another", authctx.Result{}, errors.Join(authctx.NoCredentials, authctx.WrongIssuer), authctx.WrongIssuer},
		{"bad in one place, unverifiable in another", authctx.Result{}, errors.Join(&authctx.Error{Reason: authctx.InvalidToken, NotMine: true}, authctx.Unavailable), authctx.Unavailable},
		{"absent in one place, an error without a reason in another", authctx.Result{}, errors.Join(authctx.NoCredentials, &authctx.Error{Cause: io.EOF}), authctx.Unavailable},
	} {
		a := authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) { return c.res, c.err })
		res, err := authctx.Authenticate(context.Background(), a, request(nil))
		if authctx.ReasonOf(err) != c.want || !res.Principal.IsZero() {
			t.Errorf("%s: %v, %v", c.name, res.Principal, err)
		}
		for _, other := range authctx.Reasons() {
			if errors.Is(err, other) && !errors.Is(c.want, other) {
				t.Errorf("%s counts as %v", c.name, other)
			}
		}
	}
	for name, a := range map[string]authctx.Authenticator{"nil": nil, "nil function": authctx.NewAuthenticator(authctx.FieldSet{}, nil)} {
		if _, err := authctx.Authenticate(context.Background(), a, request(nil)); !errors.Is(err, authctx.Unavailable) {
			t.Errorf("%s authenticator: %v", name, err)
		}
	}
}

func TestResponseFieldsSurviveARefusal(t *testing.T) {
	nonce := []authctx.Field{{Name: "dpop-nonce", Value: "n"}}
	a := authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{Response: nonce}, authctx.NonceRequired
	})
	if res, err := authctx.Authenticate(context.Background(), a, request(nil)); len(res.Response) != 1 || !errors.Is(err, authctx.NonceRequired) {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestRequestReadsFieldsAndCookies(t *testing.T) {
	r := request(map[string][]string{
		"X-One": {"a"}, "x-two": {"", "b"}, "X-TWO": {"c"}, "x-none": {""},
		"Cookie": {`a=1; session="tok"; other=session=x`, "session=tok2"},
	})
	for name, want := range map[string]int{"x-one": 1, "X-ONE": 1, "x-two": 2, "x-none": 0, "absent": 0} {
		if got := r.Values(name); len(got) != want {
			t.Errorf("Values(%q) = %q, want %d", name, got, want)
		}
	}
	if got := r.Cookies("session"); len(got) != 2 || got[0] != "tok" || got[1] != "tok2" {
		t.Errorf("Cookies = %q", got)
	}
	if got := r.Cookies("Session"); got != nil {
		t.Errorf("cookie names fold case: %q", got)
	}
	if (&authctx.Request{}).Values("x") != nil || (*authctx.Request)(nil).Values("x") != nil {
		t.Error("a request without fields has values")
	}
}

// What is left of a constructor whose error was dropped lets nobody in, and what
// is not there at all observes nothing.
func TestNilAuthenticatorsAndObservers(t *testing.T) {
	var dropped *authctx.FieldsAuthenticator
	for name, a := range map[string]authctx.Authenticator{"nil": nil, "a nil pointer": dropped} {
		if _, err := authctx.Authenticate(t.Context(), a, &authctx.Request{}); !errors.Is(err, authctx.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := authctx.ExtractHeaders(t.Context(), a, "topic", map[string]string{}); !errors.Is(err, authctx.Unavailable) {
			t.Errorf("%s, of a message: %v", name, err)
		}
	}
	authctx.ObserverFunc(nil).Observe(t.Context(), authctx.Event{})
}

// hollow fails when it is nil, as most types do.
type hollow struct{ err error }

func (h *hollow) Trusts(context.Context, *authctx.Request) error { return h.err }
func (h *hollow) Check(context.Context, authctx.Principal) error { return h.err }

func TestRule1_NilPointersAreNoSettings(t *testing.T) {
	var nothing *hollow
	_, trust := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: nothing})
	_, rule := authctx.NewPolicy(authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/a": nothing}})
	_, fallback := authctx.NewPolicy(authctx.PolicyConfig{Default: nothing})
	prop := authctx.InjectHeaders(t.Context(), (*authctx.FieldsPropagator)(nil), map[string]string{})
	for want, err := range map[string]error{
		"Trust is required": trust, `"/a" has a nil rule`: rule, "Default is a nil rule": fallback, "propagator is nil": prop,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say that %s", err, want)
		}
	}
}
