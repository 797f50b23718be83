package jwtauth_test

import (
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx/jwtauth"
)

// What ExampleResolvingVerifierConfig releases has a successor when the database says
// something else, and that one's keys stay open.
func TestTheCustomersOfTheExampleKeepTheKeysOfASuccessor(t *testing.T) {
	const acme = "https://acme.example.com"
	token, _, before := exampleIssuer(acme, "carol")
	provider := exampleProvider(acme)
	defer provider.Close()
	var mu sync.Mutex
	var later time.Duration
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return before().Add(later) }
	directory := &customers{
		now: now, jwksURLs: map[string]string{acme: provider.URL},
		latest: map[string]customer{}, keys: map[*jwtauth.Verifier]*jwtauth.RemoteKeys{},
	}
	r := must(jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Resolve: directory.resolve, Release: directory.release,
		MaxAge: time.Second, Now: now,
	}))
	first := must(directory.resolve(t.Context(), acme))
	must(r.Verify(t.Context(), token))
	directory.mu.Lock()
	directory.jwksURLs[acme] = provider.URL + "/moved"
	directory.mu.Unlock()
	isOpen := func() bool {
		directory.mu.Lock()
		defer directory.mu.Unlock()
		return directory.keys[first] != nil
	}
	verify := func() {
		t.Helper()
		if _, err := r.Verify(t.Context(), token); err != nil {
			t.Fatalf("%v; the first is open: %v", err, isOpen())
		}
	}
	pass := func() {
		mu.Lock()
		defer mu.Unlock()
		later += time.Second
	}
	pass()
	for end := time.Now().Add(unhurried); isOpen() && time.Now().Before(end); { // the release is behind the requests
		verify()
	}
	for range 3 {
		pass()
		verify()
	}
	if err := r.Close(); err != nil || len(directory.latest)+len(directory.keys) > 0 {
		t.Errorf("%v; left %v", err, directory.latest)
	}
}
