package authctx_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/authctx/authctx"
)

// A service behind oauth2-proxy, which writes no issuer.
func ExampleOAuth2ProxyLayout() {
	layout := authctx.OAuth2ProxyLayout()
	read(authctx.FieldsAuthenticatorConfig{Layout: &layout, Issuer: "https://idp.example"}, map[string][]string{
		"X-Forwarded-User": {"alice"}, "X-Forwarded-Groups": {"sales,support"},
	})
	// Output: user alice of https://idp.example (asserted) [sales support] <nil>
}

// A service behind the aggregation layer of Kubernetes.
func ExampleKubernetesLayout() {
	layout := authctx.KubernetesLayout()
	cfg := authctx.FieldsAuthenticatorConfig{Layout: &layout, Issuer: "https://cluster.example"}
	read(cfg, map[string][]string{"X-Remote-User": {"alice"}, "X-Remote-Group": {"sales", "support"}})
	read(cfg, map[string][]string{"X-Remote-User": {"system:anonymous"}, "X-Remote-Group": {"system:unauthenticated"}})
	// Output:
	// user alice of https://cluster.example (asserted) [sales support] <nil>
	// nobody [] authctx: no credentials: identity fields of the subject that stands for nobody
}

// The aggregator's certificate names it nowhere but in the common name.
func ExampleKubernetesLayout_aggregator() {
	ca := newAuthority("front-proxy-ca", nil) // requestheader-client-ca-file, in ClientCAs
	authority, err := authctx.TrustAuthority(ca.Certificate)
	if err != nil {
		fmt.Println(err)
		return
	}
	aggregator := authctx.TrustAllOf(authority, authctx.TrustFunc(func(_ context.Context, r *authctx.Request) error {
		if name := r.PeerCertificates[0].Subject.CommonName; name != "front-proxy-client" {
			return fmt.Errorf("%q is not the aggregator", name)
		}
		return nil
	}))
	layout := authctx.KubernetesLayout()
	_, err = authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: aggregator, Layout: &layout, Issuer: "https://cluster.example",
	})
	fmt.Println(err)

	for _, name := range []string{"front-proxy-client", "metrics"} {
		leaf, _ := ca.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}})
		chain := []*x509.Certificate{leaf, ca.Certificate} // verified by the TLS server
		fmt.Println(aggregator.Trusts(context.Background(), &authctx.Request{PeerCertificates: chain}))
	}
	// Output:
	// <nil>
	// <nil>
	// "metrics" is not the aggregator
}

// A gateway that writes two fields, under names of its own. Fields of other names come
// from its client. Reader, writer and stripping share the layout.
func ExampleFieldLayout() {
	layout := authctx.FieldLayout{Subject: "acme-subject", Groups: "acme-groups"}
	read(authctx.FieldsAuthenticatorConfig{Layout: &layout, Issuer: "https://idp.example"}, map[string][]string{
		"Acme-Subject": {"alice"}, "Acme-Groups": {"sales"}, "X-User-Issuer": {"https://evil.example"},
	})
	// Output: user alice of https://idp.example (asserted) [sales] <nil>
}

