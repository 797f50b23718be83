package authctx_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
)

// A reader in another language is written by that comment.
func TestTheCommentOfPlainLayoutListsEveryField(t *testing.T) {
	source, err := os.ReadFile("fields.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(source), "\nfunc PlainLayout(")
	var listed []string
	for _, row := range regexp.MustCompile(`(?m)^//\t(.+?) +(?:text|word|list|time|pairs)\b`).FindAllStringSubmatch(comment, -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			listed = append(listed, "x-user-"+name)
		}
	}
	if want := authctx.PlainLayout().Fields().Names; !slices.Equal(slices.Sorted(slices.Values(listed)), slices.Sorted(slices.Values(want))) {
		t.Errorf("it lists %q, want %q", listed, want)
	}
}

func TestLayoutsOfOtherSystems(t *testing.T) {
	k8s, proxy := authctx.KubernetesLayout(), authctx.OAuth2ProxyLayout()
	for _, c := range []struct {
		name       string
		layout     authctx.FieldLayout
		attributes authctx.Attributes
		fields     map[string][]string
	}{
		{"Kubernetes repeats groups and has a field per extra attribute", k8s,
			authctx.Attributes{Issuer: "k", Subject: "system:serviceaccount:ns:jürgen", Groups: []string{"system:authenticated", "a,b", "100%"}, Extra: map[string][]string{"scopes": {"a", "b"}, "example.org/Team": {"x y"}}},
			map[string][]string{"x-remote-user": {"system:serviceaccount:ns:jürgen"}, "x-remote-group": {"system:authenticated", "a,b", "100%"},
				"x-remote-extra-scopes": {"a", "b"}, "x-remote-extra-example%2Eorg%2F%54eam": {"x y"}}},
		{"oauth2-proxy separates groups by comma", proxy,
			authctx.Attributes{Issuer: "k", Subject: "u1", Name: "zoë", Email: "a@example.com", Groups: []string{"käse", "y z"}},
			map[string][]string{"x-forwarded-user": {"u1"}, "x-forwarded-preferred-username": {"zoë"}, "x-forwarded-email": {"a@example.com"}, "x-forwarded-groups": {"käse,y z"}}},
	} {
		p := mustNew(t, c.attributes)
		fields := write(t, propagator(t, authctx.FieldsPropagatorConfig{Layout: &c.layout, SoleIssuer: "k"}), p)
		if !maps.EqualFunc(fields, c.fields, slices.Equal) {
			t.Errorf("%s: wrote %q", c.name, fields)
		}
		res, err := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &c.layout, Issuer: "k"}).Authenticate(context.Background(), request(fields))
		if err != nil || !res.Principal.Equal(p) {
			t.Errorf("%s: read back %+v, %v", c.name, res.Principal.Attributes(), err)
		}
	}
}

// Every request has fields whose names are longer than the prefix.
func TestAPrefixOfExtraAttributesReadsNoOtherField(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &k8s, Issuer: "k"})
	others := map[string][]string{
		"X-Forwarded-Proto-Original": {"https"}, "Access-Control-Request-Headers": {"a"}, "X-Remote-Extra-": {"nameless"},
		"X-Remote-Extr-a-scopes": {"b"}, "XX-Remote-Extra-scopes": {"c"},
	}
	yes, unknown := presents(t, auth, request(others))
	if _, err := auth.Authenticate(t.Context(), request(others)); yes || unknown || !errors.Is(err, authctx.NoCredentials) {
		t.Errorf("without a caller: %v", err)
	}
	others["X-Remote-User"], others["x-remote-EXTRA-scopes"] = []string{"alice"}, []string{"a"}
	res, err := auth.Authenticate(t.Context(), request(others))
	if extra := res.Principal.Attributes().Extra; err != nil || len(extra) != 1 || !slices.Equal(extra["scopes"], []string{"a"}) {
		t.Errorf("%q, %v", extra, err)
	}
}

