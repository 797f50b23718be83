package jwtauth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx/jwtauth"
)

func TestRule4_CVE_2025_22149_ARemovedKeyStopsVerifyingWithinTheRefreshInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1, 2))
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 10 * time.Minute })
		removed := must(keys.Key(t.Context(), "k1", jwtauth.EdDSA))
		stays := must(keys.Key(t.Context(), "k2", jwtauth.EdDSA))
		for range 20 { // at every point of the schedule
			time.Sleep(7 * time.Minute)
			if removed.Withdrawn() || stays.Withdrawn() {
				t.Fatal("withdrawn while it was published")
			}
		}
		s.serve(edSet(2))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if !removed.Withdrawn() {
			t.Error("what it verified still counts")
		}
		if stays.Withdrawn() {
			t.Error("the other key went with it")
		}
		wantFind(t, keys, "k1", "unknown_key")
		if again := must(keys.Key(t.Context(), "k2", jwtauth.EdDSA)); again != stays {
			t.Error("a key that stayed is another Key now")
		}
	})
}

func TestRule4_CVE_2025_22149_ARemovedKeyStopsVerifyingInTimeWithASlowProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1, 2))
		s.delay = 4 * time.Second
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 10 * time.Second })
		for s.fetches() < 20 {
			time.Sleep(time.Second)
		}
		keys.Close()
		for _, gap := range s.gaps() {
			if gap > 10*time.Second || gap < 9*time.Second {
				t.Errorf("%v from one load to the next", gap)
			}
		}
	})
}

func TestRule4_AProviderSlowerThanTheRefreshIntervalIsNotAskedWithoutAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.delay = 2 * time.Second
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = time.Second })
		time.Sleep(time.Minute)
		keys.Close()
		for _, gap := range s.gaps() {
			if gap != s.delay+100*time.Millisecond {
				t.Errorf("%v from one load to the next", gap)
			}
		}
	})
}

// A load that drops a key proves that it is gone, though nobody had asked for it
// while it was unknown.
func TestRule4_AKeyThatALoadRemovedIsUnknownAtOnce(t *testing.T) {
	t.Run("a load that a request caused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(edSet(1))
			keys := keysFrom(t, s)
			synctest.Wait()
			s.serve(edSet(2))
			wantFind(t, keys, "k2", "found")
			for range 5 {
				wantFind(t, keys, "k1", "unknown_key")
				time.Sleep(2*time.Second - 1)
			}
			if s.fetches() != 2 {
				t.Errorf("%d fetches", s.fetches())
			}
		})
	})
	t.Run("a load that came by itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(edSet(1))
			keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = time.Minute })
			synctest.Wait()
			s.serve(edSet(2))
			for s.fetches() < 2 {
				time.Sleep(100 * time.Millisecond)
			}
			s.serve(edSet(2, 3))
			wantFind(t, keys, "k1", "unknown_key")
			if s.fetches() != 2 {
				t.Errorf("%d fetches", s.fetches())
			}
			wantFind(t, keys, "k3", "found") // whose fetch nothing has used up
			wantFind(t, keys, "k1", "unknown_key")
		})
	})
	t.Run("keys that were only too old", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(edSet(1))
			keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.MaxStale = time.Hour })
			synctest.Wait()
			s.change(func(s *keyServer) { s.down = true })
			time.Sleep(2 * time.Hour)
			wantFind(t, keys, "k1", "unavailable")
		})
	})
}
