package jwtauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

func newRefreshTokens(t testing.TB) (*jwtauth.RefreshTokens, *testClock) {
	t.Helper()
	clock := newTestClock()
	return must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{
		Store: &jwtauth.MemoryRefreshStore{Now: clock.Now}, Lifetime: 24 * time.Hour, IdleLifetime: time.Hour, Now: clock.Now,
	})), clock
}

func TestRefreshTokensAreGoodForOneUse(t *testing.T) {
	r, clock := newRefreshTokens(t)
	alice := jwtauthtest.User(t, func(a *authctx.Attributes) { a.IssuedAt = clock.Now() })
	first := must(r.Issue(t.Context(), alice))
	clock.Advance(50 * time.Minute)
	p, second, err := r.Use(t.Context(), "web", first)
	if err != nil || !p.Equal(alice) || second == first {
		t.Fatalf("%v, %v", p, err)
	}
	clock.Advance(50 * time.Minute)
	_, third, err := r.Use(t.Context(), "web", second)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody has a copy of the second one.
	if _, _, err := r.Use(t.Context(), "web", second); !errors.Is(err, authctx.TokenRevoked) {
		t.Errorf("used twice: %v", err)
	}
	if _, _, err := r.Use(t.Context(), "web", third); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("the login goes on after a token was used twice: %v", err)
	}
}

func TestALoginOutlastsTheAccessTokenThatItBeganWith(t *testing.T) {
	r, clock := newRefreshTokens(t)
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA), Now: clock.Now}))
	issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{
		Issuer: testIssuer, Audiences: []string{testAudience}, Keys: keys, Lifetime: 5 * time.Minute, Now: clock.Now,
	}))
	verifier := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
		Issuer: testIssuer, Audiences: []string{testAudience}, Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Keys: keys, Now: clock.Now,
	}))
	access := must(issuer.Issue(t.Context(), jwtauthtest.User(t, func(a *authctx.Attributes) {
		a.Issuer, a.AuthTime = testIssuer, clock.Now().Add(-time.Minute)
	}).Attributes()))
	p := must(verifier.Verify(t.Context(), access))
	refresh := must(r.Issue(t.Context(), p))
	seen := map[string]bool{p.TokenID(): true}
	for range 3 {
		clock.Advance(10 * time.Minute)
		caller, next, err := r.Use(t.Context(), "web", refresh)
		if err != nil {
			t.Fatal(err)
		}
		access, err := issuer.Issue(t.Context(), caller.Attributes())
		if err != nil {
			t.Fatalf("an access token for the caller of a login: %v", err)
		}
		fresh := must(verifier.Verify(t.Context(), access))
		if seen[fresh.TokenID()] || !fresh.AuthTime().Equal(p.AuthTime()) || !fresh.HasRole("editor") || fresh.Expires().Before(clock.Now().Add(5*time.Minute)) {
			t.Errorf("got %+v", fresh.Attributes())
		}
		seen[fresh.TokenID()], refresh = true, next
	}
	if _, err := r.Issue(t.Context(), p); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("a login of a caller whose end has come: %v", err)
	}
}

func TestALoginKeepsEveryAttributeButThoseOfItsCredential(t *testing.T) {
	r, clock := newRefreshTokens(t)
	a := fullAttributes(clock.Now())
	a.Kind, a.AsOf = authctx.Service, time.Time{}
	token := must(r.Issue(t.Context(), principalOf(t, a)))
	p, _, err := r.Use(t.Context(), "web", token)
	a.TokenID, a.Expires, a.Claims = "", time.Time{}, ""
	if err != nil || !p.Equal(principalOf(t, a)) {
		t.Errorf("got %+v, %v", p.Attributes(), err)
	}
}

func TestASubjectThatWasRevokedLogsInAgain(t *testing.T) {
	r, clock := newRefreshTokens(t)
	list := &jwtauth.MemoryRevocations{Now: clock.Now}
	type login struct {
		name, token string
		revoked     bool
	}
	var logins []login
	begin := func(name string, issued time.Time, revoked bool) {
		token := must(r.Issue(t.Context(), jwtauthtest.User(t, func(a *authctx.Attributes) {
			a.Issuer, a.IssuedAt, a.Expires = testIssuer, issued, time.Time{}
		})))
		logins = append(logins, login{name, token, revoked})
	}
	unknown, before := time.Time{}, clock.Now().Add(-time.Minute)
	begin("before", unknown, true)
	begin("before, with a token", before, true)
	clock.Advance(time.Minute)
	must(0, list.RevokeSubject(testIssuer, "alice", clock.Now(), clock.Now().Add(24*time.Hour)))
	clock.Advance(time.Second / 4)
	begin("in the same second", unknown, true)
	clock.Advance(time.Second)
	begin("after", unknown, false)
	begin("after, with a token from before", before, true)
	begin("after, with a token", clock.Now(), false)
	for range 3 {
		clock.Advance(50 * time.Minute)
		for i := range logins {
			l := &logins[i]
			p, next, err := r.Use(t.Context(), "web", l.token)
			if err != nil {
				t.Fatal(err)
			}
			if revoked, err := list.Revoked(t.Context(), p); err != nil || revoked != l.revoked {
				t.Errorf("%s: revoked %v, %v", l.name, revoked, err)
			}
			l.token = next
		}
	}
}

