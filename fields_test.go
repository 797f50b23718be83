package authctx_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
)

func at(seconds int64) func() time.Time {
	return func() time.Time { return time.Unix(seconds, 0) }
}

// vectors loads the attack and golden data, and fails when there is none.
func vectors[V any](t testing.TB, file string) []V {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "fields", file))
	if err != nil {
		t.Fatal(err)
	}
	var v []V
	if err := json.Unmarshal(data, &v); err != nil || len(v) == 0 {
		t.Fatalf("%s: %d vectors, %v", file, len(v), err)
	}
	return v
}

func propagator(t testing.TB, cfg authctx.FieldsPropagatorConfig) *authctx.FieldsPropagator {
	t.Helper()
	p, err := authctx.NewFieldsPropagator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func reader(t testing.TB, cfg authctx.FieldsAuthenticatorConfig) *authctx.FieldsAuthenticator {
	t.Helper()
	if cfg.Trust == nil {
		cfg.Trust = authctx.TrustNetworkAlone()
	}
	a, err := authctx.NewFieldsAuthenticator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// write returns what a propagator sets, and fails on a name set twice unless
// the layout repeats fields.
func write(t testing.TB, prop authctx.Propagator, p authctx.Principal) map[string][]string {
	t.Helper()
	fields := map[string][]string{}
	err := prop.Inject(context.Background(), p, func(name, value string) { fields[name] = append(fields[name], value) })
	if err != nil {
		t.Fatalf("Inject: %v", err)
	}
	return fields
}

// travelled is what arrives of a principal: everything but claims, and known by
// assertion.
func travelled(t testing.TB, p authctx.Principal) authctx.Principal {
	a := p.Attributes()
	a.Claims, a.Provenance = "", authctx.Asserted
	return mustNew(t, a)
}

func TestGoldenVectorsOfPlainFields(t *testing.T) {
	type vector struct {
		Comment    string
		Attributes authctx.Attributes
		Fields     map[string]string
	}
	prop, auth := propagator(t, authctx.FieldsPropagatorConfig{Now: at(0)}), reader(t, authctx.FieldsAuthenticatorConfig{Now: at(0)})
	for _, v := range vectors[vector](t, "golden.json") {
		p := mustNew(t, v.Attributes)
		fields := write(t, prop, p)
		if want := lists(v.Fields); !maps.EqualFunc(fields, want, slices.Equal) {
			t.Errorf("%s: wrote %q, want %q", v.Comment, fields, want)
		}
		res, err := auth.Authenticate(context.Background(), request(fields))
		if err != nil || !res.Principal.Equal(p) {
			t.Errorf("%s: read back %+v, %v", v.Comment, res.Principal.Attributes(), err)
		}
	}
}

func lists(m map[string]string) map[string][]string {
	l := map[string][]string{}
	for k, v := range m {
		l[k] = []string{v}
	}
	return l
}

func TestReadingIsLaxOnlyWhereNothingIsLost(t *testing.T) {
	type vector struct {
		Comment    string
		Fields     map[string][]string
		Attributes authctx.Attributes
	}
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Now: at(2000)})
	for _, v := range vectors[vector](t, "read.json") {
		res, err := auth.Authenticate(context.Background(), request(v.Fields))
		if err != nil || !res.Principal.Equal(mustNew(t, v.Attributes)) {
			t.Errorf("%s: %+v, %v", v.Comment, res.Principal.Attributes(), err)
		}
	}
}

func TestFieldsThatCouldBeReadInTwoWaysAreRefused(t *testing.T) {
	type vector struct {
		Comment string
		Fields  map[string][]string
		Reason  string
	}
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Now: at(2000)})
	for _, v := range vectors[vector](t, "refused.json") {
		res, err := authctx.Authenticate(context.Background(), auth, request(v.Fields))
		if got := authctx.ReasonOf(err).String(); err == nil || got != v.Reason || !res.Principal.IsZero() {
			t.Errorf("%s: %v (%v), want %s", v.Comment, got, err, v.Reason)
		}
	}
}

func TestTheWholePrincipalRoundTrips(t *testing.T) {
	p := mustNew(t, full())
	fields := write(t, propagator(t, authctx.FieldsPropagatorConfig{}), p)
	for name, values := range fields {
		if strings.Contains(strings.Join(values, ""), "s3cret") {
			t.Errorf("verified claims travel in %s", name)
		}
		if !authctx.IdentityFields().Owns(name) {
			t.Errorf("%s is not stripped by everybody", name)
		}
	}
	res, err := reader(t, authctx.FieldsAuthenticatorConfig{}).Authenticate(context.Background(), request(fields))
	if err != nil || !res.Principal.Equal(travelled(t, p)) {
		t.Errorf("read back %+v, %v", res.Principal.Attributes(), err)
	}
	if err := res.Principal.DecodeClaims(new(any)); err == nil {
		t.Error("claims arrived")
	}
}

