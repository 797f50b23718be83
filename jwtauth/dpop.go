package jwtauth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/authctx/authctx"
)

// DPoP is an [authctx.Authenticator] for access tokens that are bound to a key
// of the client (RFC 9449): "Authorization: DPoP" holds the token, the DPoP
// field a proof, signed with that key for this one request. It asks a
// [TokenVerifier] about the token, makes all checks of RFC 9449 section 4.3 on
// the proof, and lets each proof pass once. It is safe for concurrent use.
//
// A bad token is answered as the verifier says, one that is bound to no key or
// to another one with [authctx.InvalidToken], a missing or bad proof with
// [authctx.InvalidProof], a proof that needs a nonce with
// [authctx.NonceRequired] and the nonce in Result.Response, and a replay store
// out of reach with [authctx.Unavailable]. A token that is bound to a client
// certificate besides needs that too, as with [Bearer].
//
// A service that also takes plain tokens joins a DPoP and a Bearer by [authctx.OneOf].
// Tokens that are bound to a key are then still accepted by the DPoP alone. But a rule
// cannot tell which of the two has let a caller in, so routes that demand a proof need a
// server of their own, whose authenticator is the DPoP and nothing else. A browser reads
// the nonce only if CORS exposes DPoP-Nonce and WWW-Authenticate; a client of gRPC finds
// it in the header metadata of a server's answer and in the trailer of a gateway's.
type DPoP struct {
	verifier   TokenVerifier
	cfg        DPoPConfig
	accepted   accepted // of cfg.Algorithms
	url        externalURL
	nonces     *nonces // nil when none are asked for
	possession possession
	read       authctx.FieldSet // token and proof
	fields     authctx.FieldSet // read and what possession looks at
}

const (
	dpopScheme     = "DPoP"
	dpopField      = "dpop"
	dpopNonceField = "dpop-nonce"

	// replayMargin is how much longer than it is good a proof is remembered, in
	// case replicas that share a store do not share a clock.
	replayMargin = 10 * time.Second

	// replayTime bounds one question to a replay store.
	replayTime = 5 * time.Second
)

// NewDPoP returns an authenticator that asks v about tokens, or an error that
// names every setting that is missing or wrong.
func NewDPoP(v TokenVerifier, cfg DPoPConfig) (*DPoP, error) {
	if err := cfg.validate(v); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	url, _ := parseExternalURL(cfg.ExternalURL) // validated
	d := &DPoP{verifier: v, cfg: cfg, accepted: newAccepted(cfg.Algorithms), url: url, possession: possession{cfg.CertificateProxies}}
	if cfg.RequireNonce {
		d.nonces = newNonces(cfg.NonceSecret, cfg.NonceLife)
		d.cfg.NonceSecret = nil
	}
	d.read = authctx.FieldSet{Names: []string{authorization, dpopField}, Schemes: []string{cfg.challenge()}}
	d.fields = d.read.Union(d.possession.fields())
	return d, nil
}

// Fields implements [authctx.Authenticator].
func (d *DPoP) Fields() authctx.FieldSet { return d.fields }

// Presents implements [authctx.Presenter]. A proof without a token is none.
func (d *DPoP) Presents(_ context.Context, r *authctx.Request) (bool, error) {
	_, err := d.token(r)
	return presents(err), nil
}

func (d *DPoP) token(r *authctx.Request) (string, error) {
	return oneToken(lines(r, authorization), dpopScheme, d.cfg.Shape)
}

// Authenticate implements [authctx.Authenticator].
func (d *DPoP) Authenticate(ctx context.Context, r *authctx.Request) (authctx.Result, error) {
	token, err := d.token(r)
	if err != nil {
		return authctx.Result{}, err
	}
	found, err := ask(ctx, d.verifier, token)
	if err != nil {
		return authctx.Result{}, err
	}
	response, err := d.prove(ctx, r, token, found.Confirmation)
	if err != nil {
		return authctx.Result{Response: response}, err
	}
	return authctx.Result{
		Principal: found.Principal, Response: response, Read: d.read, Recheck: found.Recheck, Cached: found.Cached,
	}, nil
}

// prove checks the proof of a good token, cheap checks first and the one that
// leaves a trace last. It returns what the response must say of nonces.
func (d *DPoP) prove(ctx context.Context, r *authctx.Request, token string, c Confirmation) ([]authctx.Field, error) {
	values := r.Values(dpopField)
	if len(values) != 1 {
		return nil, errProofCount
	}
	p, err := parseProof(values[0], &d.accepted)
	if err != nil {
		return nil, err
	}
	// Only who holds the right key gets anything verified.
	if err := d.possession.check(ctx, c, r, p.thumbprint); err != nil {
		return nil, err
	}
	claims, err := p.verify()
	if err != nil {
		return nil, err
	}
	now := d.cfg.Now()
	url, ok := d.url.of(r.Target)
	if !ok || !sameURL(claims.url, url) {
		return nil, errProofURL
	}
	if err := claims.check(r.Method, token, now, d.cfg); err != nil {
		return nil, err
	}
	response, err := d.nonces.check(claims.nonce, now)
	if err != nil {
		return response, err
	}
	return response, d.spend(ctx, p.thumbprint, url, claims)
}

// spend lets a proof pass if it has not been used before (RFC 9449 section
// 11.1). Clients choose IDs independently, so an ID counts per key and URL.
func (d *DPoP) spend(ctx context.Context, thumbprint, url string, claims proofClaims) error {
	// A thumbprint has a fixed length, so no two proofs can be written alike.
	text := binary.BigEndian.AppendUint32([]byte(thumbprint), uint32(len(url)))
	text = append(append(text, url...), claims.id...)
	ctx, cancel := context.WithTimeout(ctx, replayTime)
	defer cancel()
	fresh, err := d.cfg.Replays.Use(ctx, sha256.Sum256(text), claims.end(d.cfg).Add(replayMargin))
	if err != nil {
		return unavailable("replay store", err)
	}
	if !fresh {
		return errProofUsed
	}
	return nil
}
