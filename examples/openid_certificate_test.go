package examples_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/democa"
	"github.com/authctx/authctx/jwtauth"
)

// A token that is bound to a certificate (RFC 8705) counts with that certificate
// only, vouched for by an authority or by nobody, and in every form.
func TestOpenIDTokensBoundToACertificateNeedIt(t *testing.T) {
	t.Parallel()
	ca, err := democa.New()
	if err != nil {
		t.Fatal(err)
	}
	workload := func(id string) *tls.Config {
		config, err := ca.Client("spiffe://prod.example/" + id)
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	machine, other, alone := workload("machine"), workload("other"), ca.Anonymous()
	own := selfSigned(t)
	// Nobody whom the server names vouches for it, and Certificates would be kept back.
	alone.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	o := startOpenIDAt(t, "127.0.0.1:0", ca.Anonymous(), "--ca", write("ca.pem", ca.PEM()),
		"--tls", write("provider.pem", asPEM(t, workload("provider").Certificates[0])),
		"--client", write("client.pem", asPEM(t, own)))

	v := o.verifier(t)
	i, _ := o.introspector(t, func(c *jwtauth.IntrospectorConfig) { c.Transport = o.http.Transport })
	call := serveTLS(t, ca, authctx.OneOf(bearer(t, v, jwtauth.JWTShape), bearer(t, i, jwtauth.OpaqueShape)))
	for clientID, own := range map[string]*tls.Config{"machine-mtls": machine, "machine-self-signed": alone} {
		for _, way := range []string{"ES256", "opaque"} {
			token := o.as(own).machine(clientID, way).AccessToken
			for what, c := range map[string]struct {
				client *tls.Config
				status int
			}{
				"its certificate":     {own, 200},
				"another certificate": {other, 401},
				"no certificate":      {ca.Anonymous(), 401},
			} {
				if status, body := call(c.client, token); status != c.status {
					t.Errorf("%s, %s, with %s: status %d, body %s", clientID, way, what, status, body)
				}
			}
		}
		plain := o.as(own).machine(clientID, "ES256").AccessToken
		if p, err := v.Verify(t.Context(), plain); !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("%s, as a string alone: %v, %v", clientID, p, err)
		}
	}
}

// serveTLS serves an API that asks for certificates, and leaves it to tokens
// whether and which are needed.
func serveTLS(t *testing.T, ca *democa.Authority, auth authctx.Authenticator) func(client *tls.Config, token string) (int, string) {
	t.Helper()
	config, err := ca.Server("spiffe://prod.example/api")
	if err != nil {
		t.Fatal(err)
	}
	config.ClientAuth = tls.RequestClientCert
	api := httptest.NewUnstartedServer(apiFor(t, auth))
	api.TLS = config
	api.StartTLS()
	t.Cleanup(api.Close)
	return func(client *tls.Config, token string) (int, string) {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: client}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), "GET", api.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
}

// selfSigned returns a certificate of a client, unless that is changed, that nobody but
// its owner vouches for.
func selfSigned(t *testing.T, changes ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, change := range changes {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// asPEM returns a certificate and its key in one file.
func asPEM(t *testing.T, cert tls.Certificate) []byte {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
}
