package jwtauth

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
)

// DPoPConfig configures [NewDPoP]. ExternalURL is required.
type DPoPConfig struct {
	// ExternalURL is where clients reach this service: scheme, host and, if
	// something in front removes it, the beginning of the path, such as
	// "https://api.example.com/v1". A proof names the URL that the client asked
	// for, and neither the Host field nor X-Forwarded-Host is a witness to that.
	// It must be https; http is for loopback addresses.
	ExternalURL string
	// Algorithms are those that proofs may be signed with; ES256 and EdDSA when
	// empty. HMAC is none of them.
	Algorithms []Algorithm
	// MaxAge is how long after it was made a proof is good: between 1 s and
	// [MaxProofAge], 1 minute when zero.
	MaxAge time.Duration
	// Leeway is how far the client's clock may differ, in either direction: whole
	// seconds, 30 s when zero, at most [MaxLeeway]. [NoLeeway] stands for none.
	Leeway time.Duration

	// RequireNonce demands a nonce of this service in every proof (RFC 9449
	// section 9), so that none can be made in advance. It costs clients a
	// second request at first and whenever they have paused.
	RequireNonce bool
	// NonceSecret is what nonces are made of: at least 32 random bytes, copied.
	// Replicas that share it take one another's nonces. When empty, this
	// process makes up its own.
	NonceSecret []byte `json:"-"`
	// NonceLife is the longest that a nonce is good: between 2 s and 1 hour, 5
	// minutes when zero. There is a new one every half of it, which clients are
	// told in the answers to requests with the old one. Neither NonceLife nor
	// NonceSecret may be set without RequireNonce.
	NonceLife time.Duration

	// Replays remembers which proofs were used. Nil remembers in this process,
	// so that each replica lets a proof pass once.
	Replays ReplayStore
	// CertificateProxies is as in [BearerOptions].
	CertificateProxies authctx.Trust
	// Shape is as in [BearerOptions].
	Shape TokenShape
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

const (
	// MaxProofAge is the most that [DPoPConfig.MaxAge] may be.
	MaxProofAge = 10 * time.Minute

	defaultProofAge  = time.Minute
	defaultNonceLife = 5 * time.Minute
	maxNonceLife     = time.Hour
	minNonceSecret   = 32
)

// Format implements [fmt.Formatter], so that no verb prints NonceSecret, with the
// exceptions that [SigningKeyConfig.Format] names.
func (c DPoPConfig) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// String is what all verbs print, for printers that ask for nothing else.
func (c DPoPConfig) String() string { return fmt.Sprintf("DPoP at %q", shownURL(c.ExternalURL)) }

// validate reports everything that is missing or contradictory.
func (c *DPoPConfig) validate(v TokenVerifier) error {
	var problems problems
	bad := problems.add
	if absent.Unmade(v) {
		bad("a TokenVerifier is required")
	}
	if _, err := parseExternalURL(c.ExternalURL); err != nil {
		bad("%w", err)
	}
	for _, a := range c.Algorithms {
		if known, err := ParseAlgorithm(string(a)); err != nil || known.symmetric() {
			bad("Algorithms has %q, which no proof may be signed with", a)
		}
	}
	if c.MaxAge != 0 && (c.MaxAge < time.Second || c.MaxAge > MaxProofAge) {
		bad("MaxAge must be between 1 s and %v", MaxProofAge)
	}
	problems.leeway(c.Leeway)
	if absent.Hollow(c.Replays) {
		bad("Replays holds a nil pointer; leave it out to remember in this process")
	}
	problems.hollow("CertificateProxies", c.CertificateProxies)
	if c.Shape > OpaqueShape {
		bad("Shape is unknown")
	}
	c.validateNonces(&problems)
	return problems.of("DPoP")
}

func (c *DPoPConfig) validateNonces(p *problems) {
	switch {
	case !c.RequireNonce && (len(c.NonceSecret) > 0 || c.NonceLife != 0):
		p.add("NonceSecret and NonceLife mean nothing without RequireNonce")
	case len(c.NonceSecret) > 0 && len(c.NonceSecret) < minNonceSecret:
		p.add("NonceSecret must have at least %d bytes", minNonceSecret)
	case c.NonceLife != 0 && (c.NonceLife < 2*time.Second || c.NonceLife > maxNonceLife):
		p.add("NonceLife must be between 2 s and %v", maxNonceLife)
	}
}

// challenge names the scheme and what proofs may be signed with (RFC 9449 section
// 7.1).
func (c *DPoPConfig) challenge() string {
	names := make([]string, len(c.Algorithms))
	for i, a := range c.Algorithms {
		names[i] = string(a)
	}
	return dpopScheme + ` algs="` + strings.Join(names, " ") + `"`
}

// withDefaults returns a copy that shares no slice with the caller and leaves
// nothing to be guessed later.
func (c DPoPConfig) withDefaults() DPoPConfig {
	c.Algorithms, c.NonceSecret = slices.Clone(c.Algorithms), slices.Clone(c.NonceSecret)
	if len(c.Algorithms) == 0 {
		c.Algorithms = []Algorithm{ES256, EdDSA}
	}
	for i, a := range c.Algorithms {
		c.Algorithms[i] = a.short()
	}
	c.MaxAge = cmp.Or(c.MaxAge, defaultProofAge)
	c.NonceLife = cmp.Or(c.NonceLife, defaultNonceLife)
	c.Leeway = leewayOf(c.Leeway)
	c.Now = clockOf(c.Now)
	if c.Replays == nil {
		c.Replays = &MemoryReplayStore{Now: c.Now}
	}
	return c
}
