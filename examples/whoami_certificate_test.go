package examples_test

import (
	"crypto/x509"
	"encoding/asn1"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whoami would let nobody in with any of these.
func TestWhoamiRefusesCertificatesThatNobodyBelieves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		writePEM(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	server := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	ended := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Unix(0, 0), time.Now().Add(-time.Minute) }
	ca, good := file("ca.pem", newAuthority(t).PEM()), file("good.pem", asPEM(t, selfSigned(t, server)))
	other, client := file("other.pem", asPEM(t, selfSigned(t, server))), file("client.pem", asPEM(t, selfSigned(t)))
	gateway := func(c *x509.Certificate) { // of a VPN: id-kp-ipsecIKE, of which crypto/x509 knows nothing
		c.ExtKeyUsage, c.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 17}}
	}
	vpn := file("vpn.pem", asPEM(t, selfSigned(t, gateway)))
	old, empty := file("old.pem", asPEM(t, selfSigned(t, server, ended))), file("empty.pem", nil)
	const secret = "-----BEGIN PRIVATE KEY----- s3cret"
	for name, test := range map[string]struct {
		ca, cert, key string
		says          []string
	}{
		"an authority that has ended":  {old, good, good, []string{"-trust: " + old, "has not ended"}},
		"no authority":                 {empty, good, good, []string{"-trust: " + empty, "no certificate"}},
		"a directory":                  {dir, good, good, []string{"-trust: ", dir, "directory"}},
		"a certificate that has ended": {ca, old, old, []string{"-cert: the certificate has ended at"}},
		"the certificate of a client":  {ca, client, client, []string{"-cert: the certificate is not one of a server"}},
		"the certificate of a VPN":     {ca, vpn, vpn, []string{"-cert: the certificate is not one of a server"}},
		"a key of another":             {ca, good, other, []string{"-cert and -key: ", "does not match"}},
		"no key":                       {ca, good, empty, []string{"-cert and -key: ", "key input"}},
		"neither file":                 {ca, dir, filepath.Join(dir, "key.pem"), []string{"-cert: is a directory", "-key: no such file"}},
		"a key in place of a file":     {ca, good, secret, []string{"-key: no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runToEnd(t, "whoami", "-http", "127.0.0.1:0", "-grpc", "127.0.0.1:0",
				"-trust", "mtls:"+test.ca+",spiffe://prod.example/gateway", "-cert", test.cert, "-key", test.key)
			lacks := func(s string) bool { return !strings.Contains(stderr, s) }
			if code != 2 || stdout != "" || slices.ContainsFunc(test.says, lacks) || strings.Contains(stderr, "s3cret") {
				t.Errorf("exit status %d, standard output %q, standard error %q", code, stdout, stderr)
			}
		})
	}
}

// A bundle keeps the authorities of yesterday beside those of today.
func TestWhoamiPassesOverAnAuthorityThatHasEnded(t *testing.T) {
	t.Parallel()
	ended := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Unix(0, 0), time.Now().Add(-time.Minute) }
	server := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	dir := t.TempDir()
	bundle, own := filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "own.pem")
	writePEM(t, bundle, append(asPEM(t, selfSigned(t, ended)), newAuthority(t).PEM()...))
	writePEM(t, own, asPEM(t, selfSigned(t, server)))
	startWhoami(t, "-trust", "mtls:"+bundle+",spiffe://prod.example/gateway", "-cert", own, "-key", own)
}
