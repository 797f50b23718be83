package dex

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// Dex signs with a new key at once and has not published it before.
func TestARotationLosesNoRequest(t *testing.T) {
	dex := startDex(t)
	keys := loadKeys(t, dex)
	verifier := must(jwtauth.NewVerifier(verifierConfig(dex, keys)))
	old := dex.password(t, everything)
	if _, err := verifier.Verify(t.Context(), old.Access); err != nil {
		t.Fatal(err)
	}
	dex.restart(t)
	loads := dex.loads.Load()
	fresh := dex.password(t, everything)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for _, token := range []string{old.Access, fresh.ID, fresh.Access} {
				if _, err := verifier.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if cost := dex.loads.Load() - loads; cost != 1 {
		t.Errorf("keys were loaded %d times", cost)
	}
	if stats := keys.Stats(); stats.Keys != 2 || len(stats.Skipped) > 0 || stats.LastError != nil {
		t.Errorf("%+v", stats)
	}
}

func TestAnOutageOfDexIsNoneOfOurs(t *testing.T) {
	dex := startDex(t)
	keys := must(jwtauth.LoadRemoteKeys(t.Context(), jwtauth.RemoteKeysConfig{Issuer: dex.issuer, RefreshInterval: 100 * time.Millisecond}))
	defer keys.Close()
	cfg := verifierConfig(dex, keys)
	cfg.Cache = jwtauth.CacheConfig{Disabled: true}
	verifier := must(jwtauth.NewVerifier(cfg))
	token := dex.password(t, everything)
	dex.stop()
	for deadline := time.Now().Add(30 * time.Second); keys.Stats().Failures == 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := verifier.Verify(t.Context(), token.Access); err != nil || keys.Stats().Failures == 0 {
		t.Errorf("during the outage: %v, %+v", err, keys.Stats())
	}
}

func TestAnOutageIsNoFaultOfATokenWithANewKey(t *testing.T) {
	dex := startDex(t)
	keys := must(jwtauth.LoadRemoteKeys(t.Context(), jwtauth.RemoteKeysConfig{Issuer: dex.issuer, CoolDown: time.Millisecond}))
	defer keys.Close()
	verifier := must(jwtauth.NewVerifier(verifierConfig(dex, keys)))
	dex.restart(t)
	token := dex.password(t, everything)
	dex.stop()
	if _, err := verifier.Verify(t.Context(), token.Access); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("a key that nobody could look for: %v", err)
	}
	dex.restart(t) // it still knows the key
	deadline := time.Now().Add(30 * time.Second)
	_, err := verifier.Verify(t.Context(), token.Access)
	for ; errors.Is(err, authctx.Unavailable) && time.Now().Before(deadline); _, err = verifier.Verify(t.Context(), token.Access) {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("when Dex is back: %v", err)
	}
}
