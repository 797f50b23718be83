package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestRule1_RemoteKeysSayEverythingThatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  jwtauth.RemoteKeysConfig
		want []string
	}{
		"nothing":                              {jwtauth.RemoteKeysConfig{}, []string{"one of Issuer and JWKSURL"}},
		"both":                                 {jwtauth.RemoteKeysConfig{Issuer: "https://a.example", JWKSURL: jwksURL}, []string{"exclude"}},
		"http":                                 {jwtauth.RemoteKeysConfig{JWKSURL: "http://a.example/jwks"}, []string{"JWKSURL", "not https"}},
		"http, spelled so that proxies see it": {jwtauth.RemoteKeysConfig{JWKSURL: "http://LOCALHOST/jwks"}, []string{"JWKSURL", "not https"}},
		"http, in":                             {jwtauth.RemoteKeysConfig{Issuer: "http://10.0.0.1"}, []string{"Issuer", "not https", "InsecureAllowHTTP"}},
		"file":                                 {jwtauth.RemoteKeysConfig{JWKSURL: "file:///etc/passwd"}, []string{"JWKSURL"}},
		"relative":                             {jwtauth.RemoteKeysConfig{JWKSURL: "/jwks"}, []string{"JWKSURL"}},
		"garbage":                              {jwtauth.RemoteKeysConfig{JWKSURL: "https://\x7f"}, []string{"JWKSURL", "not a URL"}},
		"user":                                 {jwtauth.RemoteKeysConfig{JWKSURL: "https://u:secret@a.example/"}, []string{"user name"}},
		"fragment":                             {jwtauth.RemoteKeysConfig{JWKSURL: "https://a.example/#"}, []string{"fragment"}},
		"space":                                {jwtauth.RemoteKeysConfig{JWKSURL: "https://a.example/jwks "}, []string{"JWKSURL", "without a space at either end"}},
		"a character that is not seen":         {jwtauth.RemoteKeysConfig{Issuer: "https://a.example/\u200b"}, []string{"Issuer", "cannot be seen"}},
		"port 0":                               {jwtauth.RemoteKeysConfig{JWKSURL: "https://a.example:0/jwks"}, []string{"JWKSURL", "a port that cannot be"}},
		"port 65536":                           {jwtauth.RemoteKeysConfig{Issuer: "https://a.example:65536"}, []string{"Issuer", "a port that cannot be"}},
		"another name":                         {jwtauth.RemoteKeysConfig{Issuer: "https://a.example", MetadataIssuer: "https://b.example\n"}, []string{"MetadataIssuer", "cannot be seen"}},
		"query":                                {jwtauth.RemoteKeysConfig{Issuer: "https://a.example?x"}, []string{"query"}},
		"lone":                                 {jwtauth.RemoteKeysConfig{JWKSURL: jwksURL, MetadataIssuer: "x"}, []string{"MetadataIssuer needs Issuer"}},
		"durations":                            {jwtauth.RemoteKeysConfig{RefreshInterval: -1, CoolDown: -1, Timeout: -1, MaxStale: -1, MaxKeys: -1}, []string{"Issuer", "RefreshInterval", "CoolDown", "Timeout", "MaxStale", "MaxKeys"}},
		"too often":                            {jwtauth.RemoteKeysConfig{JWKSURL: jwksURL, RefreshInterval: 1}, []string{"RefreshInterval"}},
		"too much":                             {jwtauth.RemoteKeysConfig{JWKSURL: jwksURL, MaxBytes: math.MaxInt64}, []string{"MaxBytes"}},
		"too stale":                            {jwtauth.RemoteKeysConfig{JWKSURL: jwksURL, MaxStale: time.Minute}, []string{"MaxStale"}},
	} {
		keys, err := jwtauth.NewRemoteKeys(c.cfg)
		if err == nil {
			keys.Close()
			t.Errorf("%s: taken", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", name, err, want)
			}
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRemoteKeysAreFoundByTheirIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(jwks(jwk("rsa", &keysRSA().PublicKey, map[string]any{"alg": "RS256", "use": "sig"}), jwk("ec", &keysP384().PublicKey), jwk("ed", edKey(1))))
		keys := keysFrom(t, s)
		for id, want := range map[string]jwtauth.Algorithm{"rsa": jwtauth.RS256, "ec": jwtauth.ES384, "ed": jwtauth.EdDSA} {
			key, err := keys.Key(t.Context(), id, want)
			if err != nil || key.ID() != id || key.Algorithm() != want {
				t.Errorf("%s: got %v, %v", id, key, err)
			}
		}
		if s.fetches() != 1 {
			t.Errorf("%d fetches", s.fetches())
		}
		st := keys.Stats()
		if st.Keys != 3 || st.Loads != 1 || st.Failures != 0 || st.LastError != nil || len(st.Skipped) != 0 || st.Age != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestRule4_AKnownKeyIsFoundWhileALoadHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")
		s.change(func(s *keyServer) { s.hang = make(chan struct{}) })
		go findKey(keys, "unknown")
		synctest.Wait()
		if s.fetches() != 2 {
			t.Fatal("no load hangs")
		}
		before := time.Now()
		for range 10_000 {
			wantFind(t, keys, "k1", "found")
		}
		if allocs := testing.AllocsPerRun(100, func() { findKey(keys, "k1") }); allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
		if time.Since(before) != 0 {
			t.Errorf("it took %v", time.Since(before))
		}
		keys.WhileLocked(func() { wantFind(t, keys, "k1", "found") })
	})
}

