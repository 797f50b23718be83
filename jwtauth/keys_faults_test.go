package jwtauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// goodThenBad loads a good set, breaks the server, lets every way of loading
// run into that, and wants the keys to be what they were.
func goodThenBad(t *testing.T, breakIt func(s *keyServer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")
		key := must(keys.Key(t.Context(), "k1", jwtauth.EdDSA))
		s.change(breakIt)
		wantFind(t, keys, "k2", "unavailable") // a load that a request causes
		time.Sleep(time.Hour)                  // those that come by themselves
		if got := must(keys.Key(t.Context(), "k1", jwtauth.EdDSA)); got != key || key.Withdrawn() {
			t.Error("the good key was replaced")
		}
		st := keys.Stats()
		if st.LastError == nil || st.Failures < 3 || st.Keys != 1 {
			t.Errorf("%+v", st)
		}
		if st.LastError != nil && len(st.LastError.Error()) > 1000 {
			t.Errorf("an error of %d bytes", len(st.LastError.Error()))
		}
		s.change(func(s *keyServer) { s.bodies[""], s.status, s.hang = edSet(1, 2), http.StatusOK, nil })
		time.Sleep(30 * time.Second)
		wantFind(t, keys, "k2", "found")
	})
}

func TestKeySet_JunkNeverReplacesGoodKeys(t *testing.T) {
	for name, junk := range junkSets {
		t.Run(name, func(t *testing.T) {
			goodThenBad(t, func(s *keyServer) { s.bodies[""] = junk })
		})
	}
	t.Run("trailing garbage", func(t *testing.T) {
		goodThenBad(t, func(s *keyServer) { s.bodies[""] += "x" })
	})
}

func TestKeySet_Transport_APanicIsAFailureLikeOthers(t *testing.T) {
	goodThenBad(t, func(s *keyServer) { s.bodies[""] = "panic" })
}

func TestKeySet_Status_OnlyOKCounts(t *testing.T) {
	for _, status := range []int{201, 204, 206, 301, 302, 304, 307, 400, 401, 404, 429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			goodThenBad(t, func(s *keyServer) { s.status = status })
		})
	}
}

func TestKeySet_ContentType_TheBodyDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.header = http.Header{"Content-Type": {"text/html"}}
		wantFind(t, keysFrom(t, s), "k1", "found")
	})
}

func TestKeySet_HugeSets_AreBounded(t *testing.T) {
	var many []int
	for i := range 101 {
		many = append(many, i)
	}
	t.Run("101 keys", func(t *testing.T) {
		goodThenBad(t, func(s *keyServer) { s.bodies[""] = edSet(many...) })
	})
	t.Run("more than 1 MiB", func(t *testing.T) {
		goodThenBad(t, func(s *keyServer) { s.bodies[""] += strings.Repeat(" ", 1<<20) })
	})
	synctest.Test(t, func(t *testing.T) {
		keys := keysFrom(t, newKeyServer(edSet(many[:100]...)))
		wantFind(t, keys, "k99", "found")
	})
}

func TestKeySet_AHangingProviderNeverReplacesGoodKeys(t *testing.T) {
	goodThenBad(t, func(s *keyServer) { s.hang = make(chan struct{}) })
}

// A service whose gateway's keys hang for a moment must not send its clients
// away until the next load that comes by itself.
func TestKeySet_Slowloris_ClientsAreAskedBackAsSoonAsALoadIsAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s, func(cfg *jwtauth.RemoteKeysConfig) { cfg.CoolDown = time.Second })
		wantFind(t, keys, "k1", "found")
		s.change(func(s *keyServer) { s.hang = make(chan struct{}) })
		_, err := keys.Key(t.Context(), "k2", jwtauth.EdDSA)
		e, ok := errors.AsType[*authctx.Error](err)
		if !ok || e.Reason != authctx.Unavailable || e.RetryAfter != time.Second {
			t.Errorf("%v, RetryAfter of %+v", err, e)
		}
	})
}

