package jwtauth_test

import (
	"context"
	"crypto"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// presentKeys have their keys, whatever becomes of the context.
type presentKeys struct{ laterKeys }

func (presentKeys) Ready(context.Context) error { return nil }

// A successor that has its keys counts for the request that asked for it, and one
// that is about to have them holds up nobody.
func TestASuccessorCountsAsSoonAsItHasItsKeys(t *testing.T) {
	for name, late := range map[string]time.Duration{"at once": 0, "after a second": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newSuccessors(t, nil)
				old, next := u.s(testIssuer), newSigner(t, "k1")
				u.verify("before", old, testIssuer, nil)
				time.Sleep(10 * time.Minute)
				u.withKeys(func() jwtauth.KeySource {
					if late == 0 {
						return presentKeys{laterKeys{next.key, time.Now()}}
					}
					return laterKeys{next.key, time.Now().Add(late)}
				})
				began := time.Now()
				if late > 0 {
					u.verify("meanwhile", old, testIssuer, nil)
					if d := time.Since(began); d > 0 {
						t.Errorf("waited %v", d)
					}
					time.Sleep(late)
					synctest.Wait()
				}
				u.verify("the next", next, testIssuer, nil)
				u.verify("the one before", old, testIssuer, authctx.BadSignature)
				if d := time.Since(began); d > late {
					t.Errorf("waited %v", d)
				}
				u.close()
			})
		})
	}
}

// What takes the place of nothing is not asked whether it has its keys.
func TestTheFirstAnswerIsNotAskedForItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, began := newSuccessors(t, nil), time.Now()
		deaf := deafKeys{laterKeys{u.s(testIssuer).key, began}, make(chan struct{})}
		defer close(deaf.gate)
		u.withKeys(func() jwtauth.KeySource { return deaf })
		u.verify("first", u.s(testIssuer), testIssuer, nil)
		if d := time.Since(began); d > 0 {
			t.Errorf("waited %v", d)
		}
		u.close()
	})
}

// suspendedKeys have no keys yet, and the machine sleeps while they say so.
type suspendedKeys struct {
	laterKeys
	sleep func()
}

func (k suspendedKeys) Ready(ctx context.Context) error {
	k.sleep()
	return k.laterKeys.Ready(ctx)
}

// MaxStale may come while the next keys are asked about.
func TestRule5_MaxStaleComesWhileTheNextKeysAreAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := new(laterClock)
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxStale, c.Now = time.Hour, clock.Now })
		old, next := u.s(testIssuer), newSigner(t, "k1")
		u.verify("before", old, testIssuer, nil)
		time.Sleep(10 * time.Minute)
		sleep := sync.OnceFunc(func() { clock.advance(time.Hour) })
		u.withKeys(func() jwtauth.KeySource {
			return suspendedKeys{laterKeys{next.key, time.Now().Add(time.Second)}, sleep}
		})
		began := time.Now()
		u.verify("the one before", old, testIssuer, authctx.Unavailable) // its keys are not there
		if d := time.Since(began); d > 0 {
			t.Errorf("waited %v", d)
		}
		time.Sleep(time.Second)
		u.verify("the next", next, testIssuer, nil)
		u.verify("the one before", old, testIssuer, authctx.BadSignature)
		if n := u.asked.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
		u.close()
	})
}

// panickingKeys do what an unfinished source may do.
type panickingKeys struct{ laterKeys }

func (panickingKeys) Ready(context.Context) error { panic("oops") }

func TestRule4_ASourceWhoseReadyPanicsHasNoKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, nil)
		old, next := u.s(testIssuer), newSigner(t, "k1")
		u.verify("before", old, testIssuer, nil)
		time.Sleep(10 * time.Minute)
		u.withKeys(func() jwtauth.KeySource { return panickingKeys{laterKeys{next.key, time.Now()}} })
		u.verify("meanwhile", old, testIssuer, nil)
		synctest.Wait()
		u.verify("after", old, testIssuer, nil)
		u.close()
	})
}

