package jwtauth

import (
	"context"
	"time"

	"github.com/authctx/authctx"
)

// DeferredField is the message header that carries a deferred-work token. HTTP
// and gRPC servers strip it like every x-user- field.
const DeferredField = "x-user-deferred"

// MaxDeferredLifetime is the longest that work may wait for its turn.
const MaxDeferredLifetime = 7 * 24 * time.Hour

// DeferredPropagatorConfig configures [NewDeferredPropagator]. TrustDomain,
// Topic, Workload, Keys and Lifetime are required.
type DeferredPropagatorConfig struct {
	// TrustDomain is where publisher and consumer belong ("iss").
	TrustDomain string
	// Topic is the one topic or queue that messages are for ("aud"), under the
	// name that its consumers have for it. Where subjects are many and matched by
	// patterns, as in NATS, it is that of the stream or the pattern. A message that
	// the broker moves to a queue for retries or for dead letters stays one of this
	// topic, see [authctx.ExtractHeaders].
	Topic string
	// Workload is the name of this program in the trust domain ("req_wl").
	Workload string
	// Keys sign, as in [TxnPropagatorConfig]. Retain of the set must not be
	// shorter than Lifetime. They must be there again after a restart, see
	// [NewSigningKey]: what waits is signed with them, and with a key that was made
	// at the start it would be [authctx.UnknownKey] forever.
	Keys *SigningKeys
	// AllowHMACAndLetEveryVerifierMint is as in [TxnPropagatorConfig].
	AllowHMACAndLetEveryVerifierMint bool
	// Lifetime is how long a message may wait: whole seconds between 1 s and
	// [MaxDeferredLifetime]. The consumers' [Revocations] must remember a
	// credential that much longer than it is good. It counts from when the headers
	// were written: a scheduler that sends them again and again needs new ones.
	// "iat" and "exp" are whole seconds, rounded down, so that it is up to a second
	// less.
	Lifetime time.Duration
	// Scopes is as in [TxnPropagatorConfig].
	Scopes func(context.Context, authctx.Principal) ([]string, error)
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// DeferredPropagator carries a caller in messages that are read later, after the
// caller's own credential or a Transaction Token would have expired. It writes a
// token of its own type, which says for whom the work is to be done, when that
// was known ([authctx.Principal.AsOf]) and on which topic, and which nobody
// accepts on HTTP or gRPC. Use it with [authctx.InjectHeaders].
//
// What the caller may do can have changed by the time the work is done: it is
// for the consumer's rules and [Revocations] to judge by AsOf.
//
// A token says for whom work is done and not what. Whoever has seen one, such as
// all who may read the topic, can send it again with any body, on that topic and
// until it ends, if the broker lets them: it should not, and a
// [DeferredAuthenticator] says how to notice.
//
// A DeferredPropagator is safe for concurrent use. A nil or zero one writes nobody:
// where one is configured it counts as missing, and its Inject panics.
type DeferredPropagator struct {
	minter txnMinter
	now    func() time.Time
}

// NewDeferredPropagator returns a propagator for cfg, or an error that names
// every setting that is missing or contradictory.
func NewDeferredPropagator(cfg DeferredPropagatorConfig) (*DeferredPropagator, error) {
	problems := cfg.problems()
	cfg.Keys.reserveForMinting(cfg.Lifetime, cfg.AllowHMACAndLetEveryVerifierMint, &problems)
	if err := problems.of("deferred work propagator"); err != nil {
		return nil, err
	}
	return &DeferredPropagator{
		minter: txnMinter{
			typ: deferredType, issuer: cfg.TrustDomain, audience: cfg.Topic, workload: cfg.Workload,
			keys: cfg.Keys, lifetime: cfg.Lifetime, scopes: cfg.Scopes, subject: qualifiedSubject,
		},
		now: clockOf(cfg.Now),
	}, nil
}

// problems returns what is wrong apart from Keys.
func (cfg *DeferredPropagatorConfig) problems() problems {
	var problems problems
	bad := problems.add
	checkTrustDomain(cfg.TrustDomain, &problems)
	if cfg.Topic == "" {
		bad("Topic is required")
	}
	if cfg.Workload == "" {
		bad("Workload is required")
	}
	problems.exact("Topic", cfg.Topic)
	problems.exact("Workload", cfg.Workload)
	if cfg.Lifetime < time.Second || cfg.Lifetime > MaxDeferredLifetime || cfg.Lifetime%time.Second != 0 {
		bad("Lifetime is required and must be whole seconds between %v and %v", time.Second, MaxDeferredLifetime)
	}
	return problems
}

// Fields returns the field of the token.
func (d *DeferredPropagator) Fields() authctx.FieldSet { return deferredFields() }

func deferredFields() authctx.FieldSet { return authctx.FieldSet{Names: []string{DeferredField}} }

// Inject writes a token for p. It is good for Lifetime even if p's own end comes
// before; but a caller who came with a message already gets no more time by
// being passed on, and keeps the AsOf of the first.
//
// It fails with [authctx.NoCredentials] when p is zero, with [authctx.TokenExpired] when
// p's effective end has come, and with [authctx.PermissionDenied] when Scopes returns
// more than p has, and when Scopes is nil and the scopes of p are not known. What else
// keeps a token from being made is as in [TxnPropagator.Inject].
func (d *DeferredPropagator) Inject(ctx context.Context, p authctx.Principal, set func(name, value string)) error {
	now := d.now()
	if p.IsZero() {
		return authctx.NoCredentials
	}
	if p.ExpiredAt(now) {
		return errExpired
	}
	scopes, err := d.minter.grantedScopes(ctx, p)
	if err != nil {
		return err
	}
	token, err := d.mint(ctx, p, scopes, now)
	if err == nil {
		set(DeferredField, token)
	}
	return err
}

// mint signs a token that is good for as long as p's work may wait.
func (d *DeferredPropagator) mint(ctx context.Context, p authctx.Principal, scopes []string, now time.Time) (string, error) {
	subject, err := d.minter.subject(ctx, p)
	if err != nil {
		return "", err
	}
	a := p.Attributes()
	c, err := d.minter.caller(&a, subject)
	if err != nil {
		return "", err
	}
	end := now.Add(d.minter.lifetime)
	c.Details.SourceExpires = numericDate{} // the work may outlive the credential
	if p.AsOf().IsZero() {
		c.Details.AsOf = numericDate{now}
	} else if own := p.Expires(); !own.IsZero() && own.Before(end) {
		end = own
		c.Details.SourceExpires = numericDate{own} // leeway is in it already
	}
	caller, err := d.minter.encode(c, scopes)
	if err != nil {
		return "", err
	}
	m, err := d.minter.sign(&txnCall{Expires: end.Unix(), ID: randomID()}, caller, now)
	return m.token, err
}
