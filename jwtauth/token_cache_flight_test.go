package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// oneKey answers with k, whatever a token names.
func oneKey(k *jwtauth.Key) jwtauth.KeySource {
	return keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) { return k, nil })
}

// Traefik joined requests whose keys only looked the same, and gave one the
// answer about the other. Here all are under way at once, in one shard.
func TestCVE_2026_71326_OnlyTheSameTokenIsVerifiedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := signerFor(t, jwtauth.HS256)
		gate := make(chan struct{})
		v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
			c.Cache.MaxEntries = 2
			c.Keys = oneKey(jwtauth.Held(s.key, func() { <-gate }))
		})
		var all sync.WaitGroup
		for n := range 20 {
			subject := fmt.Sprint("user-", n)
			token := s.token(t, goodClaims(map[string]any{"sub": subject}))
			for range 2 {
				all.Go(func() {
					if p, err := v.Verify(t.Context(), token); err != nil || p.Subject() != subject {
						t.Errorf("%s is verified as %v, %v", subject, p, err)
					}
				})
			}
		}
		synctest.Wait()
		close(gate)
		all.Wait()
	})
}

// A key that was replaced while a token is being verified says for itself what
// it thinks of the token.
func TestCVE_2026_71326_OnlyTheSameKeyIsAskedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := signerFor(t, jwtauth.HS256)
		gate := make(chan struct{})
		var key atomic.Pointer[jwtauth.Key]
		key.Store(jwtauth.Held(old.key, func() { <-gate }))
		v := newVerifier(t, old, func(c *jwtauth.VerifierConfig) {
			c.Keys = keySourceFunc(func(context.Context, string, jwtauth.Algorithm) (*jwtauth.Key, error) { return key.Load(), nil })
		})
		token := old.token(t, goodClaims(nil))
		verify := func() <-chan error {
			done := make(chan error, 1)
			go func() { _, err := v.Verify(t.Context(), token); done <- err }()
			synctest.Wait()
			return done
		}
		first := verify()
		key.Store(must(jwtauth.NewHMACKey("k1", jwtauth.HS256, testSecret[1:])))
		if second := verify(); len(second) == 0 || !errors.Is(<-second, authctx.BadSignature) {
			t.Error("the token is not judged by the new key")
		}
		close(gate)
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

func TestCVE_2026_71326_OnlyTheSameTokenIsAskedAboutOnce(t *testing.T) {
	const callers = 8
	var asked atomic.Int32
	all := make(chan struct{})
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		token := r.PostFormValue("token")
		if asked.Add(1) == callers {
			close(all)
		}
		select {
		case <-all: // no question is answered before every one was asked
		case <-r.Context().Done():
		}
		answer(strings.Replace(good, `"alice"`, `"`+token+`"`, 1))(w, r)
	})
	cfg := introspectionConfig(e.URL, newClock())
	cfg.Cache.MaxEntries = 2
	i := newIntrospector(t, cfg)
	var done sync.WaitGroup
	for n := range callers {
		done.Go(func() {
			token := fmt.Sprint("token-", n)
			if p, err := i.Verify(t.Context(), token); err != nil || p.Subject() != token {
				t.Errorf("%s is that of %v, %v", token, p, err)
			}
		})
	}
	done.Wait()
}
