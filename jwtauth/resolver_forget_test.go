package jwtauth_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func noSuchIssuer(string) (*jwtauth.Verifier, error) { return nil, authctx.WrongIssuer }

func noDatabase(string) (*jwtauth.Verifier, error) { return nil, errors.New("no database") }

// streamOf returns a stream whose token stays in the cache for as long as it may.
func (u *successors) streamOf(issuer string) (token string, stream jwtauth.VerifiedToken) {
	u.t.Helper()
	token = u.s(issuer).token(u.t, goodClaims(map[string]any{"iss": issuer, "exp": time.Now().Add(time.Hour).Unix(), "iat": nil}))
	return token, must(u.r.VerifyToken(u.t.Context(), token))
}

// forgetting is a resolver with a cache that counts what it releases.
func forgetting(t *testing.T) (*successors, *atomic.Int32) {
	released := new(atomic.Int32)
	return newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
		c.Cache, c.Release = jwtauth.CacheConfig{}, func(*jwtauth.Verifier) { released.Add(1) }
	}), released
}

func TestRule5_TokensInTheCacheAndStreamsOfAnIssuerThatIsForgottenAreAskedAboutAgain(t *testing.T) {
	for name, test := range map[string]struct {
		next          func(u *successors) func(string) (*jwtauth.Verifier, error)
		token, stream error
	}{
		"it was removed":  {func(*successors) func(string) (*jwtauth.Verifier, error) { return noSuchIssuer }, authctx.WrongIssuer, authctx.WrongIssuer},
		"nobody can tell": {func(*successors) func(string) (*jwtauth.Verifier, error) { return noDatabase }, authctx.Unavailable, authctx.Unavailable},
		"it goes on":      {func(u *successors) func(string) (*jwtauth.Verifier, error) { return u.resolve }, nil, nil},
		"its key is another's now": {func(u *successors) func(string) (*jwtauth.Verifier, error) {
			return func(issuer string) (*jwtauth.Verifier, error) {
				return verifierOf(u.t, issuer, newSigner(u.t, "k1")), nil
			}
		}, authctx.BadSignature, authctx.UnknownKey},
	} {
		synctest.Test(t, func(t *testing.T) {
			u, released := forgetting(t)
			token, stream := u.streamOf(testIssuer)
			u.resolve = test.next(u)
			if found, err := u.r.VerifyToken(t.Context(), token); err != nil || !found.Cached {
				t.Errorf("%s, before: cached %v, %v", name, found.Cached, err)
			}
			u.r.Forget(testIssuer)
			synctest.Wait()
			if n := released.Load(); n != 1 {
				t.Errorf("%s: released %d times", name, n)
			}
			for range 2 {
				if err := stream.Recheck(t.Context()); !errors.Is(err, test.stream) || test.stream == nil && err != nil {
					t.Errorf("%s: the stream: %v, want %v", name, err, test.stream)
				}
				if _, err := u.r.Verify(t.Context(), token); !errors.Is(err, test.token) || test.token == nil && err != nil {
					t.Errorf("%s: the token: %v, want %v", name, err, test.token)
				}
			}
			if n := u.asked.Load(); n != 2 {
				t.Errorf("%s: asked %d times", name, n)
			}
			u.close()
		})
	}
}

// Whatever was known of an issuer, the next token asks about it and waits for nothing else.
func TestNothingIsLeftOfAnIssuerThatIsForgotten(t *testing.T) {
	for name, before := range map[string]func(u *successors, old testSigner){
		"nothing was known":        func(*successors, testSigner) {},
		"it was forgotten already": func(u *successors, _ testSigner) { u.r.Forget(testIssuer) },
		"it was unknown": func(u *successors, old testSigner) {
			u.resolve = noSuchIssuer
			u.verify("unknown", old, testIssuer, authctx.WrongIssuer)
		},
		"nobody could tell": func(u *successors, old testSigner) {
			u.resolve = noDatabase
			u.verify("failing", old, testIssuer, authctx.Unavailable)
		},
		"it was a newcomer": func(u *successors, _ testSigner) {
			u.verify("newcomer", newSigner(u.t, "k1"), testIssuer, authctx.BadSignature)
		},
		"it was proven": func(u *successors, old testSigner) { u.verify("proven", old, testIssuer, nil) },
		"it was over": func(u *successors, old testSigner) {
			u.verify("at first", old, testIssuer, nil)
			time.Sleep(48 * time.Hour)
		},
		"it went on": func(u *successors, old testSigner) {
			u.verify("at first", old, testIssuer, nil)
			u.resolve = noDatabase
			time.Sleep(11 * time.Minute)
			u.verify("going on", old, testIssuer, nil)
		},
		"it went on until its successor had keys": func(u *successors, old testSigner) {
			u.verify("at first", old, testIssuer, nil)
			u.withKeys(func() jwtauth.KeySource { return laterKeys{newSigner(u.t, "k1").key, time.Now().Add(time.Second)} })
			time.Sleep(11 * time.Minute)
			u.verify("going on", old, testIssuer, nil)
		},
	} {
		for _, pause := range []time.Duration{0, 2 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				u := newSuccessors(t, nil)
				old, next := u.s(testIssuer), newSigner(t, "k1")
				before(u, old)
				u.withKeys(func() jwtauth.KeySource { return must(jwtauth.NewStaticKeys(next.key)) })
				u.asked.Store(0)
				u.r.Forget(testIssuer)
				time.Sleep(pause)
				synctest.Wait()
				if n := u.asked.Load(); n != 0 {
					t.Errorf("%s: asked %d times before a token came", name, n)
				}
				start := time.Now()
				u.verify(name+": its token", next, testIssuer, nil)
				u.verify(name+": its token from before", old, testIssuer, authctx.BadSignature)
				if d := time.Since(start); d != 0 || u.asked.Load() != 1 {
					t.Errorf("%s: asked %d times in %v", name, u.asked.Load(), d)
				}
				time.Sleep(5 * time.Minute) // what was under way has ended
				u.verify(name+": its token, later", next, testIssuer, nil)
				u.close()
			})
		}
	}
}

