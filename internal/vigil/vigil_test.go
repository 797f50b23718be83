package vigil_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/moment/momenttest"
	"github.com/authctx/authctx/internal/vigil"
)

func caller(t *testing.T, life time.Duration) authctx.Principal {
	t.Helper()
	a := authctx.Attributes{Issuer: "i", Subject: "s"}
	if life > 0 {
		a.Expires = time.Now().Add(life)
	}
	p, err := authctx.New(a)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// watch watches until the caller no longer stands or ctx is done.
func watch(ctx context.Context, v *vigil.Vigil) error {
	ended, told := make(chan error, 1), make(chan error, 1)
	v.Start(ctx, func(err error) { ended <- err }, func(err error) { told <- err })
	select {
	case err := <-ended:
		if other := <-told; other != err {
			return fmt.Errorf("ended with %v, and told %v", err, other)
		}
		return err
	case <-ctx.Done():
	}
	synctest.Wait()
	time.Sleep(24 * time.Hour) // nothing comes later
	select {
	case err := <-ended:
		return err
	default:
		return nil
	}
}

func TestAWatchEndsWithTheCaller(t *testing.T) {
	revokedAfter := func(d time.Duration) func(context.Context) error {
		start := time.Now()
		return func(context.Context) error {
			if time.Since(start) >= d {
				return authctx.TokenRevoked
			}
			return nil
		}
	}
	hangs := func(ctx context.Context) error {
		<-ctx.Done()
		return authctx.Unavailable
	}
	deaf := func(context.Context) error {
		time.Sleep(24 * time.Hour)
		return nil
	}
	slow := func(context.Context) error { // as in a process that has no time
		time.Sleep(4 * time.Second)
		return nil
	}
	panics := func(context.Context) error { panic("oops") }
	for _, c := range []struct {
		name     string
		life     time.Duration
		interval time.Duration
		recheck  func() func(context.Context) error
		want     authctx.Reason
		after    time.Duration
	}{
		{"at the effective end", 90 * time.Minute, 0, nil, authctx.TokenExpired, 90 * time.Minute},
		{"at the effective end in spite of rechecks that pass", time.Hour, 7 * time.Minute,
			func() func(context.Context) error { return revokedAfter(2 * time.Hour) }, authctx.TokenExpired, time.Hour},
		{"at the first recheck after a revocation", time.Hour, 10 * time.Minute,
			func() func(context.Context) error { return revokedAfter(25 * time.Minute) }, authctx.TokenRevoked, 30 * time.Minute},
		{"without an effective end, by revocation alone", 0, 10 * time.Minute,
			func() func(context.Context) error { return revokedAfter(5 * time.Minute) }, authctx.TokenRevoked, 10 * time.Minute},
		{"when a recheck hangs, once the next one is due", time.Hour, 10 * time.Minute,
			func() func(context.Context) error { return hangs }, authctx.Unavailable, 20 * time.Minute},
		{"when a recheck hangs, no later than the effective end", 15 * time.Minute, 10 * time.Minute,
			func() func(context.Context) error { return hangs }, authctx.TokenExpired, 15 * time.Minute},
		{"when a recheck ignores its context, once the next one is due", time.Hour, 10 * time.Minute,
			func() func(context.Context) error { return deaf }, authctx.Unavailable, 20 * time.Minute},
		{"when a recheck ignores its context, no later than the effective end", 15 * time.Minute, 10 * time.Minute,
			func() func(context.Context) error { return deaf }, authctx.TokenExpired, 15 * time.Minute},
		{"when a recheck hangs, once five seconds have passed", time.Hour, time.Second,
			func() func(context.Context) error { return deaf }, authctx.Unavailable, 6 * time.Second},
		{"at the effective end in spite of rechecks that take longer than the interval", time.Minute, time.Second,
			func() func(context.Context) error { return slow }, authctx.TokenExpired, time.Minute},
		{"when a recheck panics", time.Hour, 10 * time.Minute,
			func() func(context.Context) error { return panics }, authctx.Unavailable, 10 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				res := authctx.Result{Principal: caller(t, c.life)}
				if c.recheck != nil {
					res.Recheck = c.recheck()
				}
				if !vigil.Needed(&res, c.interval) {
					t.Error("there is nothing to watch for")
				}
				start := time.Now()
				err := watch(t.Context(), vigil.New(res, c.interval, time.Now))
				// The clock is in whole seconds, so an end is up to one early.
				if got := time.Since(start); authctx.ReasonOf(err) != c.want || got > c.after || got < c.after-time.Second {
					t.Errorf("%v after %v, want %v after %v", err, got, c.want, c.after)
				}
				time.Sleep(24 * time.Hour) // a recheck that was not waited for ends, too
			})
		})
	}
}

func TestARecheckThatHangsIsNamedAsTheCause(t *testing.T) {
	for name, recheck := range map[string]func(context.Context) error{
		"deaf": func(context.Context) error {
			time.Sleep(time.Hour)
			return nil
		},
		"without a word of its own": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			err := watch(t.Context(), vigil.New(authctx.Result{Recheck: recheck}, time.Minute, time.Now))
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the recheck gave no answer in time") {
				t.Errorf("%s: %v", name, err)
			}
			time.Sleep(time.Hour)
		})
	}
}

func TestAClockThatIsSetIsSeenWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		v, start := vigil.New(authctx.Result{Principal: caller(t, 2*time.Hour)}, 0, now), time.Now()
		time.AfterFunc(10*time.Minute+time.Second, func() { ahead.Store(int64(2 * time.Hour)) })
		if err := watch(t.Context(), v); authctx.ReasonOf(err) != authctx.TokenExpired || time.Since(start) > 11*time.Minute+time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestAWatchStopsWhenItsContextIsDone(t *testing.T) {
	recheck := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	for name, when := range map[string]time.Duration{
		"at once":                    0,
		"between two looks":          90 * time.Second,
		"during a recheck":           10*time.Minute + time.Second,
		"at the moment of a recheck": 10 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), when)
				defer cancel()
				res := authctx.Result{Principal: caller(t, time.Hour), Recheck: recheck}
				if err := watch(ctx, vigil.New(res, 10*time.Minute, time.Now)); err != nil {
					t.Errorf("done, and %v", err)
				}
			})
		})
	}
}

func TestStartWaitsWithoutAGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := runtime.NumGoroutine()
		for range 100 {
			vigil.New(authctx.Result{Principal: caller(t, time.Hour)}, 0, time.Now).Start(ctx, func(error) {}, func(error) {})
		}
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 50 { // some have ended and still count
			t.Errorf("%d goroutines", n)
		}
	})
}

func TestAWatchStopsDuringARecheckThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		res := authctx.Result{Principal: caller(t, 0), Recheck: func(context.Context) error {
			time.Sleep(time.Hour)
			return authctx.TokenRevoked
		}}
		if err := watch(ctx, vigil.New(res, time.Minute, time.Now)); err != nil {
			t.Errorf("done, and %v", err)
		}
	})
}

// TestAnObserverThatPanicsDoesNotEndTheProgram has one that is told when what is
// watched has ended already, so that a slow one does not hold that up.
func TestAnObserverThatPanicsDoesNotEndTheProgram(t *testing.T) {
	var logged strings.Builder
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	synctest.Test(t, func(t *testing.T) {
		var ended error
		v := vigil.New(authctx.Result{Principal: caller(t, time.Minute)}, 0, time.Now)
		v.Start(t.Context(), func(err error) { ended = err }, func(error) {
			if ended == nil {
				t.Error("the observer is told first")
			}
			panic("oops")
		})
		time.Sleep(time.Hour)
		synctest.Wait()
		if !errors.Is(ended, authctx.TokenExpired) {
			t.Errorf("ended with %v", ended)
		}
	})
	if text := logged.String(); !strings.Contains(text, "panic of the observer: oops") || !strings.Contains(text, "vigil_test.go") {
		t.Errorf("logged %q", text)
	}
}

func TestARecheckThatItsContextEndedIsNotAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		res := authctx.Result{Principal: caller(t, 0), Recheck: func(context.Context) error {
			cancel()
			return errors.New("cancelled")
		}}
		if err := watch(ctx, vigil.New(res, time.Minute, time.Now)); err != nil {
			t.Errorf("%v", err)
		}
	})
}

func TestNothingToWatchFor(t *testing.T) {
	recheck := func(context.Context) error { return nil }
	for name, c := range map[string]struct {
		res      authctx.Result
		interval time.Duration
	}{
		"nobody":                    {authctx.Result{}, time.Minute},
		"a caller without an end":   {authctx.Result{Principal: caller(t, 0)}, time.Minute},
		"rechecks without interval": {authctx.Result{Principal: caller(t, 0), Recheck: recheck}, 0},
	} {
		if vigil.Needed(&c.res, c.interval) {
			t.Errorf("%s: is watched", name)
		}
	}
}

func TestARecheckIsDueWithinAMinuteOfASuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, start := new(momenttest.Clock), time.Now()
		res := authctx.Result{Principal: caller(t, 0), Recheck: func(context.Context) error { return authctx.TokenRevoked }}
		v := vigil.New(res, time.Hour, clock.Now)
		time.AfterFunc(10*time.Minute+time.Second, func() { clock.SetWall(8 * time.Hour) })
		if err := watch(t.Context(), v); authctx.ReasonOf(err) != authctx.TokenRevoked || time.Since(start) > 11*time.Minute+time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestAnEndIsSeenWithinAMinuteOfASuspendDuringARecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, start := new(momenttest.Clock), time.Now()
		res := authctx.Result{Principal: caller(t, time.Hour), Recheck: func(ctx context.Context) error {
			<-ctx.Done() // an endpoint that does not answer
			return ctx.Err()
		}}
		v := vigil.New(res, 30*time.Minute, clock.Now)
		time.AfterFunc(30*time.Minute+time.Second, func() { clock.SetWall(8 * time.Hour) })
		if err := watch(t.Context(), v); authctx.ReasonOf(err) != authctx.TokenExpired || time.Since(start) > 31*time.Minute+time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
