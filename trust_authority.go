package authctx

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

// TrustAuthority trusts peers whose certificate was issued by one of these
// authorities, directly or through others that it has certified. Alone, it believes
// everybody who has a certificate from them: combine it by [TrustAllOf] with a trust in
// the name that the certificate must have.
//
// It is for a ClientCAs with several authorities, because each of them can issue a
// certificate with any name. With those of two SPIFFE trust domains, give [TrustAnyOf]
// one pair of a name and its authorities for each domain, as in the example (SPIFFE
// Trust Domain and Bundle section 3, X509-SVID section 5.2).
//
// An authority is its name and its public key (RFC 5280 section 6.1.1): its next
// certificate with the same key is the same authority. It may stand anywhere above the
// peer's certificate, at the root or below; a peer's certificate that is itself in
// ClientCAs has nothing above it. If TLS found several chains, the first counts, see
// [Request].PeerCertificates.
//
// It copies the certificates. If they change while the program runs, use a [TrustFunc]
// that asks a Trust made of the latest ones, as in the example. A nil certificate is an
// error, and so is one that may not sign others.
func TrustAuthority(first *x509.Certificate, rest ...*x509.Certificate) (Trust, error) {
	var authorities []authority
	var errs []error
	for i, c := range append([]*x509.Certificate{first}, rest...) {
		if err := mayIssue(c); err != nil {
			errs = append(errs, fmt.Errorf("authctx: trust: authority %d %w", i+1, err))
			continue
		}
		authorities = append(authorities, authority{string(c.RawSubject), string(c.RawSubjectPublicKeyInfo)})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return trustChain(func(chain []*x509.Certificate) error {
		for _, c := range chain[1:] {
			if slices.ContainsFunc(authorities, func(a authority) bool { return a.is(c) }) {
				return nil
			}
		}
		return fmt.Errorf("no trusted authority is among the %d above the certificate, under %.200q", len(chain)-1, chain[len(chain)-1].Subject)
	}), nil
}

// authority is what makes certificates those of one authority, in DER.
type authority struct{ subject, key string }

func (a *authority) is(c *x509.Certificate) bool {
	return string(c.RawSubjectPublicKeyInfo) == a.key && string(c.RawSubject) == a.subject
}

// mayIssue returns why crypto/tls would take nothing that c has signed.
func mayIssue(c *x509.Certificate) error {
	switch {
	case c == nil:
		return errors.New("is nil")
	case len(c.RawSubjectPublicKeyInfo) == 0:
		return errors.New("has no public key, for nobody has parsed it")
	case c.Version == 3 && !c.BasicConstraintsValid, c.BasicConstraintsValid && !c.IsCA,
		c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("%.200q may not sign others", c.Subject)
	}
	return nil
}
