package jwtauth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// testClock is a clock that tests set.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func newTestClock() *testClock { return &testClock{now: time.Unix(1_800_000_000, 0)} }

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newTestKey(t testing.TB, alg jwtauth.Algorithm) *jwtauth.SigningKey {
	t.Helper()
	key, err := jwtauth.GenerateSigningKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fetchKeyIDs returns the key IDs that h publishes, and the response.
func fetchKeyIDs(t testing.TB, h http.Handler) ([]string, *http.Response) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/anything", nil))
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(rec.Body.Bytes(), &set); err != nil {
		t.Fatalf("key set: %v", err)
	}
	ids := []string{}
	for _, key := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if _, is := key[private]; is {
				t.Errorf("key set publishes the private member %q", private)
			}
		}
		ids = append(ids, key["kid"].(string))
	}
	return ids, rec.Result()
}

// inOrder returns ids as a key set has them.
func inOrder(ids ...string) []string { return slices.Sorted(slices.Values(ids)) }

func TestSigningKeysNameEveryWrongSetting(t *testing.T) {
	key, secret := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.HS256)
	_, err := jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Ahead: -1, Retain: -1, Published: []*jwtauth.Key{nil, secret.VerificationKey(), key.VerificationKey(), key.VerificationKey()},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Ahead", "Retain", "Current", "Published[0]", "Published[1]", "Published[3]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "Published[2]") {
		t.Errorf("error blames a good key: %v", err)
	}
}

func TestRotationPublishesBeforeSigningAndRetainsAfter(t *testing.T) {
	clock := newTestClock()
	first, second := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.ES256)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: first, Ahead: time.Minute, Retain: 5 * time.Minute, Now: clock.Now,
	}))
	issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: keys, Lifetime: 5 * time.Minute, Now: clock.Now,
	}))
	signer := func() string {
		token := must(issuer.Issue(context.Background(), authctx.Attributes{Subject: "u", ClientID: "c"}))
		return tokenHeader(t, token)["kid"].(string)
	}
	handler := keys.JWKSHandler()
	expect := func(when, signs string, published ...string) {
		t.Helper()
		if got := signer(); got != signs {
			t.Errorf("%s: %q signs, want %q", when, got, signs)
		}
		if got, _ := fetchKeyIDs(t, handler); !slices.Equal(got, inOrder(published...)) {
			t.Errorf("%s: published %q, want %q", when, got, published)
		}
	}
	expect("at first", first.ID(), first.ID())
	if err := keys.Rotate(second); err != nil {
		t.Fatal(err)
	}
	expect("right after Rotate", first.ID(), first.ID(), second.ID())
	clock.Advance(time.Minute - time.Second)
	expect("a second before Ahead has passed", first.ID(), first.ID(), second.ID())
	clock.Advance(time.Second)
	expect("after Ahead", second.ID(), first.ID(), second.ID())
	clock.Advance(6*time.Minute - time.Second)
	expect("while the last old token of a replica that was told last lives", second.ID(), first.ID(), second.ID())
	clock.Advance(time.Second)
	expect("after Ahead and Retain", second.ID(), second.ID())
}

// Keys sign in the order of their rotations, so that none is skipped whose verifiers
// have been told of it.
func TestAKeyDoesNotSignBeforeTheOneItFollowsWhenTheClockWasSetBack(t *testing.T) {
	clock := newTestClock()
	first, second, third := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: first, Ahead: time.Minute, Retain: 5 * time.Minute, Now: clock.Now,
	}))
	issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: keys, Lifetime: 5 * time.Minute, Now: clock.Now,
	}))
	wantSigner := func(when string, want *jwtauth.SigningKey) {
		t.Helper()
		token := must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"}))
		if got := tokenHeader(t, token)["kid"]; got != want.ID() {
			t.Errorf("%s: %v signs, want %s", when, got, want.ID())
		}
	}
	must(0, keys.Rotate(second))
	clock.Advance(-time.Hour)
	must(0, keys.Rotate(third))
	clock.Advance(time.Minute)
	wantSigner("after Ahead, by the clock that was set back", first)
	clock.Advance(time.Hour)
	wantSigner("when the time of both has come", third)
}

