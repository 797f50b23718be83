package jwtauth

import (
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/strictjson"
)

// ClaimMapping says how claims become the attributes of a principal. It is
// immutable.
type ClaimMapping struct{}

// RFC9068Claims reads the claims of RFC 9068, RFC 8693 and OpenID Connect.
func RFC9068Claims() *ClaimMapping { return &ClaimMapping{} }

// attributes reads everything but issuer, times and provenance.
func (m *ClaimMapping) attributes(doc *strictjson.Doc) (authctx.Attributes, error) {
	var a authctx.Attributes
	ok := true
	text := func(name string) string {
		v := doc.Get(name)
		s, isText := v.Text()
		ok = ok && (isText || !v.Exists())
		return s
	}
	a.Subject, a.TokenID, a.ClientID, a.Tenant = text("sub"), text("jti"), text("client_id"), text("tenant")
	a.SessionID, a.Name, a.Email, a.ACR = text("sid"), text("name"), text("email"), text("acr")
	a.Scopes = strings.Fields(text("scope"))
	a.Roles, a.Permissions, a.Groups = texts(doc, "roles"), texts(doc, "permissions"), texts(doc, "groups")
	if !ok {
		return a, errClaimsJSON
	}
	return a, nil
}

func texts(doc *strictjson.Doc, name string) (list []string) {
	for v := range doc.Get(name).Elements() {
		if s, ok := v.Text(); ok && s != "" {
			list = append(list, s)
		}
	}
	return list
}