// Clients choose how many fields there are besides.
func TestFieldsOfOthersCostAPrefixNothing(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &k8s, Issuer: "k"})
	few := map[string][]string{"x-remote-user": {"alice"}, "x-remote-extra-a": {"b"}}
	many := maps.Clone(few)
	for i := range 100 {
		many[fmt.Sprint("X-Other-Field-", i)] = []string{"x"}
	}
	allocs := func(fields map[string][]string) float64 {
		r := request(fields)
		return testing.AllocsPerRun(20, func() { _, _ = auth.Authenticate(context.Background(), r) })
	}
	if few, many := allocs(few), allocs(many); many > few+8 { // of the list of names, which grows
		t.Errorf("%v allocations, and %v with a hundred fields of others", few, many)
	}
}

func TestLayoutWithoutEncodingRefusesWhatItWouldChange(t *testing.T) {
	proxy := authctx.OAuth2ProxyLayout()
	prop := propagator(t, authctx.FieldsPropagatorConfig{Layout: &proxy, SoleIssuer: "i"})
	for _, c := range []struct {
		name string
		a    authctx.Attributes
	}{
		{"x-forwarded-user", authctx.Attributes{Subject: "a\nb"}},
		{"x-forwarded-user", authctx.Attributes{Subject: "a\tb"}},
		{"x-forwarded-user", authctx.Attributes{Subject: "jürgen\x7f"}},
		{"x-forwarded-email", authctx.Attributes{Subject: "a", Email: " a"}},
		{"x-forwarded-preferred-username", authctx.Attributes{Subject: "a", Name: "zoë\t"}},
		{"x-forwarded-groups", authctx.Attributes{Subject: "a", Groups: []string{"a", "b,c"}}},
		{"x-forwarded-groups", authctx.Attributes{Subject: "a", Groups: []string{"a", " b"}}},
		{"x-forwarded-groups", authctx.Attributes{Subject: "a", Groups: []string{"a\t", "b"}}},
		{"x-forwarded-groups", authctx.Attributes{Subject: "a", Groups: []string{"a", "b\x00"}}},
	} {
		c.a.Issuer = "i"
		err := prop.Inject(context.Background(), mustNew(t, c.a), func(string, string) { t.Error("something was written") })
		if err == nil || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestALayoutRefusesWhatItNeverWrites(t *testing.T) {
	proxy := authctx.OAuth2ProxyLayout()
	repeated := authctx.FieldLayout{Subject: "x-u", Groups: "x-g", Repeat: true, ExtraPrefix: "x-e-"}
	readers := map[string]*authctx.FieldsAuthenticator{
		"as it is": reader(t, authctx.FieldsAuthenticatorConfig{Layout: &proxy, Issuer: "i"}),
		"encoded":  reader(t, authctx.FieldsAuthenticatorConfig{Layout: &repeated, Issuer: "i"}),
	}
	for _, c := range []struct {
		layout, subject, name string
		values                []string
		good                  bool
	}{
		{"as it is", "x-forwarded-user", "x-forwarded-groups", []string{"a,b\u00fc"}, true},
		{"as it is", "x-forwarded-user", "x-forwarded-groups", []string{"a,b\x01"}, false},
		{"as it is", "x-forwarded-user", "x-forwarded-groups", []string{"a,b\xff"}, false},
		{"as it is", "x-forwarded-user", "x-forwarded-email", []string{"b\xff"}, false},
		{"encoded", "x-u", "x-g", []string{"a", "b%20c"}, true},
		{"encoded", "x-u", "x-g", []string{"a", "b%2"}, false},
		{"encoded", "x-u", "x-e-region", []string{"eu"}, true},
		{"encoded", "x-u", "x-e-region", []string{"eu%ff"}, false},
	} {
		res, err := readers[c.layout].Authenticate(context.Background(), request(map[string][]string{c.subject: {"alice"}, c.name: c.values}))
		if c.good != (err == nil) || !c.good && (!errors.Is(err, authctx.InvalidRequest) || !res.Principal.IsZero()) {
			t.Errorf("%s %q: %+v, %v", c.name, c.values, res.Principal.Attributes(), err)
		}
	}
}

// RFC 9113 section 8.2.1: HTTP/1 takes space at the ends of a value away, HTTP/2 and
// gRPC may leave it. Where a value stands for itself, it would be another caller's.
func TestRFC9113_Section8_2_1_AValueThatStandsForItselfHasNoSpaceAtAnEnd(t *testing.T) {
	k8s, proxy := authctx.KubernetesLayout(), authctx.OAuth2ProxyLayout()
	dated := authctx.FieldLayout{Subject: "x-u", Expires: "x-e", Verbatim: true}
	for _, c := range []struct {
		layout *authctx.FieldLayout
		name   string
		values []string
		good   bool
	}{
		{&k8s, "x-remote-user", []string{"alice "}, false},
		{&k8s, "x-remote-user", []string{"\talice"}, false},
		{&k8s, "x-remote-user", []string{" "}, false},
		{&k8s, "x-remote-group", []string{"dev", "admin "}, false},
		{&k8s, "x-remote-group", []string{"head of sales"}, true},
		{&k8s, "x-remote-extra-scopes", []string{" a"}, false},
		{&proxy, "x-forwarded-email", []string{"a@example.com\t"}, false},
		{&proxy, "x-forwarded-groups", []string{"a, b ,c"}, true},
		{&proxy, "x-forwarded-groups", []string{"a,b "}, false},
		{&proxy, "x-forwarded-groups", []string{" a,b"}, false},
		{&dated, "x-e", []string{"4000000000 "}, false},
		{&dated, "x-e", []string{"4000000000"}, true},
	} {
		fields := map[string][]string{c.layout.Subject: {"alice"}}
		fields[c.name] = c.values
		res, err := reader(t, authctx.FieldsAuthenticatorConfig{Layout: c.layout, Issuer: "i"}).Authenticate(t.Context(), request(fields))
		if c.good != (err == nil) || !c.good && (!errors.Is(err, authctx.InvalidRequest) || !res.Principal.IsZero()) {
			t.Errorf("%s %q: %+v, %v", c.name, c.values, res.Principal.Attributes(), err)
		}
	}
}

// A service that acts for alice must not arrive as alice herself.
func TestALayoutNeverWritesACallerAsSomebodyElse(t *testing.T) {
	k8s, proxy := authctx.KubernetesLayout(), authctx.OAuth2ProxyLayout()
	for _, layout := range []*authctx.FieldLayout{&k8s, &proxy} {
		prop := propagator(t, authctx.FieldsPropagatorConfig{Layout: layout, SoleIssuer: "i"})
		for attribute, a := range map[string]authctx.Attributes{
			"Kind":   {Kind: authctx.Service},
			"Actors": {Actors: []authctx.Actor{{Issuer: "i", Subject: "batch"}}},
		} {
			a.Issuer, a.Subject = "i", "alice"
			err := prop.Inject(t.Context(), mustNew(t, a), func(name, _ string) { t.Errorf("%s was written", name) })
			if err == nil || !strings.Contains(err.Error(), attribute) {
				t.Errorf("%s: %v", attribute, err)
			}
		}
		user := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "alice", Tenant: "t", Expires: at(4_000_000_000)()})
		if fields := write(t, prop, user); len(fields) != 1 {
			t.Errorf("an ordinary user is written as %q", fields)
		}
	}
}

