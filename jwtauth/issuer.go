package jwtauth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/grammar"
)

// accessTokenType is the "typ" of an access token (RFC 9068 section 2.1).
const accessTokenType = "at+jwt"

// maxIssuedLifetime bounds what an Issuer may be configured with: a token that
// nobody can take back should not be good for longer.
const maxIssuedLifetime = 24 * time.Hour

// IssuerConfig configures [NewIssuer]. Issuer, Audiences, Keys and Lifetime are
// required.
type IssuerConfig struct {
	// Issuer is the issuer identifier ("iss"): an https URL without query and
	// fragment (RFC 8414 section 2). http is taken too, but [RemoteKeys] find the
	// keys of such an issuer only at a loopback address, unless told otherwise.
	Issuer string
	// Audiences names the resource servers that tokens are for ("aud").
	Audiences []string
	// Keys signs. Retain of the set must not be shorter than Lifetime.
	Keys *SigningKeys
	// Lifetime is how long a token is good, whole seconds between 1 s and 24 hours.
	// Minutes are usual, since a signed token cannot be taken back.
	Lifetime time.Duration
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Issuer issues access tokens in the profile of RFC 9068. It is safe for
// concurrent use.
//
// It does not log anybody in and knows no clients: whoever calls
// [Issuer.Issue] has made sure of the caller.
type Issuer struct {
	issuer   string
	path     string // of the issuer identifier, without a slash at the end
	audience audience
	keys     *SigningKeys
	lifetime time.Duration
	now      func() time.Time
}

// NewIssuer returns an issuer for cfg, or an error that names every setting
// that is missing or contradictory. It copies the audience.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	var problems problems
	bad := problems.add
	u, ok := parseIssuerURL(cfg.Issuer)
	if !ok {
		bad("Issuer is required and must be an http or https URL without user, query and fragment")
	}
	if len(cfg.Audiences) == 0 || slices.Contains(cfg.Audiences, "") {
		bad("Audiences is required and must not hold empty names")
	}
	problems.issuer("Issuer", cfg.Issuer)
	problems.exact("Audiences", cfg.Audiences...)
	if cfg.Lifetime < time.Second || cfg.Lifetime > maxIssuedLifetime || cfg.Lifetime%time.Second != 0 {
		bad("Lifetime is required and must be whole seconds between %v and %v", time.Second, maxIssuedLifetime)
	}
	if absent.Unmade(cfg.Keys) {
		bad("Keys is required")
	} else {
		cfg.Keys.checkRetain(cfg.Lifetime, &problems)
	}
	if err := problems.of("issuer"); err != nil {
		return nil, err
	}
	return &Issuer{
		issuer: cfg.Issuer, path: strings.TrimSuffix(u.EscapedPath(), "/"), audience: slices.Clone(cfg.Audiences),
		keys: cfg.Keys, lifetime: cfg.Lifetime, now: clockOf(cfg.Now),
	}, nil
}

func parseIssuerURL(raw string) (u *url.URL, ok bool) {
	u, err := url.Parse(raw)
	return u, err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil &&
		!strings.ContainsAny(raw, "?#") // nor an empty query or fragment
}

// Issue returns a signed access token for the caller that a describes.
//
// Subject is required, and ClientID too (RFC 9068 section 2.2) unless the caller
// is a service, whose subject is its client ID. Issuer must be empty or this
// issuer. TokenID may be set and is otherwise 128 random bits. Expires may end
// the token before Lifetime does, never after. Every key of Extra becomes a
// claim with a list of strings. Provenance, IssuedAt and Claims are ignored.
// Attributes of a principal whose token was verified have TokenID, Expires and
// AsOf of that token: clear them for a new one. Those of [RefreshTokens.Use] have
// none of them.
//
// The error names what cannot be said in an access token: a scope with a space
// in it, an Extra key that is the name of another claim or differs from another
// key in case only, a user whose subject is the client ID, an incomplete group
// list, AsOf, more than 31 actors, or more than a token of 16 KiB holds, which is
// what a [Verifier] takes.
func (i *Issuer) Issue(ctx context.Context, a authctx.Attributes) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("jwtauth: issue: %w", err)
	}
	now := i.now().Round(0) // what Expires means, whatever clock it was read from
	if a.Issuer == "" {
		a.Issuer = i.issuer
	}
	if a.Kind == authctx.Service && a.ClientID == "" {
		a.ClientID = a.Subject
	}
	end := now.Add(i.lifetime)
	if a.Expires.IsZero() || a.Expires.After(end) {
		a.Expires = end
	}
	if a.TokenID == "" {
		a.TokenID = randomID()
	}
	a.IssuedAt, a.Provenance, a.Claims = now, 0, ""
	if err := i.check(&a, now); err != nil {
		return "", err
	}
	claims, err := json.Marshal(newAccessClaims(&a, i.audience))
	if err != nil {
		return "", fmt.Errorf("jwtauth: issue: %w", err)
	}
	if len(a.Extra) > 0 {
		if claims, err = addClaims(claims, a.Extra); err != nil {
			return "", err
		}
	}
	key, err := i.keys.signing()
	if err != nil {
		return "", err
	}
	token, err := key.signToken(accessTokenType, claims, "")
	if err == nil && len(token) > defaultMaxTokenBytes {
		return "", fmt.Errorf("jwtauth: issue: the token would take %d bytes, and verifiers take %d unless told otherwise; "+
			"leave something out", len(token), defaultMaxTokenBytes)
	}
	return token, err
}

func (i *Issuer) check(a *authctx.Attributes, now time.Time) error {
	_, err := authctx.New(*a) // what every caller must satisfy
	errs := []error{err}
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("jwtauth: issue: "+format, args...))
	}
	switch {
	case a.Issuer != i.issuer:
		bad("Issuer is not this issuer")
	case a.ClientID == "":
		bad("ClientID is required (RFC 9068 section 2.2)")
	case a.Kind == authctx.Service && a.ClientID != a.Subject:
		bad("the ClientID of a service is its Subject")
	case a.Kind == authctx.User && a.ClientID == a.Subject:
		// RFC 9068 section 5: nobody could tell such a user from the client.
		bad("the Subject of a user must not be the ClientID")
	}
	if a.Expires.Unix() <= now.Unix() { // of which a token has only whole seconds
		bad("Expires has passed, or does so within the second")
	}
	if len(a.Actors) > maxActors {
		bad("Actors has %d, and a token can name %d", len(a.Actors), maxActors)
	}
	if a.GroupsIncomplete {
		bad("an access token cannot say that Groups is incomplete")
	}
	if !a.AsOf.IsZero() {
		bad("an access token cannot say AsOf")
	}
	for _, scope := range a.Scopes {
		if !grammar.IsScopeToken(scope) {
			bad("Scopes holds one that is not a scope token (RFC 6749 section 3.3)")
			break
		}
	}
	return errors.Join(errs...)
}

// randomID returns 128 random bits in base64url.
func randomID() string {
	var b [16]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
