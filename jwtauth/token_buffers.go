package jwtauth

import "sync"

// tokenBuffers hold tokens while they are made or hashed.
var tokenBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

// releaseTokenBuffer forgets what a buffer held, and the buffer if it had to be
// a large one.
func releaseTokenBuffer(b *[]byte) {
	clear(*b)
	if cap(*b) <= 2*defaultMaxTokenBytes {
		tokenBuffers.Put(b)
	}
}
