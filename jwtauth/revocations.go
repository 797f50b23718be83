package jwtauth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// Revocations knows what was withdrawn before its time. Implementations are safe
// for concurrent use and quick: they are asked on every request, and nothing here
// bounds how long that waits for them.
type Revocations interface {
	// Revoked reports whether the credential that named p counts no longer: by
	// issuer with token ID, session, or subject and issue time. A failure means
	// that nobody could tell, and the request is answered with
	// [authctx.Unavailable].
	//
	// What was revoked must be known for as long as anything counts that came of
	// it: a consumer of deferred work is asked about a credential that may have
	// ended [MaxDeferredLifetime] ago, and [RefreshTokens] about a login as long as
	// that is refreshed.
	//
	// ctx is the request's, which may have no deadline: who asks somebody else sets
	// one, and returns an error when it has passed.
	Revoked(ctx context.Context, p authctx.Principal) (bool, error)
}

// checkRevoked asks r, which may be nil, about p.
func checkRevoked(ctx context.Context, r Revocations, p authctx.Principal) error {
	if r == nil {
		return nil
	}
	switch yes, err := r.Revoked(ctx, p); {
	case err != nil:
		return unavailable("revocations", err)
	case yes:
		return revokedBy(r, p)
	}
	return nil
}

// MemoryRevocations is [Revocations] in memory, for one process. The zero
// MemoryRevocations is empty and ready; it must not be copied. It is safe for
// concurrent use.
//
// Whoever revokes says until when: when the last token that the entry is about
// ends, such as [authctx.Principal.Expires]. The entry counts until then and Keep
// longer, or, if until is zero, for as long as the process runs. Pass zero for an
// opaque token of which the endpoint names no "exp": Expires is then only the end
// of the endpoint's answer, and the endpoint may go on calling the token active for
// longer than Keep.
//
// Revoking fails when it could have no effect: because the issuer or the name of
// what is revoked is empty, as the token had none; because the entry would have
// ended already, Keep included; or because no time of issue was given.
type MemoryRevocations struct {
	// Keep is how much longer an entry counts than it was told to, for what
	// outlives the credential: work that waits in a queue. When less than 1 ms it
	// is 8 days, more than [MaxDeferredLifetime]; an entry takes about 250 bytes,
	// and nothing bounds how many there are.
	// Set it before first use.
	Keep time.Duration
	// Now is the clock; nil means [time.Now]. Set it before first use.
	Now func() time.Time

	mu      sync.RWMutex
	entries map[revocation]revoked
	purgeAt int // purge when entries has grown to this size
}

const defaultRevocationKeep = MaxDeferredLifetime + 24*time.Hour

// revocation is what an entry is about. Its parts are fields of their own, so
// that no choice of names makes two of them equal.
type revocation struct {
	kind       revocationKind
	issuer, id string
}

type revocationKind uint8

const (
	revokedToken revocationKind = iota
	revokedSession
	revokedSubject
)

type revoked struct {
	until    time.Time // Keep included
	issuedBy time.Time // revokedSubject: the last second of issue that is revoked
}

// RevokeToken revokes the token with this ID ("jti"), which ends at until.
func (l *MemoryRevocations) RevokeToken(issuer, tokenID string, until time.Time) error {
	return l.add(revocation{revokedToken, issuer, tokenID}, revoked{until: until})
}

// RevokeSession revokes every token of a session ("sid"), the last of which ends
// at until. [MemoryRevocations.RevokeSubject] says when refresh tokens count.
func (l *MemoryRevocations) RevokeSession(issuer, sessionID string, until time.Time) error {
	return l.add(revocation{revokedSession, issuer, sessionID}, revoked{until: until})
}

