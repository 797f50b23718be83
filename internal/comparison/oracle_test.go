package comparison

import (
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"
)

// An oracle is a library at its strictest: it says whose a token is, if it is
// anybody's at that time.
type oracle func(s *signer, token string, now time.Time) (subject string, err error)

const leeway = 30 * time.Second

var oracles = map[string]oracle{"go-jose": goJose, "jwx": jwx}

func goJose(s *signer, token string, now time.Time) (string, error) {
	parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.algorithm)})
	if err != nil {
		return "", err
	}
	var claims josejwt.Claims
	if err := parsed.Claims(s.public, &claims); err != nil {
		return "", err
	}
	if claims.Expiry == nil {
		return "", errors.New("no exp")
	}
	return claims.Subject, claims.ValidateWithLeeway(josejwt.Expected{
		Issuer: testIssuer, AnyAudience: josejwt.Audience{testAudience}, Time: now,
	}, leeway)
}

func jwx(s *signer, token string, now time.Time) (string, error) {
	algorithm, _ := jwa.LookupSignatureAlgorithm(s.algorithm)
	parsed, err := jwxjwt.Parse([]byte(token), jwxjwt.WithKey(algorithm, s.public),
		jwxjwt.WithIssuer(testIssuer), jwxjwt.WithAudience(testAudience), jwxjwt.WithRequiredClaim("exp"),
		jwxjwt.WithAcceptableSkew(leeway), jwxjwt.WithClock(jwxjwt.ClockFunc(func() time.Time { return now })))
	if err != nil {
		return "", err
	}
	subject, _ := parsed.Subject()
	return subject, nil
}
