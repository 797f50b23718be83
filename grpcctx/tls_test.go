package grpcctx_test

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
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
)

// authority is a certificate authority of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotAfter: farFuture, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{pool: x509.NewCertPool()}
	a.cert, a.key = sign(t, template, nil)
	a.pool.AddCert(a.cert)
	return a
}

// issue returns a certificate for a workload and for loopback connections.
func (a *authority) issue(t *testing.T, spiffeID string) tls.Certificate {
	t.Helper()
	id, err := url.Parse(spiffeID)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: farFuture, URIs: []*url.URL{id}, DNSNames: []string{"service.test"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// sign makes a key and a certificate for it, self-signed without an authority.
func sign(t *testing.T, template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	template.NotBefore = time.Unix(0, 0)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// A service believes the fields of a gateway that it knows by its certificate,
// and of nobody else, whatever that somebody shows.
func TestFieldsAreBelievedFromAVerifiedPeerOnly(t *testing.T) {
	for name, by := range map[string]func(ca *authority) (authctx.Trust, error){
		"SPIFFE ID":    func(*authority) (authctx.Trust, error) { return authctx.TrustSPIFFEID(gatewayID) },
		"trust domain": func(*authority) (authctx.Trust, error) { return authctx.TrustSPIFFEDomain("example.org") },
		"DNS name":     func(*authority) (authctx.Trust, error) { return authctx.TrustDNSName("service.test") },
		"authority":    func(ca *authority) (authctx.Trust, error) { return authctx.TrustAuthority(ca.cert) },
	} {
		t.Run(name, func(t *testing.T) {
			ca := newAuthority(t)
			trust, err := by(ca)
			if err != nil {
				t.Fatal(err)
			}
			testTrustInPeer(t, ca, trust)
		})
	}
}

const gatewayID = "spiffe://example.org/gateway"

func testTrustInPeer(t *testing.T, ca *authority, trust authctx.Trust) {
	stranger := newAuthority(t)
	in, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust})
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := ca.issue(t, gatewayID), stranger.issue(t, gatewayID)
	for _, test := range []struct {
		name     string
		clients  tls.ClientAuthType
		shown    *tls.Certificate
		believed bool
	}{
		{"the gateway, verified", tls.RequireAndVerifyClientCert, &ours, true},
		{"the gateway, where certificates are not verified", tls.RequireAnyClientCert, &ours, false},
		{"an impostor, where certificates are not verified", tls.RequireAnyClientCert, &theirs, false},
		{"no certificate", tls.VerifyClientCertIfGiven, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "spiffe://example.org/orders")}, ClientCAs: ca.pool, ClientAuth: test.clients}
			client := &tls.Config{RootCAs: ca.pool, ServerName: "service.test"}
			if test.shown != nil {
				client.Certificates = []tls.Certificate{*test.shown}
			}
			s := newServer(t, func(c *grpcctx.ServerConfig) { c.Authenticator = in })
			e := new(echo)
			// The pipe is not a loopback address: only TLS makes it safe to send.
			cc := pipe(t, e, append(s.ServerOptions(), grpc.Creds(credentials.NewTLS(server))),
				append(newClient(t, grpcctx.ClientConfig{}).DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(client)))...)
			for _, method := range kinds {
				err := call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, method)
				if test.believed && err != nil {
					t.Errorf("%s: %v", method, err)
				} else if !test.believed {
					wantRefusal(t, err, authctx.NoCredentials)
				}
			}
		})
	}
}

// silent are transport credentials that do not say how safe they are. grpc
// takes that for safe; the caller is not sent.
type silent struct {
	credentials.TransportCredentials
}

func (s silent) Clone() credentials.TransportCredentials {
	return silent{s.TransportCredentials.Clone()}
}

func (s silent) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, silentInfo{}, nil
}

type silentInfo struct{}

func (silentInfo) AuthType() string { return "silent" }

func TestAConnectionThatDoesNotSayItIsSafeIsNot(t *testing.T) {
	e := new(echo)
	cc := pipe(t, e, nil, append(newClient(t, grpcctx.ClientConfig{}).DialOptions(),
		grpc.WithTransportCredentials(silent{credentials.NewTLS(nil)}))...)
	for _, method := range kinds {
		if err := call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, method); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "SecurityLevel") {
			t.Errorf("%s: %v", method, err)
		}
	}
	if n := len(e.calls()); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
}

// rated are transport credentials that say how safe they are.
type rated struct {
	credentials.TransportCredentials
	level credentials.SecurityLevel
}

func (r rated) Clone() credentials.TransportCredentials {
	return rated{r.TransportCredentials.Clone(), r.level}
}

func (r rated) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, ratedInfo{credentials.CommonAuthInfo{SecurityLevel: r.level}}, nil
}

type ratedInfo struct{ credentials.CommonAuthInfo }

func (ratedInfo) AuthType() string { return "rated" }

// What only cannot be changed on the way can still be read there.
func TestAConnectionHidesTheCallerOrDoesNotCarryIt(t *testing.T) {
	for level, want := range map[credentials.SecurityLevel]codes.Code{
		credentials.NoSecurity: codes.Internal, credentials.IntegrityOnly: codes.Internal,
		credentials.PrivacyAndIntegrity: codes.OK,
	} {
		e := new(echo)
		cc := pipe(t, e, nil, append(newClient(t, grpcctx.ClientConfig{}).DialOptions(),
			grpc.WithTransportCredentials(rated{credentials.NewTLS(nil), level}))...)
		for _, method := range kinds {
			if err := call(authctx.NewContext(t.Context(), newPrincipal(t)), cc, method); status.Code(err) != want {
				t.Errorf("%v, %s: %v", level, method, err)
			}
		}
		if sent := len(e.calls()) > 0; sent != (want == codes.OK) {
			t.Errorf("%v: sent %v", level, sent)
		}
	}
}
