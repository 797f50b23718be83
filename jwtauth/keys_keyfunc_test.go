package jwtauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// signed makes a token with golang-jwt; an empty ID makes one without.
func signed(method jwt.SigningMethod, key any, id string) string {
	token := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "alice"})
	if id != "" {
		token.Header["kid"] = id
	}
	return must(token.SignedString(key))
}

func TestTheKeyfuncServesGolangJWT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(jwks(
			jwk("ed", keysEd25519().Public(), jwkMembers{"alg": "Ed25519"}),
			jwk("rsa", &keysRSA().PublicKey, jwkMembers{"alg": "RS256", "use": "sig"}),
			jwk("ec", &keysP256().PublicKey),
			jwk("enc", &keysP384().PublicKey, jwkMembers{"use": "enc"}),
			`{"kty":"oct","kid":"oct","k":"AA"}`,
		))
		kf := keysFrom(t, s).Keyfunc()
		for _, c := range []struct {
			name, token string
			want        error // nil: accepted
		}{
			{"Ed25519", signed(jwt.SigningMethodEdDSA, keysEd25519(), "ed"), nil},
			{"RS256", signed(jwt.SigningMethodRS256, keysRSA(), "rsa"), nil},
			{"ES256", signed(jwt.SigningMethodES256, keysP256(), "ec"), nil},
			{"another algorithm of the same type", signed(jwt.SigningMethodPS256, keysRSA(), "rsa"), keyfunc.ErrKeyfunc},
			{"no key ID", signed(jwt.SigningMethodRS256, keysRSA(), ""), authctx.UnknownKey},
			{"a key for encryption", signed(jwt.SigningMethodES384, keysP384(), "enc"), authctx.UnknownKey},
			{"a symmetric key", unapproved(func() string { return signed(jwt.SigningMethodHS256, []byte{0}, "oct") }), jwkset.ErrKeyNotFound},
			{"another's key", signed(jwt.SigningMethodEdDSA, keysEd25519(), "rsa"), keyfunc.ErrKeyfunc},
		} {
			for name, f := range map[string]jwt.Keyfunc{"Keyfunc": kf.Keyfunc, "KeyfuncCtx": kf.KeyfuncCtx(t.Context())} {
				time.Sleep(10 * time.Second) // the cool-down is another test's matter
				if _, err := jwt.Parse(c.token, f); !errors.Is(err, c.want) {
					t.Errorf("%s, %s: got %v, want %v", c.name, name, err, c.want)
				}
			}
		}
		s.change(func(s *keyServer) { s.down = true })
		time.Sleep(10 * time.Second)
		if _, err := jwt.Parse(signed(jwt.SigningMethodEdDSA, keysEd25519(), "new"), kf.Keyfunc); !errors.Is(err, authctx.Unavailable) || errors.Is(err, jwkset.ErrKeyNotFound) {
			t.Errorf("a provider that is down: %v", err)
		}
	})
}

func TestTheStorageShowsPublicKeysAndCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(jwks(jwk("ed", edKey(1), jwkMembers{"alg": "Ed25519"}), jwk("rsa", &keysRSA().PublicKey)))
		s.delay = time.Second // so that there is a time before the first load
		keys := keysFrom(t, s)
		store := keys.Keyfunc().Storage()
		if all, err := store.KeyReadAll(t.Context()); authctx.ReasonOf(err) != authctx.Unavailable || len(all) != 0 {
			t.Errorf("before the first load: %v, %v", all, err)
		}
		wantFind(t, keys, "ed", "found")
		ctx := t.Context()
		for name, text := range map[string]json.RawMessage{
			"JSON": must(store.JSON(ctx)), "public": must(store.JSONPublic(ctx)), "private": must(store.JSONPrivate(ctx)),
			"options": must(store.JSONWithOptions(ctx, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})),
			"marshal": must(json.Marshal(must(store.Marshal(ctx)))),
			"both":    must(json.Marshal(must(store.MarshalWithOptions(ctx, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})))),
		} {
			got, skipped, err := jwtauth.ParseJWKSet(text)
			if err != nil || len(got) != 2 || len(skipped) != 0 {
				t.Errorf("%s: %v, %v, %v in %s", name, got, skipped, err, text)
			}
		}
		if set := must(keys.Keyfunc().VerificationKeySet(ctx)); len(set.Keys) != 2 {
			t.Errorf("%d keys are for golang-jwt", len(set.Keys))
		}
		j := must(store.KeyRead(ctx, "ed"))
		if m := j.Marshal(); m.ALG != jwkset.AlgEdDSA || m.USE != jwkset.UseSig || m.KID != "ed" {
			t.Errorf("%+v", m)
		}
		if _, err := store.KeyDelete(ctx, "ed"); err == nil {
			t.Error("deleted")
		}
		if store.KeyWrite(ctx, j) == nil || store.KeyReplaceAll(ctx, nil) == nil {
			t.Error("written")
		}
		wantFind(t, keys, "ed", "found")
	})
}

