package jwtauth_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

func TestReplicasPublishOneKeySet(t *testing.T) {
	a, b := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	one := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: a, Published: []*jwtauth.Key{b.VerificationKey()}}))
	two := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: b, Published: []*jwtauth.Key{a.VerificationKey()}}))
	first, res := fetchKeyIDs(t, one.JWKSHandler())
	second, again := fetchKeyIDs(t, two.JWKSHandler())
	if len(first) != 2 || !slices.Equal(first, second) || res.Header.Get("ETag") != again.Header.Get("ETag") {
		t.Errorf("replicas publish %q (%s) and %q (%s)", first, res.Header.Get("ETag"), second, again.Header.Get("ETag"))
	}
}

func TestWithdrawTakesALeakedKeyOutAtOnce(t *testing.T) {
	clock := newTestClock()
	leaked, next := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: leaked, Now: clock.Now}))
	if err := keys.Withdraw("unknown"); err == nil {
		t.Error("withdrew a key that is not there")
	}
	if err := keys.Withdraw(leaked.ID()); err == nil {
		t.Fatal("withdrew the only key that signs")
	}
	if err := keys.Rotate(next); err != nil {
		t.Fatal(err)
	}
	if err := keys.Withdraw(leaked.ID()); err != nil {
		t.Fatal(err)
	}
	if got, _ := fetchKeyIDs(t, keys.JWKSHandler()); !slices.Equal(got, []string{next.ID()}) {
		t.Errorf("published %q after withdrawal", got)
	}
	if !leaked.VerificationKey().Withdrawn() || next.VerificationKey().Withdrawn() {
		t.Error("the wrong key counts as withdrawn")
	}
	if _, err := keys.Key(context.Background(), leaked.ID(), jwtauth.EdDSA); !errors.Is(err, authctx.UnknownKey) {
		t.Errorf("key source answers %v for a withdrawn key", err)
	}
	if got, err := keys.Key(context.Background(), next.ID(), jwtauth.EdDSA); err != nil || got != next.VerificationKey() {
		t.Errorf("key source answers %v, %v for the key that signs", got, err)
	}
}

func TestTheNextKeyTakesOverFromOneThatWasWithdrawn(t *testing.T) {
	clock := newTestClock()
	leaked, next := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA), Ahead: time.Minute, Now: clock.Now}))
	must(0, keys.Rotate(leaked))
	clock.Advance(time.Minute)
	must(0, errors.Join(keys.Rotate(next), keys.Withdraw(leaked.ID())))
	issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: keys, Lifetime: time.Minute, Now: clock.Now,
	}))
	token := must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"}))
	if kid := tokenHeader(t, token)["kid"]; kid != next.ID() {
		t.Errorf("%v signs", kid)
	}
}

// A stream may outlive the token it began with, and then the key that signed it.
func TestRule5_AKeyThatLeftTheSetIsWithdrawnByItself(t *testing.T) {
	clock := newTestClock()
	old := newTestKey(t, jwtauth.EdDSA)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: old, Now: clock.Now}))
	edge := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: testDomain, Workload: "w", Keys: keys, Now: clock.Now}))
	auth := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: testDomain, Keys: keys, Now: clock.Now}))
	caller := must(authctx.New(authctx.Attributes{
		Issuer: testIssuer, Subject: "u", Scopes: []string{"read"}, Provenance: authctx.Verified, Expires: clock.Now().Add(100 * time.Hour),
	}))
	stream := must(auth.Authenticate(t.Context(), txnRequest(must(inject(t.Context(), edge, caller)))))
	must(0, keys.Rotate(newTestKey(t, jwtauth.EdDSA)))
	clock.Advance(2*10*time.Minute + 24*time.Hour)
	if err := stream.Recheck(t.Context()); err != nil {
		t.Errorf("recheck: %v", err)
	}
	if err := keys.Withdraw(old.ID()); err == nil || !strings.Contains(err.Error(), "VerificationKey") {
		t.Errorf("a key that left the set: %v", err)
	}
	old.VerificationKey().Withdraw()
	if err := stream.Recheck(t.Context()); !errors.Is(err, authctx.UnknownKey) {
		t.Errorf("recheck: %v", err)
	}
}