func TestRefreshTokensEnd(t *testing.T) {
	r, clock := newRefreshTokens(t)
	idle := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	clock.Advance(time.Hour)
	if _, _, err := r.Use(t.Context(), "web", idle); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("after being idle: %v", err)
	}
	token := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	refreshed := 0
	for {
		clock.Advance(59 * time.Minute)
		_, next, err := r.Use(t.Context(), "web", token)
		if err != nil {
			if !errors.Is(err, authctx.TokenExpired) || refreshed != 24 {
				t.Errorf("after %d refreshes: %v", refreshed, err)
			}
			break
		}
		token, refreshed = next, refreshed+1
	}
}

func TestRefreshTokensRefuse(t *testing.T) {
	r, _ := newRefreshTokens(t)
	token := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	_, secret, _ := strings.Cut(token, ".")
	for name, tt := range map[string]struct{ client, token string }{
		"another client":   {"app", token},
		"no client":        {"", token},
		"an unknown login": {"web", strings.Repeat("A", 22) + "." + secret},
	} {
		if _, _, err := r.Use(t.Context(), tt.client, tt.token); !errors.Is(err, authctx.InvalidToken) || errors.Is(err, authctx.TokenRevoked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := r.Use(t.Context(), "web", token); err != nil {
		t.Errorf("what others tried ended the login: %v", err)
	}
	if _, err := r.Issue(t.Context(), jwtauthtest.User(t, func(a *authctx.Attributes) { a.ClientID = "" })); err == nil {
		t.Error("issued a token that any client could use")
	}
	if _, err := r.Issue(t.Context(), jwtauthtest.User(t, func(a *authctx.Attributes) { a.AsOf = time.Now() })); err == nil {
		t.Error("took deferred work for a login")
	}
}

func TestOnlyOneOfManyUsesSucceeds(t *testing.T) {
	r, _ := newRefreshTokens(t)
	token := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	var good atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, _, err := r.Use(context.Background(), "web", token); err == nil {
				good.Add(1)
			}
		})
	}
	wg.Wait()
	if good.Load() != 1 {
		t.Errorf("%d uses succeeded", good.Load())
	}
}

func TestLogoutEndsTheLogin(t *testing.T) {
	r, _ := newRefreshTokens(t)
	token := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	for range 2 { // the second time there is nothing left
		if err := r.Revoke(t.Context(), "web", token); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := r.Use(t.Context(), "web", token); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("after logout: %v", err)
	}
}

func TestRFC7009_2_1_OnlyTheClientOfATokenRevokesIt(t *testing.T) {
	r, _ := newRefreshTokens(t)
	first := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	second := used(t, r, first)
	for _, client := range []string{"app", ""} {
		for _, token := range []string{first, second} {
			if err := r.Revoke(t.Context(), client, token); !errors.Is(err, authctx.InvalidToken) {
				t.Errorf("by %q: %v", client, err)
			}
		}
		if err := r.Revoke(t.Context(), client, strings.Repeat("A", 22)+second[22:]); err != nil {
			t.Errorf("an unknown token, by %q: %v", client, err)
		}
	}
	used(t, r, second)
	if err := r.Revoke(t.Context(), "web", first); err != nil {
		t.Errorf("a used token of the login: %v", err)
	}
}

// brokenStore fails in one of its methods as a database does.
type brokenStore struct {
	jwtauth.MemoryRefreshStore
	broken string
}

func (s *brokenStore) failure(method string) error {
	if s.broken == method {
		return errors.New("connection refused")
	}
	return nil
}

func (s *brokenStore) Create(ctx context.Context, g jwtauth.RefreshGrant) error {
	return errors.Join(s.MemoryRefreshStore.Create(ctx, g), s.failure("Create"))
}

