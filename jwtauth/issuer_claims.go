package jwtauth

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// accessClaims are the claims of RFC 9068 section 2.2 and those registered
// claims that a principal has a place for.
type accessClaims struct {
	Issuer       string      `json:"iss"`
	Subject      string      `json:"sub"`
	Audience     audience    `json:"aud"`
	Expires      int64       `json:"exp"`
	IssuedAt     int64       `json:"iat"`
	TokenID      string      `json:"jti"`
	ClientID     string      `json:"client_id"`
	Scope        string      `json:"scope,omitempty"`
	Roles        []string    `json:"roles,omitempty"`
	Groups       []string    `json:"groups,omitempty"`
	Entitlements []string    `json:"entitlements,omitempty"`
	Tenant       string      `json:"tenant,omitempty"`
	Name         string      `json:"name,omitempty"`
	Email        string      `json:"email,omitempty"`
	SessionID    string      `json:"sid,omitempty"`
	ACR          string      `json:"acr,omitempty"`
	AMR          []string    `json:"amr,omitempty"`
	AuthTime     numericDate `json:"auth_time,omitzero"`
	Actor        *actor      `json:"act,omitempty"`
}

func newAccessClaims(a *authctx.Attributes, aud audience) *accessClaims {
	return &accessClaims{
		Issuer: a.Issuer, Subject: a.Subject, Audience: aud,
		Expires: a.Expires.Unix(), IssuedAt: a.IssuedAt.Unix(), TokenID: a.TokenID,
		ClientID: a.ClientID, Scope: strings.Join(a.Scopes, " "),
		Roles: a.Roles, Groups: a.Groups, Entitlements: a.Permissions,
		Tenant: a.Tenant, Name: a.Name, Email: a.Email, SessionID: a.SessionID,
		ACR: a.ACR, AMR: a.AMR, AuthTime: numericDate{a.AuthTime}, Actor: newActor(a.Actors),
	}
}

// audience is written as a string when it is one (RFC 7519 section 4.1.3).
type audience []string

// MarshalJSON implements json.Marshaler.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// actor is an "act" claim (RFC 8693 section 4.1), the current actor outermost.
type actor struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
	Actor   *actor `json:"act,omitempty"`
}

// maxActors is how many actors verifiers read, each an object in the one before.
const maxActors = strictjson.MaxDepth - 1

func newActor(chain []authctx.Actor) *actor {
	if len(chain) == 0 {
		return nil
	}
	return &actor{Issuer: chain[0].Issuer, Subject: chain[0].Subject, Actor: newActor(chain[1:])}
}

// numericDate is a time in whole seconds (RFC 7519 section 2). The zero time is
// absent, under omitzero.
type numericDate struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (d numericDate) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, d.Unix(), 10), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (d *numericDate) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	d.Time = time.Unix(n, 0)
	return err
}

// reservedClaims are names that Extra must not take: all that verifiers read
// unless they are told otherwise, claims that Issue writes among them, and claims
// that change what others mean.
var reservedClaims = slices.Concat(
	decidingClaims[:], RFC9068Claims().names(), txnMapping{}.names(), introspectedClaims[:],
	[]string{"email_verified", "may_act"},
)

// addClaims adds lists to an object. No added name may differ from a reserved
// one, or from another, in case only, because some reader will take the two for
// the same.
func addClaims(claims []byte, extra map[string][]string) ([]byte, error) {
	names := slices.Sorted(maps.Keys(extra))
	for i, name := range names {
		same := func(other string) bool { return strings.EqualFold(name, other) }
		if n := slices.IndexFunc(reservedClaims, same); n >= 0 {
			return nil, fmt.Errorf("jwtauth: issue: Extra has the key %q, which is a claim of its own", reservedClaims[n])
		}
		if n := slices.IndexFunc(names[:i], same); n >= 0 {
			return nil, fmt.Errorf("jwtauth: issue: Extra has the keys %q and %q, which differ in case only", names[n], name)
		}
	}
	more, err := json.Marshal(extra)
	if err != nil {
		return nil, fmt.Errorf("jwtauth: issue: %w", err)
	}
	claims[len(claims)-1] = ','
	return append(claims, more[1:]...), nil
}