// read prints the caller of a request with these fields.
func read(cfg authctx.FieldsAuthenticatorConfig, fields map[string][]string) {
	cfg.Trust = authctx.TrustNetworkAlone() // for the sake of the example
	authenticator, err := authctx.NewFieldsAuthenticator(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := authctx.Authenticate(context.Background(), authenticator, &authctx.Request{Fields: authctx.FieldMap(fields)})
	fmt.Println(result.Principal, result.Principal.Groups(), err)
}

func ExampleAuthenticate() {
	var nobody authctx.Authenticator // forgotten, so nothing can be checked
	_, err := authctx.Authenticate(context.Background(), nobody, &authctx.Request{})
	fmt.Println(errors.Is(err, authctx.Unavailable))
	// Output: true
}

func ExampleFieldMap() {
	fields := authctx.FieldMap(map[string][]string{"X-Request-Id": {"42"}})
	fmt.Println(fields.Values("x-request-id"), slices.Collect(fields.Names()))
	// Output: [42] [X-Request-Id]
}

// For programs that remove identity fields by other means.
func ExampleIdentityFields() {
	identity := authctx.IdentityFields()
	for _, name := range []string{"X-User-Id", "x_user_roles", "Grpc-Metadata-Txn-Token", "User-Agent"} {
		fmt.Println(name, identity.Owns(name))
	}
	// Output:
	// X-User-Id true
	// x_user_roles true
	// Grpc-Metadata-Txn-Token true
	// User-Agent false
}

// A propagator of your own sends on what came with the caller.
func ExampleForwarded() {
	ctx := authctx.Result{
		Principal: caller(),
		Forward:   []authctx.Field{{Name: authctx.TxnTokenField, Value: "eyJ…"}},
	}.NewContext(context.Background())
	if end := authctx.ForwardedUntil(ctx); !end.IsZero() && !time.Now().Before(end) {
		fmt.Println("not sent: it has ended before its caller")
		return
	}
	for _, f := range authctx.Forwarded(ctx) {
		fmt.Println(f.Name)
	}
	// Output: txn-token
}

// The token that came with a caller may come to an end before the caller does.
func ExampleForwardedUntil() {
	ctx := authctx.Result{
		Principal:    caller(),
		Forward:      []authctx.Field{{Name: authctx.TxnTokenField, Value: "eyJ…"}},
		ForwardUntil: time.Date(2026, 1, 1, 0, 2, 0, 0, time.UTC),
	}.NewContext(context.Background())
	end := authctx.ForwardedUntil(ctx)
	fmt.Println(end, end.IsZero() || time.Now().Before(end))
	// A caller without such fields, or with fields that have no end of their own.
	fmt.Println(authctx.ForwardedUntil(authctx.NewContext(context.Background(), caller())).IsZero())
	// Output:
	// 2026-01-01 00:02:00 +0000 UTC false
	// true
}

func ExampleExtractHeaders() {
	authenticator, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()})
	if err != nil {
		fmt.Println(err)
		return
	}
	take := func(a authctx.Authenticator, headers map[string][]byte) { // as Kafka has them
		ctx, err := authctx.ExtractHeaders(context.Background(), a, "orders", headers)
		switch {
		case errors.Is(err, authctx.Unavailable):
			fmt.Println("given back: nobody could tell")
		case err != nil:
			fmt.Println("set aside:", err)
		default:
			p, _ := authctx.FromContext(ctx)
			fmt.Println("done for", p)
		}
	}
	alices := map[string][]byte{"x-user-id": []byte("alice"), "x-user-issuer": []byte("https://idp.example")}
	take(authenticator, alices)
	take(authenticator, map[string][]byte{"content-type": []byte("application/json")})

	outage := authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{}, authctx.Unavailable // as when keys are out of reach
	})
	take(outage, alices)
	// Output:
	// done for user alice of https://idp.example (asserted)
	// set aside: authctx: no credentials
	// given back: nobody could tell
}

func ExampleTrustPeerCIDR() {
	trust, err := authctx.TrustPeerCIDR("10.1.0.0/16", "fd00:1::/64")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(trust.Trusts(context.Background(), &authctx.Request{Peer: netip.MustParseAddrPort("10.1.2.3:4711")}))
	fmt.Println(trust.Trusts(context.Background(), &authctx.Request{Peer: netip.MustParseAddrPort("10.2.2.3:4711")}))
	_, err = authctx.TrustPeerCIDR("0.0.0.0/0")
	fmt.Println(err)
	// Output:
	// <nil>
	// peer 10.2.2.3 is in no trusted prefix
	// authctx: trust: "0.0.0.0/0" holds every address; say TrustNetworkAlone if that is meant
}

func ExampleTrustDNSName() {
	trust, err := authctx.TrustDNSName("gateway.prod.example")
	if err != nil {
		fmt.Println(err)
		return
	}
	gateway := &x509.Certificate{DNSNames: []string{"gateway.prod.example"}} // verified by the TLS server
	fmt.Println(trust.Trusts(context.Background(), &authctx.Request{PeerCertificates: []*x509.Certificate{gateway}}))
	fmt.Println(trust.Trusts(context.Background(), &authctx.Request{}) != nil)
	// Output:
	// <nil>
	// true
}

func ExampleTrustSPIFFEDomain() {
	trust, err := authctx.TrustSPIFFEDomain("prod.example")
	if err != nil {
		fmt.Println(err)
		return
	}
	id, _ := url.Parse("spiffe://prod.example/orders")
	orders := &x509.Certificate{URIs: []*url.URL{id}} // verified by the TLS server
	fmt.Println(trust.Trusts(context.Background(), &authctx.Request{PeerCertificates: []*x509.Certificate{orders}}))
	// Output: <nil>
}