func (s *brokenStore) Load(ctx context.Context, id string) (jwtauth.RefreshGrant, bool, error) {
	if err := s.failure("Load"); err != nil {
		return jwtauth.RefreshGrant{}, false, err
	}
	return s.MemoryRefreshStore.Load(ctx, id)
}

func (s *brokenStore) Delete(context.Context, string) error { return s.failure("Delete") }

func TestRule8_AStoreThatFailsSaysNothingOfTheToken(t *testing.T) {
	store := &brokenStore{}
	r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{Store: store, Lifetime: time.Hour}))
	token := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	store.broken = "Load"
	if _, _, err := r.Use(t.Context(), "web", token); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("use: %v", err)
	}
	for _, store.broken = range []string{"Load", "Delete"} {
		if err := r.Revoke(t.Context(), "web", token); !errors.Is(err, authctx.Unavailable) {
			t.Errorf("revoke, %s: %v", store.broken, err)
		}
	}
}

func TestALoginThatIsNotStoredHasNoToken(t *testing.T) {
	r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{Store: &brokenStore{broken: "Create"}, Lifetime: time.Hour}))
	if token, err := r.Issue(t.Context(), jwtauthtest.User(t)); token != "" || !errors.Is(err, authctx.Unavailable) {
		t.Errorf("%q, %v", token, err)
	}
}

// resendingStore is of a driver that sends a write again whose answer was lost,
// and then cannot read.
type resendingStore struct {
	jwtauth.MemoryRefreshStore
	down, deleted bool
}

func (s *resendingStore) Replace(ctx context.Context, old [32]byte, g jwtauth.RefreshGrant) (bool, error) {
	_, _ = s.MemoryRefreshStore.Replace(ctx, old, g)
	s.down = true
	return s.MemoryRefreshStore.Replace(ctx, old, g)
}

func (s *resendingStore) Load(ctx context.Context, id string) (jwtauth.RefreshGrant, bool, error) {
	if s.down {
		return jwtauth.RefreshGrant{}, false, errors.New("connection reset")
	}
	return s.MemoryRefreshStore.Load(ctx, id)
}

func (s *resendingStore) Delete(context.Context, string) error {
	s.deleted = true
	return nil
}

func TestRule8_AStoreThatCannotTellEndsNoLogin(t *testing.T) {
	s := &resendingStore{}
	r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{Store: s, Lifetime: time.Hour}))
	token := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	if _, _, err := r.Use(t.Context(), "web", token); !errors.Is(err, authctx.Unavailable) || !strings.Contains(err.Error(), "connection reset") {
		t.Errorf("use: %v", err)
	}
	if s.deleted {
		t.Error("the login was ended")
	}
}

// spyStore notes what a store is asked for and what it is to keep.
type spyStore struct {
	jwtauth.MemoryRefreshStore
	asked   []string
	created jwtauth.RefreshGrant
}

func (s *spyStore) Create(ctx context.Context, g jwtauth.RefreshGrant) error {
	s.created = g
	return s.MemoryRefreshStore.Create(ctx, g)
}

func (s *spyStore) Load(ctx context.Context, id string) (jwtauth.RefreshGrant, bool, error) {
	s.asked = append(s.asked, id)
	return s.MemoryRefreshStore.Load(ctx, id)
}

func TestStoresAreAskedForNothingThatStrangersWrote(t *testing.T) {
	store := &spyStore{}
	r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{Store: store, Lifetime: time.Hour}))
	token := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	login, secret, _ := strings.Cut(token, ".")
	for name, tt := range map[string]string{
		"nothing":                       "",
		"no login":                      "." + secret,
		"no secret":                     login + ".",
		"a NUL":                         "\x00" + login[1:] + "." + secret,
		"what is not UTF-8":             "\xff" + login[1:] + "." + secret,
		"SQL":                           "AAAAAAAAAAA' OR 1=1 --." + secret,
		"a path":                        "../../../../etc/passwd." + secret,
		"the other base64":              "+" + login[1:] + "." + secret,
		"a secret cut short":            token[:len(token)-4],
		"a secret with a tail":          token + "AAAA",
		"padding":                       token + "=",
		"a line break in the login":     token[:9] + "\n" + token[9:],
		"a line break for a character":  token[:9] + "\n" + token[10:],
		"line breaks in the secret":     token[:30] + "\r\n" + token[30:],
		"line breaks behind":            token + strings.Repeat("\n", 1<<20),
		"bits behind the login":         strings.Repeat("A", 21) + "B." + secret,
		"bits behind the secret":        login + "." + strings.Repeat("A", 42) + "B",
		"an access token":               "eyJhbGciOiJub25lIn0.e30.",
		"another separator":             login + "~" + secret,
		"a separator at another place":  login[1:] + "." + secret + "A",
		"a token with a space in front": " " + token,
	} {
		if _, _, err := r.Use(t.Context(), "web", tt); !errors.Is(err, authctx.InvalidToken) || errors.Is(err, authctx.TokenRevoked) {
			t.Errorf("%s: %v", name, err)
		}
		if len(store.asked) > 0 {
			t.Fatalf("%s: the store was asked for %q", name, store.asked)
		}
	}
	if _, _, err := r.Use(t.Context(), "web", token); err != nil || len(store.asked) != 1 || store.asked[0] != store.created.ID {
		t.Errorf("the token itself: %v, and the store was asked for %q", err, store.asked)
	}
}

