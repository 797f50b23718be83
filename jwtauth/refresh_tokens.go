package jwtauth

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
)

// RefreshTokensConfig configures [NewRefreshTokens]. Store and Lifetime are
// required.
type RefreshTokensConfig struct {
	// Store keeps the grants; [MemoryRefreshStore] is one for a single process.
	Store RefreshStore
	// Lifetime is how long a login lasts, however often it is refreshed: at least
	// 1 s.
	Lifetime time.Duration
	// IdleLifetime ends a login that was not refreshed for that long: at least 1 s;
	// zero means Lifetime, which is also the most.
	IdleLifetime time.Duration
	// Revocations, when it is not nil, is asked at each use about the caller as of
	// the login: by session, or by subject and the IssuedAt of the login, which has
	// no TokenID. It should be what verifiers ask. When it is nil, revoking a
	// session or a subject ends access tokens and no login: whoever has a refresh
	// token gets new ones that count. [RefreshTokens.Revoke] is about one login.
	Revocations Revocations
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// RefreshTokens issues opaque refresh tokens, each good for one use (RFC 9700
// section 4.14.2). It knows no HTTP: an auth service calls it from its token
// endpoint, and [Issuer.Issue] for the access token that goes with it.
//
// Using a token gives the next one. A token that is used twice has been copied, and
// nobody can tell which of the two is the thief, so the login ends for both, even if the
// second one does not wait for the answer. A client that loses the answer to a
// refresh has to log in again.
//
// It is safe for concurrent use.
type RefreshTokens struct {
	store          RefreshStore
	lifetime, idle time.Duration
	revocations    Revocations // nil revokes nobody
	now            func() time.Time
}

// NewRefreshTokens returns refresh tokens for cfg, or an error that names every
// setting that is missing or contradictory.
func NewRefreshTokens(cfg RefreshTokensConfig) (*RefreshTokens, error) {
	var problems problems
	bad := problems.add
	if absent.Nil(cfg.Store) {
		bad("Store is required")
	}
	if cfg.Lifetime < time.Second {
		bad("Lifetime is required and must be at least a second")
	}
	problems.atLeast(time.Second, "IdleLifetime", cfg.IdleLifetime)
	if cfg.IdleLifetime > cfg.Lifetime {
		bad("IdleLifetime must not be longer than Lifetime")
	}
	problems.hollow("Revocations", cfg.Revocations)
	if err := problems.of("refresh tokens"); err != nil {
		return nil, err
	}
	return &RefreshTokens{
		store: cfg.Store, lifetime: cfg.Lifetime, idle: cmp.Or(cfg.IdleLifetime, cfg.Lifetime),
		revocations: cfg.Revocations, now: clockOf(cfg.Now),
	}, nil
}

// Issue returns the first refresh token of a login. The caller's ClientID is
// required: only that client may use the token (RFC 6749 section 6).
//
// What belongs to the one credential that the caller came with is not part of the
// login: its TokenID, Expires and Claims are left out, so that [Issuer.Issue]
// takes the Attributes of whoever [RefreshTokens.Use] returns. The login lasts for
// Lifetime, whenever that credential ends. IssuedAt stays, and is the present
// time where there is none: [MemoryRevocations.RevokeSubject] tells logins by it.
//
// The error is [authctx.TokenExpired] when the caller's effective end has come,
// and [authctx.Unavailable] when the store fails. A caller with AsOf is refused:
// who came with deferred work has not logged in.
func (r *RefreshTokens) Issue(ctx context.Context, p authctx.Principal) (string, error) {
	now, login := r.wallClock(), randomID()
	switch {
	case p.IsZero() || p.ClientID() == "":
		return "", errors.New("jwtauth: refresh tokens: the caller needs a ClientID")
	case p.ExpiredAt(now):
		return "", errExpired
	case !p.AsOf().IsZero():
		return "", errors.New("jwtauth: refresh tokens: the caller has AsOf, so this is deferred work and no login")
	}
	a := p.Attributes()
	a.TokenID, a.Expires, a.Claims = "", time.Time{}, ""
	if a.IssuedAt.IsZero() {
		a.IssuedAt = now
	}
	caller, err := newDetached(a)
	if err != nil {
		return "", fmt.Errorf("jwtauth: refresh tokens: %w", err)
	}
	g := RefreshGrant{ID: refreshID(login), Principal: caller, Ends: now.Add(r.lifetime)}
	token := r.next(&g, login, now)
	if err := r.store.Create(ctx, g); err != nil {
		return "", unavailable("refresh tokens", err)
	}
	return token, nil
}

// newDetached is [authctx.New] of copies of all texts. Those of a verified caller
// are parts of the token's claims, which a login would hold in memory for its
// lifetime.
func newDetached(a authctx.Attributes) (authctx.Principal, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return authctx.Principal{}, err
	}
	var detached authctx.Attributes
	if err := json.Unmarshal(text, &detached); err != nil {
		return authctx.Principal{}, err
	}
	return authctx.New(detached)
}

