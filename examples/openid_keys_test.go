package examples_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

func TestOpenIDKeysAreRotated(t *testing.T) {
	t.Parallel()
	o := startOpenID(t)
	keys := o.keys(t, func(c *jwtauth.RemoteKeysConfig) { c.CoolDown = time.Second })
	v := o.verifier(t, func(c *jwtauth.VerifierConfig) { c.Keys = keys })
	verify := func(token string) error {
		_, err := v.Verify(t.Context(), token)
		return err
	}
	// A token that was not verified before says more about its key.
	token := func() string { return o.machine("machine", "ES256").AccessToken }
	first, unseen := token(), token()
	if err := verify(first); err != nil {
		t.Fatal(err)
	}

	o.sign("second first")
	second := token()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := verify(second); err != nil {
				t.Errorf("signed with a key that is new: %v", err)
			}
		})
	}
	all.Wait()
	if loads := keys.Stats().Loads; loads != 2 {
		t.Errorf("the keys were loaded %d times, the first time included", loads)
	}
	for name, token := range map[string]string{"before": first, "before, and not seen yet": unseen} {
		if err := verify(token); err != nil {
			t.Errorf("signed %s, the key still published: %v", name, err)
		}
	}

	unseen = token()
	o.sign("third second")
	third := token()
	eventually(t, "the cool-down to end", func() bool { return !errors.Is(verify(third), authctx.Unavailable) })
	for name, token := range map[string]string{"with the newest": third, "before": second, "before, and not seen yet": unseen} {
		if err := verify(token); err != nil {
			t.Errorf("signed %s: %v", name, err)
		}
	}
	if err := verify(first); err == nil {
		t.Error("a key that was removed, and a token that was verified before: passed")
	}
	eventually(t, "the removed key to be looked for", func() bool { return errors.Is(verify(first), authctx.UnknownKey) })

	o.sign("fourth third")
	fourth := token()
	o.stop()
	eventually(t, "a load to fail", func() bool {
		return errors.Is(verify(fourth), authctx.Unavailable) && keys.Stats().LastError != nil
	})
	if err := verify(third); err != nil {
		t.Errorf("the provider down, the key known: %v", err)
	}
}

// The gateway is used all the time, with a token whose key it knows, while the
// provider changes keys, dies, and comes back with others.
func TestOpenIDOutagesLoseNoRequestWhoseKeyIsKnown(t *testing.T) {
	t.Parallel()
	s, o := startOpenIDSystem(t, "-keys-cooldown", "1s")
	get := func(token string) int {
		return send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+token).status
	}
	login := o.login("alice", "RS256")
	alice := login.AccessToken
	stop, counted := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { counted <- n }()
		for ; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if status := get(alice); status != 200 {
				t.Errorf("request %d: status %d", n, status)
			}
		}
	}()
	used := sync.OnceValue(func() int { close(stop); return <-counted })
	defer used()

	o.sign("second first")
	if status := get(o.machine("machine", "ES256").AccessToken); status != 200 {
		t.Errorf("signed with a key that is new: status %d", status)
	}
	if status := get(o.refresh(login.RefreshToken, "RS256").AccessToken); status != 200 {
		t.Errorf("refreshed: status %d", status)
	}
	o.sign("third second first")
	third := o.machine("machine", "ES256").AccessToken
	o.stop()
	eventually(t, "the gateway to miss the provider", func() bool {
		res := send(t, "GET", s.url+"/whoami", "Authorization: Bearer "+third)
		return res.status == 503 && res.header.Get("Retry-After") != ""
	})
	back := startOpenIDAt(t, strings.TrimPrefix(o.issuer, "http://"), nil)
	back.sign("fourth")
	// Up to here nothing has told the gateway of other keys.
	if used() == 0 {
		t.Error("no request was made meanwhile")
	}
	fourth := back.machine("machine", "ES256").AccessToken
	eventually(t, "the gateway to find the provider again", func() bool { return get(fourth) == 200 })
	eventually(t, "keys that are gone to count no longer", func() bool { return get(alice) == 401 })
}
