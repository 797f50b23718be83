package jwtauth_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// nilTrust and nilStore fail when they are nil, as most types do.
type (
	nilTrust struct{ asked int }
	nilStore struct{ asked int }
)

func (n *nilTrust) Trusts(context.Context, *authctx.Request) error {
	n.asked++
	return nil
}

func (n *nilStore) Use(context.Context, [32]byte, time.Time) (bool, error) {
	n.asked++
	return true, nil
}

// What is given and is nothing would panic at the first request, which is for a
// stranger to make.
func TestRule1_NilPointersAndValuesThatNobodyMadeAreNoSettings(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	verifier := newVerifier(t, s, nil)
	bearer := func(v jwtauth.TokenVerifier, o jwtauth.BearerOptions) error {
		_, err := jwtauth.NewBearer(v, &o)
		return err
	}
	dpop := func(v jwtauth.TokenVerifier, change func(*jwtauth.DPoPConfig)) error {
		cfg := jwtauth.DPoPConfig{ExternalURL: "https://api.example"}
		change(&cfg)
		_, err := jwtauth.NewDPoP(v, cfg)
		return err
	}
	config := func(change func(*jwtauth.VerifierConfig)) error {
		cfg := configFor(t, s)
		change(&cfg)
		_, err := jwtauth.NewVerifier(cfg)
		return err
	}
	introspection := func(change func(*jwtauth.IntrospectorConfig)) error {
		cfg := introspectionConfig("https://as.example.com", newClock())
		change(&cfg)
		_, err := jwtauth.NewIntrospector(cfg)
		return err
	}
	signing := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
	second := func(_ any, err error) error { return err }
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a Bearer's Verifier":          {bearer(new(jwtauth.Verifier), jwtauth.BearerOptions{}), "a TokenVerifier is required"},
		"a Bearer's Introspector":      {bearer(new(jwtauth.Introspector), jwtauth.BearerOptions{}), "a TokenVerifier is required"},
		"a Bearer's MultiVerifier":     {bearer(new(jwtauth.MultiVerifier), jwtauth.BearerOptions{}), "a TokenVerifier is required"},
		"a Bearer's ResolvingVerifier": {bearer(new(jwtauth.ResolvingVerifier), jwtauth.BearerOptions{}), "a TokenVerifier is required"},
		"a Bearer's proxies":           {bearer(verifier, jwtauth.BearerOptions{CertificateProxies: (*nilTrust)(nil)}), "CertificateProxies holds a nil"},
		"a DPoP's Verifier":            {dpop(new(jwtauth.Verifier), func(*jwtauth.DPoPConfig) {}), "a TokenVerifier is required"},
		"a DPoP's proxies":             {dpop(verifier, func(c *jwtauth.DPoPConfig) { c.CertificateProxies = (*nilTrust)(nil) }), "CertificateProxies holds a nil"},
		"a DPoP's store":               {dpop(verifier, func(c *jwtauth.DPoPConfig) { c.Replays = (*nilStore)(nil) }), "Replays holds a nil pointer"},
		"a Verifier's RemoteKeys":      {config(func(c *jwtauth.VerifierConfig) { c.Keys = new(jwtauth.RemoteKeys) }), "Keys is required"},
		"a Verifier's SigningKeys":     {config(func(c *jwtauth.VerifierConfig) { c.Keys = new(jwtauth.SigningKeys) }), "Keys is required"},
		"a Verifier's Claims":          {config(func(c *jwtauth.VerifierConfig) { c.Claims = new(jwtauth.ClaimMapping) }), "Claims is a zero ClaimMapping"},
		"a Verifier's Revocations":     {config(func(c *jwtauth.VerifierConfig) { c.Revocations = (*jwtauth.MemoryRevocations)(nil) }), "Revocations holds a nil"},
		"an Introspector's Claims":     {introspection(func(c *jwtauth.IntrospectorConfig) { c.Claims = new(jwtauth.ClaimMapping) }), "Claims is a zero ClaimMapping"},
		"the Revocations of RefreshTokens": {errorOf(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{
			Store: &jwtauth.MemoryRefreshStore{}, Lifetime: time.Hour, Revocations: (*jwtauth.MemoryRevocations)(nil),
		})), "Revocations holds a nil"},
		"an Introspector's Revocations": {introspection(func(c *jwtauth.IntrospectorConfig) { c.Revocations = (*jwtauth.MemoryRevocations)(nil) }),
			"Revocations holds a nil"},
		"an Introspector's Transport": {introspection(func(c *jwtauth.IntrospectorConfig) { c.Transport = (*http.Transport)(nil) }), "Transport holds a nil pointer"},
		"the Transport of keys": {second(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: jwksURL, Transport: (*http.Transport)(nil)})),
			"Transport holds a nil pointer"},
		"the Current of SigningKeys": {second(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: new(jwtauth.SigningKey)})), "Current is required"},
		"the Published of SigningKeys": {second(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
			Current: newTestKey(t, jwtauth.EdDSA), Published: []*jwtauth.Key{new(jwtauth.Key)},
		})), "Published[0] is nil or was made by no constructor"},
		"a Key that is published":    {signing.Publish(new(jwtauth.Key)), "is nil or was made by no constructor"},
		"a key to sign with next":    {signing.Rotate(new(jwtauth.SigningKey)), "is nil or was made by no constructor"},
		"a static Key":               {second(jwtauth.NewStaticKeys(new(jwtauth.Key))), "key 0 is nil or was made by no constructor"},
		"a MultiVerifier's Verifier": {second(jwtauth.NewMultiVerifier(verifier, new(jwtauth.Verifier))), "verifier 1 is nil or was made by no constructor"},
		"the Keys of Transaction Tokens": {second(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
			TrustDomain: "d", Workload: "w", Keys: new(jwtauth.SigningKeys),
		})), "Keys is required"},
		"the Keys of deferred work": {second(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
			TrustDomain: "d", Topic: "t", Workload: "w", Lifetime: time.Minute, Keys: new(jwtauth.SigningKeys),
		})), "Keys is required"},
		"the Keys of an Issuer": {second(jwtauth.NewIssuer(jwtauth.IssuerConfig{
			Issuer: "https://a.example", Audiences: []string{"a"}, Lifetime: time.Minute, Keys: new(jwtauth.SigningKeys),
		})), "Keys is required"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v does not say that %s", name, c.err, c.want)
		}
	}
}
