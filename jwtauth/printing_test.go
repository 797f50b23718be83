package jwtauth_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
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
		if _, ok := inner.(fmt.Stringer); !ok {
			t.Errorf("a printer that knows only fmt.Stringer shows the fields of %T", inner)
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

// An API key may be in a query, and a password in front of the host.
func TestRule11_NeitherTheQueryNorTheUserOfAnAddressIsPrinted(t *testing.T) {
	introspection := func(endpoint string) jwtauth.IntrospectorConfig {
		return introspectionConfig(endpoint, newClock())
	}
	second := func(_ any, err error) error { return err }
	keys := func(address string) error {
		return second(jwtauth.NewRemoteKeys(jwtauth.RemoteKeysConfig{JWKSURL: address}))
	}
	discovered := func(address string) error {
		return second(jwtauth.ReadMetadata("https://a.example", []byte(metadata("https://a.example", address))))
	}
	const asked = "https://as.example.com/introspect?key=s3cr3t5!"
	failing := introspection(asked)
	failing.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: errors.New("no route")}
	})
	for name, text := range map[string]any{
		"a configuration":             introspection(asked),
		"one with a user":             introspection("https://me:s3cr3t5!@as.example.com/introspect"),
		"one with nothing but that":   introspection("https:me:s3cr3t5!@as.example.com"),
		"one that is no URL":          introspection("https://me:s3cr3t5!@[as.example.com"),
		"an introspector":             newIntrospector(t, introspection(asked)),
		"where it is not https":       second(jwtauth.NewIntrospector(introspection("http://as.example.com/introspect?key=s3cr3t5!"))),
		"where it has a user":         second(jwtauth.NewIntrospector(introspection("https://me:s3cr3t5!@as.example.com/introspect"))),
		"where it is not absolute":    second(jwtauth.NewIntrospector(introspection("/introspect?key=s3cr3t5!"))),
		"where it is no URL":          second(jwtauth.NewIntrospector(introspection("https://me:s3cr3t5!@[as.example.com"))),
		"a transport that asks again": second(newIntrospector(t, failing).Verify(t.Context(), "opaque")),
		"keys that are not https":     keys("http://as.example.com/keys?key=s3cr3t5!"),
		"keys with a fragment":        keys("https://as.example.com/keys?key=s3cr3t5!#x"),
		"keys of a wide host":         keys("https://ａs.example.com/keys?key=s3cr3t5!"),
		"discovered and not https":    discovered("http://b.example/keys?key=s3cr3t5!"),
		"discovered and inside":       discovered("https://127.1/keys?key=s3cr3t5!"),
		"the address for proofs":      jwtauth.DPoPConfig{ExternalURL: "https://me:s3cr3t5!@api.example?key=s3cr3t5!"},
	} {
		if text == nil {
			t.Errorf("%s: no error", name)
		}
		if text := printed(text, methodVerbs); strings.Contains(text, "s3cr3t5") {
			t.Errorf("%s: %s", name, text)
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
