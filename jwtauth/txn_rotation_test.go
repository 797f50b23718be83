package jwtauth_test

import (
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

// A service that fetches its keys over HTTP from one gateway replica accepts
// what the other mints, before, while and after both rotate at different
// moments.
func TestReplicasMintForServicesThatKnowOneOfThem(t *testing.T) {
	clock := newTestClock()
	first, second := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	replica := func() (*jwtauth.SigningKeys, *jwtauth.TxnPropagator) {
		keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: first, Ahead: time.Minute, Now: clock.Now}))
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
	svc := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: testDomain, Keys: remote, Now: clock.Now}))
	p := jwtauthtest.User(t)
	all := func(when string) {
		t.Helper()
		var wg sync.WaitGroup
		for n := range 40 {
			edge := []*jwtauth.TxnPropagator{edgeA, edgeB}[n%2]
			wg.Go(func() {
				token := must(inject(t.Context(), edge, p))
				if _, err := authctx.Authenticate(t.Context(), svc, txnRequest(token)); err != nil {
					t.Errorf("%s: %v", when, err)
				}
			})
		}
		wg.Wait()
	}
	all("before")
	for _, step := range []struct {
		when string
		do   func() error
	}{
		{"A was told", func() error { return keysA.Rotate(second) }},
		{"B was told, half a minute later", func() error { clock.Advance(30 * time.Second); return keysB.Rotate(second) }},
		{"A signs with the new key, B with the old", func() error { clock.Advance(30 * time.Second); return nil }},
		{"both sign with the new key", func() error { clock.Advance(30 * time.Second); return nil }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		all(step.when)
	}
	if got := tokenHeader(t, must(inject(t.Context(), edgeB, p)))["kid"]; got != second.ID() {
		t.Errorf("the new key %q never signed: %v", second.ID(), got)
	}
}
