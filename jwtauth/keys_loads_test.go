package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestAKeyWhoseMaterialChangesUnderTheSameIDIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(jwks(jwk("k", edKey(1))))
		keys := keysFrom(t, s)
		before := must(keys.Key(t.Context(), "k", jwtauth.EdDSA))
		s.serve(jwks(jwk("k", edKey(2))))
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		after := must(keys.Key(t.Context(), "k", jwtauth.EdDSA))
		if !before.Withdrawn() || after == before || after.Withdrawn() {
			t.Errorf("before withdrawn: %v, same: %v", before.Withdrawn(), after == before)
		}
	})
}

func TestAKeyThatAppearsAfterItWasAbsentIsFoundAfterTheCoolDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")
		wantFind(t, keys, "k2", "unknown_key") // signed before it was published, or forged
		s.serve(edSet(1, 2))
		time.Sleep(10 * time.Second)
		wantFind(t, keys, "k2", "found")
	})
}

func TestALoadThatTakesLongerThanTheCoolDownStillAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.delay = 2 * time.Second
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.CoolDown = time.Second })
		wantFind(t, keys, "k1", "found")
		wantFind(t, keys, "k2", "unknown_key")
		if s.fetches() != 2 {
			t.Errorf("%d fetches", s.fetches())
		}
	})
}

func TestForcedLoadsTellCachesToAskTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")
		wantFind(t, keys, "k2", "unknown_key")
		for i, want := range []string{"", "no-cache"} {
			if got := s.asked()[i].Header.Get("Cache-Control"); got != want {
				t.Errorf("fetch %d has Cache-Control %q, want %q", i, got, want)
			}
		}
	})
}

func TestKeySet_NoKidInToken_FindsNothingAndFetchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")
		wantFind(t, keys, "", "unknown_key")
		wantFind(t, keys, strings.Repeat("k", 257), "unknown_key")
		if got := keyOutcome(keys.Key(t.Context(), "k2", jwtauth.HS256)); got != "unknown_key" {
			t.Errorf("HMAC: %s", got)
		}
		if s.fetches() != 1 {
			t.Errorf("%d fetches", s.fetches())
		}
	})
}

func TestMaxStaleWithdrawsKeysThatNobodyConfirms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.MaxStale = time.Hour })
		key := must(keys.Key(t.Context(), "k1", jwtauth.EdDSA))
		time.Sleep(24 * time.Hour) // while the provider answers nothing ages
		if key.Withdrawn() {
			t.Fatal("withdrawn although confirmed")
		}
		confirmed := keys.Stats().LoadedAt
		s.change(func(s *keyServer) { s.down = true })
		time.Sleep(time.Until(confirmed.Add(time.Hour - time.Second)))
		wantFind(t, keys, "k1", "found")
		time.Sleep(time.Second)
		synctest.Wait()
		if !key.Withdrawn() {
			t.Error("not withdrawn")
		}
		wantFind(t, keys, "k1", "unavailable")
		if err := keys.Ready(t.Context()); !strings.Contains(fmt.Sprint(err), "longer ago than MaxStale") {
			t.Errorf("without keys: %v", err)
		}
		s.change(func(s *keyServer) { s.down = false })
		time.Sleep(30 * time.Second)
		wantFind(t, keys, "k1", "found")
	})
}

func TestKeySet_GoroutineLifetime_CloseWaitsAndWithdraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s)
		key := must(keys.Key(t.Context(), "k1", jwtauth.EdDSA))
		s.change(func(s *keyServer) { s.hang = make(chan struct{}) })
		waiting := make(chan string)
		go func() { waiting <- findKey(keys, "k2") }()
		synctest.Wait()
		keys.Close()
		if got := <-waiting; got != "unavailable" {
			t.Errorf("who waited got %s", got)
		}
		if !key.Withdrawn() {
			t.Error("not withdrawn")
		}
		time.Sleep(time.Minute) // the cool-down is over, and a request could cause a load if there were anybody to make it
		before := time.Now()
		wantFind(t, keys, "k1", "unavailable")
		wantFind(t, keys, "k2", "unavailable")
		if err := keys.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") || time.Since(before) != 0 {
			t.Errorf("after %v: %v", time.Since(before), err)
		}
		if err := keys.Close(); err != nil || s.fetches() != 2 {
			t.Errorf("%v, %d fetches", err, s.fetches())
		}
		// That no goroutine is left is for the bubble to check.
	})
}