// What was known of alice days ago must not arrive as what is known now.
func TestALayoutNeverWritesACallerOfEarlierAsOneOfNow(t *testing.T) {
	k8s, proxy := authctx.KubernetesLayout(), authctx.OAuth2ProxyLayout()
	stale := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "alice", AsOf: at(1_000_000)(), Expires: at(4_000_000_000)()})
	for _, layout := range []*authctx.FieldLayout{&k8s, &proxy} {
		prop := propagator(t, authctx.FieldsPropagatorConfig{Layout: layout, SoleIssuer: "i"})
		err := prop.Inject(t.Context(), stale, func(name, _ string) { t.Errorf("%s was written", name) })
		if err == nil || !strings.Contains(err.Error(), "AsOf") {
			t.Errorf("by a layout without AsOf: %v", err)
		}
		layout.AsOf = "x-as-of"
		prop = propagator(t, authctx.FieldsPropagatorConfig{Layout: layout, SoleIssuer: "i"})
		auth := reader(t, authctx.FieldsAuthenticatorConfig{Layout: layout, Issuer: "i"})
		res, err := auth.Authenticate(t.Context(), request(write(t, prop, stale)))
		if p := res.Principal; err != nil || !p.AsOf().Equal(stale.AsOf()) {
			t.Errorf("by one with it: as of %v, %v", p.AsOf(), err)
		}
	}
}

