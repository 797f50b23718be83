package loopback_test

import (
	"testing"

	"github.com/authctx/authctx/internal/loopback"
)

func TestWhatIsThisMachine(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "LOCALHOST": false, "localhost.": false, "a.localhost": false, "127.0.0.1.": false, "127.1": false,
		"0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example": false, "ｌocalhost": false,
	} {
		if got := loopback.Is(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