// parsedAgain returns the same key as other programs have it, under this ID.
func parsedAgain(t testing.TB, key *jwtauth.SigningKey, id string) *jwtauth.Key {
	t.Helper()
	rec := httptest.NewRecorder()
	must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})).JWKSHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	keys, _, err := jwtauth.ParseJWKSet(bytes.ReplaceAll(rec.Body.Bytes(), []byte(key.ID()), []byte(id)))
	if err != nil || len(keys) != 1 {
		t.Fatal(len(keys), err)
	}
	return keys[0]
}

// The key that a replica published and the private key of the same ID come from
// different places, and so do not share a Key.
func TestRule5_WithdrawReachesWhatAPublishedKeyVerifiedBeforeItSigned(t *testing.T) {
	ed, rs := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.RS256)
	t.Run("with an algorithm", func(t *testing.T) { withdrawWhatWasPublished(t, ed, parsedAgain(t, ed, ed.ID())) })
	t.Run("without", func(t *testing.T) { withdrawWhatWasPublished(t, rs, withoutAlgorithm(t, rs, rs.ID())) })
}

func withdrawWhatWasPublished(t *testing.T, next *jwtauth.SigningKey, published *jwtauth.Key) {
	clock := newTestClock()
	first := newTestKey(t, jwtauth.EdDSA)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: first, Published: []*jwtauth.Key{published}, Now: clock.Now,
	}))
	v := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA, jwtauth.RS256}, Keys: keys, Now: clock.Now,
	}))
	replica := issuerWith(t, next, clock.Now)
	token := must(replica.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"}))
	found, err := v.VerifyToken(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	must(0, keys.Rotate(next))
	if found, err := v.VerifyToken(t.Context(), token); err != nil || !found.Cached {
		t.Errorf("its turn to sign made it another key: cached %v, %v", found.Cached, err)
	}
	must(0, keys.Withdraw(next.ID()))
	if err := found.Recheck(t.Context()); !errors.Is(err, authctx.UnknownKey) {
		t.Errorf("recheck: %v", err)
	}
	if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.UnknownKey) {
		t.Errorf("verify: %v", err)
	}
	if !next.VerificationKey().Withdrawn() {
		t.Error("the private key may sign elsewhere")
	}
}

// Whoever holds one of them can say that the secret has leaked.
func TestRule5_APublishedKeyThatSignsEndsWithAnyOfItsKeys(t *testing.T) {
	for name, withdraw := range map[string]func(published, public, found *jwtauth.Key){
		"the published one":  func(published, _, _ *jwtauth.Key) { published.Withdraw() },
		"the private one's":  func(_, public, _ *jwtauth.Key) { public.Withdraw() },
		"what the set finds": func(_, _, found *jwtauth.Key) { found.Withdraw() },
	} {
		t.Run(name+", with an algorithm", func(t *testing.T) {
			next := newTestKey(t, jwtauth.ES256)
			withdrawWhatSigns(t, next, parsedAgain(t, next, next.ID()), withdraw)
		})
		t.Run(name+", without", func(t *testing.T) {
			next := newTestKey(t, jwtauth.RS256)
			withdrawWhatSigns(t, next, withoutAlgorithm(t, next, next.ID()), withdraw)
		})
	}
}

