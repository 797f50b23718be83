package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/jwtauth"
)

// The gateway's own credentials, kept out of flags, which others can see.
const (
	clientIDVariable     = "GATEWAY_CLIENT_ID"
	clientSecretVariable = "GATEWAY_CLIENT_SECRET"
)

// introspection is where to ask about tokens that are no JWT.
type introspection struct {
	flag                             program.Once
	clients                          bool // have no subject
	endpoint, clientID, clientSecret string
}

// parse reads the flag, which may hold a secret that no error may show.
func (i *introspection) parse() error {
	switch {
	case i.flag.Text == "" && i.clients:
		return errors.New("-introspect-clients needs -introspect")
	case i.flag.Text == "":
		return nil
	}
	u, err := url.Parse(i.flag.Text)
	if err != nil {
		return errors.New("-introspect is not a URL")
	}
	secret, _ := u.User.Password()
	i.clientID = cmp.Or(u.User.Username(), os.Getenv(clientIDVariable))
	i.clientSecret = cmp.Or(secret, os.Getenv(clientSecretVariable))
	if i.clientID == "" || i.clientSecret == "" {
		return fmt.Errorf("-introspect needs %s and %s in the environment", clientIDVariable, clientSecretVariable)
	}
	u.User = nil
	i.endpoint = u.String()
	return nil
}

// introspector returns who asks. The endpoint speaks for the first issuer: if it
// could name any, one provider could make up users of another.
func (t *tokens) introspector(common jwtauth.VerifierConfig) (*jwtauth.Introspector, error) {
	claims, err := t.introspectedClaims(common.Claims)
	if err != nil {
		return nil, err
	}
	return jwtauth.NewIntrospector(jwtauth.IntrospectorConfig{
		Endpoint:             t.introspect.endpoint,
		ClientID:             t.introspect.clientID,
		ClientSecret:         t.introspect.clientSecret,
		Issuer:               t.issuers[0],
		Audiences:            common.Audiences,
		ClientIDs:            common.ClientIDs,
		Claims:               claims,
		ClientWithoutSubject: t.introspect.clients,
		Leeway:               common.Leeway,
		Cache:                jwtauth.CacheConfig{MaxAge: 10 * time.Second},
	})
}

// introspectedClaims returns how answers are read. With several issuers, each has
// to name its own, which RFC 7662 leaves optional: the order of flags is easily
// wrong, and users of one provider would be those of another.
func (t *tokens) introspectedClaims(claims *jwtauth.ClaimMapping) (*jwtauth.ClaimMapping, error) {
	if len(t.issuers) == 1 {
		return claims, nil
	}
	cfg := claims.Config()
	cfg.Require = append(cfg.Require, jwtauth.ClaimTest{Path: []string{"iss"}, Present: true})
	return jwtauth.NewClaimMapping(cfg)
}