func TestFieldsAreBelievedOnlyUnderTrust(t *testing.T) {
	trust, err := authctx.TrustPeerCIDR("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Trust: trust})
	for peer, want := range map[string]authctx.Reason{"10.1.1.1": 0, "192.0.2.1": authctx.NoCredentials, "": authctx.NoCredentials} {
		r := from(peer)
		r.Fields = authctx.FieldMap(map[string][]string{"x-user-id": {"alice"}, "x-user-issuer": {"i"}, "X-Forwarded-For": {"10.1.1.1"}})
		res, err := auth.Authenticate(context.Background(), r)
		if authctx.ReasonOf(err) != want || res.Principal.IsZero() == (want == 0) {
			t.Errorf("peer %q: %v, %v; want %v", peer, res.Principal, err, want)
		}
		if yes, unknown := presents(t, auth, r); unknown || yes != (want == 0) {
			t.Errorf("peer %q: Presents = %v, %v", peer, yes, unknown)
		}
	}
}

func TestForgedFieldsBesideATokenChangeNothing(t *testing.T) {
	trust, _ := authctx.TrustPeerCIDR("10.0.0.0/8")
	both := authctx.OneOf(
		reads(t, "token", authctx.FieldSet{Names: []string{"authorization"}}),
		reader(t, authctx.FieldsAuthenticatorConfig{Trust: trust}),
	)
	fields := authctx.FieldMap(map[string][]string{"authorization": {"good"}, "x-user-id": {"root"}, "x-user-issuer": {"i"}, "x-user-roles": {"admin"}})
	stranger := from("192.0.2.1")
	stranger.Fields = fields
	if res, err := both.Authenticate(context.Background(), stranger); err != nil || res.Principal.Subject() != "token" || res.Principal.HasRole("admin") {
		t.Errorf("from a stranger: %v, %v", res.Principal, err)
	}
	gateway := from("10.0.0.1")
	gateway.Fields = fields
	if _, err := both.Authenticate(context.Background(), gateway); !errors.Is(err, authctx.InvalidRequest) {
		t.Errorf("two kinds from a trusted peer: %v", err)
	}
}

func TestASignedCallerBesideFieldsIsRefusedWhicheverItIs(t *testing.T) {
	plain := authctx.PlainLayout()
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &plain, Issuer: "i"})
	for name, want := range map[string]authctx.Reason{
		"Txn-Token": authctx.InvalidRequest, "X-User-Deferred": authctx.InvalidRequest, "X-User-Unknown": 0,
	} {
		r := request(map[string][]string{"x-user-id": {"alice"}, name: {"eyJ.e30.x"}})
		if _, err := auth.Authenticate(t.Context(), r); authctx.ReasonOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRule1_FieldsNeedATrustAnIssuerAndTheirNames(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	for name, cfg := range map[string]authctx.FieldsAuthenticatorConfig{
		"Trust":  {},
		"Issuer": {Trust: authctx.TrustNetworkAlone(), Layout: &k8s},
		"Layout": {Trust: authctx.TrustNetworkAlone(), Issuer: "i"},
	} {
		if _, err := authctx.NewFieldsAuthenticator(cfg); err == nil || !strings.Contains(err.Error(), name+" is required") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	_, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &k8s})
	if err == nil || !strings.Contains(err.Error(), "SoleIssuer is required") {
		t.Errorf("a writer without SoleIssuer: %v", err)
	}
}

// It is compared byte by byte, or is part of every caller's name.
func TestRule1_AnIssuerOfFieldsHoldsNothingThatCannotBeSeen(t *testing.T) {
	for _, bad := range []string{"https://i.test\n", " https://i.test", "https://i.test\x00", "\xff", "a\u200b"} {
		_, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone(), Issuer: bad})
		if err == nil || !strings.Contains(err.Error(), "authenticator: Issuer: ") {
			t.Errorf("%q is read: %v", bad, err)
		}
		_, err = authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{SoleIssuer: bad})
		if err == nil || !strings.Contains(err.Error(), "propagator: SoleIssuer: ") {
			t.Errorf("%q is written: %v", bad, err)
		}
	}
}