func withdrawWhatSigns(t *testing.T, next *jwtauth.SigningKey, published *jwtauth.Key, withdraw func(published, public, found *jwtauth.Key)) {
	clock := newTestClock()
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: newTestKey(t, jwtauth.EdDSA), Published: []*jwtauth.Key{published}, Ahead: time.Minute, Now: clock.Now,
	}))
	v := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: keys, Now: clock.Now,
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA, jwtauth.ES256, jwtauth.RS256},
	}))
	issuer := issuerWith(t, next, clock.Now) // elsewhere
	token := func() string { return must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"})) }
	early := token()
	earlyStream := must(v.VerifyToken(t.Context(), early))
	must(0, keys.Rotate(next))
	clock.Advance(time.Minute)
	edge := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: testDomain, Workload: "w", Keys: keys, Reuse: time.Minute, Now: clock.Now,
	}))
	must(inject(t.Context(), edge, jwtauthtest.User(t)))
	known, other := token(), token()
	stream := must(v.VerifyToken(t.Context(), known))
	withdraw(published, next.VerificationKey(), must(keys.Key(t.Context(), next.ID(), next.Algorithm())))
	for what, err := range map[string]error{
		"a new token":                  errorOf(v.Verify(t.Context(), other)),
		"from the cache":               errorOf(v.Verify(t.Context(), known)),
		"recheck":                      stream.Recheck(t.Context()),
		"of before it signed, cached":  errorOf(v.Verify(t.Context(), early)),
		"of before it signed, recheck": earlyStream.Recheck(t.Context()),
	} {
		if !errors.Is(err, authctx.UnknownKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := inject(t.Context(), edge, jwtauthtest.User(t)); err == nil || !strings.Contains(err.Error(), "was withdrawn elsewhere") {
		t.Errorf("a token that it signed is sent again: %v", err)
	}
}

func TestRule5_AKeyThatWasWithdrawnDoesNotComeBack(t *testing.T) {
	leaked, stays := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	_, private, _ := ed25519.GenerateKey(nil)
	signingKey := func() *jwtauth.SigningKey {
		return must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, Signer: private}))
	}
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: signingKey(), Published: []*jwtauth.Key{leaked.VerificationKey()}}))
	again, renamed := parsedAgain(t, leaked, leaked.ID()), parsedAgain(t, leaked, "another")
	must(0, keys.Rotate(stays))
	must(0, errors.Join(keys.Withdraw(leaked.ID()), keys.Withdraw(signingKey().ID())))
	for name, err := range map[string]error{
		"published by a replica":             keys.Publish(again),
		"published by a replica, another ID": keys.Publish(renamed),
		"loaded from the secret store":       keys.Rotate(signingKey()),
		"published, after it signed":         keys.Publish(signingKey().VerificationKey()),
		"rotated to, after it was published": keys.Rotate(leaked),
	} {
		if err == nil || !strings.Contains(err.Error(), "was withdrawn") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, _ := fetchKeyIDs(t, keys.JWKSHandler()); !slices.Equal(got, []string{stays.ID()}) {
		t.Errorf("published %q", got)
	}
}

// A second name would outlive the withdrawal of the first.
func TestRule5_AKeyIsInTheSetUnderOneIDOnly(t *testing.T) {
	published, other := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	_, private, _ := ed25519.GenerateKey(nil)
	named := func(id string) *jwtauth.SigningKey {
		return must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{ID: id, Algorithm: jwtauth.EdDSA, Signer: private}))
	}
	cfg := jwtauth.SigningKeysConfig{Current: named("a"), Published: []*jwtauth.Key{published.VerificationKey()}}
	keys := must(jwtauth.NewSigningKeys(cfg))
	twice := cfg
	twice.Published = append(twice.Published, parsedAgain(t, published, "b"))
	both := cfg
	both.Published = []*jwtauth.Key{named("b").VerificationKey()}
	for name, err := range map[string]error{
		"published beside the key that signs":  keys.Publish(named("b").VerificationKey()),
		"published beside a published key":     keys.Publish(parsedAgain(t, published, "b")),
		"rotated to from the key that signs":   keys.Rotate(named("b")),
		"configured beside the key that signs": errorOf(jwtauth.NewSigningKeys(both)),
		"configured beside a published key":    errorOf(jwtauth.NewSigningKeys(twice)),
	} {
		if err == nil || !strings.Contains(err.Error(), "is in the set already, as ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(0, errors.Join(keys.Rotate(published), keys.Rotate(other), keys.Withdraw("a"))) // its own ID is no other
}

// Two sets share a key, and only one of them was told that it has leaked.
func TestAKeyThatWasWithdrawnElsewhereSignsNothing(t *testing.T) {
	leaked, next := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	w := newTxnWorld(t, leaked)
	issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: w.keys, Lifetime: time.Minute, Now: w.Now,
	}))
	sign := func() error {
		_, err1 := issuer.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"})
		_, err2 := inject(t.Context(), w.edge, jwtauthtest.User(t))
		if (err1 == nil) != (err2 == nil) {
			t.Errorf("Issuer says %v, TxnPropagator %v", err1, err2)
		}
		return err1
	}
	must(0, sign())
	leaked.VerificationKey().Withdraw()
	if err := sign(); err == nil || !strings.Contains(err.Error(), leaked.ID()) {
		t.Errorf("signed: %v", err)
	}
	must(0, errors.Join(w.keys.Rotate(next), w.keys.Withdraw(leaked.ID()))) // as the error says
	must(0, sign())
}