// Use takes a token and returns the caller as of the login and the next token.
// The authenticated client must be the one that the token was issued to. Roles
// and the like may have changed since: look them up again before issuing an
// access token for the caller's Attributes. The token is used up even if that fails.
//
// The error is
//
//   - [authctx.InvalidToken] for what is no token or another client's;
//   - [authctx.TokenExpired] when the login has lasted its Lifetime, or its IdleLifetime
//     without being refreshed;
//   - [authctx.TokenRevoked] for a token that was used before or a caller who was
//     revoked, either of which ends the login;
//   - [authctx.Unavailable] when the store fails, or Revocations do. The token is then
//     still good, unless the store failed after it had written the next one: in that
//     case the client must log in again.
//
// A token endpoint answers Unavailable with 503 and all others with 400 and
// "invalid_grant" (RFC 6749 section 5.2), and not as httpctx would, which refuses like
// a resource server does an access token: with 401 and "invalid_token".
func (r *RefreshTokens) Use(ctx context.Context, clientID, token string) (authctx.Principal, string, error) {
	g, used, err := r.find(ctx, clientID, token)
	if err != nil {
		return authctx.Principal{}, "", err
	}
	now := r.wallClock()
	if !now.Before(g.Ends) || !now.Before(g.IdleEnds) {
		return authctx.Principal{}, "", errRefreshExpired
	}
	doubt := checkRevoked(ctx, r.revocations, g.Principal)
	switch {
	case authctx.ReasonOf(doubt) == authctx.TokenRevoked:
		return authctx.Principal{}, "", r.endFor(ctx, g.ID, "a caller was revoked", doubt)
	case doubt != nil && g.Hash == used: // another token ends the login even now: whoever has a copy need not come again
		return authctx.Principal{}, "", doubt
	}
	next := r.next(&g, token[:refreshLoginLength], now)
	if err := cmp.Or(r.replace(ctx, used, g), doubt); err != nil {
		return authctx.Principal{}, "", err
	}
	return g.Principal, next, nil
}

// replace puts g in the place of the grant whose last token has the hash used.
// If that token is not the last one, it ends the login.
//
// The store's condition decides that, and not what was loaded, which may be old
// by now.
func (r *RefreshTokens) replace(ctx context.Context, used [sha256.Size]byte, g RefreshGrant) error {
	replaced, failed := r.store.Replace(ctx, used, g)
	if replaced && failed == nil {
		return nil
	}
	// The answer to the write may have been lost, or a driver may have sent it
	// again. Nobody else knows a secret with the hash of g: if that is there, this
	// call wrote it.
	settling, cancel := outlasting(ctx)
	defer cancel()
	stored, found, err := r.store.Load(settling, g.ID)
	switch {
	case err == nil && stored.Hash == g.Hash:
		return nil
	case err != nil: // which tells nobody that the token was used before
		return unavailable("refresh tokens", errors.Join(failed, err))
	case failed != nil && stored.Hash == used:
		return unavailable("refresh tokens", failed)
	case !found:
		return errNoRefreshToken
	}
	return r.endFor(ctx, g.ID, "a token was used before", errRefreshReused)
}

// endFor ends a login for what has happened, and returns refused, or that it goes on.
func (r *RefreshTokens) endFor(ctx context.Context, id, happened string, refused error) error {
	if err := r.end(ctx, id); err != nil {
		return unavailable("refresh tokens", fmt.Errorf("%s, and the login could not be ended: %w", happened, err))
	}
	return refused
}

