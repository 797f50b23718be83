package authctx_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/authctx/authctx"
)

func TestACallerTravelsInMessageHeaders(t *testing.T) {
	prop, auth := propagator(t, authctx.FieldsPropagatorConfig{}), reader(t, authctx.FieldsAuthenticatorConfig{})
	p := mustNew(t, full())
	ctx := authctx.NewContext(context.Background(), p)

	texts := map[string]string{"trace": "1", "X_User_Roles": "root", "Txn-Token": "forged", "x-user-id-bin": "x"}
	bytes := map[string][]byte{"trace": []byte("1"), "X-User-Tenant": []byte("evil")}
	if err := authctx.InjectHeaders(ctx, prop, texts); err != nil {
		t.Fatal(err)
	}
	if err := authctx.InjectHeaders(ctx, prop, bytes); err != nil {
		t.Fatal(err)
	}
	if texts["trace"] != "1" || texts["X_User_Roles"] != "" || texts["Txn-Token"] != "" || bytes["X-User-Tenant"] != nil {
		t.Errorf("headers are %q and %q", texts, bytes)
	}
	for name, extract := range map[string]func() (context.Context, error){
		"strings": func() (context.Context, error) {
			return authctx.ExtractHeaders(context.Background(), auth, "orders", texts)
		},
		"bytes": func() (context.Context, error) {
			return authctx.ExtractHeaders(context.Background(), auth, "orders", bytes)
		},
	} {
		got, err := extract()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if q, ok := authctx.FromContext(got); !ok || !q.Equal(travelled(t, p)) {
			t.Errorf("%s: %+v", name, q.Attributes())
		}
	}
}

// Clients of NATS have headers as net/http has them; other types than those of
// the language are as good.
func TestMessageHeadersMayBeOfAnyClient(t *testing.T) {
	prop, auth := propagator(t, authctx.FieldsPropagatorConfig{}), reader(t, authctx.FieldsAuthenticatorConfig{})
	p := mustNew(t, full())
	type (
		text  string
		octet []byte
		list  []string
	)
	tryHeaders(t, prop, auth, p, map[string][]string{"Trace": {"1", "2"}, "X_User_Roles": {"root", "admin"}, "TXN-TOKEN": {}}, []string{"1", "2"})
	tryHeaders(t, prop, auth, p, http.Header{"Trace": {"1"}, "X-User-Id": {"forged"}}, []string{"1"})
	tryHeaders(t, prop, auth, p, map[string]list{"Trace": {"1"}, "X-User-Id": {"forged"}}, list{"1"})
	tryHeaders(t, prop, auth, p, map[string]octet{"Trace": octet("1"), "X-User-Id": octet("forged")}, octet("1"))
	tryHeaders(t, prop, auth, p, map[string]text{"Trace": "1", "X-User-Id": "forged"}, "1")
}

// tryHeaders sends p in headers that hold a Trace and identity of their own.
func tryHeaders[V ~string | ~[]byte | ~[]string](t *testing.T, prop authctx.Propagator, auth authctx.Authenticator, p authctx.Principal, headers map[string]V, trace V) {
	t.Helper()
	if err := authctx.InjectHeaders(authctx.NewContext(t.Context(), p), prop, headers); err != nil {
		t.Errorf("%T: %v", headers, err)
		return
	}
	ctx, err := authctx.ExtractHeaders(t.Context(), auth, "orders", headers)
	if got, _ := authctx.FromContext(ctx); err != nil || !got.Equal(travelled(t, p)) {
		t.Errorf("%T: %v, %+v", headers, err, got.Attributes())
	}
	if !reflect.DeepEqual(headers["Trace"], trace) {
		t.Errorf("%T: Trace is %v", headers, headers["Trace"])
	}
}

