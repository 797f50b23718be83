package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// tokens is which tokens of clients are good, and how that is found out.
type tokens struct {
	issuers      program.Texts
	audiences    program.Texts
	jwks         program.Texts
	algorithms   program.List
	types        program.List
	claims       program.Once
	leeway       time.Duration
	keysRefresh  time.Duration
	keysCoolDown time.Duration
	introspect   introspection
	externalURL  program.Once
	proofNonce   bool
	resource     program.Once
	scopes       program.List
	nonceSecret  []byte // of every reader of proofs, nil without nonces

	keys    []*jwtauth.RemoteKeys
	closing []io.Closer
}

func (t *tokens) flags(fs *flag.FlagSet) {
	fs.Var(&t.issuers, "issuer", "the `URL` of the identity provider, as \"iss\" has it (required);\n"+
		"repeat it for several")
	fs.Var(&t.audiences, "audience", "the `AUD` that tokens must be for (required); repeat it for several. With -claims\n"+
		"cognito or clerk, whose tokens have no \"aud\", it is the client that got them:\n"+
		"\"client_id\" of Cognito; \"azp\" of Clerk, a web origin")
	fs.Var(&t.jwks, "jwks", "the `URL` of the issuer's keys, without which they are discovered at the\n"+
		"issuer; with several issuers, repeat it in the same order. Needed for a\n"+
		"SPIFFE trust domain (-issuer spiffe://example.org -claims spiffe)")
	fs.Var(&t.algorithms, "algorithms", "the `ALGS` that tokens may be signed with, separated by commas\n"+
		"(default RS256,ES256,EdDSA)")
	fs.Var(&t.types, "typ", "take only tokens of these `TYPES` (\"typ\" in the header), separated by commas;\n"+
		"at+jwt alone is RFC 9068 with every claim that it requires. Without -typ, access\n"+
		"tokens are taken, typed or not, and ID tokens only if -claims is about a\n"+
		"provider that has nothing else")
	t.claims.Text = "rfc9068"
	fs.Var(&t.claims, "claims", "read claims as this `PRESET` says, which may have arguments, as in\n"+
		"keycloak:orders-api; one of\n"+strings.Join(jwtauth.PresetNames(), " "))
	fs.Var(&t.introspect.flag, "introspect", "ask this `URL` about tokens that are no JWT (RFC 7662), with the credentials\n"+
		"in "+clientIDVariable+" and "+clientSecretVariable+". It speaks for the first -issuer, which\n"+
		"every answer has to name (\"iss\") if there are several")
	fs.BoolVar(&t.introspect.clients, "introspect-clients", false, "with -introspect: an answer that names nobody is about the client itself; only for\n"+
		"providers that name a subject or a username whenever there is a user")
	fs.Var(&t.externalURL, "external-url", "the `URL` at which clients reach this gateway; with it, tokens that are bound\n"+
		"to a key of the client are taken with a proof of possession (DPoP)")
	fs.BoolVar(&t.proofNonce, "dpop-nonce", false, "with -external-url: demand a nonce of this gateway in every proof, so that none\n"+
		"can be made in advance")
	fs.Var(&t.resource, "resource", "the `URL` that clients ask tokens for; with it, the gateway publishes where they get\n"+
		"them and challenges lead there (RFC 9728). Tokens for it need an -audience")
	fs.Var(&t.scopes, "scopes", "with -resource: the `SCOPES` that clients ask for, separated by commas")
	program.DurationVar(fs, &t.leeway, "leeway", 30*time.Second, "how far the clocks of issuers, and of clients that make proofs (DPoP), may differ,\n"+
		"a `TIME` in whole seconds")
	program.DurationVar(fs, &t.keysRefresh, "keys-refresh", 15*time.Minute, "load keys again after this `TIME` at the latest")
	program.DurationVar(fs, &t.keysCoolDown, "keys-cooldown", 10*time.Second, "the `TIME` between loads that tokens with unknown keys may cause")
}

