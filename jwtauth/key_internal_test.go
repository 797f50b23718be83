package jwtauth

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"weak"
)

func edKeyFrom(seed byte) *Key {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	key, err := newPublicKey(fmt.Sprint("k", seed), EdDSA, private.Public())
	if err != nil {
		panic(err)
	}
	return key
}

// restating returns a function that makes a Key of the same key each time, of which
// it says that. It does so at once: a race has many rounds.
func restating() func(issuer string) *Key {
	key := edKeyFrom(0)
	return func(issuer string) *Key {
		return &Key{id: key.id, algorithm: key.algorithm, issuer: issuer, material: key.material}
	}
}

// racing runs functions side by side.
func racing(funcs ...func()) {
	var all sync.WaitGroup
	for _, f := range funcs {
		all.Go(f)
	}
	all.Wait()
}

func TestRule5_NoKeyCountsOnceWithdrawHasReturned(t *testing.T) {
	restated := restating()
	t.Run("while the issuer says something else of it", func(t *testing.T) {
		var others []*Key // which take their time
		for n := range 30 {
			others = append(others, edKeyFrom(byte(1+n)))
		}
		others = slices.Clip(others)
		for range 300 {
			r := new(RemoteKeys)
			r.replace(append(others, restated("")))
			key, next := r.known("k0"), append(others, restated("https://other.example"))
			racing(func() { r.replace(next) }, func() {
				for r.known("k0") == key {
					runtime.Gosched()
				}
				key.Withdraw()
				if r.known("k0").stands() == nil {
					t.Error("it counts")
				}
			})
		}
	})
	t.Run("while two sets take it over", func(t *testing.T) {
		for range 2000 {
			public, published, other := restated(""), restated(""), restated("")
			join := func(key *Key) { newRingKey(&SigningKey{public: public}, key, time.Time{}) }
			racing(func() { join(published) }, func() { join(other) }, func() { join(published) }, published.Withdraw)
			for i, key := range []*Key{public, published, other} {
				if key.stands() == nil {
					t.Fatalf("key %d counts for good", i)
				}
			}
		}
	})
}

func TestRule5_WithdrawReturnsNoSoonerWhereAnotherIsUnderWay(t *testing.T) {
	restated := restating()
	for range 300 {
		key := restated("")
		last := key
		for range 100 {
			next := restated("")
			last.join(next)
			last = next
		}
		withdraw := func() {
			if key.Withdraw(); last.stands() == nil {
				t.Error("it counts")
			}
		}
		racing(withdraw, withdraw)
	}
}

func TestAKeyMayBeJoinedWithItself(t *testing.T) {
	key := restating()("")
	key.join(key)
	if err := key.stands(); err != nil {
		t.Error(err)
	}
	if key.Withdraw(); key.stands() == nil {
		t.Error("it counts")
	}
}

// A request may ask for a load at the moment of Close.
func TestALoadThatNobodyCarriesOutAnyMoreIsNotWaitedFor(t *testing.T) {
	r := new(RemoteKeys)
	load := r.begin()
	r.refresh(nil) // it ends
	select {
	case <-load.done:
	default:
		t.Error("who asked for it waits on")
	}
}

// A process that holds a Key, in a stream that lasts, keeps nothing of what is
// said of it since.
func TestRestatedKeysDoNotAddUp(t *testing.T) {
	r, restated := new(RemoteKeys), restating()
	r.replace([]*Key{restated("")})
	first := r.known("k0")
	var between []weak.Pointer[Key]
	for n := range 10 {
		r.replace([]*Key{restated(fmt.Sprint(n))})
		between = append(between, weak.Make(r.known("k0")))
	}
	runtime.GC()
	for n, key := range between[:9] {
		if key.Value() != nil {
			t.Errorf("statement %d is kept", n)
		}
	}
	if first.Withdraw(); r.known("k0").stands() == nil {
		t.Error("it counts")
	}
}
