// Package vigil knows whether callers still stand: when a request comes, and for as
// long as something goes on that outlives it, such as a gRPC stream or a WebSocket.
package vigil

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math"
	"runtime/debug"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/moment"
)

// errPastEnd is the cause when the caller's effective end has come.
var errPastEnd = errors.New("the caller's effective end came during a stream or an open connection")

// Vigil watches over one caller, once.
type Vigil struct {
	result   authctx.Result
	interval time.Duration
	now      func() time.Time
	next     time.Time // when the next recheck is due, by either clock
}

// Needed reports whether there is anything to watch for: an effective end, or a
// recheck where an interval asks for it.
func Needed(res *authctx.Result, interval time.Duration) bool {
	return !res.Principal.Expires().IsZero() || rechecks(res, interval)
}

func rechecks(res *authctx.Result, interval time.Duration) bool {
	return interval > 0 && res.Recheck != nil
}

// New returns a watch over the caller of res, who is checked again every
// interval; zero leaves it at the effective end.
func New(res authctx.Result, interval time.Duration, now func() time.Time) *Vigil {
	return &Vigil{result: res, interval: interval, now: now, next: now().Add(interval)}
}

// Start returns at once. When the caller no longer stands, and ctx is not done before,
// it calls end and then tell with the reason, both on a goroutine of its own that
// nothing waits for. Rechecks run under ctx, one at a time; one that ctx ends is
// no answer, and one that does not return is not waited for.
//
// A panic of tell is logged, as net/http does for handlers: it would end the program.
func (v *Vigil) Start(ctx context.Context, end, tell func(error)) {
	var timer *time.Timer
	timer = time.AfterFunc(math.MaxInt64, func() { // not before timer is set
		if ctx.Err() != nil {
			return // ctx ended while this was setting the timer again
		}
		if err := v.stillStands(ctx); err != nil {
			end(err)
			defer logPanic()
			tell(err)
			return
		}
		timer.Reset(v.wait())
	})
	timer.Reset(v.wait())
	context.AfterFunc(ctx, func() { timer.Stop() })
}

// logPanic is for observers: nobody else runs here.
func logPanic() {
	if v := recover(); v != nil {
		log.Printf("authctx: panic of the observer: %v\n%s", v, debug.Stack())
	}
}

// wait returns how long to sleep until the caller's end or the next recheck, or
// until it is time to look at the clock.
func (v *Vigil) wait() time.Duration {
	d, now := moment.MaxWait, v.now()
	if end := v.result.Principal.Expires(); !end.IsZero() {
		d = min(d, moment.Wait(end, now))
	}
	if rechecks(&v.result, v.interval) {
		d = min(d, moment.Wait(v.next, now))
	}
	return d
}

// leastPatience is how long a recheck may take even if the interval is shorter.
// Otherwise an overloaded process would end most of its streams at once.
const leastPatience = 5 * time.Second

// stillStands returns why the caller does not stand any more. A recheck that
// cannot be made ends what it is about, as it would refuse a new request. It may
// take until the next one is due, leastPatience at least, or until the caller's
// end comes.
func (v *Vigil) stillStands(ctx context.Context) error {
	now := v.now()
	if v.result.Principal.ExpiredAt(now) {
		return &authctx.Error{Reason: authctx.TokenExpired, Cause: errPastEnd}
	}
	if !rechecks(&v.result, v.interval) || !moment.Reached(v.next, now) {
		return nil
	}
	v.next = now.Add(v.interval)
	limit := max(v.interval, leastPatience)
	if end := v.result.Principal.Expires(); !end.IsZero() {
		limit = min(limit, end.Sub(now))
	}
	check, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := v.hear(check)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil && v.result.Principal.ExpiredAt(v.now()) {
		return &authctx.Error{Reason: authctx.TokenExpired, Cause: errPastEnd}
	}
	if err != nil && err == check.Err() {
		return fmt.Errorf("the recheck gave no answer in time: %w", err)
	}
	return err
}

// hear makes the recheck and returns what came of it. The deadline of check stands
// still while the machine is suspended, so the clock is looked at as well.
func (v *Vigil) hear(check context.Context) error {
	answer := v.ask(check)
	look := time.NewTicker(moment.MaxWait)
	defer look.Stop()
	for {
		select {
		case err := <-answer:
			return err
		case <-check.Done():
			select {
			case err := <-answer: // it came as well, while this waited for the processor
				return err
			default:
				return check.Err()
			}
		case <-look.C:
			if v.result.Principal.ExpiredAt(v.now()) {
				return errPastEnd
			}
		}
	}
}

// ask makes the recheck on a goroutine of its own, which ends when that returns:
// it may ignore ctx. One that panics is one that cannot be made.
func (v *Vigil) ask(ctx context.Context) <-chan error {
	answer := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				answer <- fmt.Errorf("the recheck panicked: %v\n\n%s", p, debug.Stack())
			}
		}()
		answer <- v.result.Recheck(ctx)
	}()
	return answer
}
