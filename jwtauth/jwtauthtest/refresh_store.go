package jwtauthtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// TestRefreshStore tests whether a store does what [jwtauth.RefreshStore] asks
// for, as far as one process can see. The store may be in use: what the test
// creates, it deletes, when it fails too.
func TestRefreshStore(tb testing.TB, store jwtauth.RefreshStore) {
	wantTest(tb)
	tb.Helper()
	if store == nil {
		tb.Fatalf("jwtauthtest: the store is nil; pass the one to test")
	}
	s := &storeTest{tb, store}
	g, other := s.newGrant(authctx.User), s.newGrant(authctx.Service)
	defer s.forget(g.ID, other.ID) // which a bad store may have before they are created
	next := successor(g)

	s.wantNone(g.ID, "of an ID that was never created")
	s.replace(g.Hash, next, false, "of a grant that was never created")
	s.wantNone(g.ID, "after Replace of a grant that was never created")

	s.create(g)
	s.create(other)
	s.want(g, "after Create")
	s.want(other, "after Create of a service")

	s.replace(other.Hash, next, false, "with another hash than the stored one")
	s.want(g, "after Replace with another hash than the stored one")
	s.replace(g.Hash, next, true, "with the stored hash")
	s.want(next, "after Replace")
	s.replace(g.Hash, successor(g), false, "with a hash that was replaced")
	s.want(next, "after Replace with a hash that was replaced")
	s.want(s.race(next), "after many calls of Replace at the same time")

	s.delete(g.ID)
	s.wantNone(g.ID, "after Delete")
	s.delete(g.ID) // which does nothing
	s.replace(next.Hash, successor(next), false, "after Delete")
	s.wantNone(g.ID, "after Delete and Replace")
	s.want(other, "of a grant that nothing was done to")
	s.delete(other.ID)
}

type storeTest struct {
	tb    testing.TB
	store jwtauth.RefreshStore
}

// newGrant returns a grant of a caller with something everywhere, whatever of it
// [jwtauth.RefreshTokens] would leave out.
func (s *storeTest) newGrant(kind authctx.Kind) jwtauth.RefreshGrant {
	s.tb.Helper()
	now := time.Now().Truncate(time.Second)
	var id, hash [sha256.Size]byte
	rand.Read(id[:])
	rand.Read(hash[:])
	return jwtauth.RefreshGrant{
		ID: b64(id[:]), Hash: hash, IdleEnds: now.Add(time.Hour), Ends: now.Add(24 * time.Hour),
		Principal: User(s.tb, func(a *authctx.Attributes) {
			a.Kind, a.Name, a.TokenID, a.ACR, a.AMR = kind, "Älice 愛", "token-1", "2", []string{"pwd", "otp"}
			a.AuthTime, a.IssuedAt, a.AsOf, a.Expires = now.Add(-time.Minute), now, now, now.Add(time.Minute)
			a.Roles, a.GroupsIncomplete = []string{"editor", "a,b", `"'`}, true
			a.Actors = []authctx.Actor{{Issuer: "https://idp.test", Subject: "batch"}}
			a.Extra = map[string][]string{"region": {"eu", "us"}}
		}),
	}
}

// successor returns g after another refresh.
func successor(g jwtauth.RefreshGrant) jwtauth.RefreshGrant {
	rand.Read(g.Hash[:])
	g.IdleEnds = g.IdleEnds.Add(time.Minute)
	return g
}

func (s *storeTest) create(g jwtauth.RefreshGrant) {
	s.tb.Helper()
	if err := s.store.Create(s.tb.Context(), g); err != nil {
		s.tb.Fatalf("jwtauthtest: Create: %v", err)
	}
}

func (s *storeTest) delete(id string) {
	s.tb.Helper()
	if err := s.store.Delete(s.tb.Context(), id); err != nil {
		s.tb.Fatalf("jwtauthtest: Delete: %v", err)
	}
}

// forget deletes what a test that failed left, whatever became of its context.
func (s *storeTest) forget(ids ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.tb.Context()), 5*time.Second)
	defer cancel()
	for _, id := range ids {
		if err := s.store.Delete(ctx, id); err != nil {
			s.tb.Logf("jwtauthtest: the grant %q may be left in the store: %v", id, err)
		}
	}
}

func (s *storeTest) replace(old [sha256.Size]byte, g jwtauth.RefreshGrant, want bool, when string) {
	s.tb.Helper()
	if got, err := s.store.Replace(s.tb.Context(), old, g); got != want || err != nil {
		s.tb.Fatalf("jwtauthtest: Replace %s: %v, %v", when, got, err)
	}
}

// race replaces g by many at once and returns the one that took its place.
func (s *storeTest) race(g jwtauth.RefreshGrant) jwtauth.RefreshGrant {
	s.tb.Helper()
	var wg sync.WaitGroup
	var grants [16]jwtauth.RefreshGrant
	var replaced [len(grants)]bool
	var errs [len(grants)]error
	for i := range grants {
		grants[i] = successor(g)
		wg.Go(func() { replaced[i], errs[i] = s.store.Replace(s.tb.Context(), g.Hash, grants[i]) })
	}
	wg.Wait()
	count, winner := 0, g
	for i := range grants {
		if errs[i] != nil {
			s.tb.Fatalf("jwtauthtest: Replace, many at the same time: %v", errs[i])
		}
		if replaced[i] {
			count, winner = count+1, grants[i]
		}
	}
	if count != 1 {
		s.tb.Fatalf("jwtauthtest: Replace, %d at the same time: %d were told that they did", len(grants), count)
	}
	return winner
}

func (s *storeTest) wantNone(id, when string) {
	s.tb.Helper()
	if _, found, err := s.store.Load(s.tb.Context(), id); found || err != nil {
		s.tb.Fatalf("jwtauthtest: Load %s: %v, %v", when, found, err)
	}
}

// want names what of a stored grant is not as it should be.
func (s *storeTest) want(g jwtauth.RefreshGrant, when string) {
	s.tb.Helper()
	got, found, err := s.store.Load(s.tb.Context(), g.ID)
	if !found || err != nil {
		s.tb.Fatalf("jwtauthtest: Load %s: %v, %v", when, found, err)
	}
	var lost []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"ID", got.ID == g.ID},
		{"Principal", got.Principal.Equal(g.Principal)},
		{"Hash", got.Hash == g.Hash},
		{"IdleEnds", got.IdleEnds.Equal(g.IdleEnds)},
		{"Ends", got.Ends.Equal(g.Ends)},
	} {
		if !field.same {
			lost = append(lost, field.name)
		}
	}
	if lost != nil {
		s.tb.Fatalf("jwtauthtest: Load %s: the grant has another %s", when, strings.Join(lost, ", "))
	}
}
