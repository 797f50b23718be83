package jwtauth

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/spiffeid"
)

// VerifierConfig says which tokens of one issuer a [Verifier] takes. Issuer, Algorithms,
// Keys, and Audiences or ClientIDs are required; nothing that is left empty
// means that something is not checked.
type VerifierConfig struct {
	// Issuer is compared with "iss" byte by byte (RFC 7519 section 4.1.1). Where
	// it contains [TenantPlaceholder], Tenants is required too.
	Issuer string
	// IssuerAliases are other spellings in which this same issuer writes "iss", as
	// Google writes "accounts.google.com" for "https://accounts.google.com". They are
	// compared like Issuer; keys, audiences and all else are the same. Callers and
	// actors are of Issuer whichever is written, so that revocations, rules and what
	// is sent on know one caller; the claims of a principal are left as they came.
	// [Key.Issuer] and the issuer's metadata must name Issuer (RFC 8414 section 3.3).
	//
	// Two issuers that publish one key set, as all projects of Firebase do, are not
	// spellings of one: a subject of either would be taken for that of the other. They
	// need a [MultiVerifier]. Nil means that there is one spelling; a templated Issuer
	// and one of SPIFFE can have no other.
	IssuerAliases []string
	// Tenants says which tenants of a templated Issuer are let in.
	Tenants TenantFunc
	// Audiences are who this service is to the issuer: "aud" must name at least
	// one of them (RFC 7519 section 4.1.3).
	Audiences []string
	// ClientIDs are clients whose tokens are taken, for providers that put no
	// "aud" into access tokens, such as AWS Cognito, or an empty one. Without
	// Audiences, a token that names an audience nevertheless is refused; with
	// them, both must hold.
	ClientIDs []string
	// Algorithms are those that tokens may be signed with. A key whose source
	// names no algorithm is bound to the first one that fits its type.
	Algorithms []Algorithm
	// Keys finds the issuer's keys. It must serve no other issuer: [RemoteKeys] that were
	// made for another one are refused. It is not asked to look for the key of a token
	// that names another issuer. [JoinKeys] makes one source of several.
	Keys KeySource

	// Types says which kinds of token are taken; zero takes access tokens.
	Types TypePolicy
	// Claims says how claims become a principal. Nil reads what RFC 9068 and
	// OpenID Connect define.
	Claims *ClaimMapping
	// Leeway is how far clocks may differ, in whole seconds: 30 s when zero, at
	// most [MaxLeeway]. [NoLeeway] stands for none. A principal ends at "exp"
	// plus Leeway.
	Leeway time.Duration
	// MaxLifetime refuses tokens that live longer, counted from "iat", which is
	// required then: at least 1 s. Zero leaves the lifetime to the issuer.
	MaxLifetime time.Duration
	// MaxTokenBytes bounds the token before anything looks at it: 256 bytes to
	// 1 MiB, 16 KiB when zero. Its claims may hold 8,192 names and values in all,
	// however large the token may be. Most proxies in front refuse a field of more
	// than 8 KiB unless they are told otherwise, such as nginx by
	// large_client_header_buffers, and a server of Go takes 1 MiB in all.
	MaxTokenBytes int

	// Revocations, when it is not nil, is asked on every request, for tokens
	// that were verified before too. Tokens without "jti" are refused then, see
	// AllowMissingTokenID.
	Revocations Revocations
	// AllowMissingTokenID takes tokens without "jti" although they could not be
	// revoked one by one. It needs Revocations.
	AllowMissingTokenID bool
	// Cache bounds the memory of verified tokens; zero is a good default.
	Cache CacheConfig
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

const (
	// NoLeeway in [VerifierConfig.Leeway] trusts clocks to the second.
	NoLeeway time.Duration = -1
	// MaxLeeway is the most that [VerifierConfig.Leeway] may be.
	MaxLeeway = 5 * time.Minute

	defaultLeeway        = 30 * time.Second
	defaultMaxTokenBytes = 16 << 10
	leastMaxTokenBytes   = 256
	mostMaxTokenBytes    = 1 << 20
)

// validate returns everything that is missing or contradictory.
func (c *VerifierConfig) validate() (p problems) {
	bad := p.add
	c.validateNames(&p)
	if absent.Unmade(c.Keys) {
		bad("Keys is required")
	} else if other := c.keysOfAnother(); other != "" {
		bad("Keys are those of the issuer %.200q, and Issuer is %.200q: the two must be the same to the byte. "+
			"Where they are spellings of one issuer, the one that the metadata name is Issuer, and IssuerAliases has the other. Where this issuer's keys are published elsewhere, RemoteKeysConfig has a JWKSURL for them", other, c.Issuer)
	} else if i := slices.IndexFunc(c.Algorithms, Algorithm.symmetric); i >= 0 && neverSecret(c.Keys) {
		bad("Algorithms has %s, and Keys of a key set are never secrets; NewStaticKeys takes one that NewHMACKey made", c.Algorithms[i])
	}
	if c.Claims.unmade() {
		bad(unmadeClaims)
	}
	p.leeway(c.Leeway)
	p.atLeast(time.Second, "MaxLifetime", c.MaxLifetime)
	p.tokenBytes(c.MaxTokenBytes)
	p.hollow("Revocations", c.Revocations)
	if c.AllowMissingTokenID && c.Revocations == nil {
		bad("AllowMissingTokenID means nothing without Revocations")
	}
	c.Types.validate(&p)
	if c.Types.kind == strictAccessTokens && len(c.Audiences) == 0 {
		bad("Types: RFC9068Types needs Audiences, since such a token names one")
	}
	c.Cache.validate(&p)
	return p
}

// keysOfAnother returns the issuer that Keys were discovered for, if that is
// another than Issuer: whoever signs there could name Issuer in a token. It cannot
// tell for a template, for an Issuer that is no address, as of a trust domain, or
// where MetadataIssuer is set.
func (c *VerifierConfig) keysOfAnother() string {
	if strings.Contains(c.Issuer, TenantPlaceholder) || holdsUser(c.Issuer) ||
		!strings.HasPrefix(c.Issuer, "https://") && !strings.HasPrefix(c.Issuer, "http://") {
		return ""
	}
	for _, origin := range keyOrigins(c.Keys) {
		keys, ok := origin.(*RemoteKeys)
		if ok && keys.cfg.MetadataIssuer == "" && keys.cfg.Issuer != "" && keys.cfg.Issuer != c.Issuer {
			return keys.cfg.Issuer
		}
	}
	return ""
}

// neverSecret reports whether no algorithm of secrets can verify with keys.
func neverSecret(keys KeySource) bool {
	switch keys := keys.(type) {
	case *RemoteKeys, *keyfuncKeys:
		return true
	case *joinedKeys:
		return !slices.ContainsFunc(keys.sources, func(k KeySource) bool { return !neverSecret(k) })
	}
	return false
}

// validateNames judges who may have issued a token, for whom and with what.
func (c *VerifierConfig) validateNames(p *problems) {
	bad := p.add
	if p.oneIssuer(c.spellings()) {
		c.validateIssuer(p)
	}
	if len(c.Audiences) == 0 && len(c.ClientIDs) == 0 {
		bad("Audiences is required; ClientIDs replaces it for providers without aud")
	}
	p.names("Audiences", c.Audiences)
	p.names("ClientIDs", c.ClientIDs)
	if len(c.Algorithms) == 0 {
		bad("Algorithms is required")
	}
	for _, a := range c.Algorithms {
		if _, err := ParseAlgorithm(string(a)); err != nil {
			bad("Algorithms has %q, which is not supported", a)
		}
	}
}

func (c *VerifierConfig) validateIssuer(p *problems) {
	bad := p.add
	switch templates := strings.Count(c.Issuer, TenantPlaceholder); {
	case c.Issuer == "":
		bad("Issuer is required")
	case templates > 1:
		bad("Issuer contains %s twice", TenantPlaceholder)
	case templates == 1 && c.Tenants == nil:
		bad("Tenants is required because Issuer contains %s", TenantPlaceholder)
	case templates == 0 && c.Tenants != nil:
		bad("Tenants means nothing because Issuer does not contain %s", TenantPlaceholder)
	}
	c.validateAliases(p)
	if c.Claims != nil && c.Claims.cfg.spiffe {
		if _, path, ok := spiffeid.Split(c.Issuer); !ok || path != "" {
			bad("Issuer must be a trust domain, such as spiffe://example.org, because Claims are those of SPIFFE; it is %.200q", c.Issuer)
		}
	}
	p.exact("Issuer", c.Issuer)
}

// withDefaults returns a copy that shares no slice with the caller and leaves
// nothing to be guessed later.
func (c VerifierConfig) withDefaults() VerifierConfig {
	c.Audiences, c.ClientIDs = slices.Clone(c.Audiences), slices.Clone(c.ClientIDs)
	c.IssuerAliases, c.Algorithms = slices.Clone(c.IssuerAliases), slices.Clone(c.Algorithms)
	for i, a := range c.Algorithms {
		c.Algorithms[i] = a.short()
	}
	c.Leeway = leewayOf(c.Leeway)
	c.MaxTokenBytes = cmp.Or(c.MaxTokenBytes, defaultMaxTokenBytes)
	c.Now = clockOf(c.Now)
	c.Cache = c.Cache.withDefaults()
	if c.Claims == nil {
		c.Claims = RFC9068Claims()
	}
	return c
}
