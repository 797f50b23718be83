package jwtauth

import (
	"slices"
	"strings"

	"github.com/authctx/authctx/internal/strictjson"
)

// TypePolicy says which kinds of token a verifier takes, by the "typ" of the
// header (RFC 8725 section 3.11).
//
// The zero TypePolicy takes access tokens: "at+jwt", and, because many providers
// do not type their tokens, "JWT" or no type. It then refuses the claims of an
// event, such as a logout, and those of an ID token, which are
//
//   - "at_hash", "c_hash" or "s_hash";
//   - "nonce", if there is an "azp", or neither a "scope" nor a "client_id" ("cid"
//     of Okta). Beside "scp", or a claim "typ" of Bearer or DPoP as Keycloak writes
//     it, a nonce is allowed.
//
// Access tokens of Dex, authentik and Casdoor have the claims of ID tokens: they
// need [IDTokenTypes].
//
// An ID token without these claims, or a signed answer of the userinfo endpoint,
// differs from an access token in its audience only, which is the client. So
// [VerifierConfig.Audiences] should hold neither the ID of a client in which users
// log in nor any other audience of ID tokens, such as the project at Zitadel (for
// which [ZitadelClaims] has another test). Where the provider writes "at+jwt", use
// [RFC9068Types], which leaves nothing to chance.
type TypePolicy struct {
	kind  typeKind
	names []string
}

type typeKind uint8

const (
	accessTokens typeKind = iota
	strictAccessTokens
	namedTypes
	moduleTypes // named by this package, for tokens of its own kinds
	idTokens
	jwtSVIDs
)

// RFC9068Types takes "at+jwt" only and requires every claim that RFC 9068
// section 2.2 requires: sub, client_id, iat and jti besides those that are
// always required. It needs [VerifierConfig.Audiences], for "aud" is one of these.
func RFC9068Types() TypePolicy { return TypePolicy{kind: strictAccessTokens} }

// NamedTypes takes tokens of exactly these types, compared as media types: case
// does not matter and "application/" may be left out. Types that are known to be
// no credential to call an API with, such as "logout+jwt" and "dpop+jwt", and
// Transaction Tokens, which [TxnAuthenticator] takes, cannot be named.
func NamedTypes(first string, rest ...string) TypePolicy {
	names := make([]string, 0, 1+len(rest))
	for _, name := range append([]string{first}, rest...) {
		names = append(names, mediaType(name))
	}
	return TypePolicy{kind: namedTypes, names: names}
}

// ownTypes is NamedTypes for the kinds of token that this package makes itself.
func ownTypes(names ...string) TypePolicy { return TypePolicy{kind: moduleTypes, names: names} }

// IDTokenTypes takes ID tokens of OpenID Connect, and no token whose header says
// that it is an access token. Nothing marks an ID token, so an access token of
// "typ" "JWT" or none passes too where the issuer makes it for the same audience,
// which for ID tokens is the client. An ID token tells a client who logged in; it
// is no permission to call an API. Use this only for providers that have nothing
// else to offer, such as Google and Firebase, or whose access tokens cannot be
// told from ID tokens, such as Dex and authentik.
func IDTokenTypes() TypePolicy { return TypePolicy{kind: idTokens} }

// SPIFFETypes takes JWT-SVIDs, whose "typ" is "JWT", "JOSE" or absent (JWT-SVID
// section 2.3), unless their claims are those of an ID token or of an event. It
// goes with [SPIFFEClaims].
func SPIFFETypes() TypePolicy { return TypePolicy{kind: jwtSVIDs} }

// otherKinds are types of tokens that are something else than access tokens.
var otherKinds = [...]string{
	proofType, txnType, txnTypeOlder, deferredType,
	"secevent+jwt",            // RFC 8417 section 2.3
	"logout+jwt",              // OpenID Connect Back-Channel Logout section 2.4
	"oauth-authz-req+jwt",     // RFC 9101 section 10.8
	"token-introspection+jwt", // RFC 9701 section 5
}

func (p TypePolicy) validate(wrong *problems) {
	if p.kind != namedTypes {
		return
	}
	for _, name := range p.names {
		switch {
		case name == "":
			wrong.add("Types has an empty name")
		case slices.Contains(otherKinds[:], name):
			wrong.add("Types has %q, which is another kind of token and no access token", name)
		}
		wrong.exact("Types", name)
	}
}

// fits judges what can be known before the signature.
func (p TypePolicy) fits(mediaType string) bool {
	switch p.kind {
	case accessTokens:
		return mediaType == "at+jwt" || generic(mediaType)
	case strictAccessTokens:
		return mediaType == "at+jwt"
	case namedTypes, moduleTypes:
		return slices.Contains(p.names, mediaType)
	case idTokens:
		return generic(mediaType)
	case jwtSVIDs:
		return generic(mediaType) || mediaType == "jose"
	}
	return false
}

// checkClaims refuses events, whatever the header calls them: an object of that
// name (RFC 8417 section 2.2). It judges tokens whose header leaves their kind
// open.
func (p TypePolicy) checkClaims(mediaType string, doc *strictjson.Doc) error {
	open := generic(mediaType) || p.kind == jwtSVIDs
	switch events := doc.Get("events").Kind(); {
	case events == strictjson.Object, events != strictjson.Missing && open:
		return errEventToken
	case !open, p.kind == idTokens:
		return nil
	}
	return refuseIDToken(doc)
}

// refuseIDToken refuses claims that have what is an ID token's alone: the hash of
// something that was issued along with it (OpenID Connect Core section 3.3.2.11;
// s_hash of FAPI 1.0 part 2), or the nonce of a login. Some access tokens repeat the
// nonce:
//
//   - those of older Keycloaks, beside a "typ" that is not "ID";
//   - those of Azure AD B2C, beside "scp", with an "azp";
//   - others, beside a scope or a client. ID tokens of Zitadel and Glewlwyd have these
//     too, with an "azp".
func refuseIDToken(doc *strictjson.Doc) error {
	for _, name := range [...]string{"at_hash", "c_hash", "s_hash"} {
		if doc.Get(name).Kind() != strictjson.Missing {
			return errIDToken
		}
	}
	if !doc.Get("nonce").Exists() {
		return nil
	}
	if typ, _ := doc.Get("typ").Text(); typ == "Bearer" || typ == "DPoP" {
		return nil
	}
	if doc.Get("scp").Exists() {
		return nil
	}
	if doc.Get("azp").Exists() {
		return errNonce
	}
	for _, name := range [...]string{"scope", "client_id", "cid"} {
		if doc.Get(name).Exists() {
			return nil
		}
	}
	return errNonce
}

// generic reports whether the type says nothing about the kind of token.
func generic(mediaType string) bool { return mediaType == "" || mediaType == "jwt" }

// String names the policy for operators.
func (p TypePolicy) String() string {
	switch p.kind {
	case strictAccessTokens:
		return "RFC 9068 access tokens"
	case namedTypes, moduleTypes:
		return strings.Join(p.names, ", ")
	case idTokens:
		return "ID tokens"
	case jwtSVIDs:
		return "JWT-SVIDs"
	}
	return "access tokens"
}
