package jwtauth_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// database is a store to which anything can happen. What is nil does not.
type database struct {
	jwtauth.MemoryRefreshStore
	onLoad    func(*jwtauth.RefreshGrant) error
	onReplace func(write func() (bool, error)) (bool, error)
	onDelete  func(context.Context) error
}

var errConnection = errors.New("connection reset by peer")

func (d *database) Load(ctx context.Context, id string) (jwtauth.RefreshGrant, bool, error) {
	if err := ctx.Err(); err != nil {
		return jwtauth.RefreshGrant{}, false, err
	}
	g, ok, _ := d.MemoryRefreshStore.Load(ctx, id)
	if ok && d.onLoad != nil {
		if err := d.onLoad(&g); err != nil {
			return jwtauth.RefreshGrant{}, false, err
		}
	}
	return g, ok, nil
}

func (d *database) Replace(ctx context.Context, old [sha256.Size]byte, g jwtauth.RefreshGrant) (bool, error) {
	write := func() (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		return d.MemoryRefreshStore.Replace(ctx, old, g)
	}
	if d.onReplace != nil {
		return d.onReplace(write)
	}
	return write()
}

func (d *database) Delete(ctx context.Context, id string) error {
	if d.onDelete != nil {
		if err := d.onDelete(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.MemoryRefreshStore.Delete(ctx, id)
}

// newLogin returns a login in a database, and its first token.
func newLogin(t testing.TB) (*database, *jwtauth.RefreshTokens, string) {
	t.Helper()
	d := &database{}
	r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{Store: d, Lifetime: time.Hour}))
	return d, r, must(r.Issue(t.Context(), jwtauthtest.User(t)))
}

// used takes a token and wants the next one.
func used(t testing.TB, r *jwtauth.RefreshTokens, token string) string {
	t.Helper()
	_, next, err := r.Use(t.Context(), "web", token)
	if err != nil {
		t.Fatalf("a good token: %v", err)
	}
	return next
}

func TestAWriteWhoseAnswerWasLostCounts(t *testing.T) {
	for name, happens := range map[string]func(func() (bool, error)) (bool, error){
		"the connection broke": func(write func() (bool, error)) (bool, error) {
			_, _ = write()
			return false, errConnection
		},
		"the driver sent it again": func(write func() (bool, error)) (bool, error) {
			_, _ = write()
			return write()
		},
		"true, and an error": func(write func() (bool, error)) (bool, error) {
			done, _ := write()
			return done, errConnection
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, r, first := newLogin(t)
			d.onReplace = happens
			second := used(t, r, first)
			used(t, r, second)
			if _, _, err := r.Use(t.Context(), "web", first); !errors.Is(err, authctx.TokenRevoked) {
				t.Errorf("used twice: %v", err)
			}
		})
	}
}

func TestRule8_AWriteThatFailedLeavesTheTokenGood(t *testing.T) {
	d, r, token := newLogin(t)
	for name, loaded := range map[string]error{"the rest works": nil, "all is down": errConnection} {
		d.onReplace = func(func() (bool, error)) (bool, error) {
			d.onLoad = func(*jwtauth.RefreshGrant) error { return loaded }
			return loaded == nil, errConnection // an error is one, whatever comes with it
		}
		if _, _, err := r.Use(t.Context(), "web", token); !errors.Is(err, authctx.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
		d.onReplace, d.onLoad = nil, nil
		token = used(t, r, token)
	}
}

// Only a write knows which token is the last one: what was loaded may come from
// a replica that lags, or be old before it is used.
func TestAnOldAnswerDecidesNothing(t *testing.T) {
	d, r, first := newLogin(t)
	var old jwtauth.RefreshGrant
	d.onLoad = func(g *jwtauth.RefreshGrant) error { old = *g; return nil }
	second := used(t, r, first)
	d.onLoad = func(g *jwtauth.RefreshGrant) error { *g = old; return nil }
	third := used(t, r, second)
	if _, _, err := r.Use(t.Context(), "web", first); !errors.Is(err, authctx.TokenRevoked) {
		t.Errorf("a used token that the old answer has for good: %v", err)
	}
	if _, _, err := r.Use(t.Context(), "web", third); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("the login goes on: %v", err)
	}
}