// Which of two somebody meant is not for us to guess.
func TestAMessageHasOneCaller(t *testing.T) {
	auth := reader(t, authctx.FieldsAuthenticatorConfig{})
	for name, headers := range map[string]map[string][]string{
		"a list":        {"x-user-id": {"alice", "mallory"}, "x-user-issuer": {"i"}},
		"two spellings": {"x-user-id": {"alice"}, "X-User-Id": {"mallory"}, "x-user-issuer": {"i"}},
	} {
		if _, err := authctx.ExtractHeaders(t.Context(), auth, "orders", headers); !errors.Is(err, authctx.InvalidRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	headers := map[string][]string{"x-user-id": {"", "alice"}, "x-user-issuer": {"i"}, "x-user-roles": {}, "x-user-tenant": nil}
	if _, err := authctx.ExtractHeaders(t.Context(), auth, "orders", headers); err != nil {
		t.Errorf("empty values: %v", err)
	}
}

// What survives stripping must not be read: Unicode folds a long s to "s" and
// the Kelvin sign to "k".
func TestRule6_NamesThatOnlyUnicodeFoldsAreNotIdentityFields(t *testing.T) {
	p := mustNew(t, authctx.Attributes{Issuer: "https://issuer.example", Subject: "alice"})
	headers := map[string]string{"x-u\u017fer-roles": "admin", "x-u\u017fer-tenant": "evil", "txn-to\u212aen": "forged"}
	if err := authctx.InjectHeaders(authctx.NewContext(t.Context(), p), propagator(t, authctx.FieldsPropagatorConfig{}), headers); err != nil {
		t.Fatal(err)
	}
	ctx, err := authctx.ExtractHeaders(t.Context(), reader(t, authctx.FieldsAuthenticatorConfig{}), "orders", headers)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := authctx.FromContext(ctx); !got.Equal(travelled(t, p)) {
		t.Errorf("read as %+v", got.Attributes())
	}
	forged := authctx.FieldMap(map[string][]string{"txn-to\u212aen": {"forged"}})
	if values := forged.Values(authctx.TxnTokenField); len(values) > 0 {
		t.Errorf("%s = %q", authctx.TxnTokenField, values)
	}
}

func TestAMessageWithoutACallerIsNotAnonymous(t *testing.T) {
	ctx, err := authctx.ExtractHeaders(context.Background(), reader(t, authctx.FieldsAuthenticatorConfig{}), "orders", map[string]string{"trace": "1"})
	if !errors.Is(err, authctx.NoCredentials) {
		t.Error(err)
	}
	if p, ok := authctx.FromContext(ctx); ok {
		t.Errorf("the caller is %v", p)
	}
}

// A worker has a caller of its own before it takes a message.
func TestRule8_AMessageThatIsRefusedLeavesNoCallerOfBefore(t *testing.T) {
	auth := reader(t, authctx.FieldsAuthenticatorConfig{})
	before := authctx.NewContext(t.Context(), mustNew(t, full()))
	for name, headers := range map[string]map[string]string{
		"nobody": {"trace": "1"}, "half a caller": {"x-user-id": "7"},
	} {
		ctx, err := authctx.ExtractHeaders(before, auth, "orders", headers)
		if p, ok := authctx.FromContext(ctx); ok || err == nil {
			t.Errorf("%s: the caller is %v, %v", name, p, err)
		}
	}
}

// Kubernetes repeats a field per group, which a map of strings cannot hold; none is
// lost in silence.
func TestACallerWhoTakesAFieldTwiceDoesNotFitAMessage(t *testing.T) {
	layout := authctx.KubernetesLayout()
	prop := propagator(t, authctx.FieldsPropagatorConfig{Layout: &layout, SoleIssuer: "i"})
	for groups, fits := range map[string]bool{"a": true, "a,b": false} {
		headers := map[string]string{"trace": "1"}
		p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s", Groups: strings.Split(groups, ",")})
		err := authctx.InjectHeaders(authctx.NewContext(t.Context(), p), prop, headers)
		if fits != (err == nil) || fits != (len(headers) > 1) || !fits && !strings.Contains(err.Error(), "x-remote-group") {
			t.Errorf("groups %s: %v, %q", groups, err, headers)
		}
		lists := map[string][]string{"trace": {"1"}}
		err = authctx.InjectHeaders(authctx.NewContext(t.Context(), p), prop, lists)
		if err != nil || strings.Join(lists["x-remote-group"], ",") != groups {
			t.Errorf("groups %s in lists: %v, %q", groups, err, lists)
		}
	}
}

func TestInjectingNobodyStripsAndFails(t *testing.T) {
	headers := map[string]string{"x-user-id": "forged"}
	err := authctx.InjectHeaders(context.Background(), propagator(t, authctx.FieldsPropagatorConfig{}), headers)
	if !errors.Is(err, authctx.NoCredentials) || len(headers) != 0 {
		t.Errorf("%q, %v", headers, err)
	}
	if err := authctx.InjectHeaders(context.Background(), nil, headers); err == nil {
		t.Error("a nil propagator was accepted")
	}
}

// forger writes a caller whoever it is told of.
type forger struct{ *authctx.FieldsPropagator }

func (forger) Inject(_ context.Context, _ authctx.Principal, set func(name, value string)) error {
	set("x-user-id", "somebody")
	return nil
}

func TestNoPropagatorIsAskedToWriteNobody(t *testing.T) {
	headers := map[string]string{}
	err := authctx.InjectHeaders(context.Background(), forger{propagator(t, authctx.FieldsPropagatorConfig{})}, headers)
	if !errors.Is(err, authctx.NoCredentials) || len(headers) != 0 {
		t.Errorf("%q, %v", headers, err)
	}
}

// Nobody would have removed what a propagator does not own.
func TestAMessageGetsOnlyWhatThePropagatorOwns(t *testing.T) {
	ctx := authctx.NewContext(t.Context(), mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s"}))
	headers := map[string]string{"trace": "1"}
	err := authctx.InjectHeaders(ctx, meddler{propagator(t, authctx.FieldsPropagatorConfig{})}, headers)
	if err == nil || !strings.Contains(err.Error(), `"trace"`) || len(headers) != 1 || headers["trace"] != "1" {
		t.Errorf("%v, %q", err, headers)
	}
}

// meddler writes a field that it does not own.
type meddler struct{ *authctx.FieldsPropagator }

func (m meddler) Inject(ctx context.Context, p authctx.Principal, set func(name, value string)) error {
	set("trace", "2")
	return m.FieldsPropagator.Inject(ctx, p, set)
}

func TestAMessageWithoutHeadersTakesNoCaller(t *testing.T) {
	ctx := authctx.NewContext(t.Context(), mustNew(t, authctx.Attributes{Issuer: "i", Subject: "s"}))
	var headers map[string]string
	if err := authctx.InjectHeaders(ctx, propagator(t, authctx.FieldsPropagatorConfig{}), headers); err == nil || err.Error() != "authctx: headers is nil" {
		t.Error(err)
	}
}

func TestMessageAuthenticatorsSeeTheTopic(t *testing.T) {
	var seen authctx.Request
	a := authctx.NewAuthenticator(authctx.FieldSet{}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		seen = *r
		return authctx.Result{}, authctx.NoCredentials
	})
	_, _ = authctx.ExtractHeaders(context.Background(), a, "orders", map[string]string{})
	if seen.Transport != authctx.TransportMessage || seen.Target != "orders" || seen.Peer.IsValid() {
		t.Errorf("%+v", seen)
	}
}
