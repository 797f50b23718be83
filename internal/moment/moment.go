// Package moment compares times by both clocks of a machine.
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
