package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// openKeys resolves to remote keys that are loaded in the background, and closes
// them when it is told to.
type openKeys struct {
	t       testing.TB
	sources sync.Map
	open    atomic.Int32
	down    atomic.Bool // the directory
	gone    atomic.Bool // the tenants
	asked   atomic.Int32
}

func (o *openKeys) resolve(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
	o.asked.Add(1)
	switch {
	case o.down.Load():
		return nil, errors.New("database: too many connections")
	case o.gone.Load():
		return nil, authctx.WrongIssuer
	}
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{Issuer: issuer})
	if err != nil {
		return nil, err
	}
	v, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: issuer, Audiences: []string{jwtauthtest.Audience}, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Keys: keys,
	})
	o.sources.Store(v, keys)
	o.open.Add(1)
	return v, err
}

func (o *openKeys) release(v *jwtauth.Verifier) {
	keys, once := o.sources.LoadAndDelete(v)
	if !once {
		o.t.Error("released twice")
		return
	}
	_ = keys.(*jwtauth.RemoteKeys).Close()
	o.open.Add(-1)
}

// verifier is closed with the test, and nothing is open after that.
func (o *openKeys) verifier(change func(*jwtauth.ResolvingVerifierConfig)) *jwtauth.ResolvingVerifier {
	cfg := jwtauth.ResolvingVerifierConfig{Resolve: o.resolve, Release: o.release, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}}
	change(&cfg)
	r := must(jwtauth.NewResolvingVerifier(cfg))
	o.t.Cleanup(func() {
		if err := r.Close(); err != nil || o.open.Load() != 0 {
			o.t.Errorf("%v; %d sources left open", err, o.open.Load())
		}
	})
	return r
}

// laterClock is ahead of the real one.
type laterClock struct{ ahead atomic.Int64 }

func (c *laterClock) Now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *laterClock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

func TestRule4_AProviderThatIsDownForADayFailsNoRequestWhoseKeyIsKnown(t *testing.T) {
	for name, outage := range map[string]func(*jwtauthtest.Issuer, *openKeys){
		"the provider":          func(idp *jwtauthtest.Issuer, _ *openKeys) { idp.Break(jwtauthtest.Status(503)) },
		"the directory":         func(_ *jwtauthtest.Issuer, o *openKeys) { o.down.Store(true) },
		"the provider, hanging": func(idp *jwtauthtest.Issuer, _ *openKeys) { idp.Break(jwtauthtest.Hang()) },
		"the connection":        func(idp *jwtauthtest.Issuer, _ *openKeys) { idp.Break(jwtauthtest.Down()) },
	} {
		t.Run(name, func(t *testing.T) {
			idp := jwtauthtest.NewIssuer(t, nil)
			clock, o := new(laterClock), &openKeys{t: t}
			r := o.verifier(func(c *jwtauth.ResolvingVerifierConfig) { c.Now, c.Timeout = clock.Now, time.Second })
			token := func() string { return idp.Token().Set("exp", time.Now().Add(48*time.Hour).Unix()).Sign() }
			old := token()
			found := must(r.VerifyToken(t.Context(), old))
			outage(idp, o)
			for range 130 {
				clock.advance(11 * time.Minute)
				_, err1 := r.Verify(t.Context(), old)
				_, err2 := r.Verify(t.Context(), token())
				if err := errors.Join(err1, err2, found.Recheck(t.Context())); err != nil {
					t.Fatalf("after %v: %v", time.Duration(clock.ahead.Load()), err)
				}
			}
			idp.Repair()
			idp.Rotate()
			o.down.Store(false)
			for end := time.Now().Add(unhurried); ; clock.advance(11 * time.Second) {
				_, err := r.Verify(t.Context(), token())
				if err == nil {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("not renewed: %v", err)
				}
			}
		})
	}
}

func TestRule4_AFailingResolveIsAskedOncePerCoolDown(t *testing.T) {
	for name, known := range map[string]bool{"a known issuer": true, "a new issuer": false} {
		synctest.Test(t, func(t *testing.T) {
			s := newSigner(t, "k1")
			asked, down := 0, !known
			r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
				Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
					asked++
					if down {
						return nil, errors.New("database: too many connections")
					}
					return verifierOf(t, issuer, s), nil
				},
				Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Cache: jwtauth.CacheConfig{Disabled: true},
			}))
			token := s.token(t, goodClaims(map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "iat": nil}))
			if known {
				must(r.Verify(t.Context(), token))
				time.Sleep(10 * time.Minute)
			}
			asked, down = 0, true
			for i := range 3 {
				for range 100 {
					_, err := r.Verify(t.Context(), token)
					var refused *authctx.Error
					if known && err != nil || !known && (!errors.As(err, &refused) || refused.Reason != authctx.Unavailable || refused.RetryAfter <= 0) {
						t.Fatalf("%s: %v", name, err)
					}
				}
				synctest.Wait()
				if asked != i+1 {
					t.Errorf("%s: asked %d times in %d cool-downs", name, asked, i+1)
				}
				time.Sleep(10 * time.Second)
			}
			down = false
			_, _ = r.Verify(t.Context(), token)
			synctest.Wait()
			if _, err := r.Verify(t.Context(), token); err != nil || asked != 4 {
				t.Errorf("%s: %v, asked %d times", name, err, asked)
			}
		})
	}
}

