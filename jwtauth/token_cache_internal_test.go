package jwtauth

import "testing"

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
