package jwtauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"

	"github.com/authctx/authctx"
)

// possession checks that whoever presents a token has what the token is bound
// to. [Bearer] and [DPoP] differ in the keys they can prove and share the rest,
// so that a token with two bindings needs both proofs under either scheme.
type possession struct {
	proxies authctx.Trust // whose client-cert field is believed; nil is nobody
}

// check compares a token's bindings with what r proves. The key is the
// thumbprint of the proof that came with the token, empty when there was none.
func (p possession) check(ctx context.Context, c Confirmation, r *authctx.Request, key string) error {
	switch {
	case c.KeyThumbprint == "" && key != "":
		return errNotBound
	case c.KeyThumbprint != "" && key == "":
		return errBound
	case !sameText(c.KeyThumbprint, key):
		return errOtherKey
	case c.CertificateThumbprint == "":
		return nil
	}
	der, err := p.certificate(ctx, r)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(der)
	if len(der) == 0 || !sameText(c.CertificateThumbprint, base64.RawURLEncoding.EncodeToString(sum[:])) {
		return errOtherCertificate
	}
	return nil
}

// certificate returns the certificate that the client itself has proved to own,
// empty when there is none. Whether a root vouches for it was the issuer's to ask
// (RFC 8705 section 6.2). A trusted proxy's own certificate never counts, nor does
// that of a peer that may be such a proxy: a token bound to it would be good for
// everybody behind the proxy.
func (p possession) certificate(ctx context.Context, r *authctx.Request) ([]byte, error) {
	if p.proxies != nil {
		switch err := p.proxies.Trusts(ctx, r); {
		case err == nil:
			return clientCert(r.Values(clientCertField))
		case errors.Is(err, authctx.Unavailable):
			return nil, unavailable("CertificateProxies", err)
		}
	}
	switch {
	case r.UnverifiedPeerCertificate != nil:
		return r.UnverifiedPeerCertificate.Raw, nil
	case len(r.PeerCertificates) > 0: // of a transport that knows no others
		return r.PeerCertificates[0].Raw, nil
	}
	return nil, nil
}

// fields returns what is read besides the token. The chain is not read but has to
// be stripped: an upstream might believe it.
func (p possession) fields() authctx.FieldSet {
	if p.proxies == nil {
		return authctx.FieldSet{}
	}
	return authctx.FieldSet{Names: []string{clientCertField, clientCertField + "-chain"}}
}

const (
	clientCertField = "client-cert"
	maxClientCert   = 32 << 10 // as written in the field, with its parameters
)

// clientCert decodes the field of RFC 9440 section 2.2: one byte sequence of RFC
// 9651 section 3.3.5, read as section 4.2.7 there wants it, without regard to
// padding. Parameters mean nothing. What the bytes are is not looked at, since
// only their hash counts; no bytes are no certificate, as proxies write it that set
// the field for every client.
func clientCert(values []string) ([]byte, error) {
	if len(values) == 0 {
		return nil, nil
	}
	if len(values[0]) > maxClientCert {
		return nil, errClientCert
	}
	inner, opened := strings.CutPrefix(strings.Trim(values[0], " "), ":")
	inner, parameters, closed := strings.Cut(inner, ":")
	// The decoder skips line breaks, which a field cannot have.
	if len(values) > 1 || !opened || !closed || strings.ContainsAny(inner, "\r\n") ||
		!onlyParameters.MatchString(parameters) {
		return nil, errClientCert
	}
	der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(inner, "="))
	if err != nil {
		return nil, errClientCert
	}
	return der, nil
}

// onlyParameters matches parameters (RFC 9651 section 3.1.2) and no second value.
var onlyParameters = regexp.MustCompile(`^(; *[a-z*][a-z0-9_.*-]*(=(%?"([ !#-\[\]-~]|\\["\\])*"|[!#-+\--:<-~]+))?)*$`)

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

var (
	errNotBound         = refusal(authctx.InvalidToken, "token presented with a DPoP proof is bound to no key")
	errOtherKey         = refusal(authctx.InvalidToken, "token is bound to another key than that of the DPoP proof")
	errOtherCertificate = refusal(authctx.InvalidToken, "token is bound to a client certificate that was not shown")
	errClientCert       = refusal(authctx.InvalidRequest, "client-cert field is not one byte sequence")
)
