package jwtauth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

// deferredForge signs any header and claims with the key of a publisher that the
// consumer of "orders" trusts.
type deferredForge struct {
	*txnForge
	consumer *jwtauth.DeferredAuthenticator
}

func newDeferredForge(t testing.TB) *deferredForge {
	t.Helper()
	f := newTxnForge(t)
	keys, _, err := jwtauth.ParseJWKSet(must(fetchBody(f.issuer.JWKSURL())))
	if err != nil {
		t.Fatal(err)
	}
	return &deferredForge{f, must(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
		TrustDomain: testDomain, Topics: []string{"orders"}, Keys: must(jwtauth.NewStaticKeys(keys[0])), Now: newTestClock().Now,
	}))}
}

// token returns a good deferred-work token, for changing.
func (f *deferredForge) token() *jwtauthtest.Token {
	return f.txnForge.token().SetHeader("typ", "authctx-deferred+jwt").Set("aud", "orders")
}

func (f *deferredForge) consume(t testing.TB, token string) (authctx.Principal, error) {
	ctx, err := authctx.ExtractHeaders(t.Context(), f.consumer, "orders", map[string]string{jwtauth.DeferredField: token})
	p, _ := authctx.FromContext(ctx)
	return p, err
}

// Attacks that TestTxnAttacks makes on Transaction Tokens.
func TestDeferredAttacks(t *testing.T) {
	f := newDeferredForge(t)
	if _, err := f.consume(t, f.token().Sign()); err != nil {
		t.Fatalf("the token that the attacks change is no good: %v", err)
	}
	week := newTestClock().Now().Add(jwtauth.MaxDeferredLifetime + time.Minute).Unix()
	for name, tt := range map[string]struct {
		token string
		want  authctx.Reason
	}{
		"typed as a Transaction Token": {f.token().SetHeader("typ", "txntoken+jwt").Sign(), authctx.WrongType},
		"without a type":               {f.token().SetHeader("typ", nil).Sign(), authctx.WrongType},
		"for another topic":            {f.token().Set("aud", "mails").Sign(), authctx.WrongAudience},
		"for no topic":                 {f.token().Set("aud", nil).Sign(), authctx.WrongAudience},
		"of another trust domain":      {f.token().Set("iss", "staging.test").Sign(), authctx.WrongIssuer},
		"expired":                      {f.token().Expired().Sign(), authctx.TokenExpired},
		"without an end":               {f.token().Set("exp", nil).Sign(), authctx.InvalidToken},
		"waits for more than a week":   {f.token().Set("exp", week).Sign(), authctx.InvalidToken},
		"without the time of issue":    {f.token().Set("iat", nil).Sign(), authctx.InvalidToken},
		"without a subject":            {f.token().Set("sub", nil).Sign(), authctx.InvalidToken},
		"without an ID":                {f.token().Set("txn", nil).Sign(), authctx.InvalidToken},
		"without scope":                {f.token().Set("scope", nil).Sign(), authctx.InvalidToken},
		"without a workload":           {f.token().Set("req_wl", nil).Sign(), authctx.InvalidToken},
		"a time that is none":          {f.token().Set("tctx", map[string]any{"as_of": "yesterday"}).Sign(), authctx.InvalidToken},
		"bound to a key":               {f.token().Set("cnf", map[string]any{"jkt": "x"}).Sign(), authctx.InvalidToken},
		"unsigned":                     {f.token().SignWith("none", nil).Sign(), authctx.InvalidToken},
		"HMAC":                         {f.token().SignWith("HS256", make([]byte, 32)).Sign(), authctx.InvalidToken},
	} {
		if p, err := f.consume(t, tt.token); !errors.Is(err, tt.want) || !p.IsZero() {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// Publishers that are not ours need not say it twice.
func TestDeferredWorkThatDoesNotSayIsAsOfItsIssue(t *testing.T) {
	f := newDeferredForge(t)
	p, err := f.consume(t, f.token().Sign())
	if want := newTestClock().Now(); err != nil || !p.AsOf().Equal(want) {
		t.Errorf("as of %v, want %v, %v", p.AsOf(), want, err)
	}
}

// What a rule lists and the authenticator does not read would be refused for good, message
// by message.
func TestRule1_ATopicThatIsRuledMustBeReadToo(t *testing.T) {
	deferred := must(jwtauth.NewDeferredAuthenticator(jwtauth.DeferredAuthenticatorConfig{
		TrustDomain: testDomain, Topics: []string{"orders"}, Keys: must(jwtauth.NewStaticKeys(newTestKey(t, jwtauth.EdDSA).VerificationKey())),
	}))
	fields := must(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()}))
	rules := map[string]authctx.Rule{"orders": authctx.Authenticated(), "refunds": authctx.Authenticated()}
	if _, err := authctx.NewConsumer(authctx.ConsumerConfig{Authenticator: (*jwtauth.DeferredAuthenticator)(nil), Rules: rules}); err == nil {
		t.Error("starts without an authenticator")
	}
	for name, c := range map[string]struct {
		authenticator authctx.Authenticator
		starts        bool
	}{
		"tokens":                     {deferred, false},
		"tokens of either":           {authctx.OneOf(deferred, deferred), false},
		"tokens or fields":           {authctx.OneOf(deferred, fields), true},
		"tokens or fields, nested":   {authctx.OneOf(authctx.OneOf(fields), deferred), true},
		"one that reads every topic": {fields, true},
	} {
		_, err := authctx.NewConsumer(authctx.ConsumerConfig{Authenticator: c.authenticator, Rules: rules})
		if (err == nil) != c.starts || err != nil && err.Error() != `authctx: consumer: Rules: "refunds" is no topic that the Authenticator reads` {
			t.Errorf("%s: %v", name, err)
		}
	}
}