// A key ends when its own time has come: what becomes of the keys after it does
// not bring it back.
func TestWithdrawBringsNoOlderKeyBack(t *testing.T) {
	for name, signsYet := range map[string]time.Duration{"the key that signs": 7 * time.Minute, "a retired key": 15 * time.Minute} {
		clock := newTestClock()
		gone, leaked, next := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
		keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
			Current: gone, Ahead: 10 * time.Minute, Retain: time.Hour, Now: clock.Now,
		}))
		must(0, keys.Rotate(leaked))
		clock.Advance(85 * time.Minute) // it signed last 75 minutes ago
		must(0, keys.Rotate(next))
		clock.Advance(signsYet)
		must(0, keys.Withdraw(leaked.ID()))
		if got, _ := fetchKeyIDs(t, keys.JWKSHandler()); !slices.Equal(got, []string{next.ID()}) {
			t.Errorf("%s: published %q after withdrawal, want only %q", name, got, next.ID())
		}
		if _, err := keys.Key(t.Context(), gone.ID(), jwtauth.EdDSA); !errors.Is(err, authctx.UnknownKey) {
			t.Errorf("%s: a key that had ended verifies again: %v", name, err)
		}
	}
}

func TestAKeyWhoseSuccessorIsWithdrawnGoesOn(t *testing.T) {
	clock := newTestClock()
	a, b, c := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: a, Ahead: time.Minute, Retain: time.Minute, Now: clock.Now}))
	published := func() []string {
		ids, _ := fetchKeyIDs(t, keys.JWKSHandler())
		return ids
	}
	must(0, keys.Rotate(b))
	must(0, keys.Withdraw(b.ID()))
	clock.Advance(time.Hour)
	if got := published(); !slices.Equal(got, []string{a.ID()}) {
		t.Fatalf("published %q, want the key that still signs", got)
	}
	must(0, keys.Rotate(c))
	clock.Advance(2 * time.Minute)
	if got := published(); !slices.Equal(got, inOrder(a.ID(), c.ID())) {
		t.Errorf("published %q while its tokens live", got)
	}
	clock.Advance(time.Minute)
	if got := published(); !slices.Equal(got, []string{c.ID()}) {
		t.Errorf("published %q after its end", got)
	}
}

// The replica that signs with a leaked key cannot withdraw it before the next rotation.
// Another one, in which it had not begun to sign, could, and signs on with the key before.
func TestWithdrawKeepsTheKeyThatAnotherReplicaSignsOnWith(t *testing.T) {
	const ahead, life = 10 * time.Minute, 30 * time.Minute
	clock := newTestClock()
	a, leaked, next := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	replica := func() *jwtauth.SigningKeys {
		return must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: a, Ahead: ahead, Retain: life, Now: clock.Now}))
	}
	first, second := replica(), replica()
	must(0, first.Rotate(leaked))
	clock.Advance(ahead / 2)
	must(0, second.Rotate(leaked))
	clock.Advance(ahead/2 + time.Minute)
	if err := errors.Join(second.Withdraw(leaked.ID()), first.Withdraw(leaked.ID())); err == nil || !strings.Contains(err.Error(), "rotate first") {
		t.Fatal(err)
	}
	clock.Advance(ahead)
	must(0, errors.Join(first.Rotate(next), first.Withdraw(leaked.ID()), second.Rotate(next)))
	clock.Advance(ahead - time.Second) // a signs there for another second
	clock.Advance(life)
	must(first.Key(t.Context(), a.ID(), ""))
}

