package jwtauth

import (
	"context"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/fieldname"
	"github.com/authctx/authctx/internal/grammar"
)

// Bearer is an [authctx.Authenticator] that reads a bearer token from one place
// of a request and asks a [TokenVerifier] about it. It is safe for concurrent
// use.
//
// It answers another scheme with [authctx.NoCredentials], two tokens in one
// request or a malformed authorization field with [authctx.InvalidRequest], and a
// bad token as the verifier does. The authorization field is malformed if
//
//   - it does not begin with a scheme (RFC 9110 section 11.4), as "ApiKey: x", even
//     if another authenticator could read it; a single token68, which may be a key
//     of somebody else's, counts as another scheme;
//   - a comma joins credentials of another scheme and, after them, of this one;
//   - nothing follows the scheme, or a space or control character is in what does.
//
// Anything else after the scheme is a token, good or bad, also in quotes or with a
// comma at its end: providers make opaque tokens of characters that RFC 6750
// section 2.1 does not allow, such as "|", so that only the verifier can tell.
//
// A token that is bound to a client certificate (RFC 8705 section 3) counts only
// on a connection on which the client has shown it. The certificate may be
// self-signed if the server's TLS configuration accepts that; but where it has
// ClientCAs, most clients show no certificate of another authority. A token that is
// bound to a key is refused, because presented as plain bearer it is stolen or
// misused (RFC 9449 section 7.2): it is for [DPoP].
type Bearer struct {
	verifier   TokenVerifier
	source     BearerOptions
	possession possession
	read       authctx.FieldSet // where the token is
	fields     authctx.FieldSet // read and what possession looks at
}

// BearerOptions say where else than in "Authorization: Bearer" a token is, and
// which tokens are meant. At most one of Cookie, Header and Subprotocol may be
// set; a service that takes tokens from several places joins several Bearers by
// [authctx.OneOf], which refuses requests that use two of them.
type BearerOptions struct {
	// Cookie is the name of the cookie that holds the token. Browsers send
	// cookies by themselves: protect the routes against cross-site requests, and
	// check the Origin of those that open a WebSocket, which are GETs that neither
	// CORS nor [net/http.CrossOriginProtection] stops.
	Cookie string
	// Header is the name of another header that holds the token.
	Header string
	// HeaderScheme says that the value of Header begins with "Bearer ".
	HeaderScheme bool
	// Subprotocol is the beginning of the WebSocket subprotocol that holds the
	// token, such as "bearer.", because a browser cannot send it otherwise. It
	// is read from requests that open a WebSocket and from no others. The page
	// offers another subprotocol besides, which the handler selects: browsers fail a
	// connection whose answer selects none of those that they offered.
	Subprotocol string
	// CertificateProxies are the TLS-terminating proxies that are believed when
	// they say in the client-cert field which certificate their client has
	// shown (RFC 9440). They must remove what clients send under that name.
	// From everybody else the field counts for nothing. Nil believes nobody. It is
	// asked only about requests with a token that is bound to a certificate, which are
	// answered with [authctx.Unavailable] where it cannot tell.
	//
	// HAProxy writes it by "http-request set-header Client-Cert
	// :%[ssl_c_der,base64]:", Caddy by `header_up Client-Cert
	// ":{http.request.tls.client.certificate_der_base64}:"`. PEM, as nginx has it in
	// a variable, is not that field and is refused. Apache httpd with SSLOptions
	// +ExportCertData makes the field of it by the lines below. Of a client without a
	// certificate it says "(null)", for which a bound token is answered 400.
	//
	//	RequestHeader set Client-Cert "%{SSL_CLIENT_CERT}s"
	//	RequestHeader edit Client-Cert "-----BEGIN CERTIFICATE-----" ":"
	//	RequestHeader edit Client-Cert "-----END CERTIFICATE-----" ":"
	//	RequestHeader edit* Client-Cert " " ""
	CertificateProxies authctx.Trust
	// Shape says which tokens are this authenticator's. Others are left to the
	// other members of an [authctx.OneOf], and refused as [authctx.InvalidToken] if
	// none takes them. It is needed beside another Bearer that reads the same
	// field, see [NewBearer].
	Shape TokenShape
}

// TokenShape tells tokens apart by what they look like.
type TokenShape uint8

const (
	// AnyShape takes every token for its own.
	AnyShape TokenShape = iota
	// JWTShape takes what is written like a signed JWT: three segments, the
	// first of which begins a JSON object.
	JWTShape
	// OpaqueShape takes what is not JWTShape.
	OpaqueShape
)

