package jwtauth

import (
	"strings"
	"testing"
)

func TestEveryByteOfATokenIsLookedAt(t *testing.T) {
	// Neighbours that are next to a space, to DEL, and beyond ASCII.
	for _, filler := range []string{"a", "!", "~", "\x80", "\xff"} {
		for length := 1; length <= 17; length++ {
			for at := range length {
				for b := range 256 {
					s := strings.Repeat(filler, at) + string([]byte{byte(b)}) + strings.Repeat(filler, length-at-1)
					if want := b <= ' ' || b == 0x7f; hasSpaceOrControl(s) != want {
						t.Fatalf("%q: want %v", s, want)
					}
				}
			}
		}
	}
}