func TestHalfAnIdentityIsRefusedWhateverItsFields(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &k8s, Issuer: "k"})
	for name, want := range map[string]error{
		"X-Remote-Group": authctx.InvalidRequest, "X-Remote-Extra-Scopes": authctx.InvalidRequest,
		"X-Remote-Extra-": authctx.NoCredentials, "X-Remote-Uid": authctx.NoCredentials,
	} {
		r := request(map[string][]string{name: {"admin"}})
		yes, unknown := presents(t, auth, r)
		if _, err := auth.Authenticate(t.Context(), r); !errors.Is(err, want) || unknown || yes != (want == authctx.InvalidRequest) {
			t.Errorf("%s alone: %v", name, err)
		}
	}
	for name, r := range map[string]*authctx.Request{"an empty field": request(map[string][]string{"X-Remote-Extra-Scopes": {""}}), "no fields": {}} {
		if _, err := auth.Authenticate(t.Context(), r); !errors.Is(err, authctx.NoCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesThatDifferInCaseAreReadOnce(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &k8s, Issuer: "k"})
	for name, c := range map[string]struct {
		fields map[string][]string
		want   map[string][]string // values sorted
	}{
		"one spelling":         {map[string][]string{"X-Remote-Extra-A": {"1", "1"}}, map[string][]string{"a": {"1", "1"}}},
		"two spellings":        {map[string][]string{"x-remote-extra-a": {"1"}, "X-Remote-Extra-A": {"2"}}, map[string][]string{"a": {"1", "2"}}},
		"digits of two cases":  {map[string][]string{"x-remote-extra-%4b": {"1"}, "x-remote-extra-%4B": {"2"}}, map[string][]string{"K": {"1", "2"}}},
		"an encoded letter":    {map[string][]string{"x-remote-extra-a": {"1"}, "x-remote-extra-%61": {"2"}}, map[string][]string{"a": {"1", "2"}}},
		"letters beyond ASCII": {map[string][]string{"x-remote-extra-ä": {"1"}, "x-remote-extra-Ä": {"2"}}, map[string][]string{"ä": {"1"}, "Ä": {"2"}}},
		"the Kelvin sign":      {map[string][]string{"x-remote-extra-\u212a": {"1"}, "x-remote-extra-K": {"2"}}, map[string][]string{"\u212a": {"1"}, "k": {"2"}}},
	} {
		c.fields["x-remote-user"] = []string{"u"}
		res, err := auth.Authenticate(t.Context(), request(c.fields))
		got := res.Principal.Attributes().Extra
		for _, values := range got {
			slices.Sort(values) // a map has no order
		}
		if err != nil || !maps.EqualFunc(got, c.want, slices.Equal) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	bad := request(map[string][]string{"x-remote-user": {"u"}, "x-remote-extra-\xff": {"1"}})
	if _, err := auth.Authenticate(t.Context(), bad); !errors.Is(err, authctx.InvalidRequest) {
		t.Errorf("a name that is no text: %v", err)
	}
	if got := authctx.FieldMap(map[string][]string{"x-Ä": {"1"}, "x-ä": {"2"}}).Values("X-ä"); !slices.Equal(got, []string{"2"}) {
		t.Errorf("letters beyond ASCII are folded: %q", got)
	}
}

func TestALayoutTakesNoFieldOfTheProtocol(t *testing.T) {
	for _, name := range []string{"connection", "host", "authorization", "txn-token", "content-length", "content-type", "te",
		"transfer-encoding", "cookie", ":path", "upgrade", "sec-websocket-protocol", "dpop", "dpop-nonce", "client-cert",
		"client-cert-chain", "user-agent", "expect", "date", "via", "accept", "range", "location", "origin", "http2-settings",
		"sec-websocket-version", "sec-websocket-accept", "sec-websocket-extensions", "if-none-match", "access-control-request-method"} {
		for which, layout := range map[string]authctx.FieldLayout{
			"Subject": {Subject: name}, "Also": {Subject: "x-u", Also: []string{name}}, "OwnPrefix": {Subject: "x-u", OwnPrefix: name[:2]},
		} {
			if _, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &layout, SoleIssuer: "i"}); err == nil {
				t.Errorf("%s %q was accepted", which, name)
			}
		}
	}
}

