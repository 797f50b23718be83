package conformance

import (
	"reflect"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

const trustDomain = "prod.test"

func newSigningKeys(t *testing.T) *jwtauth.SigningKeys {
	key := must[*jwtauth.SigningKey](t)(jwtauth.GenerateSigningKey(jwtauth.EdDSA))
	return must[*jwtauth.SigningKeys](t)(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key}))
}

func plainFields(t *testing.T) (authctx.Propagator, authctx.Authenticator) {
	return must[*authctx.FieldsPropagator](t)(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})),
		must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()}))
}

func txnTokens(t *testing.T) (authctx.Propagator, authctx.Authenticator) {
	keys := newSigningKeys(t)
	return must[*jwtauth.TxnPropagator](t)(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
			TrustDomain: trustDomain, Workload: "gateway", Keys: keys, Scopes: jwtauth.CallerScopes,
		})),
		must[*jwtauth.TxnAuthenticator](t)(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: trustDomain, Keys: keys}))
}

func deferredTokens(t *testing.T) (authctx.Propagator, authctx.Authenticator) {
	keys := newSigningKeys(t)
	return must[*jwtauth.DeferredPropagator](t)(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
			TrustDomain: trustDomain, Topic: topic, Workload: "gateway", Keys: keys, Scopes: jwtauth.CallerScopes, Lifetime: 12 * time.Hour,
		})),
		must[*jwtauth.DeferredAuthenticator](t)(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
			TrustDomain: trustDomain, Topics: []string{topic}, Keys: keys,
		}))
}

// callers have every attribute between them, and every text that a transport
// could change.
func callers(now time.Time) map[string]authctx.Attributes {
	hostile := []string{"a,b", "100%", "\r\nx-user-roles: admin", "nul\x00", "zoë", " spaces ", "=", `"q"`, "\u2028", "%41"}
	return map[string]authctx.Attributes{
		"with everything": {
			Issuer: "https://idp.test/#1%", Subject: "älice,\r\n x", Provenance: authctx.Verified,
			Name: " Alice ", Email: "a@b.example", Tenant: "acme", ClientID: "web", SessionID: "s", TokenID: "t", ACR: "2",
			AMR: []string{"pwd", "otp"}, Roles: hostile, Permissions: hostile, Scopes: []string{"read", "write"}, Groups: hostile,
			GroupsIncomplete: true, AuthTime: now.Add(-time.Hour), IssuedAt: now.Add(-time.Minute),
			Expires: now.Add(time.Hour), AsOf: now.Add(-time.Second),
			Actors: []authctx.Actor{{Issuer: "https://a.example", Subject: "outer, é"}, {Issuer: "i 2", Subject: "s=2"}},
			Extra:  map[string][]string{"region": {"eu", "us"}, "k =,%é": hostile, "UPPER": {"x"}},
			Claims: `{"password":"never travels"}`,
		},
		"who is a service": {Issuer: "https://idp.test", Subject: "batch", Kind: authctx.Service, Expires: now.Add(time.Minute)},
		"without an end":   {Issuer: "https://idp.test", Subject: "mesh", Roles: []string{"r"}},
	}
}

func TestTheWholeCallerArrives(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	for format, ends := range map[string]func(*testing.T) (authctx.Propagator, authctx.Authenticator){
		"fields": plainFields, "txn": txnTokens, "deferred": deferredTokens,
	} {
		prop, auth := ends(t)
		for _, route := range routes {
			for name, attrs := range callers(now) {
				t.Run(format+"/"+route.name+"/"+name, func(t *testing.T) {
					far := route.open(t, auth)
					p := must[authctx.Principal](t)(authctx.New(attrs))
					err := far.carry(authctx.NewContext(t.Context(), p), prop, nil)
					if format == "deferred" && route.name != "message" {
						if err == nil || far.reached() > 0 {
							t.Error("deferred work was accepted outside of messages")
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					got, _, _ := far.last()
					wantArrived(t, format, p, got, now)
				})
			}
		}
	}
}

// wantArrived compares a caller with what arrived of it. Claims and provenance do
// not travel; a token sets an end to whoever has none, and deferred work has the
// end of its token.
func wantArrived(t *testing.T, format string, sent, arrived authctx.Principal, now time.Time) {
	t.Helper()
	want, got := sent.Attributes(), arrived.Attributes()
	if format == "fields" && (got.Provenance != authctx.Asserted || got.Claims != "") ||
		format != "fields" && got.Provenance != authctx.Signed {
		t.Errorf("provenance %v, claims %s", got.Provenance, got.Claims)
	}
	life := map[string]time.Duration{"txn": jwtauth.DefaultTxnLifetime, "deferred": 12 * time.Hour}[format]
	if format == "deferred" || format == "txn" && want.Expires.IsZero() {
		latest := now.Add(life + time.Minute)
		if format == "deferred" && !want.AsOf.IsZero() && want.Expires.Before(latest) {
			latest = want.Expires // passed on
		}
		if got.Expires.IsZero() || got.Expires.After(latest) {
			t.Errorf("ends at %v, want an end until %v", got.Expires, latest)
		}
		got.Expires, want.Expires = time.Time{}, time.Time{}
	}
	if format == "deferred" && want.AsOf.IsZero() {
		if got.AsOf.Before(now) {
			t.Errorf("known as of %v, want %v", got.AsOf, now)
		}
		got.AsOf = time.Time{}
	}
	want.Claims, want.Provenance, got.Claims, got.Provenance = "", 0, "", 0
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}
