package jwtauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcmetadata "google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

// selfSigned returns a certificate that nobody but its owner vouches for and
// that has the names of the gateway.
func selfSigned() tls.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"gateway.internal"}, URIs: []*url.URL{must(url.Parse("spiffe://prod.example/gateway"))},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

func TestRFC8705_Section6_2_ASelfSignedCertificateBindsAndIsNeverTrusted(t *testing.T) {
	ca := newTestCA(t)
	own, other := selfSigned(), selfSigned()
	c := newDPoPCase(t, nil)
	token := "Bearer " + c.bound(t, map[string]any{"x5t#S256": thumbprintOf(own.Leaf)})
	bearer := newBearer(t, newVerifier(t, c.signer, nil), nil)
	var seen authctx.Request
	noting := authctx.NewAuthenticator(bearer.Fields(), func(ctx context.Context, r *authctx.Request) (authctx.Result, error) {
		seen = *r
		return bearer.Authenticate(ctx, r)
	})
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, ClientAuth: tls.RequestClientCert}

	var ignored http.Header
	web := httptest.NewUnstartedServer(serve(t, httpctx.ServerConfig{Authenticator: noting}, &ignored))
	web.TLS = config
	web.StartTLS()
	defer web.Close()
	overHTTP := func(certs ...tls.Certificate) bool {
		transport := &http.Transport{TLSClientConfig: ca.client(certs...)}
		defer transport.CloseIdleConnections()
		r := must(http.NewRequest("GET", web.URL, nil))
		r.Header.Set("Authorization", token)
		res := must(transport.RoundTrip(r))
		res.Body.Close()
		return res.StatusCode == 200
	}

	policy := must(authctx.NewPolicy(authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/grpc.health.v1.Health/*": authctx.Authenticated()}}))
	auth := must(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: noting, Policy: policy, Now: func() time.Time { return testNow }}))
	srv := grpc.NewServer(append(auth.ServerOptions(), grpc.Creds(credentials.NewTLS(config)))...)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	lis := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()
	overGRPC := func(certs ...tls.Certificate) bool {
		conn := must(grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(ca.client(certs...)))))
		defer conn.Close()
		ctx := grpcmetadata.AppendToOutgoingContext(t.Context(), "authorization", token)
		_, err := healthpb.NewHealthClient(conn).Check(ctx, new(healthpb.HealthCheckRequest))
		return grpcstatus.Code(err) == codes.OK
	}

	for name, call := range map[string]func(...tls.Certificate) bool{"HTTP": overHTTP, "gRPC": overGRPC} {
		if call() || seen.UnverifiedPeerCertificate != nil {
			t.Errorf("%s: passed without a certificate", name)
		}
		if call(other) {
			t.Errorf("%s: passed with another certificate", name)
		}
		if !call(own) {
			t.Errorf("%s: refused with its certificate", name)
		}
		for _, trust := range []authctx.Trust{
			must(authctx.TrustDNSName("gateway.internal")), must(authctx.TrustSPIFFEDomain("prod.example")),
			must(authctx.TrustSPIFFEID("spiffe://prod.example/gateway")),
		} {
			if trust.Trusts(t.Context(), &seen) == nil || seen.PeerCertificates != nil {
				t.Errorf("%s: a certificate that nobody verified is trusted", name)
			}
		}
	}
}
