package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestRule5_AKeyOfAKeyfuncThatWasWithdrawnStaysSo(t *testing.T) {
	kf, store := memoryKeyfunc(t, theirs("k1", testEdKey().Public(), nil))
	source := must(jwtauth.KeysFromKeyfunc(kf))
	signer := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = source })
	verify := func(want error) {
		t.Helper()
		if _, err := v.Verify(t.Context(), edToken(t, signer, "k1", 0)); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	verify(nil)
	must(source.Key(t.Context(), "k1", "")).Withdraw()
	verify(authctx.UnknownKey)
	if err := store.KeyWrite(t.Context(), theirs("k2", edKey(2), nil)); err != nil {
		t.Fatal(err)
	}
	wantFind(t, source, "k2", "found")
	verify(authctx.UnknownKey)
	for i, use := range []jwkset.USE{jwkset.UseEnc, jwkset.UseSig} {
		id := fmt.Sprint("k", 3+i)
		change := func(m *jwkset.JWKMetadataOptions) { m.USE = use }
		if err := store.KeyReplaceAll(t.Context(), []jwkset.JWK{theirs("k1", testEdKey().Public(), change), theirs(id, edKey(2), nil)}); err != nil {
			t.Fatal(err)
		}
		wantFind(t, source, id, "found")
		verify(authctx.UnknownKey)
	}
}

func TestRule5_AKeyThatCameBackIsWithdrawnForGoodToo(t *testing.T) {
	kf, store := memoryKeyfunc(t, theirs("k1", edKey(1), nil))
	source := must(jwtauth.KeysFromKeyfunc(kf))
	key := must(source.Key(t.Context(), "k1", ""))
	for _, keys := range [][]jwkset.JWK{nil, {theirs("k1", edKey(1), nil)}} {
		if err := store.KeyReplaceAll(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
		if key.Withdrawn() != (keys == nil) {
			t.Fatalf("of %d keys it is withdrawn: %v", len(keys), key.Withdrawn())
		}
	}
	key.Withdraw()
	if again := must(source.Key(t.Context(), "k1", "")); !again.Withdrawn() {
		t.Error("the key is believed again")
	}
}

// lateStorage holds up one answer about a key until somebody takes it.
type lateStorage struct {
	jwkset.Storage
	late chan chan struct{}
}

func (s *lateStorage) KeyRead(ctx context.Context, id string) (jwkset.JWK, error) {
	key, err := s.Storage.KeyRead(ctx, id)
	select {
	case answered := <-s.late:
		answered <- struct{}{}
		<-answered
	default:
	}
	return key, err
}

// A request that read the storage before a rotation under the same ID must not end
// what goes on with the new key.
func TestRule4_ALateAnswerOfAStorageTakesNoKeyAway(t *testing.T) {
	_, store := memoryKeyfunc(t, theirs("k", edKey(1), nil))
	storage := &lateStorage{store, make(chan chan struct{}, 1)}
	source := must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: storage}))))
	signer := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = source })
	for _, known := range []bool{false, true} { // whether the old key was handed out before
		if err := store.KeyReplaceAll(t.Context(), []jwkset.JWK{theirs("k", edKey(1), nil)}); err != nil {
			t.Fatal(err)
		}
		if known {
			wantFind(t, source, "k", "found")
		}
		answer, done := make(chan struct{}), make(chan *jwtauth.Key)
		storage.late <- answer
		go func() { done <- must(source.Key(context.Background(), "k", "")) }()
		<-answer
		if err := store.KeyReplaceAll(t.Context(), []jwkset.JWK{theirs("k", testEdKey().Public(), nil)}); err != nil {
			t.Fatal(err)
		}
		stream := must(v.VerifyToken(t.Context(), edToken(t, signer, "k", 0)))
		answer <- struct{}{}
		if late := <-done; !late.Withdrawn() && !jwtauth.HasMaterial(late, testEdKey().Public()) {
			t.Error("the old key is believed")
		}
		if err := stream.Recheck(t.Context()); err != nil {
			t.Errorf("after the late answer: %v", err)
		}
		if now := must(source.Key(t.Context(), "k", "")); now.Withdrawn() || !jwtauth.HasMaterial(now, testEdKey().Public()) {
			t.Error("the new key is not believed")
		}
	}
}

