package jwtauth_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// Tokens are in flight between edge and service while keys change every second.
func TestMintingKeysRotateWithoutAFailedRequest(t *testing.T) {
	clock := newTestClock()
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: newTestKey(t, jwtauth.EdDSA), Ahead: time.Second, Retain: time.Minute, Now: clock.Now,
	}))
	edge := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: testDomain, Workload: "w", Keys: keys, Lifetime: 30 * time.Second, Reuse: 2 * time.Second, Now: clock.Now,
	}))
	svc := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: testDomain, Keys: keys, Now: clock.Now}))
	p := jwtauthtest.User(t)
	var inFlight []string
	signers := map[any]bool{}
	for range 12 {
		token := must(inject(t.Context(), edge, p))
		signers[tokenHeader(t, token)["kid"]] = true
		inFlight = append(inFlight, token)
		for _, token := range inFlight {
			if _, err := authctx.Authenticate(t.Context(), svc, txnRequest(token)); err != nil {
				t.Fatalf("during rotation: %v", err)
			}
		}
		if err := keys.Rotate(newTestKey(t, jwtauth.EdDSA)); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Second)
	}
	if len(signers) < 3 {
		t.Errorf("only %d keys signed; this tested nothing", len(signers))
	}
}

// A job that mints at night does not run when services look for the key of a stranger
// by day. That it is found with the gateway's keeps them ready, and sure of the answer.
func TestServicesNeedNoMinterButTheOneThatPublishesTheKeysOfAll(t *testing.T) {
	minter := func(key *jwtauth.SigningKey, published ...*jwtauth.Key) (*jwtauth.SigningKeys, *jwtauth.TxnPropagator) {
		keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key, Published: published}))
		return keys, must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: testDomain, Workload: "w", Keys: keys}))
	}
	jobs := newTestKey(t, jwtauth.EdDSA)
	_, job := minter(jobs)
	_, stranger := minter(newTestKey(t, jwtauth.EdDSA))
	keys, edge := minter(newTestKey(t, jwtauth.EdDSA), jobs.VerificationKey())
	gateway := httptest.NewServer(keys.JWKSHandler())
	t.Cleanup(gateway.Close)
	remote := must(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: gateway.URL, Timeout: unhurried}))
	t.Cleanup(func() { must(0, remote.Close()) })
	svc := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: testDomain, Keys: remote}))
	for name, m := range map[string]struct {
		minter *jwtauth.TxnPropagator
		want   error
	}{"the gateway": {edge, nil}, "the job": {job, nil}, "a stranger": {stranger, authctx.UnknownKey}} {
		token := must(inject(t.Context(), m.minter, jwtauthtest.User(t)))
		if _, err := authctx.Authenticate(t.Context(), svc, txnRequest(token)); !errors.Is(err, m.want) {
			t.Errorf("a token of %s: %v", name, err)
		}
	}
	if err := remote.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

// A service that fetches its keys over HTTP from one gateway replica accepts
// what the other mints, before, while and after both rotate at different
// moments.
func TestReplicasMintForServicesThatKnowOneOfThem(t *testing.T) {
	t.Run("half a minute apart", func(t *testing.T) {
		rotateReplicas(t, jwtauth.SigningKeysConfig{Ahead: time.Minute}, 30*time.Second)
	})
	t.Run("almost Ahead apart, keys retained for little more than a token", func(t *testing.T) {
		rotateReplicas(t, jwtauth.SigningKeysConfig{Ahead: 10 * time.Minute, Retain: 3 * time.Minute}, 9*time.Minute)
	})
}

// rotateReplicas rotates two replicas, B later than A.
func rotateReplicas(t *testing.T, cfg jwtauth.SigningKeysConfig, later time.Duration) {
	clock := newTestClock()
	first, second := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	cfg.Current, cfg.Now = first, clock.Now
	replica := func() (*jwtauth.SigningKeys, *jwtauth.TxnPropagator) {
		keys := must(jwtauth.NewSigningKeys(cfg))
		return keys, must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
			TrustDomain: testDomain, Workload: "w", Keys: keys, Now: clock.Now,
		}))
	}
	keysA, edgeA := replica()
	keysB, edgeB := replica()
	server := httptest.NewServer(keysA.JWKSHandler())
	t.Cleanup(server.Close)
	remote := must(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: server.URL, Timeout: unhurried}))
	t.Cleanup(func() { must(0, remote.Close()) })
	var services []*jwtauth.TxnAuthenticator
	for _, keys := range []jwtauth.KeySource{remote, keysA} { // the latter never has an old copy of the set
		services = append(services, must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{
			TrustDomain: testDomain, Keys: keys, Now: clock.Now,
		})))
	}
	p := jwtauthtest.User(t)
	all := func(when string) {
		t.Helper()
		var wg sync.WaitGroup
		for n := range 4 {
			edge := []*jwtauth.TxnPropagator{edgeA, edgeB}[n%2]
			wg.Go(func() {
				token := must(inject(t.Context(), edge, p))
				for _, svc := range services {
					if _, err := authctx.Authenticate(t.Context(), svc, txnRequest(token)); err != nil {
						t.Errorf("%s: %v", when, err)
					}
				}
			})
		}
		wg.Wait()
	}
	all("before")
	must(0, keysA.Rotate(second))
	all("A was told")
	clock.Advance(later)
	must(0, keysB.Rotate(second))
	all("B was told")
	for passed := later; passed < 2*cfg.Ahead+cfg.Retain; passed += cfg.Ahead / 10 {
		clock.Advance(cfg.Ahead / 10)
		all(fmt.Sprint(passed+cfg.Ahead/10, " after A was told"))
	}
	if got := tokenHeader(t, must(inject(t.Context(), edgeB, p)))["kid"]; got != second.ID() {
		t.Errorf("the new key %q never signed: %v", second.ID(), got)
	}
}
