package authctx

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// TrustSPIFFEID trusts peers whose verified certificate names exactly one of
// these workloads, such as "spiffe://prod.example/gateway" (SPIFFE X.509-SVID).
// There is no prefix or pattern matching. A certificate that may sign others
// names no workload.
//
// It looks only at the name. Every authority in ClientCAs of the tls.Config can issue a
// certificate for every workload of every trust domain: if those of a federated domain
// are among them, add [TrustAuthority].
//
// With go-spiffe, take the tls.Config of its tlsconfig.TLSServerConfig, and let
// GetConfigForClient return a clone with RequireAndVerifyClientCert and, as ClientCAs,
// the latest X509Authorities of the one trust domain. With its MTLSServerConfig nobody
// is trusted, because crypto/tls does not see what that verifies.
//
// A certificate counts as TLS verified it when the connection began. It is believed for
// as long as the connection lasts, even if it expires meanwhile or was stolen, because
// workloads renew certificates and keep their connections. Limit that in the server:
// with grpc by MaxConnectionAge of keepalive.ServerParameters, with net/http by
// answering "Connection: close" after NotAfter, as the service in examples/mtls does.
func TrustSPIFFEID(first string, rest ...string) (Trust, error) {
	ids := append([]string{first}, rest...)
	var errs []error
	for _, id := range ids {
		if _, path, ok := splitSPIFFEID(id); !ok {
			errs = append(errs, fmt.Errorf("authctx: trust: %.200q is not a SPIFFE ID", id))
		} else if path == "" {
			errs = append(errs, fmt.Errorf("authctx: trust: %q names a trust domain and no workload; say TrustSPIFFEDomain if that is meant", id))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return trustCertificate(func(leaf *x509.Certificate) error {
		id, err := spiffeIDOf(leaf)
		if err == nil && !slices.Contains(ids, id) {
			err = fmt.Errorf("workload %q is not trusted", id)
		}
		return err
	}), nil
}

// TrustSPIFFEDomain trusts every workload of the named trust domains, such as
// "prod.example": any of them may then say who is calling. A certificate that may sign
// others names no workload. [TrustSPIFFEID] says for how long a certificate counts,
// which authorities can name a workload, and how to serve with go-spiffe.
func TrustSPIFFEDomain(first string, rest ...string) (Trust, error) {
	domains := append([]string{first}, rest...)
	var errs []error
	for _, domain := range domains {
		if _, path, ok := splitSPIFFEID(spiffeScheme + domain); !ok || path != "" {
			errs = append(errs, fmt.Errorf("authctx: trust: %q is not a SPIFFE trust domain", domain))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return trustCertificate(func(leaf *x509.Certificate) error {
		id, err := spiffeIDOf(leaf)
		if err != nil {
			return err
		}
		if domain, _, ok := splitSPIFFEID(id); !ok || !slices.Contains(domains, domain) {
			return fmt.Errorf("trust domain of %q is not trusted", id)
		}
		return nil
	}), nil
}

// TrustDNSName trusts peers whose verified certificate has one of these DNS
// names, in ASCII (xn--…) and without a dot at the end. Letter case does not count.
// Wildcards match nothing, here and in the certificate. [TrustSPIFFEID] says for how long
// a certificate counts, and every authority in ClientCAs can name every host, too.
func TrustDNSName(first string, rest ...string) (Trust, error) {
	names := append([]string{first}, rest...)
	var errs []error
	for _, name := range names {
		if !isDNSName(name) {
			errs = append(errs, fmt.Errorf("authctx: trust: %q is not a DNS name as certificates have it: in ASCII (xn--…), and without a dot at either end", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return trustCertificate(func(leaf *x509.Certificate) error {
		for _, name := range leaf.DNSNames {
			if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
				return nil
			}
		}
		some := leaf.DNSNames[:min(len(leaf.DNSNames), 4)]
		return fmt.Errorf("none of the certificate's %d DNS names is trusted: %.200q", len(leaf.DNSNames), some)
	}), nil
}

// isDNSName reports whether s is a name as certificates have it.
func isDNSName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.ContainsFunc(label, notInLabels) {
			return false
		}
	}
	return true
}

// notInLabels takes the underscore of names within clusters for a letter.
func notInLabels(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

// trustCertificate judges the leaf of a verified chain.
func trustCertificate(judge func(leaf *x509.Certificate) error) Trust {
	return trustChain(func(chain []*x509.Certificate) error { return judge(chain[0]) })
}

// trustChain judges a verified chain; without one there is no trust.
func trustChain(judge func(chain []*x509.Certificate) error) Trust {
	return TrustFunc(func(_ context.Context, r *Request) error {
		switch {
		case len(r.PeerCertificates) > 0:
			return judge(r.PeerCertificates)
		case r.UnverifiedPeerCertificate != nil:
			return errUnverified
		}
		return withoutPeer(r, errNoCertificate)
	})
}

var errUnverified = errors.New("peer showed a certificate that crypto/tls did not verify: set ClientCAs of the tls.Config, and ClientAuth to RequireAndVerifyClientCert or VerifyClientCertIfGiven; " +
	"what a VerifyPeerCertificate of your own accepts, such as go-spiffe's, is not seen")

var errNoCertificate = errors.New("peer showed no certificate: it has none, it was not asked for one, or there is no TLS that this server sees")

// spiffeIDOf returns the workload a certificate names. A certificate with
// several URIs names none (SPIFFE X.509-SVID section 2), and neither does one
// that may sign others (section 5.2), whose name has no path (section 3.2).
func spiffeIDOf(leaf *x509.Certificate) (string, error) {
	if leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return "", errors.New("certificate may sign others, so it names no workload")
	}
	if len(leaf.URIs) != 1 {
		return "", fmt.Errorf("certificate has %d URI names and must have one", len(leaf.URIs))
	}
	id := leaf.URIs[0].String()
	switch _, path, ok := splitSPIFFEID(id); {
	case !ok:
		return "", fmt.Errorf("%.200q is not a SPIFFE ID", id)
	case path == "":
		return "", fmt.Errorf("%.200q names a trust domain and no workload", id)
	}
	return id, nil
}
