package examples_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/authctx/authctx"
	pb "github.com/authctx/authctx/examples/internal/examplespb"
	"github.com/authctx/authctx/jwtauth"
)

// gatewayKeys returns keys and a Transaction Token for alice that they signed.
func gatewayKeys(t *testing.T) (keys *jwtauth.SigningKeys, token string) {
	t.Helper()
	key, err := jwtauth.GenerateSigningKey(jwtauth.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	if keys, err = jwtauth.NewSigningKeys(jwtauth.SigningKeysConfig{Current: key}); err != nil {
		t.Fatal(err)
	}
	propagator, err := jwtauth.NewTxnPropagator(jwtauth.TxnPropagatorConfig{
		TrustDomain: "authctx.local", Workload: "spiffe://authctx.local/gateway", Keys: keys,
		Lifetime: jwtauth.MaxTxnLifetime, Scopes: jwtauth.CallerScopes, // parallel tests wait for one another
	})
	if err != nil {
		t.Fatal(err)
	}
	alice, err := authctx.New(authctx.Attributes{Issuer: "https://idp.example", Subject: "alice", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := propagator.Inject(t.Context(), alice, func(_, value string) { token = value }); err != nil {
		t.Fatal(err)
	}
	return keys, token
}

// txnServices are those in Node and in Go, with the same keys.
type txnServices struct{ http, grpc map[string]string }

func startTxnServices(t *testing.T, jwksURL string) txnServices {
	t.Helper()
	trust := "txn:" + jwksURL
	_, goHTTP, goGRPC := startWhoami(t, "-trust", trust)
	return txnServices{
		http: map[string]string{"Node": "http://" + startNode(t, "node/http.mjs", "--trust", trust), "Go": goHTTP},
		grpc: map[string]string{"Node": startNode(t, "node/grpc.mjs", "--trust", trust), "Go": goGRPC},
	}
}

// answer waits until every service answers a token like this.
func (s txnServices) answer(t *testing.T, what, token string, httpStatus int, grpcCode codes.Code) {
	t.Helper()
	for service, url := range s.http {
		var r reply
		eventually(t, fmt.Sprintf("%s in %s to be %d", what, service, httpStatus), func() bool {
			r = send(t, "GET", url+"/whoami", "Txn-Token: "+token)
			return r.status == httpStatus
		})
		retry := map[int]string{503: "1"}[httpStatus]
		if got := r.header.Get("Retry-After"); got != retry {
			t.Errorf("%s in %s: Retry-After %q, want %q", what, service, got, retry)
		}
		challenge := map[int]string{401: `Bearer realm="api", error="invalid_token"`}[httpStatus]
		if got := challengeOf(r); got != challenge {
			t.Errorf("%s in %s: challenge %q, want %q", what, service, got, challenge)
		}
	}
	for service, address := range s.grpc {
		client := pb.NewWhoAmIClient(dial(t, address))
		ctx := metadata.AppendToOutgoingContext(context.Background(), "txn-token", token)
		var err error
		eventually(t, fmt.Sprintf("%s over gRPC in %s to be %v", what, service, grpcCode), func() bool {
			_, err = client.Get(ctx, &pb.GetRequest{})
			return status.Code(err) == grpcCode
		})
		if said := "The credentials cannot be checked at the moment."; grpcCode == codes.Unavailable && status.Convert(err).Message() != said {
			t.Errorf("%s over gRPC in %s: %v, want %q", what, service, err, said)
		}
	}
}

// challengeOf returns what a client is asked for, without the words for people.
func challengeOf(r reply) string {
	challenge, _, _ := strings.Cut(r.header.Get("WWW-Authenticate"), ", error_description=")
	return challenge
}

func TestRule8_NodeServicesTellBadTokensFromThoseThatNobodyCanCheck(t *testing.T) {
	t.Parallel()
	keys, good := gatewayKeys(t)
	_, unknown := gatewayKeys(t)
	_, another := gatewayKeys(t)
	for name, keyless := range map[string]http.HandlerFunc{
		"an error":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", 500) },
		"no JSON":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"no key set":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") },
		"no response": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var up atomic.Bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if up.Load() {
					keys.JWKSHandler().ServeHTTP(w, r)
				} else {
					keyless(w, r)
				}
			}))
			t.Cleanup(server.Close)
			s := startTxnServices(t, server.URL)

			s.answer(t, "a good token before there are keys", good, 503, codes.Unavailable)
			s.answer(t, "junk before there are keys", "x.y.z", 401, codes.Unauthenticated)
			up.Store(true)
			s.answer(t, "a good token", good, 200, codes.OK)
			s.answer(t, "a token of an unknown key", unknown, 401, codes.Unauthenticated)
			s.answer(t, "junk", "x.y.z", 401, codes.Unauthenticated)
			up.Store(false)
			s.answer(t, "a good token of a key that is known", good, 200, codes.OK)
			s.answer(t, "a token of a key that cannot be looked for", another, 503, codes.Unavailable)
			server.Close()
			s.answer(t, "the same without a server", another, 503, codes.Unavailable)
		})
	}
}