func TestKeySet_RefreshJitterAndCacheControl(t *testing.T) {
	for _, c := range []struct {
		name, cacheControl, age string
		want                    time.Duration
	}{
		{"nothing said", "", "", 15 * time.Minute},
		{"shorter", "public, max-age=300", "", 5 * time.Minute},
		{"quoted, other case", `Max-Age="300"`, "", 5 * time.Minute},
		{"partly used up in a cache", "max-age=300", "100", 200 * time.Second},
		{"longer than the interval", "max-age=86400", "", 15 * time.Minute},
		{"too short", "max-age=1", "", time.Minute},
		{"zero", "max-age=0", "", time.Minute},
		{"zero, as frameworks have it", "no-cache, no-store, max-age=0, must-revalidate", "", time.Minute},
		{"negative, which is stale", "max-age=-5", "", time.Minute},
		{"no number, which is stale", "max-age=soon", "", time.Minute},
		{"no value, which is stale", "max-age", "", time.Minute},
		{"beyond all numbers", "max-age=99999999999999999999", "", 15 * time.Minute},
		{"the smallest of several", "max-age=600, max-age=300, max-age=400", "", 5 * time.Minute},
		{"the smallest of several, zero", "max-age=0, max-age=300", "", time.Minute},
		{"negative age", "max-age=300", "-99999999", 5 * time.Minute},
		{"used up in a cache", "max-age=300", "300", time.Minute},
		{"long used up in a cache", "max-age=300", "900", time.Minute},
		{"a week, partly used up", "max-age=604800", "172800", 15 * time.Minute},
		{"no-cache for one field", `no-cache="Set-Cookie", max-age=300`, "", 5 * time.Minute},
		{"within the quotes of another", `no-cache="x, max-age=60", private`, "", 15 * time.Minute},
		{"behind quotes with a comma", `no-cache="x, no-store", max-age=300`, "", 5 * time.Minute},
		{"no-cache does not lengthen it", "max-age=300, no-cache", "", 5 * time.Minute},
		{"no-store does not lengthen it", "no-store, max-age=300", "", 5 * time.Minute},
		{"no-cache alone", "no-cache", "", 15 * time.Minute},
		{"no-store alone", "private, no-store", "", 15 * time.Minute},
		{"below all numbers, which is stale", "max-age=-99999999999999999999", "5", time.Minute},
		{"an age beyond all numbers", "max-age=300", "99999999999999999999", time.Minute},
		{"an age alone", "", "99999999999", 15 * time.Minute},
		{"for shared caches", "s-maxage=120", "", 15 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newKeyServer(edSet(1))
				s.header = http.Header{"Cache-Control": {c.cacheControl}, "Age": {c.age}}
				keys := keysFrom(t, s)
				for s.fetches() < 50 {
					time.Sleep(time.Minute)
				}
				keys.Close()
				distinct := map[time.Duration]bool{}
				for _, gap := range s.gaps() {
					distinct[gap] = true
					if gap > c.want || gap < c.want*9/10 {
						t.Fatalf("%v between loads, want between 90%% and 100%% of %v", gap, c.want)
					}
				}
				if len(distinct) < 10 {
					t.Errorf("no jitter: %d different gaps", len(distinct))
				}
			})
		})
	}
}

// What a request waits for through two loads, nobody asks for meanwhile.
func TestRule4_AnAbsenceThatARequestWaitedForIsKnownToTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.delay = 100 * time.Millisecond // the first load is under way
		keys := keysFrom(t, s)
		for range 5 {
			if _, err := keys.Key(t.Context(), "gone", jwtauth.EdDSA); !errors.Is(err, authctx.UnknownKey) || s.fetches() != 2 {
				t.Fatalf("%v after %d fetches", err, s.fetches())
			}
			time.Sleep(time.Second)
		}
	})
}

func TestRule4_AnAbsenceThatWasProvedStaysProvedWhenALoadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval, c.CoolDown = 20*time.Second, time.Minute })
		wantFind(t, keys, "k1", "found")
		wantFind(t, keys, "x", "unknown_key")
		s.change(func(s *keyServer) { s.down = true })
		time.Sleep(59 * time.Second)
		if keys.Stats().Failures == 0 {
			t.Fatal("no load failed")
		}
		wantFind(t, keys, "x", "unknown_key")
		time.Sleep(time.Second)
		wantFind(t, keys, "x", "unavailable")
	})
}

func TestStrictStartFailsWhereLenientStartRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.down = true
		cfg := jwtauth.RemoteKeysConfig{JWKSURL: jwksURL, Transport: s}
		if keys, err := jwtauth.LoadRemoteKeys(t.Context(), cfg); err == nil || keys != nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("strict: %v, %v", keys, err)
		}
		if keys, err := jwtauth.LoadRemoteKeys(t.Context(), jwtauth.RemoteKeysConfig{Transport: s}); err == nil || keys != nil {
			t.Errorf("strict, without an address: %v, %v", keys, err)
		}
		s.change(func(s *keyServer) { s.down, s.hang = false, make(chan struct{}) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := jwtauth.LoadRemoteKeys(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("strict, hanging: %v", err)
		}
		s.change(func(s *keyServer) { s.hang = nil })
		ctx, cancel = context.WithCancel(t.Context())
		keys, err := jwtauth.LoadRemoteKeys(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		cancel() // counts for nothing any more
		defer keys.Close()
		wantFind(t, keys, "k1", "found")
		s.serve(edSet(1, 2))
		wantFind(t, keys, "k2", "found")
	})
}

func TestTheStateOfKeysSaysWhatIsWrongInJSONAndInALog(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "stats", jwtauth.RemoteKeysStats{
		Keys: 2, Loads: 3, LastError: errors.New("no connection"), Skipped: []error{errors.New("weak"), errors.New("secret")},
	})
	logger.Info("x", "stats", jwtauth.RemoteKeysStats{Age: time.Second})
	logger.Info("x", "stats", jwtauth.RemoteKeysStats{Skipped: []error{nil, errors.New("weak")}}) // made by hand
	for _, want := range []string{
		`"Keys":2,`, `"Loads":3,`, `"Skipped":["weak","secret"],"LastError":"no connection"`, `"Age":1000000000,`, `"Skipped":null,"LastError":null`,
		`"Skipped":[null,"weak"]`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in %s", want, log.String())
		}
	}
}