// Whoever calls golang-jwt with these keys, or has a verifier over that, knows
// nothing of what was withdrawn but what the storage says.
func TestRule5_AWithdrawalReachesTheKeyfunc(t *testing.T) {
	signer := signerFor(t, jwtauth.RS256)
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(jwks(jwk("k1", testRSAKey().Public(), jwkMembers{"alg": "RS256"}), jwk("k2", edKey(2))))
		keys := keysFrom(t, s)
		kf := keys.Keyfunc()
		v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = must(jwtauth.KeysFromKeyfunc(kf)) })
		known, other := signer.token(t, goodClaims(nil)), signer.token(t, goodClaims(map[string]any{"jti": "other"}))
		parse := func() error { return errorOf(jwt.Parse(known, kf.Keyfunc, jwt.WithoutClaimsValidation())) }
		must(0, parse())
		stream := must(v.VerifyToken(t.Context(), known))
		must(keys.Key(t.Context(), "k1", jwtauth.RS256)).Withdraw()
		for range 2 {
			for what, err := range map[string]error{
				"golang-jwt":     parse(),
				"a new token":    errorOf(v.Verify(t.Context(), other)),
				"from the cache": errorOf(v.Verify(t.Context(), known)),
				"recheck":        stream.Recheck(t.Context()),
			} {
				if !errors.Is(err, authctx.UnknownKey) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if text := must(kf.Storage().JSON(t.Context())); bytes.Contains(text, []byte("k1")) || !bytes.Contains(text, []byte("k2")) {
				t.Errorf("the storage has %s", text)
			}
			s.serve(jwks(jwk("k1", testRSAKey().Public()), jwk("k2", edKey(2)))) // something else is said of it
			time.Sleep(15 * time.Minute)
		}
	})
}

