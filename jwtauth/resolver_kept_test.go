package jwtauth_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// Strangers name issuers that exist, all the time, and the issuers that have the
// room are silent.
func TestStrangersDoNotPushOutWhoseFirstTokenIsBeingVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxIssuers = 2 })
		name := func(letter string) string { return "https://" + letter + ".example" }
		var asked atomic.Int32
		for _, letter := range []string{"a", "b", "c", "d", "e"} {
			u.s(name(letter)) // before the goroutines
		}
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			if issuer == name("c") {
				asked.Add(1)
			}
			return newVerifier(t, u.s(issuer), func(c *jwtauth.VerifierConfig) {
				c.Issuer = issuer
				c.Keys = keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
					time.Sleep(100 * time.Millisecond) // the first load
					return u.s(issuer).key, nil
				})
			}), nil
		}
		u.verify("a", u.s(name("a")), name("a"), nil)
		u.verify("b", u.s(name("b")), name("b"), nil)
		time.Sleep(time.Hour)
		var strangers sync.WaitGroup
		strangers.Go(func() {
			for i := range 400 {
				time.Sleep(50 * time.Millisecond)
				issuer := name([]string{"d", "e"}[i%2])
				strangers.Go(func() { u.verify("a stranger", u.s(name("a")), issuer, authctx.BadSignature) })
			}
		})
		for range 20 {
			u.verify("c", u.s(name("c")), name("c"), nil)
			time.Sleep(time.Second)
		}
		strangers.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		u.close()
	})
}

// Newcomers share the room that is left, and more of it when those that have it
// are not heard of any more.
func TestIssuersThatAreNotHeardOfAnyMoreMakeRoom(t *testing.T) {
	for name, test := range map[string]struct {
		silence time.Duration
		asked   int32
	}{"until then": {10*time.Minute + 24*time.Hour - 1, 3 * 3}, "after MaxAge and MaxStale": {10*time.Minute + 24*time.Hour, 3}} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxIssuers = 3 })
			for _, issuer := range []string{"a", "b", "c"} {
				u.verify(name, u.s(issuer), issuer, nil)
			}
			time.Sleep(test.silence)
			u.asked.Store(0)
			for range 3 {
				for _, issuer := range []string{"d", "e", "f"} {
					u.verify(name, u.s("nobody"), issuer, authctx.BadSignature)
				}
			}
			if n := u.asked.Load(); n != test.asked {
				t.Errorf("%s: asked %d times, want %d", name, n, test.asked)
			}
			u.close()
		})
	}
}

// An answer that is over, however short MaxStale is, makes no idle issuer of one
// whose next request renews it.
func TestStrangersDoNotPushOutWhoIsInUseWhenItsAnswerIsOver(t *testing.T) {
	const busy = "https://busy.example"
	for name, test := range map[string]struct {
		every, maxStale time.Duration
		oneToken        bool
	}{
		"new tokens":                       {7 * time.Second, 10 * time.Minute, false},
		"one token, which is in the cache": {7 * time.Second, 10 * time.Minute, true},
		"now and then":                     {9 * time.Minute, 15 * time.Minute, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var released atomic.Int32
			u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
				c.MaxIssuers, c.MaxStale, c.Cache = 1, test.maxStale, jwtauth.CacheConfig{}
				c.Release = func(v *jwtauth.Verifier) {
					if v.Issuer() == busy {
						released.Add(1)
					}
				}
			})
			same := verifierOf(t, busy, u.s(busy))
			u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
				if issuer == busy {
					return same, nil
				}
				return verifierOf(t, issuer, u.s(issuer)), nil
			}
			token := func() string {
				return u.s(busy).token(t, goodClaims(map[string]any{"iss": busy, "exp": time.Now().Add(time.Hour).Unix(), "iat": nil}))
			}
			one := token()
			for start := time.Now(); time.Since(start) < 25*time.Minute; time.Sleep(time.Second) {
				if !test.oneToken {
					one = token()
				}
				if _, err := u.r.Verify(t.Context(), one); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				time.Sleep(test.every - time.Second)
				u.verify("a stranger", u.s("nobody"), "https://other.example", authctx.BadSignature)
			}
			if n := released.Load(); n > 0 {
				t.Errorf("%s: pushed out %d times", name, n)
			}
			u.close()
		})
	}
}

