package authctx_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
)

// authority issues certificates.
type authority struct {
	*x509.Certificate
	key ed25519.PrivateKey
}

// newAuthority returns an authority of that name, certified by another or by itself.
func newAuthority(name string, by *authority) *authority {
	return (&authority{&x509.Certificate{Subject: pkix.Name{CommonName: name}}, newKey()}).again(by)
}

// again returns the same authority with another certificate.
func (a *authority) again(by *authority) *authority {
	template := &x509.Certificate{Subject: a.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	if by == nil {
		by = &authority{template, a.key}
	}
	return &authority{by.sign(template, a.key.Public()), a.key}
}

// issue returns a certificate as the template says, and its key.
func (a *authority) issue(template *x509.Certificate) (*x509.Certificate, ed25519.PrivateKey) {
	key := newKey()
	return a.sign(template, key.Public()), key
}

func (a *authority) sign(template *x509.Certificate, public any) *x509.Certificate {
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, public, a.key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

// pool returns a pool of a and others.
func (a *authority) pool(others ...*authority) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	for _, o := range others {
		pool.AddCert(o.Certificate)
	}
	return pool
}

func newKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	return key
}

func uris(ids ...string) (parsed []*url.URL) {
	for _, id := range ids {
		u, err := url.Parse(id)
		if err != nil {
			panic(err)
		}
		parsed = append(parsed, u)
	}
	return parsed
}

// verified returns what a TLS server with these ClientCAs has verified of a client
// that shows a certificate, and others between it and a root.
func verified(t *testing.T, clientCAs *x509.CertPool, leaf *x509.Certificate, key ed25519.PrivateKey, between ...*authority) []*x509.Certificate {
	t.Helper()
	services := newAuthority("services", nil)
	own, ownKey := services.issue(&x509.Certificate{DNSNames: []string{"test"}})
	shown := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
	for _, b := range between {
		shown.Certificate = append(shown.Certificate, b.Raw)
	}
	near, far := net.Pipe()
	client := tls.Client(near, &tls.Config{ServerName: "test", RootCAs: services.pool(), Certificates: []tls.Certificate{shown}})
	server := tls.Server(far, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clientCAs,
		Certificates: []tls.Certificate{{Certificate: [][]byte{own.Raw}, PrivateKey: ownKey}}})
	go func() {
		_ = client.Handshake() // the server says what came of it
		_, _ = io.Copy(io.Discard, client)
	}()
	defer near.Close()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	return server.ConnectionState().VerifiedChains[0]
}

const ours, partners = "spiffe://prod.example/gateway", "spiffe://partner.example/gateway"

