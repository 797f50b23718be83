package main

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
)

// account is a person who can log in.
type account struct {
	id, name    string
	roles       []string
	permissions []string
	password    password
}

// accounts are found by login name.
type accounts map[string]account

// demoAccounts returns the people of the story.
func demoAccounts() accounts {
	return accounts{
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
		"": {password: newPassword(rand.Text())}, // stands in for names nobody has
	}
}

// login returns the account of a name and password. An unknown name takes as
// long as a wrong password, so that time does not tell which names exist.
func (a accounts) login(name, pass string) (account, bool) {
	found, known := a[name]
	if !known {
		found = a[""]
	}
	return found, found.password.matches(pass) && known && name != ""
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