// A grant that tokens name must be protected from forgery.
func TestRFC9700_4_14_2_WhoReadsTheStoreEndsNoLogin(t *testing.T) {
	store := &spyStore{}
	r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{Store: store, Lifetime: time.Hour}))
	token := must(r.Issue(t.Context(), jwtauthtest.User(t)))
	id := store.created.ID
	secret := base64.RawURLEncoding.EncodeToString(store.created.Hash[:])
	for _, madeUp := range []string{id + "." + secret, id[:22] + "." + secret, id[:21] + "A." + secret} {
		if _, _, err := r.Use(t.Context(), "web", madeUp); !errors.Is(err, authctx.InvalidToken) || errors.Is(err, authctx.TokenRevoked) {
			t.Errorf("used %q: %v", madeUp, err)
		}
		if err := r.Revoke(t.Context(), "web", madeUp); err != nil {
			t.Errorf("revoked %q: %v", madeUp, err)
		}
	}
	if _, _, err := r.Use(t.Context(), "web", token); err != nil {
		t.Errorf("what was made up ended the login: %v", err)
	}
}

func TestRule11_StoresSeeNoRefreshToken(t *testing.T) {
	store := &spyStore{}
	r := must(jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{Store: store, Lifetime: time.Hour}))
	login, secret, _ := strings.Cut(must(r.Issue(t.Context(), jwtauthtest.User(t))), ".")
	g := store.created
	if strings.Contains(g.ID, login) {
		t.Errorf("the ID %q has a part of the token in it", g.ID)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, g); strings.Contains(text, secret) || text != "refresh grant of user alice of https://idp.test (verified)" {
			t.Errorf("%s prints %q", verb, text)
		}
	}
}

func TestTheMemoryStoreForgetsWhatEnded(t *testing.T) {
	clock := newTestClock()
	store := &jwtauth.MemoryRefreshStore{Now: clock.Now}
	for n := range 3000 {
		g := jwtauth.RefreshGrant{ID: fmt.Sprint(n), Ends: clock.Now().Add(time.Minute), IdleEnds: clock.Now().Add(time.Minute)}
		if err := store.Create(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Second)
	}
	if _, kept, _ := store.Load(t.Context(), "0"); kept {
		t.Error("a grant that ended long ago is kept")
	}
	if _, kept, _ := store.Load(t.Context(), "2999"); !kept {
		t.Error("a grant that goes on was forgotten")
	}
	if err := store.Create(t.Context(), jwtauth.RefreshGrant{ID: "2999"}); err == nil {
		t.Error("one grant took the place of another")
	}
}

func TestRule1_RefreshConfigNamesEveryMissingSetting(t *testing.T) {
	_, err := jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{IdleLifetime: time.Hour})
	for _, want := range []string{"Store", "Lifetime is required", "IdleLifetime"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
}

// A store that writes down what it cannot read back would lose every login, and
// has to hear of it.
func TestAGrantIsNotReadBackFromJSONAndIsQuietInPrint(t *testing.T) {
	g := jwtauth.RefreshGrant{ID: "1", Principal: jwtauthtest.User(t), Hash: [32]byte{1, 2, 3}}
	text, err := json.Marshal(g)
	var back jwtauth.RefreshGrant
	if err != nil || json.Unmarshal(text, &back) == nil {
		t.Errorf("%v, %s came back as %v", err, text, back)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%d", "%x"} {
		if got := fmt.Sprintf(verb, g); got != g.String() {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	var store *jwtauth.MemoryRefreshStore
	if _, err := jwtauth.NewRefreshTokens(jwtauth.RefreshTokensConfig{Store: store, Lifetime: time.Hour}); err == nil {
		t.Error("a nil pointer passed for a store")
	}
}
