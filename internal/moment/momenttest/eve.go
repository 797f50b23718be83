package momenttest

import (
	"sync"
	"time"
)

// Eve is a clock that stands shortly before a time until a test lets that come,
// however long a busy machine takes until then. Who sleeps until the time by this
// clock finds it not come yet, and sleeps again. Create with [NewEve]; it is safe
// for concurrent use.
type Eve struct {
	end  time.Time
	once sync.Once
	come chan struct{}
	at   time.Time // when come was closed, by the machine's clock
}

// NewEve returns a clock that stands before end.
func NewEve(end time.Time) *Eve { return &Eve{end: end, come: make(chan struct{})} }

// Now returns the time, which is end when that has come.
func (e *Eve) Now() time.Time {
	select {
	case <-e.come:
		return e.end
	default:
		return e.end.Add(-10 * time.Millisecond)
	}
}

// Pass lets the end come. It does so once.
func (e *Eve) Pass() {
	e.once.Do(func() {
		e.at = time.Now()
		close(e.come)
	})
}

// Passed returns a channel that is closed when the end comes.
func (e *Eve) Passed() <-chan struct{} { return e.come }

// Since returns how long ago the end came by the machine's clock, less than zero
// when it has not.
func (e *Eve) Since() time.Duration {
	select {
	case <-e.come:
		return time.Since(e.at)
	default:
		return -1
	}
}