// Replicas are told of rotations one after the other. When a key is withdrawn that
// signs at one of them and not yet at the other, that one signs on with the key before.
func TestRule5_WithdrawReachesReplicasThatSignWithDifferentKeys(t *testing.T) {
	const ahead, retain = 10 * time.Minute, time.Hour
	for name, withdrawn := range map[string]int{"one key": 1, "one after the other": 2} {
		clock := newTestClock()
		keys := []*jwtauth.SigningKey{newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)}
		replica := func() *jwtauth.SigningKeys {
			return must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: keys[0], Ahead: ahead, Retain: retain, Now: clock.Now}))
		}
		early, late := replica(), replica()
		tokens := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{Issuer: testIssuer, Audiences: []string{testAudience}, Keys: late, Lifetime: retain, Now: clock.Now}))
		verifier := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
			Issuer: testIssuer, Audiences: []string{testAudience}, Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Keys: early,
			Now: clock.Now, Cache: jwtauth.CacheConfig{Disabled: true},
		}))
		steps := map[int]func(){
			0:  func() { must(0, early.Rotate(keys[1])) },
			5:  func() { must(0, late.Rotate(keys[1])) },
			11: func() { must(0, late.Rotate(keys[2])) }, // early signs with the next, late not yet
			12: func() {
				must(0, early.Rotate(keys[2]))
				must(0, early.Rotate(keys[3]))
				must(0, late.Rotate(keys[3]))
				for _, k := range keys[1 : 1+withdrawn] {
					must(0, early.Withdraw(k.ID()))
					must(0, late.Withdraw(k.ID()))
				}
			},
		}
		var live []string
		for minute := range 72 { // in the one after that the first token ends
			if step := steps[minute]; step != nil {
				step()
			}
			clock.Advance(59 * time.Second)
			if minute >= 12 && minute < 60 {
				live = append(live, must(tokens.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"})))
			}
			clock.Advance(time.Second)
		}
		clock.Advance(58 * time.Second)
		for ; len(live) > 0; live = live[1:] { // a second before the end of each
			if _, err := verifier.Verify(t.Context(), live[0]); err != nil {
				t.Fatalf("%s: to its end: %v", name, err)
			}
			clock.Advance(time.Minute)
		}
	}
}

// In whatever order keys are withdrawn that a replica does not sign with yet, the key
// that it goes on with stays until the next one has long signed there.
func TestRule5_WithdrawalsInAnyOrderLeaveWhatReplicasSignWith(t *testing.T) {
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		clock, keys := newTestClock(), make([]*jwtauth.SigningKey, 4)
		for i := range keys {
			keys[i] = newTestKey(t, jwtauth.EdDSA)
		}
		set := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: keys[0], Ahead: 10 * time.Minute, Retain: time.Hour, Now: clock.Now}))
		must(0, errors.Join(set.Rotate(keys[1]), set.Rotate(keys[2])))
		clock.Advance(10 * time.Minute) // a replica that was told later still signs with the first
		must(0, errors.Join(set.Rotate(keys[3]), set.Withdraw(keys[order[0]].ID()), set.Withdraw(keys[order[1]].ID())))
		clock.Advance(80*time.Minute - time.Second) // Ahead of the last here and there, and Retain
		if _, err := set.Key(t.Context(), keys[0].ID(), ""); err != nil {
			t.Errorf("withdrawn in the order %v: %v", order, err)
		}
		clock.Advance(time.Second)
		if _, err := set.Key(t.Context(), keys[0].ID(), ""); err == nil {
			t.Errorf("withdrawn in the order %v, the first key has no end", order)
		}
	}
}

// Each replica has a key of its own, and verifiers know the set of one of them.
func TestReplicasWithKeysOfTheirOwnRotate(t *testing.T) {
	clock := newTestClock()
	a, b, next := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	replica := func(own, other *jwtauth.SigningKey) *jwtauth.SigningKeys {
		return must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
			Current: own, Published: []*jwtauth.Key{other.VerificationKey()}, Ahead: time.Minute, Retain: time.Minute, Now: clock.Now,
		}))
	}
	one, two := replica(a, b), replica(b, a)
	must(0, one.Rotate(next))
	clock.Advance(30 * time.Second)
	must(0, two.Publish(next.VerificationKey()))
	for range 5 {
		first, _ := fetchKeyIDs(t, one.JWKSHandler())
		second, _ := fetchKeyIDs(t, two.JWKSHandler())
		for _, id := range first {
			if !slices.Contains(second, id) {
				t.Errorf("the other replica lacks %q", id)
			}
		}
		clock.Advance(30 * time.Second)
	}
	must(0, two.Withdraw(a.ID()))
	if got, _ := fetchKeyIDs(t, two.JWKSHandler()); !slices.Equal(got, inOrder(b.ID(), next.ID())) {
		t.Errorf("published %q after the old key was withdrawn", got)
	}
}

