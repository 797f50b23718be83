package authctx_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
)

// errWhoIs is what a Trust says that asks somebody who the peer is and gets no
// answer.
var errWhoIs = &authctx.Error{Reason: authctx.Unavailable, Cause: errors.New("whois: connection refused"), RetryAfter: 7 * time.Second}

// answering returns a Trust that always says the same.
func answering(err error) authctx.Trust {
	return authctx.TrustFunc(func(context.Context, *authctx.Request) error { return err })
}

// identified returns a request in which a peer says who is calling, with more fields.
func identified(more ...string) *authctx.Request {
	fields := map[string][]string{"x-user-id": {"alice"}, "x-user-issuer": {"i"}}
	for _, name := range more {
		fields[name] = []string{"good"}
	}
	return request(fields)
}

func TestRule8_FieldsOfAPeerThatNobodyCanJudgeAreUnavailable(t *testing.T) {
	for name, test := range map[string]struct {
		said error
		want authctx.Reason
	}{
		"nobody can tell":             {authctx.Unavailable, authctx.Unavailable},
		"with a cause":                {errWhoIs, authctx.Unavailable},
		"wrapped":                     {fmt.Errorf("whois: %w", errWhoIs), authctx.Unavailable},
		"beside a no":                 {errors.Join(errors.New("no"), errWhoIs), authctx.Unavailable},
		"an error without its reason": {&authctx.Error{Cause: errors.New("refused")}, authctx.Unavailable},
		"an Error that is nil":        {(*authctx.Error)(nil), authctx.Unavailable},
		"a no":                        {errors.New("no"), authctx.NoCredentials},
		"a no for another reason":     {authctx.InvalidToken, authctx.NoCredentials},
		"a lookup without a reason":   {context.DeadlineExceeded, authctx.NoCredentials},
	} {
		fields := reader(t, authctx.FieldsAuthenticatorConfig{Trust: answering(test.said)})
		_, err := authctx.Authenticate(t.Context(), fields, identified())
		if authctx.ReasonOf(err) != test.want || !strings.Contains(err.Error(), test.said.Error()) {
			t.Errorf("%s: %v", name, err)
		}
		if yes, unknown := presents(t, fields, identified()); yes || unknown != (test.want == authctx.Unavailable) {
			t.Errorf("%s: presents: %v, %v", name, yes, unknown)
		}
		yes, unknown := presents(t, fields, request(nil))
		if _, err := fields.Authenticate(t.Context(), request(nil)); yes || unknown || !errors.Is(err, authctx.NoCredentials) {
			t.Errorf("%s, without fields: %v", name, err)
		}
	}
	for _, said := range []error{errWhoIs, errors.Join(&authctx.Error{Reason: authctx.InvalidToken}, errWhoIs), fmt.Errorf("%w: %w", authctx.Unavailable, errWhoIs)} {
		_, err := reader(t, authctx.FieldsAuthenticatorConfig{Trust: answering(said)}).Authenticate(t.Context(), identified())
		if e, ok := errors.AsType[*authctx.Error](err); !ok || e.RetryAfter != errWhoIs.RetryAfter {
			t.Errorf("when to ask again is lost: %v", err)
		}
	}
}

func TestRule8_NobodyIsAskedInPlaceOfFieldsThatMayCount(t *testing.T) {
	bearer := reads(t, "jwt", authctx.FieldSet{Names: []string{"authorization"}})
	for says, trust := range map[string]authctx.Trust{"unavailable": answering(authctx.Unavailable), "no": answering(errors.New("no"))} {
		fields := reader(t, authctx.FieldsAuthenticatorConfig{Trust: trust})
		for name, auth := range map[string]authctx.Authenticator{
			"first": authctx.OneOf(fields, bearer), "last": authctx.OneOf(bearer, fields),
			"nested": authctx.OneOf(bearer, authctx.OneOf(fields)), "wrapped": authctx.OneOf(withRoles{fields, nil}, bearer),
			"asked by another": authctx.OneOf(delegating{fields}, bearer),
		} {
			// Whether a token beside the fields is the only credential is just as unknown.
			for what, r := range map[string]*authctx.Request{"alone": identified(), "a token beside": identified("authorization")} {
				want := authctx.Unavailable
				if says == "no" {
					want = map[string]authctx.Reason{"alone": authctx.NoCredentials}[what]
				}
				res, err := authctx.Authenticate(t.Context(), auth, r)
				if authctx.ReasonOf(err) != want || res.Principal.IsZero() != (want != 0) {
					t.Errorf("%s, %s, %s: %v, %v", says, name, what, res.Principal, err)
				}
			}
			if res, err := auth.Authenticate(t.Context(), request(map[string][]string{"authorization": {"good"}})); err != nil || res.Principal.Subject() != "jwt" {
				t.Errorf("%s, %s: a token alone: %v", says, name, err)
			}
		}
	}
	certain := authctx.OneOf(bearer, reads(t, "txn", authctx.FieldSet{Names: []string{"txn-token"}}), reader(t, authctx.FieldsAuthenticatorConfig{Trust: answering(authctx.Unavailable)}))
	if _, err := certain.Authenticate(t.Context(), request(map[string][]string{"authorization": {"good"}, "txn-token": {"good"}})); !errors.Is(err, authctx.InvalidRequest) {
		t.Errorf("two kinds for certain: %v", err)
	}
}

