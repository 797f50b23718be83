package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

const otherJWKSURL = "https://job.example/jwks"

// joined returns the keys of two providers as one source.
func joined(t testing.TB, a, b *keyServer) (keys jwtauth.KeySource, ofA *jwtauth.RemoteKeys) {
	t.Helper()
	ofA = keysFrom(t, a)
	ofB := keysFrom(t, b, func(c *jwtauth.RemoteKeysConfig) { c.JWKSURL = otherJWKSURL })
	return must(jwtauth.JoinKeys(ofA, ofB)), ofA
}

func TestJoinedKeysAreThoseOfAllSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, _ := joined(t, newKeyServer(edSet(1)), newKeyServer(edSet(2)))
		synctest.Wait()
		for id, want := range map[string]string{"k1": "found", "k2": "found", "k3": "unknown_key", "": "unknown_key"} {
			wantFind(t, keys, id, want)
		}
	})
}

func TestOfTwoJoinedKeysWithOneIDTheFirstCounts(t *testing.T) {
	a := must(jwtauth.NewStaticKeys(must(jwtauth.NewPublicKey("k", "", edKey(1)))))
	b := must(jwtauth.NewStaticKeys(must(jwtauth.NewPublicKey("k", "", edKey(2)))))
	if key := must(must(jwtauth.JoinKeys(a, b)).Key(t.Context(), "k", jwtauth.EdDSA)); !jwtauth.HasMaterial(key, edKey(1)) {
		t.Errorf("got %v", key)
	}
}

// Neither a key that is at hand nor one that must be loaded waits for a provider
// that hangs; only what that one could still bring does.
func TestRule4_AProviderThatHangsDoesNotHoldUpTheKeysOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging, good := newKeyServer(edSet(1)), newKeyServer(edSet(2))
		keys, _ := joined(t, hanging, good)
		wantFind(t, keys, "k1", "found")
		wantFind(t, keys, "k2", "found")
		time.Sleep(time.Minute)
		hanging.change(func(s *keyServer) { s.hang = make(chan struct{}) })
		good.serve(edSet(2, 3))
		before := time.Now()
		for _, id := range []string{"k1", "k2", "k3"} {
			wantFind(t, keys, id, "found")
		}
		if waited := time.Since(before); waited != 0 {
			t.Errorf("waited %v", waited)
		}
		if allocs := testing.AllocsPerRun(100, func() { findKey(keys, "k3") }); allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
		wantFind(t, keys, "k4", "unavailable")
		if waited := time.Since(before); waited > 5*time.Second {
			t.Errorf("waited %v", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if got := keyOutcome(keys.Key(ctx, "k5", jwtauth.EdDSA)); got != "unavailable" {
			t.Errorf("at the deadline: %s", got)
		}
	})
}

