package jwtauth_test

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestCVE_2021_41230_AnswersAreRememberedNoLongerThanTheyMay(t *testing.T) {
	e, c := newEndpoint(t, answer(good)), newClock()
	cfg := introspectionConfig(e.URL, c)
	cfg.Cache.MaxAge = 20 * time.Second
	i := newIntrospector(t, cfg)
	ask := func(want int64, wantCached bool) {
		t.Helper()
		got, err := i.VerifyToken(t.Context(), "opaque")
		if n := e.asked.Load(); err != nil || n != want || got.Cached != wantCached {
			t.Fatalf("asked %d times, cached %v, %v; want %d, %v", n, got.Cached, err, want, wantCached)
		}
	}
	ask(1, false)
	c.advance(19 * time.Second)
	ask(1, true) // and being used does not make it live longer
	c.advance(time.Second)
	ask(2, false)
	e.answers(answer(`{"active":false}`))
	c.advance(19 * time.Second)
	ask(2, true)
	c.advance(time.Second)
	if _, err := i.Verify(t.Context(), "opaque"); authctx.ReasonOf(err) != authctx.InvalidToken {
		t.Errorf("a revoked token after MaxAge: %v", err)
	}
}

func TestAfterCloseNothingRememberedCounts(t *testing.T) {
	e, c := newEndpoint(t, answer(good)), newClock()
	cfg := introspectionConfig(e.URL, c)
	cfg.Cache.MaxAge = time.Hour
	i := newIntrospector(t, cfg)
	found, err := i.VerifyToken(t.Context(), "good")
	if err != nil {
		t.Fatal(err)
	}
	e.answers(answer(`{"active":false}`))
	if _, err := i.Verify(t.Context(), "bad"); !errors.Is(err, authctx.InvalidToken) {
		t.Fatal(err)
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	_, again := i.VerifyToken(t.Context(), "good")
	_, refused := i.VerifyToken(t.Context(), "bad")
	for name, err := range map[string]error{"the token": again, "a refused one": refused, "the stream": found.Recheck(t.Context())} {
		if !errors.Is(err, authctx.Unavailable) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestCVE_2026_107719_ACachedAnswerEndsWithItsToken(t *testing.T) {
	ends := func(at string) http.HandlerFunc { return answer(strings.Replace(good, "1767226200", at, 1)) }
	e, c := newEndpoint(t, ends("1767225610")), newClock()
	cfg := introspectionConfig(e.URL, c)
	cfg.Cache.MaxAge, cfg.Leeway = time.Hour, jwtauth.NoLeeway
	i := newIntrospector(t, cfg)
	if _, err := i.Verify(t.Context(), "opaque"); err != nil {
		t.Fatal(err)
	}
	c.advance(10 * time.Second)
	for range 3 {
		if _, err := i.Verify(t.Context(), "opaque"); !errors.Is(err, authctx.TokenExpired) {
			t.Errorf("got %v, want expired", err)
		}
	}
	if n := e.asked.Load(); n != 2 { // once more, because tokens may be prolonged
		t.Errorf("asked %d times", n)
	}
	e.answers(ends("1767225700"))
	c.advance(5 * time.Second)
	if _, err := i.Verify(t.Context(), "opaque"); err != nil {
		t.Errorf("after the endpoint has prolonged the token: %v", err)
	}
}

func TestATokenWithoutAnEndCountsAsLongAsTheAnswer(t *testing.T) {
	for leeway, most := range map[time.Duration]time.Duration{0: 61 * time.Second, jwtauth.NoLeeway: 31 * time.Second} {
		e, c := newEndpoint(t, answer(strings.Replace(good, `"exp":1767226200,`, "", 1))), newClock()
		c.advance(700 * time.Millisecond)
		cfg := introspectionConfig(e.URL, c)
		cfg.Leeway = leeway
		i := newIntrospector(t, cfg)
		start := c.now()
		for step := range 400 { // four times 30 s
			p, err := i.Verify(t.Context(), "opaque")
			if err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
			// The leeway is for whom the principal is passed on to.
			if left := p.Expires().Sub(c.now()); left <= most-31*time.Second || left > most {
				t.Fatalf("step %d: %v left", step, left)
			}
			c.advance(300 * time.Millisecond)
		}
		if n, want := e.asked.Load(), int64(c.now().Sub(start)/(30*time.Second)); n != want {
			t.Errorf("asked %d times, want %d", n, want)
		}
	}
}

func TestATokenWithoutAnEndCountsHoweverLongAnswersDo(t *testing.T) {
	e := newEndpoint(t, answer(strings.Replace(good, `"exp":1767226200,`, "", 1)))
	cfg := introspectionConfig(e.URL, newClock())
	cfg.Cache.MaxAge = math.MaxInt64
	if _, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); err != nil {
		t.Error(err)
	}
}

// However short answers are remembered, one that has just come counts.
func TestATokenWithoutAnEndOutlivesItsQuestion(t *testing.T) {
	c := newClock()
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		c.advance(2500 * time.Millisecond)
		answer(strings.Replace(good, `"exp":1767226200,`, "", 1))(w, r)
	})
	cfg := introspectionConfig(e.URL, c)
	cfg.Leeway = jwtauth.NoLeeway
	for _, cfg.Cache.MaxAge = range []time.Duration{time.Millisecond, time.Second, 2 * time.Second} {
		if p, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); err != nil || !p.Expires().After(c.now()) {
			t.Errorf("MaxAge %v: until %v, %v", cfg.Cache.MaxAge, p.Expires(), err)
		}
	}
}

func TestARefusedTokenIsRememberedForSeconds(t *testing.T) {
	e, c := newEndpoint(t, answer(`{"active":false}`)), newClock()
	i := newIntrospector(t, introspectionConfig(e.URL, c))
	for range 3 {
		if _, err := i.Verify(t.Context(), "opaque"); authctx.ReasonOf(err) != authctx.InvalidToken {
			t.Fatal(err)
		}
	}
	if n := e.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	e.answers(answer(good))
	c.advance(5 * time.Second)
	if _, err := i.Verify(t.Context(), "opaque"); err != nil {
		t.Errorf("after five seconds: %v", err)
	}
}

func TestWithoutACacheEveryRequestAsks(t *testing.T) {
	e := newEndpoint(t, answer(good))
	cfg := introspectionConfig(e.URL, newClock())
	cfg.Cache.Disabled = true
	i := newIntrospector(t, cfg)
	for want := range int64(3) {
		if got, err := i.VerifyToken(t.Context(), "opaque"); err != nil || got.Cached || e.asked.Load() != want+1 {
			t.Fatalf("asked %d times, %v", e.asked.Load(), err)
		}
	}
}

// What is remembered is who the caller is, never what a route asked for.
func TestCVE_2021_32701_ARememberedAnswerAllowsNothing(t *testing.T) {
	i := newIntrospector(t, introspectionConfig(newEndpoint(t, answer(good)).URL, newClock()))
	for scope, want := range map[string]error{"orders.read": nil, "orders.delete": authctx.InsufficientScope} {
		for range 2 {
			p, err := i.Verify(t.Context(), "opaque")
			if err != nil {
				t.Fatal(err)
			}
			if err := authctx.Scope(scope).Check(t.Context(), p); !errors.Is(err, want) {
				t.Errorf("%s: %v", scope, err)
			}
		}
	}
}
