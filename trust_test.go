package authctx_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
)

func from(peer string) *authctx.Request {
	r := &authctx.Request{}
	if peer != "" {
		r.Peer = netip.AddrPortFrom(netip.MustParseAddr(peer), 4711)
	}
	return r
}

func withCertificate(ids, dns []string) *authctx.Request {
	return &authctx.Request{PeerCertificates: []*x509.Certificate{{URIs: uris(ids...), DNSNames: dns}}}
}

func must(t *testing.T) func(authctx.Trust, error) authctx.Trust {
	return func(trust authctx.Trust, err error) authctx.Trust {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return trust
	}
}

func TestTrustByPeerAddress(t *testing.T) {
	trust := must(t)(authctx.TrustPeerCIDR("10.1.0.0/16", "::1/128", "fe80::/10"))
	for peer, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "::1": true, "fe80::1%eth0": true,
		"10.2.0.1": false, "127.0.0.1": false, "::2": false, "": false,
	} {
		if got := trust.Trusts(t.Context(), from(peer)) == nil; got != want {
			t.Errorf("peer %q trusted: %v, want %v", peer, got, want)
		}
	}
}

// oauth2-proxy took an unset list of trusted proxies for everybody.
func TestCVE_2026_40575_TrustInEverybodyIsNotACIDR(t *testing.T) {
	for _, prefix := range []string{"0.0.0.0/0", "::/0", "", "10.0.0.1", "::ffff:10.0.0.0/104", "10.0.0.0/33", "all"} {
		if _, err := authctx.TrustPeerCIDR("10.0.0.0/8", prefix); err == nil {
			t.Errorf("%q was accepted", prefix)
		}
	}
}

func TestTrustByCertificate(t *testing.T) {
	gateway := must(t)(authctx.TrustSPIFFEID("spiffe://prod.example/gateway", "spiffe://prod.example/edge/eu"))
	domain := must(t)(authctx.TrustSPIFFEDomain("prod.example"))
	dns := must(t)(authctx.TrustDNSName("gateway.internal"))
	for _, c := range []struct {
		name      string
		trust     authctx.Trust
		uris, dns []string
		want      bool
	}{
		{"the exact workload", gateway, []string{"spiffe://prod.example/gateway"}, nil, true},
		{"the other workload", gateway, []string{"spiffe://prod.example/edge/eu"}, nil, true},
		{"a longer path", gateway, []string{"spiffe://prod.example/gateway/x"}, nil, false},
		{"a prefix of the path", gateway, []string{"spiffe://prod.example/gate"}, nil, false},
		{"another domain", gateway, []string{"spiffe://prod.example.evil/gateway"}, nil, false},
		{"upper case", gateway, []string{"spiffe://PROD.example/gateway"}, nil, false},
		{"a query", gateway, []string{"spiffe://prod.example/gateway?x"}, nil, false},
		{"two URI names", gateway, []string{"spiffe://prod.example/gateway", "spiffe://prod.example/other"}, nil, false},
		{"no URI name", gateway, nil, []string{"prod.example"}, false},
		{"any workload of the domain", domain, []string{"spiffe://prod.example/anything"}, nil, true},
		{"a sub-domain is another domain", domain, []string{"spiffe://a.prod.example/x"}, nil, false},
		{"the domain itself", domain, []string{"spiffe://prod.example"}, nil, false},
		{"a port", domain, []string{"spiffe://prod.example:1/x"}, nil, false},
		{"user info", domain, []string{"spiffe://a@prod.example/x"}, nil, false},
		{"dot segments", domain, []string{"spiffe://prod.example/../x"}, nil, false},
		{"no scheme", domain, []string{"prod.example/x"}, nil, false},
		{"no scheme, slashes", domain, []string{"//prod.example/x"}, nil, false},
		{"the longest name", domain, []string{"spiffe://prod.example/" + strings.Repeat("x", 2048-22)}, nil, true},
		{"a name too long", domain, []string{"spiffe://prod.example/" + strings.Repeat("x", 2048-21)}, nil, false},
		{"all that a segment may hold", domain, []string{"spiffe://prod.example/aZ09.-_"}, nil, true},
		{"an encoded letter", domain, []string{"spiffe://prod.example/%61"}, nil, false},
		{"a colon", domain, []string{"spiffe://prod.example/a:b"}, nil, false},
		{"a semicolon", domain, []string{"spiffe://prod.example/a;b"}, nil, false},
		{"a tilde", domain, []string{"spiffe://prod.example/~a"}, nil, false},
		{"an at sign", domain, []string{"spiffe://prod.example/a@b"}, nil, false},
		{"a segment of one dot", domain, []string{"spiffe://prod.example/./x"}, nil, false},
		{"a segment of two dots", domain, []string{"spiffe://prod.example/x/.."}, nil, false},
		{"a segment of three dots", domain, []string{"spiffe://prod.example/..."}, nil, true},
		{"an empty segment", domain, []string{"spiffe://prod.example/a//b"}, nil, false},
		{"a slash at the end", domain, []string{"spiffe://prod.example/a/"}, nil, false},
		{"not SPIFFE", domain, []string{"https://prod.example/x"}, nil, false},
		{"the DNS name", dns, nil, []string{"other", "Gateway.Internal"}, true},
		{"another DNS name", dns, nil, []string{"xgateway.internal"}, false},
		{"a wildcard in the certificate", dns, nil, []string{"*.internal"}, false},
		{"no DNS name", dns, nil, nil, false},
	} {
		if got := c.trust.Trusts(t.Context(), withCertificate(c.uris, c.dns)) == nil; got != c.want {
			t.Errorf("%s: trusted %v, want %v", c.name, got, c.want)
		}
	}
	for name, trust := range map[string]authctx.Trust{"id": gateway, "domain": domain, "dns": dns} {
		if trust.Trusts(t.Context(), from("127.0.0.1")) == nil {
			t.Errorf("%s: a peer without a verified certificate is trusted", name)
		}
	}
}

