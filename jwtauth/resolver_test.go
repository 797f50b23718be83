package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
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

func TestRule4_ClientsThatLeaveDelayNoResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		var asked atomic.Int32
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(ctx context.Context, issuer string) (*jwtauth.Verifier, error) {
				asked.Add(1)
				select {
				case <-time.After(time.Second):
					return verifierOf(t, issuer, s), nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			},
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: func() time.Time { return testNow },
		}))
		token := s.token(t, goodClaims(nil))
		for range 20 { // one after the other
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			if _, err := r.Verify(ctx, token); !errors.Is(err, authctx.Unavailable) {
				t.Error(err)
			}
			cancel()
		}
		start := time.Now()
		if _, err := r.Verify(t.Context(), token); err != nil || time.Since(start) > time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestRule4_StrangersDoNotHoldUpIssuersThatAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		gate := make(chan struct{})
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(ctx context.Context, issuer string) (*jwtauth.Verifier, error) {
				if issuer == testIssuer {
					return verifierOf(t, issuer, s), nil
				}
				<-gate
				return nil, authctx.WrongIssuer
			},
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxAge: time.Minute, Cache: jwtauth.CacheConfig{Disabled: true},
			Now: func() time.Time { return testNow.Add(time.Since(start2000)) },
		}))
		token := s.token(t, goodClaims(nil))
		if _, err := r.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		var strangers sync.WaitGroup
		for i := range 64 {
			strangers.Go(func() {
				_, _ = r.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"iss": fmt.Sprintf("https://%d.example", i)})))
			})
		}
		synctest.Wait()
		time.Sleep(2 * time.Minute)
		if _, err := r.Verify(t.Context(), token); err != nil {
			t.Errorf("its answer was not renewed: %v", err)
		}
		close(gate)
		strangers.Wait()
	})
}

// start2000 is when the clock of synctest begins.
var start2000 = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestAResolveThatFailsInAnyWayIsUnavailable(t *testing.T) {
	for name, resolve := range map[string]func(context.Context) error{
		"panics":        func(context.Context) error { panic("nil map") },
		"never ends":    func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"blames no iss": func(context.Context) error { return authctx.BadSignature },
		"has two to ask": func(context.Context) error {
			return errors.Join(authctx.WrongIssuer, &authctx.Error{Reason: authctx.Unavailable})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSigner(t, "k1")
			r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
				Resolve:    func(ctx context.Context, _ string) (*jwtauth.Verifier, error) { return nil, resolve(ctx) },
				Algorithms: []jwtauth.Algorithm{jwtauth.ES256},
			}))
			for range 2 {
				start := time.Now()
				if _, err := r.Verify(t.Context(), s.token(t, goodClaims(nil))); authctx.ReasonOf(err) != authctx.Unavailable {
					t.Errorf("%s: %v", name, err)
				}
				if d := time.Since(start); d > 5*time.Second {
					t.Errorf("%s: after %v", name, d)
				}
			}
		})
	}
}

func TestRule2_ResolvedIssuersDoNotShareKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		keys := must(jwtauth.NewStaticKeys(s.key))
		released, now := 0, testNow
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
				return newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Issuer, c.Keys = issuer, keys }), nil
			},
			Release:    func(*jwtauth.Verifier) { released++ },
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxAge: time.Minute, Now: func() time.Time { return now },
		}))
		try := func(issuer string, want error) {
			t.Helper()
			if _, err := r.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"iss": issuer}))); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", issuer, err, want)
			}
		}
		try("https://a.example", nil)
		try("https://b.example", authctx.Unavailable)
		synctest.Wait()
		if released != 1 {
			t.Errorf("refused: released %d", released)
		}
		now = now.Add(time.Minute)
		try("https://a.example", nil) // renewed
		synctest.Wait()
		if released != 2 {
			t.Errorf("renewed: released %d", released)
		}
	})
}

// Whatever the verifier of an issuer takes besides.
func TestRule2_AResolvedIssuerUsesNoAlgorithmBesidesThoseOfAll(t *testing.T) {
	s := newSigner(t, "k1")
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
			t.Error("asked about a token that no issuer may have signed so")
			return verifierOf(t, issuer, s), nil
		},
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Now: func() time.Time { return testNow },
	}))
	defer r.Close()
	if _, err := r.Verify(t.Context(), s.token(t, goodClaims(nil))); err == nil {
		t.Error("the token is accepted")
	}
}