// Two SPIFFE trust domains, each with the authority of its own bundle.
func ExampleTrustAuthority() {
	prod, partner := newAuthority("prod.example", nil), newAuthority("partner.example", nil) // both in ClientCAs
	domain, err1 := authctx.TrustSPIFFEDomain("prod.example")
	itsAuthority, err2 := authctx.TrustAuthority(prod.Certificate)
	gateway, err3 := authctx.TrustSPIFFEID("spiffe://partner.example/gateway")
	partnersAuthority, err4 := authctx.TrustAuthority(partner.Certificate)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		fmt.Println(err)
		return
	}
	trust := authctx.TrustAnyOf(authctx.TrustAllOf(domain, itsAuthority), authctx.TrustAllOf(gateway, partnersAuthority))

	id, _ := url.Parse("spiffe://prod.example/orders")
	for _, issuer := range []*authority{prod, partner} {
		orders, _ := issuer.issue(&x509.Certificate{URIs: []*url.URL{id}})
		chain := []*x509.Certificate{orders, issuer.Certificate} // verified by the TLS server
		fmt.Println(trust.Trusts(context.Background(), &authctx.Request{PeerCertificates: chain}))
	}
	// Output:
	// <nil>
	// no trusted authority is among the 1 above the certificate, under "CN=partner.example"
	// workload "spiffe://prod.example/orders" is not trusted
}

// Authorities that change while the program runs, as those of SPIFFE bundles do.
func ExampleTrustAuthority_rotation() {
	var latest atomic.Pointer[authctx.Trust]
	changed := func(first *x509.Certificate, rest ...*x509.Certificate) error { // called at the start, too
		trust, err := authctx.TrustAuthority(first, rest...)
		if err == nil {
			latest.Store(&trust)
		}
		return err
	}
	trust := authctx.TrustFunc(func(ctx context.Context, r *authctx.Request) error {
		return (*latest.Load()).Trusts(ctx, r)
	})

	retired, current := newAuthority("2025", nil), newAuthority("2026", nil)
	gateway, _ := retired.issue(&x509.Certificate{})
	r := &authctx.Request{PeerCertificates: []*x509.Certificate{gateway, retired.Certificate}}
	fmt.Println(changed(retired.Certificate, current.Certificate), trust.Trusts(context.Background(), r) == nil)
	fmt.Println(changed(current.Certificate), trust.Trusts(context.Background(), r) == nil)
	// Output:
	// <nil> true
	// <nil> false
}

// The right certificate, and from the right network.
func ExampleTrustAllOf() {
	network, err1 := authctx.TrustPeerCIDR("10.1.0.0/16")
	gateway, err2 := authctx.TrustSPIFFEID("spiffe://prod.example/gateway")
	if err := errors.Join(err1, err2); err != nil {
		fmt.Println(err)
		return
	}
	trust := authctx.TrustAllOf(network, gateway)
	fmt.Println(trust.Trusts(context.Background(), &authctx.Request{Peer: netip.MustParseAddrPort("10.1.2.3:4711")}) == nil)
	// Output: false
}

// Two gateways, each known in its own way.
func ExampleTrustAnyOf() {
	network, err1 := authctx.TrustPeerCIDR("10.1.0.0/16")
	gateway, err2 := authctx.TrustSPIFFEID("spiffe://prod.example/gateway")
	if err := errors.Join(err1, err2); err != nil {
		fmt.Println(err)
		return
	}
	trust := authctx.TrustAnyOf(network, gateway)
	fmt.Println(trust.Trusts(context.Background(), &authctx.Request{Peer: netip.MustParseAddrPort("10.1.2.3:4711")}) == nil)
	// Output: true
}

// A container network that only the gateway shares with the service.
func ExampleTrustNetworkAlone() {
	fmt.Println(authctx.TrustNetworkAlone().Trusts(context.Background(), &authctx.Request{}))
	// Output: <nil>
}

// Peers on the same machine.
func ExampleTrustFunc() {
	trust := authctx.TrustFunc(func(_ context.Context, r *authctx.Request) error {
		if !r.Peer.Addr().IsLoopback() {
			return errors.New("the peer is another machine")
		}
		return nil
	})
	fmt.Println(trust.Trusts(context.Background(), &authctx.Request{Peer: netip.MustParseAddrPort("[::1]:4711")}))
	fmt.Println(trust.Trusts(context.Background(), &authctx.Request{Peer: netip.MustParseAddrPort("10.1.2.3:4711")}))
	// Output:
	// <nil>
	// the peer is another machine
}