// Nor must it undo what somebody said of that one meanwhile.
func TestRule5_ALateAnswerOfAStorageUndoesNoWithdrawal(t *testing.T) {
	for name, before := range map[string][]jwkset.JWK{
		"another key": {theirs("k", edKey(1), nil)},
		"no key":      {},
	} {
		_, store := memoryKeyfunc(t, before...)
		storage := &lateStorage{store, make(chan chan struct{}, 1)}
		source := must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: storage}))))
		answer, done := make(chan struct{}), make(chan struct{})
		storage.late <- answer
		go func() {
			_, _ = source.Key(context.Background(), "k", "")
			close(done)
		}()
		<-answer
		if err := store.KeyReplaceAll(t.Context(), []jwkset.JWK{theirs("k", edKey(2), nil)}); err != nil {
			t.Fatal(err)
		}
		must(source.Key(t.Context(), "k", "")).Withdraw()
		answer <- struct{}{}
		<-done
		if again := must(source.Key(t.Context(), "k", "")); !again.Withdrawn() {
			t.Errorf("after an answer with %s, the key is believed again", name)
		}
	}
}

// brokenStorage is a storage that cannot be read for a while.
type brokenStorage struct {
	jwkset.Storage
	broken atomic.Bool
}

func (s *brokenStorage) KeyReadAll(ctx context.Context) ([]jwkset.JWK, error) {
	if s.broken.Load() {
		return nil, errors.New("out of reach")
	}
	return s.Storage.KeyReadAll(ctx)
}

// A storage loses a key for a moment, in which it is asked for it or has another, and
// has it again. Then somebody withdraws the key, as the source has it.
func TestRule5_WithdrawReachesTheTokensOfAKeyThatAStorageHadLost(t *testing.T) {
	for name, meanwhile := range map[string]jwkset.JWK{
		"no key":                     {},
		"a key of another ID":        theirs("k2", edKey(2), nil),
		"another key of the same ID": theirs("k1", edKey(2), nil),
	} {
		t.Run(name, func(t *testing.T) {
			k1 := theirs("k1", testEdKey().Public(), nil)
			kf, store := memoryKeyfunc(t, k1)
			source, signer := must(jwtauth.KeysFromKeyfunc(kf)), signerFor(t, jwtauth.EdDSA)
			v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = source })
			cached := edToken(t, signer, "k1", 0)
			stream := must(v.VerifyToken(t.Context(), cached))
			if id := meanwhile.Marshal().KID; id != "" {
				must(0, store.KeyReplaceAll(t.Context(), []jwkset.JWK{meanwhile}))
				must(source.Key(t.Context(), id, ""))
			} else {
				must(0, store.KeyReplaceAll(t.Context(), nil))
				if _, err := v.Verify(t.Context(), edToken(t, signer, "k1", 1)); err == nil {
					t.Fatal("a key that the storage has not")
				}
			}
			must(0, store.KeyReplaceAll(t.Context(), []jwkset.JWK{k1}))
			must(v.Verify(t.Context(), edToken(t, signer, "k1", 2)))
			if err := stream.Recheck(t.Context()); err != nil {
				t.Errorf("the stream has ended although the key is back: %v", err)
			}

			must(source.Key(t.Context(), "k1", "")).Withdraw()
			for n, token := range []string{cached, edToken(t, signer, "k1", 3)} {
				if _, err := v.Verify(t.Context(), token); err == nil {
					t.Errorf("token %d counts after the withdrawal of its key", n)
				}
			}
			if err := stream.Recheck(t.Context()); err == nil {
				t.Error("the stream goes on after the withdrawal of its key")
			}
		})
	}
}

