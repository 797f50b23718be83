package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// customers are in a database, in truth.
type customers struct {
	now func() time.Time

	mu       sync.Mutex
	jwksURLs map[string]string   // by issuer
	latest   map[string]customer // by issuer
	keys     map[*jwtauth.Verifier]*jwtauth.RemoteKeys
}

type customer struct {
	jwksURL  string
	verifier *jwtauth.Verifier
}

// resolve returns the verifier of last time while the database says the same, so that
// its keys stay loaded.
func (c *customers) resolve(_ context.Context, issuer string) (*jwtauth.Verifier, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	jwksURL, ok := c.jwksURLs[issuer]
	if !ok {
		return nil, authctx.WrongIssuer
	}
	if latest, ok := c.latest[issuer]; ok && latest.jwksURL == jwksURL {
		return latest.verifier, nil
	}
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: jwksURL})
	if err != nil {
		return nil, err
	}
	verifier, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer:     issuer,
		Audiences:  []string{"https://api.example.com"},
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
		Keys:       keys,
		Now:        c.now,
	})
	if err != nil {
		return nil, errors.Join(err, keys.Close())
	}
	c.latest[issuer], c.keys[verifier] = customer{jwksURL, verifier}, keys
	return verifier, nil
}

// release closes what resolve opened for v, which may have a successor by now.
func (c *customers) release(v *jwtauth.Verifier) {
	c.mu.Lock()
	keys := c.keys[v]
	delete(c.keys, v)
	if c.latest[v.Issuer()].verifier == v {
		delete(c.latest, v.Issuer())
	}
	c.mu.Unlock()
	_ = keys.Close()
}

// Keys that are fetched stay open for as long as their customer is kept.
func ExampleResolvingVerifierConfig() {
	token, _, now := exampleIssuer("https://acme.example.com", "carol")
	provider := exampleProvider("https://acme.example.com")
	defer provider.Close()
	directory := &customers{
		now: now, jwksURLs: map[string]string{"https://acme.example.com": provider.URL},
		latest: map[string]customer{}, keys: map[*jwtauth.Verifier]*jwtauth.RemoteKeys{},
	}
	verifier, err := jwtauth.NewResolvingVerifier(jwtauth.ResolvingVerifierConfig{
		Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA},
		Resolve:    directory.resolve,
		Release:    directory.release,
		MaxIssuers: 10_000, // more than there will be customers
		Now:        now,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	caller, err := verifier.Verify(context.Background(), token)
	fmt.Println(caller, err)
	err = verifier.Close()
	fmt.Println(len(directory.latest), len(directory.keys), err)
	// Output:
	// user carol of https://acme.example.com (verified) <nil>
	// 0 0 <nil>
}
