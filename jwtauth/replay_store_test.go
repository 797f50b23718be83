package jwtauth_test

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authctx/authctx/jwtauth"
)

func replayKey(i int) [32]byte { return sha256.Sum256(binary.AppendVarint(nil, int64(i))) }

func TestMemoryReplayStoreForgetsWhatHasEndedAndNothingElse(t *testing.T) {
	now := testNow
	m := &jwtauth.MemoryReplayStore{Now: func() time.Time { return now }}
	use := func(i int, life time.Duration, want bool) {
		t.Helper()
		if fresh, err := m.Use(t.Context(), replayKey(i), now.Add(life)); fresh != want || err != nil {
			t.Errorf("key %d: %v, %v", i, fresh, err)
		}
	}
	use(1, 30*time.Second, true)
	use(2, 10*time.Second, true)
	use(3, 20*time.Second, true)
	use(2, 10*time.Second, false)
	now = now.Add(10*time.Second - 1)
	use(2, 10*time.Second, false)
	now = now.Add(1)
	use(3, time.Second, false)
	if m.Len() != 2 {
		t.Errorf("%d keys", m.Len())
	}
	use(2, time.Second, true)
	now = now.Add(time.Hour)
	use(4, 0, false) // what has ended cannot be remembered
	if m.Len() != 0 {
		t.Errorf("%d keys", m.Len())
	}
}

// A proof ends by the clock of whoever verifies it: set back, it would be good again.
func TestMemoryReplayStoreRemembersWhenTheClockIsSetBack(t *testing.T) {
	now := testNow
	m := &jwtauth.MemoryReplayStore{Now: func() time.Time { return now }}
	use := func(i int, until time.Time, want bool) {
		t.Helper()
		if fresh, err := m.Use(t.Context(), replayKey(i), until); fresh != want || err != nil {
			t.Errorf("key %d: %v, %v", i, fresh, err)
		}
	}
	end := now.Add(time.Minute)
	use(1, end, true)
	now = end
	use(2, now.Add(time.Minute), true)
	if m.Len() != 1 {
		t.Fatalf("%d keys", m.Len())
	}
	now = now.Add(-15 * time.Second)
	use(1, end, false)
	use(3, end.Add(1), true) // what is made now ends later
}

func TestMemoryReplayStoreFailsRatherThanForget(t *testing.T) {
	now := testNow
	m := &jwtauth.MemoryReplayStore{MaxEntries: 3, Now: func() time.Time { return now }}
	for i := range 3 {
		if fresh, err := m.Use(t.Context(), replayKey(i), now.Add(time.Duration(i+1)*time.Second)); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
	}
	if fresh, err := m.Use(t.Context(), replayKey(9), now.Add(time.Second)); fresh || err == nil {
		t.Errorf("a full memory says %v, %v", fresh, err)
	}
	if fresh, err := m.Use(t.Context(), replayKey(0), now.Add(time.Second)); fresh || err != nil {
		t.Errorf("a full memory says %v, %v to a replay", fresh, err)
	}
	now = now.Add(time.Second)
	if fresh, err := m.Use(t.Context(), replayKey(9), now.Add(time.Second)); !fresh || err != nil {
		t.Errorf("after one has ended: %v, %v", fresh, err)
	}
}

func TestMemoryReplayStoreIsFreshForExactlyOneOfMany(t *testing.T) {
	m := &jwtauth.MemoryReplayStore{Now: func() time.Time { return testNow }}
	var fresh atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				if ok, err := m.Use(t.Context(), replayKey(i), testNow.Add(time.Minute)); err == nil && ok {
					fresh.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if fresh.Load() != 1000 || m.Len() != 1000 {
		t.Errorf("%d of 1000 keys were fresh, %d are remembered", fresh.Load(), m.Len())
	}
}

func BenchmarkMemoryReplayStore(b *testing.B) {
	now := testNow
	m := &jwtauth.MemoryReplayStore{Now: func() time.Time { return now }}
	i := 0
	for b.Loop() {
		now = now.Add(time.Millisecond) // a steady state of 90,000 keys
		if fresh, err := m.Use(b.Context(), replayKey(i), now.Add(90*time.Second)); !fresh || err != nil {
			b.Fatal(fresh, err)
		}
		i++
	}
}