// check reports everything that is missing or means something else to jwtauth.
func (t *tokens) check() error {
	_, unclear := t.config()
	errs := []error{unclear, t.introspect.parse()}
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(len(t.issuers) == 0, "-issuer is required")
	distinct := slices.Compact(slices.Sorted(slices.Values(t.issuers)))
	bad(len(distinct) < len(t.issuers), "-issuer is given twice for the same issuer") // it may hold a password
	bad(len(t.audiences) == 0, "-audience is required")
	bad(len(t.jwks) > 0 && len(t.jwks) != len(t.issuers), "-jwks is given %d times and -issuer %d times", len(t.jwks), len(t.issuers))
	bad(t.proofNonce && t.externalURL.Text == "", "-dpop-nonce needs -external-url")
	bad(len(t.scopes) > 0 && t.resource.Text == "", "-scopes needs -resource")
	bad(t.resource.Text != "" && len(t.authorizationServers()) == 0, "-resource needs an -issuer of which clients get tokens")
	bad(t.leeway < 0 || t.leeway > jwtauth.MaxLeeway || t.leeway%time.Second != 0,
		"-leeway %v: want whole seconds between 0s and %v", t.leeway, jwtauth.MaxLeeway)
	bad(t.keysRefresh < 100*time.Millisecond, "-keys-refresh must be at least 100ms")
	bad(t.keysCoolDown <= 0, "-keys-cooldown must be more than 0")
	return errors.Join(errs...)
}

// authorizationServers returns the issuers of which clients get tokens: not those
// of workloads, which are no URLs (-issuer spiffe://example.org).
func (t *tokens) authorizationServers() []string {
	return slices.DeleteFunc(slices.Clone(t.issuers), func(issuer string) bool { return !strings.HasPrefix(issuer, "http") })
}

// metadata returns what is published about the API, nil for nothing.
func (t *tokens) metadata() *httpctx.ResourceMetadata {
	if t.resource.Text == "" {
		return nil
	}
	return &httpctx.ResourceMetadata{Resource: t.resource.Text, AuthorizationServers: t.authorizationServers(), Scopes: t.scopes}
}

// authenticator returns how clients are known: by an access token, which is
// verified here if it is a JWT, and asked about if it is not and there is
// somebody to ask.
func (t *tokens) authenticator() (authctx.Authenticator, error) {
	common, err := t.config()
	if err != nil {
		return nil, err
	}
	verifier, err := t.verifier(common)
	if err != nil {
		return nil, err
	}
	if t.proofNonce {
		t.nonceSecret = make([]byte, 32)
		rand.Read(t.nonceSecret)
	}
	shape := jwtauth.AnyShape
	var opaque []authctx.Authenticator
	if t.introspect.endpoint != "" {
		introspector, err := t.introspector(common)
		if err != nil {
			return nil, program.About("introspect", err)
		}
		t.closing = append(t.closing, introspector)
		shape = jwtauth.JWTShape
		if opaque, err = t.readers(common, introspector, jwtauth.OpaqueShape); err != nil {
			return nil, err
		}
	}
	signed, err := t.readers(common, verifier, shape)
	if err != nil {
		return nil, err
	}
	return authctx.OneOf(signed[0], append(signed[1:], opaque...)...), nil
}

// readers returns how tokens of a shape are read: as bearer tokens, and, where
// the gateway knows how clients call it, with a proof that they hold a key.
func (t *tokens) readers(common jwtauth.VerifierConfig, v jwtauth.TokenVerifier, shape jwtauth.TokenShape) ([]authctx.Authenticator, error) {
	bearer, err := jwtauth.NewBearer(v, &jwtauth.BearerOptions{Shape: shape})
	if err != nil || t.externalURL.Text == "" {
		return []authctx.Authenticator{bearer}, err
	}
	dpop, err := jwtauth.NewDPoP(v, jwtauth.DPoPConfig{
		ExternalURL: t.externalURL.Text, Shape: shape, Leeway: common.Leeway,
		RequireNonce: t.proofNonce, NonceSecret: t.nonceSecret,
	})
	return []authctx.Authenticator{bearer, dpop}, program.About("external-url", err)
}

