package examples_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// introspector asks the provider, through a clock that runs ahead by what it
// returns besides.
func (o *openID) introspector(t *testing.T, changes ...func(*jwtauth.IntrospectorConfig)) (*jwtauth.Introspector, *atomic.Int64) {
	t.Helper()
	ahead := new(atomic.Int64)
	cfg := jwtauth.IntrospectorConfig{
		Endpoint: o.metadata.Introspection, ClientID: "gateway", ClientSecret: openIDSecret, Issuer: o.issuer,
		Audiences: []string{audience}, ClientWithoutSubject: true, Cache: jwtauth.CacheConfig{MaxAge: 10 * time.Second},
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	}
	for _, change := range changes {
		change(&cfg)
	}
	i, err := jwtauth.NewIntrospector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i, ahead
}

func TestOpenIDOpaqueTokensAreAskedAbout(t *testing.T) {
	t.Parallel()
	o := startOpenID(t)
	i, ahead := o.introspector(t)
	verify := func(token string) (authctx.Principal, error) { return i.Verify(t.Context(), token) }
	login, machine := o.login("bob", "opaque"), o.machine("machine", "opaque").AccessToken

	p, err := verify(login.AccessToken)
	if err != nil || p.Kind() != authctx.User || p.Subject() != "bob" || p.ClientID() != "web" || p.Issuer() != o.issuer || !p.HasScope("orders.read") {
		t.Errorf("%+v, %v", p.Attributes(), err)
	}
	p, err = verify(machine)
	if err != nil || p.Kind() != authctx.Service || p.Subject() != "machine" {
		t.Errorf("%+v, %v", p.Attributes(), err)
	}
	byDefault, _ := o.introspector(t, func(c *jwtauth.IntrospectorConfig) { c.ClientWithoutSubject = false })
	if p, err := byDefault.Verify(t.Context(), machine); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("the client that nothing says to be the subject: %v, %v", p, err)
	}
	for what, token := range map[string]string{
		"a refresh token":         login.RefreshToken,
		"what nobody has issued":  "made-up",
		"a JWT, which it refuses": o.machine("machine", "ES256").AccessToken,
	} {
		if p, err := verify(token); err == nil || errors.Is(err, authctx.Unavailable) {
			t.Errorf("%s: %v, %v", what, p, err)
		}
	}

	o.revoke("machine", machine)
	if _, err := verify(machine); err != nil {
		t.Errorf("revoked, and remembered: %v", err)
	}
	ahead.Store(int64(11 * time.Second))
	if _, err := verify(machine); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := verify(login.AccessToken); err != nil {
		t.Errorf("another that was not: %v", err)
	}

	o.stop()
	if _, err := verify(login.AccessToken); err != nil {
		t.Errorf("remembered, the provider down: %v", err)
	}
	ahead.Store(int64(22 * time.Second))
	if _, err := verify(login.AccessToken); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("the provider down: %v", err)
	}
}

// The provider answers for refresh tokens with all but "token_type", and names no
// audience, which is missing where clients ask for no resource too.
func TestOpenIDRefreshTokensAreToldByWhatIsNotSaid(t *testing.T) {
	t.Parallel()
	o := startOpenID(t)
	claims := jwtauth.RFC9068Claims().Config()
	claims.Require = []jwtauth.ClaimTest{{Path: []string{"token_type"}, Present: true}}
	mapping, err := jwtauth.NewClaimMapping(claims)
	if err != nil {
		t.Fatal(err)
	}
	i, _ := o.introspector(t, func(c *jwtauth.IntrospectorConfig) {
		c.Audiences, c.ClientIDs, c.Claims = nil, []string{"web"}, mapping
	})
	login := o.login("alice", "")
	if p, err := i.Verify(t.Context(), login.AccessToken); err != nil || p.Subject() != "alice" {
		t.Errorf("%v, %v", p, err)
	}
	if p, err := i.Verify(t.Context(), login.RefreshToken); !errors.Is(err, authctx.WrongType) {
		t.Errorf("a refresh token: %v, %v", p, err)
	}
}

// One API that takes both, and neither way to look at a token sees the other's.
func TestOpenIDTokensAreReadByTheirShape(t *testing.T) {
	t.Parallel()
	o := startOpenID(t)
	v := o.verifier(t)
	var asked atomic.Int64
	i, ahead := o.introspector(t, func(c *jwtauth.IntrospectorConfig) {
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			return o.http.Transport.RoundTrip(r)
		})
	})
	get := serveAPI(t, authctx.OneOf(bearer(t, v, jwtauth.JWTShape), bearer(t, i, jwtauth.OpaqueShape)))
	signed, opaque := o.machine("machine", "ES256").AccessToken, o.machine("machine", "opaque").AccessToken
	for what, c := range map[string]struct {
		token  string
		status int
	}{
		"signed":            {signed, 200},
		"opaque":            {opaque, 200},
		"signed and forged": {signed[:len(signed)-8] + "AAAAAAAA", 401},
		"made up":           {"made-up", 401},
	} {
		if r := get("Authorization: Bearer " + c.token); r.status != c.status {
			t.Errorf("%s: status %d, body %s", what, r.status, r.body)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("the provider was asked %d times about 2 opaque tokens", n)
	}
	o.stop()
	ahead.Store(int64(time.Minute))
	if r := get("Authorization: Bearer " + signed); r.status != 200 {
		t.Errorf("signed, the provider down: status %d", r.status)
	}
	if r := get("Authorization: Bearer " + opaque); r.status != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("opaque, the provider down: status %d, Retry-After %q", r.status, r.header.Get("Retry-After"))
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func bearer(t *testing.T, v jwtauth.TokenVerifier, shape jwtauth.TokenShape) authctx.Authenticator {
	t.Helper()
	b, err := jwtauth.NewBearer(v, &jwtauth.BearerOptions{Shape: shape})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serveAPI serves an API that says who calls, and returns how to call it.
func serveAPI(t *testing.T, auth authctx.Authenticator) (get func(header ...string) reply) {
	t.Helper()
	api := httptest.NewServer(apiFor(t, auth))
	t.Cleanup(api.Close)
	return func(header ...string) reply { return send(t, "GET", api.URL, header...) }
}

func apiFor(t *testing.T, auth authctx.Authenticator) http.Handler {
	t.Helper()
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	if err != nil {
		t.Fatal(err)
	}
	return server.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := authctx.FromContext(r.Context())
		w.Write([]byte(p.Subject()))
	}))
}
