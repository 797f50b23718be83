package conformance

import (
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// TestRollingOutTokensOfMessages: consumers read both before publishers write
// tokens, and for as long as there are messages with fields.
func TestRollingOutTokensOfMessages(t *testing.T) {
	key := must[*jwtauth.SigningKey](t)(jwtauth.GenerateSigningKey(jwtauth.EdDSA))
	keys := must[*jwtauth.SigningKeys](t)(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key}))
	token := must[*jwtauth.DeferredAuthenticator](t)(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
		TrustDomain: "prod.example", Topics: []string{"orders"}, Keys: keys,
	}))
	fields := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: authctx.TrustNetworkAlone(),
	}))
	reads := map[string]authctx.Authenticator{"fields": fields, "both": authctx.OneOf(token, fields), "token": token}
	writes := map[string]authctx.Propagator{
		"fields": must[*authctx.FieldsPropagator](t)(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})),
		"token": must[*jwtauth.DeferredPropagator](t)(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
			TrustDomain: "prod.example", Topic: "orders", Workload: "shop", Keys: keys, Lifetime: time.Hour,
		})),
	}
	alice := must[authctx.Principal](t)(authctx.New(authctx.Attributes{Issuer: "i", Subject: "alice", Scopes: []string{"s"}}))
	for _, step := range []struct {
		name        string
		write, read []string
		fails       bool
	}{
		{"consumers read both", []string{"fields"}, []string{"fields", "both"}, false},
		{"publishers write tokens", []string{"fields", "token"}, []string{"both"}, false},
		{"consumers read tokens", []string{"token"}, []string{"both", "token"}, false},

		{"a publisher that writes tokens too early", []string{"token"}, []string{"fields"}, true},
		{"a consumer that drops fields too early", []string{"fields"}, []string{"token"}, true},
	} {
		for way := range paths(step.write, step.read) {
			headers := map[string]string{}
			if err := authctx.InjectHeaders(authctx.NewContext(t.Context(), alice), writes[way[0]], headers); err != nil {
				t.Fatal(err)
			}
			ctx, err := authctx.ExtractHeaders(t.Context(), reads[way[1]], "orders", headers)
			p, _ := authctx.FromContext(ctx)
			if ok := err == nil && p.Subject() == "alice"; ok == step.fails {
				t.Errorf("%s: %s: %v, %v", step.name, way, p, err)
			}
		}
	}
}
