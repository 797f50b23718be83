package httpctx

import (
	"errors"
	"testing"

	"github.com/authctx/authctx"
)

// No policy is known to bring this about; if one does, nobody gets in by it.
func TestRule10_AnOpenQueryThatNoEntryAnswersIsRefused(t *testing.T) {
	p, err := authctx.New(authctx.Attributes{Issuer: "https://idp.example", Subject: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		caller authctx.Principal
		want   authctx.Reason
	}{{p, authctx.PermissionDenied}, {authctx.Principal{}, authctx.NoCredentials}} {
		rt := &route{table: &table{}, unasked: &openQuery{}}
		if err := rt.authorizeOpen(t.Context(), tc.caller); !errors.Is(err, tc.want) {
			t.Errorf("%v: %v, want %v", tc.caller, err, tc.want)
		}
	}
}
