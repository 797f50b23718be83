package jwtauth_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/authctx/authctx/jwtauth"
)

const (
	// methodVerbs are those that fmt hands to a Formatter.
	methodVerbs = "vTtbcdoOqxXUeEfFgGs"
	// allVerbs has the two as well that it answers itself.
	allVerbs = methodVerbs + "pw"
)

// printed is what a program may write of v: by itself and in lists, with every
// verb and flag, by a logger and as JSON.
func printed(v any, verbs string) string {
	var out bytes.Buffer
	for _, verb := range verbs {
		for _, flag := range []string{"", "+", "#", " "} {
			format := "%" + flag + string(verb) + "\n"
			fmt.Fprintf(&out, format+format+format, v, []any{v}, map[string]any{"k": v})
			fmt.Fprintln(&out, fmt.Errorf(format, v))
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("made", "v", v, slog.Group("g", "v", v))
	slog.New(slog.NewJSONHandler(&out, nil)).Info("made", "v", v, slog.Group("g", "v", v))
	text, err := json.Marshal(v)
	fmt.Fprintln(&out, v, string(text), err)
	return out.String()
}

// leaksOf reports in which forms a secret is in a text.
func leaksOf(text string, secret []byte) (forms []string) {
	secret = secret[:8]
	for _, format := range []string{"%s", "%d", "%x", "%X", "% x", "%b", "%o", "%O", "%c", "%U", "%#v"} {
		form := strings.Trim(strings.TrimPrefix(fmt.Sprintf(format, secret), "[]byte"), "[]{}")
		if strings.Contains(text, form) {
			forms = append(forms, format)
		}
	}
	if strings.Contains(text, base64.StdEncoding.EncodeToString(secret[:6])) {
		forms = append(forms, "base64")
	}
	return forms
}

// fmt calls no method for %p, for %w of what is no error, and for what it finds
// in fields that are not exported.
func TestRule11_NothingThatLooksIntoAKeyFindsASecret(t *testing.T) {
	secret := []byte("s3cr3t5!s3cr3t5!s3cr3t5!s3cr3t5!")
	ed := ed25519.NewKeyFromSeed(secret)
	signs := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.HS256, Secret: secret, ID: "k1"}))
	signer := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, Signer: ed}))
	remote := must(jwtauth.NewSigningKey(jwtauth.SigningKeyConfig{Algorithm: jwtauth.EdDSA, Signer: kmsSigner{ed}}))
	verifies := must(jwtauth.NewHMACKey("k1", jwtauth.HS256, secret))
	set := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: signs}))
	for _, v := range []any{signs, signer, remote, verifies, set} {
		inner := reflect.ValueOf(v).Elem().Interface()
		for _, v := range []any{v, inner, struct{ in any }{v}, struct{ in any }{inner}, &struct{ in any }{inner}} {
			if forms := leaksOf(printed(v, allVerbs), secret); forms != nil {
				t.Errorf("%T shows its secret in the forms %q", v, forms)
			}
		}
	}
}

func TestRule11_NoVerbThatAsksPrintsTheSecretOfAConfiguration(t *testing.T) {
	secret := []byte("s3cr3t5!s3cr3t5!s3cr3t5!s3cr3t5!")
	for _, v := range []any{
		&jwtauth.SigningKeyConfig{Algorithm: jwtauth.HS256, Secret: secret, PEM: secret, Signer: kmsSigner{ed25519.NewKeyFromSeed(secret)}},
		&jwtauth.DPoPConfig{NonceSecret: secret},
		&jwtauth.IntrospectorConfig{ClientSecret: string(secret)},
	} {
		inner := reflect.ValueOf(v).Elem().Interface()
		for _, v := range []any{v, inner, struct{ In any }{inner}} {
			if forms := leaksOf(printed(v, methodVerbs), secret); forms != nil {
				t.Errorf("%T shows its secret in the forms %q", v, forms)
			}
		}
	}
}

func TestRule11_IntrospectorsAndDPoPKeepTheirSecretsFromEveryVerb(t *testing.T) {
	secret := []byte("s3cr3t5!s3cr3t5!s3cr3t5!s3cr3t5!")
	cfg := introspectionConfig("https://as.example.com/introspect", newClock())
	cfg.ClientSecret = string(secret)
	dpop := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.RequireNonce, cfg.NonceSecret = true, secret }).dpop
	for _, v := range []any{newIntrospector(t, cfg), dpop} {
		for _, v := range []any{v, struct{ in any }{v}} {
			if forms := leaksOf(printed(v, allVerbs), secret); forms != nil {
				t.Errorf("%T shows its secret in the forms %q", v, forms)
			}
		}
	}
}

// A test of the test: it finds what is there.
func TestPrintedSecretsAreFound(t *testing.T) {
	secret := []byte("s3cr3t5!s3cr3t5!")
	for _, verb := range allVerbs {
		if text := printed(struct{ in []byte }{secret}, string(verb)); verb != 'T' && leaksOf(text, secret) == nil {
			t.Errorf("%%%c: nothing found in %s", verb, text)
		}
	}
	if leaksOf(errors.New("nothing").Error(), secret) != nil {
		t.Error("found what is not there")
	}
}
