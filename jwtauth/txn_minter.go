package jwtauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/grammar"
)

// maxTxnBytes leaves room for the rest where a server takes 8 KiB for a line, as
// nginx, Apache httpd and gunicorn do, or for all fields together, as lighttpd.
const maxTxnBytes = 7 << 10

// txnMinter signs tokens that say who a principal is.
type txnMinter struct {
	typ      string
	issuer   string
	audience string
	workload string
	keys     *SigningKeys
	lifetime time.Duration
	subject  func(context.Context, authctx.Principal) (string, error)
	scopes   func(context.Context, authctx.Principal) ([]string, error)
}

// reserveForMinting adds to p whatever keeps s from signing tokens of that life
// for verifiers that were not told otherwise. If p holds nothing then, s refuses
// rotations that would change that: a propagator that is not made reserves nothing.
func (s *SigningKeys) reserveForMinting(lifetime time.Duration, hmac bool, p *problems) {
	if absent.Unmade(s) {
		p.add("Keys is required")
		return
	}
	s.checkRetain(lifetime, p)
	mintable := txnAlgorithms()
	if hmac {
		mintable = append(mintable, HS256)
	}
	s.change.Lock()
	defer s.change.Unlock()
	ring, now := s.ring.Load(), s.now()
	for _, key := range ring.keys[ring.current(now):] {
		switch alg := key.Algorithm(); {
		case key.public.symmetric() && !hmac:
			p.add("Keys signs with a secret; AllowHMACAndLetEveryVerifierMint says what that means")
		case !slices.Contains(mintable, alg):
			p.add("Keys signs with %s, and verifiers take %v unless told otherwise", alg, mintable)
		}
	}
	if len(*p) == 0 {
		s.algorithms = slices.DeleteFunc(mintable, func(alg Algorithm) bool {
			return s.algorithms != nil && !slices.Contains(s.algorithms, alg)
		})
	}
}

// minted is a signed token and the key that verifies it.
type minted struct {
	token string
	key   *Key
}

// CallerScopes is a value for Scopes of a [TxnPropagatorConfig] or a
// [DeferredPropagatorConfig]: tokens carry the scopes of their callers, and no
// scopes for callers that have none, whom a nil Scopes refuses. Use it where rules
// go by something else than scopes, such as permissions.
func CallerScopes(_ context.Context, p authctx.Principal) ([]string, error) { return p.Scopes(), nil }

// grantedScopes decides which scopes a token for p may carry.
func (m *txnMinter) grantedScopes(ctx context.Context, p authctx.Principal) ([]string, error) {
	granted := p.Scopes()
	// Who came with a token of this package has the scopes in it, even if those
	// are none: whoever narrowed them must not have set the next minter free.
	unknown := len(granted) == 0 && p.Provenance() != authctx.Signed
	if m.scopes == nil {
		if unknown {
			return nil, errUnknownScopes
		}
		return granted, nil
	}
	scopes, err := m.scopes(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("jwtauth: Scopes: %w", err)
	}
	if !unknown && !subset(scopes, granted) {
		return nil, errWiderScopes
	}
	return scopes, nil
}

var (
	// Unknown must not become unconstrained (section 13.14).
	errUnknownScopes = refusal(authctx.PermissionDenied, "the caller has no scopes, and Scopes does not say what that means; see CallerScopes")
	errWiderScopes   = refusal(authctx.PermissionDenied, "scopes must not exceed those of the caller")
)

func subset(list, of []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(of, s) })
}

// caller says who a describes, whom the trust domain calls subject.
func (m *txnMinter) caller(a *authctx.Attributes, subject string) (*txnCaller, error) {
	if len(a.Actors) > maxActors {
		return nil, fmt.Errorf("jwtauth: the caller has %d actors and a token can name %d", len(a.Actors), maxActors)
	}
	return newTxnCaller(a, subject), nil
}

// encode completes what tokens say of a caller.
func (m *txnMinter) encode(c *txnCaller, scopes []string) (string, error) {
	if slices.ContainsFunc(scopes, func(s string) bool { return !grammar.IsScopeToken(s) }) {
		return "", errScopeToken
	}
	c.Issuer, c.Audience, c.Workload, c.Scope = m.issuer, m.audience, m.workload, strings.Join(scopes, " ")
	caller, err := c.encode()
	if err != nil {
		return "", fmt.Errorf("jwtauth: mint: %w", err)
	}
	return caller, nil
}

var errScopeToken = errors.New("jwtauth: a scope is no scope token (RFC 6749 section 3.3)")

// sign completes the claims of a call and signs them with those of an encoded
// caller.
func (m *txnMinter) sign(c *txnCall, caller string, now time.Time) (minted, error) {
	c.IssuedAt = now.Unix()
	call, err := c.encode()
	if err != nil {
		return minted{}, fmt.Errorf("jwtauth: mint: %w", err)
	}
	key, err := m.keys.signing()
	if err != nil {
		return minted{}, err
	}
	token, err := key.signToken(m.typ, call, caller)
	if err != nil {
		return minted{}, err
	}
	if len(token) > maxTxnBytes {
		name, size := largestClaim(call, caller)
		return minted{}, fmt.Errorf("jwtauth: the token that names the caller would take %d bytes and may take %d; the largest claim is %s with %d",
			len(token), maxTxnBytes, name, size)
	}
	return minted{token, key.verifying}, nil
}

// soleIssuerSubject takes subjects as they are, since they are all of one
// issuer.
func soleIssuerSubject(issuer string) func(context.Context, authctx.Principal) (string, error) {
	return func(_ context.Context, p authctx.Principal) (string, error) {
		if p.Issuer() != issuer {
			return "", errOtherIssuer
		}
		return p.Subject(), nil
	}
}

var errOtherIssuer = refusal(authctx.PermissionDenied, "transaction token: the caller's issuer is not SoleIssuer")

var issuerEscaper = strings.NewReplacer("%", "%25", "#", "%23")

// qualifiedSubject returns ISSUER#SUBJECT. No issuer of one "#" can be mistaken
// for another with a part of the subject.
func qualifiedSubject(_ context.Context, p authctx.Principal) (string, error) {
	return issuerEscaper.Replace(p.Issuer()) + "#" + p.Subject(), nil
}