// A source that wraps another has its keys when that does.
func TestASuccessorIsWaitedForThroughWhatWrapsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, nil)
		old, next := u.s(testIssuer), newSigner(t, "k1")
		u.verify("before", old, testIssuer, nil)
		time.Sleep(10 * time.Minute)
		s := newKeyServer(jwks(jwk("k1", next.private.(crypto.Signer).Public())))
		s.delay = 2 * time.Second
		u.withKeys(func() jwtauth.KeySource { return must(jwtauth.KeysFromKeyfunc(keysFrom(t, s).Keyfunc())) })
		began := time.Now()
		u.verify("meanwhile", old, testIssuer, nil)
		if d := time.Since(began); d > 0 {
			t.Errorf("waited %v", d)
		}
		time.Sleep(3 * time.Second)
		u.verify("the next", next, testIssuer, nil)
		u.close()
	})
}

// deafKeys take no notice of how long Ready is waited for.
type deafKeys struct {
	laterKeys
	gate chan struct{}
}

func (k deafKeys) Ready(context.Context) error {
	<-k.gate
	return nil
}

func TestRule4_ASourceThatTakesNoNoticeHoldsUpNobodyForLong(t *testing.T) {
	for name, test := range map[string]struct {
		keys   func(s testSigner, deaf jwtauth.KeySource) jwtauth.KeySource
		goesOn time.Duration // the verifier of before
	}{
		"alone": {func(_ testSigner, deaf jwtauth.KeySource) jwtauth.KeySource { return deaf }, time.Hour},
		"joined with static keys": {func(s testSigner, deaf jwtauth.KeySource) jwtauth.KeySource {
			return must(jwtauth.JoinKeys(deaf, must(jwtauth.NewStaticKeys(s.key))))
		}, 10*time.Minute + 6*time.Second},
		"joined with keys that are late": {func(s testSigner, deaf jwtauth.KeySource) jwtauth.KeySource {
			return must(jwtauth.JoinKeys(deaf, laterKeys{s.key, time.Now().Add(4 * time.Second)}))
		}, 10*time.Minute + 6*time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxStale = time.Hour })
			start, old, next, other := time.Now(), u.s(testIssuer), newSigner(t, "k1"), u.s("https://other.example")
			deaf := deafKeys{laterKeys{next.key, start}, make(chan struct{})}
			verify := func(s testSigner, issuer string, want error) {
				t.Helper()
				began := time.Now()
				u.verify(name+" after "+began.Sub(start).String(), s, issuer, want)
				if d := time.Since(began); d > time.Second {
					t.Errorf("%s: waited %v", name, d)
				}
			}
			verify(old, testIssuer, nil)
			u.withKeys(func() jwtauth.KeySource { return test.keys(next, deaf) })
			time.Sleep(10 * time.Minute)
			for ; time.Since(start) < test.goesOn; time.Sleep(time.Minute) {
				verify(old, testIssuer, nil)
			}
			time.Sleep(time.Until(start.Add(test.goesOn)))
			verify(next, testIssuer, nil)
			u.withKeys(func() jwtauth.KeySource { return deafKeys{laterKeys{other.key, start}, deaf.gate} })
			verify(other, "https://other.example", nil) // it takes the place of none
			began := time.Now()
			u.close()
			if d := time.Since(began); d > time.Second {
				t.Errorf("%s: closed after %v", name, d)
			}
			close(deaf.gate)
		})
	}
}

