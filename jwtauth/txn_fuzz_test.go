package jwtauth_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// Whatever a principal may hold, minting either fails or brings all of it back.
// The oracle is the principal itself.
func FuzzTxnRoundTrip(f *testing.F) {
	f.Add("https://idp.test", "alice", "orders.read", "editor", "region", false, int64(1_800_000_600))
	f.Add("i#%", "s#\x00\u2028<", "a b", "ä,\"", "sub", true, int64(1_799_999_999))
	w := newTxnWorld(f, newTestKey(f, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Scopes = jwtauth.CallerScopes
	})
	f.Fuzz(func(t *testing.T, issuer, subject, scope, text, key string, service bool, end int64) {
		a := authctx.Attributes{
			Issuer: issuer, Subject: subject, Name: text, Email: text, Tenant: text, ClientID: text, SessionID: text,
			TokenID: text, ACR: text, Expires: time.Unix(end, 0), GroupsIncomplete: service, AuthTime: time.Unix(end&1, 0),
		}
		if service {
			a.Kind = authctx.Service
		}
		if scope != "" {
			a.Scopes = []string{scope}
		}
		if text != "" {
			a.Roles, a.Permissions, a.Groups, a.AMR = []string{text, text}, []string{text}, []string{text}, []string{text}
			a.Actors = []authctx.Actor{{Issuer: text, Subject: text}}
			if key != "" {
				a.Extra = map[string][]string{key: {text}}
			}
		}
		p, err := authctx.New(a)
		if err != nil {
			return
		}
		token, err := inject(t.Context(), w.edge, p)
		if err != nil {
			// A control character takes six bytes in JSON, eight in base64url; issuer
			// and subject are written twice, and what is neither of these takes less
			// than 1,100.
			if !p.ExpiredAt(w.Now()) && !strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) &&
				8*(2*(len(issuer)+len(subject))+len(scope)+len(key)+16*len(text)) < 7<<10-1100 {
				t.Fatalf("a caller who can travel was refused: %v", err)
			}
			return
		}
		res, err := w.authenticate(token)
		if err != nil {
			t.Fatalf("what was minted is refused: %v", err)
		}
		got, want := res.Principal.Attributes(), p.Attributes()
		got.Claims, got.Provenance = "", want.Provenance
		if !reflect.DeepEqual(got, want) {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
	})
}
