package authctx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/authctx/authctx"
)

// Rule 3: size limits come before decoding. Who may publish chooses how many
// headers a message has, and how they are spelled. Were each one looked for among
// all, these would take minutes, and nothing is verified yet.
func TestRule3ManyHeadersCostAMessageNoMoreThanTheirNumber(t *testing.T) {
	const many = 50_000
	kubernetes := authctx.KubernetesLayout()
	deferred := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x-user-deferred"}},
		func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
			for name := range r.Fields.Names() {
				_ = r.Values(name)
			}
			return authctx.Result{}, authctx.InvalidToken
		})
	for what, attack := range map[string]struct {
		reader authctx.Authenticator
		name   func(i int) string
		want   authctx.Reason
	}{
		"case variants of one name": {
			reader(t, authctx.FieldsAuthenticatorConfig{}),
			func(i int) string { return variant("x-user-groups-incomplete", i) }, authctx.InvalidRequest,
		},
		"attributes of a prefix": {
			reader(t, authctx.FieldsAuthenticatorConfig{Layout: &kubernetes, Issuer: "k"}),
			func(i int) string { return fmt.Sprint("x-remote-extra-", i) }, authctx.InvalidRequest,
		},
		"case variants of one attribute": {
			reader(t, authctx.FieldsAuthenticatorConfig{Layout: &kubernetes, Issuer: "k"}),
			func(i int) string { return variant("x-remote-extra-abcdefghi", i) }, authctx.InvalidRequest,
		},
		"names that an authenticator asks for": {
			deferred, func(i int) string { return fmt.Sprint("x-user-", i) }, authctx.InvalidToken,
		},
		"case variants that an authenticator asks for": {
			deferred, func(i int) string { return variant("x-user-groups-incomplete", i) }, authctx.InvalidToken,
		},
	} {
		for _, value := range []string{"v", ""} {
			headers := make(map[string]string, many)
			for i := range many {
				headers[attack.name(i)] = value
			}
			if len(headers) != many {
				t.Fatalf("%s: %d headers", what, len(headers))
			}
			_, err := authctx.ExtractHeaders(t.Context(), attack.reader, "orders", headers)
			if !errors.Is(err, attack.want) && (value != "" || !errors.Is(err, authctx.NoCredentials)) {
				t.Errorf("%s, %q: %v, want %v", what, value, err, attack.want)
			}
		}
	}
}

// variant spells the letters of name in upper case that i has a bit for.
func variant(name string, i int) string {
	return strings.Map(func(c rune) rune {
		if c == '-' {
			return c
		}
		if i&1 == 1 {
			c += 'A' - 'a'
		}
		i >>= 1
		return c
	}, name)
}
