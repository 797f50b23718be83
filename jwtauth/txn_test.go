package jwtauth_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
	"github.com/authctx/authctx/jwtauth/jwtauthtest"
)

const testDomain = "prod.test"

// txnWorld is an edge that mints and a service that verifies, on one clock.
type txnWorld struct {
	*testClock
	keys *jwtauth.SigningKeys
	edge *jwtauth.TxnPropagator
	svc  *jwtauth.TxnAuthenticator
}

func newTxnWorld(t testing.TB, key *jwtauth.SigningKey, changes ...func(*jwtauth.TxnPropagatorConfig, *jwtauth.TxnAuthenticatorConfig)) *txnWorld {
	t.Helper()
	w := &txnWorld{testClock: newTestClock()}
	w.keys = must(jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key, Now: w.Now}))
	edge := jwtauth.TxnPropagatorConfig{TrustDomain: testDomain, Workload: "spiffe://prod.test/gateway", Keys: w.keys, Now: w.Now}
	svc := jwtauth.TxnAuthenticatorConfig{TrustDomain: testDomain, Keys: w.keys, Now: w.Now}
	for _, change := range changes {
		change(&edge, &svc)
	}
	w.edge, w.svc = must(jwtauth.NewTxnPropagator(edge)), must(jwtauth.NewTxnAuthenticator(svc))
	return w
}

// inject returns what prop writes for p, and fails unless it is one token.
func inject(ctx context.Context, prop authctx.Propagator, p authctx.Principal) (string, error) {
	var tokens []string
	err := prop.Inject(ctx, p, func(name, value string) { tokens = append(tokens, name+":"+value) })
	if err != nil {
		if len(tokens) > 0 {
			return "", errors.New("wrote something and failed")
		}
		return "", err
	}
	token, ok := strings.CutPrefix(strings.Join(tokens, "|"), "txn-token:")
	if !ok || strings.Contains(token, "|") {
		return "", errors.New("did not write exactly the one field")
	}
	return token, nil
}

func txnRequest(tokens ...string) *authctx.Request {
	return &authctx.Request{Transport: "http", Fields: authctx.FieldMap(map[string][]string{"Txn-Token": tokens})}
}

func (w *txnWorld) authenticate(token string) (authctx.Result, error) {
	return authctx.Authenticate(context.Background(), w.svc, txnRequest(token))
}

// fullAttributes have something in every attribute that travels, hostile text
// included.
func fullAttributes(now time.Time) authctx.Attributes {
	return authctx.Attributes{
		Issuer: "https://idp.test/#1%", Subject: "älice#x, \"y\"\r\n", Kind: authctx.User, Provenance: authctx.Verified,
		Name: "Alice <&>\u2028", Email: "alice@example.com", Tenant: "acme", ClientID: "web", SessionID: "s", TokenID: "t", ACR: "2",
		AMR: []string{"pwd", "otp"}, Roles: []string{"a,b", "c d"}, Permissions: []string{"orders:create"},
		Scopes: []string{"read", "write"}, Groups: []string{"g/1", "g/2"}, GroupsIncomplete: true,
		AuthTime: now.Add(-time.Hour), IssuedAt: now.Add(-time.Minute), Expires: now.Add(time.Hour), AsOf: now.Add(-time.Second),
		Actors: []authctx.Actor{{Issuer: "i1", Subject: "s1"}, {Issuer: "i2", Subject: "s2"}},
		Extra:  map[string][]string{"region": {"eu", "us"}, "sub": {"not the subject"}},
		Claims: `{"password":"never travels"}`,
	}
}

func TestTxnRoundTripKeepsEveryAttribute(t *testing.T) {
	now := newTestClock().Now()
	service := authctx.Attributes{Issuer: "https://idp.test", Subject: "batch", Kind: authctx.Service, ClientID: "batch",
		Scopes: []string{"x"}, Expires: now.Add(time.Hour)}
	for _, alg := range []jwtauth.Algorithm{jwtauth.EdDSA, jwtauth.ES256, jwtauth.RS256} {
		w := newTxnWorld(t, newTestKey(t, alg))
		for _, a := range []authctx.Attributes{fullAttributes(now), service} {
			p := must(authctx.New(a))
			res, err := w.authenticate(must(inject(t.Context(), w.edge, p)))
			if err != nil {
				t.Fatalf("%s: %v", alg, err)
			}
			got, want := res.Principal.Attributes(), p.Attributes()
			if got.Provenance != authctx.Signed {
				t.Errorf("%s: provenance %v", alg, got.Provenance)
			}
			if strings.Contains(got.Claims, "never travels") {
				t.Errorf("%s: verified claims travelled", alg)
			}
			got.Claims, got.Provenance, want.Claims, want.Provenance = "", 0, "", 0
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\n got %+v\nwant %+v", alg, got, want)
			}
		}
	}
}

