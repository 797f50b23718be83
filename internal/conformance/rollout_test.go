package conformance

import (
	"context"
	"net/netip"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// TestRollingOutTransactionTokens: the order of the README lets no call fail,
// whichever old and new replicas run side by side: of the gateway, of orders
// behind it, and of users behind orders.
func TestRollingOutTransactionTokens(t *testing.T) {
	r := newRollout(t)
	only := func(names ...string) []string { return names }
	for _, step := range []struct {
		name                                          string
		gateway, ordersReads, ordersWrites, usersRead []string
		fails                                         bool
	}{
		{"services read both", only("fields"), only("fields", "both"), only("fields"), only("fields", "both"), false},
		{"the gateway signs", only("fields", "token"), only("both"), only("fields"), only("both"), false},
		{"services forward", only("token"), only("both"), only("fields", "forward"), only("both"), false},
		{"services read tokens", only("token"), only("both", "token"), only("forward"), only("both", "token"), false},

		{"a gateway that signs too early", only("token"), only("fields"), only("fields"), only("both"), true},
		{"a service that forwards too early", only("fields"), only("both"), only("forward"), only("both"), true},
		{"a service that drops fields too early", only("token"), only("both"), only("fields"), only("token"), true},
	} {
		for _, gateway := range step.gateway {
			for _, ordersReads := range step.ordersReads {
				for _, ordersWrites := range step.ordersWrites {
					for _, usersRead := range step.usersRead {
						ctx, err := r.hop(authctx.NewContext(t.Context(), r.alice), gateway, ordersReads)
						if err == nil {
							ctx, err = r.hop(ctx, ordersWrites, usersRead)
						}
						p, _ := authctx.FromContext(ctx)
						if ok := err == nil && p.Subject() == "alice" && p.HasRole("editor"); ok == step.fails {
							t.Errorf("%s: %s, %s, %s, %s: %v, %v", step.name, gateway, ordersReads, ordersWrites, usersRead, p, err)
						}
					}
				}
			}
		}
	}
}

// rollout has everything that writes and reads callers while it lasts.
type rollout struct {
	alice  authctx.Principal
	writes map[string]authctx.Propagator
	reads  map[string]authctx.Authenticator
}

func newRollout(t *testing.T) *rollout {
	keys := must[*jwtauth.SigningKeys](t)(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: must[*jwtauth.SigningKey](t)(jwtauth.GenerateSigningKey(jwtauth.EdDSA)),
	}))
	fields := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: must[authctx.Trust](t)(authctx.TrustPeerCIDR("127.0.0.0/8")),
	}))
	token := must[*jwtauth.TxnAuthenticator](t)(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{
		TrustDomain: "prod.example", Keys: keys,
	}))
	return &rollout{
		alice: must[authctx.Principal](t)(authctx.New(authctx.Attributes{
			Issuer: "https://idp.example", Subject: "alice", Roles: []string{"editor"}, Scopes: []string{"orders.read"},
		})),
		writes: map[string]authctx.Propagator{
			"fields": must[*authctx.FieldsPropagator](t)(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})),
			"token": must[*jwtauth.TxnPropagator](t)(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
				TrustDomain: "prod.example", Workload: "spiffe://prod.example/gateway", Keys: keys,
			})),
			"forward": jwtauth.TxnForwarder{},
		},
		reads: map[string]authctx.Authenticator{"fields": fields, "both": authctx.OneOf(token, fields), "token": token},
	}
}

// hop makes a call for the caller of ctx and returns the context of whoever
// takes it.
func (r *rollout) hop(ctx context.Context, writes, reads string) (context.Context, error) {
	fields := map[string][]string{}
	p, _ := authctx.FromContext(ctx)
	if err := r.writes[writes].Inject(ctx, p, func(name, value string) { fields[name] = []string{value} }); err != nil {
		return context.Background(), err
	}
	res, err := authctx.Authenticate(context.Background(), r.reads[reads], &authctx.Request{
		Transport: "http", Peer: netip.MustParseAddrPort("127.0.0.1:4711"), Fields: authctx.FieldMap(fields),
	})
	return res.NewContext(context.Background()), err
}
