package jwtauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// txnForge signs any header and claims with the minting key of an issuer of
// jwtauthtest, whose keys the service trusts for the trust domain.
type txnForge struct {
	issuer *jwtauthtest.Issuer
	svc    *jwtauth.TxnAuthenticator
}

func newTxnForge(t testing.TB, changes ...func(*jwtauth.TxnAuthenticatorConfig)) *txnForge {
	t.Helper()
	clock := newTestClock()
	i := jwtauthtest.NewIssuer(t, &jwtauthtest.Options{Now: clock.Now, Lifetime: 2 * time.Minute})
	keys, _, err := jwtauth.ParseJWKSet(must(fetchBody(i.JWKSURL())))
	if err != nil {
		t.Fatal(err)
	}
	cfg := jwtauth.TxnAuthenticatorConfig{TrustDomain: testDomain, Keys: must(jwtauth.NewStaticKeys(keys[0])), Now: clock.Now}
	for _, change := range changes {
		change(&cfg)
	}
	return &txnForge{i, must(jwtauth.NewTxnAuthenticator(cfg))}
}

// token returns a good transaction token, for changing.
func (f *txnForge) token() *jwtauthtest.Token {
	t := f.issuer.Token().SetHeader("typ", "txntoken+jwt").
		Set("iss", testDomain).Set("aud", testDomain).Set("txn", "t-1").Set("sub", "alice").
		Set("scope", "orders.read").Set("req_wl", "gateway")
	for _, name := range []string{"jti", "client_id", "roles", "entitlements", "groups", "tenant", "name", "email", "sid"} {
		t.Set(name, nil)
	}
	return t
}

func (f *txnForge) authenticate(tokens ...string) (authctx.Principal, error) {
	res, err := authctx.Authenticate(context.Background(), f.svc, txnRequest(tokens...))
	return res.Principal, err
}

