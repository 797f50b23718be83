package examples_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// proofKey is a key of a client, to which tokens can be bound (RFC 9449).
type proofKey struct{ ed25519.PrivateKey }

func newProofKey(t *testing.T) proofKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return proofKey{private}
}

func (k proofKey) x() string {
	return base64.RawURLEncoding.EncodeToString(k.Public().(ed25519.PublicKey))
}

func (k proofKey) thumbprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"Ed25519","kty":"OKP","x":%q}`, k.x()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// proof returns a new proof for a request with a token, none where one is asked
// for, and with the nonce that the server gave, if any.
func (k proofKey) proof(t *testing.T, method, url, token string, nonce ...string) string {
	t.Helper()
	return k.proofAhead(t, 0, method, url, token, nonce...)
}

// proofAhead is proof by a clock that is ahead of ours.
func (k proofKey) proofAhead(t *testing.T, by time.Duration, method, url, token string, nonce ...string) string {
	t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{"jti": fmt.Sprint(now.UnixNano()), "htm": method, "htu": url, "iat": now.Add(by).Unix()}
	if token != "" {
		hash := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(hash[:])
	}
	if len(nonce) > 0 {
		claims["nonce"] = nonce[0]
	}
	proof := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	proof.Header["typ"] = "dpop+jwt"
	proof.Header["jwk"] = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": k.x()}
	signed, err := proof.SignedString(k.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestGatewayTakesBoundTokensWithAProof(t *testing.T) {
	t.Parallel()
	const external = "https://api.example.com"
	s := startSystem(t, "-external-url", external)
	key := newProofKey(t)
	bound := s.token(t, jwt.MapClaims{"cnf": map[string]any{"jkt": key.thumbprint()}})
	proof := key.proof(t, "GET", external+"/whoami", bound)

	for _, test := range []struct {
		name      string
		header    []string
		status    int
		challenge string
	}{
		{"with its proof", []string{"Authorization: DPoP " + bound, "Dpop: " + proof}, 200, ""},
		{"with the same proof again", []string{"Authorization: DPoP " + bound, "Dpop: " + proof}, 401, `error="invalid_dpop_proof"`},
		{"with a proof for another page", []string{"Authorization: DPoP " + bound,
			"Dpop: " + key.proof(t, "GET", external+"/admin", bound)}, 401, `error="invalid_dpop_proof"`},
		{"without a proof", []string{"Authorization: DPoP " + bound}, 401, `error="invalid_dpop_proof"`},
		{"as a plain bearer token", []string{"Authorization: Bearer " + bound}, 401, `error="invalid_token"`},
		{"a token that is not bound", []string{"Authorization: Bearer " + s.token(t, nil)}, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := send(t, "GET", s.url+"/whoami", test.header...)
			if challenge := strings.Join(r.header.Values("WWW-Authenticate"), "; "); r.status != test.status ||
				!strings.Contains(challenge, test.challenge) {
				t.Errorf("status %d, challenge %q, body %s", r.status, challenge, r.body)
			}
		})
	}
	t.Run("the proof stays at the gateway", func(t *testing.T) {
		r := send(t, "GET", s.url+"/whoami", "Authorization: DPoP "+bound, "Dpop: "+key.proof(t, "GET", external+"/whoami", bound))
		for _, name := range decode(t, r).Received {
			if name == "dpop" || name == "authorization" {
				t.Errorf("the service received %q", name)
			}
		}
	})
	t.Run("over gRPC", func(t *testing.T) {
		client := pb.NewWhoAmIClient(dial(t, s.address))
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "DPoP "+bound,
			"dpop", key.proof(t, "POST", external+pb.WhoAmI_Get_FullMethodName, bound))
		if _, err := client.Get(ctx, &pb.GetRequest{}); err != nil {
			t.Error(err)
		}
		_, err := client.Get(ctx, &pb.GetRequest{})
		wantStatus(t, err, codes.Unauthenticated)
	})
}

func TestGatewayJudgesClocksOfProofsAsThoseOfTokens(t *testing.T) {
	t.Parallel()
	const external = "https://api.example.com"
	key := newProofKey(t)
	for _, test := range []struct {
		name   string
		args   []string
		ahead  time.Duration
		status int
	}{
		{"clocks may differ", nil, 20 * time.Second, 200},
		{"not by more", nil, 90 * time.Second, 401},
		{"but with a large leeway", []string{"-leeway", "2m"}, 90 * time.Second, 200},
		{"not without leeway", []string{"-leeway", "0s"}, 20 * time.Second, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startSystem(t, append(test.args, "-external-url", external)...)
			bound := s.token(t, jwt.MapClaims{"cnf": map[string]any{"jkt": key.thumbprint()}})
			proof := key.proofAhead(t, test.ahead, "GET", external+"/whoami", bound)
			if r := send(t, "GET", s.url+"/whoami", "Authorization: DPoP "+bound, "Dpop: "+proof); r.status != test.status {
				t.Errorf("status %d, want %d; body %s", r.status, test.status, r.body)
			}
		})
	}
}
