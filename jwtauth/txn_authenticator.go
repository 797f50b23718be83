package jwtauth

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/authctx/authctx"
)

// TxnAuthenticatorConfig configures [NewTxnAuthenticator]. TrustDomain and Keys
// are required.
type TxnAuthenticatorConfig struct {
	// TrustDomain is whom tokens must be for ("aud").
	TrustDomain string
	// Issuer is who must have minted them ("iss"). Empty means TrustDomain, as
	// in [TxnPropagatorConfig]. Tokens without "iss" are refused, though the
	// draft lets their minters leave it out.
	Issuer string
	// Keys finds the minting keys, usually at the key set URL of the gateway. It
	// must not be the source of anybody's access tokens. Where several programs
	// mint with keys of their own, [JoinKeys] makes one source of theirs.
	Keys KeySource
	// Algorithms are those that tokens may be signed with; nil means EdDSA,
	// ES256 and RS256. Whoever lists HS256 lets every verifier mint.
	Algorithms []Algorithm
	// AcceptOlderDrafts also reads tokens as drafts before 09 had them: "purp"
	// for "scope", "azd" for "tctx", "req_wl" within "rctx", and the type
	// "txn_token".
	AcceptOlderDrafts bool
	// MaxLifetime refuses tokens that were minted for longer: at least 1 s;
	// zero means [MaxTxnLifetime], which is also the most.
	MaxLifetime time.Duration
	// Leeway is as in [VerifierConfig]. It applies to the token; a caller's effective
	// end has its leeway in it already.
	Leeway time.Duration
	// Revocations, if not nil, is asked about the caller's own credential, whose token
	// ID and session travel with the caller. Callers without a token ID are taken: those
	// can be revoked only by their session or subject.
	Revocations Revocations
	// Cache bounds the memory of verified tokens; zero is a good default.
	Cache CacheConfig
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// TxnAuthenticator knows callers by the Transaction Token that the edge of the
// trust domain minted for them (draft-ietf-oauth-transaction-tokens-09 section
// 12.2). It is safe for concurrent use.
//
// The principal has [authctx.Signed] provenance and every attribute that it was
// minted with. Its effective end is that of the caller's own credential, as far
// as the token knows it: the token says for how long it may be presented, not
// for how long the caller may go on. The token must accompany calls made for the
// caller; it is in [authctx.Result].Forward, and [TxnForwarder] sends it. So a
// stream lasts as long as its caller, but its handler can make calls only until the
// token ends. Behind servers that reuse the memory of a request, what is forwarded
// is good only while the request lasts, see there.
//
// Two TxnAuthenticators in one [authctx.OneOf] refuse each other's tokens, since
// each takes whatever is in the field for its own: several minters are for one
// TxnAuthenticator with [JoinKeys].
//
// A Transaction Token authenticates the caller and not the peer that sent it
// (section 13.12), and whoever has seen it may send it again until it expires.
//
// A nil or zero TxnAuthenticator lets nobody in: where one is configured it counts as
// missing, and its Authenticate panics at a token.
type TxnAuthenticator struct{ verifier *Verifier }

// NewTxnAuthenticator returns an authenticator for cfg, or an error that names
// every setting that is missing or wrong.
func NewTxnAuthenticator(cfg TxnAuthenticatorConfig) (*TxnAuthenticator, error) {
	const label = "transaction token authenticator"
	var problems problems
	if !checkTrustDomain(cfg.TrustDomain, &problems) {
		cfg.TrustDomain = "-" // said once; the rest is judged all the same
	}
	if cfg.MaxLifetime = cmp.Or(cfg.MaxLifetime, MaxTxnLifetime); cfg.MaxLifetime > MaxTxnLifetime {
		problems.add("MaxLifetime must be at most %v", MaxTxnLifetime)
	}
	types := ownTypes(txnType)
	if cfg.AcceptOlderDrafts {
		types = ownTypes(txnType, txnTypeOlder)
	}
	verifier, err := newVouchedVerifier(VerifierConfig{
		Issuer: cmp.Or(cfg.Issuer, cfg.TrustDomain), Audiences: []string{cfg.TrustDomain}, Algorithms: cfg.Algorithms, Keys: cfg.Keys,
		Types: types, Leeway: cfg.Leeway, MaxLifetime: cfg.MaxLifetime,
		Revocations: cfg.Revocations, Cache: cfg.Cache, Now: cfg.Now,
	}, label, txnMapping{olderDrafts: cfg.AcceptOlderDrafts})
	if err := errors.Join(problems.of(label), err); err != nil {
		return nil, err
	}
	return &TxnAuthenticator{verifier}, nil
}

// txnAlgorithms are those that tokens of a trust domain are signed with unless
// somebody says otherwise.
func txnAlgorithms() []Algorithm { return []Algorithm{EdDSA, ES256, RS256} }

// newVouchedVerifier returns a verifier for tokens in which somebody else than
// the caller's issuer says who the caller is. The token ID is that of the caller's
// credential, which may have none.
func newVouchedVerifier(cfg VerifierConfig, label string, mapping txnMapping) (*Verifier, error) {
	cfg.AllowMissingTokenID = cfg.Revocations != nil
	if cfg.Algorithms == nil {
		cfg.Algorithms = txnAlgorithms()
	}
	v, err := newVerifier(cfg, label)
	if err != nil {
		return nil, err
	}
	v.policy.parser, v.policy.vouched = claimsParser(mapping.names()), &mapping
	return v, nil
}

// Fields returns txn-token.
func (t *TxnAuthenticator) Fields() authctx.FieldSet { return txnFields }

// Authenticate verifies the one token of the request. Two of them are
// [authctx.InvalidRequest] (section 12.1), and so is a token beside plain
// identity fields: one of the two would be somebody else's word.
func (t *TxnAuthenticator) Authenticate(ctx context.Context, r *authctx.Request) (authctx.Result, error) {
	values := r.Values(authctx.TxnTokenField)
	switch {
	case len(values) == 0:
		return authctx.Result{}, authctx.NoCredentials
	case len(values) > 1 || strings.Contains(values[0], ","):
		return authctx.Result{}, errTwoTokens
	case besidePlainFields(r) || len(r.Values(DeferredField)) > 0:
		return authctx.Result{}, errTwoKinds
	}
	found, cached, err := t.verifier.front.verify(ctx, t.verifier.policy, values[0])
	if err != nil {
		return authctx.Result{}, err
	}
	if !found.token.Confirmation.IsZero() {
		return authctx.Result{}, found.policy.about(errBound)
	}
	return authctx.Result{
		Principal:    found.token.Principal,
		Forward:      []authctx.Field{{Name: authctx.TxnTokenField, Value: values[0]}},
		ForwardUntil: found.ends,
		Recheck:      found.token.Recheck,
		Cached:       cached,
	}, nil
}

var (
	errTwoKinds   = refusal(authctx.InvalidRequest, "a signed caller beside one of another kind")
	plainPrefixes = authctx.FieldSet{Prefixes: authctx.PlainLayout().Fields().Prefixes}
	plainNames    = authctx.FieldSet{Names: authctx.PlainLayout().Fields().Names}
)

// besidePlainFields reports whether the request has a plain identity field that
// means something. Others of the prefix, such as X-User-Agent, do not.
func besidePlainFields(r *authctx.Request) bool {
	for name := range r.Fields.Names() {
		if plainPrefixes.Owns(name) && plainNames.Owns(name) && len(r.Values(name)) > 0 {
			return true
		}
	}
	return false
}