// Nothing goes on until MaxStale, and who cannot tell calls no token invalid.
func TestRule4_AnIssuerThatIsForgottenIsUnavailableWhileResolveFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, nil)
		u.verify("at first", u.s(testIssuer), testIssuer, nil)
		resolve := u.resolve
		u.resolve = noDatabase
		u.r.Forget(testIssuer)
		for range 9 {
			u.verify("failing", u.s(testIssuer), testIssuer, authctx.Unavailable)
			time.Sleep(time.Second)
		}
		if n := u.asked.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
		u.resolve = resolve
		time.Sleep(time.Second)
		u.verify("told again", u.s(testIssuer), testIssuer, nil)
		u.close()
	})
}

// Resolve looked before the program changed what it finds, and returns after that.
func TestACallThatBeganBeforeItsIssuerWasForgottenIsNotBelieved(t *testing.T) {
	type answer = func(string) (*jwtauth.Verifier, error)
	for before, first := range map[string]func(u *successors) answer{
		"no such issuer":  func(*successors) answer { return noSuchIssuer },
		"nobody can tell": func(*successors) answer { return noDatabase },
		"a verifier":      func(u *successors) answer { return u.resolve },
	} {
		for after, test := range map[string]struct {
			second func(u *successors) answer
			want   error
		}{
			"it was entered":  {func(u *successors) answer { return u.resolve }, nil},
			"it was removed":  {func(*successors) answer { return noSuchIssuer }, authctx.WrongIssuer},
			"nobody can tell": {func(*successors) answer { return noDatabase }, authctx.Unavailable},
		} {
			for renewal := range 2 {
				synctest.Test(t, func(t *testing.T) {
					name := before + ", then " + after
					u, released := forgetting(t)
					u.s(testIssuer)
					first, second := first(u), test.second(u)
					if renewal == 1 {
						u.verify(name, u.s(testIssuer), testIssuer, nil)
						time.Sleep(11 * time.Minute)
						u.asked.Store(0)
					}
					u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
						now := first
						if u.asked.Load() > 1 {
							now = second
						}
						time.Sleep(time.Second)
						return now(issuer)
					}
					var all sync.WaitGroup
					for _, began := range []time.Duration{0, 600 * time.Millisecond} {
						all.Go(func() {
							time.Sleep(began)
							u.verify(name, u.s(testIssuer), testIssuer, test.want)
						})
					}
					time.Sleep(500 * time.Millisecond)
					u.r.Forget(testIssuer)
					start := time.Now()
					all.Wait()
					if d := time.Since(start); u.asked.Load() != 2 || d != 1500*time.Millisecond {
						t.Errorf("%s: asked %d times, %v later", name, u.asked.Load(), d)
					}
					u.close()
					if n := int(released.Load()); n != renewal+btoi(before == "a verifier")+btoi(test.want == nil) {
						t.Errorf("%s: released %d times", name, n)
					}
				})
			}
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Its time is over, or it panics: whoever waits is told that nobody could tell, and the
// next asks at once.
func TestACallThatEndsAfterItsIssuerWasForgottenLeavesNoFailure(t *testing.T) {
	for name, resolve := range map[string]func() (*jwtauth.Verifier, error){
		"its time is over":   func() (*jwtauth.Verifier, error) { time.Sleep(5100 * time.Millisecond); return nil, errors.New("over") },
		"it panics":          func() (*jwtauth.Verifier, error) { time.Sleep(2 * time.Second); panic("nil map") },
		"it is late":         func() (*jwtauth.Verifier, error) { time.Sleep(time.Minute); return nil, authctx.WrongIssuer },
		"it ends its thread": func() (*jwtauth.Verifier, error) { time.Sleep(2 * time.Second); runtime.Goexit(); return nil, nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newSuccessors(t, nil)
			good := u.resolve
			u.resolve = func(string) (*jwtauth.Verifier, error) { return resolve() }
			u.s(testIssuer)
			var waiting sync.WaitGroup
			waiting.Go(func() { u.verify(name, u.s(testIssuer), testIssuer, authctx.Unavailable) })
			time.Sleep(time.Second)
			u.r.Forget(testIssuer)
			waiting.Wait()
			time.Sleep(time.Second)
			if name == "it is late" {
				time.Sleep(time.Minute)
			}
			synctest.Wait()
			u.resolve = good
			u.verify(name+", the next", u.s(testIssuer), testIssuer, nil)
			u.close()
		})
	}
}

// A call that is repeated after that and fails is a failure like any other.
func TestACallThatIsRepeatedAfterForgetLeavesAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSuccessors(t, nil)
		u.resolve = func(string) (*jwtauth.Verifier, error) { time.Sleep(time.Second); return nil, errors.New("down") }
		s := u.s(testIssuer)
		go u.verify("meanwhile", s, testIssuer, authctx.Unavailable)
		synctest.Wait()
		u.r.Forget(testIssuer)
		time.Sleep(3 * time.Second)
		u.verify("the next", s, testIssuer, authctx.Unavailable)
		if n := u.asked.Load(); n != 2 {
			t.Errorf("Resolve was asked %d times", n)
		}
		u.close()
	})
}

