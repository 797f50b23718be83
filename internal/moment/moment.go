// Package moment knows when a time has come by either clock of a machine.
package moment

import "time"

// Reached reports whether end has come at time now: by the wall clock, or by the
// monotonic one where both times have a reading of it.
//
// Comparing such times plainly asks the monotonic clock alone, which on most
// systems stands still while a machine is suspended and knows nothing of a wall
// clock that was set. The wall clock alone could be set back. Where a limit must
// hold whatever happens, whichever clock is first counts.
func Reached(end, now time.Time) bool {
	return !now.Before(end) || !now.Round(0).Before(end)
}

// Since returns how long ago start was at time now, by whichever clock says
// longer: Reached(start.Add(d), now) is Since(start, now) >= d.
func Since(start, now time.Time) time.Duration {
	return max(now.Sub(start), now.Round(0).Sub(start.Round(0)))
}

// MaxWait bounds how long nobody looks at the clock who waits for a moment,
// because timers follow the monotonic one.
const MaxWait = time.Minute

// Wait returns how long to sleep before looking at the clock again, zero when
// end has been reached.
func Wait(end, now time.Time) time.Duration {
	if Reached(end, now) {
		return 0
	}
	return min(end.Sub(now), end.Round(0).Sub(now.Round(0)), MaxWait)
}