func TestRule4_AJoinedKeyIsUnknownOnlyWhenNoSourceMayHaveIt(t *testing.T) {
	answer := func(key *jwtauth.Key, err error) jwtauth.KeySource {
		return keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) { return key, err })
	}
	key, other := must(jwtauth.NewPublicKey("k", "", edKey(1))), must(jwtauth.NewPublicKey("other", "", edKey(2)))
	has, unknown := answer(key, nil), answer(nil, authctx.UnknownKey)
	down := answer(nil, &authctx.Error{Reason: authctx.Unavailable, Cause: errors.New("down"), RetryAfter: time.Hour})
	broken := answer(nil, &authctx.Error{Reason: authctx.NoCredentials, Cause: errors.New("broken"), RetryAfter: time.Minute})
	_, err := broken.Key(t.Context(), "", "")
	wraps := answer(nil, fmt.Errorf("vault: %w", err))
	panics := keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) { panic("with a secret") })
	deaf := keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
		time.Sleep(time.Minute)
		return nil, authctx.UnknownKey
	})
	for name, c := range map[string]struct {
		a, b jwtauth.KeySource
		want string
		says []string
		wait time.Duration // RetryAfter
	}{
		"none has it":               {unknown, unknown, "unknown_key", nil, 0},
		"the other has it":          {unknown, has, "found", nil, 0},
		"the other is down":         {has, down, "found", nil, 0},
		"the other panics":          {panics, has, "found", nil, 0},
		"the other is deaf":         {deaf, has, "found", nil, 0},
		"one is down":               {unknown, down, "unavailable", []string{"down"}, time.Hour},
		"one panics":                {unknown, panics, "unavailable", []string{"panic"}, 0},
		"one answers with nothing":  {unknown, answer(nil, nil), "unavailable", []string{"no key"}, 0},
		"one has another key":       {unknown, answer(other, nil), "unknown_key", nil, 0},
		"one without a reason":      {unknown, answer(nil, errors.New("no route")), "unavailable", []string{"no route"}, 0},
		"one with another's reason": {unknown, broken, "unavailable", []string{"broken"}, time.Minute},
		"one of two sources itself": {unknown, answer(nil, errors.Join(authctx.UnknownKey, authctx.Unavailable)), "unavailable", nil, 0},
		"one wraps it":              {unknown, wraps, "unavailable", []string{"vault", "broken"}, time.Minute},
		"both":                      {broken, down, "unavailable", []string{"broken", "down"}, time.Minute},
		"one is deaf and has none":  {unknown, deaf, "unknown_key", nil, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			before := time.Now()
			key, err := must(jwtauth.JoinKeys(c.a, c.b)).Key(t.Context(), "k", jwtauth.EdDSA)
			if got := keyOutcome(key, err); got != c.want {
				t.Errorf("%s: got %s, want %s", name, got, c.want)
			}
			if c.want == "found" && time.Since(before) != 0 {
				t.Errorf("%s: waited", name)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s: %v does not say %s", name, err, text)
				}
			}
			if e, _ := errors.AsType[*authctx.Error](err); c.wait > 0 && e.RetryAfter != c.wait {
				t.Errorf("%s: come back after %v", name, e.RetryAfter)
			}
			time.Sleep(time.Minute) // until the deaf have answered
		})
	}
}

func TestRule4_AJoinedSourceThatIsDeafHoldsUpNoRequestThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
			return nil, errors.New("no route")
		})
		deaf := keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
			time.Sleep(time.Minute)
			return nil, authctx.UnknownKey
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		_, err := must(jwtauth.JoinKeys(down, deaf)).Key(ctx, "k", jwtauth.EdDSA)
		if authctx.ReasonOf(err) != authctx.Unavailable || !strings.Contains(err.Error(), "no route") || !strings.Contains(err.Error(), "the request ended") {
			t.Error(err)
		}
		if waited := time.Since(before); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
		time.Sleep(time.Minute) // until the deaf has answered
	})
}

func TestRule1_JoinKeysRefusesWhatHasNoKeysOrNoKeyIDs(t *testing.T) {
	good := someKeys()
	secret := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.HS256)}))
	nameless := must(jwtauth.NewStaticKeys(must(jwtauth.NewPublicKey("", "", edKey(1)))))
	for name, source := range map[string]jwtauth.KeySource{
		"nil": nil, "a nil pointer": (*jwtauth.RemoteKeys)(nil), "a source that nobody made": new(jwtauth.RemoteKeys),
		"a static key without ID": nameless, "a secret without ID": secret,
	} {
		if _, err := jwtauth.JoinKeys(good, source); err == nil || !strings.Contains(err.Error(), "jwtauth: joined keys: source 1 ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a verifier asks of its keys it asks of each source.
func TestRule2_JoinedKeysAreJudgedOneByOne(t *testing.T) {
	own := keysFrom(t, newKeyServer(edSet(1)))
	foreign := keysFrom(t, newKeyServer(edSet(1)), func(c *jwtauth.RemoteKeysConfig) { c.JWKSURL, c.Issuer = "", "https://b.example" })
	config := func(issuer string, algorithm jwtauth.Algorithm, a, b jwtauth.KeySource) jwtauth.VerifierConfig {
		return jwtauth.VerifierConfig{Issuer: issuer, Audiences: []string{"a"}, Algorithms: []jwtauth.Algorithm{algorithm}, Keys: must(jwtauth.JoinKeys(a, b))}
	}
	wantError := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say that %s", err, want)
		}
	}
	wantError(errorOf(jwtauth.NewVerifier(config("https://a.example", jwtauth.EdDSA, own, foreign))), `Keys are those of the issuer "https://b.example"`)
	wantError(errorOf(jwtauth.NewVerifier(config("https://a.example", jwtauth.HS256, own, own))), "Algorithms has HS256")
	secret := must(jwtauth.NewStaticKeys(must(jwtauth.NewHMACKey("s", jwtauth.HS256, make([]byte, 32)))))
	a := must(jwtauth.NewVerifier(config("https://a.example", jwtauth.HS256, own, secret)))
	b := must(jwtauth.NewVerifier(config("https://c.example", jwtauth.EdDSA, someKeys(), own)))
	wantError(errorOf(jwtauth.NewMultiVerifier(a, b)), "shares its Keys")
}

