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
	}
}
