package jwtauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/exactname"
	"github.com/authctx/authctx/internal/strictjson"
)

// Bounds on Transaction Tokens. The draft wants "minutes or less" (section 6).
const (
	// DefaultTxnLifetime is what a zero [TxnPropagatorConfig.Lifetime] means.
	DefaultTxnLifetime = 2 * time.Minute
	// MaxTxnLifetime is the longest a Transaction Token may live.
	MaxTxnLifetime = 10 * time.Minute
)

// TxnPropagatorConfig configures [NewTxnPropagator]. TrustDomain, Workload and
// Keys are required.
type TxnPropagatorConfig struct {
	// TrustDomain is whom tokens are for ("aud"): all services together, such
	// as "prod.example.com". It is compared byte by byte: with "spiffe://" in
	// front it is another.
	TrustDomain string
	// Issuer is "iss". Empty means TrustDomain, which has one logical issuer
	// of Transaction Tokens.
	Issuer string
	// Workload is the name of this program in the trust domain ("req_wl"), such
	// as its SPIFFE ID.
	Workload string
	// Keys sign: EdDSA is the recommended algorithm, ES256 and RS256 are the
	// others that every verifier knows; no other is taken, now or by
	// [SigningKeys.Rotate]. Verifiers need their public keys, see
	// [SigningKeys.JWKSHandler]. They should not sign anything else. Retain of
	// the set must not be shorter than Lifetime.
	Keys *SigningKeys
	// AllowHMACAndLetEveryVerifierMint allows HS256 in Keys too. Every service
	// that verifies then has the secret and can be anybody.
	AllowHMACAndLetEveryVerifierMint bool
	// Lifetime is how long a token is good, whole seconds between 1 s and
	// [MaxTxnLifetime]; zero means [DefaultTxnLifetime]. "iat" and "exp" are whole
	// seconds, rounded down, so that a token is good for up to a second less. A token
	// never outlives its caller's effective end.
	Lifetime time.Duration
	// SoleIssuer is the one issuer whose callers are carried on; others are
	// refused. "sub" is then the caller's subject as it is. Empty carries on
	// callers of all issuers, and "sub" is ISSUER#SUBJECT, so that it is unique
	// in the trust domain. Verifiers get issuer and subject back either way.
	SoleIssuer string
	// Subject, when it is not nil, says what the trust domain calls a caller, in
	// place of SoleIssuer, which must then be empty. Its results must be unique.
	Subject func(context.Context, authctx.Principal) (string, error)
	// Scopes returns the scopes that a token carries. For a caller with scopes, they
	// must be among the caller's. For a caller without any, whose issuer may know no
	// scopes, they are whatever it returns, none included. When Scopes is nil,
	// tokens carry the caller's scopes, and a caller without any is refused,
	// because unknown is not unconstrained.
	//
	// The scopes of a caller of [authctx.Signed] provenance are known: they are those
	// of the token that named it. A caller whose token has none is not refused, but no
	// scopes may be added. So of several minters, such as the edge and the publisher
	// of a message, the first one decides. Where plain fields carry the caller in
	// between, scopes that are not there are unknown again.
	Scopes func(context.Context, authctx.Principal) ([]string, error)
	// RequestContext says in which circumstances the request came in ("rctx"),
	// such as {"req_ip": "192.0.2.1"}: a value for JSON that every service of the
	// trust domain can read, see [authctx.Principal.DecodeClaims]. Addresses are
	// personal data. Nil or an empty result says nothing.
	RequestContext func(context.Context, authctx.Principal) (map[string]any, error)
	// Reuse lets calls for one caller within that time share a token, which saves
	// signing here, and verifying in services that cache. It is at most half of
	// Lifetime; zero mints a token for each call. "txn" then no longer names a
	// single request but all that one caller does in that time, so Reuse excludes
	// RequestContext. Subject and Scopes are still asked for every call. Up to
	// 32,768 tokens, or roughly 64 MiB, are kept in memory in clear, each with its
	// caller, until others take their places.
	Reuse time.Duration
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// TxnPropagator mints Transaction Tokens (draft-ietf-oauth-transaction-tokens-09)
// at the edge of a trust domain: it vouches, with a signature, for the caller
// of the context towards every service behind it.
//
// A caller who came with a Transaction Token of this trust domain and issuer is carried
// on by that token, unmodified. When that token has ended, none is minted in its place,
// even if the caller's own end has not come: an expired token is not replaced (section
// 13.15), and a new one would not say what the old one was narrowed to, and by whom. The
// caller's own credential is never part of a token.
//
// What tokens say of a caller is encoded once and kept with the caller, for up to
// 4,096 callers, or roughly 64 MiB, until others take their places. Each token is
// signed.
//
// The draft is not an RFC yet, and what tokens are called and hold may change with
// it, in a minor version of this module too, which its CHANGELOG then names: upgrade
// the services before the gateway. They take tokens of the version before, where
// that is possible by TxnAuthenticatorConfig.AcceptOlderDrafts.
//
// A TxnPropagator is safe for concurrent use. A nil or zero one writes nobody: where
// one is configured it counts as missing, and its Inject panics.
type TxnPropagator struct {
	minter  txnMinter
	renames bool                                                             // Subject is asked for every call
	request func(context.Context, authctx.Principal) (map[string]any, error) // nil says nothing
	reuse   time.Duration                                                    // zero mints each time
	memo    *txnMemo
	now     func() time.Time
}

// NewTxnPropagator returns a propagator for cfg, or an error that names every
// setting that is missing or contradictory.
func NewTxnPropagator(cfg TxnPropagatorConfig) (*TxnPropagator, error) {
	cfg.Lifetime = cmp.Or(cfg.Lifetime, DefaultTxnLifetime)
	problems := cfg.problems()
	cfg.Keys.reserveForMinting(cfg.Lifetime, cfg.AllowHMACAndLetEveryVerifierMint, &problems)
	if err := problems.of("transaction token propagator"); err != nil {
		return nil, err
	}
	return &TxnPropagator{
		minter: txnMinter{
			typ: txnType, issuer: cmp.Or(cfg.Issuer, cfg.TrustDomain), audience: cfg.TrustDomain, workload: cfg.Workload,
			keys: cfg.Keys, lifetime: cfg.Lifetime, scopes: cfg.Scopes, subject: cfg.subject(),
		},
		renames: cfg.Subject != nil,
		request: cfg.RequestContext,
		reuse:   cfg.Reuse,
		memo:    newTxnMemo(cfg.Reuse),
		now:     clockOf(cfg.Now),
	}, nil
}

// problems returns what is wrong apart from Keys.
func (cfg *TxnPropagatorConfig) problems() problems {
	var problems problems
	bad := problems.add
	checkTrustDomain(cfg.TrustDomain, &problems)
	if cfg.Workload == "" {
		bad("Workload is required")
	}
	problems.exact("Workload", cfg.Workload)
	problems.issuer("Issuer", cfg.Issuer)
	problems.issuer("SoleIssuer", cfg.SoleIssuer)
	if cfg.Lifetime < time.Second || cfg.Lifetime > MaxTxnLifetime || cfg.Lifetime%time.Second != 0 {
		bad("Lifetime must be whole seconds between %v and %v", time.Second, MaxTxnLifetime)
	}
	if cfg.Reuse < 0 || cfg.Reuse > cfg.Lifetime/2 {
		bad("Reuse must not be negative or longer than half of Lifetime")
	}
	if cfg.Reuse > 0 && cfg.RequestContext != nil {
		bad("Reuse and RequestContext exclude each other")
	}
	if cfg.SoleIssuer != "" && cfg.Subject != nil {
		bad("SoleIssuer and Subject exclude each other")
	}
	return problems
}

// checkTrustDomain refuses what nobody can mean: a space that came along from a
// file would make every service refuse every token. Otherwise a trust domain is
// any StringOrURI (RFC 7519 section 2).
func checkTrustDomain(name string, p *problems) (ok bool) {
	switch {
	case name == "":
		p.add("TrustDomain is required")
	case holdsUser(name):
		p.add("TrustDomain holds a user name")
	case strings.Contains(name, " ") || !exactname.Valid(name):
		p.add("TrustDomain is %.200q: it must not hold white space or characters that cannot be seen", name)
	default:
		return true
	}
	return false
}

func (cfg *TxnPropagatorConfig) subject() func(context.Context, authctx.Principal) (string, error) {
	switch {
	case cfg.Subject != nil:
		return func(ctx context.Context, p authctx.Principal) (string, error) {
			subject, err := cfg.Subject(ctx, p)
			if err == nil && subject == "" {
				err = errors.New("it returned an empty subject")
			}
			if err != nil {
				return "", fmt.Errorf("jwtauth: transaction token: Subject: %w", err)
			}
			return subject, nil
		}
	case cfg.SoleIssuer != "":
		return soleIssuerSubject(cfg.SoleIssuer)
	}
	return qualifiedSubject
}

// Fields returns txn-token.
func (t *TxnPropagator) Fields() authctx.FieldSet { return txnFields }

var txnFields = authctx.FieldSet{Names: []string{authctx.TxnTokenField}}

// Inject writes the token that names p: the one that came in with p, if p is the
// caller of ctx and was known by one, and otherwise a new one.
//
// It fails with [authctx.NoCredentials] when p is zero, with [authctx.TokenExpired] when
// p's effective end has come, and with [authctx.PermissionDenied] when SoleIssuer
// excludes p, when Scopes returns more than p has, and when Scopes is nil and the scopes
// of p are not known.
//
// It fails with the error of Subject, Scopes or RequestContext, of whatever
// reason, and without a reason, as this program's own failure, when the token
// that came in is of another trust domain or issuer or has ended before p, when p
// has more than 31 actors or a scope that is no scope token (RFC 6749 section
// 3.3), when the token would take more than 7 KiB, which names the largest claim, and
// when the key does not sign.
func (t *TxnPropagator) Inject(ctx context.Context, p authctx.Principal, set func(name, value string)) error {
	now := t.now()
	token, err := forwardedTxn(ctx, p, now)
	switch {
	case err != nil:
		return err
	case token != "" && !readTxnAddress(token).is(t.minter.issuer, t.minter.audience):
		return errForeignTxn
	case token == "":
		if token, err = t.token(ctx, p, now); err != nil {
			return err
		}
	}
	set(authctx.TxnTokenField, token)
	return nil
}

// token mints, or reuses what was minted for the same caller.
func (t *TxnPropagator) token(ctx context.Context, p authctx.Principal, now time.Time) (string, error) {
	scopes, err := t.minter.grantedScopes(ctx, p)
	if err != nil {
		return "", err
	}
	caller := t.memo.get(p, scopes)
	if t.renames || !caller.reusable(now) {
		if caller, err = t.encoded(ctx, caller, p, scopes); err != nil {
			return "", err
		}
	}
	if caller.reusable(now) {
		return caller.token, nil
	}
	m, err := t.mint(ctx, p, caller.claims, now)
	if err != nil {
		return "", err
	}
	if t.reuse > 0 {
		caller = caller.reuse(m, now.Add(t.reuse))
	}
	t.memo.put(caller, now)
	return m.token, nil
}

// encoded returns what is known of p, if its subject is still the same, or else
// encodes what tokens are to say.
func (t *TxnPropagator) encoded(ctx context.Context, known *txnEntry, p authctx.Principal, scopes []string) (*txnEntry, error) {
	subject, err := t.minter.subject(ctx, p)
	if err != nil || known != nil && known.subject == subject {
		return known, err
	}
	a := p.Attributes()
	c, err := t.minter.caller(&a, subject)
	if err != nil {
		return nil, err
	}
	claims, err := t.minter.encode(c, scopes)
	if err != nil {
		return nil, err
	}
	// Texts of the caller that are not parts of its Claims are in claims, too.
	size := verifiedOverhead + len(a.Claims) + listBytes(&a) + 2*len(claims) + textBytes(scopes)
	return &txnEntry{principal: p, scopes: slices.Clone(scopes), subject: subject, claims: claims, size: size}, nil
}

// mint signs a token that is good for its lifetime and no longer than p is;
// caller is what it says of p.
func (t *TxnPropagator) mint(ctx context.Context, p authctx.Principal, caller string, now time.Time) (minted, error) {
	end := now.Add(t.minter.lifetime)
	if own := p.Expires(); !own.IsZero() && own.Before(end) {
		end = own
	}
	call := txnCall{Expires: end.Unix(), ID: randomID()}
	if t.request != nil {
		var err error
		if call.Request, err = t.requestContext(ctx, p); err != nil {
			return minted{}, fmt.Errorf("jwtauth: transaction token: RequestContext: %w", err)
		}
	}
	return t.minter.sign(&call, caller, now)
}

// requestContext returns "rctx", which verifiers must be able to read and
// services to decode.
func (t *TxnPropagator) requestContext(ctx context.Context, p authctx.Principal) (json.RawMessage, error) {
	request, err := t.request(ctx, p)
	if err != nil || len(request) == 0 {
		return nil, err
	}
	raw, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	claims := `{"rctx":` + string(raw) + `}`
	var doc strictjson.Doc
	if err := txnParser.Parse(&doc, claims); err != nil {
		return nil, fmt.Errorf("verifiers would refuse it: %w", err)
	}
	reader, err := authctx.New(authctx.Attributes{Issuer: "-", Subject: "-", Claims: claims})
	if err == nil {
		err = reader.DecodeClaims(&struct{}{})
	}
	if err != nil {
		return nil, fmt.Errorf("services could not decode it: %w", err)
	}
	return raw, nil
}
