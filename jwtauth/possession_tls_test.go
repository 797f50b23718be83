package jwtauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
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

// testCA issues certificates for this machine.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newTestCA(t testing.TB) *testCA {
	ca := &testCA{pool: x509.NewCertPool()}
	made := ca.issue(t)
	ca.cert, ca.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	ca.pool.AddCert(ca.cert)
	return ca
}

// issue returns a new certificate; the first one is the authority's own.
func (ca *testCA) issue(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	parent, signer := ca.cert, ca.key
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// server returns what a server needs that looks at client certificates.
func (ca *testCA) server(t testing.TB) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: ca.pool}
}

// client returns what a client needs that shows these certificates.
func (ca *testCA) client(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: ca.pool, Certificates: certs}
}

func TestRFC8705_CertificateBoundTokensOverTLS(t *testing.T) {
	ca := newTestCA(t)
	own, other := ca.issue(t), ca.issue(t)
	c := newDPoPCase(t, nil)
	c.token = c.bound(t, map[string]any{"x5t#S256": thumbprintOf(own.Leaf)})
	bearer := newBearer(t, newVerifier(t, c.signer, nil), nil)
	var seen http.Header
	srv := httptest.NewUnstartedServer(serve(t, httpctx.ServerConfig{Authenticator: bearer}, &seen))
	srv.TLS = ca.server(t)
	srv.StartTLS()
	defer srv.Close()
	for name, test := range map[string]struct {
		certs []tls.Certificate
		want  int
	}{
		"its certificate":     {[]tls.Certificate{own}, 200},
		"another certificate": {[]tls.Certificate{other}, 401},
		"no certificate":      {nil, 401},
	} {
		transport := &http.Transport{TLSClientConfig: ca.client(test.certs...)}
		r, err := http.NewRequest("GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Authorization": {"Bearer " + c.token}, "Client-Cert": {byteSequence(own.Leaf)}}
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		transport.CloseIdleConnections()
		if res.StatusCode != test.want {
			t.Errorf("%s: %d, want %d", name, res.StatusCode, test.want)
		}
	}
}

func TestSenderConstrainedTokensOverGRPC(t *testing.T) {
	ca := newTestCA(t)
	own := ca.issue(t)
	c := newDPoPCase(t, requireNonce)
	c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint(), "x5t#S256": thumbprintOf(own.Leaf)})
	policy, err := authctx.NewPolicy(authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/grpc.health.v1.Health/*": authctx.Authenticated()}})
	if err != nil {
		t.Fatal(err)
	}
	auth, err := grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: c.dpop, Policy: policy, Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(append(auth.ServerOptions(), grpc.Creds(credentials.NewTLS(ca.server(t))))...)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()

	call := func(nonce any, certs ...tls.Certificate) (codes.Code, string) {
		conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(ca.client(certs...))))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		proof := c.key.Proof("POST", "https://api.example"+healthpb.Health_Check_FullMethodName, c.token).Set("nonce", nonce)
		ctx := grpcmetadata.AppendToOutgoingContext(context.Background(), "authorization", "DPoP "+c.token, "dpop", proof.Sign())
		var header grpcmetadata.MD
		_, err = healthpb.NewHealthClient(conn).Check(ctx, new(healthpb.HealthCheckRequest), grpc.Header(&header))
		given := ""
		if values := header["dpop-nonce"]; len(values) == 1 {
			given = values[0]
		}
		return grpcstatus.Code(err), given
	}
	code, nonce := call(nil, own)
	if code != codes.Unauthenticated || nonce == "" {
		t.Fatalf("without a nonce: %v, %q", code, nonce)
	}
	if code, _ := call(nonce, own); code != codes.OK {
		t.Errorf("with everything: %v", code)
	}
	if code, _ := call(nonce); code != codes.Unauthenticated {
		t.Errorf("without the certificate: %v", code)
	}
}
