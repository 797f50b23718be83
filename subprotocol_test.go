package authctx_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/authctx/authctx"
)

func TestSubprotocolsThatCarryACredentialAreRead(t *testing.T) {
	for name, tc := range map[string]struct {
		lines, want []string
	}{
		"absent":                {nil, nil},
		"others only":           {[]string{"chat, v2.chat"}, nil},
		"among others":          {[]string{"chat, bearer.abc ,v2"}, []string{"abc"}},
		"two lines":             {[]string{"bearer.a", "bearer.b"}, []string{"a", "b"}},
		"another case is other": {[]string{"Bearer.abc"}, nil},
		"nothing after it":      {[]string{"bearer."}, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &authctx.Request{Fields: authctx.FieldMap(map[string][]string{"Sec-WebSocket-Protocol": tc.lines})}
			if got := r.Subprotocols("bearer."); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestOneOfRefusesASubprotocolBesideAnotherCredential(t *testing.T) {
	none := func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{}, authctx.NoCredentials
	}
	a := authctx.OneOf(
		authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, none),
		authctx.NewAuthenticator(authctx.FieldSet{Subprotocols: []string{"bearer."}}, none),
	)
	if got := a.Fields().Subprotocols; !slices.Equal(got, []string{"bearer."}) {
		t.Fatalf("Fields().Subprotocols = %q", got)
	}
	both := map[string][]string{"authorization": {"Bearer a"}, "sec-websocket-protocol": {"bearer.b"}}
	_, err := a.Authenticate(t.Context(), &authctx.Request{Fields: authctx.FieldMap(both)})
	if !errors.Is(err, authctx.InvalidRequest) {
		t.Errorf("two kinds of credentials: %v", err)
	}
	delete(both, "authorization")
	_, err = a.Authenticate(t.Context(), &authctx.Request{Fields: authctx.FieldMap(both)})
	if !errors.Is(err, authctx.NoCredentials) {
		t.Errorf("one kind: %v", err)
	}
}
