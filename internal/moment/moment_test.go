package moment_test

import (
	"testing"
	"time"

	"github.com/authctx/authctx/internal/moment"
	"github.com/authctx/authctx/internal/moment/momenttest"
)

func TestAnEndIsReachedByWhicheverClockIsFirst(t *testing.T) {
	const minute = time.Minute
	now := time.Now()
	wall := now.Round(0)
	for name, test := range map[string]struct {
		end, now time.Time
		want     bool
	}{
		"before, by both clocks":                    {now.Add(minute), now.Add(minute - 1), false},
		"at the end, by both clocks":                {now.Add(minute), now.Add(minute), true},
		"after a suspend, by the wall clock":        {now.Add(minute), momenttest.SetWall(now, minute), true},
		"not yet, after a short suspend":            {now.Add(minute), momenttest.SetWall(now, minute-time.Second), false},
		"set back, by the monotonic clock":          {now.Add(minute), momenttest.SetWall(now.Add(minute), -time.Hour), true},
		"before, by a clock without the other":      {wall.Add(minute), wall.Add(minute - 1), false},
		"at the end, by a clock without the other":  {wall.Add(minute), wall.Add(minute), true},
		"an end without the other clock, before":    {wall.Add(minute), now.Add(minute - 1), false},
		"an end without the other clock, suspended": {wall.Add(minute), momenttest.SetWall(now, minute), true},
	} {
		if got := moment.Reached(test.end, test.now); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
		if wait := moment.Wait(test.end, test.now); (wait == 0) != test.want || wait < 0 {
			t.Errorf("%s: waits %v", name, wait)
		}
		if since := moment.Since(test.end.Add(-minute), test.now); (since >= minute) != test.want {
			t.Errorf("%s: %v ago", name, since)
		}
	}
}

func TestWaitingLooksAtTheClockEachMinute(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		end, now time.Time
		want     time.Duration
	}{
		"far off":         {now.Add(time.Hour), now, time.Minute},
		"near":            {now.Add(time.Second), now, time.Second},
		"after a suspend": {now.Add(2 * time.Minute), momenttest.SetWall(now, 100*time.Second), 20 * time.Second},
		"set back":        {now.Add(time.Second), momenttest.SetWall(now, -time.Hour), time.Second},
		"passed":          {now, now.Add(time.Hour), 0},
	} {
		if got := moment.Wait(test.end, test.now); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
