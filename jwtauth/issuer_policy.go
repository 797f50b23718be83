package jwtauth

import (
	"context"
	"slices"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/moment"
	"github.com/authctx/authctx/internal/strictjson"
)

// issuerPolicy is a validated [VerifierConfig]: what one issuer's tokens must be.
type issuerPolicy struct {
	VerifierConfig
	issuer issuerName
	parser *strictjson.Parser
	holder keyHolder // Keys, if they are of this package
	until  time.Time // when a cache must forget what was verified, by either clock; zero sets no end
	answer *resolved // to which this belongs; nil for a Verifier of its own

	anyAudience bool // IntrospectorConfig.InsecureAnyAudience

	// Refusals that say what was expected, for operators.
	accepted                                           accepted
	wrongType, wrongIssuer, wrongAudience, wrongClient authctx.Error

	// vouched reads the claims of tokens in which somebody else than the caller's
	// issuer says who the caller is; nil where they are the caller's own.
	vouched *txnMapping
}

// newIssuerPolicy validates cfg; label is what its errors are about.
func newIssuerPolicy(cfg VerifierConfig, label string) (*issuerPolicy, error) {
	if err := cfg.validate().of(label); err != nil {
		return nil, err
	}
	return completePolicy(cfg), nil
}

// completePolicy is newIssuerPolicy for what is valid; names are claims that
// count besides those of cfg.
func completePolicy(cfg VerifierConfig, names ...string) *issuerPolicy {
	cfg = cfg.withDefaults()
	p := &issuerPolicy{
		VerifierConfig: cfg,
		issuer:         newIssuerName(cfg.Issuer, cfg.Tenants),
		parser:         claimsParser(slices.Concat(names, cfg.Claims.names())),
		holder:         holderOf(cfg.Keys),
	}
	p.accepted = accepted{cfg.Algorithms, p.expected(authctx.InvalidToken, notAccepted, cfg.Algorithms)}
	p.wrongType = p.expected(authctx.WrongType, "typ is none of the types taken here: %v", cfg.Types)
	p.wrongIssuer = p.expected(authctx.WrongIssuer, "iss is none of %q", cfg.spellings())
	p.wrongAudience = p.expected(authctx.WrongAudience, "aud names none of %q", cfg.Audiences)
	p.wrongClient = p.expected(authctx.WrongAudience, "token was issued to a client that is none of %q", cfg.ClientIDs)
	return p
}

// ended reports whether the answer that p belongs to, if any, is not kept any
// more.
func (p *issuerPolicy) ended() bool { return p.answer != nil && p.answer.ended.Load() }

// over reports whether p is not to be believed any more.
func (p *issuerPolicy) over(now time.Time) bool {
	return p.ended() || !p.until.IsZero() && moment.Reached(p.until, now)
}

func (p *issuerPolicy) revoked(ctx context.Context, principal authctx.Principal) error {
	return p.about(checkRevoked(ctx, p.Revocations, principal))
}

// checkHeader judges what a header says before its key is looked for.
func (p *issuerPolicy) checkHeader(h *header) error {
	if err := p.accepted.check(h.algorithm); err != nil {
		return err
	}
	if !p.Types.fits(h.mediaType) {
		return &p.wrongType
	}
	return nil
}

// checkNamed refuses a token whose key would have to be looked for and that does
// not name this issuer: what strangers' tokens call their keys is nothing to ask
// our issuer about. It reads who issued the token and judges nothing else, and
// no signature could save what it refuses: claims that cannot be read included.
func (p *issuerPolicy) checkNamed(h *header, s *scratch) error {
	if p.holder != nil && p.holder.holds(h.keyID) {
		return nil
	}
	if s.parseClaims(p.parser) != nil {
		return errClaimsUnsigned
	}
	iss, ok := p.named(&s.doc)
	if !ok {
		return p.Claims.errNoIssuer()
	}
	if _, ok := p.issuer.match(iss); !ok {
		return &p.wrongIssuer
	}
	return nil
}

// findKey returns the key that a header names. What the header says chooses
// among the issuer's keys and proves nothing. If something else was said of the
// key since the source answered, the source has another [Key] for it by now.
func (p *issuerPolicy) findKey(ctx context.Context, h *header) (*Key, error) {
	key, err := p.askForKey(ctx, h)
	if err == error(errKeyRestated) {
		key, err = p.askForKey(ctx, h)
	}
	return key, err
}

func (p *issuerPolicy) askForKey(ctx context.Context, h *header) (*Key, error) {
	key, err := askSource(ctx, p.Keys, h.keyID, h.algorithm)
	switch {
	case err != nil:
		return nil, unavailable("keys", err, authctx.UnknownKey)
	case key == nil:
		return nil, errNoKey
	case h.keyID != "" && key.id != "" && key.id != h.keyID:
		return nil, errWrongKey
	case p.algorithmOf(key) != h.algorithm:
		return nil, errKeyBound
	}
	return key, key.stands()
}

// algorithmOf returns the one algorithm of a key (RFC 8725 section 3.1), empty
// when the configuration has none for it.
func (p *issuerPolicy) algorithmOf(key *Key) Algorithm {
	if key.algorithm != "" {
		return key.algorithm
	}
	for _, a := range p.Algorithms {
		if a.fits(key.material) {
			return a
		}
	}
	return ""
}