// Verifiers know the set of the replica that is told last, and load it again no
// earlier than they are told to.
func TestAReplicaThatIsToldWithinHalfOfAheadPublishesInTime(t *testing.T) {
	const ahead = 20 * time.Second
	for phase := range ahead / 2 / time.Second {
		clock := newTestClock()
		old, next := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
		replica := func() *jwtauth.SigningKeys {
			return must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: old, Ahead: ahead, Retain: ahead, Now: clock.Now}))
		}
		first, last := replica(), replica()
		issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
			Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: first, Lifetime: time.Second, Now: clock.Now,
		}))
		known, _ := fetchKeyIDs(t, last.JWKSHandler())
		loadAt := clock.Now().Add(phase * time.Second)
		must(0, first.Rotate(next))
		for second := range 3 * ahead / time.Second {
			if clock.Now().Equal(loadAt) {
				ids, resp := fetchKeyIDs(t, last.JWKSHandler())
				maxAge := strings.TrimPrefix(resp.Header.Get("Cache-Control"), "public, max-age=")
				known, loadAt = ids, loadAt.Add(must(time.ParseDuration(maxAge+"s")))
			}
			if second == ahead/2/time.Second {
				must(0, last.Rotate(next))
			}
			token := must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"}))
			if kid := tokenHeader(t, token)["kid"].(string); !slices.Contains(known, kid) {
				t.Errorf("loads at %v: after %v the key is not known", phase*time.Second, second*time.Second)
			}
			clock.Advance(time.Second)
		}
	}
}

// A set of more keys is refused whole by RemoteKeys, and not before the next
// load.
func TestASetIsNeverLargerThanVerifiersTake(t *testing.T) {
	clock := newTestClock()
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: newTestKey(t, jwtauth.EdDSA), Ahead: time.Second, Retain: time.Hour, Now: clock.Now,
	}))
	rotate := func() error {
		clock.Advance(time.Second)
		return keys.Rotate(newTestKey(t, jwtauth.EdDSA))
	}
	replica := newTestKey(t, jwtauth.EdDSA)
	must(0, keys.Publish(replica.VerificationKey()))
	for range 98 {
		must(0, rotate())
	}
	err := rotate()
	if err == nil || !strings.Contains(err.Error(), "withdraw old ones or lower Retain") {
		t.Errorf("rotate: %v", err)
	}
	if err := keys.Publish(newTestKey(t, jwtauth.EdDSA).VerificationKey()); err == nil {
		t.Error("published one more")
	}
	server := httptest.NewServer(keys.JWKSHandler())
	defer server.Close()
	remote := must(jwtauth.LoadRemoteKeys(t.Context(), jwtauth.RemoteKeysConfig{JWKSURL: server.URL}))
	defer remote.Close()
	if n := remote.Stats().Keys; n != 100 {
		t.Errorf("%d keys", n)
	}
	must(0, keys.Rotate(replica)) // no more keys than before
	clock.Advance(2 * time.Hour)  // most have ended
	must(0, rotate())

	var all []*jwtauth.Key
	for range 100 {
		all = append(all, newTestKey(t, jwtauth.EdDSA).VerificationKey())
	}
	if _, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: replica, Published: all}); err == nil {
		t.Error("began with 101 keys")
	}
}

func TestPublishRefuses(t *testing.T) {
	current, secret, withdrawn := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.HS256), newTestKey(t, jwtauth.EdDSA)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: current, Published: []*jwtauth.Key{withdrawn.VerificationKey()},
	}))
	must(0, keys.Withdraw(withdrawn.ID()))
	public, _, _ := ed25519.GenerateKey(nil)
	anonymous := must(jwtauth.NewPublicKey("", jwtauth.EdDSA, public))
	for name, key := range map[string]*jwtauth.Key{
		"nil":                      nil,
		"a secret":                 secret.VerificationKey(),
		"the key that signs":       current.VerificationKey(),
		"a key without ID":         anonymous,
		"a key that was withdrawn": withdrawn.VerificationKey(),
	} {
		if err := keys.Publish(key); err == nil {
			t.Errorf("accepted %s", name)
		}
	}
	if _, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: withdrawn}); err == nil {
		t.Error("a key that was withdrawn signs")
	}
	if got, _ := fetchKeyIDs(t, keys.JWKSHandler()); !slices.Equal(got, []string{current.ID()}) {
		t.Errorf("published %q", got)
	}
}