// A token that names another issuer makes no source load anything.
func TestRFC8725_3_8_ATokenOfAnotherIssuerIsNotLookedUpInJoinedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newKeyServer(edSet(1)), newKeyServer(edSet(2))
		keys, _ := joined(t, a, b)
		signer := signerFor(t, jwtauth.EdDSA)
		v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = keys })
		synctest.Wait()
		foreign := asJSON(t, goodClaims(map[string]any{"iss": "https://staging.example"}))
		if _, err := v.Verify(t.Context(), signer.compact(t, `{"alg":"EdDSA","kid":"new"}`, foreign)); authctx.ReasonOf(err) != authctx.WrongIssuer {
			t.Error(err)
		}
		if a.fetches() != 1 || b.fetches() != 1 {
			t.Errorf("%d and %d loads", a.fetches(), b.fetches())
		}
	})
}

func TestRFC8725_3_8_ATokenOfAnotherIssuerIsNotLookedUpForAKeyThatEndedByTime(t *testing.T) {
	clock := newTestClock()
	signer := signerFor(t, jwtauth.EdDSA)
	old, next := newTestKey(t, jwtauth.EdDSA), newTestKey(t, jwtauth.EdDSA)
	set := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: old, Ahead: time.Minute, Retain: time.Hour, Now: clock.Now}))
	must(0, set.Rotate(next))
	clock.Advance(3 * time.Hour) // old has ended
	if _, err := set.Key(t.Context(), old.ID(), ""); err == nil {
		t.Fatal("it is there")
	}
	asked := 0
	elsewhere := keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
		asked++
		return nil, authctx.UnknownKey
	})
	v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = must(jwtauth.JoinKeys(set, elsewhere)) })
	foreign := asJSON(t, goodClaims(map[string]any{"iss": "https://staging.example"}))
	for range 5 {
		_, err := v.Verify(t.Context(), signer.compact(t, `{"alg":"EdDSA","kid":"`+old.ID()+`"}`, foreign))
		if authctx.ReasonOf(err) != authctx.WrongIssuer {
			t.Error(err)
		}
	}
	if asked != 0 {
		t.Errorf("the other source was asked %d times about tokens of another issuer", asked)
	}
}

// A storage of somebody else may be slow, and is read once per token, on the
// context of the request.
func TestRule4_JoinedKeysReadAStorageOncePerToken(t *testing.T) {
	signer := signerFor(t, jwtauth.EdDSA)
	for name, held := range map[string]jwtauth.KeySource{
		"static keys":  must(jwtauth.NewStaticKeys(must(jwtauth.NewPublicKey("b", "", edKey(2))))),
		"signing keys": must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)})),
	} {
		storage := &countedStorage{Storage: jwkset.NewMemoryStorage()}
		must(0, storage.KeyWrite(t.Context(), must(jwkset.NewJWKFromKey(edKey(1), jwkset.JWKOptions{
			Metadata: jwkset.JWKMetadataOptions{KID: "k"},
		}))))
		ofKeyfunc := must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: storage}))))
		must(ofKeyfunc.Key(t.Context(), "k", jwtauth.EdDSA))
		v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = must(jwtauth.JoinKeys(ofKeyfunc, held)) })
		before := storage.reads
		_, _ = v.Verify(t.Context(), signer.compact(t, `{"alg":"EdDSA","kid":"k"}`, asJSON(t, goodClaims(nil))))
		if n := storage.reads - before; n != 1 {
			t.Errorf("%s: %d reads", name, n)
		}
	}
}

// countedStorage counts how often a key is read.
type countedStorage struct {
	jwkset.Storage
	reads int
}

func (s *countedStorage) KeyRead(ctx context.Context, keyID string) (jwkset.JWK, error) {
	s.reads++
	return s.Storage.KeyRead(ctx, keyID)
}

