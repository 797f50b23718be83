package comparison

import (
	"context"
	"crypto"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/MicahParks/keyfunc/v3"
	auth0 "github.com/auth0/go-jwt-middleware/v2"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// A library lets requests with a good token through to next and answers others
// with 401. Each checks signature, issuer, audience and times, and reads the same
// claims into a type. None has more than one key, and none asks for it.
type library struct {
	name  string
	guard func(s *signer, next http.Handler) http.Handler
	lacks string // the algorithm that it cannot do, if any
}

var libraries = []library{
	{name: "authctx-first", guard: func(s *signer, next http.Handler) http.Handler {
		return withAuthctx(s, jwtauth.CacheConfig{Disabled: true}, next)
	}},
	{name: "authctx-repeat", guard: func(s *signer, next http.Handler) http.Handler {
		return withAuthctx(s, jwtauth.CacheConfig{}, next)
	}},
	{name: "golang-jwt", guard: withGolangJWT},
	{name: "go-jose", guard: withGoJose},
	{name: "jwx", guard: withJwx},
	{name: "auth0", guard: withAuth0},
	{name: "go-oidc", guard: withGoOIDC, lacks: "HS256"},
}

// ownClaims are those of which JWT libraries know nothing.
type ownClaims struct {
	ClientID    string   `json:"client_id"`
	Session     string   `json:"sid"`
	Scope       string   `json:"scope"`
	ACR         string   `json:"acr"`
	AuthTime    int64    `json:"auth_time"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
}

// Validate makes them CustomClaims of auth0's validator.
func (*ownClaims) Validate(context.Context) error { return nil }

func withAuthctx(s *signer, cache jwtauth.CacheConfig, next http.Handler) http.Handler {
	cfg := s.verifierConfig()
	cfg.Cache = cache
	bearer := must(jwtauth.NewBearer(must(jwtauth.NewVerifier(cfg)), nil))
	policy := authctx.DefaultPolicy(authctx.Authenticated())
	return must(httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer, Policy: policy})).Handler(next)
}

type verified struct{}

// byHand is the middleware that users of libraries without one write.
func byHand(next http.Handler, verify func(context.Context, string) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		claims, err := verify(r.Context(), token)
		if err != nil {
			http.Error(w, "bad token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), verified{}, claims)))
	})
}

func withGolangJWT(s *signer, next http.Handler) http.Handler {
	type claims struct {
		jwt.RegisteredClaims
		ownClaims
	}
	find := func(*jwt.Token) (any, error) { return s.public, nil }
	if _, secret := s.public.([]byte); !secret {
		find = must(keyfunc.NewJWKSetJSON(must(json.Marshal(s.jwks())))).Keyfunc
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{s.algorithm}), jwt.WithIssuer(testIssuer),
		jwt.WithAudience(testAudience), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway))
	return byHand(next, func(_ context.Context, token string) (any, error) {
		var c claims
		_, err := parser.ParseWithClaims(token, &c, find)
		return &c, err
	})
}

func withGoJose(s *signer, next http.Handler) http.Handler {
	type claims struct {
		josejwt.Claims
		ownClaims
	}
	keys, algorithms := s.jwks(), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.algorithm)}
	return byHand(next, func(_ context.Context, token string) (any, error) {
		parsed, err := josejwt.ParseSigned(token, algorithms)
		if err != nil {
			return nil, err
		}
		var c claims
		if err := parsed.Claims(&keys, &c); err != nil {
			return nil, err
		}
		return &c, c.ValidateWithLeeway(josejwt.Expected{Issuer: testIssuer, AnyAudience: josejwt.Audience{testAudience}}, leeway)
	})
}

func withJwx(s *signer, next http.Handler) http.Handler {
	key := must(jwk.Import(s.public))
	algorithm, _ := jwa.LookupSignatureAlgorithm(s.algorithm)
	for name, value := range map[string]any{jwk.KeyIDKey: "k1", jwk.AlgorithmKey: algorithm} {
		if err := key.Set(name, value); err != nil {
			panic(err)
		}
	}
	set := jwk.NewSet()
	if err := set.AddKey(key); err != nil {
		panic(err)
	}
	options := []jwxjwt.ParseOption{
		jwxjwt.WithKeySet(set), jwxjwt.WithIssuer(testIssuer), jwxjwt.WithAudience(testAudience),
		jwxjwt.WithRequiredClaim("exp"), jwxjwt.WithAcceptableSkew(leeway),
	}
	return byHand(next, func(_ context.Context, token string) (any, error) {
		return jwxjwt.ParseString(token, options...)
	})
}

func withAuth0(s *signer, next http.Handler) http.Handler {
	v := must(validator.New(
		func(context.Context) (any, error) { return s.public, nil }, validator.SignatureAlgorithm(s.algorithm),
		testIssuer, []string{testAudience}, validator.WithAllowedClockSkew(leeway),
		validator.WithCustomClaims(func() validator.CustomClaims { return new(ownClaims) })))
	return auth0.New(v.ValidateToken).CheckJWT(next)
}

func withGoOIDC(s *signer, next http.Handler) http.Handler {
	v := oidc.NewVerifier(testIssuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{s.public}},
		&oidc.Config{ClientID: testAudience, SupportedSigningAlgs: []string{s.algorithm}})
	return byHand(next, func(ctx context.Context, token string) (any, error) {
		verified, err := v.Verify(ctx, token)
		if err != nil {
			return nil, err
		}
		var c ownClaims
		return &c, verified.Claims(&c)
	})
}
