// Package momenttest has clocks: one like that of a machine that can be suspended,
// and one that waits for a test.
package momenttest

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Clock reads like [time.Now], and goes on by itself. The zero Clock is ready,
// must not be copied, and is safe for concurrent use.
type Clock struct{ both, wall atomic.Int64 }

// start has a reading of the monotonic clock, which testing/synctest does not
// give.
var start = time.Now()

// Now returns the time by both clocks.
func (c *Clock) Now() time.Time {
	now := start.Add(time.Since(start) + time.Duration(c.both.Load()))
	return SetWall(now, time.Duration(c.wall.Load()))
}

// Advance moves both clocks, as time does.
func (c *Clock) Advance(d time.Duration) { c.both.Add(int64(d)) }

// SetWall moves the wall clock alone, by whole seconds: forward as when the
// machine was suspended, either way as when somebody set it.
func (c *Clock) SetWall(d time.Duration) { c.wall.Add(int64(d)) }

// SetWall returns t as it is after its wall clock was moved, by whole seconds,
// and its monotonic one was not. No method of t does that, so this changes t as
// it lies in memory, and panics should Go lay it out differently one day.
func SetWall(t time.Time, d time.Duration) time.Time {
	moved := t
	(*struct {
		wall uint64 // one bit, seconds, 30 bits of nanoseconds
		_    int64
		_    *time.Location
	})(unsafe.Pointer(&moved)).wall += uint64(d/time.Second) << 30
	if moved.Sub(t) != 0 || moved.Round(0).Sub(t.Round(0)) != d {
		panic("momenttest: a time.Time is not what it was")
	}
	return moved
}
