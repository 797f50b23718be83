package jwtauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/authctx/authctx"
)

// RefreshStore keeps grants for [RefreshTokens], in a database where replicas
// share them. Implementations are safe for concurrent use, and may forget a grant
// after its Ends or IdleEnds, not sooner. jwtauthtest.TestRefreshStore tests one.
//
// A call sees what earlier calls of any replica wrote: it does not read from a
// copy that lags. An error means that nobody can tell, and the client is told to
// try again ([authctx.Unavailable]).
type RefreshStore interface {
	// Create stores a new grant.
	Create(ctx context.Context, g RefreshGrant) error
	// Load returns the grant of that ID, and false when there is none.
	Load(ctx context.Context, id string) (RefreshGrant, bool, error)
	// Replace stores g in place of the grant of the same ID if that still has
	// the old hash, in one step, and reports whether it did. Of several at the
	// same time one succeeds. Only Hash and IdleEnds of g are new. In SQL:
	//
	//	UPDATE grants SET hash = $1, idle_ends = $2 WHERE id = $3 AND hash = $4
	//
	// and whether that changed a row. Nothing is written after it returned. False
	// or an error may mean that the answer to a write was lost: the grant is then
	// loaded to find out.
	Replace(ctx context.Context, old [sha256.Size]byte, g RefreshGrant) (bool, error)
	// Delete removes the grant of that ID, and does nothing when there is none.
	Delete(ctx context.Context, id string) error
}

// RefreshGrant is a login that can be refreshed. It holds no token, and nothing
// that a token could be made of.
//
// An [authctx.Principal] cannot be read back from JSON. A store that serializes
// grants stores the principal's Attributes, without Claims, and recreates it with
// [authctx.New]. It may cut times to whole seconds.
type RefreshGrant struct {
	ID        string // 43 characters of base64url: a hash of what the login's tokens share
	Principal authctx.Principal
	Hash      [sha256.Size]byte // SHA-256 of the secret in the one token that is good
	IdleEnds  time.Time         // when it ends unless it is refreshed
	Ends      time.Time         // when it ends in any case
}

// String names the grant without its hash.
func (g RefreshGrant) String() string { return fmt.Sprintf("refresh grant of %v", g.Principal) }

// Format keeps verbs as quiet as String, with the exceptions that
// [SigningKeyConfig.Format] names.
func (g RefreshGrant) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, g.String()) }

// MemoryRefreshStore is a [RefreshStore] in memory: logins end with the process.
// The zero value is empty and ready; it must not be copied. It is safe for
// concurrent use.
//
// Nothing bounds how many logins it keeps, each until its Ends or IdleEnds, so
// whoever can log in again and again can fill the memory: bound that where people
// log in.
type MemoryRefreshStore struct {
	// Now is the clock; nil means [time.Now]. Set it before first use.
	Now func() time.Time

	mu      sync.Mutex
	grants  map[string]RefreshGrant
	purgeAt int // purge when grants has grown to this size
}

// Create implements [RefreshStore].
func (m *MemoryRefreshStore) Create(_ context.Context, g RefreshGrant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.grants[g.ID]; taken {
		return errors.New("jwtauth: a refresh grant of that ID exists")
	}
	if m.grants == nil {
		m.grants, m.purgeAt = map[string]RefreshGrant{}, 1024
	}
	if len(m.grants) >= m.purgeAt {
		m.purge()
	}
	m.grants[g.ID] = g
	return nil
}

// Load implements [RefreshStore].
func (m *MemoryRefreshStore) Load(_ context.Context, id string) (RefreshGrant, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.grants[id]
	return g, ok, nil
}

// Replace implements [RefreshStore].
func (m *MemoryRefreshStore) Replace(_ context.Context, old [sha256.Size]byte, g RefreshGrant) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if stored, ok := m.grants[g.ID]; !ok || stored.Hash != old {
		return false, nil
	}
	m.grants[g.ID] = g
	return true, nil
}

// Delete implements [RefreshStore].
func (m *MemoryRefreshStore) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.grants, id)
	return nil
}

// purge forgets what has ended. The caller holds the lock.
func (m *MemoryRefreshStore) purge() {
	now := clockOf(m.Now)()
	for id, g := range m.grants {
		if !now.Before(g.IdleEnds) || !now.Before(g.Ends) {
			delete(m.grants, id)
		}
	}
	m.purgeAt = max(1024, 2*len(m.grants))
}
