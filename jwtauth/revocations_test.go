package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

func principalOf(t testing.TB, a authctx.Attributes) authctx.Principal {
	t.Helper()
	return must(authctx.New(a))
}

func TestMemoryRevocationsKnowWhatItWasTold(t *testing.T) {
	c := newHandClock()
	list := &jwtauth.MemoryRevocations{Now: c.now, Keep: time.Minute}
	until := testNow.Add(time.Hour)
	list.RevokeToken("iss", "t1", until)
	list.RevokeSession("iss", "s1", until)
	list.RevokeSubject("iss", "bob", testNow.Add(500*time.Millisecond), until)
	for _, test := range []struct {
		name string
		a    authctx.Attributes
		want bool
	}{
		{"the token", authctx.Attributes{Issuer: "iss", Subject: "alice", TokenID: "t1"}, true},
		{"another token", authctx.Attributes{Issuer: "iss", Subject: "alice", TokenID: "t2"}, false},
		{"the token ID of another issuer", authctx.Attributes{Issuer: "is", Subject: "alice", TokenID: "st1"}, false},
		{"a session of that name", authctx.Attributes{Issuer: "iss", Subject: "alice", SessionID: "t1"}, false},
		{"the session", authctx.Attributes{Issuer: "iss", Subject: "alice", SessionID: "s1", TokenID: "t9"}, true},
		{"no IDs", authctx.Attributes{Issuer: "iss", Subject: "alice"}, false},
		{"the subject before", authctx.Attributes{Issuer: "iss", Subject: "bob", IssuedAt: testNow.Add(-time.Second)}, true},
		{"the subject in that second", authctx.Attributes{Issuer: "iss", Subject: "bob", IssuedAt: testNow}, true},
		{"the subject after", authctx.Attributes{Issuer: "iss", Subject: "bob", IssuedAt: testNow.Add(time.Second)}, false},
		{"the subject with no time", authctx.Attributes{Issuer: "iss", Subject: "bob"}, true},
		{"the subject of another issuer", authctx.Attributes{Issuer: "iss2", Subject: "bob"}, false},
	} {
		if got, err := list.Revoked(t.Context(), principalOf(t, test.a)); err != nil || got != test.want {
			t.Errorf("%s: %v, %v", test.name, got, err)
		}
	}
	token := principalOf(t, authctx.Attributes{Issuer: "iss", Subject: "a", TokenID: "t1"})
	c.add(time.Hour + time.Minute - 1)
	if !must(list.Revoked(t.Context(), token)) {
		t.Error("an entry counts no longer than the token")
	}
	c.add(1)
	if must(list.Revoked(t.Context(), token)) {
		t.Error("an entry outlives its time")
	}
}

func TestARevocationIsNeverShortened(t *testing.T) {
	c := newHandClock()
	list := &jwtauth.MemoryRevocations{Now: c.now, Keep: time.Second} // less than what is between the two
	list.RevokeSubject("iss", "bob", testNow, testNow.Add(time.Hour))
	list.RevokeSubject("iss", "bob", testNow.Add(-time.Hour), testNow.Add(time.Minute))
	must(0, list.RevokeToken("iss", "t1", testNow.Add(time.Hour)))
	must(0, list.RevokeToken("iss", "t1", testNow.Add(time.Minute)))
	must(0, list.RevokeSession("iss", "s1", time.Time{}))
	must(0, list.RevokeSession("iss", "s1", testNow.Add(time.Minute)))
	c.add(30 * time.Minute)
	for _, a := range []authctx.Attributes{{TokenID: "t1"}, {SessionID: "s1"}} {
		a.Issuer, a.Subject = "iss", "alice"
		if got, _ := list.Revoked(t.Context(), principalOf(t, a)); !got {
			t.Errorf("a shorter revocation undid a longer one: %+v", a)
		}
	}
	bob := principalOf(t, authctx.Attributes{Issuer: "iss", Subject: "bob", IssuedAt: testNow})
	if got, _ := list.Revoked(t.Context(), bob); !got {
		t.Error("a later, weaker revocation undid an earlier one")
	}
}

func TestARevocationThatHasEndedAddsNothingToANewOne(t *testing.T) {
	c := newHandClock()
	list := &jwtauth.MemoryRevocations{Now: c.now, Keep: time.Second}
	must(0, list.RevokeSubject("iss", "bob", testNow, testNow.Add(time.Minute)))
	c.add(time.Minute + time.Second)
	must(0, list.RevokeSubject("iss", "bob", testNow.Add(-time.Hour), testNow.Add(time.Hour)))
	bob := principalOf(t, authctx.Attributes{Issuer: "iss", Subject: "bob", IssuedAt: testNow.Add(-time.Minute)})
	if must(list.Revoked(t.Context(), bob)) {
		t.Error("revoked by an entry that had ended and was not purged yet")
	}
}

func TestRevocationsThatHaveEndedAreForgotten(t *testing.T) {
	c := newHandClock()
	list := &jwtauth.MemoryRevocations{Now: c.now, Keep: time.Second}
	for i := range 20000 {
		list.RevokeToken("iss", fmt.Sprint(i), c.now().Add(time.Second))
		c.add(10 * time.Millisecond)
	}
	if n := list.Len(); n > 3000 {
		t.Errorf("%d entries for 200 that count", n)
	}
}