func TestAnOutageOfTheDirectoryIsNoAnswer(t *testing.T) {
	idp := jwtauthtest.NewIssuer(t, nil)
	verify := func(r *jwtauth.ResolvingVerifier) error {
		_, err := r.Verify(t.Context(), idp.Token().Set("exp", time.Now().Add(48*time.Hour).Unix()).Sign())
		return err
	}
	t.Run("a no counts when it comes", func(t *testing.T) {
		clock, o := new(laterClock), &openKeys{t: t}
		r := o.verifier(func(c *jwtauth.ResolvingVerifierConfig) { c.Now = clock.Now })
		must(0, verify(r))
		o.down.Store(true)
		clock.advance(time.Hour)
		must(0, verify(r))
		o.down.Store(false)
		o.gone.Store(true)
		for end := time.Now().Add(unhurried); ; clock.advance(time.Second) { // the answer comes in the background
			err := verify(r)
			if errors.Is(err, authctx.WrongIssuer) {
				break
			}
			if err != nil || time.Now().After(end) {
				t.Fatalf("it goes on: %v", err)
			}
		}
	})
	t.Run("it is over with MaxStale", func(t *testing.T) {
		clock, o := new(laterClock), &openKeys{t: t}
		r := o.verifier(func(c *jwtauth.ResolvingVerifierConfig) { c.Now, c.MaxStale = clock.Now, time.Hour })
		must(0, verify(r))
		o.down.Store(true)
		clock.advance(59 * time.Minute)
		must(0, verify(r))
		clock.advance(55 * time.Second) // less than a cool-down before
		must(0, verify(r))
		clock.advance(5 * time.Second)
		if err := verify(r); !errors.Is(err, authctx.Unavailable) {
			t.Error(err)
		}
	})
}

// A hung directory costs a request the Timeout once, not every ten seconds.
func TestRule4_RequestsWaitForOneRenewalThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		var hangs atomic.Bool
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(ctx context.Context, issuer string) (*jwtauth.Verifier, error) {
				if hangs.Load() {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return verifierOf(t, issuer, s), nil
			},
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Cache: jwtauth.CacheConfig{Disabled: true},
		}))
		token := s.token(t, goodClaims(map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "iat": nil}))
		must(r.Verify(t.Context(), token))
		hangs.Store(true)
		time.Sleep(10 * time.Minute)
		for i := range 10 {
			start := time.Now()
			_, err := r.Verify(t.Context(), token)
			if waited := time.Since(start); err != nil || i == 0 && waited != 5*time.Second || i > 0 && waited > 0 {
				t.Errorf("request %d: %v after %v", i, err, waited)
			}
			time.Sleep(11 * time.Second)
		}
	})
}

func TestRule4_NeitherRenewalNorEvictionFailsARequest(t *testing.T) {
	for name, change := range map[string]func(*jwtauth.ResolvingVerifierConfig){
		"renewal":  func(c *jwtauth.ResolvingVerifierConfig) { c.MaxAge, c.MaxStale = 10*time.Millisecond, time.Minute },
		"eviction": func(c *jwtauth.ResolvingVerifierConfig) { c.MaxIssuers = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			r := (&openKeys{t: t}).verifier(change)
			end := time.Now().Add(500 * time.Millisecond)
			var all sync.WaitGroup
			for range 3 {
				idp := jwtauthtest.NewIssuer(t, nil)
				token := idp.Token().Sign()
				for range 3 {
					all.Go(func() {
						for time.Now().Before(end) {
							if _, err := r.Verify(t.Context(), token); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
			}
			all.Wait()
		})
	}
}

func TestAVerifierIsReleasedAfterTheRequestsThatUseIt(t *testing.T) {
	for name, leave := range map[string]func(r *jwtauth.ResolvingVerifier, other func()){
		"eviction": func(_ *jwtauth.ResolvingVerifier, other func()) { other() },
		"Close":    func(r *jwtauth.ResolvingVerifier, _ func()) { go func() { _ = r.Close() }() },
	} {
		synctest.Test(t, func(t *testing.T) {
			s, gate := signers(t), make(chan struct{})
			var released atomic.Int32
			var gated atomic.Bool
			keys := keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) {
				if gated.Load() {
					<-gate
				}
				return s(testIssuer).key, nil
			})
			r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
				Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
					if issuer != testIssuer {
						return verifierOf(t, issuer, s(issuer)), nil
					}
					return newVerifier(t, s(issuer), func(c *jwtauth.VerifierConfig) { c.Keys = keys }), nil
				},
				Release: func(v *jwtauth.Verifier) {
					if v.Issuer() == testIssuer {
						released.Add(1)
					}
				},
				Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxIssuers: 1, Now: func() time.Time { return testNow },
			}))
			must(r.Verify(t.Context(), s(testIssuer).token(t, goodClaims(map[string]any{"jti": "the first"}))))
			gated.Store(true)
			var all sync.WaitGroup
			token := s(testIssuer).token(t, goodClaims(nil))
			for range 3 {
				all.Go(func() {
					if _, err := r.Verify(t.Context(), token); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			synctest.Wait()
			leave(r, func() {
				const other = "https://other.example"
				must(r.Verify(t.Context(), s(other).token(t, goodClaims(map[string]any{"iss": other}))))
			})
			synctest.Wait()
			if n := released.Load(); n != 0 {
				t.Errorf("%s: released while in use", name)
			}
			close(gate)
			all.Wait()
			synctest.Wait()
			if n := released.Load(); n != 1 {
				t.Errorf("%s: released %d times", name, n)
			}
		})
	}
}