// The storage has the key again before it is withdrawn, and the late answer says that
// it has not.
func TestRule5_ALateAbsenceFromAStorageUndoesNoWithdrawal(t *testing.T) {
	k := theirs("k", testEdKey().Public(), nil)
	_, store := memoryKeyfunc(t, k)
	storage := &lateStorage{store, make(chan chan struct{}, 1)}
	source := must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: storage}))))
	signer := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = source })
	must(v.Verify(t.Context(), edToken(t, signer, "k", 0))) // handed out
	must(0, store.KeyReplaceAll(t.Context(), nil))
	answer, done := make(chan struct{}), make(chan struct{})
	storage.late <- answer
	go func() {
		_, _ = source.Key(context.Background(), "k", "")
		close(done)
	}()
	<-answer
	must(0, store.KeyReplaceAll(t.Context(), []jwkset.JWK{k})) // and it has it from here on
	must(source.Key(t.Context(), "k", "")).Withdraw()
	if _, err := v.Verify(t.Context(), edToken(t, signer, "k", 1)); err == nil {
		t.Error("believed right after Withdraw")
	}
	answer <- struct{}{}
	<-done
	if _, err := v.Verify(t.Context(), edToken(t, signer, "k", 2)); err == nil {
		t.Error("a token of the withdrawn key is believed again")
	}
}

func TestRule4_AStorageThatCannotBeReadWithdrawsNothingForGood(t *testing.T) {
	_, store := memoryKeyfunc(t, theirs("k1", testEdKey().Public(), nil))
	storage := &brokenStorage{Storage: store}
	source := must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: storage}))))
	signer := signerFor(t, jwtauth.EdDSA)
	v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = source })
	found, err := v.VerifyToken(t.Context(), edToken(t, signer, "k1", 0))
	if err != nil {
		t.Fatal(err)
	}
	storage.broken.Store(true)
	if err := found.Recheck(t.Context()); authctx.ReasonOf(err) != authctx.Unavailable {
		t.Errorf("out of reach: %v", err)
	}
	storage.broken.Store(false)
	if err := found.Recheck(t.Context()); err != nil {
		t.Errorf("in reach again: %v", err)
	}
}

// A new key makes room for itself, and what left is told by what the storage has.
func TestRule4_ANewKeyOfAStorageThatCannotBeReadTakesNoOtherAway(t *testing.T) {
	_, store := memoryKeyfunc(t, theirs("k1", edKey(1), nil), theirs("k2", edKey(2), nil))
	storage := &brokenStorage{Storage: store}
	source := must(jwtauth.KeysFromKeyfunc(must(keyfunc.New(keyfunc.Options{Storage: storage}))))
	first := must(source.Key(t.Context(), "k1", ""))
	storage.broken.Store(true)
	wantFind(t, source, "k2", "found")
	storage.broken.Store(false)
	if again := must(source.Key(t.Context(), "k1", "")); again != first || first.Withdrawn() {
		t.Errorf("%p is handed out for %p, withdrawn: %v", again, first, first.Withdrawn())
	}
}

// What a provider publishes for something else from now on, or says an algorithm
// of that it cannot have, is a key that left: tokens in the cache count no longer.
func TestRule5_AKeyOfAKeyfuncThatMayNotVerifyAnyMoreHasLeft(t *testing.T) {
	for name, change := range map[string]func(*jwkset.JWKMetadataOptions){
		"another use":                 func(m *jwkset.JWKMetadataOptions) { m.USE = jwkset.UseEnc },
		"other operations":            func(m *jwkset.JWKMetadataOptions) { m.KEYOPS = []jwkset.KEYOPS{jwkset.KeyOpsEncrypt} },
		"an algorithm for encryption": func(m *jwkset.JWKMetadataOptions) { m.ALG = jwkset.AlgRSAOAEP256 },
	} {
		t.Run(name, func(t *testing.T) {
			public, signer := testRSAKey().Public(), signerFor(t, jwtauth.RS256)
			kf, store := memoryKeyfunc(t, theirs("k1", public, nil))
			source := must(jwtauth.KeysFromKeyfunc(kf))
			v := newVerifier(t, signer, func(c *jwtauth.VerifierConfig) { c.Keys = source })
			token := signer.token(t, goodClaims(nil))
			found := must(v.VerifyToken(t.Context(), token))
			if err := store.KeyReplaceAll(t.Context(), []jwkset.JWK{theirs("k1", public, change)}); err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, authctx.UnknownKey) {
				t.Errorf("from the cache: %v", err)
			}
			if err := found.Recheck(t.Context()); !errors.Is(err, authctx.UnknownKey) {
				t.Errorf("a stream: %v", err)
			}
		})
	}
}