func TestTxnTokenHasTheClaimsOfTheDraft(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	p := must(authctx.New(authctx.Attributes{Issuer: "https://idp.test", Subject: "alice", Scopes: []string{"a", "b"}, Roles: []string{"r"}}))
	token := must(inject(t.Context(), w.edge, p))
	if h := tokenHeader(t, token); h["typ"] != "txntoken+jwt" || h["alg"] != "EdDSA" || h["kid"] == nil {
		t.Errorf("header %v", h)
	}
	c := tokenClaims(t, token)
	now := float64(w.Now().Unix())
	if id, _ := c["txn"].(string); len(id) < 22 {
		t.Errorf("txn %v is not 128 random bits", c["txn"])
	}
	delete(c, "txn")
	want := map[string]any{
		"iss": testDomain, "aud": testDomain, "iat": now, "exp": now + 120, "sub": "https://idp.test#alice", "scope": "a b",
		"req_wl": "spiffe://prod.test/gateway",
		"tctx":   map[string]any{"src_iss": "https://idp.test", "src_sub": "alice", "roles": []any{"r"}},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("claims\n got %v\nwant %v", c, want)
	}
}

func TestTxnTellsTheRequestContextAndKeepsItWhenReplaced(t *testing.T) {
	var says func() (map[string]any, error)
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(c *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		c.RequestContext = func(context.Context, authctx.Principal) (map[string]any, error) { return says() }
	})
	p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes = []string{"a", "b"} })

	says = func() (map[string]any, error) { return map[string]any{"req_ip": "192.0.2.1"}, nil }
	res := must(w.authenticate(must(inject(t.Context(), w.edge, p))))
	inner := must(jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{TrustDomain: testDomain, Workload: "inner", Keys: w.keys, Now: w.Now}))
	narrowed, _ := authctx.FromContext(must(inner.Replace(res.NewContext(t.Context()), "a")))
	for name, p := range map[string]authctx.Principal{"service": res.Principal, "after a replacement": narrowed} {
		var c struct {
			Request map[string]string `json:"rctx"`
		}
		if err := p.DecodeClaims(&c); err != nil || !reflect.DeepEqual(c.Request, map[string]string{"req_ip": "192.0.2.1"}) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}

	says = func() (map[string]any, error) { return nil, nil }
	if c := tokenClaims(t, must(inject(t.Context(), w.edge, p))); c["rctx"] != nil {
		t.Errorf("nothing to say became %v", c["rctx"])
	}
	says = func() (map[string]any, error) { return nil, errors.New("no address") }
	if _, err := inject(t.Context(), w.edge, p); err == nil || !strings.Contains(err.Error(), "RequestContext: no address") {
		t.Errorf("a failure is %v", err)
	}
	says = func() (map[string]any, error) { return map[string]any{"f": func() {}}, nil }
	if _, err := inject(t.Context(), w.edge, p); err == nil {
		t.Error("what is no JSON was left out in silence")
	}
	for name, request := range map[string]map[string]any{
		"names":        {"req_ip": "192.0.2.1", "REQ_IP": "192.0.2.2"},
		"names inside": {"header": map[string]any{"A": 1, "a": 2}},
	} {
		says = func() (map[string]any, error) { return request, nil }
		if _, err := inject(t.Context(), w.edge, p); err == nil || !strings.Contains(err.Error(), "services could not decode it") {
			t.Errorf("%s that shadow one another: %v", name, err)
		}
	}
	says = func() (map[string]any, error) {
		deep := map[string]any{}
		for range 31 {
			deep = map[string]any{"in": deep}
		}
		return deep, nil
	}
	if _, err := inject(t.Context(), w.edge, p); err == nil || !strings.Contains(err.Error(), "verifiers would refuse it") {
		t.Errorf("a context that no verifier reads: %v", err)
	}
	f := newTxnForge(t)
	if _, err := f.authenticate(f.token().Set("rctx", "192.0.2.1").Sign()); !errors.Is(err, authctx.InvalidToken) {
		t.Error("a request context that is no object passes")
	}
}