// Resolve returns the verifier of last time as long as it has not been told to
// let go of it, which takes a while.
func TestAVerifierThatIsKeptIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const a, b = "https://a.example", "https://b.example"
		var table, closed sync.Map
		u := newSuccessors(t, func(c *jwtauth.ResolvingVerifierConfig) {
			c.MaxIssuers = 1
			c.Release = func(v *jwtauth.Verifier) {
				time.Sleep(time.Second)
				table.Delete(v.Issuer())
				closed.Store(v, true)
			}
		})
		u.resolve = func(issuer string) (*jwtauth.Verifier, error) {
			v, _ := table.LoadOrStore(issuer, verifierOf(t, issuer, u.s(issuer)))
			return v.(*jwtauth.Verifier), nil
		}
		for _, issuer := range []string{a, b, a} { // each takes the place of the one before
			u.verify(issuer, u.s(issuer), issuer, nil)
		}
		time.Sleep(time.Minute)
		u.verify("later", u.s(a), a, nil)
		v, known := table.Load(a)
		if _, gone := closed.Load(v); !known || gone {
			t.Errorf("known: %v; released: %v", known, gone)
		}
		u.close()
		table.Range(func(issuer, _ any) bool { t.Errorf("%v was not released", issuer); return true })
	})
}

// forged returns an ES256 token with the signature of nobody.
func forged(token string) string {
	return token[:strings.LastIndexByte(token, '.')+1] + strings.Repeat("A", 86)
}

func TestStrangersPushOutNobodyByNamingIssuersThatExist(t *testing.T) {
	s := signers(t)
	asked := map[string]int{}
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
			asked[issuer]++
			return verifierOf(t, issuer, s(issuer)), nil
		},
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxIssuers: 3, Cache: jwtauth.CacheConfig{Disabled: true},
		Now: func() time.Time { return testNow },
	}))
	name := func(i int) string { return fmt.Sprintf("https://%d.example", i) }
	verify := func(issuer string, want error) {
		t.Helper()
		token := s(issuer).token(t, goodClaims(map[string]any{"iss": issuer}))
		if want != nil {
			token = forged(token)
		}
		if _, err := r.Verify(t.Context(), token); !errors.Is(err, want) {
			t.Errorf("%s: %v", issuer, err)
		}
	}
	verify(name(0), nil)
	verify(name(1), nil)
	for i := range 20 {
		verify(name(i), authctx.BadSignature)
	}
	verify(name(1), nil)
	verify(name(0), nil)
	verify(name(2), nil) // the third
	verify(name(1), authctx.BadSignature)
	verify(name(3), nil) // takes the place of 1, which only a stranger named of late
	for _, i := range []int{0, 2, 3} {
		verify(name(i), nil)
	}
	for i, want := range []int{1, 1, 2, 2, 1} {
		if got := asked[name(i)]; got != want {
			t.Errorf("asked about %s %d times, want %d", name(i), got, want)
		}
	}
}

func TestCloseAmongRequestsAndRenewalsLeavesNothingOpen(t *testing.T) {
	idp := jwtauthtest.NewIssuer(t, nil)
	token := idp.Token().Sign()
	for range 5 {
		o := &openKeys{t: t}
		r := o.verifier(func(c *jwtauth.ResolvingVerifierConfig) { c.MaxAge, c.MaxStale = time.Millisecond, time.Minute })
		must(r.Verify(t.Context(), token))
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for {
					if _, err := r.Verify(t.Context(), token); authctx.ReasonOf(err) == authctx.Unavailable {
						return
					} else if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for o.asked.Load() < 3 { // renewals are under way
			runtime.Gosched()
		}
		if err := r.Close(); err != nil || o.open.Load() != 0 {
			t.Errorf("%v; %d sources left open", err, o.open.Load())
		}
		all.Wait()
	}
}
