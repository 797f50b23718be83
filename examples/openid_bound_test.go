package examples_test

import (
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// boundToken gets a token that is bound to a key. The provider wants a nonce in
// the proof and says so.
func (o *openID) boundToken(key proofKey, way string) string {
	o.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {audience + "/" + way}, "scope": {"orders.read"}}
	res := o.post(o.metadata.Token, "machine-dpop", form, "Dpop: "+key.proof(o.t, "POST", o.metadata.Token, ""))
	res.Body.Close()
	nonce := res.Header.Get("DPoP-Nonce")
	if res.StatusCode != http.StatusBadRequest || nonce == "" {
		o.t.Fatalf("the provider asks for no nonce: status %d", res.StatusCode)
	}
	got := o.machine("machine-dpop", way, "Dpop: "+key.proof(o.t, "POST", o.metadata.Token, "", nonce))
	if got.TokenType != "DPoP" {
		o.t.Fatalf("the provider has issued a token of the type %q", got.TokenType)
	}
	return got.AccessToken
}

// A client that does what RFC 9449 says and knows nothing of us.
func TestOpenIDTokensBoundToAKeyPassWithAProofAlone(t *testing.T) {
	t.Parallel()
	const external = "https://api.example.com"
	s, o := startOpenIDSystem(t, "-external-url", external, "-dpop-nonce")
	key := newProofKey(t)
	for _, way := range []string{"ES256", "opaque"} {
		t.Run(way, func(t *testing.T) {
			token := o.boundToken(key, way)
			get := func(header ...string) reply { return send(t, "GET", s.url+"/whoami", header...) }
			with := func(nonce ...string) reply {
				return get("Authorization: DPoP "+token, "Dpop: "+key.proof(t, "GET", external+"/whoami", token, nonce...))
			}
			challenged := func(what string, r reply, challenge string) {
				t.Helper()
				if got := strings.Join(r.header.Values("WWW-Authenticate"), "; "); r.status != 401 || !strings.Contains(got, challenge) {
					t.Errorf("%s: status %d, challenge %q", what, r.status, got)
				}
			}
			first := with()
			challenged("without a nonce", first, `error="use_dpop_nonce"`)
			nonce := first.header.Get("Dpop-Nonce")
			challenged("with a nonce of somebody else", with("made-up"), `error="use_dpop_nonce"`)
			if r := with(nonce); r.status != 200 || decode(t, r).Subject != "machine-dpop" {
				t.Errorf("with the nonce: status %d, body %s", r.status, r.body)
			} else if received := decode(t, r).Received; slices.Contains(received, "dpop") || slices.Contains(received, "authorization") {
				t.Errorf("the service received %q", received)
			}

			proof := key.proof(t, "GET", external+"/whoami", token, nonce)
			if r := get("Authorization: DPoP "+token, "Dpop: "+proof); r.status != 200 {
				t.Errorf("with another proof: status %d, body %s", r.status, r.body)
			}
			challenged("with a proof again", get("Authorization: DPoP "+token, "Dpop: "+proof), `error="invalid_dpop_proof"`)
			challenged("as a plain bearer token", get("Authorization: Bearer "+token), `error="invalid_token"`)
			challenged("with somebody else's proof", get("Authorization: DPoP "+token,
				"Dpop: "+newProofKey(t).proof(t, "GET", external+"/whoami", token, nonce)), `error="invalid_token"`)
			plain := o.machine("machine", way).AccessToken
			challenged("a plain token with a proof", get("Authorization: DPoP "+plain,
				"Dpop: "+key.proof(t, "GET", external+"/whoami", plain, nonce)), `error="invalid_token"`)

			client := pb.NewWhoAmIClient(dial(t, s.address))
			var header, trailer metadata.MD
			call := func(nonce ...string) error {
				ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "DPoP "+token,
					"dpop", key.proof(t, "POST", external+pb.WhoAmI_Get_FullMethodName, token, nonce...))
				_, err := client.Get(ctx, &pb.GetRequest{}, grpc.Header(&header), grpc.Trailer(&trailer))
				return err
			}
			wantStatus(t, call(), codes.Unauthenticated)
			if got := append(header.Get("dpop-nonce"), trailer.Get("dpop-nonce")...); len(got) != 1 {
				t.Errorf("gRPC: the nonce is %q", got)
			} else if err := call(got[0]); err != nil {
				t.Errorf("gRPC: with the nonce: %v", err)
			}
		})
	}
}

// The same with a client that many use, which finds the nonce among our
// challenges by itself.
func TestOpenIDClientsUseBoundTokens(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	s, o := startOpenIDSystem(t, "-listen", address, "-external-url", "http://"+address, "-dpop-nonce")
	const want = `ES256 first machine-dpop
ES256 second machine-dpop
ES256 plain bearer:invalid_token,dpop:
Ed25519 first machine-dpop
Ed25519 second machine-dpop
Ed25519 plain bearer:invalid_token,dpop:
`
	for _, way := range []string{"EdDSA", "opaque"} {
		client := exec.CommandContext(t.Context(), "node", "openid/client.mjs", o.issuer, openIDSecret, audience+"/"+way, s.url+"/whoami")
		if out, err := client.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s: %v\n%s", way, err, out)
		}
	}
}