func TestTxnMintsOneTokenPerCall(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	p := jwtauthtest.User(t)
	one, two := must(inject(t.Context(), w.edge, p)), must(inject(t.Context(), w.edge, p))
	if tokenClaims(t, one)["txn"] == tokenClaims(t, two)["txn"] {
		t.Error("two calls share a transaction")
	}
}

// Subject may have to ask somebody: it learns that the request is gone, and its
// failure is told as it is.
func TestRule8_ASubjectThatNobodyCanTellIsUnavailable(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Reuse = time.Minute
		e.Subject = func(ctx context.Context, p authctx.Principal) (string, error) {
			if err := ctx.Err(); err != nil {
				return "", &authctx.Error{Reason: authctx.Unavailable, Cause: err}
			}
			return "u-" + p.Subject(), nil
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 { // the second time the token is there already
		if _, err := inject(ctx, w.edge, jwtauthtest.User(t)); err != nil {
			t.Error(err)
		}
	}
	cancel()
	if _, err := inject(ctx, w.edge, jwtauthtest.User(t)); !errors.Is(err, authctx.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTxnSubjectIsUniqueInTheTrustDomain(t *testing.T) {
	who := func(issuer, subject string) authctx.Principal {
		return must(authctx.New(authctx.Attributes{Issuer: issuer, Subject: subject, Scopes: []string{"x"}}))
	}
	sub := func(w *txnWorld, p authctx.Principal) any {
		return tokenClaims(t, must(inject(t.Context(), w.edge, p)))["sub"]
	}
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	seen := map[any]authctx.Principal{}
	for _, p := range []authctx.Principal{
		who("https://a.test", "1"), who("https://b.test", "1"), who("https://a.test#1", "2"), who("https://a.test", "1#2"),
		who("https://a.test%231", "2"), who("https://a.test", "%231#2"),
	} {
		if other, taken := seen[sub(w, p)]; taken {
			t.Errorf("%v and %v are both %q", p, other, sub(w, p))
		}
		seen[sub(w, p)] = p
	}
	sole := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.SoleIssuer = "https://a.test"
	})
	if got := sub(sole, who("https://a.test", "1")); got != "1" {
		t.Errorf("sub with a sole issuer: %v", got)
	}
	if _, err := inject(t.Context(), sole.edge, who("https://b.test", "1")); !errors.Is(err, authctx.PermissionDenied) {
		t.Errorf("a caller of another issuer: %v", err)
	}
	mapped := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Subject = func(_ context.Context, p authctx.Principal) (string, error) {
			return strings.TrimPrefix(p.Subject(), "none"), nil
		}
	})
	if got := sub(mapped, who("https://b.test", "none7")); got != "7" {
		t.Errorf("sub by function: %v", got)
	}
	if _, err := inject(t.Context(), mapped.edge, who("https://b.test", "none")); err == nil {
		t.Error("an empty subject was minted")
	}
}