func TestTxnAttacks(t *testing.T) {
	f := newTxnForge(t)
	if _, err := f.authenticate(f.token().Sign()); err != nil {
		t.Fatalf("the token that the attacks change is no good: %v", err)
	}
	source := map[string]any{"src_iss": "https://idp.test", "src_sub": "alice"}
	detail := func(name string, value any) string { return f.token().Set("tctx", map[string]any{name: value}).Sign() }
	for name, tt := range map[string]struct {
		token string
		want  authctx.Reason
	}{
		"TT-1 typed as an access token":   {f.token().SetHeader("typ", "at+jwt").Sign(), authctx.WrongType},
		"TT-1 typed as JWT":               {f.token().SetHeader("typ", "JWT").Sign(), authctx.WrongType},
		"TT-1 without a type":             {f.token().SetHeader("typ", nil).Sign(), authctx.WrongType},
		"typed as an older draft":         {f.token().SetHeader("typ", "txn_token").Sign(), authctx.WrongType},
		"typed for messages":              {f.token().SetHeader("typ", "authctx-deferred+jwt").Sign(), authctx.WrongType},
		"TT-1 for another trust domain":   {f.token().Set("aud", "staging.test").Sign(), authctx.WrongAudience},
		"for no trust domain":             {f.token().Set("aud", nil).Sign(), authctx.WrongAudience},
		"CVE-2024-8901 another gateway":   {f.token().Set("iss", "https://other-gateway.test").Sign(), authctx.WrongIssuer},
		"by nobody":                       {f.token().Set("iss", nil).Sign(), authctx.InvalidToken},
		"expired":                         {f.token().Expired().Sign(), authctx.TokenExpired},
		"without an end":                  {f.token().Set("exp", nil).Sign(), authctx.InvalidToken},
		"lives for an hour":               {f.token().Set("exp", newTestClock().Now().Unix()+3600).Sign(), authctx.InvalidToken},
		"without the time of issue":       {f.token().Set("iat", nil).Sign(), authctx.InvalidToken},
		"without a transaction":           {f.token().Set("txn", nil).Sign(), authctx.InvalidToken},
		"empty transaction":               {f.token().Set("txn", "").Sign(), authctx.InvalidToken},
		"transaction as a number":         {f.token().Set("txn", 7).Sign(), authctx.InvalidToken},
		"without a subject":               {f.token().Set("sub", nil).Sign(), authctx.InvalidToken},
		"empty subject":                   {f.token().Set("sub", "").Sign(), authctx.InvalidToken},
		"subject of the source alone":     {f.token().Set("sub", nil).Set("tctx", source).Sign(), authctx.InvalidToken},
		"empty beside that of the source": {f.token().Set("sub", "").Set("tctx", source).Sign(), authctx.InvalidToken},
		"subject as a list":               {f.token().Set("sub", []string{"a"}).Sign(), authctx.InvalidToken},
		"without scope":                   {f.token().Set("scope", nil).Sign(), authctx.InvalidToken},
		"scope as a list":                 {f.token().Set("scope", []string{"a"}).Sign(), authctx.InvalidToken},
		"older draft's purpose":           {f.token().Set("scope", nil).Set("purp", "x").Sign(), authctx.InvalidToken},
		"without a workload":              {f.token().Set("req_wl", nil).Sign(), authctx.InvalidToken},
		"empty workload":                  {f.token().Set("req_wl", "").Sign(), authctx.InvalidToken},
		"workload as a bool":              {f.token().Set("req_wl", true).Sign(), authctx.InvalidToken},
		"workload as a list":              {f.token().Set("req_wl", []string{"a"}).Sign(), authctx.InvalidToken},
		"details as a list":               {f.token().Set("tctx", []string{}).Sign(), authctx.InvalidToken},
		"roles as a text":                 {detail("roles", "admin"), authctx.InvalidToken},
		"roles as numbers":                {detail("roles", []int{1}), authctx.InvalidToken},
		"unknown kind":                    {detail("kind", "root"), authctx.InvalidToken},
		"kind as a list":                  {detail("kind", []string{"service"}), authctx.InvalidToken},
		"tenant as a number":              {detail("tenant", 7), authctx.InvalidToken},
		"client as an object":             {detail("client_id", map[string]any{"id": "web"}), authctx.InvalidToken},
		"issuer of the source as a list":  {detail("src_iss", []string{"https://idp.test"}), authctx.InvalidToken},
		"subject of the source a number":  {detail("src_sub", 7), authctx.InvalidToken},
		"credential's ID as a number":     {f.token().Set("tctx", map[string]any{"src_iss": "i", "src_jti": 7}).Sign(), authctx.InvalidToken},
		"groups as objects":               {detail("groups", []any{map[string]any{"name": "g"}}), authctx.InvalidToken},
		"extra as a list":                 {detail("extra", []string{"region"}), authctx.InvalidToken},
		"extra that holds a text":         {detail("extra", map[string]any{"region": "eu"}), authctx.InvalidToken},
		"caller's end has come":           {detail("src_exp", 1_799_999_999), authctx.TokenExpired},
		"caller's end is no date":         {detail("src_exp", "never"), authctx.InvalidToken},
		"incomplete groups as text":       {detail("groups_incomplete", "true"), authctx.InvalidToken},
		"actor without subject":           {f.token().Set("act", map[string]any{"iss": "i"}).Sign(), authctx.InvalidToken},
		"actor named by a client only":    {f.token().Set("act", map[string]any{"iss": "i", "client_id": "c"}).Sign(), authctx.InvalidToken},
		"actor as a text":                 {f.token().Set("act", "admin").Sign(), authctx.InvalidToken},
		"claim in another case":           {f.token().Set("SCOPE", "admin").Sign(), authctx.InvalidToken},
		"details in another case":         {f.token().Set("tCtx", map[string]any{}).Sign(), authctx.InvalidToken},
		"bound to a key":                  {f.token().Set("cnf", map[string]any{"jkt": "x"}).Sign(), authctx.InvalidToken},
		"unsigned":                        {f.token().SignWith("none", nil).Sign(), authctx.InvalidToken},
		"HMAC":                            {f.token().SignWith("HS256", make([]byte, 32)).Sign(), authctx.InvalidToken},
		"A29 CVE-2021-29652 no signature": {strings.TrimRight(f.token().Sign(), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), authctx.InvalidToken},
	} {
		p, err := f.authenticate(tt.token)
		if !errors.Is(err, tt.want) || !p.IsZero() {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// Every claim that this module reads, and every one that it reads of an older
// draft: no other spelling stands beside it.
func TestRule3_NoClaimOfATransactionTokenIsShadowedByAnotherSpelling(t *testing.T) {
	for drafts, f := range map[string]*txnForge{
		"current":   newTxnForge(t),
		"older too": newTxnForge(t, func(c *jwtauth.TxnAuthenticatorConfig) { c.AcceptOlderDrafts = true }),
	} {
		for _, name := range []string{
			"iss", "sub", "aud", "exp", "nbf", "iat", "cnf", "events",
			"txn", "scope", "req_wl", "tctx", "rctx", "act", "purp", "azd",
		} {
			shadow := strings.ToUpper(name[:1]) + name[1:]
			if _, err := f.authenticate(f.token().Set(shadow, "x").Sign()); !errors.Is(err, authctx.InvalidToken) {
				t.Errorf("%s: %s: %v", drafts, shadow, err)
			}
		}
	}
}

func TestTxnFieldHoldsExactlyOneToken(t *testing.T) {
	f := newTxnForge(t)
	good := f.token().Sign()
	for name, tt := range map[string]struct {
		tokens []string
		want   authctx.Reason
	}{
		"absent":              {nil, authctx.NoCredentials},
		"empty":               {[]string{""}, authctx.NoCredentials},
		"twice":               {[]string{good, good}, authctx.InvalidRequest},
		"two in one":          {[]string{good + "," + good}, authctx.InvalidRequest},
		"two with a space":    {[]string{good + ", " + good}, authctx.InvalidRequest},
		"with a scheme":       {[]string{"Bearer " + good}, authctx.InvalidToken},
		"surrounded by space": {[]string{" " + good + " "}, authctx.InvalidToken},
	} {
		if _, err := f.authenticate(tt.tokens...); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// One key and one issuer name on both sides: only the kind of token differs.
func TestRule2_AccessTokensAndTransactionTokensAreNeverTakenForOneAnother(t *testing.T) {
	clock := newTestClock()
	keys := must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: newTestKey(t, jwtauth.EdDSA), Now: clock.Now}))
	const name = "https://same.test"
	issuer := must(jwtauth.NewIssuer(jwtauth.IssuerConfig{Issuer: name, Audiences: []string{name}, Keys: keys, Lifetime: time.Minute, Now: clock.Now}))
	edge := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: name, Workload: "w", Keys: keys, Now: clock.Now}))
	svc := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: name, Keys: keys, Now: clock.Now}))

	access := must(issuer.Issue(t.Context(), authctx.Attributes{Subject: "alice", ClientID: "web", Scopes: []string{"x"}}))
	txn := must(inject(t.Context(), edge, must(authctx.New(authctx.Attributes{Issuer: name, Subject: "alice", ClientID: "web", Scopes: []string{"x"}}))))
	if _, err := authctx.Authenticate(t.Context(), svc, txnRequest(access)); !errors.Is(err, authctx.WrongType) {
		t.Errorf("an access token as transaction token: %v", err)
	}
	for typesName, types := range map[string]jwtauth.TypePolicy{"default": {}, "RFC 9068": jwtauth.RFC9068Types(), "ID token": jwtauth.IDTokenTypes()} {
		v := must(jwtauth.NewVerifier(jwtauth.VerifierConfig{
			Issuer: name, Audiences: []string{name}, Algorithms: []jwtauth.Algorithm{jwtauth.EdDSA}, Keys: keys, Types: types, Now: clock.Now,
		}))
		if _, err := v.Verify(t.Context(), txn); !errors.Is(err, authctx.WrongType) {
			t.Errorf("a transaction token as access token, %s types: %v", typesName, err)
		}
	}
}