// A verifier that was refused, for its keys were another issuer's, and then kept
// all the same, because those were free by then.
func TestAVerifierThatWasRefusedAndThenKeptIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const other, another, refused, kept = "https://other.example", "https://another.example", "https://login.example/b", "https://login.example/c"
		var released atomic.Int32
		var shared *jwtauth.Verifier
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
			c.MaxIssuers = 2
			c.Release = func(v *jwtauth.Verifier) {
				if v == shared {
					released.Add(1)
				}
			}
		})
		s := newSigner(t, "k1")
		u.verify("before", u.s(kept), kept, nil)
		time.Sleep(10 * time.Minute)
		keys := laterKeys{s.key, time.Now().Add(4 * time.Second)}
		shared = newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.Issuer, c.Tenants, c.Keys = "https://login.example/{tenantid}", jwtauth.AnyTenant(), keys
		})
		resolve := u.resolve
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			switch issuer {
			case refused, kept:
				return shared, nil
			case other:
				return newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Keys = issuer, keys }), nil
			}
			return resolve(issuer)
		}
		u.verify("another issuer has the keys", s, other, authctx.Unavailable)
		u.verify("the answer waits for them", u.s(kept), kept, nil)
		u.verify("and is refused elsewhere", s, refused, authctx.Unavailable)
		u.verify("the other is pushed out", s, another, authctx.BadSignature)
		time.Sleep(5 * time.Second)
		u.verify("so that they are free", u.s(kept), kept, authctx.BadSignature)
		synctest.Wait()
		if n := released.Load(); n != 0 {
			t.Errorf("released %d times while it is kept", n)
		}
		u.close()
		if n := released.Load(); n != 1 {
			t.Errorf("released %d times", n)
		}
	})
}

func TestARequestThatLeavesDuringAResolveKeepsNoVerifierOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var released atomic.Int32
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.Release = func(*jwtauth.Verifier) { released.Add(1) } })
		resolve := u.resolve
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			time.Sleep(time.Second)
			return resolve(issuer)
		}
		leaving, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := u.r.Verify(leaving, u.s(testIssuer).token(t, goodClaims(nil))); authctx.ReasonOf(err) != authctx.Unavailable {
			t.Error(err)
		}
		u.verify("the one that stays", u.s(testIssuer), testIssuer, nil)
		u.close()
		if n := released.Load(); n != 1 {
			t.Errorf("released %d times", n)
		}
	})
}

// Resolve has looked the verifier up, and before it returns that is pushed out.
func TestAVerifierThatIsReleasedDuringResolveIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const a, b = "https://a.example", "https://b.example"
		var table, closed sync.Map
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
			c.MaxIssuers = 1
			c.Release = func(v *jwtauth.Verifier) {
				table.Delete(v.Issuer())
				closed.Store(v, true)
			}
		})
		u.s(a)
		u.s(b)
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			v, _ := table.LoadOrStore(issuer, verifierOf(t, issuer, u.s(issuer)))
			if issuer == a {
				time.Sleep(time.Second)
			}
			return v.(*jwtauth.Verifier), nil
		}
		u.verify("at first", u.s(a), a, nil)
		time.Sleep(10 * time.Minute)
		var renewal sync.WaitGroup
		renewal.Go(func() { u.verify("renewed", u.s(a), a, nil) })
		time.Sleep(time.Second / 2)
		u.verify("the other", u.s(b), b, nil)
		renewal.Wait()
		synctest.Wait()
		v, known := table.Load(a)
		if _, gone := closed.Load(v); !known || gone || u.asked.Load() != 4 {
			t.Errorf("known: %v; released: %v; asked %d times", known, gone, u.asked.Load())
		}
		u.close()
	})
}

// Resolve returns what is being released, and Release does not return.
func TestRule4_AReleaseThatHangsMakesNoLoopOfResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const a, b = "https://a.example", "https://b.example"
		gate := make(chan struct{})
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
			c.MaxIssuers, c.Release = 1, func(*jwtauth.Verifier) { <-gate }
		})
		same := verifierOf(t, a, u.s(a))
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			switch {
			case u.asked.Load() > 100:
				panic("a loop")
			case issuer == a:
				return same, nil
			}
			return verifierOf(t, issuer, u.s(issuer)), nil
		}
		u.verify("at first", u.s(a), a, nil)
		u.verify("the other", u.s(b), b, nil)
		synctest.Wait() // for the calls, which hold what they asked for a moment longer
		u.asked.Store(0)
		start := time.Now()
		u.verify("while it is released", u.s(a), a, authctx.Unavailable)
		synctest.Wait()
		if d := time.Since(start); u.asked.Load() != 1 || d != 5*time.Second {
			t.Errorf("asked %d times in %v", u.asked.Load(), d)
		}
		close(gate)
		time.Sleep(10 * time.Second)
		u.verify("after that", u.s(a), a, nil)
		u.close()
	})
}

