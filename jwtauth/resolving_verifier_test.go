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
)

// slowResolver answers when the gate opens, or gives up with its context.
func slowResolver(t testing.TB, s testSigner, asked *atomic.Int32, gate <-chan struct{}) *jwtauth.ResolvingVerifier {
	return must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve: func(ctx context.Context, issuer string) (*jwtauth.Verifier, error) {
			asked.Add(1)
			select {
			case <-gate:
				return verifierOf(t, issuer, s), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: func() time.Time { return testNow },
	}))
}

func TestRequestsForOneIssuerShareOneResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		var asked atomic.Int32
		gate := make(chan struct{})
		r := slowResolver(t, s, &asked, gate)
		token := s.token(t, goodClaims(nil))
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := r.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		all.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestARequestThatLeavesDuringAResolveTakesNobodyAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		var asked atomic.Int32
		gate := make(chan struct{})
		r := slowResolver(t, s, &asked, gate)
		token := s.token(t, goodClaims(nil))
		leaving, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := r.Verify(leaving, token); !errors.Is(err, authctx.Unavailable) {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 10 {
			all.Go(func() {
				if _, err := r.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(gate)
		all.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestStrangersCannotAskAboutManyIssuersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		var asked, refusals atomic.Int32
		gate := make(chan struct{})
		r := slowResolver(t, s, &asked, gate)
		var all sync.WaitGroup
		for i := range 200 {
			token := s.token(t, goodClaims(map[string]any{"iss": fmt.Sprintf("https://%d.example", i)}))
			all.Go(func() {
				if _, err := r.Verify(t.Context(), token); errors.Is(err, authctx.Unavailable) {
					refusals.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if a, n := asked.Load(), refusals.Load(); a != 64 || n != 136 {
			t.Errorf("%d questions at once, %d refused", a, n)
		}
		close(gate)
		all.Wait()
	})
}

func TestAResolverThatFailsWithoutReasonIsUnavailable(t *testing.T) {
	s := newSigner(t, "k1")
	for name, answer := range map[string]error{"an error": errors.New("database down"), "nothing": nil} {
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve:    func(context.Context, string) (*jwtauth.Verifier, error) { return nil, answer },
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: func() time.Time { return testNow },
		}))
		if _, err := r.Verify(t.Context(), s.token(t, goodClaims(nil))); !errors.Is(err, authctx.Unavailable) || errors.Is(err, authctx.InvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What was said of an issuer that is none of ours counts for UnknownFor, and no
// longer: it may be let in by then.
func TestRule4_AnUnknownIssuerIsAskedAboutAgain(t *testing.T) {
	for _, unknownFor := range []time.Duration{0, time.Minute} { // which zero stands for
		unknownIssuer(t, unknownFor)
	}
}

func unknownIssuer(t *testing.T, unknownFor time.Duration) {
	t.Helper()
	s, now, known := newSigner(t, "k1"), testNow, false
	var asked []string
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
			asked = append(asked, issuer)
			if !known {
				return nil, authctx.WrongIssuer
			}
			return verifierOf(t, issuer, s), nil
		},
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, UnknownFor: unknownFor, Now: func() time.Time { return now },
	}))
	token := s.token(t, goodClaims(nil))
	for _, step := range []struct {
		pass  time.Duration
		want  error
		asked int
	}{{0, authctx.WrongIssuer, 1}, {time.Minute - 1, authctx.WrongIssuer, 1}, {1, nil, 2}, {0, nil, 2}} {
		now = now.Add(step.pass)
		if _, err := r.Verify(t.Context(), token); !errors.Is(err, step.want) || len(asked) != step.asked {
			t.Errorf("%v later: %v, asked about %q", step.pass, err, asked)
		}
		known = true
	}
}

func TestRule2_NobodyIsAskedAboutATokenWithoutAnIssuer(t *testing.T) {
	s, asked := newSigner(t, "k1"), 0
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve: func(context.Context, string) (*jwtauth.Verifier, error) {
			asked++
			return verifierOf(t, testIssuer, s), nil
		},
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: func() time.Time { return testNow },
	}))
	for name, iss := range map[string]any{"absent": nil, "empty": "", "a number": 7, "a list": []string{testIssuer}, "too long": strings.Repeat("i", 1025)} {
		if _, err := r.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"iss": iss}))); !errors.Is(err, authctx.InvalidToken) || asked > 0 {
			t.Errorf("%s: %v, asked %d times", name, err, asked)
		}
	}
	if _, err := r.Verify(t.Context(), s.token(t, goodClaims(map[string]any{"iss": strings.Repeat("i", 1024)}))); !errors.Is(err, authctx.WrongIssuer) || asked != 1 {
		t.Errorf("the longest name: %v, asked %d times", err, asked)
	}
	asked = 0
	twice := strings.Replace(asJSON(t, goodClaims(nil)), `"iss"`, `"iss":"https://other.example","iss"`, 1)
	if _, err := r.Verify(t.Context(), s.compact(t, `{"alg":"ES256","kid":"k1"}`, twice)); !errors.Is(err, authctx.InvalidToken) || asked > 0 {
		t.Errorf("two issuers: %v, asked %d times", err, asked)
	}
}

func TestNobodyIsAskedAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, "k1")
		var asked atomic.Int32
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(context.Context, string) (*jwtauth.Verifier, error) {
				asked.Add(1)
				return verifierOf(t, testIssuer, s), nil
			},
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: func() time.Time { return testNow },
		}))
		token := s.token(t, goodClaims(nil))
		found := must(r.VerifyToken(t.Context(), token))
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := r.Verify(t.Context(), token)
		recheck := found.Recheck(t.Context())
		synctest.Wait()
		if n := asked.Load(); !errors.Is(err, authctx.Unavailable) || !errors.Is(recheck, authctx.Unavailable) || n != 1 {
			t.Errorf("%v, recheck %v, asked %d times", err, recheck, n)
		}
	})
}

// signers returns the signer of each issuer, for a key serves one.
func signers(t testing.TB) func(issuer string) testSigner {
	made := map[string]testSigner{}
	return func(issuer string) testSigner {
		if made[issuer].key == nil {
			made[issuer] = newSigner(t, "k1")
		}
		return made[issuer]
	}
}

func TestAResolvingVerifierKeepsABoundedNumberOfIssuers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signers(t)
		now := testNow
		var asked, released atomic.Int32
		r, err := jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
				asked.Add(1)
				switch {
				case !strings.HasPrefix(issuer, "https://tenant-"):
					return nil, authctx.WrongIssuer
				case issuer == "https://tenant-down.example":
					return nil, errors.New("database down")
				case issuer == "https://tenant-liar.example":
					return verifierOf(t, "https://tenant-1.example", s(issuer)), nil
				}
				return verifierOf(t, issuer, s(issuer)), nil
			},
			Release:    func(*jwtauth.Verifier) { released.Add(1) },
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxIssuers: 2,
			Now: func() time.Time { return now },
		})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		verify := func(issuer string, want error) {
			t.Helper()
			n++
			token := s(issuer).token(t, goodClaims(map[string]any{"iss": issuer, "jti": fmt.Sprint(n), "exp": testNow.Unix() + 86400}))
			if want == authctx.BadSignature {
				token = forged(token)
			}
			if p, err := r.Verify(t.Context(), token); !errors.Is(err, want) || want == nil && p.Issuer() != issuer {
				t.Errorf("%s: %v, %v", issuer, p, err)
			}
		}
		expect := func(what string, counter *atomic.Int32, want int32) {
			t.Helper()
			synctest.Wait()
			if got := counter.Load(); got != want {
				t.Errorf("%s %d times, want %d", what, got, want)
			}
		}
		verify("https://tenant-1.example", nil)
		verify("https://tenant-1.example", nil)
		expect("asked", &asked, 1)
		verify("https://evil.example", authctx.WrongIssuer)
		verify("https://evil.example", authctx.WrongIssuer)
		expect("asked", &asked, 2)
		verify("https://tenant-down.example", authctx.Unavailable)
		verify("https://tenant-liar.example", authctx.WrongIssuer)
		for i := range 10 {
			verify(fmt.Sprintf("https://evil-%d.example", i), authctx.WrongIssuer)
		}
		asked.Store(0)
		verify("https://tenant-1.example", nil)
		expect("asked about an issuer that strangers cannot push out", &asked, 0)
		verify("https://tenant-2.example", nil)
		expect("released", &released, 0) // the liar has the place that is there for newcomers
		verify("https://tenant-3.example", nil)
		expect("released", &released, 1)
		verify("https://tenant-4.example", authctx.BadSignature)
		expect("released", &released, 2)
		asked.Store(0)
		now = now.Add(time.Hour)
		verify("https://tenant-3.example", nil)
		expect("asked again after MaxAge", &asked, 1)
	})
}