// An issuer that was renamed, or has other keys now, has its keys free after MaxAge.
func TestRule2_AnAnswerThatIsOverHoldsNoKeys(t *testing.T) {
	s, others := newSigner(t, "k1"), newSigner(t, "k1")
	const before, after = "https://a.example/", "https://a.example"
	for name, afterwards := range map[string]func() (testSigner, error){
		"it is not known any more": func() (testSigner, error) { return s, authctx.WrongIssuer },
		"it has other keys":        func() (testSigner, error) { return others, nil },
	} {
		var released sync.Map
		now, renamed := testNow, false
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
				s, err := s, error(nil)
				if renamed && issuer == before {
					s, err = afterwards()
				}
				return verifierOf(t, issuer, s), err
			},
			Release:    func(v *jwtauth.Verifier) { released.Store(v.Issuer(), true) },
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxAge: time.Minute, Now: func() time.Time { return now },
		}))
		try := func(issuer string, want error) {
			t.Helper()
			if _, err := r.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"iss": issuer}))); !errors.Is(err, want) {
				t.Errorf("%s: %s: %v, want %v", name, issuer, err, want)
			}
		}
		try(before, nil)
		renamed = true
		try(after, authctx.Unavailable)
		now = now.Add(time.Minute)
		try(after, nil)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for _, issuer := range []string{before, after} {
			if _, ok := released.Load(issuer); !ok {
				t.Errorf("%s: %s was not released", name, issuer)
			}
		}
	}
}

func TestRule4_AReleaseThatHangsHoldsUpNeitherRequestsNorClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signers(t)
		gate := make(chan struct{})
		var released atomic.Int32
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
				return verifierOf(t, issuer, s(issuer)), nil
			},
			Release:    func(*jwtauth.Verifier) { <-gate; released.Add(1) },
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxIssuers: 1, Timeout: time.Second, Cache: jwtauth.CacheConfig{Disabled: true},
			Now: func() time.Time { return testNow },
		}))
		start := time.Now()
		for i := range 100 { // each takes the place of the one before
			issuer := fmt.Sprintf("https://%d.example", i)
			if _, err := r.Verify(t.Context(), s(issuer).token(t, goodClaims(map[string]any{"iss": issuer}))); err != nil {
				t.Fatal(issuer, err)
			}
		}
		if d := time.Since(start); d > 0 {
			t.Errorf("requests waited %v", d)
		}
		if err := r.Close(); err == nil || !strings.Contains(err.Error(), "Release has not returned") || time.Since(start) > 2*time.Second {
			t.Errorf("closed after %v: %v", time.Since(start), err)
		}
		close(gate)
		synctest.Wait()
		if n := released.Load(); n != 100 {
			t.Errorf("%d of 100 were released", n)
		}
	})
}

// closingResolver resolves to remote keys, which it closes when it is told to.
func closingResolver(t *testing.T, now func() time.Time, maxIssuers int) *jwtauth.ResolvingVerifier {
	var sources sync.Map
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve: func(ctx context.Context, issuer string) (*jwtauth.Verifier, error) {
			keys, err := jwtauth.LoadRemoteKeys(ctx, jwtauth.RemoteKeysConfig{Issuer: issuer})
			if err != nil {
				return nil, err
			}
			v, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
				Issuer: issuer, Audiences: []string{jwtauthtest.Audience}, Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Keys: keys, Now: now,
			})
			sources.Store(v, keys)
			return v, err
		},
		Release: func(v *jwtauth.Verifier) {
			keys, once := sources.LoadAndDelete(v)
			if !once {
				t.Error("released twice")
				return
			}
			keys.(*jwtauth.RemoteKeys).Close()
		},
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxIssuers: maxIssuers, Now: now,
	}))
	t.Cleanup(func() {
		_ = r.Close()
		sources.Range(func(any, any) bool { t.Error("not released"); return true })
	})
	return r
}