// NewBearer returns an authenticator that asks v. Nil options read the
// authorization field and take every token.
//
// Beside another Bearer that reads the same field, set Shape in both: without it
// the first one in [authctx.OneOf] takes the tokens of the other too, so that it
// refuses them or, if it asks an [Introspector], sends them to a stranger. Two
// issuers of JWTs are for one Bearer with a [MultiVerifier].
func NewBearer(v TokenVerifier, options *BearerOptions) (*Bearer, error) {
	b := &Bearer{verifier: v}
	if options != nil {
		b.source = *options
	}
	if err := b.source.validate(v); err != nil {
		return nil, err
	}
	b.source.Header = strings.ToLower(b.source.Header)
	switch {
	case b.source.Cookie != "":
		b.read = authctx.FieldSet{Cookies: []string{b.source.Cookie}}
	case b.source.Header != "":
		b.read = authctx.FieldSet{Names: []string{b.source.Header}}
	case b.source.Subprotocol != "":
		b.read = authctx.FieldSet{Subprotocols: []string{b.source.Subprotocol}}
	default:
		b.source.Header, b.source.HeaderScheme = authorization, true
		b.read = authctx.FieldSet{Names: []string{authorization}, Schemes: []string{bearerScheme}}
	}
	b.possession = possession{b.source.CertificateProxies}
	b.fields = b.read.Union(b.possession.fields())
	return b, nil
}

const (
	authorization = "authorization"
	bearerScheme  = "Bearer"
)

func (o *BearerOptions) validate(v TokenVerifier) error {
	var problems problems
	bad := problems.add
	if absent.Unmade(v) {
		bad("a TokenVerifier is required")
	}
	if o.Cookie != "" && o.Header != "" || o.Cookie+o.Header != "" && o.Subprotocol != "" {
		bad("only one of Cookie, Header and Subprotocol can be set; join several authenticators with OneOf")
	}
	if o.Cookie != "" && !grammar.IsToken(o.Cookie) {
		bad("Cookie is not a cookie name")
	}
	if o.Header != "" && !grammar.IsToken(o.Header) {
		bad("Header is not a header name")
	}
	if o.Subprotocol != "" && !grammar.IsToken(o.Subprotocol) {
		bad("Subprotocol is not the beginning of a subprotocol name")
	}
	if strings.EqualFold(o.Header, authorization) {
		bad("Header must not be authorization, which is what is read without it")
	} else if o.Header != "" && (authctx.FieldSet{Names: []string{o.Header}}.Validate() != nil || notForTokens.Owns(o.Header)) {
		bad("Header must not be %s, which servers refuse or which is there for something else", o.Header)
	}
	if o.HeaderScheme && o.Header == "" {
		bad("HeaderScheme means nothing without Header")
	}
	problems.hollow("CertificateProxies", o.CertificateProxies)
	if o.Shape > OpaqueShape {
		bad("Shape is unknown")
	}
	return problems.of("bearer")
}

// notForTokens are fields that say who is calling, or something else besides those
// that no [authctx.FieldSet] may own.
var notForTokens = plainNames.Union(txnFields, deferredFields(), authctx.FieldSet{Names: fieldname.Credentials[:]})

// Fields implements [authctx.Authenticator].
func (b *Bearer) Fields() authctx.FieldSet { return b.fields }

// Presents implements [authctx.Presenter].
func (b *Bearer) Presents(_ context.Context, r *authctx.Request) (bool, error) {
	_, err := b.token(r)
	return presents(err), nil
}

// Authenticate implements [authctx.Authenticator].
func (b *Bearer) Authenticate(ctx context.Context, r *authctx.Request) (authctx.Result, error) {
	token, err := b.token(r)
	if err != nil {
		return authctx.Result{}, err
	}
	found, err := ask(ctx, b.verifier, token)
	if err == nil {
		err = b.possession.check(ctx, found.Confirmation, r, "")
	}
	if err != nil {
		return authctx.Result{}, err
	}
	return authctx.Result{Principal: found.Principal, Read: b.read, Recheck: found.Recheck, Cached: found.Cached}, nil
}

// token returns the one token of a request that is this authenticator's.
func (b *Bearer) token(r *authctx.Request) (string, error) {
	var values []string
	scheme := ""
	switch {
	case b.source.Cookie != "":
		values = r.Cookies(b.source.Cookie)
		if len(values) == 1 && values[0] == "" {
			return "", authctx.NoCredentials
		}
	case b.source.Subprotocol != "":
		if opensWebSocket(r) {
			values = r.Subprotocols(b.source.Subprotocol)
		}
	default:
		values = lines(r, b.source.Header)
		if b.source.HeaderScheme {
			scheme = bearerScheme
		}
	}
	return oneToken(values, scheme, b.source.Shape)
}