func TestKeySet_ProviderDownAtStart_RecoversByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.down = true
		keys := keysFrom(t, s)
		synctest.Wait()
		err := keys.Ready(t.Context())
		if keyOutcome(nil, err) != "unavailable" || !strings.Contains(err.Error(), "refused") {
			t.Errorf("ready: %v", err)
		}
		time.Sleep(10 * time.Minute)
		s.change(func(s *keyServer) { s.down = false })
		want := time.Second
		for i, gap := range s.gaps() {
			if gap > want || gap < want*9/10 {
				t.Errorf("attempt %d came after %v, want %v or a little less", i, gap, want)
			}
			want = min(2*want, 30*time.Second)
		}
		time.Sleep(30 * time.Second)
		if err := keys.Ready(t.Context()); err != nil {
			t.Errorf("not recovered: %v", err)
		}
		wantFind(t, keys, "k1", "found")
	})
}

func TestKeySet_ProviderDownAtStart_RequestsGetAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.down = true
		keys := keysFrom(t, s)
		before := time.Now()
		for range 1000 {
			wantFind(t, keys, "k1", "unavailable")
		}
		// A load that comes by itself is due before requests may cause one.
		_, err := keys.Key(t.Context(), "k1", jwtauth.EdDSA)
		if e, ok := errors.AsType[*authctx.Error](err); !ok || e.RetryAfter != time.Second {
			t.Errorf("RetryAfter of %v", err)
		}
		if waited := time.Since(before); waited != 0 || s.fetches() > 2 {
			t.Errorf("waited %v, %d fetches", waited, s.fetches())
		}
		s.change(func(s *keyServer) { s.down = false })
		time.Sleep(time.Second)
		wantFind(t, keys, "k1", "found")
	})
}

// Failed loads that clients cause must not start a series of retries on top.
func TestKeySet_UnknownKidFlood_AgainstAFailingProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.RefreshInterval = 24 * time.Hour })
		wantFind(t, keys, "k1", "found")
		s.change(func(s *keyServer) { s.status = http.StatusInternalServerError })
		for i := range 6000 {
			wantFind(t, keys, fmt.Sprintf("random%d", i), "unavailable")
			time.Sleep(10 * time.Millisecond)
		}
		if got := s.fetches() - 1; got > 6 {
			t.Errorf("%d fetches in a minute", got)
		}
	})
}

// A cool-down that is over before a failing load is must not let the one request
// that waits cause the next load, and the next.
func TestRule4_KeySet_OneRequestCausesOneLoadOfAFailingProvider(t *testing.T) {
	many := make([]int, 101)
	for i := range many {
		many[i] = i
	}
	faults := map[string]func(s *keyServer){
		"failing":   func(s *keyServer) { s.status = http.StatusBadGateway },
		"down":      func(s *keyServer) { s.down = true },
		"too large": func(s *keyServer) { s.bodies[""] = edSet(many...) },
		"panic":     func(s *keyServer) { s.bodies[""] = "panic" },
	}
	for name, junk := range junkSets {
		faults["junk: "+name] = func(s *keyServer) { s.bodies[""] = junk }
	}
	for name, breakIt := range faults {
		for _, coolDown := range []time.Duration{time.Nanosecond, 9 * time.Millisecond} {
			t.Run(fmt.Sprint(name, ", ", coolDown), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newKeyServer(edSet(1))
					s.delay = 10 * time.Millisecond
					keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.CoolDown = coolDown })
					wantFind(t, keys, "k1", "found")
					s.change(breakIt)
					for i := range 3 {
						before, fetches := time.Now(), s.fetches()
						wantFind(t, keys, fmt.Sprintf("random%d", i%2), "unavailable")
						if got, waited := s.fetches()-fetches, time.Since(before); got != 1 || waited != s.delay {
							t.Errorf("request %d: %d fetches, waited %v", i, got, waited)
						}
						time.Sleep(s.delay)
					}
				})
			})
		}
	}
}

// A load that began before the key was asked for says nothing about it, so that
// its failure costs one more.
func TestRule4_KeySet_ARequestThatMeetsAFailingLoadCausesOneMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		s.down, s.delay = true, 10*time.Millisecond
		keys := keysFrom(t, s, func(c *jwtauth.RemoteKeysConfig) { c.CoolDown = time.Nanosecond })
		synctest.Wait()
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() { wantFind(t, keys, fmt.Sprintf("k%d", i), "unavailable") })
		}
		all.Wait()
		if got := s.fetches(); got != 2 {
			t.Errorf("%d fetches", got)
		}
	})
}