func TestTxnScopePolicyIsExplicit(t *testing.T) {
	scoped, bare := jwtauthtest.User(t), jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes = nil })
	narrowed := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Scopes, a.Provenance = nil, authctx.Signed })
	with := func(scopes ...string) *txnWorld {
		return newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
			e.Scopes = func(context.Context, authctx.Principal) ([]string, error) { return scopes, nil }
		})
	}
	for _, tt := range []struct {
		name string
		w    *txnWorld
		p    authctx.Principal
		want any // the scope claim, or the error
	}{
		{"no policy carries the caller's scopes", newTxnWorld(t, newTestKey(t, jwtauth.EdDSA)), scoped, "orders.read"},
		{"no policy refuses unknown scopes", newTxnWorld(t, newTestKey(t, jwtauth.EdDSA)), bare, authctx.PermissionDenied},
		{"a policy may narrow", with(), scoped, ""},
		{"a policy must not widen", with("orders.read", "orders.write"), scoped, authctx.PermissionDenied},
		{"a policy decides for issuers without scopes", with("internal"), bare, "internal"},
		{"a policy may grant nothing", with(), bare, ""},
		{"no policy carries the scopes of a token that had none", newTxnWorld(t, newTestKey(t, jwtauth.EdDSA)), narrowed, ""},
		{"a policy must not widen what was narrowed to none", with("orders.read"), narrowed, authctx.PermissionDenied},
		{"a policy may leave it at none", with(), narrowed, ""},
	} {
		token, err := inject(t.Context(), tt.w.edge, tt.p)
		if reason, refused := tt.want.(authctx.Reason); refused {
			if !errors.Is(err, reason) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if err != nil || tokenClaims(t, token)["scope"] != tt.want {
			t.Errorf("%s: %v, %v", tt.name, tokenClaims(t, token)["scope"], err)
		}
	}
	if _, err := inject(t.Context(), with("two words").edge, bare); err == nil {
		t.Error("a scope that reads as two was minted")
	}
}

func TestTxnNeverRevivesAnExpiredCaller(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Expires = w.Now().Add(30 * time.Second) })
	token := must(inject(t.Context(), w.edge, p))
	if got := tokenClaims(t, token)["exp"]; got != float64(p.Expires().Unix()) {
		t.Errorf("token outlives its caller: exp %v", got)
	}
	if res, err := w.authenticate(token); err != nil || !res.Principal.Expires().Equal(p.Expires()) {
		t.Errorf("effective end %v, %v; want %v", res.Principal.Expires(), err, p.Expires())
	}
	fresh := must(jwtauth.NewTxnAuthenticator(jwtauth.TxnAuthenticatorConfig{TrustDomain: testDomain, Keys: w.keys, Now: w.Now}))
	w.Advance(30 * time.Second)
	if _, err := inject(t.Context(), w.edge, p); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("minting for an expired caller: %v", err)
	}
	// The token has its leeway, the caller's end does not get another.
	for name, svc := range map[string]authctx.Authenticator{"cached": w.svc, "fresh": fresh} {
		if _, err := authctx.Authenticate(t.Context(), svc, txnRequest(token)); !errors.Is(err, authctx.TokenExpired) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The token ends before the caller does; so must what was remembered of it.
func TestRule5_TxnCacheNeverOutlivesTheToken(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(_ *jwtauth.TxnPropagatorConfig, s *jwtauth.TxnAuthenticatorConfig) {
		s.Leeway = jwtauth.NoLeeway
	})
	p := jwtauthtest.User(t, func(a *authctx.Attributes) { a.Expires = w.Now().Add(time.Hour) })
	token := must(inject(t.Context(), w.edge, p))
	res := must(w.authenticate(token))
	w.Advance(2*time.Minute - time.Second)
	if res, err := w.authenticate(token); err != nil || !res.Cached {
		t.Fatalf("cached %v, %v", res.Cached, err)
	}
	w.Advance(time.Second)
	if _, err := w.authenticate(token); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("a remembered token after its end: %v", err)
	}
	if err := res.Recheck(t.Context()); err != nil {
		t.Errorf("a stream ends with the token instead of the caller: %v", err)
	}
	w.Advance(time.Hour)
	if err := res.Recheck(t.Context()); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("a stream outlives the caller: %v", err)
	}
}

// Headers of messages and lines of servers are told how much a token takes at most.
func TestTxnTokenThatWouldBeTooLargeIsRefusedWhereItIsMade(t *testing.T) {
	const most = 7 << 10
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	largest, name, err := 0, strings.Repeat("x", most/2), error(nil)
	for ; err == nil && len(name) < most; name += "xxxxxxxxxxxx" {
		var token string
		token, err = inject(t.Context(), w.edge, jwtauthtest.User(t, func(a *authctx.Attributes) { a.Name = name }))
		largest = max(largest, len(token))
	}
	if largest > most || largest < most-64 {
		t.Errorf("the largest token takes %d bytes", largest)
	}
	if err == nil || !strings.Contains(err.Error(), "bytes") || strings.Contains(err.Error(), "xxx") {
		t.Errorf("got %.200v", err)
	}
}