func TestAStreamOutlivesTheAnswerThatItBeganWith(t *testing.T) {
	idp, other := jwtauthtest.NewIssuer(t, nil), jwtauthtest.NewIssuer(t, nil)
	var later atomic.Int64
	r := closingResolver(t, func() time.Time { return time.Now().Add(time.Duration(later.Load())) }, 1)
	open := func(i *jwtauthtest.Issuer) jwtauth.VerifiedToken {
		t.Helper()
		found, err := r.VerifyToken(t.Context(), i.Token().Set("exp", time.Now().Add(time.Hour).Unix()).Sign())
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	stream := open(idp)
	later.Store(int64(11 * time.Minute))
	open(idp)
	if err := stream.Recheck(t.Context()); err != nil {
		t.Errorf("after a renewal: %v", err)
	}
	open(other)
	if err := stream.Recheck(t.Context()); err != nil {
		t.Errorf("after an eviction: %v", err)
	}
	idp.Rotate()
	idp.DropOldKeys()
	open(other)
	if err := stream.Recheck(t.Context()); !errors.Is(err, authctx.UnknownKey) {
		t.Errorf("after the key was removed: %v", err)
	}
}

func TestCloseReleasesWhatIsKept(t *testing.T) {
	idp := jwtauthtest.NewIssuer(t, nil)
	r := closingResolver(t, time.Now, 10)
	found, err := r.VerifyToken(t.Context(), idp.Token().Sign())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := found.Recheck(t.Context()); !errors.Is(err, authctx.Unavailable) {
		t.Error(err)
	}
	if _, err := r.Verify(t.Context(), idp.Token().Set("jti", "2").Sign()); !errors.Is(err, authctx.Unavailable) {
		t.Error(err)
	}
}

func TestRule4_AResolveThatIgnoresItsContextHoldsUpNobodyBeyondTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		gate := make(chan struct{})
		var released, asked atomic.Int32
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
				asked.Add(1)
				<-gate
				return verifierOf(t, issuer, s), nil
			},
			Release:    func(*jwtauth.Verifier) { released.Add(1) },
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Timeout: time.Second, Now: func() time.Time { return testNow },
		}))
		token := s.token(t, goodClaims(nil))
		for _, want := range []time.Duration{time.Second, 0} { // the second finds it overdue
			start := time.Now()
			if _, err := r.Verify(t.Context(), token); authctx.ReasonOf(err) != authctx.Unavailable {
				t.Error(err)
			}
			if d := time.Since(start); d != want || asked.Load() != 1 {
				t.Errorf("after %v, want %v; asked %d times", d, want, asked.Load())
			}
		}
		start := time.Now()
		if err := r.Close(); err != nil || time.Since(start) != time.Second {
			t.Errorf("closed after %v: %v", time.Since(start), err)
		}
		close(gate)
		synctest.Wait()
		if n := released.Load(); n != 1 {
			t.Errorf("what came late was released %d times", n)
		}
	})
}

func TestWhoWaitsForAResolveIsToldAtOnceThatTheVerifierWasClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(context.Context, string) (*jwtauth.Verifier, error) {
				<-gate // whatever becomes of the context
				return nil, authctx.WrongIssuer
			},
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Timeout: time.Minute, Now: func() time.Time { return testNow },
		}))
		token, told := newSigner(t, "k1").token(t, goodClaims(nil)), make(chan error, 1)
		go func() {
			_, err := r.Verify(t.Context(), token)
			told <- err
		}()
		synctest.Wait()
		go r.Close()
		synctest.Wait()
		select {
		case err := <-told:
			if authctx.ReasonOf(err) != authctx.Unavailable || !strings.Contains(err.Error(), "closed") {
				t.Error(err)
			}
		default:
			t.Error("it waits on")
		}
		close(gate)
	})
}

func TestAResolveThatIsLateIsBelievedAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
				time.Sleep(2 * time.Second)
				return verifierOf(t, issuer, s), nil
			},
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Timeout: time.Second, Now: func() time.Time { return testNow },
		}))
		token := s.token(t, goodClaims(nil))
		if _, err := r.Verify(t.Context(), token); authctx.ReasonOf(err) != authctx.Unavailable {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if _, err := r.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	})
}

func TestAReleaseThatPanicsKeepsNoOtherFromBeingReleased(t *testing.T) {
	s := signers(t)
	var released atomic.Int32
	now := testNow
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
			return verifierOf(t, issuer, s(issuer)), nil
		},
		Release:    func(*jwtauth.Verifier) { released.Add(1); panic("closed twice") },
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxAge: time.Minute, Now: func() time.Time { return now },
	}))
	verify := func(issuer string) error {
		_, err := r.Verify(t.Context(), s(issuer).token(t, goodClaims(map[string]any{"iss": issuer})))
		return err
	}
	for _, issuer := range []string{"https://a.example", "https://b.example"} {
		if err := verify(issuer); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Minute)
	if err := verify("https://a.example"); err != nil {
		t.Error(err)
	}
	if err := r.Close(); released.Load() != 3 || err == nil || !strings.Contains(err.Error(), "panic in Release: closed twice") {
		t.Errorf("released %d of 3: %v", released.Load(), err)
	}
}