func TestALogoutDuringARefreshIsNoTheft(t *testing.T) {
	d, r, token := newLogin(t)
	d.onReplace = func(write func() (bool, error)) (bool, error) {
		if err := r.Revoke(t.Context(), "web", token); err != nil {
			t.Error(err)
		}
		return write()
	}
	if _, _, err := r.Use(t.Context(), "web", token); !errors.Is(err, authctx.InvalidToken) || errors.Is(err, authctx.TokenRevoked) {
		t.Errorf("%v", err)
	}
}

// Whoever has a token that somebody else used already, owner or thief, must not
// be able to keep the other's good by hanging up.
func TestRFC9700_4_14_2_HangingUpSavesNoLogin(t *testing.T) {
	for _, when := range []string{"before the write", "after the write"} {
		t.Run(when, func(t *testing.T) {
			d, r, owners := newLogin(t)
			thiefs := used(t, r, owners)
			ctx, hangUp := context.WithCancel(t.Context())
			d.onReplace = func(write func() (bool, error)) (bool, error) {
				if when == "before the write" {
					hangUp()
				}
				defer hangUp()
				return write()
			}
			d.onDelete = func(ctx context.Context) error {
				if _, bounded := ctx.Deadline(); !bounded {
					t.Error("nothing bounds how long this takes")
				}
				return nil
			}
			if _, _, err := r.Use(ctx, "web", owners); !errors.Is(err, authctx.TokenRevoked) {
				t.Errorf("%v", err)
			}
			d.onReplace = nil
			if _, _, err := r.Use(t.Context(), "web", thiefs); !errors.Is(err, authctx.InvalidToken) {
				t.Errorf("the login goes on: %v", err)
			}
		})
	}
}

func TestATheftThatTheStoreCannotAnswerIsNamed(t *testing.T) {
	d, r, owners := newLogin(t)
	thiefs := used(t, r, owners)
	d.onDelete = func(context.Context) error { return authctx.Unavailable }
	_, _, err := r.Use(t.Context(), "web", owners)
	if !errors.Is(err, authctx.Unavailable) || !strings.Contains(err.Error(), "used before") {
		t.Errorf("the operator reads %v", err)
	}
	d.onDelete = nil
	if _, _, err := r.Use(t.Context(), "web", owners); !errors.Is(err, authctx.TokenRevoked) {
		t.Errorf("when asked again: %v", err)
	}
	if _, _, err := r.Use(t.Context(), "web", thiefs); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("the login goes on: %v", err)
	}
}

func TestRule8_AGrantThatTheStoreLostPartsOfIsNoRefusal(t *testing.T) {
	for name, lose := range map[string]func(*jwtauth.RefreshGrant){
		"ID":        func(g *jwtauth.RefreshGrant) { g.ID = "" },
		"Principal": func(g *jwtauth.RefreshGrant) { g.Principal = authctx.Principal{} },
		"Ends":      func(g *jwtauth.RefreshGrant) { g.Ends = time.Time{} },
		"IdleEnds":  func(g *jwtauth.RefreshGrant) { g.IdleEnds = time.Time{} },
	} {
		d, r, token := newLogin(t)
		d.onLoad = func(g *jwtauth.RefreshGrant) error { lose(g); return nil }
		if _, _, err := r.Use(t.Context(), "web", token); !errors.Is(err, authctx.Unavailable) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		d.onLoad = nil
		used(t, r, token)
	}
}

// The monotonic clock stands still while a machine sleeps, and stores of other
// machines have none.
func TestALoginEndsByTheWallClock(t *testing.T) {
	d, r, token := newLogin(t)
	used(t, r, token)
	var g jwtauth.RefreshGrant
	d.onLoad = func(loaded *jwtauth.RefreshGrant) error { g = *loaded; return nil }
	_, _, _ = r.Use(t.Context(), "web", token)
	if g.Ends != g.Ends.Round(0) || g.IdleEnds != g.IdleEnds.Round(0) {
		t.Errorf("it ends at %v and %v", g.Ends, g.IdleEnds)
	}
}