func memoryKeyfunc(t *testing.T, keys ...jwkset.JWK) (keyfunc.Keyfunc, *jwkset.MemoryJWKSet) {
	t.Helper()
	store := jwkset.NewMemoryStorage()
	if err := store.KeyReplaceAll(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	return must(keyfunc.New(keyfunc.Options{Storage: store})), store
}

func theirs(id string, key any, change func(*jwkset.JWKMetadataOptions)) jwkset.JWK {
	o := jwkset.JWKOptions{Marshal: jwkset.JWKMarshalOptions{Private: true}, Metadata: jwkset.JWKMetadataOptions{KID: id}}
	if change != nil {
		change(&o.Metadata)
	}
	return must(jwkset.NewJWKFromKey(key, o))
}

func TestRule2_KeysFromKeyfuncAreHeldToTheSameRules(t *testing.T) {
	kf, store := memoryKeyfunc(t,
		theirs("rsa", &keysRSA().PublicKey, func(m *jwkset.JWKMetadataOptions) { m.ALG, m.USE = "RS256", "sig" }),
		theirs("ed", edKey(1), nil),
		theirs("enc", &keysP256().PublicKey, func(m *jwkset.JWKMetadataOptions) { m.USE = "enc" }),
		theirs("ops", &keysP256().PublicKey, func(m *jwkset.JWKMetadataOptions) { m.KEYOPS = []jwkset.KEYOPS{"sign"} }),
		theirs("alg", &keysP256().PublicKey, func(m *jwkset.JWKMetadataOptions) { m.ALG = "RS256" }),
		theirs("weak", &keysWeakRSA().PublicKey, nil),
		theirs("private", keysP256(), nil),
		theirs("oct", make([]byte, 64), nil),
		theirs("", edKey(2), nil),
	)
	source := must(jwtauth.KeysFromKeyfunc(kf))
	for id, want := range map[string]string{"rsa": "found", "ed": "found", "enc": "unknown_key", "ops": "unknown_key", "alg": "unknown_key",
		"weak": "unknown_key", "private": "unknown_key", "oct": "unknown_key", "": "unknown_key", "absent": "unknown_key"} {
		wantFind(t, source, id, want)
	}
	if got := keyOutcome(source.Key(t.Context(), "oct", jwtauth.HS256)); got != "unknown_key" {
		t.Errorf("HS256: %s", got)
	}

	rsa, ed := must(source.Key(t.Context(), "rsa", "")), must(source.Key(t.Context(), "ed", ""))
	if again := must(source.Key(t.Context(), "rsa", "")); again != rsa || rsa.Algorithm() != jwtauth.RS256 {
		t.Error("the same key is another Key now")
	}
	// A key that leaves the storage takes with it what it verified, although
	// nobody asks for it again.
	if err := store.KeyReplaceAll(t.Context(), []jwkset.JWK{theirs("ed", edKey(3), nil)}); err != nil {
		t.Fatal(err)
	}
	if !rsa.Withdrawn() || !ed.Withdrawn() {
		t.Error("keys that left are still believed")
	}
	now := must(source.Key(t.Context(), "ed", ""))
	if now.Withdrawn() || !jwtauth.HasMaterial(now, edKey(3)) {
		t.Error("the new key is not believed")
	}
	// One that comes back is believed again.
	for _, n := range []int{1, 3} {
		if err := store.KeyReplaceAll(t.Context(), []jwkset.JWK{theirs("ed", edKey(n), nil)}); err != nil {
			t.Fatal(err)
		}
		wantFind(t, source, "ed", "found")
	}
	if again := must(source.Key(t.Context(), "ed", "")); again.Withdrawn() || !jwtauth.HasMaterial(again, edKey(3)) {
		t.Error("a key that came back is not believed")
	}
}

// oneKeyStorage has the same key, or none, whatever it is asked for.
type oneKeyStorage struct {
	jwkset.Storage
	key jwkset.JWK
	err error
}

func (s oneKeyStorage) KeyRead(context.Context, string) (jwkset.JWK, error) { return s.key, s.err }

func TestRule2_AStorageThatAnswersWithAnotherKeyHasNone(t *testing.T) {
	_, store := memoryKeyfunc(t)
	storage := oneKeyStorage{Storage: store, key: theirs("k1", edKey(1), nil)}
	source := must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: storage}))))
	wantFind(t, source, "k1", "found")
	wantFind(t, source, "k2", "unknown_key")
}

// Such a storage may join what several of [jwtauth.RemoteKeys] say.
func TestRule8_AStorageOfWhichAPartCannotTellIsUnavailable(t *testing.T) {
	_, store := memoryKeyfunc(t)
	none := fmt.Errorf("%w: %w", jwkset.ErrKeyNotFound, &authctx.Error{Reason: authctx.UnknownKey})
	for want, err := range map[string]error{
		"unknown_key": none,
		"unavailable": errors.Join(none, &authctx.Error{Reason: authctx.Unavailable, Cause: errors.New("down")}),
	} {
		storage := oneKeyStorage{Storage: store, err: err}
		wantFind(t, must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: storage})))), "k1", want)
	}
}

func TestKeysFromKeyfuncDoNotAddUpWithRotations(t *testing.T) {
	kf, store := memoryKeyfunc(t)
	source := must(jwtauth.KeysFromKeyfunc(kf))
	for n := range 100 { // nobody asks again about a key that left
		if err := store.KeyReplaceAll(t.Context(), []jwkset.JWK{theirs("stays", edKey(200), nil), theirs(fmt.Sprint(n), edKey(n), nil)}); err != nil {
			t.Fatal(err)
		}
		stays := must(source.Key(t.Context(), "stays", ""))
		wantFind(t, source, fmt.Sprint(n), "found")
		if must(source.Key(t.Context(), "stays", "")) != stays || stays.Withdrawn() {
			t.Fatal("a key that stays is another Key now")
		}
	}
	if n := jwtauth.HandedOut(source); n != 2 {
		t.Errorf("%d keys are kept for 2", n)
	}
}