// RevokeSubject revokes every token of a subject that was issued in the second
// of issuedBy or earlier, or does not say when it was issued. The last of them
// ends at until. The present time as issuedBy means all that there are; zero is
// an error.
//
// Refresh tokens count among them only where [RefreshTokensConfig.Revocations] is
// this list. Until is then when the subject's last login ends, which is Lifetime
// from now at the latest. Otherwise its logins go on, and each refresh gives an
// access token that was issued after the revocation.
func (l *MemoryRevocations) RevokeSubject(issuer, subject string, issuedBy, until time.Time) error {
	if issuedBy.IsZero() {
		return errors.New("jwtauth: MemoryRevocations: issuedBy is zero; the present time revokes all that was issued so far")
	}
	return l.add(revocation{revokedSubject, issuer, subject}, revoked{until: until, issuedBy: issuedBy.Truncate(time.Second)})
}

// add never shortens what still counts.
func (l *MemoryRevocations) add(r revocation, e revoked) error {
	if r.issuer == "" || r.id == "" {
		return errors.New("jwtauth: MemoryRevocations: the issuer, or the token, session or subject to revoke, is empty")
	}
	if e.until.IsZero() {
		e.until = time.Unix(strictjson.MaxDate, 0)
	}
	e.until = e.until.Round(0).Add(l.keep()) // by the wall clock, as tokens end
	now := clockOf(l.Now)()
	if !now.Before(e.until) {
		return errors.New("jwtauth: MemoryRevocations: until has passed, by more than Keep; zero stands for no end")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries == nil {
		l.entries = map[revocation]revoked{}
	}
	// They may be parts of all the claims of a token.
	r.issuer, r.id = strings.Clone(r.issuer), strings.Clone(r.id)
	if old, lasts := l.entry(r, now); lasts {
		if old.until.After(e.until) {
			e.until = old.until
		}
		if old.issuedBy.After(e.issuedBy) {
			e.issuedBy = old.issuedBy
		}
	}
	l.entries[r] = e
	if len(l.entries) > max(l.purgeAt, 1024) {
		l.purge(now)
		l.purgeAt = 2 * len(l.entries)
	}
	return nil
}

func (l *MemoryRevocations) purge(now time.Time) {
	for r, e := range l.entries {
		if !now.Before(e.until) {
			delete(l.entries, r)
		}
	}
}

func (l *MemoryRevocations) keep() time.Duration {
	if l.Keep < time.Millisecond { // a number without its unit is nanoseconds
		return defaultRevocationKeep
	}
	return l.Keep
}

// Len returns how many entries are in memory, ended ones included.
func (l *MemoryRevocations) Len() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.entries)
}

// Revoked implements [Revocations]. It never fails and does not allocate.
func (l *MemoryRevocations) Revoked(_ context.Context, p authctx.Principal) (bool, error) {
	return l.why(p) != nil, nil
}

// revokedBy says by what a list has revoked p, if it is one of ours.
func revokedBy(list Revocations, p authctx.Principal) error {
	if l, ok := list.(*MemoryRevocations); ok {
		if why := l.why(p); why != nil {
			return why
		}
	}
	return errRevoked
}

// why returns nil where nothing is revoked.
func (l *MemoryRevocations) why(p authctx.Principal) *authctx.Error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.entries) == 0 {
		return nil
	}
	now, issuer := clockOf(l.Now)(), p.Issuer()
	subject, ok := l.entry(revocation{revokedSubject, issuer, p.Subject()}, now)
	switch {
	case ok && !p.IssuedAt().After(subject.issuedBy):
		return errSubjectRevoked
	case l.has(revocation{revokedToken, issuer, p.TokenID()}, now):
		return errTokenRevoked
	case l.has(revocation{revokedSession, issuer, p.SessionID()}, now):
		return errSessionRevoked
	}
	return nil
}

func (l *MemoryRevocations) has(r revocation, now time.Time) bool {
	_, ok := l.entry(r, now)
	return ok
}

func (l *MemoryRevocations) entry(r revocation, now time.Time) (revoked, bool) {
	e, ok := l.entries[r]
	return e, ok && now.Before(e.until)
}