// Two programs mint for one trust domain, and each with keys of its own: what
// one of them withdraws stops counting, cached tokens included, and the tokens of
// the other go on.
func TestRule5_TwoMintersOfATrustDomain(t *testing.T) {
	clock := newTestClock()
	leaked := newTestKey(t, jwtauth.EdDSA)
	minter := func(key *jwtauth.SigningKey) (*jwtauth.SigningKeys, *jwtauth.TxnPropagator) {
		keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key, Now: clock.Now}))
		return keys, must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: "d", Workload: "w", Keys: keys, Now: clock.Now}))
	}
	gatewayKeys, gateway := minter(newTestKey(t, jwtauth.EdDSA))
	jobKeys, job := minter(leaked)
	service := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{
		TrustDomain: "d", Keys: must(jwtauth.JoinKeys(gatewayKeys, jobKeys)), Now: clock.Now,
	}))
	caller := must(authctx.New(authctx.Attributes{Issuer: "i", Subject: "alice", Scopes: []string{"s"}}))
	request := func(minter *jwtauth.TxnPropagator) *authctx.Request {
		fields := map[string][]string{}
		if err := minter.Inject(t.Context(), caller, func(name, value string) { fields[name] = []string{value} }); err != nil {
			t.Fatal(err)
		}
		return &authctx.Request{Fields: authctx.FieldMap(fields)}
	}
	ofGateway, ofJob := request(gateway), request(job)
	for range 2 { // the second time from the cache
		for _, r := range []*authctx.Request{ofGateway, ofJob} {
			if res, err := service.Authenticate(t.Context(), r); err != nil || res.Principal.Subject() != "alice" {
				t.Errorf("%v, %v", res.Principal, err)
			}
		}
	}
	if err := errors.Join(jobKeys.Rotate(newTestKey(t, jwtauth.EdDSA)), jobKeys.Withdraw(leaked.ID())); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Authenticate(t.Context(), ofJob); !errors.Is(err, authctx.UnknownKey) {
		t.Errorf("by a key that was withdrawn: %v", err)
	}
	for name, r := range map[string]*authctx.Request{"the gateway's": ofGateway, "the job's new": request(job)} {
		if _, err := service.Authenticate(t.Context(), r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The race detector is the judge of most of it.
func TestJoinedKeysAreFoundByManyAtOnce(t *testing.T) {
	keys, ofA := joined(t, newKeyServer(edSet(1)), newKeyServer(edSet(2)))
	withKeyfunc := must(jwtauth.JoinKeys(must(jwtauth.KeysFromKeyfunc(ofA.Keyfunc())), keys))
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 100 {
				wantFind(t, keys, "k1", "found")
				wantFind(t, withKeyfunc, "k2", "found")
				findKey(keys, fmt.Sprintf("random-%d-%d", g, i))
			}
		})
	}
	all.Wait()
}

// measured embeds a source, as metrics do.
type measured struct{ *jwtauth.SigningKeys }

func TestAForeignTokenAsksNoSourceOfOnesOwnWhateverItEmbeds(t *testing.T) {
	set := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA)}))
	stranger := signerFor(t, jwtauth.EdDSA).compact(t, `{"alg":"EdDSA","typ":"at+jwt","kid":"strange"}`,
		`{"iss":"https://stranger.example","sub":"x","aud":"https://api.example.com","exp":32503680000}`)
	asked := 0
	own := keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
		asked++
		return nil, authctx.Unavailable
	})
	for name, keys := range map[string]jwtauth.KeySource{
		"beside a set":                 must(jwtauth.JoinKeys(set, own)),
		"beside one that embeds a set": must(jwtauth.JoinKeys(measured{set}, own)),
		"embedding a set":              setAndOwn{set, own},
		"embedding a set, joined":      must(jwtauth.JoinKeys(setAndOwn{set, own}, set)),
	} {
		asked = 0
		v := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
			Issuer: testIssuer, Audiences: []string{testAudience}, Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Keys: keys,
		}))
		if _, err := v.Verify(t.Context(), stranger); !errors.Is(err, authctx.WrongIssuer) || asked > 0 {
			t.Errorf("%s: %v, asked %d times", name, err, asked)
		}
	}
}