// Renewals come while the first token is being verified, and strangers after
// them.
func TestATokenThatRenewalsOvertakeProvesItsIssuer(t *testing.T) {
	for _, renewals := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxIssuers = 2 })
			for _, issuer := range []string{"a", "b"} {
				u.verify("it has the room", u.s(issuer), issuer, nil)
			}
			gate, slow, resolve := make(chan struct{}), u.s(testIssuer), u.resolve
			u.withKeys(func() jwtauth.KeySource {
				return keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
					<-gate
					return slow.key, nil
				})
			})
			var all sync.WaitGroup
			all.Go(func() { u.verify("the first", slow, testIssuer, nil) })
			synctest.Wait()
			u.resolve = resolve
			for range renewals {
				time.Sleep(10 * time.Minute)
				u.verify("a stranger", u.s("nobody"), testIssuer, authctx.BadSignature)
			}
			strangers := func() {
				for _, issuer := range []string{"c", "d", "e"} {
					u.verify("a stranger", u.s("nobody"), issuer, authctx.BadSignature)
				}
			}
			strangers()
			close(gate)
			all.Wait()
			strangers()
			u.asked.Store(0)
			u.verify("the second", slow, testIssuer, nil)
			if n := u.asked.Load(); n != 0 {
				t.Errorf("after %d renewals: asked %d times", renewals, n)
			}
			u.close()
		})
	}
}

// An issuer that came back is proven by a token that was under way when it left,
// and nobody who names another pushes it out.
func TestATokenThatOutlivesItsAnswerProvesTheIssuerThatCameBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) { c.MaxIssuers = 2 })
		s, gate := u.s(testIssuer), make(chan struct{})
		u.withKeys(func() jwtauth.KeySource {
			return keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
				<-gate
				return s.key, nil
			})
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			u.verify("under way", s, testIssuer, nil)
		}()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		u.resolve = func(string) (*jwtauth.Verifier, error) { return nil, authctx.WrongIssuer }
		u.verify("gone", s, testIssuer, authctx.WrongIssuer)
		time.Sleep(time.Minute)
		synctest.Wait()
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			return newVerifier(t, u.s(issuer), func(c *jwtauth.VerifierConfig) { c.Issuer = issuer }), nil
		}
		u.verify("named", u.s("nobody"), testIssuer, authctx.BadSignature)
		close(gate)
		<-done
		for _, issuer := range []string{"https://b.example", "https://c.example"} {
			u.verify("a stranger", u.s("nobody"), issuer, authctx.BadSignature)
		}
		before := u.asked.Load()
		u.verify("after", s, testIssuer, nil)
		if u.asked.Load() != before {
			t.Error("it was pushed out")
		}
		u.close()
	})
}

// A stranger's request to an issuer that is dropped as it ends.
func TestAnAnswerThatEndsWithItsRequestIsReleasedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idle, stranger = "https://idle.example", "https://stranger.example"
		var released atomic.Int32
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
			c.MaxIssuers, c.MaxStale = 1, 10*time.Minute
			c.Release = func(v *jwtauth.Verifier) {
				if v.Issuer() == idle {
					released.Add(1)
				}
			}
		})
		var wait time.Duration
		same := newVerifier(t, u.s(idle), func(c *jwtauth.VerifierConfig) {
			c.Issuer = idle
			c.Keys = keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
				time.Sleep(wait)
				return u.s(idle).key, nil
			})
		})
		resolve := u.resolve
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			if issuer == idle {
				return same, nil
			}
			return resolve(issuer)
		}
		u.verify("at first", u.s(idle), idle, nil)
		u.verify("a newcomer", u.s("nobody"), stranger, authctx.BadSignature)
		time.Sleep(20*time.Minute - time.Second)
		wait = 2 * time.Second
		u.verify("in use when it becomes idle", u.s("nobody"), idle, authctx.BadSignature)
		synctest.Wait()
		if n := released.Load(); n != 1 {
			t.Errorf("released %d times", n)
		}
		u.close()
	})
}
