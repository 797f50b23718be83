package conformance

import (
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
		"Revocations holds a nil": problem(jwtauth.NewVerifier(jwtauth.VerifierConfig{Revocations: (*jwtauth.RevocationList)(nil)})),
		"bearer: a TokenVerifier": problem(jwtauth.NewBearer(verifier, nil)),
		"DPoP":                    problem(jwtauth.NewDPoP(verifier, jwtauth.DPoPConfig{ExternalURL: "https://a.test"})),
		"transaction token authenticator: Keys is required": problem(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: "a", Keys: keys})),
		"deferred work authenticator: Keys is required":     problem(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{TrustDomain: "a", Topics: []string{"t"}, Keys: keys})),
		"httpctx: server: Authenticator":                    problem(httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer})),
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