func TestRule1_KeysFromKeyfuncNeedOne(t *testing.T) {
	if s, err := jwtauth.KeysFromKeyfunc(nil); err == nil {
		t.Errorf("got %v", s)
	}
}

// A storage that blocks, as jwkset's does in its limiter, is given five seconds
// and no word of the request's end, so that a client cannot cut a load short.
func TestRule4_KeysFromKeyfuncAreBoundedAndDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: slowStorage{jwkset.NewMemoryStorage()}}))))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		if got := keyOutcome(source.Key(ctx, "k", "")); got != "unavailable" {
			t.Errorf("got %s", got)
		}
		if waited := time.Since(before); waited != 5*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

// Whoever has the token already waits no longer than a second for the answer
// whether its key is still there, and another when the token is verified anew.
func TestRule4_AStorageThatHangsHoldsUpATokenInTheCacheForABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, store := memoryKeyfunc(t, theirs("k1", testEdKey().Public(), nil))
		storage := &hangingStorage{Storage: store}
		source := must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: storage}))))
		signer := signerFor(t, jwtauth.EdDSA)
		v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = source })
		found, err := v.VerifyToken(t.Context(), edToken(t, signer, "k1", 0))
		if err != nil {
			t.Fatal(err)
		}
		storage.hangs = true
		before := time.Now()
		if err := found.Recheck(t.Context()); authctx.ReasonOf(err) != authctx.Unavailable {
			t.Error(err)
		}
		if waited := time.Since(before); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
		var all sync.WaitGroup
		before = time.Now()
		for range 100 {
			all.Go(func() {
				if _, err := v.Verify(t.Context(), edToken(t, signer, "k1", 0)); authctx.ReasonOf(err) != authctx.Unavailable {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if waited := time.Since(before); waited != 2*time.Second {
			t.Errorf("100 requests waited %v", waited)
		}
	})
}

// hangingStorage answers for single keys only while it hangs.
type hangingStorage struct {
	jwkset.Storage
	hangs bool
}

func (s *hangingStorage) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	if s.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Storage.KeyReadAll(ctx)
}

type slowStorage struct{ jwkset.Storage }

func (slowStorage) KeyRead(ctx context.Context, _ string) (jwkset.JWK, error) {
	<-ctx.Done()
	return jwkset.JWK{}, ctx.Err()
}

// Our keys through the adapter out and back in: nothing gets lost on the way,
// least of all the difference between "no such key" and "nobody could tell".
func TestRemoteKeysSurviveTheRoundTripThroughKeyfunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		source := must(jwtauth.KeysFromKeyfunc(keysFrom(t, s).Keyfunc()))
		wantFind(t, source, "k1", "found")
		wantFind(t, source, "k2", "unknown_key")
		s.change(func(s *keyServer) { s.down = true })
		time.Sleep(time.Minute)
		wantFind(t, source, "k3", "unavailable")
	})
}

// What is relied on in keyfunc, and what it is wrapped for.
func TestWhatIsReliedOnInKeyfunc(t *testing.T) {
	kf, _ := memoryKeyfunc(t, theirs("rsa", &keysRSA().PublicKey, func(m *jwkset.JWKMetadataOptions) { m.ALG = "RS256" }))
	if _, err := jwt.Parse(signed(jwt.SigningMethodPS256, keysRSA(), "rsa"), kf.Keyfunc); !errors.Is(err, keyfunc.ErrKeyfunc) {
		t.Errorf("a key's algorithm is no longer enforced: %v", err)
	}
	if _, err := jwt.Parse(signed(jwt.SigningMethodPS256, keysRSA(), ""), kf.Keyfunc); err != nil {
		t.Errorf("a token without a key ID no longer tries all keys, so the wrapper can go: %v", err)
	}
}