func TestTheErrorOfATokenThatWouldBeTooLargeNamesTheLargestClaim(t *testing.T) {
	list := func(n int) (values []string) {
		for i := range n {
			values = append(values, fmt.Sprintf("shop:role-%03d:secret", i))
		}
		return values
	}
	for want, change := range map[string]func(*authctx.Attributes){
		"roles with 9202":   func(a *authctx.Attributes) { a.Roles, a.Groups = list(300), list(50) },
		"groups with 9202":  func(a *authctx.Attributes) { a.Roles, a.Groups = list(50), list(300) },
		"entitlements with": func(a *authctx.Attributes) { a.Permissions = list(300) },
		"extra with":        func(a *authctx.Attributes) { a.Extra = map[string][]string{"k": list(300)} },
		"scope with":        func(a *authctx.Attributes) { a.Scopes = list(300) },
		"name with":         func(a *authctx.Attributes) { a.Name = strings.Repeat("secret", 1000) },
		"rctx with":         nil,
	} {
		w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
			if change == nil {
				e.RequestContext = func(context.Context, authctx.Principal) (map[string]any, error) {
					return map[string]any{"a": strings.Repeat("secret", 1000)}, nil
				}
			}
		})
		deferred := must(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
			TrustDomain: testDomain, Topic: "orders", Workload: "shop", Keys: w.keys, Lifetime: time.Minute, Now: w.Now,
		}))
		for name, minter := range map[string]authctx.Propagator{"transaction": w.edge, "deferred": deferred} {
			if change == nil && name == "deferred" {
				continue
			}
			p := jwtauthtest.User(t)
			if change != nil {
				p = jwtauthtest.User(t, change)
			}
			_, err := inject(t.Context(), minter, p)
			if err == nil || !strings.Contains(err.Error(), "; the largest claim is "+want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, want %s: %.300v", name, want, err)
			}
		}
	}
}

func TestTxnPolicyThatFailsIsNotAPolicyThatAllows(t *testing.T) {
	down := errors.New("policy store is down")
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, _ *jwtauth.TxnAuthenticatorConfig) {
		e.Scopes = func(context.Context, authctx.Principal) ([]string, error) { return nil, down }
	})
	if _, err := inject(t.Context(), w.edge, jwtauthtest.User(t)); !errors.Is(err, down) || authctx.ReasonOf(err) != authctx.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestTxnOwnsItsFieldOnEverySide(t *testing.T) {
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA))
	for name, fields := range map[string]authctx.FieldSet{
		"propagator": w.edge.Fields(), "authenticator": w.svc.Fields(), "forwarder": jwtauth.TxnForwarder{}.Fields(),
	} {
		if !fields.Owns("Txn_Token") || fields.Owns("authorization") {
			t.Errorf("%s: %v", name, fields)
		}
	}
}

// "iat" and "exp" are rounded down alike, as whole seconds between them allow.
func TestNoTokenBetweenServicesLivesLongerThanItsLifetime(t *testing.T) {
	const life = 2 * time.Second
	w := newTxnWorld(t, newTestKey(t, jwtauth.EdDSA), func(e *jwtauth.TxnPropagatorConfig, s *jwtauth.TxnAuthenticatorConfig) {
		e.Lifetime, s.MaxLifetime = life, life
	})
	deferred := must(jwtauth.NewDeferredPropagator(jwtauth.DeferredPropagatorConfig{
		TrustDomain: testDomain, Topic: "orders", Workload: "shop", Keys: w.keys, Lifetime: life, Now: w.Now,
	}))
	alice := jwtauthtest.User(t)
	for range 10 {
		token := must(inject(t.Context(), w.edge, alice))
		if _, err := w.authenticate(token); err != nil {
			t.Errorf("at %v: %v", w.Now(), err)
		}
		message := ""
		if err := deferred.Inject(t.Context(), alice, func(_, value string) { message = value }); err != nil {
			t.Fatal(err)
		}
		for _, c := range []map[string]any{tokenClaims(t, token), tokenClaims(t, message)} {
			if lived := c["exp"].(float64) - c["iat"].(float64); lived != life.Seconds() {
				t.Errorf("at %v, exp is %v s after iat", w.Now(), lived)
			}
		}
		w.Advance(107 * time.Millisecond)
	}
}