// What is written counts before what the reader was told: otherwise the callers of
// two issuers would become one.
func TestReaderThatWasToldTheIssuer(t *testing.T) {
	const told, other = "https://gateway.example", "https://other.example"
	plain := authctx.PlainLayout()
	auth := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &plain, Issuer: told})
	for want, fields := range map[string]map[string][]string{
		told: {"x-user-id": {"7"}}, other: {"x-user-id": {"7"}, "x-user-issuer": {other}},
	} {
		res, err := auth.Authenticate(context.Background(), request(fields))
		if err != nil || res.Principal.Issuer() != want {
			t.Errorf("%v: %v, %v", fields, res.Principal, err)
		}
	}
	_, err := auth.Authenticate(t.Context(), request(map[string][]string{"x-user-issuer": {other}}))
	if !errors.Is(err, authctx.InvalidRequest) {
		t.Errorf("an issuer without a subject: %v", err)
	}
}

// A gateway of others passes on what it does not know, x-user-roles among it.
func TestNothingIsReadThatTheGatewayIsNotSaidToWrite(t *testing.T) {
	layout := authctx.FieldLayout{Subject: "x-user-id"}
	res, err := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &layout, Issuer: "i"}).Authenticate(t.Context(), request(map[string][]string{
		"x-user-id": {"mallory"}, "x-user-issuer": {"j"}, "x-user-roles": {"admin"}, "x-user-kind": {"service"}, "x-user-extra": {"a=b"},
	}))
	if err != nil || !res.Principal.Equal(mustNew(t, authctx.Attributes{Issuer: "i", Subject: "mallory"})) {
		t.Errorf("%+v, %v", res.Principal.Attributes(), err)
	}
}

func TestBudgetNamesTheLargestAttributeAndCutsNothing(t *testing.T) {
	a := full()
	a.Groups = slices.Repeat([]string{"a-rather-long-group-name"}, 200)
	p := mustNew(t, a)
	err := propagator(t, authctx.FieldsPropagatorConfig{}).Inject(context.Background(), p, func(string, string) { t.Fatal("something was written") })
	if err == nil || !strings.Contains(err.Error(), "x-user-groups") || !strings.Contains(err.Error(), "4096") {
		t.Errorf("error is %v", err)
	}
	roomy := propagator(t, authctx.FieldsPropagatorConfig{Budget: 16 << 10})
	res, err := reader(t, authctx.FieldsAuthenticatorConfig{}).Authenticate(context.Background(), request(write(t, roomy, p)))
	if err != nil || len(res.Principal.Groups()) != 200 {
		t.Errorf("with a larger budget: %d groups, %v", len(res.Principal.Groups()), err)
	}
}

// Of groups that are written one by one, none is the largest: all together are.
func TestBudgetNamesTheLargestAttributeThatIsRepeated(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	prop := propagator(t, authctx.FieldsPropagatorConfig{Layout: &k8s, SoleIssuer: "i"})
	p := mustNew(t, authctx.Attributes{
		Issuer: "i", Subject: strings.Repeat("s", 500), Groups: slices.Repeat([]string{"a-rather-long-group-name"}, 200),
	})
	err := prop.Inject(t.Context(), p, func(name, _ string) { t.Errorf("%s was written", name) })
	if err == nil || !strings.Contains(err.Error(), "the largest is x-remote-group with 4800") {
		t.Errorf("error is %v", err)
	}
}

func TestABudgetIsWhatReadersTakeAtMost(t *testing.T) {
	const most = 64 << 10
	for _, budget := range []int{-1, most + 1, 1 << 20} {
		if _, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Budget: budget}); err == nil || !strings.Contains(err.Error(), "propagator: Budget ") {
			t.Errorf("a budget of %d: %v", budget, err)
		}
	}
	prop, auth := propagator(t, authctx.FieldsPropagatorConfig{Budget: most}), reader(t, authctx.FieldsAuthenticatorConfig{})
	a := authctx.Attributes{Issuer: "i", Subject: "s", Groups: slices.Repeat([]string{"sixteen-letters-"}, most/17-4)}
	size := 0
	for name, values := range write(t, prop, mustNew(t, a)) {
		size += len(name) + len(values[0])
	}
	a.Name = strings.Repeat("n", most-size-len("x-user-name")) // all of it
	p := mustNew(t, a)
	res, err := auth.Authenticate(t.Context(), request(write(t, prop, p)))
	if err != nil || !res.Principal.Equal(p) {
		t.Errorf("a caller who takes the whole of the largest budget: %v", err)
	}
	a.Name += "n"
	if err := prop.Inject(t.Context(), mustNew(t, a), func(string, string) { t.Fatal("something was written") }); err == nil {
		t.Error("a caller beyond the largest budget is written")
	}
}

func TestNobodyAndTheExpiredAreNotWritten(t *testing.T) {
	prop := propagator(t, authctx.FieldsPropagatorConfig{Now: at(1000)})
	fail := func(string, string) { t.Error("something was written") }
	if err := prop.Inject(context.Background(), authctx.Principal{}, fail); !errors.Is(err, authctx.NoCredentials) {
		t.Errorf("nobody: %v", err)
	}
	expired := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", Expires: time.Unix(1000, 0)})
	if err := prop.Inject(context.Background(), expired, fail); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("expired: %v", err)
	}
}