// Each renewal may come with a source of its own.
func TestRule4_SourcesThatTakeNoNoticeDoNotPileUp(t *testing.T) {
	for name, test := range map[string]struct {
		keys      func(s testSigner, deaf jwtauth.KeySource) jwtauth.KeySource
		takesOver bool // though sources were left behind
	}{
		"alone": {func(_ testSigner, deaf jwtauth.KeySource) jwtauth.KeySource { return deaf }, false},
		"two": {func(_ testSigner, deaf jwtauth.KeySource) jwtauth.KeySource {
			return must(jwtauth.JoinKeys(deaf, deaf))
		}, false},
		"joined with static keys": {func(s testSigner, deaf jwtauth.KeySource) jwtauth.KeySource {
			return must(jwtauth.JoinKeys(deaf, must(jwtauth.NewStaticKeys(s.key))))
		}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxStale = 1000 * time.Hour })
			s, deaf := u.s(testIssuer), deafKeys{laterKeys{}, make(chan struct{})}
			next := s
			renew := func(takesOver bool) {
				t.Helper()
				next = newSigner(t, "k1")
				time.Sleep(10 * time.Minute)
				u.verify(name+": meanwhile", s, testIssuer, nil)
				time.Sleep(6 * time.Second) // the Timeout is 5
				if takesOver {
					s = next
				}
				u.verify(name, s, testIssuer, nil)
			}
			u.verify(name, s, testIssuer, nil)
			u.withKeys(func() jwtauth.KeySource { return test.keys(next, deaf) })
			before := runtime.NumGoroutine()
			for range 100 {
				renew(test.takesOver)
			}
			if n := runtime.NumGoroutine() - before; n > 30 || u.asked.Load() < 100 {
				t.Errorf("%s: %d goroutines more after %d calls", name, n, u.asked.Load())
			}
			close(deaf.gate)
			u.withKeys(func() jwtauth.KeySource { return laterKeys{next.key, time.Now().Add(time.Second)} })
			renew(true) // nothing is left behind any more
			u.close()
		})
	}
}

// Sources that are left behind cost an issuer no keys that are loaded here.
func TestRule4_RemoteKeysTakeOverThoughSourcesWereLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxStale = 1000 * time.Hour })
		old, next := u.s(testIssuer), newSigner(t, "k1")
		var asked atomic.Int32
		deaf := countedDeaf{deafKeys{laterKeys{}, make(chan struct{})}, &asked}
		u.verify("before", old, testIssuer, nil)
		renew := func() {
			time.Sleep(10 * time.Minute)
			u.verify("meanwhile", old, testIssuer, nil)
			time.Sleep(6 * time.Second)
		}
		u.withKeys(func() jwtauth.KeySource { return deaf })
		for range 20 {
			renew()
		}
		if n := asked.Load(); n != 8 {
			t.Errorf("%d sources were asked", n)
		}
		s := newKeyServer(jwks(jwk("k1", next.private.(crypto.Signer).Public())))
		s.delay = time.Second
		synctest.Wait()
		u.withKeys(func() jwtauth.KeySource { return keysFrom(t, s) })
		renew()
		u.verify("the next", next, testIssuer, nil)
		close(deaf.gate)
		u.close()
	})
}

type countedDeaf struct {
	deafKeys
	asked *atomic.Int32
}

func (k countedDeaf) Ready(ctx context.Context) error {
	k.asked.Add(1)
	return k.deafKeys.Ready(ctx)
}

// Those that answer take none off the count of those that do not.
func TestRule4_SourcesThatAnswerHideNoneThatDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxStale = 1000 * time.Hour })
		s := u.s(testIssuer)
		var asked atomic.Int32
		deaf := countedDeaf{deafKeys{laterKeys{}, make(chan struct{})}, &asked}
		u.verify("before", s, testIssuer, nil)
		u.withKeys(func() jwtauth.KeySource { return must(jwtauth.JoinKeys(deaf, laterKeys{s.key, time.Now()})) })
		for range 20 {
			time.Sleep(10 * time.Minute)
			u.verify("meanwhile", s, testIssuer, nil)
			time.Sleep(6 * time.Second)
		}
		if n := asked.Load(); n != 8 {
			t.Errorf("%d sources were asked", n)
		}
		close(deaf.gate)
		u.close()
	})
}