// A certificate that is shown and not verified is a slip of the server, and none
// at all mostly one of the client.
func TestATrustByCertificateSaysWhatWasMissing(t *testing.T) {
	trust := must(t)(authctx.TrustDNSName("gateway.internal"))
	shown := &authctx.Request{UnverifiedPeerCertificate: withCertificate(nil, []string{"gateway.internal"}).PeerCertificates[0]}
	for want, r := range map[string]*authctx.Request{
		"peer showed no certificate": {},
		"ClientCAs":                  shown,
		"VerifyPeerCertificate":      shown,
	} {
		if err := trust.Trusts(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestARefusedCertificateIsNoLongText(t *testing.T) {
	names := slices.Repeat([]string{strings.Repeat("n", 250)}, 500)
	err := must(t)(authctx.TrustDNSName("gateway.internal")).Trusts(t.Context(), withCertificate(nil, names))
	if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "500 DNS names") || !strings.Contains(err.Error(), "nnn") {
		t.Errorf("%.300v", err)
	}
}

// SPIFFE X.509-SVID section 5.2: whoever validates a leaf refuses one that may
// sign. TLS itself verifies it as a client's certificate all the same.
func TestSPIFFE_ACertificateThatMaySignNamesNoWorkload(t *testing.T) {
	const workload, trustDomain = "spiffe://prod.example/gateway", "spiffe://prod.example"
	for name, c := range map[string]struct {
		id    string
		ca    bool
		usage x509.KeyUsage
		want  bool
	}{
		"a workload":                      {workload, false, x509.KeyUsageDigitalSignature, true},
		"an authority named like it":      {workload, true, x509.KeyUsageCertSign, false},
		"an authority of the domain":      {trustDomain, true, x509.KeyUsageCertSign | x509.KeyUsageCRLSign, false},
		"an authority without key usages": {workload, true, 0, false},
		"one that may sign certificates":  {workload, false, x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, false},
		"one that may sign revocations":   {workload, false, x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign, false},
	} {
		r := &authctx.Request{PeerCertificates: verifiedClient(t, c.id, c.ca, c.usage)}
		for which, trust := range map[string]authctx.Trust{
			"ID": must(t)(authctx.TrustSPIFFEID(workload)), "domain": must(t)(authctx.TrustSPIFFEDomain("prod.example")),
		} {
			if err := trust.Trusts(t.Context(), r); (err == nil) != c.want {
				t.Errorf("%s by %s: %v", name, which, err)
			}
		}
	}
}

// verifiedClient returns what a TLS server has verified of a client that shows a
// certificate with this name.
func verifiedClient(t *testing.T, id string, ca bool, usage x509.KeyUsage) []*x509.Certificate {
	root := newAuthority("root", nil)
	leaf, key := root.issue(&x509.Certificate{IsCA: ca, BasicConstraintsValid: true, KeyUsage: usage, URIs: uris(id)})
	return verified(t, root.pool(), leaf, key)
}

func TestRule1_TrustWithoutAMeaningIsAnError(t *testing.T) {
	for name, make := range map[string]func(string, ...string) (authctx.Trust, error){
		"TrustSPIFFEID": authctx.TrustSPIFFEID, "TrustSPIFFEDomain": authctx.TrustSPIFFEDomain,
		"TrustDNSName": authctx.TrustDNSName, "TrustPeerCIDR": authctx.TrustPeerCIDR,
	} {
		for _, bad := range []string{"", "*", "spiffe://", "spiffe://prod.example", "a b", "x/*", "spiffe://prod.example/*", "prod.example/x", "//prod.example/x"} {
			if _, err := make(bad); err == nil {
				t.Errorf("%s(%q) was accepted", name, bad)
			}
		}
	}
}

// A certificate has no such name, so nobody would be trusted.
func TestRule1_ADNSNameIsOneThatCertificatesHave(t *testing.T) {
	for _, bad := range []string{"gw.test\n", "gw.test.", ".gw.test", "gw..test", "gw.test\x00", "gw.test,b.test", "gw\xff.test", "bücher.test", "."} {
		if _, err := authctx.TrustDNSName("gateway", bad); err == nil || !strings.Contains(err.Error(), "is not a DNS name") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	const letters = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
	for c := range rune(256) {
		if _, err := authctx.TrustDNSName("a" + string(c) + "b"); (err == nil) != (c == '.' || strings.ContainsRune(letters, c)) {
			t.Errorf("%q between letters: %v", c, err)
		}
	}
	for _, good := range []string{"gateway", "gw.test", "GW-1.test", "_gw.my_ns.svc", "xn--bcher-kva.test", "10.0.0.1"} {
		if _, err := authctx.TrustDNSName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestAnAddressIsToldHowToBeAPrefix(t *testing.T) {
	_, err := authctx.TrustPeerCIDR("127.0.0.1")
	if err == nil || !strings.Contains(err.Error(), `one address is "10.0.0.1/32"`) {
		t.Error(err)
	}
}

func TestTrustCombines(t *testing.T) {
	yes := authctx.TrustNetworkAlone()
	var dropped *hollow
	no := authctx.TrustFunc(func(context.Context, *authctx.Request) error { return errors.New("no") })
	for _, c := range []struct {
		name  string
		trust authctx.Trust
		want  bool
	}{
		{"any of one", authctx.TrustAnyOf(yes), true}, {"any of two", authctx.TrustAnyOf(no, yes), true},
		{"any of none that trusts", authctx.TrustAnyOf(no, nil), false}, {"any of nil", authctx.TrustAnyOf(nil), false},
		{"all of two", authctx.TrustAllOf(yes, yes), true}, {"all but one", authctx.TrustAllOf(yes, no), false},
		{"any with nil", authctx.TrustAnyOf(yes, nil), false}, {"any with a nil pointer", authctx.TrustAnyOf(yes, dropped), false},
		{"all with nil", authctx.TrustAllOf(yes, nil), false}, {"all with a nil function", authctx.TrustAllOf(yes, authctx.TrustFunc(nil)), false},
		{"a nil function", authctx.TrustFunc(nil), false}, {"any of one that is", authctx.TrustAnyOf(authctx.TrustAllOf(nil), yes), false},
	} {
		if got := c.trust.Trusts(t.Context(), from("127.0.0.1")) == nil; got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Whoever is trusted by none of many makes nobody write down why for each.
func TestTrustAnyOfSaysWhyEightTimes(t *testing.T) {
	for n, more := range map[int]string{1: "", 8: "", 9: "by 1 more", 5000: "by 4992 more"} {
		no := slices.Repeat([]authctx.Trust{authctx.TrustFunc(func(context.Context, *authctx.Request) error { return errors.New("because") })}, n)
		err := authctx.TrustAnyOf(no[0], no[1:]...).Trusts(t.Context(), from("127.0.0.1"))
		said := fmt.Sprint(err)
		if strings.Count(said, "because") != min(n, 8) || !strings.Contains(said, more) || (more == "") == strings.Contains(said, "more") {
			t.Errorf("of %d: %v", n, err)
		}
	}
}

func TestRule1_ATrustThatHoldsNothingIsNone(t *testing.T) {
	var dropped *hollow
	yes := authctx.TrustNetworkAlone()
	for name, trust := range map[string]authctx.Trust{
		"nil": nil, "a nil function": authctx.TrustFunc(nil), "a nil pointer": dropped,
		"any of nil": authctx.TrustAnyOf(nil), "any with nil": authctx.TrustAnyOf(yes, nil), "any with a nil pointer": authctx.TrustAnyOf(dropped, yes),
		"all with nil": authctx.TrustAllOf(yes, nil), "nil further inside": authctx.TrustAllOf(yes, authctx.TrustAnyOf(yes, authctx.TrustFunc(nil))),
	} {
		if _, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust}); err == nil || !strings.Contains(err.Error(), "Trust is required") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What comes first is what a later member may rely on.
func TestTrustAllOfStopsAtTheFirstRefusal(t *testing.T) {
	certificate := must(t)(authctx.TrustDNSName("gateway.internal"))
	fresh := authctx.TrustFunc(func(_ context.Context, r *authctx.Request) error {
		if r.PeerCertificates[0].NotAfter.Before(time.Now()) {
			return errors.New("expired")
		}
		return nil
	})
	if err := authctx.TrustAllOf(certificate, fresh).Trusts(t.Context(), from("127.0.0.1")); err == nil {
		t.Error("a peer without a certificate is trusted")
	}
}
