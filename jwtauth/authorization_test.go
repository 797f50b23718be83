package jwtauth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// Whoever looks for the mistake of a client has nothing but the cause.
func TestAMalformedFieldIsToldWhatIsWrongAndNotWhatWasSent(t *testing.T) {
	v := newVerifier(t, signerFor(t, jwtauth.EdDSA), nil)
	const token = "c2VjcmV0"
	for value, want := range map[string]string{
		"Bearer":                            "no token",
		"Bearer ":                           "no token",
		"Bearer Bearer " + token:            "space or a control character in the token, perhaps after a scheme too many",
		"Bearer " + token + " x":            "space or a control character",
		"Bearer\t" + token:                  "space or a control character",
		"Bearer" + token:                    "begin with a scheme and a space",
		"bearerey.J-_":                      "begin with a scheme and a space",
		"Bearer:" + token:                   "begin with a scheme and a space",
		"Bearer: " + token:                  "begin with a scheme and a space",
		"bearer=" + token:                   "begin with a scheme and a space",
		`"Bearer" ` + token:                 "begin with a scheme and a space",
		" Bearer " + token:                  "begin with a scheme and a space",
		"Basic dTpw, Bearer " + token:       "several credentials",
		"Bearer " + token + ", Basic dTpw":  "several credentials",
		"Bearer x,Bearer " + token:          "several credentials",
		"Bearer, Bearer " + token:           "several credentials",
		"Digest nc=1,bearer " + token + "x": "several credentials",
	} {
		_, err := newBearer(t, v, nil).Authenticate(t.Context(), fields("Authorization", value))
		if !errors.Is(err, authctx.InvalidRequest) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), token) {
			t.Errorf("%q: %v, want %s", value, err, want)
		}
	}
	_, err := newBearer(t, v, &jwtauth.BearerOptions{Header: "x-token"}).Authenticate(t.Context(), fields("X-Token", "Bearer "+token))
	if !errors.Is(err, authctx.InvalidRequest) || !strings.Contains(err.Error(), "a scheme too many") {
		t.Errorf("a scheme where there is none: %v", err)
	}
}
