package main

import (
	"strings"

	"github.com/authctx/authctx/jwtauth"
)

// applyPreset makes cfg fit the tokens that -claims is about: it sets how their
// claims are read and, for providers whose tokens are not access tokens with an
// audience, what takes the place of that.
func applyPreset(cfg *jwtauth.VerifierConfig, flag string, typesGiven bool) (err error) {
	name, list, _ := strings.Cut(flag, ":")
	var args []string
	if list != "" {
		args = strings.Split(list, ",")
	}
	switch name {
	case "keycloak":
		if len(args) == 0 {
			args = cfg.Audiences // the roles of this client, besides those of the realm
		}
	case "google", "firebase", "dex":
		if !typesGiven {
			cfg.Types = jwtauth.IDTokenTypes()
		}
	case "spiffe":
		if !typesGiven {
			cfg.Types = jwtauth.SPIFFETypes()
		}
	case "cognito", "clerk":
		cfg.Audiences, cfg.ClientIDs = nil, cfg.Audiences // they write no "aud"
	}
	cfg.Claims, err = jwtauth.PresetClaims(name, args...)
	return err
}