func TestRule8_RevocationsThatCannotTellAreUnavailable(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	down := errors.New("database down")
	var failing bool
	v := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
		c.Revocations = revocationsFunc(func() (bool, error) {
			if failing {
				return false, down
			}
			return false, nil
		})
	})
	token := s.token(t, goodClaims(nil))
	cached(t, v, token, false)
	failing = true
	for _, tok := range []string{token, s.token(t, goodClaims(map[string]any{"jti": "t2"}))} {
		if _, err := v.Verify(t.Context(), tok); !errors.Is(err, authctx.Unavailable) || !errors.Is(err, down) {
			t.Error(err)
		}
	}
}

type revocationsFunc func() (bool, error)

func (f revocationsFunc) Revoked(context.Context, authctx.Principal) (bool, error) { return f() }

// The credential is what somebody revokes, and behind the edge only the
// Transaction Token still names it.
func TestTransactionTokensAreRevocable(t *testing.T) {
	for name, revoke := range map[string]func(*jwtauth.MemoryRevocations, authctx.Principal) error{
		"token": func(l *jwtauth.MemoryRevocations, p authctx.Principal) error {
			return l.RevokeToken(p.Issuer(), p.TokenID(), time.Now().Add(time.Hour))
		},
		"session": func(l *jwtauth.MemoryRevocations, p authctx.Principal) error {
			return l.RevokeSession(p.Issuer(), p.SessionID(), time.Now().Add(time.Hour))
		},
	} {
		list := new(jwtauth.MemoryRevocations)
		w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(_ *jwtauth.TxnPropagatorConfig, s *jwtauth.TxnAuthenticatorConfig) {
			s.Revocations = list
		})
		p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.TokenID, a.SessionID = "t1", "s1" })
		token := must(inject(t.Context(), w.edge, p))
		res := must(w.authenticate(token))
		if err := revoke(list, p); err != nil {
			t.Fatal(err)
		}
		if _, err := w.authenticate(token); !errors.Is(err, authctx.TokenRevoked) {
			t.Errorf("%s: a remembered token: %v", name, err)
		}
		if _, err := w.authenticate(must(inject(t.Context(), w.edge, p))); !errors.Is(err, authctx.TokenRevoked) {
			t.Errorf("%s: a new token: %v", name, err)
		}
		if res.Recheck == nil {
			t.Errorf("%s: nobody checks a stream again", name)
		} else if err := res.Recheck(t.Context()); !errors.Is(err, authctx.TokenRevoked) {
			t.Errorf("%s: a stream goes on: %v", name, err)
		}
	}
}

func TestATokenWithoutIDCannotBeRevokedAndNeedsPermission(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	token := s.token(t, goodClaims(map[string]any{"jti": nil}))
	strict := newVerifier(t, s, func(c *jwtauth.VerifierConfig) { c.Revocations = new(jwtauth.MemoryRevocations) })
	if _, err := strict.Verify(t.Context(), token); !errors.Is(err, authctx.InvalidToken) {
		t.Error(err)
	}
	allowed := newVerifier(t, s, func(c *jwtauth.VerifierConfig) {
		c.Revocations, c.AllowMissingTokenID = new(jwtauth.MemoryRevocations), true
	})
	cached(t, allowed, token, false)
}

// The natural call, with what the token of the caller said.
func TestARevocationNeverDoesNothingInSilence(t *testing.T) {
	c := newHandClock()
	list := &jwtauth.MemoryRevocations{Now: c.now}
	p := principalOf(t, authctx.Attributes{Issuer: "iss", Subject: "a", TokenID: "t1"}) // ends never
	if err := list.RevokeToken(p.Issuer(), p.TokenID(), p.Expires()); err != nil {
		t.Error(err)
	}
	c.add(100 * 365 * 24 * time.Hour)
	if got, _ := list.Revoked(t.Context(), p); !got {
		t.Error("a revocation without an end has ended")
	}
	none := principalOf(t, authctx.Attributes{Issuer: "iss", Subject: "b"})
	for name, err := range map[string]error{
		"token":               list.RevokeToken(none.Issuer(), none.TokenID(), testNow),
		"session":             list.RevokeSession(none.Issuer(), none.SessionID(), testNow),
		"subject":             list.RevokeSubject("iss", "", testNow, testNow),
		"issuer":              list.RevokeToken("", "t1", testNow),
		"time of issue":       list.RevokeSubject("iss", "b", time.Time{}, time.Time{}),
		"token that counts":   list.RevokeToken("iss", "t2", c.now().Add(-8*24*time.Hour)),
		"session that counts": list.RevokeSession("iss", "s2", time.Unix(0, 0)),
	} {
		if err == nil {
			t.Errorf("a revocation of no %s was accepted", name)
		}
	}
	if n := list.Len(); n != 1 {
		t.Errorf("%d entries", n)
	}
	if err := list.RevokeToken("iss", "t3", c.now().Add(time.Second-8*24*time.Hour)); err != nil {
		t.Errorf("work that waits could still count: %v", err)
	}
}
