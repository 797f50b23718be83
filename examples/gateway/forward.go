package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/jwtauth"
)

// forwarding is how services learn who is calling.
type forwarding struct {
	given          *flag.FlagSet
	kind           string
	trustDomain    string
	internalListen string
	life           time.Duration
	rotate         time.Duration
}

func (f *forwarding) flags(fs *flag.FlagSet) {
	f.given = fs
	fs.StringVar(&f.kind, "forward", "fields", "`HOW` services are told who is calling:\n"+
		"  fields  plain identity fields, for services that believe whoever has the\n"+
		"          address of this gateway\n"+
		"  txn     a Transaction Token signed by this gateway, for services that\n"+
		"          others can reach too")
	program.TrustDomainVar(fs, &f.trustDomain, "trust-domain", "authctx.local", "with -forward txn: the `NAME` of all services together, for which tokens are")
	program.AddressVar(fs, &f.internalListen, "internal-listen", "127.0.0.1:0", "publish the keys of Transaction Tokens on `ADDR`, at /.well-known/jwks.json; only\n"+
		"services need to reach it. With -forward fields only if given: for services that\n"+
		"begin to read tokens before this gateway signs. Every start makes a new key")
	program.DurationVar(fs, &f.life, "txn-life", jwtauth.DefaultTxnLifetime, "with -forward txn: the `TIME` for which a token is good, in whole seconds")
	program.DurationVar(fs, &f.rotate, "rotate", 0, "with -forward txn: begin to sign with a new key after every such `TIME`, 2s or\n"+
		"more, depending on -txn-life; 0 keeps one key for as long as the gateway runs")
}

func (f *forwarding) check() error {
	switch {
	case f.kind == "fields":
		return program.Needs("-forward txn", f.given, "trust-domain", "txn-life", "rotate")
	case f.kind != "txn":
		return fmt.Errorf("-forward %q: want fields or txn", f.kind)
	case f.life < time.Second || f.life > jwtauth.MaxTxnLifetime || f.life%time.Second != 0:
		return fmt.Errorf("-txn-life %v: want whole seconds between %v and %v", f.life, time.Second, jwtauth.MaxTxnLifetime)
	case f.rotate != 0 && f.rotate < f.minRotate():
		return fmt.Errorf("-rotate %v: want at least %v", f.rotate, f.minRotate())
	}
	return nil
}

// minRotate keeps the key set small, since a key stays published until the last
// token that it signed has ended.
func (f *forwarding) minRotate() time.Duration {
	const most = 90 // keys that have signed, of the 100 of a set; some are about to
	atLeast := (f.life + retainMargin) / most
	return max(2*time.Second, (atLeast + time.Second - 1).Truncate(time.Second))
}

// retainMargin is for clocks that differ.
const retainMargin = time.Minute

// forwarder is the propagator of the gateway, and what it needs to run.
type forwarder struct {
	propagator authctx.Propagator
	keys       *jwtauth.SigningKeys // nil if none are published
	internal   net.Listener
	rotate     time.Duration
}

// newForwarder returns how callers are carried on; soleIssuer is the issuer of
// all of them, empty when there are several.
func (f *forwarding) newForwarder(soleIssuer string) (*forwarder, error) {
	forward := &forwarder{rotate: f.rotate}
	if f.kind == "txn" || program.Given(f.given, "internal-listen") {
		if err := f.publish(forward); err != nil {
			return nil, err
		}
	}
	if f.kind == "fields" {
		fields, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
		forward.propagator = fields
		return forward, err
	}
	txn, err := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: f.trustDomain,
		Workload:    "spiffe://" + f.trustDomain + "/gateway",
		Keys:        forward.keys,
		Lifetime:    f.life,
		SoleIssuer:  soleIssuer,
		// Callers of issuers that know no scopes are carried on without any.
		Scopes: jwtauth.CallerScopes,
	})
	forward.propagator = txn
	return forward, program.Usage(err)
}

// publish gives forward keys, and an address for them.
func (f *forwarding) publish(forward *forwarder) error {
	key, err := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	if err != nil {
		return err
	}
	forward.keys, err = jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{
		Current: key,
		Ahead:   f.rotate / 3, // published that long before it signs; the default when 0
		Retain:  f.life + retainMargin,
	})
	if err != nil {
		return program.Usage(err)
	}
	forward.internal, err = program.Listen("internal-listen", f.internalListen)
	return err
}

// servers returns what has to run beside the gateway, and for as long as it signs.
func (f *forwarder) servers() []program.Server {
	if f.keys == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("/.well-known/jwks.json", f.keys.JWKSHandler())
	return []program.Server{program.Last(program.HTTP(f.internal, mux))}
}

// rotateKeys starts using a new key again and again until ctx ends.
func (f *forwarder) rotateKeys(ctx context.Context, log *slog.Logger) {
	if f.keys == nil || f.rotate == 0 {
		return
	}
	ticker := time.NewTicker(f.rotate)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		key, err := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
		if err == nil {
			err = f.keys.Rotate(key)
		}
		if err != nil {
			log.ErrorContext(ctx, "the signing key was not rotated", "error", err)
			continue
		}
		log.InfoContext(ctx, "the signing key is being rotated", "next", key.ID())
	}
}