func TestTT4_TransactionTokensHoldNothingOfTheCredential(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	p := must(authctx.New(fullAttributes(w.Now())))
	payload := must(base64.RawURLEncoding.DecodeString(strings.Split(must(inject(t.Context(), w.edge, p)), ".")[1]))
	if strings.Contains(string(payload), "password") || strings.Contains(string(payload), "claims") {
		t.Errorf("verified claims left the process: %s", payload)
	}
}

func TestOlderDraftsAreReadOnlyWhenAsked(t *testing.T) {
	f := newTxnForge(t, func(c *jwtauth.TxnAuthenticatorConfig) { c.AcceptOlderDrafts = true })
	first := f.token().SetHeader("typ", "txn_token").Set("scope", nil).Set("req_wl", nil).
		Set("purp", "trade.stocks").Set("azd", map[string]any{"roles": []string{"trader"}}).
		Set("rctx", map[string]any{"req_wl": []string{"gateway", "orders"}, "req_ip": "192.0.2.1"})
	p, err := f.authenticate(first.Sign())
	if err != nil || !p.HasScope("trade.stocks") || !p.HasRole("trader") || p.Subject() != "alice" || p.Issuer() != testDomain {
		t.Errorf("%v with %v, %v", p, p.Attributes(), err)
	}
	if p, err := f.authenticate(f.token().Set("azd", map[string]any{"roles": []string{"admin"}}).Set("tctx", map[string]any{}).Sign()); err != nil || p.HasRole("admin") {
		t.Errorf("an older name won over the current one: %v", err)
	}
	for name, token := range map[string]*jwtauthtest.Token{ // which older drafts ask for too
		"without the time of issue": f.token().Set("iat", nil),
		"without a workload":        f.token().Set("req_wl", nil),
		"workload as a bool":        f.token().Set("req_wl", true),
		"workload as an object":     f.token().Set("req_wl", nil).Set("rctx", map[string]any{"req_wl": map[string]any{"a": "b"}}),
	} {
		if _, err := f.authenticate(token.Sign()); !errors.Is(err, authctx.InvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// TestTxnAttacks has the same names refused without the option.
}

func TestTokensOfOtherMintersNeedNoDetails(t *testing.T) {
	f := newTxnForge(t)
	p, err := f.authenticate(f.token().Set("tctx", map[string]any{"order": map[string]any{"id": 7}}).Set("rctx", map[string]any{"req_ip": "::1"}).Sign())
	if err != nil || p.Issuer() != testDomain || p.Subject() != "alice" || !slices.Equal(p.Scopes(), []string{"orders.read"}) {
		t.Errorf("%v, %v", p, err)
	}
	var c struct {
		Txn  string
		Tctx json.RawMessage
	}
	if err := p.DecodeClaims(&c); err != nil || c.Txn != "t-1" || string(c.Tctx) != `{"order":{"id":7}}` {
		t.Errorf("claims %+v, %v", c, err)
	}
}

func TestTT5_NoErrorHoldsATransactionToken(t *testing.T) {
	f := newTxnForge(t)
	token := f.token().Set("sub", nil).Sign()
	_, err := f.authenticate(token)
	for part := range strings.SplitSeq(token, ".") {
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), part) {
			t.Errorf("error quotes the token: %v", err)
		}
	}
}