func TestRule4_NoRequestWaitsBeyondItsDeadlineOrTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.hang = make(chan struct{})
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.Timeout = 3 * time.Second })
		for _, c := range []struct{ deadline, want time.Duration }{
			{50 * time.Millisecond, 50 * time.Millisecond},
			{time.Hour, 3 * time.Second},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
			before := time.Now()
			key, err := keys.Key(ctx, "k1", jwtauth.EdDSA)
			if got := keyOutcome(key, err); got != "unavailable" {
				t.Errorf("got %s", got)
			}
			if waited := time.Since(before); waited > c.want {
				t.Errorf("waited %v, want at most %v", waited, c.want)
			}
			if e, ok := errors.AsType[*authctx.Error](err); !ok || e.RetryAfter < time.Second {
				t.Errorf("no RetryAfter: %v", err)
			}
			cancel()
		}
	})
}

func TestRule4_OneMoreWaiterThanTheBoundIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.hang = make(chan struct{})
		keys := keysFrom(t, s)
		var refused, found atomic.Int32
		var all sync.WaitGroup
		before := time.Now()
		for range 1500 {
			all.Go(func() {
				switch got := findKey(keys, "k1"); {
				case got == "found":
					found.Add(1)
				case got == "unavailable" && time.Since(before) == 0:
					refused.Add(1)
				default:
					t.Error(got)
				}
			})
		}
		synctest.Wait()
		time.Sleep(time.Second)
		close(s.hang)
		all.Wait()
		if found.Load() != 1000 || refused.Load() != 500 {
			t.Errorf("%d found, %d refused", found.Load(), refused.Load())
		}
	})
}

func TestRule4_KeySet_KeyRotation_200ConcurrentRequestsLoseNoneAndCostAtMost2Fetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")
		for round := range 5 {
			n := round + 2
			s.serve(edSet(n-1, n))
			before := s.fetches()
			s.change(func(s *keyServer) { s.hang = make(chan struct{}) })
			var all sync.WaitGroup
			for range 200 {
				all.Go(func() { wantFind(t, keys, fmt.Sprintf("k%d", n), "found") })
			}
			synctest.Wait()
			s.change(func(s *keyServer) { close(s.hang); s.hang = nil })
			all.Wait()
			if got := s.fetches() - before; got > 2 {
				t.Errorf("rotation %d cost %d fetches", round, got)
			}
			time.Sleep(time.Minute)
		}
	})
}

// The load that is under way when the first new token comes began before the
// rotation, so that it cannot bring the key; a second one does.
func TestRule4_KeySet_KeyRotation_DuringABackgroundLoadLosesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		release := make(chan struct{})
		s.hang = release
		keys := keysFrom(t, s)
		synctest.Wait() // the answer, without the key, is on its way
		s.change(func(s *keyServer) { s.bodies[""], s.hang = edSet(1, 2), nil })
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { wantFind(t, keys, "k2", "found") })
		}
		synctest.Wait()
		close(release)
		all.Wait()
		if s.fetches() != 2 {
			t.Errorf("%d fetches", s.fetches())
		}
		synctest.Wait()
		wantFind(t, keys, "k2", "found") // the older answer did not come last
	})
}