// end ends a login.
func (r *RefreshTokens) end(ctx context.Context, id string) error {
	ctx, cancel := outlasting(ctx)
	defer cancel()
	return r.store.Delete(ctx, id)
}

// outlasting returns a context for what a request has set going and must not be
// able to stop by going away.
func outlasting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
}

// wallClock returns the time without a monotonic reading, because that stands
// still while a machine sleeps and means nothing on another one.
func (r *RefreshTokens) wallClock() time.Time { return r.now().Round(0) }

// Revoke ends the login that a token belongs to (RFC 7009). Any token of the login will
// do, a used one included, and one that is not known is no error (section 2.2). The
// authenticated client must be the one that the token was issued to (section 2.1). The
// error is [authctx.InvalidToken] if it is another, and [authctx.Unavailable] when the
// store fails. A token endpoint answers both as with [RefreshTokens.Use].
func (r *RefreshTokens) Revoke(ctx context.Context, clientID, token string) error {
	g, _, err := r.find(ctx, clientID, token)
	switch {
	case err == errNoRefreshToken:
		return nil
	case err != nil:
		return err
	}
	if err := r.end(ctx, g.ID); err != nil {
		return unavailable("refresh tokens", err)
	}
	return nil
}

// find returns the grant of a client's token and the hash of its secret, which
// need not be that of the grant.
func (r *RefreshTokens) find(ctx context.Context, clientID, token string) (g RefreshGrant, hash [sha256.Size]byte, err error) {
	login, hash, ok := cutRefreshToken(token)
	if !ok {
		return g, hash, errNoRefreshToken
	}
	id := refreshID(login)
	g, found, err := r.store.Load(ctx, id)
	switch {
	case err != nil:
		err = unavailable("refresh tokens", err)
	case !found:
		err = errNoRefreshToken
	case g.ID != id || g.Principal.IsZero() || g.Ends.IsZero() || g.IdleEnds.IsZero():
		err = errRefreshGrant
	case clientID == "" || g.Principal.ClientID() != clientID:
		err = errRefreshClient
	}
	return g, hash, err
}

// A token is LOGIN.SECRET, both random and in base64url. LOGIN is the same in
// all tokens of a login, and stores know it by its hash: nobody who has not held
// a token of the login can name it (RFC 9700 section 4.14.2 wants a grant that
// tokens name to be protected), so a SECRET that is not the last one is taken for
// one that was used.
const (
	refreshLoginLength = 22 // of 16 bytes
	refreshSecretBytes = 32
	refreshTokenLength = refreshLoginLength + 1 + 43
)

// cutRefreshToken returns the login and the hash of the secret of what next could
// have written, and false for anything else.
func cutRefreshToken(token string) (login string, hash [sha256.Size]byte, ok bool) {
	if len(token) != refreshTokenLength || token[refreshLoginLength] != '.' {
		return "", hash, false
	}
	login = token[:refreshLoginLength]
	_, badLogin := decodeSegment(nil, login)
	secret, badSecret := decodeSegment(nil, token[refreshLoginLength+1:])
	return login, sha256.Sum256(secret), badLogin == nil && badSecret == nil
}

func refreshID(login string) string {
	sum := sha256.Sum256([]byte(login))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// next gives g a new token and returns it. The grant has only its hash.
func (r *RefreshTokens) next(g *RefreshGrant, login string, now time.Time) string {
	var secret [refreshSecretBytes]byte
	rand.Read(secret[:])
	g.Hash = sha256.Sum256(secret[:])
	g.IdleEnds = now.Add(r.idle)
	return login + "." + base64.RawURLEncoding.EncodeToString(secret[:])
}

var (
	errNoRefreshToken = refusal(authctx.InvalidToken, "no refresh token, or not known any more")
	errRefreshClient  = refusal(authctx.InvalidToken, "refresh token of another client")
	errRefreshExpired = refusal(authctx.TokenExpired, "the login has lasted its time")
	errRefreshGrant   = refusal(authctx.Unavailable, "refresh tokens: the store answered with a grant without its ID, Principal, Ends or IdleEnds")
	errRefreshReused  = refusal(authctx.TokenRevoked, "refresh token was used before; the login has been ended")
)