// Nobody who names the issuer just then is any more trouble than before.
func TestForgetWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
			c.Release = func(*jwtauth.Verifier) { <-gate }
		})
		const other = "https://other.example"
		u.verify("at first", u.s(testIssuer), testIssuer, nil)
		u.verify("another", u.s(other), other, nil)
		resolve := u.resolve
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) { <-gate; return resolve(issuer) }
		start := time.Now()
		for range 3 {
			u.r.Forget(testIssuer)
			go u.verify("waiting", u.s(testIssuer), testIssuer, nil)
			synctest.Wait()
		}
		u.verify("another", u.s(other), other, nil)
		if d := time.Since(start); d != 0 {
			t.Errorf("waited %v", d)
		}
		close(gate)
		synctest.Wait()
		u.close()
	})
}

// Requests that are under way end as they began, and the verifier is released after them.
func TestAVerifierThatIsForgottenIsReleasedAfterTheRequestsThatUseIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, released := forgetting(t)
		s, gate := u.s(testIssuer), make(chan struct{})
		u.withKeys(func() jwtauth.KeySource {
			return keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
				<-gate
				return s.key, nil
			})
		})
		token, under := s.token(t, goodClaims(map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "iat": nil})), make(chan error)
		go func() {
			found, err := u.r.VerifyToken(t.Context(), token)
			under <- err
			if err == nil {
				err = found.Recheck(t.Context())
			}
			under <- err
		}()
		synctest.Wait()
		u.r.Forget(testIssuer)
		u.resolve = noSuchIssuer
		synctest.Wait()
		if n := released.Load(); n != 0 {
			t.Error("released while in use")
		}
		close(gate)
		if err := <-under; err != nil {
			t.Errorf("under way: %v", err)
		}
		synctest.Wait()
		if n := released.Load(); n != 1 {
			t.Errorf("released %d times", n)
		}
		if err := <-under; !errors.Is(err, authctx.WrongIssuer) {
			t.Errorf("its recheck: %v", err)
		}
		if _, err := u.r.Verify(t.Context(), token); !errors.Is(err, authctx.WrongIssuer) {
			t.Errorf("what it left in the cache: %v", err)
		}
		u.close()
	})
}

func TestForgetDoesNothingAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, released := forgetting(t)
		resolve := u.resolve
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) { time.Sleep(time.Second); return resolve(issuer) }
		var waiting sync.WaitGroup
		waiting.Go(func() { u.verify("waiting", u.s(testIssuer), testIssuer, authctx.Unavailable) })
		time.Sleep(time.Millisecond)
		waiting.Go(u.close)
		synctest.Wait()
		u.r.Forget(testIssuer)
		waiting.Wait()
		u.r.Forget(testIssuer)
		u.verify("closed", u.s(testIssuer), testIssuer, authctx.Unavailable)
		if a, n := u.asked.Load(), released.Load(); a != 1 || n != 1 {
			t.Errorf("asked %d times, released %d times", a, n)
		}
	})
}
