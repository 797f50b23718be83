package jwtauth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/authctx/authctx"
)

// DeferredAuthenticatorConfig configures [NewDeferredAuthenticator].
// TrustDomain, Topics and Keys are required.
type DeferredAuthenticatorConfig struct {
	// TrustDomain is who must have signed ("iss").
	TrustDomain string
	// Topics are those that this program consumes. A token counts only on the
	// topic it was made for, even if several are listed. A queue for retries or for
	// dead letters is none of them: what comes from it is of the topic before.
	Topics []string
	// Keys finds the publishers' keys; [JoinKeys] makes one source of several.
	Keys KeySource
	// Algorithms is as in [TxnAuthenticatorConfig].
	Algorithms []Algorithm
	// MaxLifetime refuses tokens that were made to wait for longer: at least 1 s;
	// zero means [MaxDeferredLifetime], which is also the most.
	MaxLifetime time.Duration
	// Leeway is as in [VerifierConfig].
	Leeway time.Duration
	// Revocations is as in [TxnAuthenticatorConfig]. It is asked when the work is done,
	// when the caller's credential may have ended long ago: what was revoked must be
	// remembered for the publishers' Lifetime beyond that, as a [MemoryRevocations]
	// does.
	Revocations Revocations
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// DeferredAuthenticator knows for whom a message is to be worked on, by the
// token of a [DeferredPropagator]. Use it with an [authctx.Consumer]. It is safe
// for concurrent use.
//
// The principal has [authctx.Signed] provenance, ends with the token, and says
// in AsOf when its attributes were known to be true. It takes messages only:
// over HTTP and gRPC such a token is [authctx.WrongType], and on another topic
// than its own [authctx.WrongAudience]. While its keys are out of reach it answers
// [authctx.Unavailable]: the message is then given back and not set aside.
//
// A token is good until it ends, however often it comes and with whatever body.
// Each token has an ID of its own, "txn" among the claims, see
// [authctx.Principal.DecodeClaims]: a consumer who keeps it beside what was done,
// for as long as tokens live, notices work that comes again. The principal's
// TokenID is that of the caller's credential, the same for all its work.
//
// Two DeferredAuthenticators in one [authctx.OneOf] refuse each other's tokens,
// since each takes whatever is in the field for its own: several publishers of a
// trust domain are for one DeferredAuthenticator with [JoinKeys], and a topic is
// for one trust domain.
//
// A zero DeferredAuthenticator reads no topic: where one is configured it counts as
// missing, and each of its tokens is [authctx.WrongAudience].
type DeferredAuthenticator struct{ byTopic map[string]*Verifier }

// NewDeferredAuthenticator returns an authenticator for cfg, or an error that
// names every setting that is missing or wrong.
func NewDeferredAuthenticator(cfg DeferredAuthenticatorConfig) (*DeferredAuthenticator, error) {
	const label = "deferred work authenticator"
	var problems problems
	topics := cfg.Topics
	if len(topics) == 0 || slices.Contains(topics, "") {
		problems.add("Topics is required and must not hold empty names")
		topics = []string{"-"} // said once; the rest is judged all the same
	}
	if !problems.exact("Topics", topics...) {
		topics = []string{"-"}
	}
	if !checkTrustDomain(cfg.TrustDomain, &problems) {
		cfg.TrustDomain = "-"
	}
	if cfg.MaxLifetime = cmp.Or(cfg.MaxLifetime, MaxDeferredLifetime); cfg.MaxLifetime > MaxDeferredLifetime {
		problems.add("MaxLifetime must be at most %v", MaxDeferredLifetime)
	}
	d := &DeferredAuthenticator{byTopic: map[string]*Verifier{}}
	for _, topic := range topics {
		verifier, err := newVouchedVerifier(VerifierConfig{
			Issuer: cfg.TrustDomain, Audiences: []string{topic}, Algorithms: cfg.Algorithms, Keys: cfg.Keys,
			Types: ownTypes(deferredType), Leeway: cfg.Leeway, MaxLifetime: cfg.MaxLifetime,
			Revocations: cfg.Revocations, Now: cfg.Now,
			Cache: CacheConfig{Disabled: true}, // messages come once
		}, label, txnMapping{deferred: true})
		if err != nil { // the same would be wrong for every topic
			return nil, errors.Join(problems.of(label), err)
		}
		d.byTopic[topic] = verifier
	}
	if err := problems.of(label); err != nil {
		return nil, err
	}
	return d, nil
}

// Fields returns the field of the token.
func (d *DeferredAuthenticator) Fields() authctx.FieldSet { return deferredFields() }

// ReadsTopic reports whether tokens for topic are read. [authctx.NewConsumer] asks.
func (d *DeferredAuthenticator) ReadsTopic(topic string) bool { return d.byTopic[topic] != nil }

// Authenticate verifies the one token of a message. A token beside plain
// identity fields or a Transaction Token is [authctx.InvalidRequest].
func (d *DeferredAuthenticator) Authenticate(ctx context.Context, r *authctx.Request) (authctx.Result, error) {
	values := r.Values(DeferredField)
	switch {
	case len(values) == 0:
		return authctx.Result{}, authctx.NoCredentials
	case r.Transport != authctx.TransportMessage:
		return authctx.Result{}, errNotAMessage
	case len(values) > 1:
		return authctx.Result{}, errTwoTokens
	case besidePlainFields(r) || len(r.Values(authctx.TxnTokenField)) > 0:
		return authctx.Result{}, errTwoKinds
	}
	verifier := d.byTopic[r.Target]
	if verifier == nil {
		return authctx.Result{}, errOtherTopic
	}
	found, err := verifier.VerifyToken(ctx, values[0])
	if err != nil {
		return authctx.Result{}, err
	}
	if !found.Confirmation.IsZero() {
		return authctx.Result{}, errBound
	}
	return authctx.Result{Principal: found.Principal, Recheck: found.Recheck}, nil
}

var (
	errNotAMessage = refusal(authctx.WrongType, "a deferred-work token counts in messages only")
	errOtherTopic  = refusal(authctx.WrongAudience, "the message comes from a topic that this consumer does not read")
)
