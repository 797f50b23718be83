package jwtauth

import (
	"errors"
	"slices"
	"strings"

	"github.com/authctx/authctx/internal/strictjson"
)

// TypePolicy says which kinds of token a verifier takes, by the "typ" of the
// header (RFC 8725 section 3.11).
//
// The zero TypePolicy takes access tokens: "at+jwt", and, because many providers
// do not type their tokens, "JWT" or nothing unless the claims are those of an
// ID token (at_hash, c_hash) or of an event such as a logout.
type TypePolicy struct {
	kind  typeKind
	names []string
}

type typeKind uint8

const (
	accessTokens typeKind = iota
	strictAccessTokens
	namedTypes
	idTokens
	jwtSVIDs
)

// RFC9068Types takes "at+jwt" only and requires every claim that RFC 9068
// section 2.2 requires: sub, client_id, iat and jti besides those that are
// always required.
func RFC9068Types() TypePolicy { return TypePolicy{kind: strictAccessTokens} }

// NamedTypes takes tokens of exactly these types, compared as media types: case
// does not matter and "application/" may be left out.
func NamedTypes(first string, rest ...string) TypePolicy {
	names := make([]string, 0, 1+len(rest))
	for _, name := range append([]string{first}, rest...) {
		names = append(names, mediaType(name))
	}
	return TypePolicy{kind: namedTypes, names: names}
}

// IDTokenTypes takes ID tokens of OpenID Connect and no access tokens. An ID
// token tells a client who logged in; it is no permission to call an API. Use
// this only for providers, such as Google and Firebase, that have nothing else
// to offer.
func IDTokenTypes() TypePolicy { return TypePolicy{kind: idTokens} }

// SPIFFETypes takes JWT-SVIDs, whose "typ" is "JWT", "JOSE" or absent (JWT-SVID
// section 2.3), unless their claims are those of an ID token or of an event. It
// goes with [SPIFFEClaims].
func SPIFFETypes() TypePolicy { return TypePolicy{kind: jwtSVIDs} }

func (p TypePolicy) validate() error {
	if p.kind == namedTypes && slices.Contains(p.names, "") {
		return errors.New("jwtauth: Types has an empty name")
	}
	return nil
}

func (p TypePolicy) clone() TypePolicy {
	p.names = slices.Clone(p.names)
	return p
}

// checkHeader judges what can be known before the signature.
func (p TypePolicy) checkHeader(mediaType string) error {
	ok := false
	switch p.kind {
	case accessTokens:
		ok = mediaType == "at+jwt" || generic(mediaType)
	case strictAccessTokens:
		ok = mediaType == "at+jwt"
	case namedTypes:
		ok = slices.Contains(p.names, mediaType)
	case idTokens:
		ok = generic(mediaType)
	case jwtSVIDs:
		ok = generic(mediaType) || mediaType == "jose"
	}
	if !ok {
		return errType
	}
	return nil
}

// checkClaims judges tokens whose header leaves their kind open.
func (p TypePolicy) checkClaims(mediaType string, doc *strictjson.Doc) error {
	if !generic(mediaType) && p.kind != jwtSVIDs {
		return nil
	}
	if doc.Get("events").Kind() != strictjson.Missing {
		return errEventToken
	}
	if p.kind != idTokens &&
		(doc.Get("at_hash").Kind() != strictjson.Missing || doc.Get("c_hash").Kind() != strictjson.Missing) {
		return errIDToken
	}
	return nil
}

// generic reports whether the type says nothing about the kind of token.
func generic(mediaType string) bool { return mediaType == "" || mediaType == "jwt" }

// String names the policy for operators.
func (p TypePolicy) String() string {
	switch p.kind {
	case strictAccessTokens:
		return "RFC 9068 access tokens"
	case namedTypes:
		return strings.Join(p.names, ", ")
	case idTokens:
		return "ID tokens"
	case jwtSVIDs:
		return "JWT-SVIDs"
	}
	return "access tokens"
}