// verifier returns the verifier of all issuers. Each has keys of its own, loaded
// in the background: a provider that is down does not keep the gateway from
// starting.
func (t *tokens) verifier(common jwtauth.VerifierConfig) (jwtauth.TokenVerifier, error) {
	var verifiers []*jwtauth.Verifier
	for i, issuer := range t.issuers {
		keys, err := t.newKeys(i)
		if err != nil {
			return nil, err
		}
		t.keys, t.closing = append(t.keys, keys), append(t.closing, keys)
		cfg := common
		cfg.Issuer, cfg.Keys = issuer, keys
		verifier, err := jwtauth.NewVerifier(cfg)
		if err != nil {
			return nil, err
		}
		verifiers = append(verifiers, verifier)
	}
	return jwtauth.NewMultiVerifier(verifiers[0], verifiers[1:]...)
}

// config returns what holds for every issuer.
func (t *tokens) config() (jwtauth.VerifierConfig, error) {
	cfg := jwtauth.VerifierConfig{
		Audiences: t.audiences,
		Leeway:    cmp.Or(t.leeway, jwtauth.NoLeeway),
		Types:     t.typePolicy(),
	}
	if len(t.algorithms) == 0 {
		t.algorithms = program.List{"RS256", "ES256", "EdDSA"}
	}
	var errs []error
	for _, name := range t.algorithms {
		algorithm, err := jwtauth.ParseAlgorithm(name)
		if err == nil && strings.HasPrefix(name, "HS") {
			err = fmt.Errorf("%s is for secrets, which no provider publishes", name)
		}
		cfg.Algorithms, errs = append(cfg.Algorithms, algorithm), append(errs, program.About("algorithms", err))
	}
	errs = append(errs, program.About("claims", applyPreset(&cfg, t.claims.Text, len(t.types) > 0)))
	return cfg, errors.Join(errs...)
}

// typePolicy returns what -typ says.
func (t *tokens) typePolicy() jwtauth.TypePolicy {
	switch {
	case len(t.types) == 0:
		return jwtauth.TypePolicy{} // access tokens
	case len(t.types) == 1 && strings.TrimPrefix(strings.ToLower(t.types[0]), "application/") == "at+jwt":
		return jwtauth.RFC9068Types()
	}
	return jwtauth.NamedTypes(t.types[0], t.types[1:]...)
}

// newKeys returns the keys of one issuer.
func (t *tokens) newKeys(i int) (*jwtauth.RemoteKeys, error) {
	cfg := jwtauth.RemoteKeysConfig{RefreshInterval: t.keysRefresh, CoolDown: t.keysCoolDown}
	flag := "issuer"
	if len(t.jwks) > 0 {
		flag, cfg.JWKSURL = "jwks", t.jwks[i]
	} else {
		cfg.Issuer = t.issuers[i]
	}
	keys, err := jwtauth.NewRemoteKeys(cfg)
	return keys, program.About(flag, err)
}

// soleIssuer returns the issuer of all callers, empty when there are several.
func (t *tokens) soleIssuer() string {
	if len(t.issuers) == 1 {
		return t.issuers[0]
	}
	return ""
}

// ready returns nil when there are keys of any issuer: the outage of one is none
// for the users of the others, who would lose every replica at once. Causes are in
// the order of the issuers.
func (t *tokens) ready(ctx context.Context) error {
	errs := make([]error, len(t.keys))
	answers := make(chan error, len(t.keys))
	for i, keys := range t.keys {
		go func() {
			errs[i] = keys.Ready(ctx)
			answers <- errs[i]
		}()
	}
	for range t.keys {
		if err := <-answers; err == nil {
			return nil
		}
	}
	return errors.Join(errs...)
}

// loads returns what was wrong with the last load of each issuer's keys.
func (t *tokens) loads() error {
	var errs []error
	for i, keys := range t.keys {
		if err := keys.Stats().LastError; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.issuers[i], err))
		}
	}
	return errors.Join(errs...)
}

// close ends what runs in the background.
func (t *tokens) close() {
	for _, c := range t.closing {
		c.Close()
	}
}
