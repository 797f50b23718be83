package conformance

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// TestRollingOutTransactionTokens: the order of the README lets no call fail,
// whichever old and new replicas run side by side: of the gateway, of shop behind
// it, of orders behind shop, and of users behind orders.
func TestRollingOutTransactionTokens(t *testing.T) {
	r := newRollout(t)
	only := func(names ...string) []string { return names }
	for _, step := range []struct {
		name                        string
		gateway, read, shop, orders []string // read is what all services do
		fails                       bool
	}{
		{"services read both", only("fields"), only("fields", "both"), only("fields"), only("fields"), false},
		{"the gateway signs", only("fields", "token"), only("both"), only("fields"), only("fields"), false},
		{"who is called by the gateway forwards", only("token"), only("both"), only("fields", "forward"), only("fields"), false},
		{"and who is called by those", only("token"), only("both"), only("forward"), only("fields", "forward"), false},
		{"services read tokens", only("token"), only("both", "token"), only("forward"), only("forward"), false},

		{"in circles, forward what there is", only("token"), only("both"), only("fields", "either"), only("fields", "either"), false},
		{"in circles, forward then", only("token"), only("both"), only("either", "forward"), only("either", "forward"), false},

		{"a gateway that signs too early", only("token"), only("fields"), only("fields"), only("fields"), true},
		{"a service that forwards too early", only("fields"), only("both"), only("forward"), only("fields"), true},
		{"a service that forwards before who calls it", only("token"), only("both"), only("fields"), only("forward"), true},
		{"a service that drops fields too early", only("token"), only("token"), only("forward"), only("fields"), true},
	} {
		for path := range paths(step.gateway, step.read, step.shop, step.read, step.orders, step.read) {
			p, err := r.walk(authctx.NewContext(t.Context(), r.alice), path)
			if ok := err == nil && p.Subject() == "alice" && p.HasRole("editor"); ok == step.fails {
				t.Errorf("%s: %s: %v, %v", step.name, path, p, err)
			}
		}
	}
}

// TestRollingOutTheKeysOfAGateway: services may ask any replica for keys, so they
// begin when all replicas publish those of all.
func TestRollingOutTheKeysOfAGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRollout(t)
		for name, step := range map[string]struct {
			asked http.Handler
			ready bool
		}{
			"a replica that does not publish": {http.NotFoundHandler(), false},
			"one replica that publishes":      {r.keys.JWKSHandler(), true},
			"another":                         {r.others.JWKSHandler(), true},
		} {
			keys := must[*jwtauth.RemoteKeys](t)(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{
				JWKSURL: "https://gateway.example/jwks.json", Transport: answers{step.asked},
			}))
			defer keys.Close()
			if err := keys.Ready(t.Context()); (err == nil) != step.ready {
				t.Errorf("%s: ready: %v", name, err)
			}
			r.read(t, keys)
			for writes, ok := range map[string]bool{"fields": true, "token": step.ready, "other token": step.ready} {
				p, err := r.walk(authctx.NewContext(t.Context(), r.alice), []string{writes, "both"})
				if (err == nil && p.Subject() == "alice") != ok {
					t.Errorf("%s: a request with %s: %v, %v", name, writes, p, err)
				}
			}
		}
	})
}

// rollout has everything that writes and reads callers while it lasts.
type rollout struct {
	alice        authctx.Principal
	keys, others *jwtauth.SigningKeys // of two replicas of the gateway
	writes       map[string]authctx.Propagator
	reads        map[string]authctx.Authenticator
}

func newRollout(t *testing.T) *rollout {
	one := must[*jwtauth.SigningKey](t)(jwtauth.GenerateSigningKey(jwtauth.EdDSA))
	other := must[*jwtauth.SigningKey](t)(jwtauth.GenerateSigningKey(jwtauth.EdDSA))
	signing := func(own, other *jwtauth.SigningKey) *jwtauth.SigningKeys {
		return must[*jwtauth.SigningKeys](t)(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
			Current: own, Published: []*jwtauth.Key{other.VerificationKey()},
		}))
	}
	r := &rollout{keys: signing(one, other), others: signing(other, one)}
	r.alice = must[authctx.Principal](t)(authctx.New(authctx.Attributes{
		Issuer: "https://idp.example", Subject: "alice", Roles: []string{"editor"}, Scopes: []string{"orders.read"},
	}))
	minter := func(keys *jwtauth.SigningKeys) authctx.Propagator {
		return must[*jwtauth.TxnPropagator](t)(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
			TrustDomain: "prod.example", Workload: "spiffe://prod.example/gateway", Keys: keys,
		}))
	}
	fields := must[*authctx.FieldsPropagator](t)(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{}))
	r.writes = map[string]authctx.Propagator{
		"fields": fields, "token": minter(r.keys), "other token": minter(r.others),
		"forward": jwtauth.TxnForwarder{}, "either": either{fields: fields},
	}
	r.read(t, r.keys)
	return r
}

// read makes services look for keys there.
func (r *rollout) read(t *testing.T, keys jwtauth.KeySource) {
	fields := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: must[authctx.Trust](t)(authctx.TrustPeerCIDR("127.0.0.0/8")),
	}))
	token := must[*jwtauth.TxnAuthenticator](t)(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{
		TrustDomain: "prod.example", Keys: keys,
	}))
	r.reads = map[string]authctx.Authenticator{"fields": fields, "both": authctx.OneOf(token, fields), "token": token}
}

// either is the propagator in the examples of [jwtauth.TxnForwarder].
type either struct {
	token  jwtauth.TxnForwarder
	fields *authctx.FieldsPropagator
}

func (e either) Fields() authctx.FieldSet { return e.token.Fields().Union(e.fields.Fields()) }

func (e either) Inject(ctx context.Context, p authctx.Principal, set func(name, value string)) error {
	if len(authctx.Forwarded(ctx)) > 0 {
		return e.token.Inject(ctx, p, set)
	}
	return e.fields.Inject(ctx, p, set)
}

// walk makes the calls of a path, which says by turns how the caller is written and
// read, and returns whom the last service sees.
func (r *rollout) walk(ctx context.Context, path []string) (authctx.Principal, error) {
	for hop := range slices.Chunk(path, 2) {
		fields := map[string][]string{}
		p, _ := authctx.FromContext(ctx)
		if err := r.writes[hop[0]].Inject(ctx, p, func(name, value string) { fields[name] = []string{value} }); err != nil {
			return authctx.Principal{}, err
		}
		res, err := authctx.Authenticate(context.Background(), r.reads[hop[1]], &authctx.Request{
			Transport: "http", Peer: netip.MustParseAddrPort("127.0.0.1:4711"), Fields: authctx.FieldMap(fields),
		})
		if err != nil {
			return authctx.Principal{}, err
		}
		ctx = res.NewContext(context.Background())
	}
	p, _ := authctx.FromContext(ctx)
	return p, nil
}

// paths yields every way to take one of each list.
func paths(lists ...[]string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		if len(lists) == 0 {
			yield(nil)
			return
		}
		for rest := range paths(lists[1:]...) {
			for _, first := range lists[0] {
				if !yield(append([]string{first}, rest...)) {
					return
				}
			}
		}
	}
}

// answers is a network on which a handler answers everything.
type answers struct{ http.Handler }

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Result(), nil
}
