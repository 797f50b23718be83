package jwtauth

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Traefik joined requests by a key in which two of them looked the same. Ours
// has parts, and a difference in any of them is a flight of its own.
func TestCVE_2026_71326_AFlightIsOfOneTokenOneKeyAndOneSetOfRules(t *testing.T) {
	c := newTokenCache(CacheConfig{MaxEntries: 2}.withDefaults()) // one shard
	policy, key := new(issuerPolicy), new(Key)
	flight, leader := c.join(digest{31: 1}, policy, key)
	if !leader {
		t.Fatal("the first does not lead")
	}
	for name, tc := range map[string]struct {
		digest digest
		policy *issuerPolicy
		key    *Key
	}{
		"another token": {digest{31: 2}, policy, key},
		"other rules":   {digest{31: 1}, new(issuerPolicy), key},
		"another key":   {digest{31: 1}, policy, new(Key)},
	} {
		if _, leads := c.join(tc.digest, tc.policy, tc.key); !leads {
			t.Errorf("%s waits for this one", name)
		}
	}
	if joined, leads := c.join(digest{31: 1}, policy, key); leads || joined != flight {
		t.Error("the same does not wait")
	}
}

func TestAFlightIsUsedAgainOnlyIfNobodyWaitedForIt(t *testing.T) {
	c := newTokenCache(CacheConfig{MaxEntries: 2}.withDefaults())
	policy, key := new(issuerPolicy), new(Key)
	join := func() *flight {
		fl, _ := c.join(digest{1}, policy, key)
		return fl
	}
	alone := join()
	alone.found, alone.err = &verified{}, nil
	c.finish(alone)
	if *alone != (flight{}) {
		t.Error("a flight that is over keeps what it found")
	}
	waited := join()
	if waited != alone {
		t.Error("a flight that nobody waited for is not used again")
	}
	join()
	c.finish(waited)
	if waited.err != errAborted || join() == waited {
		t.Error("a flight is taken from those who waited for it")
	}
}

func TestUnlessToldOtherwiseTheCacheHoldsWhatItsCommentSays(t *testing.T) {
	bounds := CacheConfig{}.withDefaults()
	if want := (CacheConfig{MaxEntries: 65_536, MaxBytes: 64 << 20, MaxAge: 10 * time.Minute}); bounds != want {
		t.Errorf("%+v, want %+v", bounds, want)
	}
	c := newTokenCache(bounds)
	c.start.Do(c.makeShards)
	entries, size := 0, 0
	for i := range c.shards { // of two generations each
		entries, size = entries+2*c.shards[i].maxEntries, size+2*c.shards[i].maxBytes
	}
	if len(c.shards) < 16 || entries != bounds.MaxEntries || size != bounds.MaxBytes {
		t.Errorf("%d shards hold %d entries and %d bytes", len(c.shards), entries, size)
	}
}

// What was hashed, checked or signed is gone from the memory that is used again.
func TestNoTokenStaysInABuffer(t *testing.T) {
	key, err := NewHMACKey("k", HS256, bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := GenerateSigningKey(EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	cache := newTokenCache(CacheConfig{}.withDefaults())
	for name, use := range map[string]func(){
		"digest": func() { cache.hash.sum("header.payload.signature") },
		"check":  func() { key.verifies(HS256, "header.payload", make([]byte, 32)) },
		"sign":   func() { _, _ = signer.signToken("JWT", []byte(`{"sub":"alice"}`), "") },
	} {
		left := usedBuffer(t, use)
		if len(bytes.Trim(left, "\xff\x00")) > 0 {
			t.Errorf("%s leaves %q", name, bytes.Trim(left, "\xff\x00"))
		}
	}
}

// usedBuffer returns a buffer of 0xff after use has used it.
func usedBuffer(t *testing.T, use func()) []byte {
	t.Helper()
	for range 1000 { // a pool may give another
		b := []byte(strings.Repeat("\xff", 2048))
		whole := b[:0]
		tokenBuffers.Get() // which would be given again first
		tokenBuffers.Put(&whole)
		if use(); b[0] != 0xff {
			return b
		}
	}
	t.Fatal("no buffer of the pool was used")
	return nil
}
