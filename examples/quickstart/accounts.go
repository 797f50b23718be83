package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"runtime"
	"time"
)

// account is a person who can log in.
type account struct {
	id, name    string
	roles       []string
	permissions []string
	password    password
}

// accounts are found by login name.
type accounts struct {
	byName map[string]account
	nobody account       // stands in for names nobody has
	hashes chan struct{} // has one for each password that is hashed
}

// demoAccounts returns the people of the story.
func demoAccounts() *accounts {
	return &accounts{
		byName: map[string]account{
			"testuser": {
				id: "u-1001", name: "Test User", roles: []string{"user"},
				permissions: []string{"users:read", "orders:read"},
				password:    newPassword("testpass"),
			},
			"testbuyer": {
				id: "u-1002", name: "Test Buyer", roles: []string{"user", "buyer"},
				permissions: []string{"users:read", "orders:read", "orders:create"},
				password:    newPassword("testpass"),
			},
		},
		nobody: account{password: newPassword(rand.Text())},
		hashes: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// errBusy is that others are logging in.
var errBusy = errors.New("too many logins at once")

// maxWait is how long a login waits for others.
const maxWait = 2 * time.Second

// login returns the account of a name and password. An unknown name takes as
// long as a wrong password, so that time does not tell which names exist. A hash
// takes a good part of a second of a core, for anybody who asks: half of them are
// left to everything else.
func (a *accounts) login(ctx context.Context, name, pass string) (_ account, ok bool, _ error) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	select {
	case a.hashes <- struct{}{}:
		defer func() { <-a.hashes }()
	case <-ctx.Done():
		return account{}, false, errBusy
	}
	found, known := a.byName[name]
	if !known {
		found = a.nobody
	}
	return found, found.password.matches(pass) && known, nil
}

// password is a salted hash: PBKDF2 with HMAC-SHA-256, with as many iterations
// as OWASP advises.
type password struct{ salt, hash []byte }

const iterations = 600_000

func newPassword(plain string) password {
	p := password{salt: make([]byte, 16)}
	rand.Read(p.salt) // never fails
	p.hash = p.derive(plain)
	return p
}

func (p password) matches(plain string) bool {
	return subtle.ConstantTimeCompare(p.derive(plain), p.hash) == 1
}

func (p password) derive(plain string) []byte {
	key, err := pbkdf2.Key(sha256.New, plain, p.salt, iterations, sha256.Size)
	if err != nil { // only for parameters that FIPS mode forbids; these are fine
		panic(err)
	}
	return key
}