func TestRule4_KeySet_UnknownKidFlood_10000RandomIDsCostOneFetchPerCoolDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 24 * time.Hour })
		wantFind(t, keys, "k1", "found")
		const flood, period = 10_000, 40 * time.Second
		var all sync.WaitGroup
		for i := range flood {
			all.Go(func() {
				time.Sleep(period / flood * time.Duration(i))
				if got := findKey(keys, fmt.Sprintf("random%d", i)); got == "found" {
					t.Error(got)
				}
				wantFind(t, keys, "k1", "found")
			})
		}
		all.Wait()
		if got, most := s.fetches()-1, int(period/(10*time.Second)); got < 1 || got > most {
			t.Errorf("%d fetches in %v, want at most %d", got, period, most)
		}
		if n := keys.Sightings(); n > 2000 {
			t.Errorf("%d invented keys are remembered", n)
		}
		for range 2 {
			time.Sleep(10 * time.Second)
			findKey(keys, "one more")
		}
		if n := keys.Sightings(); n > 2 {
			t.Errorf("%d invented keys are still remembered", n)
		}
	})
}

func TestRule4_KeySet_AttackerKidAndDisconnect_ChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")
		s.serve(edSet(1, 2))
		hang := make(chan struct{})
		s.change(func(s *keyServer) { s.hang = hang })
		ctx, disconnect := context.WithCancel(t.Context())
		done := make(chan string)
		go func() { done <- keyOutcome(keys.Key(ctx, "forged", jwtauth.EdDSA)) }()
		synctest.Wait()
		disconnect()
		if got := <-done; got != "unavailable" {
			t.Errorf("the attacker got %s", got)
		}
		go func() { done <- findKey(keys, "k2") }()
		synctest.Wait()
		close(hang)
		if got := <-done; got != "found" {
			t.Errorf("the client got %s", got)
		}
		if s.fetches() != 2 {
			t.Errorf("%d fetches", s.fetches())
		}
	})
}

func TestRule4_KeySet_ProviderDownAtRefresh_ADayFailsNoRequestWhoseKeyIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1, 2))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")
		first, _ := keys.Key(t.Context(), "k1", jwtauth.EdDSA)
		s.change(func(s *keyServer) { s.down = true })
		for range 24 * 60 {
			time.Sleep(time.Minute)
			wantFind(t, keys, "k1", "found")
			wantFind(t, keys, "k2", "found")
		}
		if first.Withdrawn() {
			t.Error("the key was withdrawn")
		}
		wantFind(t, keys, "k3", "unavailable")
		st := keys.Stats()
		if st.LastError == nil || st.Age < 24*time.Hour || st.Failures == 0 || st.Keys != 2 {
			t.Errorf("%+v", st)
		}
		s.change(func(s *keyServer) { s.down = false })
		time.Sleep(30 * time.Second)
		if st := keys.Stats(); st.LastError != nil || st.Age > 30*time.Second {
			t.Errorf("not recovered: %+v", st)
		}
	})
}

func TestRule4_CannotCheckIsNeverInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")

		wantFind(t, keys, "a", "unknown_key") // a fetch that began later did not bring it
		wantFind(t, keys, "a", "unknown_key")
		wantFind(t, keys, "b", "unavailable") // first seen within the cool-down
		_, err := keys.Key(t.Context(), "b", jwtauth.EdDSA)
		if e, ok := errors.AsType[*authctx.Error](err); !ok || e.RetryAfter != 10*time.Second {
			t.Errorf("RetryAfter of %v", err)
		}
		time.Sleep(10 * time.Second)
		wantFind(t, keys, "c", "unknown_key") // this one's fetch speaks for b too
		wantFind(t, keys, "b", "unknown_key")
		if s.fetches() != 3 {
			t.Errorf("%d fetches", s.fetches())
		}

		time.Sleep(10 * time.Second)
		s.change(func(s *keyServer) { s.down = true })
		wantFind(t, keys, "b", "unavailable") // the fetch failed, and what was known may have changed
		wantFind(t, keys, "b", "unavailable")
		wantFind(t, keys, "d", "unavailable")
		s.change(func(s *keyServer) { s.down = false })
		s.serve(edSet(1, 4))
		time.Sleep(10 * time.Second)
		wantFind(t, keys, "k4", "found")
	})
}