func TestRotateRefuses(t *testing.T) {
	key, pending := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	impostor := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{
		Algorithm: jwtauth.HS256, Secret: make([]byte, 32), ID: pending.ID(),
	}))
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: key, Published: []*jwtauth.Key{pending.VerificationKey()},
	}))
	for name, next := range map[string]*jwtauth.SigningKey{
		"no key":                                nil,
		"the key that signs":                    key,
		"a key without ID":                      newTestKey(t, jwtauth.HS256),
		"another key under the ID of Published": impostor,
	} {
		if err := keys.Rotate(next); err == nil {
			t.Errorf("accepted %s", name)
		}
	}
	if err := keys.Rotate(pending); err != nil {
		t.Errorf("a published key whose turn has come: %v", err)
	}
	if got, _ := fetchKeyIDs(t, keys.JWKSHandler()); !slices.Equal(got, inOrder(key.ID(), pending.ID())) {
		t.Errorf("published %q, want each key once", got)
	}
	if err := keys.Withdraw(pending.ID()); err != nil {
		t.Fatal(err)
	}
	if err := keys.Rotate(pending); err == nil || !strings.Contains(err.Error(), "withdrawn") {
		t.Errorf("a key that was withdrawn: %v", err)
	}
	anonymous := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.HS256)}))
	if err := anonymous.Rotate(newTestKey(t, jwtauth.EdDSA)); err == nil {
		t.Error("rotated away from a key without ID")
	}
}

// A JWK need not name an algorithm (RFC 7517 section 4.4), and replicas may come
// by the published key from somebody who leaves it out.
func TestAKeyPublishedWithoutAlgorithmIsRotatedTo(t *testing.T) {
	clock := newTestClock()
	next := newTestKey(t, jwtauth.PS256)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: newTestKey(t, jwtauth.EdDSA), Published: []*jwtauth.Key{withoutAlgorithm(t, next, next.ID())}, Now: clock.Now,
	}))
	must(0, keys.Rotate(next))
	clock.Advance(10 * time.Minute)
	token := must(must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: testIssuer, Audiences: []string{testAudience}, Keys: keys, Lifetime: time.Minute, Now: clock.Now,
	})).Issue(t.Context(), authctx.Attributes{Subject: "u", ClientID: "c"}))
	rec := httptest.NewRecorder()
	keys.JWKSHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	set, _, err := jwtauth.ParseJWKSet(rec.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	// A verifier takes a key that names no algorithm for the first that fits.
	for name, source := range map[string]jwtauth.KeySource{"here": keys, "elsewhere": must(jwtauth.NewStaticKeys(set[0], set[1:]...))} {
		v := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
			Issuer: testIssuer, Audiences: []string{testAudience}, Keys: source, Now: clock.Now,
			Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA, jwtauth.RS256, jwtauth.PS256},
		}))
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("verified %s: %v", name, err)
		}
	}
}

func TestAPublishedKeyIsRotatedToOnlyIfItIsTheSame(t *testing.T) {
	private := must(rsa.GenerateKey(rand.Reader, 2048))
	signing := func(alg jwtauth.Algorithm) *jwtauth.SigningKey {
		return must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: alg, Signer: private}))
	}
	next := signing(jwtauth.PS256)
	for name, published := range map[string]*jwtauth.Key{
		"another key of that ID":   withoutAlgorithm(t, newTestKey(t, jwtauth.RS256), next.ID()),
		"it for another algorithm": signing(jwtauth.RS256).VerificationKey(),
	} {
		keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
			Current: newTestKey(t, jwtauth.EdDSA), Published: []*jwtauth.Key{published},
		}))
		if err := keys.Rotate(next); err == nil || !strings.Contains(err.Error(), "in the set already") {
			t.Errorf("published %s: %v", name, err)
		}
	}
}

