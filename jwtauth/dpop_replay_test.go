package jwtauth_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestRFC9449_Section11_1_AProofPassesOnce(t *testing.T) {
	c := newDPoPCase(t, nil)
	proof := c.proof().Set("jti", "one").Sign()
	c.try(t, c.request(proof), 0)
	c.try(t, c.request(proof), authctx.InvalidProof)
	c.now = c.now.Add(89 * time.Second)
	c.try(t, c.request(proof), authctx.InvalidProof)
	c.try(t, c.request(c.proof().Set("jti", "one").Sign()), authctx.InvalidProof) // the ID counts, not the text
	c.try(t, c.request(c.proof().Set("jti", "One").Sign()), 0)

	r := c.request(c.key.Proof("GET", "https://api.example/others", c.token).Set("jti", "one").Sign())
	r.Target = "/others"
	c.try(t, r, 0)
	r = c.request(c.key.Proof("GET", "https://api.example/0rders", c.token).Set("jti", "one").Sign())
	r.Target = "/0rders"
	c.try(t, r, 0) // an ID counts per URL
	c.key = c.issuer.NewDPoPKey("")
	c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint()})
	c.try(t, c.request(c.proof().Set("jti", "one").Sign()), 0) // and per client
}

func TestRFC9449_Section11_1_OtherWaysToWriteTheURLAreNoOtherURL(t *testing.T) {
	c := newDPoPCase(t, nil)
	c.try(t, c.request(c.proof().Set("jti", "one").Sign()), 0)
	r := c.request(c.proof().Set("jti", "one").Set("htu", "https://API.example:443/%6Frders").Sign())
	r.Target = "/%6frders"
	c.try(t, r, authctx.InvalidProof)
	c.try(t, c.request(c.proof().Set("jti", "one").Set("htu", "https://api.example/orders?x").Sign()), authctx.InvalidProof)
}

func TestRFC9449_Section11_1_OfSimultaneousReplaysOnePasses(t *testing.T) {
	c := newDPoPCase(t, nil)
	request := c.request(c.proof().Sign())
	var passed, refused atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, err := c.dpop.Authenticate(context.Background(), request)
			switch {
			case err == nil:
				passed.Add(1)
			case errors.Is(err, authctx.InvalidProof):
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 || refused.Load() != 63 {
		t.Errorf("%d passed, %d were refused", passed.Load(), refused.Load())
	}
}

func TestDPoPTimeWindowEndsToTheSecond(t *testing.T) {
	for name, test := range map[string]struct {
		leeway time.Duration
		age    int64
		want   authctx.Reason
	}{
		"as old as may be":         {0, 89, 0},
		"a second older":           {0, 90, authctx.InvalidProof},
		"as early as may be":       {0, -30, 0},
		"a second earlier":         {0, -31, authctx.InvalidProof},
		"old without leeway":       {jwtauth.NoLeeway, 59, 0},
		"older without leeway":     {jwtauth.NoLeeway, 60, authctx.InvalidProof},
		"now without leeway":       {jwtauth.NoLeeway, 0, 0},
		"the future without any":   {jwtauth.NoLeeway, -1, authctx.InvalidProof},
		"a wide window, in it":     {5 * time.Minute, 359, 0},
		"a wide window, before it": {5 * time.Minute, 360, authctx.InvalidProof},
	} {
		t.Run(name, func(t *testing.T) {
			c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Leeway = test.leeway })
			c.try(t, c.request(c.proof().Set("iat", c.now.Unix()-test.age).Sign()), test.want)
		})
	}
}

// failingStore cannot tell.
type failingStore struct{ err error }

func (s failingStore) Use(context.Context, [32]byte, time.Time) (bool, error) { return false, s.err }

func TestRule8_AReplayStoreOutOfReachIsNeitherYesNorNo(t *testing.T) {
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Replays = failingStore{errors.New("connection refused")} })
	c.try(t, c.request(c.proof().Sign()), authctx.Unavailable)
	c.try(t, c.request(c.proof().Set("htm", "PUT").Sign()), authctx.InvalidProof)
}

// hangingStore answers when it is not waited for any more.
type hangingStore struct{}

func (hangingStore) Use(ctx context.Context, _ [32]byte, _ time.Time) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

// The context of a request often has no deadline.
func TestRule8_AReplayStoreThatHangsIsWaitedForFiveSeconds(t *testing.T) {
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Replays = hangingStore{} })
	request := c.request(c.proof().Sign())
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c.try(t, request, authctx.Unavailable)
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("waited %v", d)
		}
	})
}

func TestRule8_AVerifierOutOfReachIsNotABadProof(t *testing.T) {
	c := newDPoPCase(t, nil)
	down := verifierFunc(func(string) (jwtauth.VerifiedToken, error) { return jwtauth.VerifiedToken{}, authctx.Unavailable })
	c.dpop = newDPoP(t, down, func(*jwtauth.DPoPConfig) {})
	c.try(t, c.request(c.proof().Sign()), authctx.Unavailable)
}

func TestOnlyAProofThatHoldsLeavesATrace(t *testing.T) {
	memory := &jwtauth.MemoryReplayStore{Now: func() time.Time { return testNow }}
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.Replays = memory })
	for _, a := range dpopAttacks(t) {
		p := c.proof()
		for name, v := range a.Claims {
			p.Set(name, v)
		}
		if len(a.Claims) > 0 {
			c.try(t, c.request(p.Sign()), authctx.InvalidProof)
		}
	}
	c.try(t, c.request(c.issuer.NewDPoPKey("").Proof("GET", "https://api.example/orders", c.token).Sign()), authctx.InvalidToken)
	if memory.Len() != 0 {
		t.Errorf("%d refused proofs are remembered", memory.Len())
	}
	c.try(t, c.request(c.proof().Sign()), 0)
	if memory.Len() != 1 {
		t.Errorf("%d proofs are remembered", memory.Len())
	}
}
