package conformance

import (
	"errors"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// A constructor whose error somebody dropped returned a nil pointer, which makes
// an interface that is not nil.
func TestRule1_ANilPointerIsNoConfiguration(t *testing.T) {
	var (
		keys       *jwtauth.RemoteKeys
		verifier   *jwtauth.Verifier
		bearer     *jwtauth.Bearer
		propagator *jwtauth.TxnPropagator
	)
	problem := func(_ any, err error) error { return err }
	for want, err := range map[string]error{
		"Keys is required":        problem(jwtauth.NewVerifier(jwtauth.VerifierConfig{Keys: keys})),
		"Revocations holds a nil": problem(jwtauth.NewVerifier(jwtauth.VerifierConfig{Revocations: (*jwtauth.MemoryRevocations)(nil)})),
		"bearer: a TokenVerifier": problem(jwtauth.NewBearer(verifier, nil)),
		"DPoP":                    problem(jwtauth.NewDPoP(verifier, jwtauth.DPoPConfig{ExternalURL: "https://a.test"})),
		"transaction token authenticator: Keys is required": problem(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "a", Keys: keys})),
		"deferred work authenticator: Keys is required":     problem(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{TrustDomain: "a", Topics: []string{"t"}, Keys: keys})),
		"httpctx: server: Authenticator":                    problem(httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer, Policy: new(authctx.Policy)})),
		"httpctx: transport: Propagator":                    problem(httpctx.NewTransport(httpctx.TransportConfig{Propagator: propagator})),
		"httpctx: proxy: Propagator":                        problem(httpctx.NewProxy(httpctx.ProxyConfig{Propagator: propagator})),
		"grpcctx: server: Authenticator":                    problem(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: bearer, Policy: new(authctx.Policy)})),
		"grpcctx: client: Propagator":                       problem(grpcctx.NewClient(grpcctx.ClientConfig{Propagator: propagator})),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A zero value of a type that only constructors make fails at the first request,
// where one of a type that others fill in is ready.
func TestRule1_AValueThatNoConstructorMadeIsNoConfiguration(t *testing.T) {
	policy := authctx.DefaultPolicy(authctx.Authenticated())
	rules := map[string]authctx.Rule{"t": authctx.Authenticated()}
	for _, a := range []authctx.Authenticator{
		new(jwtauth.Bearer), new(jwtauth.DPoP), new(jwtauth.TxnAuthenticator), new(jwtauth.DeferredAuthenticator), new(authctx.FieldsAuthenticator),
	} {
		_, consumer := authctx.NewConsumer(authctx.ConsumerConfig{Authenticator: a, Rules: rules})
		_, web := httpctx.NewServer(httpctx.ServerConfig{Authenticator: a, AllowAnonymous: true, ResourceMetadata: new(httpctx.ResourceMetadata)})
		_, rpc := grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: a, Policy: policy})
		for _, err := range []error{consumer, web, rpc} {
			if err == nil || !strings.Contains(err.Error(), "Authenticator is required") {
				t.Errorf("%T: %v", a, err)
			}
		}
		if _, err := authctx.Authenticate(t.Context(), authctx.OneOf(a), new(authctx.Request)); !errors.Is(err, authctx.Unavailable) {
			t.Errorf("%T alone: %v", a, err)
		}
	}
	for _, p := range []authctx.Propagator{new(jwtauth.TxnPropagator), new(jwtauth.DeferredPropagator), new(authctx.FieldsPropagator)} {
		_, transport := httpctx.NewTransport(httpctx.TransportConfig{Propagator: p})
		_, proxy := httpctx.NewProxy(httpctx.ProxyConfig{Propagator: p})
		_, client := grpcctx.NewClient(grpcctx.ClientConfig{Propagator: p})
		for _, err := range []error{transport, proxy, client} {
			if err == nil || !strings.Contains(err.Error(), "Propagator is required") {
				t.Errorf("%T: %v", p, err)
			}
		}
	}
	ready := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, nil)
	for name, policy := range map[string]*authctx.Policy{"a zero policy": new(authctx.Policy), "the policy of a nil rule": authctx.DefaultPolicy(nil)} {
		_, rpc := grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: ready, Policy: policy})
		_, web := httpctx.NewServer(httpctx.ServerConfig{Authenticator: ready, Policy: policy})
		for _, err := range []error{rpc, web} {
			const want = "Policy is a zero Policy, which refuses everything; NewPolicy makes one, and DefaultPolicy of a rule"
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, p := range []authctx.Propagator{jwtauth.TxnForwarder{}, new(jwtauth.TxnForwarder)} {
		if _, err := grpcctx.NewClient(grpcctx.ClientConfig{Propagator: p}); err != nil {
			t.Errorf("%T: %v", p, err)
		}
	}
}