// SPIFFE Trust Domain and Bundle section 3, X509-SVID section 5.2: a certificate is
// judged by the bundle of the trust domain that it names, and no other.
func TestSPIFFE_AnAuthorityVouchesForItsOwnTrustDomainOnly(t *testing.T) {
	prod, partner := newAuthority("root", nil), newAuthority("root", nil)
	between := newAuthority("issuing", prod)
	trust := authctx.TrustAnyOf(
		authctx.TrustAllOf(must(t)(authctx.TrustSPIFFEDomain("prod.example")), must(t)(authctx.TrustAuthority(prod.Certificate))),
		authctx.TrustAllOf(must(t)(authctx.TrustSPIFFEID(partners)), must(t)(authctx.TrustAuthority(partner.Certificate))),
	)
	for name, c := range map[string]struct {
		issuer *authority
		id     string
		want   bool
	}{
		"ours by ours":                    {prod, ours, true},
		"ours by one that ours certified": {between, ours, true},
		"the partner's by the partner's":  {partner, partners, true},
		"ours by the partner's":           {partner, ours, false},
		"the partner's by ours":           {prod, partners, false},
	} {
		leaf, key := c.issuer.issue(&x509.Certificate{URIs: uris(c.id)})
		chain := verified(t, prod.pool(partner), leaf, key, between)
		if err := trust.Trusts(t.Context(), &authctx.Request{PeerCertificates: chain}); (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// RFC 5280 section 6.1.1 (d): a trust anchor is a name and a key.
func TestAnAuthorityIsItsNameAndItsKey(t *testing.T) {
	root, other := newAuthority("root", nil), newAuthority("other", nil)
	issuing, renewed, crossed := newAuthority("issuing", root), root.again(nil), root.again(other)
	namesake := newAuthority("root", nil)
	sameKey := (&authority{&x509.Certificate{Subject: pkix.Name{CommonName: "branch"}}, root.key}).again(nil)
	leaf, key := root.issue(&x509.Certificate{URIs: uris(ours)})
	deep, deepKey := issuing.issue(&x509.Certificate{URIs: uris(ours)})
	pinned := newAuthority("pinned", nil)
	for name, c := range map[string]struct {
		trusted, in *authority
		leaf        *x509.Certificate
		key         ed25519.PrivateKey
		between     []*authority
		want        bool
	}{
		"the root":                                  {root, root, leaf, key, nil, true},
		"the root above another":                    {root, root, deep, deepKey, []*authority{issuing}, true},
		"one below the root":                        {issuing, root, deep, deepKey, []*authority{issuing}, true},
		"one below the root, of another's":          {issuing, root, leaf, key, nil, false},
		"the root, renewed in the trust":            {renewed, root, leaf, key, nil, true},
		"the root, renewed in ClientCAs":            {root, renewed, leaf, key, nil, true},
		"the root, certified by another":            {root, other, leaf, key, []*authority{crossed}, true},
		"the other, which has certified it":         {other, other, leaf, key, []*authority{crossed}, true},
		"the other, of which TLS has not heard":     {other, root, leaf, key, []*authority{crossed}, false},
		"one of the same name":                      {namesake, root, leaf, key, nil, false},
		"one of the same key":                       {sameKey, root, leaf, key, nil, false},
		"a certificate that is in ClientCAs itself": {pinned, pinned, pinned.Certificate, pinned.key, nil, false},
		"one that was shown and vouches for nobody": {namesake, root, leaf, key, []*authority{namesake}, false},
	} {
		r := &authctx.Request{PeerCertificates: verified(t, c.in.pool(), c.leaf, c.key, c.between...)}
		if err := must(t)(authctx.TrustAuthority(c.trusted.Certificate)).Trusts(t.Context(), r); (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if err := must(t)(authctx.TrustAuthority(newAuthority("first", nil).Certificate, c.trusted.Certificate)).Trusts(t.Context(), r); (err == nil) != c.want {
			t.Errorf("%s, named second: %v", name, err)
		}
	}
}

func TestRule1_AnAuthorityIsACertificateThatMaySign(t *testing.T) {
	root := newAuthority("root", nil)
	leaf, _ := root.issue(&x509.Certificate{BasicConstraintsValid: true, Subject: pkix.Name{CommonName: "gateway"}})
	plain, _ := root.issue(&x509.Certificate{})
	crl, _ := root.issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCRLSign})
	for name, c := range map[string]struct {
		bad  *x509.Certificate
		says string
	}{
		"nil":                        {nil, "2 is nil"},
		"one that nobody has parsed": {&x509.Certificate{IsCA: true, BasicConstraintsValid: true}, "2 has no public key"},
		"a workload's":               {leaf, `"CN=gateway" may not sign others`},
		"one without constraints":    {plain, "may not sign others"},
		"one of revocations alone":   {crl, "may not sign others"},
	} {
		trust, err := authctx.TrustAuthority(root.Certificate, c.bad)
		if err == nil || trust != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What has no extensions cannot say whether it may sign (RFC 5280 section 6.1.4 (k)), and
// which key usages there are need not be said.
func TestAnAuthorityNeedNotSayThatItMaySign(t *testing.T) {
	root := newAuthority("root", nil)
	silent, first := *root.Certificate, *root.Certificate
	silent.KeyUsage = 0
	first.Version, first.BasicConstraintsValid, first.IsCA, first.KeyUsage = 1, false, false, 0
	leaf, key := root.issue(&x509.Certificate{URIs: uris(ours)})
	r := &authctx.Request{PeerCertificates: verified(t, root.pool(), leaf, key)}
	for name, c := range map[string]*x509.Certificate{"no key usage": &silent, "version 1": &first} {
		if trust, err := authctx.TrustAuthority(c); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := trust.Trusts(t.Context(), r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a caller lent may change later.
func TestRule12_AnAuthorityThatIsLentIsCopied(t *testing.T) {
	root, other := newAuthority("root", nil), newAuthority("other", nil)
	lent := *root.Certificate
	trust := must(t)(authctx.TrustAuthority(&lent))
	lent = *other.Certificate
	for want, by := range map[bool]*authority{true: root, false: other} {
		leaf, key := by.issue(&x509.Certificate{URIs: uris(ours)})
		if err := trust.Trusts(t.Context(), &authctx.Request{PeerCertificates: verified(t, root.pool(other), leaf, key)}); (err == nil) != want {
			t.Errorf("%s: %v", by.Subject, err)
		}
	}
}

func TestAnAuthorityIsLookedForWithoutAllocating(t *testing.T) {
	root := newAuthority("root", nil)
	leaf, key := root.issue(&x509.Certificate{URIs: uris(ours)})
	r := &authctx.Request{PeerCertificates: verified(t, root.pool(), leaf, key)}
	trust := must(t)(authctx.TrustAuthority(newAuthority("root", nil).Certificate, root.Certificate))
	if n := testing.AllocsPerRun(20, func() { _ = trust.Trusts(t.Context(), r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