func TestAVerifierThatIssuersShareIsReleasedWithTheLastOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signers(t)
		shared := newVerifier(t, s("login"), func(c *jwtauth.VerifierConfig) {
			c.Issuer, c.Tenants = "https://login.example/{tenantid}", jwtauth.AnyTenant()
		})
		released := 0
		r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
			Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
				if strings.HasPrefix(issuer, "https://login.example/") {
					return shared, nil
				}
				return verifierOf(t, issuer, s(issuer)), nil
			},
			Release: func(v *jwtauth.Verifier) {
				if v == shared {
					released++
				}
			},
			Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxIssuers: 2, Now: func() time.Time { return testNow },
		}))
		for i, want := range []struct {
			issuer, tenant string
			released       int
		}{{"https://login.example/a", "a", 0}, {"https://login.example/b", "b", 0}, {"https://x.example", "", 0}, {"https://y.example", "", 1}} {
			signer := s(want.issuer)
			if want.tenant != "" {
				signer = s("login")
			}
			token := signer.token(t, goodClaims(map[string]any{"iss": want.issuer, "tid": want.tenant, "jti": fmt.Sprint(i)}))
			_, err := r.Verify(t.Context(), token)
			synctest.Wait()
			if err != nil || released != want.released {
				t.Errorf("%s: released %d times, want %d; %v", want.issuer, released, want.released, err)
			}
		}
	})
}

func TestRule5_AResolvedIssuerTakesItsCachedTokensWithIt(t *testing.T) {
	s := newSigner(t, "k1")
	now, known := testNow, true
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
			if !known {
				return nil, authctx.WrongIssuer
			}
			return verifierOf(t, issuer, s), nil
		},
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxAge: time.Minute,
		Now: func() time.Time { return now },
	}))
	token := s.token(t, goodClaims(nil))
	if _, err := r.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	known = false
	if found, err := r.VerifyToken(t.Context(), token); err != nil || !found.Cached {
		t.Errorf("within MaxAge: %v, %v", found.Cached, err)
	}
	now = now.Add(time.Minute)
	if _, err := r.Verify(t.Context(), token); !errors.Is(err, authctx.WrongIssuer) {
		t.Errorf("after MaxAge: %v", err)
	}
}

// Keys that nobody closes do not keep a stream going.
func TestRule5_AStreamAsksAgainAfterMaxAge(t *testing.T) {
	s := newSigner(t, "k1")
	now, answer := testNow, func(issuer string) (*jwtauth.Verifier, error) { return verifierOf(t, issuer, s), nil }
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve:    func(_ context.Context, issuer string) (*jwtauth.Verifier, error) { return answer(issuer) },
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, MaxAge: time.Minute, MaxStale: time.Minute, Now: func() time.Time { return now },
	}))
	stream := must(r.VerifyToken(t.Context(), s.token(t, goodClaims(map[string]any{"exp": now.Add(time.Hour).Unix()}))))
	recheck := func(when string, want error) {
		t.Helper()
		if err := stream.Recheck(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
	}
	now = now.Add(2 * time.Minute)
	recheck("the same keys", nil)
	answer = func(string) (*jwtauth.Verifier, error) { return nil, errors.New("database down") }
	recheck("while the answer is believed", nil)
	now = now.Add(2 * time.Minute)
	recheck("nobody can tell", authctx.Unavailable)
	answer = func(issuer string) (*jwtauth.Verifier, error) { return verifierOf(t, issuer, newSigner(t, "k1")), nil }
	now = now.Add(10 * time.Second)
	recheck("other keys", authctx.UnknownKey)
	answer = func(string) (*jwtauth.Verifier, error) { return nil, authctx.WrongIssuer }
	now = now.Add(2 * time.Minute)
	recheck("no such issuer", authctx.WrongIssuer)
	now = now.Add(2 * time.Hour)
	recheck("expired", authctx.TokenExpired)
}

func TestRule5_ACloseEndsTokensInTheCacheAndStreams(t *testing.T) {
	s := newSigner(t, "k1")
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Resolve: func(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
			return verifierOf(t, issuer, s), nil
		},
		Algorithms: []jwtauth.Algorithm{jwtauth.ES256}, Now: func() time.Time { return testNow },
	}))
	token := s.token(t, goodClaims(nil))
	stream := must(r.VerifyToken(t.Context(), token))
	if n := testing.AllocsPerRun(100, func() { _, _ = r.Verify(t.Context(), token) }); n > 0 {
		t.Errorf("%v allocations for a token that is known", n)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := r.Verify(t.Context(), token)
	_, err2 := r.VerifyToken(t.Context(), token)
	for name, err := range map[string]error{"Verify": err, "VerifyToken": err2, "Recheck": stream.Recheck(t.Context())} {
		if authctx.ReasonOf(err) != authctx.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRule1_NewResolvingVerifierNamesEveryProblem(t *testing.T) {
	_, err := jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{MaxIssuers: -1, MaxStale: time.Minute, MaxTokenBytes: 1})
	requireNames(t, err, "Resolve", "Algorithms", "MaxIssuers", "MaxTokenBytes")
	if err == nil || !strings.Contains(err.Error(), "MaxStale must not be shorter than MaxAge, which is 10m0s") {
		t.Error(err)
	}
}