// A layout's Nobody is nobody, whether the peer is believed or not.
func TestATrustIsNotAskedAboutASubjectThatStandsForNobody(t *testing.T) {
	k8s := authctx.KubernetesLayout()
	fields := reader(t, authctx.FieldsAuthenticatorConfig{Trust: answering(authctx.Unavailable), Layout: &k8s, Issuer: "i"})
	bearer := reads(t, "jwt", authctx.FieldSet{Names: []string{"authorization"}})
	for user, want := range map[string]authctx.Reason{"system:anonymous": authctx.NoCredentials, "alice": authctx.Unavailable} {
		r := request(map[string][]string{"X-Remote-User": {user}})
		yes, unknown := presents(t, fields, r)
		if _, err := fields.Authenticate(t.Context(), r); !errors.Is(err, want) || yes || unknown != (want == authctx.Unavailable) {
			t.Errorf("%s: %v", user, err)
		}
		beside := request(map[string][]string{"X-Remote-User": {user}, "authorization": {"good"}})
		if _, err := authctx.OneOf(fields, bearer).Authenticate(t.Context(), beside); errors.Is(err, authctx.Unavailable) != (want == authctx.Unavailable) {
			t.Errorf("%s beside a token: %v", user, err)
		}
	}
}

func TestRule8_CombinedTrustsKeepNoAndUnknownApart(t *testing.T) {
	yes, no, unknown := authctx.TrustNetworkAlone(), answering(errors.New("no")), answering(errWhoIs)
	many := append(slices.Repeat([]authctx.Trust{no}, 20), unknown)
	for name, test := range map[string]struct {
		trust authctx.Trust
		want  authctx.Reason // zero for trust, and PermissionDenied for a no
	}{
		"any: unknown, then yes":     {authctx.TrustAnyOf(unknown, yes), 0},
		"any: yes, then unknown":     {authctx.TrustAnyOf(yes, unknown), 0},
		"any: unknown, then no":      {authctx.TrustAnyOf(unknown, no), authctx.Unavailable},
		"any: no, then unknown":      {authctx.TrustAnyOf(no, unknown), authctx.Unavailable},
		"any: unknown, for two":      {authctx.TrustAnyOf(unknown, answering(authctx.Unavailable)), authctx.Unavailable}, // as the first says
		"any: unknown behind many":   {authctx.TrustAnyOf(no, many...), authctx.Unavailable},
		"any: no from all":           {authctx.TrustAnyOf(no, no), authctx.PermissionDenied},
		"all: no, then unknown":      {authctx.TrustAllOf(no, unknown), authctx.PermissionDenied},
		"all: unknown, then no":      {authctx.TrustAllOf(unknown, no), authctx.Unavailable},
		"all: unknown among yes":     {authctx.TrustAllOf(yes, unknown, yes), authctx.Unavailable},
		"any of all":                 {authctx.TrustAnyOf(authctx.TrustAllOf(yes, unknown), no), authctx.Unavailable},
		"all of any, which is a yes": {authctx.TrustAllOf(authctx.TrustAnyOf(unknown, yes), yes), 0},
	} {
		err := test.trust.Trusts(t.Context(), from("127.0.0.1"))
		got := authctx.ReasonOf(err)
		if err != nil && !errors.Is(err, authctx.Unavailable) {
			got = authctx.PermissionDenied
		}
		if got != test.want || got == authctx.Unavailable && !strings.Contains(err.Error(), "whois") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// delegating wraps a Presenter by hand, and gives the error of Presents another reason.
type delegating struct{ *authctx.FieldsAuthenticator }

func (d delegating) Presents(ctx context.Context, r *authctx.Request) (bool, error) {
	yes, err := d.FieldsAuthenticator.Presents(ctx, r)
	if err != nil {
		err = &authctx.Error{Reason: authctx.InvalidToken, Cause: errors.New(err.Error())}
	}
	return yes, err
}

// saying is a Presenter of one's own that asks somebody.
type saying struct {
	authctx.Authenticator
	err error
}

func (s saying) Presents(context.Context, *authctx.Request) (bool, error) { return false, s.err }

func TestRule8_APresenterWhoCannotTellIsUnavailableAndNothingElse(t *testing.T) {
	for name, err := range map[string]error{
		"a reason":                   authctx.Unavailable,
		"another reason":             authctx.NoCredentials,
		"none":                       errors.New("connection refused"),
		"two":                        errors.Join(&authctx.Error{Reason: authctx.NoCredentials}, authctx.Unavailable),
		"two, the other way round":   fmt.Errorf("%w; %w", errWhoIs, authctx.NoCredentials),
		"bad credentials beside":     errors.Join(authctx.InvalidToken, errWhoIs),
		"an Error without a reason":  &authctx.Error{Cause: errors.New("connection refused")},
		"that one beside no request": errors.Join(authctx.NoCredentials, &authctx.Error{}),
	} {
		key := saying{reads(t, "key", authctx.FieldSet{Names: []string{"x-key"}}), err}
		for where, auth := range map[string]authctx.Authenticator{
			"alone": authctx.OneOf(key), "nested": authctx.OneOf(authctx.OneOf(key), reads(t, "jwt", authctx.FieldSet{Names: []string{"authorization"}})),
		} {
			_, got := auth.Authenticate(t.Context(), request(map[string][]string{"x-key": {"good"}}))
			for _, reason := range authctx.Reasons() {
				if errors.Is(got, reason) != (reason == authctx.Unavailable) {
					t.Errorf("%s, %s: %v", name, where, got)
				}
			}
		}
	}
}

type traceKey struct{}

func TestATrustIsAskedInTheContextOfTheRequestAndOnceMoreInEachOneOf(t *testing.T) {
	var asked int
	trust := authctx.TrustFunc(func(ctx context.Context, _ *authctx.Request) error {
		if ctx.Value(traceKey{}) != "trace" {
			t.Error("asked in another context")
		}
		asked++
		return errors.New("no")
	})
	fields := reader(t, authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustAllOf(authctx.TrustAnyOf(trust))})
	bearer := reads(t, "jwt", authctx.FieldSet{Names: []string{"authorization"}})
	ctx := context.WithValue(t.Context(), traceKey{}, "trace")
	for name, test := range map[string]struct {
		auth authctx.Authenticator
		r    *authctx.Request
		want int
	}{
		"alone":           {fields, identified(), 1},
		"first":           {authctx.OneOf(fields, bearer), identified(), 2},
		"last":            {authctx.OneOf(bearer, fields), identified(), 2},
		"nested":          {authctx.OneOf(bearer, authctx.OneOf(bearer, fields)), identified(), 3},
		"a token besides": {authctx.OneOf(bearer, fields), identified("authorization"), 1},
		"no fields":       {authctx.OneOf(bearer, fields), request(nil), 0},
	} {
		asked = 0
		if _, err := test.auth.Authenticate(ctx, test.r); asked != test.want {
			t.Errorf("%s: asked %d times, want %d; %v", name, asked, test.want, err)
		}
	}
}

// A message that could not be judged may be read again; one that was refused may
// not.
func TestRule8_AMessageOfATopicThatNobodyCanJudgeIsUnavailable(t *testing.T) {
	fields := reader(t, authctx.FieldsAuthenticatorConfig{Trust: answering(authctx.Unavailable)})
	headers := map[string]string{"x-user-id": "alice", "x-user-issuer": "i"}
	if _, err := authctx.ExtractHeaders(t.Context(), fields, "orders", headers); !errors.Is(err, authctx.Unavailable) {
		t.Error(err)
	}
}

// presents is what Presents says: true, false, or that nobody can tell.
func presents(t *testing.T, p authctx.Presenter, r *authctx.Request) (yes, unknown bool) {
	t.Helper()
	yes, err := p.Presents(t.Context(), r)
	if err != nil && (yes || !errors.Is(err, authctx.Unavailable)) {
		t.Errorf("presents: %v, %v", yes, err)
	}
	return yes, err != nil
}