// Ours take the field of deferred work too, so that it is stripped, but give it no
// meaning.
func TestALayoutDoesNotUseTheFieldOfDeferredWork(t *testing.T) {
	for name, layout := range map[string]authctx.FieldLayout{
		"Subject": {Subject: "x-user-deferred"}, "Also": {Subject: "x-u", Also: []string{"x-user-deferred"}}, "ExtraPrefix": {Subject: "x-u", ExtraPrefix: "x-user-d"},
	} {
		if _, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &layout, SoleIssuer: "i"}); err == nil || !strings.Contains(err.Error(), "x-user-deferred") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOneLayoutSaysWhatIsWrittenReadAndStripped(t *testing.T) {
	plain, k8s, proxy := authctx.PlainLayout(), authctx.KubernetesLayout(), authctx.OAuth2ProxyLayout()
	for _, c := range []struct {
		layout *authctx.FieldLayout
		owned  []string
		free   []string
	}{
		{&plain, []string{"x-user-id", "X_User_Anything"}, []string{"x-remote-user"}},
		{&k8s, []string{"X-Remote-User", "x_remote_extra_foo", "X-Remote-Uid"}, []string{"x-user-id", "x-remote"}},
		{&proxy, []string{"X-Forwarded-User", "x_forwarded_access_token"}, []string{"x-forwarded-for", "x-forwarded-proto"}},
	} {
		prop, auth := propagator(t, authctx.FieldsPropagatorConfig{Layout: c.layout, SoleIssuer: "i"}), reader(t, authctx.FieldsAuthenticatorConfig{Layout: c.layout, Issuer: "i"})
		for _, set := range []authctx.FieldSet{prop.Fields(), auth.Fields()} {
			for _, name := range c.owned {
				if !set.Owns(name) {
					t.Errorf("%s is not stripped", name)
				}
			}
			for _, name := range c.free {
				if set.Owns(name) {
					t.Errorf("%s is stripped", name)
				}
			}
		}
	}
}

// What a caller lent is not looked at again.
func TestRule12_ALayoutThatIsLentIsCopied(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &k8s, Issuer: "i"})
	res, err := auth.Authenticate(t.Context(), request(map[string][]string{"x-remote-user": {"u"}}))
	if err != nil || res.Known == nil || !res.Known.Owns("x-remote-uid") {
		t.Fatalf("%v, %v", res.Known, err)
	}
	k8s.Also[0], k8s.Subject = "x-remote-other", "x-remote-name"
	res, err = auth.Authenticate(t.Context(), request(map[string][]string{"x-remote-user": {"u"}}))
	if err != nil || !res.Known.Owns("x-remote-uid") || res.Known.Owns("x-remote-other") {
		t.Errorf("after the layout was changed: %v, %v", res.Known, err)
	}
}

// Traefik configured one spelling of a name and read another.
func TestCVE_2026_33433_LayoutNamesHaveOneSpelling(t *testing.T) {
	for _, name := range []string{"X-Auth-User", "x_auth_user", "x.auth.user", "x auth", "grpc-user", "user-bin", "", "ü"} {
		layout := authctx.FieldLayout{Subject: name}
		if _, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &layout, SoleIssuer: "i"}); err == nil {
			t.Errorf("%q was accepted as a field name", name)
		}
	}
	layout := authctx.FieldLayout{Subject: "x-auth-user"}
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &layout, Issuer: "i"})
	twice := request(map[string][]string{"x-auth-user": {"alice"}, "X-Auth-User": {"evil"}})
	if _, err := auth.Authenticate(context.Background(), twice); !errors.Is(err, authctx.InvalidRequest) {
		t.Errorf("two spellings of one name: %v", err)
	}
}

