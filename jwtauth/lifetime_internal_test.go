package jwtauth

import (
	"testing"

	"github.com/authctx/authctx"
)

// Clients go on sending tokens that have expired.
func TestRefusingATokenForItsTimeAllocatesOnce(t *testing.T) {
	p := completePolicy(VerifierConfig{})
	now := p.Now()
	var err error
	if n := testing.AllocsPerRun(100, func() { err = p.offClock(authctx.TokenExpired, "exp", now, now) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
	if authctx.ReasonOf(err) != authctx.TokenExpired {
		t.Error(err)
	}
}
