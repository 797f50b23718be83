package spiffeid_test

import (
	"strings"
	"testing"

	"github.com/authctx/authctx/internal/spiffeid"
)

func TestAnIDMayHaveAsManyBytesAsTheStandardSays(t *testing.T) {
	const begin = "spiffe://prod.example/"
	for n, want := range map[int]bool{2048: true, 2049: false} {
		if _, _, ok := spiffeid.Split(begin + strings.Repeat("a", n-len(begin))); ok != want {
			t.Errorf("%d bytes: %v", n, ok)
		}
	}
}
