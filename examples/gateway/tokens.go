package main

import (
	"cmp"
	"errors"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// newKeys returns the keys of the identity provider. They are loaded in the
// background: a provider that is down does not keep the gateway from starting.
func (g *gateway) newKeys() (*jwtauth.RemoteKeys, error) {
	cfg := jwtauth.RemoteKeysConfig{RefreshInterval: g.keysRefresh, CoolDown: g.keysCoolDown}
	if g.jwks != "" {
		cfg.JWKSURL = g.jwks
	} else {
		cfg.Issuer = g.issuer
	}
	return jwtauth.NewRemoteKeys(cfg)
}

// newAuthenticator returns how clients are known: by a bearer token of the
// issuer, for the audience, signed with one of the keys.
func (g *gateway) newAuthenticator(keys jwtauth.KeySource) (authctx.Authenticator, error) {
	var algorithms []jwtauth.Algorithm
	var errs []error
	for _, name := range g.algorithms {
		algorithm, err := jwtauth.ParseAlgorithm(name)
		algorithms, errs = append(algorithms, algorithm), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	verifier, err := jwtauth.NewVerifier(jwtauth.Config{
		Issuer:     g.issuer,
		Audiences:  g.audiences,
		Algorithms: algorithms,
		Keys:       keys,
		Leeway:     cmp.Or(g.leeway, jwtauth.NoLeeway),
	})
	if err != nil {
		return nil, err
	}
	return jwtauth.NewBearer(verifier, nil)
}
