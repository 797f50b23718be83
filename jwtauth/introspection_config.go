package jwtauth

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/authctx/authctx/internal/absent"
)

// IntrospectorConfig says whom to ask about opaque tokens and what the answer
// must be. Endpoint, ClientID, ClientSecret, Issuer, and Audiences, ClientIDs or
// InsecureAnyAudience are required; everything else has a default.
//
// Printing it shows no secret, with the exceptions that
// [SigningKeyConfig.Format] names.
type IntrospectorConfig struct {
	// Endpoint is the introspection endpoint (RFC 7662 section 2): https, or
	// http to a loopback address.
	Endpoint string
	// ClientID and ClientSecret are the credentials of this service there, sent
	// by HTTP Basic authentication (RFC 6749 section 2.3.1). They hold no control
	// characters (appendix A), such as the end of a line in a file.
	ClientID     string
	ClientSecret string `json:"-"`

	// Issuer is who the endpoint speaks for. An answer that names another issuer
	// is refused, one that names none is of this one. It has no [TenantPlaceholder].
	Issuer string
	// IssuerAliases are other names that an answer may have for Issuer, as in
	// [VerifierConfig].
	IssuerAliases []string
	// Audiences and ClientIDs are as in [VerifierConfig]: an answer must name an
	// audience of ours, or, for endpoints that leave "aud" out or empty, a client.
	//
	// Refresh tokens: some servers call them active too, and mark them only by
	// leaving "aud" and "token_type" out of the answer. With ClientIDs and no
	// Audiences, or with InsecureAnyAudience, such a refresh token is taken for an
	// access token, unless Claims requires "token_type": add {Path:
	// []string{"token_type"}, Present: true} to Require of its configuration.
	// Servers that use the handler of github.com/ory/fosite as it is answer for a
	// refresh token exactly as for its access token. No setting here tells these
	// apart: whoever holds a refresh token can call this service with it.
	Audiences, ClientIDs []string
	// InsecureAnyAudience takes tokens that were issued for any other service
	// of the same issuer, as far as the endpoint tells us about them, refresh
	// tokens as said at Audiences included. Whoever receives a token can then use
	// it here. It excludes Audiences and ClientIDs.
	InsecureAnyAudience bool
	// Claims says how the answer becomes a principal; nil is as in [VerifierConfig].
	// [SPIFFEClaims] are for JWTs.
	Claims *ClaimMapping
	// ClientWithoutSubject makes the client the subject of an answer that has none,
	// as of a token that a client got for itself (RFC 9068 section 2.2). Set it only
	// for endpoints that name a "sub" or "username" for the tokens of all users.
	// Many name users in another way or not at all, and their users would count as
	// the client. An answer with any sign of a user or a login is refused all the
	// same.
	ClientWithoutSubject bool

	// Leeway is as in [VerifierConfig].
	Leeway time.Duration
	// MaxTokenBytes bounds the token that is sent, as in [VerifierConfig].
	MaxTokenBytes int
	// Timeout bounds one exchange with the endpoint, and so how long a request
	// waits: at least 1 ms, 5 s when zero.
	Timeout time.Duration
	// MaxPending bounds how many tokens the endpoint is asked about at the same
	// time; 256 when zero. Requests beyond that are answered with
	// [authctx.Unavailable]. A quarter is reserved for tokens that were active when
	// the endpoint was last asked. So a flood of made-up tokens at a slow endpoint
	// keeps out only callers with new tokens; rate limits in front of this protect
	// those.
	MaxPending int
	// Cache bounds the memory of answers. Cache.MaxAge is the longest that a
	// token counts after the endpoint has stopped vouching for it; here it is
	// 30 s when zero. No answer is remembered beyond the token's "exp" plus
	// Leeway, because some servers move that. That a token is not good is
	// remembered for at most 5 s, in a quarter of the room.
	Cache CacheConfig
	// Revocations is as in [VerifierConfig]. Tokens without an ID are taken. Of a token
	// for which the endpoint names no "exp", [authctx.Principal.Expires] is the
	// end of its answer and says nothing of how long it must stay revoked, see
	// [MemoryRevocations].
	Revocations Revocations
	// Now is the clock; nil means [time.Now].
	Now func() time.Time

	// Transport makes the requests. Nil uses one of its own, with timeouts,
	// through the proxy that the environment names. Redirects are not followed
	// and cookies not kept either way.
	Transport http.RoundTripper
	// InsecureAllowHTTP permits http:// to addresses that are not loopback.
	// Whoever is on the network between here and there can then read tokens and
	// our secret, and invent callers.
	InsecureAllowHTTP bool
}