func TestAReaderIsNotMadeToDecodeWithoutBound(t *testing.T) {
	huge := map[string][]string{"x-user-id": {"s"}, "x-user-issuer": {"i"}, "x-user-groups": {strings.Repeat("%41", 30_000)}}
	if _, err := reader(t, authctx.FieldsAuthenticatorConfig{}).Authenticate(context.Background(), request(huge)); !errors.Is(err, authctx.InvalidRequest) {
		t.Errorf("90 KB of identity: %v", err)
	}
}

func TestEncodedFormIsMadeOncePerCaller(t *testing.T) {
	prop, p := propagator(t, authctx.FieldsPropagatorConfig{}), mustNew(t, full())
	inject := func() {
		if err := prop.Inject(context.Background(), p, func(string, string) {}); err != nil {
			t.Fatal(err)
		}
	}
	inject()
	if n := testing.AllocsPerRun(100, inject); n > 0 {
		t.Errorf("writing a caller again allocates %v times", n)
	}
	first, second := prop, propagator(t, authctx.FieldsPropagatorConfig{SoleIssuer: p.Issuer()})
	if n := testing.AllocsPerRun(100, func() { prop = second; inject(); prop = first; inject() }); n > 0 {
		t.Errorf("two that take turns allocate %v times", n)
	}
	third := propagator(t, authctx.FieldsPropagatorConfig{})
	for _, prop = range []*authctx.FieldsPropagator{third, second, first, third} {
		inject()
	}
	small := propagator(t, authctx.FieldsPropagatorConfig{Budget: 10})
	if err := small.Inject(context.Background(), p, func(string, string) {}); err == nil {
		t.Error("another propagator's encoded form was used")
	}
}

// FuzzFieldsRoundTrip: whatever a principal holds arrives byte for byte, in
// values that every transport carries.
func FuzzFieldsRoundTrip(f *testing.F) {
	f.Add("https://idp.example", "alice", "admin", "k", " a,b=c%d\r\n\x00é ")
	prop, auth := propagator(f, authctx.FieldsPropagatorConfig{Budget: 60_000}), reader(f, authctx.FieldsAuthenticatorConfig{})
	f.Fuzz(func(t *testing.T, issuer, subject, role, key, value string) {
		p, err := authctx.New(authctx.Attributes{
			Issuer: issuer, Subject: subject, Name: value, Roles: []string{role, subject}, Groups: []string{role},
			Actors: []authctx.Actor{{Issuer: issuer, Subject: role}}, Extra: map[string][]string{key: {value, role}},
		})
		if err != nil {
			t.Skip()
		}
		fields := map[string][]string{}
		if err := prop.Inject(context.Background(), p, func(name, v string) { fields[name] = append(fields[name], v) }); err != nil {
			t.Skip()
		}
		for name, values := range fields {
			if strings.ContainsFunc(values[0], func(r rune) bool { return r < ' ' || r > '~' }) || strings.Trim(values[0], " ") != values[0] {
				t.Errorf("%s: %q does not survive every transport", name, values[0])
			}
		}
		res, err := auth.Authenticate(context.Background(), request(fields))
		if err != nil || !res.Principal.Equal(p) {
			t.Errorf("read back %+v, %v; wrote %+v", res.Principal.Attributes(), err, p.Attributes())
		}
	})
}

// FuzzFieldsRead: whatever is believed is written back to the same caller.
func FuzzFieldsRead(f *testing.F) {
	f.Add("alice", "i", "admin, editor", "a b,c d", "k=v,k=w")
	prop, auth := propagator(f, authctx.FieldsPropagatorConfig{Budget: 64 << 10}), reader(f, authctx.FieldsAuthenticatorConfig{})
	f.Fuzz(func(t *testing.T, id, issuer, roles, actor, extra string) {
		if len(id)+len(issuer)+len(roles)+len(actor)+len(extra) > 16<<10 {
			t.Skip() // a byte takes up to three where it is written
		}
		fields := map[string][]string{"x-user-id": {id}, "x-user-issuer": {issuer}, "x-user-roles": {roles}, "x-user-actor": {actor}, "x-user-extra": {extra}}
		res, err := auth.Authenticate(context.Background(), request(fields))
		if err != nil {
			if !res.Principal.IsZero() {
				t.Error("a principal beside an error")
			}
			return
		}
		again, err := auth.Authenticate(context.Background(), request(write(t, prop, res.Principal)))
		if err != nil || !again.Principal.Equal(res.Principal) {
			t.Errorf("%+v came back as %+v, %v", res.Principal.Attributes(), again.Principal.Attributes(), err)
		}
	})
}