func TestLayoutReportsEverythingThatIsWrong(t *testing.T) {
	layout := authctx.FieldLayout{Issuer: "x-a", Name: "x-a", Extra: "x-extra", ExtraPrefix: "x-e-", Groups: "x-e-groups", OwnPrefix: "Bad"}
	_, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &layout, Budget: -1})
	for _, part := range []string{"Subject is required", `"x-a" is used twice`, "exclude each other", `"x-e-groups"`, `"Bad"`, "Budget"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error does not say %s:\n%v", part, err)
		}
	}
}

func TestAFieldWithAnUnderscoreIsToldWhatToDo(t *testing.T) {
	for _, layout := range []authctx.FieldLayout{{Subject: "OIDC_CLAIM_sub"}, {Subject: "x-sub", ExtraPrefix: "oidc_claim_"}} {
		_, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Layout: &layout, Issuer: "k", Trust: authctx.TrustNetworkAlone()})
		if err == nil || !strings.Contains(err.Error(), "OIDCClaimPrefix") {
			t.Errorf("%v", err)
		}
	}
}

// Where fields have no room for the issuer, two issuers' callers of one name
// must not become one.
func TestAWriterThatWasToldTheIssuerWritesNoOther(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	for _, layout := range []*authctx.FieldLayout{nil, &k8s} {
		prop := propagator(t, authctx.FieldsPropagatorConfig{Layout: layout, SoleIssuer: "https://idp.example"})
		ours := mustNew(t, authctx.Attributes{Issuer: "https://idp.example", Subject: "7"})
		if fields := write(t, prop, ours); len(fields) == 0 {
			t.Error("nothing was written")
		}
		theirs := mustNew(t, authctx.Attributes{Issuer: "https://partner.example", Subject: "7"})
		err := prop.Inject(t.Context(), theirs, func(name, _ string) { t.Errorf("%s was written", name) })
		if !errors.Is(err, authctx.PermissionDenied) {
			t.Errorf("another issuer's caller: %v", err)
		}
	}
}

// FuzzWritingWithoutEncoding: a layout without encoding writes those callers
// whom it reads back from values that stand for themselves, and no others.
func FuzzWritingWithoutEncoding(f *testing.F) {
	f.Add("jürgen", "admin")
	f.Add(" a", "a,b")
	f.Add("a\u0085", "\u00a0\u2028")
	type pair struct {
		repeat bool
		prop   authctx.Propagator
		auth   authctx.Authenticator
	}
	var pairs []pair
	for _, repeat := range []bool{false, true} {
		layout := authctx.FieldLayout{Subject: "x-u", Groups: "x-g", Verbatim: true, Repeat: repeat}
		pairs = append(pairs, pair{repeat,
			propagator(f, authctx.FieldsPropagatorConfig{Layout: &layout, SoleIssuer: "i"}), reader(f, authctx.FieldsAuthenticatorConfig{Layout: &layout, Issuer: "i"})})
	}
	f.Fuzz(func(t *testing.T, text, element string) {
		p, err := authctx.New(authctx.Attributes{Issuer: "i", Subject: text, Groups: []string{"first", element}})
		if err != nil || len(text)+len(element) > 1000 {
			t.Skip()
		}
		for _, by := range pairs {
			plain := map[string][]string{"x-u": {text}, "x-g": {"first", element}}
			if !by.repeat {
				plain["x-g"] = []string{"first," + element}
			}
			res, err := by.auth.Authenticate(t.Context(), request(plain))
			readBack := err == nil && res.Principal.Equal(p)
			fields := map[string][]string{}
			err = by.prop.Inject(t.Context(), p, func(name, v string) { fields[name] = append(fields[name], v) })
			if written := err == nil; written != readBack || written && !maps.EqualFunc(fields, plain, slices.Equal) {
				t.Errorf("%q is read back: %v; written as %q, %v", plain, readBack, fields, err)
			}
		}
	})
}
