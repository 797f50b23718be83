package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/jwtauth"
)

// trustFlags say whose word about a caller is believed.
type trustFlags struct {
	given       *flag.FlagSet
	trust       program.Once
	trustDomain string
	cert, key   string
}

func (t *trustFlags) flags(fs *flag.FlagSet) {
	t.given = fs
	fs.Var(&t.trust, "trust", "believe `WHOM` about callers (required):\n"+
		"  cidr:PREFIX[,PREFIX...]   plain fields from peers with such an address,\n"+
		"                            as cidr:127.0.0.0/8\n"+
		"  network                   plain fields from everybody who can connect;\n"+
		"                            the network is all that protects you\n"+
		"  mtls:CA,SPIFFE-ID[,...]   plain fields from peers with a certificate of\n"+
		"                            the authority in the file CA, for that workload,\n"+
		"                            as mtls:ca.pem,spiffe://prod.example/gateway\n"+
		"  txn:JWKS-URL              Transaction Tokens signed with these keys,\n"+
		"                            whoever brings them")
	program.TrustDomainVar(fs, &t.trustDomain, "trust-domain", "authctx.local", "with txn: the `NAME` that tokens must be for")
	fs.StringVar(&t.cert, "cert", "", "with mtls: the certificate of this service, a PEM `FILE`")
	fs.StringVar(&t.key, "key", "", "with mtls: its private key, a PEM `FILE`")
}

// trusted is how callers are known.
type trusted struct {
	authenticator authctx.Authenticator
	tls           *tls.Config         // nil without mtls
	keys          *jwtauth.RemoteKeys // nil without txn
}

// parse reads the flags.
func (t *trustFlags) parse() (trusted, error) {
	kind, arg, _ := strings.Cut(t.trust.Text, ":")
	if err := t.check(kind); err != nil {
		return trusted{}, err
	}
	switch {
	case kind == "cidr":
		prefixes := strings.Split(arg, ",")
		return fieldsFrom(authctx.TrustPeerCIDR(prefixes[0], prefixes[1:]...))
	case t.trust.Text == "network":
		return fieldsFrom(authctx.TrustNetworkAlone(), nil)
	case kind == "mtls" && strings.Contains(arg, ","):
		ca, ids, _ := strings.Cut(arg, ",")
		return t.mutualTLS(ca, strings.Split(ids, ","))
	case kind == "txn" && arg != "":
		return t.transactionTokens(arg)
	}
	// What it is instead may be an address with a secret, or one for another flag.
	return trusted{}, errors.New("-trust: want cidr:PREFIX, network, mtls:CA,SPIFFE-ID or txn:JWKS-URL")
}

// check refuses no trust, flags that are about another kind of it, and mtls without
// a certificate.
func (t *trustFlags) check(kind string) error {
	var errs []error
	if t.trust.Text == "" {
		errs = append(errs, errors.New("-trust is required: say who is believed about callers"))
	}
	if kind != "txn" {
		errs = append(errs, program.Needs("-trust txn:JWKS-URL", t.given, "trust-domain"))
	}
	if kind != "mtls" {
		errs = append(errs, program.Needs("-trust mtls:CA,SPIFFE-ID", t.given, "cert", "key"))
	} else if t.cert == "" || t.key == "" {
		errs = append(errs, errors.New("-trust mtls:CA,SPIFFE-ID needs -cert and -key"))
	}
	return errors.Join(errs...)
}

// fieldsFrom believes plain fields under a trust.
func fieldsFrom(trust authctx.Trust, err error) (trusted, error) {
	if err != nil {
		return trusted{}, program.About("trust", err)
	}
	auth, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust})
	return trusted{authenticator: auth}, err
}

// mutualTLS believes plain fields from peers that show the right certificate.
// Peers without one may connect, and are told that nobody is known.
func (t *trustFlags) mutualTLS(ca string, ids []string) (trusted, error) {
	roots, err := readAuthorities(ca)
	if err != nil {
		return trusted{}, program.About("trust", err)
	}
	cert, err := readKeyPair(t.cert, t.key)
	if err != nil {
		return trusted{}, err
	}
	auth, err := fieldsFrom(authctx.TrustSPIFFEID(ids[0], ids[1:]...))
	auth.tls = &tls.Config{
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    roots,
	}
	return auth, err
}

// transactionTokens believes what the gateway with these keys has signed. The
// keys are loaded in the background, so the gateway may start later.
func (t *trustFlags) transactionTokens(jwksURL string) (trusted, error) {
	keys, err := jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{
		JWKSURL:  jwksURL,
		CoolDown: time.Second, // the gateway is near and may rotate its keys often
	})
	if err != nil {
		return trusted{}, program.About("trust", err)
	}
	auth, err := jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: t.trustDomain, Keys: keys})
	return trusted{authenticator: auth, keys: keys}, err
}

// close ends what runs in the background.
func (t trusted) close() {
	if t.keys != nil {
		t.keys.Close()
	}
}
