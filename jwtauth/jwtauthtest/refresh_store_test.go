package jwtauthtest_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// A store of one's own is tested in a line. In a test, t is its *testing.T.
func ExampleTestRefreshStore() {
	t := &exampleT{}
	defer t.end()

	jwtauthtest.TestRefreshStore(t, &jwtauth.MemoryRefreshStore{})
	fmt.Println("refresh tokens can be kept there")
	// Output: refresh tokens can be kept there
}

// store is a good one but for what is set.
type store struct {
	jwtauth.MemoryRefreshStore
	lose    func(*jwtauth.RefreshGrant)
	replace func(s *store, old [sha256.Size]byte, g jwtauth.RefreshGrant) (bool, error)
	delete  func(s *store, id string) error
}

func (s *store) Create(ctx context.Context, g jwtauth.RefreshGrant) error {
	if s.lose != nil {
		s.lose(&g)
	}
	return s.MemoryRefreshStore.Create(ctx, g)
}

func (s *store) Replace(ctx context.Context, old [sha256.Size]byte, g jwtauth.RefreshGrant) (bool, error) {
	if s.replace != nil {
		return s.replace(s, old, g)
	}
	return s.MemoryRefreshStore.Replace(ctx, old, g)
}

func (s *store) Delete(ctx context.Context, id string) error {
	if s.delete != nil {
		return s.delete(s, id)
	}
	return s.MemoryRefreshStore.Delete(ctx, id)
}

// put stores g whatever is there.
func (s *store) put(g jwtauth.RefreshGrant) {
	_ = s.MemoryRefreshStore.Delete(context.Background(), g.ID)
	_ = s.MemoryRefreshStore.Create(context.Background(), g)
}

func (s *store) get(id string) jwtauth.RefreshGrant {
	g, _, _ := s.MemoryRefreshStore.Load(context.Background(), id)
	return g
}

// recorder keeps what a test was ended with.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestRefreshStoreFindsOutBadStores(t *testing.T) {
	for name, tt := range map[string]struct {
		store *store
		want  string
	}{
		"none of these": {&store{}, ""},
		"Create loses what the caller is besides": {&store{lose: func(g *jwtauth.RefreshGrant) {
			g.Principal = jwtauthtest.User(t)
		}}, "another Principal"},
		"Create turns services into users": {&store{lose: func(g *jwtauth.RefreshGrant) {
			a := g.Principal.Attributes()
			a.Kind = authctx.User
			g.Principal, _ = authctx.New(a)
		}}, "another Principal"},
		"Create loses the idle end": {&store{lose: func(g *jwtauth.RefreshGrant) { g.IdleEnds = g.Ends }}, "another IdleEnds"},
		"Create loses the end":      {&store{lose: func(g *jwtauth.RefreshGrant) { g.Ends = g.IdleEnds }}, "another Ends"},
		"Replace asks no condition": {&store{replace: func(s *store, _ [sha256.Size]byte, g jwtauth.RefreshGrant) (bool, error) {
			known := s.get(g.ID).ID != ""
			if known {
				s.put(g)
			}
			return known, nil
		}}, "another hash"},
		"Replace creates": {&store{replace: func(s *store, old [sha256.Size]byte, g jwtauth.RefreshGrant) (bool, error) {
			if stored := s.get(g.ID); stored.ID != "" && stored.Hash != old {
				return false, nil
			}
			s.put(g)
			return true, nil
		}}, "never created"},
		"Replace says so without doing it": {&store{replace: func(s *store, old [sha256.Size]byte, g jwtauth.RefreshGrant) (bool, error) {
			return s.get(g.ID).Hash == old, nil
		}}, "another Hash"},
		"Replace forgets the idle end": {&store{replace: func(s *store, old [sha256.Size]byte, g jwtauth.RefreshGrant) (bool, error) {
			g.IdleEnds = s.get(g.ID).IdleEnds
			return s.MemoryRefreshStore.Replace(context.Background(), old, g)
		}}, "another IdleEnds"},
		"Replace takes two steps": {&store{replace: func(s *store, old [sha256.Size]byte, g jwtauth.RefreshGrant) (bool, error) {
			fits := s.get(g.ID).Hash == old
			time.Sleep(time.Millisecond) // in which everybody gets here
			if fits {
				s.put(g)
			}
			return fits, nil
		}}, "16 were told"},
		"Replace calls a refusal an error": {&store{replace: func(s *store, old [sha256.Size]byte, g jwtauth.RefreshGrant) (bool, error) {
			if s.get(g.ID).Hash != old {
				return false, errors.New("no rows")
			}
			return s.MemoryRefreshStore.Replace(context.Background(), old, g)
		}}, "no rows"},
		"Delete does nothing": {&store{delete: func(*store, string) error { return nil }}, "after Delete"},
		"Delete wants something to delete": {&store{delete: func(s *store, id string) error {
			if s.get(id).ID == "" {
				return errors.New("no rows")
			}
			return s.MemoryRefreshStore.Delete(context.Background(), id)
		}}, "no rows"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{TB: t}
				done := make(chan struct{})
				go func() {
					defer close(done)
					jwtauthtest.TestRefreshStore(r, tt.store)
				}()
				<-done
				if !strings.Contains(r.fatal, tt.want) || (r.fatal == "") != (tt.want == "") {
					t.Errorf("found %q, want %q", r.fatal, tt.want)
				}
			})
		})
	}
}

// deletions loads nothing and notes what is deleted.
type deletions struct {
	jwtauth.MemoryRefreshStore
	deleted []string
}

func (*deletions) Load(context.Context, string) (jwtauth.RefreshGrant, bool, error) {
	return jwtauth.RefreshGrant{}, false, nil
}

func (s *deletions) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.deleted = append(s.deleted, id)
	return s.MemoryRefreshStore.Delete(ctx, id)
}

func TestRefreshStoreLeavesNothingBehindWhenItFails(t *testing.T) {
	s, r := &deletions{}, &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		jwtauthtest.TestRefreshStore(r, s)
	}()
	<-done
	if r.fatal == "" || len(s.deleted) != 2 {
		t.Errorf("deleted %d grants after %q", len(s.deleted), r.fatal)
	}
}