// Unknown keys never wait in a limiter, and cost no goroutines.
func TestKeySet_UnknownKidFlood_WithinTheCoolDownNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := keysFrom(t, newKeyServer(edSet(1)))
		wantFind(t, keys, "k1", "found")
		wantFind(t, keys, "first", "unknown_key")
		before := time.Now()
		for i := range 1000 {
			wantFind(t, keys, fmt.Sprintf("random%d", i), "unavailable")
		}
		if waited := time.Since(before); waited != 0 {
			t.Errorf("waited %v", waited)
		}
	})
}

// Two issuers that use the same ID have different keys, and a flood against one
// does not touch the other's loads.
func TestRule2_CVE_2026_50202_KeySet_SameKidAtTwoIssuers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sa, sb := newKeyServer(jwks(jwk("k", edKey(1)))), newKeyServer(jwks(jwk("k", edKey(2))))
		a, b := keysFrom(t, sa), keysFrom(t, sb)
		ka, kb := must(a.Key(t.Context(), "k", "")), must(b.Key(t.Context(), "k", ""))
		if !jwtauth.HasMaterial(ka, edKey(1)) || !jwtauth.HasMaterial(kb, edKey(2)) {
			t.Error("the keys are mixed up")
		}
		for i := range 100 {
			findKey(a, fmt.Sprintf("random%d", i))
		}
		sb.serve(jwks(jwk("new", edKey(3))))
		wantFind(t, b, "new", "found")
		if sb.fetches() != 2 {
			t.Errorf("%d fetches", sb.fetches())
		}
	})
}

func TestRule2_KeySet_SymmetricPrivateAndWeakKeysAreNeverTakenFromARemoteSet(t *testing.T) {
	for name, bad := range unusableKeys() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				keys := keysFrom(t, newKeyServer(jwks(bad, jwk("good", edKey(9)))))
				wantFind(t, keys, "good", "found")
				wantFind(t, keys, "", "unknown_key")
				wantFind(t, keys, "bad", "unknown_key")
				if got := len(keys.Stats().Skipped); got != 1 {
					t.Errorf("%d skipped", got)
				}
			})
		})
	}
}

func TestCVE_2025_59936_KeyIDsAreOnlyCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newKeyServer(edSet(1))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")
		for _, id := range []string{"k1:", ":k1", "k1\x00", "k1|k1", "../k1", "K1", " k1", "k1 ", jwksURL, "https://evil.example/jwks", "%s%n"} {
			if got := findKey(keys, id); got == "found" {
				t.Errorf("%q is found", id)
			}
		}
		for _, req := range s.asked() {
			if req.URL.String() != jwksURL {
				t.Errorf("asked %s", req.URL)
			}
		}
	})
}

// The set is parsed when it is loaded and never for a token.
func TestCVE_2026_59396_BadTokensParseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var many []int
		for i := range 100 {
			many = append(many, i)
		}
		s := newKeyServer(edSet(many...))
		keys := keysFrom(t, s)
		wantFind(t, keys, "k1", "found")
		wantFind(t, keys, "absent", "unknown_key")
		if allocs := testing.AllocsPerRun(1000, func() { findKey(keys, "absent") }); allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
	})
}

// Reading while the set is replaced all the time. The race detector is the
// judge of most of it.
func TestKeySet_ConcurrentRefreshes_ReadersSeeWholeSets(t *testing.T) {
	var n atomic.Int32
	keys := serverKeys(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, edSet(0, int(n.Add(1))))
	}, func(c *jwtauth.RemoteKeysConfig) { c.CoolDown = time.Microsecond })
	wantFind(t, keys, "k0", "found")
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 100 {
				wantFind(t, keys, "k0", "found")
				findKey(keys, fmt.Sprintf("random-%d-%d", g, i))
				if k, err := keys.Key(t.Context(), "k0", ""); err != nil || k.Withdrawn() {
					t.Errorf("k0: %v, %v", k, err)
				}
			}
		})
	}
	all.Wait()
	if keys.Stats().Loads < 2 {
		t.Error("nothing was refreshed")
	}
}

func TestAKeySetOfExactlyTheBytesAllowedIsRead(t *testing.T) {
	set := edSet(1)
	for spare, want := range map[int64]string{0: "found", -1: "unavailable"} {
		synctest.Test(t, func(t *testing.T) {
			keys := keysFrom(t, newKeyServer(set), func(c *jwtauth.RemoteKeysConfig) { c.MaxBytes = int64(len(set)) + spare })
			wantFind(t, keys, "k1", want)
		})
	}
}