const (
	defaultIntrospectionTimeout = 5 * time.Second
	defaultIntrospectionAge     = 30 * time.Second
	defaultMaxPending           = 256
	refusedAge                  = 5 * time.Second
	refusedPart                 = 4 // a fraction of the cache: a quarter
)

// String names the endpoint and shows no secret.
func (c IntrospectorConfig) String() string {
	return fmt.Sprintf("introspection of tokens of %q at %q", c.Issuer, shownURL(c.Endpoint))
}

// Format keeps verbs as quiet as String.
func (c IntrospectorConfig) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// validate reports everything that is missing or contradictory.
func (c *IntrospectorConfig) validate() error {
	var problems problems
	bad := problems.add
	c.validateEndpoint(&problems)
	c.validateNames(&problems)
	if c.Cache.MaxBytes > 0 && c.Cache.MaxBytes < 4*leastCacheBytes {
		bad("Cache.MaxBytes must be at least %d, a quarter of which is for tokens that are not good", 4*leastCacheBytes)
	}
	problems.leeway(c.Leeway)
	if c.Claims.unmade() {
		bad(unmadeClaims)
	} else if c.Claims != nil && c.Claims.cfg.spiffe {
		bad("Claims are those of SPIFFE, whose tokens are JWTs and for a Verifier")
	}
	problems.hollow("Revocations", c.Revocations)
	if absent.Hollow(c.Transport) {
		bad("Transport holds a nil pointer; leave it out for one of our own")
	}
	problems.atLeast(time.Millisecond, "Timeout", c.Timeout)
	if c.MaxPending < 0 {
		bad("MaxPending must not be negative")
	}
	problems.tokenBytes(c.MaxTokenBytes)
	c.Cache.validate(&problems)
	return problems.of(labelFor("introspector", c.Issuer))
}

// validateEndpoint judges whom to ask, and as whom.
func (c *IntrospectorConfig) validateEndpoint(p *problems) {
	if c.Endpoint == "" {
		p.add("Endpoint is required")
	} else if _, err := parseKeyURL(c.Endpoint, c.InsecureAllowHTTP); err != nil {
		p.add("Endpoint: %w", err)
	}
	if c.ClientID == "" {
		p.add("ClientID is required")
	}
	p.exact("ClientID", c.ClientID)
	switch {
	case c.ClientSecret == "":
		p.add("ClientSecret is required")
	case strings.ContainsFunc(c.ClientSecret, unicode.IsControl):
		p.add("ClientSecret must not hold control characters")
	}
}

// validateNames judges who may have issued a token, and for whom.
func (c *IntrospectorConfig) validateNames(p *problems) {
	names := VerifierConfig{Issuer: c.Issuer, IssuerAliases: c.IssuerAliases}
	switch {
	case c.Issuer == "":
		p.add("Issuer is required")
	case strings.Contains(c.Issuer, TenantPlaceholder):
		p.add("Issuer has %s, and an endpoint speaks for one issuer", TenantPlaceholder)
	}
	if p.oneIssuer(names.spellings()) {
		names.validateAliases(p)
		p.exact("Issuer", c.Issuer)
	}
	switch named := len(c.Audiences) > 0 || len(c.ClientIDs) > 0; {
	case !named && !c.InsecureAnyAudience:
		p.add("Audiences is required; ClientIDs replaces it for endpoints that leave aud out")
	case named && c.InsecureAnyAudience:
		p.add("InsecureAnyAudience contradicts Audiences and ClientIDs")
	}
	p.names("Audiences", c.Audiences)
	p.names("ClientIDs", c.ClientIDs)
}

// policy returns what an answer must be. It shares no slice with the caller.
func (c *IntrospectorConfig) policy() *issuerPolicy {
	cfg := VerifierConfig{
		Issuer: c.Issuer, IssuerAliases: c.IssuerAliases, Audiences: c.Audiences, ClientIDs: c.ClientIDs,
		Claims: c.Claims, Leeway: c.Leeway, MaxTokenBytes: c.MaxTokenBytes,
		Revocations: c.Revocations, AllowMissingTokenID: true, Cache: c.Cache, Now: c.Now,
	}
	cfg.Cache.MaxAge = cmp.Or(cfg.Cache.MaxAge, defaultIntrospectionAge)
	policy := completePolicy(cfg, introspectedClaims[:]...)
	policy.anyAudience = c.InsecureAnyAudience
	if c.ClientWithoutSubject {
		claims := *policy.Claims
		claims.cfg.clientAlone = true
		policy.Claims = &claims
	}
	return policy
}

// introspectedClaims are what an answer is judged by besides claims.
var introspectedClaims = [...]string{"active", "token_type", "token_use", "token_usage", "typ", "username"}
