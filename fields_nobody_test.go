package authctx_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/authctx/authctx"
)

// Kubernetes has a user for those who showed no credentials, whom its aggregator
// names like any other.
func TestRule8_ASubjectThatStandsForNobodyIsNoCredentials(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	encoded := authctx.PlainLayout()
	encoded.Nobody = "no, one"
	for _, c := range []struct {
		name   string
		layout *authctx.FieldLayout
		fields map[string][]string
		want   authctx.Reason // 0 for a caller
	}{
		{"as Kubernetes says it", &k8s, map[string][]string{"X-Remote-User": {"system:anonymous"}, "X-Remote-Group": {"system:unauthenticated"}}, authctx.NoCredentials},
		{"with groups of somebody", &k8s, map[string][]string{"X-Remote-User": {"system:anonymous"}, "X-Remote-Group": {"system:masters"}}, authctx.NoCredentials},
		{"beside a signed caller", &k8s, map[string][]string{"X-Remote-User": {"system:anonymous"}, "Txn-Token": {"eyJ.e30.x"}}, authctx.NoCredentials},
		{"beside somebody", &k8s, map[string][]string{"X-Remote-User": {"system:anonymous", "alice"}}, authctx.InvalidRequest},
		{"twice", &k8s, map[string][]string{"X-Remote-User": {"system:anonymous", "system:anonymous"}}, authctx.InvalidRequest},
		{"with a group that is none", &k8s, map[string][]string{"X-Remote-User": {"system:anonymous"}, "X-Remote-Group": {"a\x01"}}, authctx.NoCredentials},
		{"with a space", &k8s, map[string][]string{"X-Remote-User": {"system:anonymous "}}, authctx.InvalidRequest},
		{"in another case", &k8s, map[string][]string{"X-Remote-User": {"System:Anonymous"}}, 0},
		{"as a group", &k8s, map[string][]string{"X-Remote-User": {"alice"}, "X-Remote-Group": {"system:anonymous"}}, 0},
		{"encoded", &encoded, map[string][]string{"x-user-id": {"no%2C one"}}, authctx.NoCredentials},
		{"of an issuer", &encoded, map[string][]string{"x-user-id": {"no%2C%20one"}, "x-user-issuer": {"i2"}}, authctx.NoCredentials},
		{"not encoded", &encoded, map[string][]string{"x-user-id": {"no, one"}}, authctx.InvalidRequest},
	} {
		auth := reader(t, authctx.FieldsAuthenticatorConfig{Layout: c.layout, Issuer: "i"})
		for range 2 { // whether or not it is remembered
			res, err := auth.Authenticate(t.Context(), request(c.fields))
			if authctx.ReasonOf(err) != c.want || res.Principal.IsZero() != (c.want != 0) {
				t.Errorf("%s: %v, %v", c.name, res.Principal, err)
			}
		}
		if yes, unknown := presents(t, auth, request(c.fields)); unknown || yes != (c.want != authctx.NoCredentials) {
			t.Errorf("%s presents credentials: %v", c.name, c.want == authctx.NoCredentials)
		}
	}
}

func TestASubjectThatStandsForNobodyLeavesTheCallerToAnother(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	fields := reader(t, authctx.FieldsAuthenticatorConfig{Layout: &k8s, Issuer: "i"})
	bob := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "bob"})
	key := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x-key"}}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		if len(r.Values("x-key")) == 0 {
			return authctx.Result{}, authctx.NoCredentials
		}
		return authctx.Result{Principal: bob}, nil
	})
	for _, both := range []authctx.Authenticator{authctx.OneOf(fields, key), authctx.OneOf(key, fields)} {
		for user, want := range map[string]authctx.Reason{"system:anonymous": 0, "alice": authctx.InvalidRequest} {
			_, err := authctx.Authenticate(t.Context(), both, request(map[string][]string{"X-Remote-User": {user}, "X-Key": {"k"}}))
			if authctx.ReasonOf(err) != want {
				t.Errorf("%s and a key: %v", user, err)
			}
		}
	}
}

// Whoever has that name at an issuer would arrive as nobody.
func TestASubjectThatStandsForNobodyIsNotWritten(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	prop := propagator(t, authctx.FieldsPropagatorConfig{Layout: &k8s, SoleIssuer: "i"})
	p := mustNew(t, authctx.Attributes{Issuer: "i", Subject: "system:anonymous"})
	for range 2 {
		err := prop.Inject(t.Context(), p, func(name, _ string) { t.Errorf("%s was written", name) })
		if err == nil || errors.Is(err, authctx.NoCredentials) || !strings.Contains(err.Error(), "stands for nobody") {
			t.Error(err)
		}
	}
	if fields := write(t, propagator(t, authctx.FieldsPropagatorConfig{}), p); fields["x-user-id"] == nil {
		t.Errorf("a layout in which it stands for itself writes %q", fields)
	}
}

func TestRule1_ASubjectThatStandsForNobodyIsOneThatIsRead(t *testing.T) {
	for _, bad := range []string{" ", "nobody ", "no\nbody", "\xff", "\u200b"} {
		for _, as := range []bool{true, false} {
			_, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Layout: &authctx.FieldLayout{Subject: "x-u", Nobody: bad, Verbatim: as}, SoleIssuer: "i"})
			if err == nil || !strings.Contains(err.Error(), "Nobody") {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
}
