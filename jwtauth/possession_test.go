package jwtauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// rfc8705Certificate is the certificate of RFC 8705 appendix A, and
// rfc8705Thumbprint what the RFC says a token bound to it holds.
const (
	rfc8705Certificate = `-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----
`
	rfc8705Thumbprint = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
)

func parseCertificate(t testing.TB, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// newCertificate returns a self-signed certificate of a new key.
func newCertificate(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: testNow.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func thumbprintOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// byteSequence writes a certificate as RFC 9440 does.
func byteSequence(cert *x509.Certificate) string {
	return ":" + base64.StdEncoding.EncodeToString(cert.Raw) + ":"
}

func trustProxy(t testing.TB) authctx.Trust {
	t.Helper()
	trust, err := authctx.TrustPeerCIDR("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func TestRFC8705_AppendixA_ThumbprintOfTheExampleCertificate(t *testing.T) {
	cert := parseCertificate(t, rfc8705Certificate)
	s := signerFor(t, jwtauth.EdDSA)
	b := newBearer(t, newVerifier(t, s, nil), nil)
	r := fields("authorization", "Bearer "+s.token(t, goodClaims(map[string]any{"cnf": map[string]any{"x5t#S256": rfc8705Thumbprint}})))
	for name, show := range map[string]func(){
		"as it was shown":                 func() { r.UnverifiedPeerCertificate = cert },
		"by a transport that verifies it": func() { r.PeerCertificates, r.UnverifiedPeerCertificate = []*x509.Certificate{cert}, nil },
	} {
		show()
		if res, err := b.Authenticate(t.Context(), r); err != nil || res.Principal.Subject() != "alice" {
			t.Errorf("%s: %v, %v", name, res.Principal, err)
		}
	}
}

func TestACertificateBoundTokenNeedsItsCertificate(t *testing.T) {
	own, other, proxy := newCertificate(t), newCertificate(t), newCertificate(t)
	s := signerFor(t, jwtauth.EdDSA)
	direct := newBearer(t, newVerifier(t, s, nil), nil)
	proxied := newBearer(t, newVerifier(t, s, nil), &jwtauth.BearerOptions{CertificateProxies: trustProxy(t)})
	bound := func(cert *x509.Certificate) string {
		return "Bearer " + s.token(t, goodClaims(map[string]any{"cnf": map[string]any{"x5t#S256": thumbprintOf(cert)}}))
	}
	free := "Bearer " + s.token(t, goodClaims(nil))
	nothing := "Bearer " + s.token(t, goodClaims(map[string]any{"cnf": map[string]any{"x5t#S256": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}}))
	const inside, outside = "10.1.2.3:4", "192.0.2.1:4"
	b64 := base64.StdEncoding.EncodeToString(own.Raw)
	for name, test := range map[string]struct {
		b      *jwtauth.Bearer
		token  string
		peer   string
		cert   *x509.Certificate
		header []string
		want   error
	}{
		"the certificate of the connection":          {direct, bound(own), outside, own, nil, nil},
		"no certificate":                             {direct, bound(own), outside, nil, nil, authctx.InvalidToken},
		"another certificate":                        {direct, bound(own), outside, other, nil, authctx.InvalidToken},
		"the header where nobody is trusted":         {direct, bound(own), inside, nil, []string{byteSequence(own)}, authctx.InvalidToken},
		"the header of a trusted proxy":              {proxied, bound(own), inside, nil, []string{byteSequence(own)}, nil},
		"with spaces around":                         {proxied, bound(own), inside, nil, []string{" " + byteSequence(own) + " "}, nil},
		"another certificate from a trusted proxy":   {proxied, bound(own), inside, nil, []string{byteSequence(other)}, authctx.InvalidToken},
		"nothing from a trusted proxy":               {proxied, bound(own), inside, nil, nil, authctx.InvalidToken},
		"the header of somebody else":                {proxied, bound(own), outside, nil, []string{byteSequence(own)}, authctx.InvalidToken},
		"the connection beside a trusted proxy":      {proxied, bound(own), outside, own, nil, nil},
		"a stranger's header beside his certificate": {proxied, bound(own), outside, other, []string{byteSequence(own)}, authctx.InvalidToken},
		"a token stolen from the proxy":              {proxied, bound(proxy), inside, proxy, nil, authctx.InvalidToken},
		"the header over the proxy's certificate":    {proxied, bound(own), inside, proxy, []string{byteSequence(own)}, nil},
		"two headers":                                {proxied, bound(own), inside, nil, []string{byteSequence(own), byteSequence(own)}, authctx.InvalidRequest},
		"two values in one":                          {proxied, bound(own), inside, nil, []string{byteSequence(own) + ", " + byteSequence(own)}, authctx.InvalidRequest},
		"a parameter":                                {proxied, bound(own), inside, nil, []string{byteSequence(own) + ";a=1"}, nil},
		"parameters that hold anything":              {proxied, bound(own), inside, nil, []string{byteSequence(own) + `; a;*b="x, :y:\"";c=:AAA=:;d=?1;e=tok/en`}, nil},
		"a parameter and a second value":             {proxied, bound(own), inside, nil, []string{byteSequence(own) + ";a=1, :AAAA:"}, authctx.InvalidRequest},
		"a parameter with no name":                   {proxied, bound(own), inside, nil, []string{byteSequence(own) + ";=1"}, authctx.InvalidRequest},
		"a parameter with no end":                    {proxied, bound(own), inside, nil, []string{byteSequence(own) + `;a="x`}, authctx.InvalidRequest},
		"what is no parameter":                       {proxied, bound(own), inside, nil, []string{byteSequence(own) + "x"}, authctx.InvalidRequest},
		"a second sequence":                          {proxied, bound(own), inside, nil, []string{byteSequence(own) + ":AAAA:"}, authctx.InvalidRequest},
		"a tab before a parameter":                   {proxied, bound(own), inside, nil, []string{byteSequence(own) + ";\ta"}, authctx.InvalidRequest},
		"without colons":                             {proxied, bound(own), inside, nil, []string{b64}, authctx.InvalidRequest},
		"one colon":                                  {proxied, bound(own), inside, nil, []string{":" + b64}, authctx.InvalidRequest},
		"a lone colon":                               {proxied, bound(own), inside, nil, []string{":"}, authctx.InvalidRequest},
		"an empty sequence":                          {proxied, bound(own), inside, nil, []string{"::"}, authctx.InvalidToken},
		"without padding":                            {proxied, bound(own), inside, nil, []string{strings.ReplaceAll(byteSequence(own), "=", "")}, nil},
		"another without padding":                    {proxied, bound(own), inside, nil, []string{":AAA:"}, authctx.InvalidToken},
		"padding inside":                             {proxied, bound(own), inside, nil, []string{":AA=A:"}, authctx.InvalidRequest},
		"one character":                              {proxied, bound(own), inside, nil, []string{":A:"}, authctx.InvalidRequest},
		"bits left over":                             {proxied, bound(own), inside, nil, []string{":AAB=:"}, authctx.InvalidToken},
		"a line break inside":                        {proxied, bound(own), inside, nil, []string{":" + b64[:8] + "\n" + b64[8:] + ":"}, authctx.InvalidRequest},
		"PEM in a URL encoding, as nginx sends it":   {proxied, bound(own), inside, nil, []string{"-----BEGIN%20CERTIFICATE-----%0AMIIB"}, authctx.InvalidRequest},
		"too long":                                   {proxied, bound(own), inside, nil, []string{":" + strings.Repeat("AAAA", 16<<10) + ":"}, authctx.InvalidRequest},
		"too many parameters":                        {proxied, bound(own), inside, nil, []string{byteSequence(own) + strings.Repeat(";a=1", 16<<10)}, authctx.InvalidRequest},
		"a token bound to the hash of nothing":       {direct, nothing, outside, nil, nil, authctx.InvalidToken},
		"a free token with any certificate":          {direct, free, outside, other, nil, nil},
		"a free token through a trusted proxy":       {proxied, free, inside, nil, []string{byteSequence(other)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := fields("authorization", test.token)
			for _, v := range test.header {
				r = withField(r, "Client-Cert", v)
			}
			r.Peer, r.UnverifiedPeerCertificate = netip.MustParseAddrPort(test.peer), test.cert
			res, err := authctx.Authenticate(t.Context(), test.b, r)
			if !errors.Is(err, test.want) || (test.want == nil) != (res.Principal.Subject() == "alice") {
				t.Errorf("%v, %v; want %v", res.Principal, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), b64[:16]) {
				t.Error("the error repeats the certificate")
			}
		})
	}
}

// A proxy that nobody can tell from a client might be one: its own certificate is
// not taken for that of a client, nor the field for empty words.
func TestRule8_ACertificateOfWhomNobodyCanTellIsUnavailable(t *testing.T) {
	proxy, own := newCertificate(t), newCertificate(t)
	type ctxKey struct{}
	unknown := authctx.TrustFunc(func(ctx context.Context, _ *authctx.Request) error {
		if ctx.Value(ctxKey{}) == nil {
			t.Error("asked in another context")
		}
		return fmt.Errorf("whois: %w", &authctx.Error{Reason: authctx.Unavailable, RetryAfter: time.Second})
	})
	ctx := context.WithValue(t.Context(), ctxKey{}, true)
	c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.CertificateProxies = unknown })
	b := newBearer(t, newVerifier(t, c.signer, nil), &jwtauth.BearerOptions{CertificateProxies: unknown})
	bearer := func(cnf map[string]any) *authctx.Request {
		return fields("authorization", "Bearer "+c.signer.token(t, goodClaims(map[string]any{"cnf": cnf})))
	}
	to := func(cert *x509.Certificate) map[string]any { return map[string]any{"x5t#S256": thumbprintOf(cert)} }
	c.token = c.bound(t, map[string]any{"jkt": c.key.Thumbprint(), "x5t#S256": thumbprintOf(own)})
	for name, test := range map[string]struct {
		auth authctx.Authenticator
		r    *authctx.Request
		cert *x509.Certificate
		want authctx.Reason
	}{
		"the certificate of the connection": {b, bearer(to(proxy)), proxy, authctx.Unavailable},
		"that in the field":                 {b, withField(bearer(to(own)), "client-cert", byteSequence(own)), proxy, authctx.Unavailable},
		"no certificate":                    {b, bearer(to(own)), nil, authctx.Unavailable},
		"a token of another certificate":    {b, bearer(to(own)), proxy, authctx.Unavailable},
		"beside a proof":                    {c.dpop, c.request(c.proof().Sign()), own, authctx.Unavailable},
		"a token without a binding":         {b, fields("authorization", "Bearer "+c.signer.token(t, goodClaims(nil))), proxy, 0},
		"a token that is bad anyway":        {b, bearer(map[string]any{"jkt": "x", "x5t#S256": thumbprintOf(proxy)}), proxy, authctx.InvalidToken},
	} {
		test.r.UnverifiedPeerCertificate = test.cert
		_, err := authctx.Authenticate(ctx, test.auth, test.r)
		if authctx.ReasonOf(err) != test.want {
			t.Errorf("%s: %v", name, err)
		}
		if e, ok := errors.AsType[*authctx.Error](err); test.want == authctx.Unavailable && (!ok || e.RetryAfter != time.Second || !strings.Contains(err.Error(), "CertificateProxies")) {
			t.Errorf("%s: %v does not say who could not tell, and when to ask again", name, err)
		}
	}
}

// withField adds one value to a request made by fields.
func withField(r *authctx.Request, name, value string) *authctx.Request {
	m := map[string][]string{}
	for n := range r.Fields.Names() {
		m[n] = r.Fields.Values(n)
	}
	m[name] = append(slices.Clone(m[name]), value)
	clone := *r
	clone.Fields = authctx.FieldMap(m)
	return &clone
}

func TestRFC9440_AClientCertificateIsOneByteSequenceOfAtMost32KiB(t *testing.T) {
	const before = ":AAAA:;a="
	for value, good := range map[string]bool{
		":AAAA:": true, " :AAAA: ": true, "AAAA:": false, ":AAAA": false, "AAAA": false, "::": true, ":": false, ":AAAA::": false, ":AAAA:, :AAAA:": false,
		":AA\nAA:": false, ":AA\rAA:": false, ":AA AA:": false, ":AAAA:;a=\"b\"": true, ":AAAA:b": false, ":AA-_:": false,
	} {
		if _, err := jwtauth.ClientCert(value); good != (err == nil) {
			t.Errorf("%q: %v", value, err)
		}
	}
	for size, good := range map[int]bool{len(before) + 1: true, 32 << 10: true, 32<<10 + 1: false} {
		if _, err := jwtauth.ClientCert(before + strings.Repeat("b", size-len(before))); good != (err == nil) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestRule6_ClientCertIsStrippedWhoeverSentIt(t *testing.T) {
	s := signerFor(t, jwtauth.EdDSA)
	b := newBearer(t, newVerifier(t, s, nil), &jwtauth.BearerOptions{CertificateProxies: trustProxy(t)})
	var seen http.Header
	h := serve(t, httpctx.ServerConfig{Authenticator: b, KeepCredentials: true}, &seen)
	for _, peer := range []string{"10.0.0.1:1", "192.0.2.1:1"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		r.Header = http.Header{
			"Authorization": {"Bearer " + s.token(t, goodClaims(nil))}, "Client-Cert": {":AAAA:"}, "Client_cert": {":AAAA:"},
			"Client-Cert-Chain": {":AAAA:"}, "Accept": {"*/*"},
		}
		seen = nil
		h.ServeHTTP(httptest.NewRecorder(), r)
		if names := slices.Sorted(maps.Keys(seen)); !slices.Equal(names, []string{"Accept", "Authorization"}) {
			t.Errorf("from %s the handler saw %q", peer, names)
		}
	}
}

// serve returns a handler that notes the header it is let through with.
func serve(t testing.TB, cfg httpctx.ServerConfig, seen *http.Header) http.Handler {
	t.Helper()
	cfg.Now = func() time.Time { return testNow } // as the verifiers
	if !cfg.AllowAnonymous {
		cfg.Policy = authctx.DefaultPolicy(authctx.Authenticated())
	}
	srv, err := httpctx.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return srv.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { *seen = r.Header }))
}