// verify checks a decoded token with the key that findKey returned: first the
// signature, then the claims, so that a token that is both forged and expired is
// forged.
func (p *issuerPolicy) verify(c compact, h *header, key *Key, s *scratch, now time.Time) (*verified, error) {
	if !key.verifies(h.algorithm, c.signingInput(), s.signature) {
		return nil, errSignature
	}
	if err := s.parseClaims(p.parser); err != nil {
		return nil, err
	}
	iss, err := p.checkIssuer(key, &s.doc)
	if err != nil {
		return nil, err
	}
	if err := p.Types.checkClaims(h.mediaType, &s.doc); err != nil {
		return nil, err
	}
	life, err := p.checkLifetime(s.doc.Get("exp"), s.doc.Get("nbf"), s.doc.Get("iat"), now)
	if err != nil {
		return nil, err
	}
	confirmation, err := readConfirmation(s.doc.Get("cnf"))
	if err != nil {
		return nil, err
	}
	principal, err := p.principal(iss, life, s)
	if err != nil {
		return nil, err
	}
	if principal.ExpiredAt(now) {
		return nil, errExpired // before the token that vouches for it
	}
	v := &verified{policy: p, key: key, size: len(s.payload) + s.listBytes + verifiedOverhead, until: now.Add(p.Cache.MaxAge), ends: life.end}
	v.tenant, _ = p.issuer.tenant(principal.Issuer())
	v.endBy(p.until)
	v.endBy(life.end)
	v.endBy(principal.Expires())
	v.token = VerifiedToken{Principal: principal, Confirmation: confirmation, Recheck: v.recheck}
	return v, nil
}

// checkIssuer returns who issued the claims, under one name, if that is this issuer
// and the key may serve it.
func (p *issuerPolicy) checkIssuer(key *Key, doc *strictjson.Doc) (string, error) {
	iss, ok := p.named(doc)
	if !ok {
		return "", p.Claims.errNoIssuer()
	}
	switch err := p.issuer.check(iss, doc); {
	case err == errIssuer:
		return "", &p.wrongIssuer
	case err != nil:
		return "", err
	}
	if !p.issuer.serves(key.issuer, iss) {
		return "", errKeyIssuer
	}
	return iss, nil
}

// principal makes the caller of the claims and asks what only it can answer.
func (p *issuerPolicy) principal(iss string, life lifetime, s *scratch) (authctx.Principal, error) {
	var attrs authctx.Attributes
	if err := p.read(&attrs, s, iss, life); err != nil {
		return authctx.Principal{}, err
	}
	if err := p.checkAudience(s.doc.Get("aud"), attrs.ClientID); err != nil {
		return authctx.Principal{}, err
	}
	attrs.Claims, s.listBytes = s.doc.Root().Raw(), listBytes(&attrs)
	switch {
	case p.Types.kind == strictAccessTokens &&
		(attrs.Subject == "" || attrs.ClientID == "" || attrs.TokenID == "" || life.issued.IsZero()):
		return authctx.Principal{}, errRFC9068
	case p.Revocations != nil && attrs.TokenID == "" && !p.AllowMissingTokenID:
		return authctx.Principal{}, errNoTokenID
	}
	principal, err := authctx.New(attrs)
	if err != nil {
		return authctx.Principal{}, p.refusal(authctx.InvalidToken, err)
	}
	return principal, nil
}

// read fills in what verified claims say.
func (p *issuerPolicy) read(a *authctx.Attributes, s *scratch, iss string, life lifetime) error {
	if p.vouched != nil {
		return p.vouched.attributes(a, &s.doc, iss, life, &s.lists)
	}
	a.Provenance, a.IssuedAt, a.Expires = authctx.Verified, life.issued, life.end
	err := p.Claims.attributes(a, &s.doc, iss, &s.lists)
	p.canonicalActors(a)
	return err
}

// checkAudience judges for whom the token was issued.
func (p *issuerPolicy) checkAudience(aud strictjson.Value, clientID string) error {
	if len(p.ClientIDs) > 0 && (clientID == "" || !slices.Contains(p.ClientIDs, clientID)) {
		return &p.wrongClient
	}
	switch missing := namesNobody(aud); {
	case p.anyAudience:
		return nil
	case len(p.Audiences) == 0 && missing:
		return nil // the client ID stands in for it
	case len(p.Audiences) == 0:
		return errAudienceSet
	case missing:
		return errNoAudience
	}
	if text, ok := aud.Text(); ok {
		if !slices.Contains(p.Audiences, text) {
			return &p.wrongAudience
		}
		return nil
	}
	if aud.Kind() != strictjson.Array {
		return errAudJSON
	}
	found := false
	for v := range aud.Elements() {
		text, ok := v.Text()
		if !ok {
			return errAudJSON
		}
		found = found || slices.Contains(p.Audiences, text)
	}
	if !found {
		return &p.wrongAudience
	}
	return nil
}

// namesNobody reports whether aud is not there, null or an empty list, as Ory
// Hydra writes it for clients that ask for no audience.
func namesNobody(aud strictjson.Value) bool {
	for range aud.Elements() {
		return false
	}
	return !aud.Exists() || aud.Kind() == strictjson.Array
}