// withoutAlgorithm returns the public half of a key as a JWK without "alg" says
// it.
func withoutAlgorithm(t testing.TB, key *jwtauth.SigningKey, id string) *jwtauth.Key {
	t.Helper()
	rec := httptest.NewRecorder()
	must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key})).JWKSHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(rec.Body.Bytes(), &set); err != nil || len(set.Keys) != 1 {
		t.Fatal(err, len(set.Keys))
	}
	jwk := set.Keys[0]
	delete(jwk, "alg")
	jwk["kid"] = id
	return must(jwtauth.ParseJWK(must(json.Marshal(jwk))))
}

// A published key that may serve one issuer serves no other once it signs.
func TestRule2_APublishedKeyOfOneIssuerStaysSo(t *testing.T) {
	clock := newTestClock()
	next := newTestKey(t, jwtauth.PS256)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current:   newTestKey(t, jwtauth.EdDSA),
		Published: []*jwtauth.Key{jwtauth.Restrict(withoutAlgorithm(t, next, next.ID()), "https://other.example")},
		Now:       clock.Now,
	}))
	must(0, keys.Rotate(next))
	clock.Advance(10 * time.Minute)
	if key := must(keys.Key(t.Context(), next.ID(), jwtauth.PS256)); key.Issuer() != "https://other.example" {
		t.Errorf("it serves %q", key.Issuer())
	}
}

func TestJWKSHandlerNeverServesSecrets(t *testing.T) {
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.HS256)}))
	if ids, _ := fetchKeyIDs(t, keys.JWKSHandler()); len(ids) != 0 {
		t.Errorf("published %q", ids)
	}
}

func TestJWKSHandlerSpeaksHTTP(t *testing.T) {
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.ES256), Ahead: 2 * time.Minute}))
	h := keys.JWKSHandler()
	_, resp := fetchKeyIDs(t, h)
	if got := resp.Header.Get("Content-Type"); got != "application/jwk-set+json" {
		t.Errorf("content type %q", got)
	}
	if got := resp.Header.Get("Cache-Control"); got != "public, max-age=60" {
		t.Errorf("cache control %q; a new key must be known before it signs", got)
	}
	again := httptest.NewRequest("GET", "/", nil)
	again.Header.Set("If-None-Match", resp.Header.Get("ETag"))
	rec := httptest.NewRecorder()
	if h.ServeHTTP(rec, again); rec.Code != http.StatusNotModified || rec.Body.Len() != 0 {
		t.Errorf("answer to the same ETag: %d with %d bytes", rec.Code, rec.Body.Len())
	}
	rec = httptest.NewRecorder()
	if h.ServeHTTP(rec, httptest.NewRequest("POST", "/", nil)); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST answered %d", rec.Code)
	}
}

func TestKeysRotateWhileTokensAreSigned(t *testing.T) {
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA), Ahead: time.Millisecond}))
	issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: "https://auth.example", Audiences: []string{"api"}, Keys: keys, Lifetime: time.Minute,
	}))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				token, err := issuer.Issue(context.Background(), authctx.Attributes{Subject: "u", ClientID: "c"})
				if err != nil {
					t.Error(err)
					return
				}
				kid := tokenHeader(t, token)["kid"].(string)
				if _, err := keys.Key(context.Background(), kid, jwtauth.EdDSA); err != nil {
					t.Errorf("a fresh token's key is not published: %v", err)
				}
			}
		})
	}
	for range 10 {
		if err := keys.Rotate(newTestKey(t, jwtauth.EdDSA)); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestWhatIsPublishedIsReadBackAsTheSameKeys(t *testing.T) {
	for _, alg := range []jwtauth.Algorithm{
		jwtauth.RS256, jwtauth.RS512, jwtauth.PS256, jwtauth.PS384, jwtauth.ES256, jwtauth.ES384, jwtauth.ES512, jwtauth.EdDSA,
	} {
		key := newTestKey(t, alg)
		keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key}))
		rec := httptest.NewRecorder()
		keys.JWKSHandler().ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		read, skipped, err := jwtauth.ParseJWKSet(rec.Body.Bytes())
		if err != nil || len(skipped) != 0 || len(read) != 1 || !jwtauth.SameKey(read[0], key.VerificationKey()) {
			t.Errorf("%s: %v, skipped %v, %v", alg, read, skipped, err)
		}
	}
}
