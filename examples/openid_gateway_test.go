package examples_test

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	pb "github.com/authctx/authctx/examples/internal/examplespb"
)

// openIDSystem is a gateway in front of whoami.
type openIDSystem struct{ url, address, whoami string }

// startOpenIDSystem starts the programs as an operator would, and waits until
// the gateway has the provider's keys.
func startOpenIDSystem(t *testing.T, args ...string) (*openIDSystem, *openID) {
	t.Helper()
	o := startOpenID(t)
	trust := "cidr:127.0.0.0/8"
	if i := slices.Index(args, "-internal-listen"); i >= 0 {
		trust = "txn:http://" + args[i+1] + "/.well-known/jwks.json"
	}
	_, whoamiURL, whoamiGRPC := startWhoami(t, "-trust", trust)
	gateway := exec.Command(program(t, "gateway"), append([]string{
		"-listen", "127.0.0.1:0", "-issuer", o.issuer, "-audience", audience, "-introspect", o.metadata.Introspection, "-introspect-clients",
		"-upstream", whoamiURL, "-grpc-upstream", whoamiGRPC}, args...)...)
	gateway.Env = append(os.Environ(), "GATEWAY_CLIENT_ID=gateway", "GATEWAY_CLIENT_SECRET="+openIDSecret)
	address := startCommand(t, gateway).address("listening on")
	s := &openIDSystem{"http://" + address, address, whoamiURL}
	eventually(t, "the gateway to be ready", func() bool { return send(t, "GET", s.url+"/readyz").status == 200 })
	return s, o
}

func TestOpenIDTokensPassTheGateway(t *testing.T) {
	t.Parallel()
	for _, forward := range []string{"fields", "txn"} {
		t.Run(forward, func(t *testing.T) {
			t.Parallel()
			args := []string{"-forward", forward}
			if forward == "txn" {
				args = append(args, "-internal-listen", freeAddress(t))
			}
			s, o := startOpenIDSystem(t, args...)
			client := pb.NewWhoAmIClient(dial(t, s.address))
			if forward == "txn" {
				token := o.machine("machine", "ES256").AccessToken
				eventually(t, "the service to have the gateway's keys", func() bool {
					_, err := client.Get(as(t, token), &pb.GetRequest{})
					return err == nil
				})
			}
			get := func(path, token string) reply { return send(t, "GET", s.url+path, "Authorization: Bearer "+token) }
			for _, way := range []string{"RS256", "opaque"} {
				alice, machine := o.login("alice", way), o.machine("machine", way).AccessToken
				for _, token := range []string{alice.AccessToken, o.refresh(alice.RefreshToken, way).AccessToken} {
					r := get("/admin", token)
					if r.status != 200 {
						t.Errorf("%s: admin: status %d, body %s", way, r.status, r.body)
					}
					got := decode(t, get("/whoami", token))
					if got.Subject != "alice" || got.Issuer != o.issuer || got.ClientID != "web" || got.Kind != "user" || got.Name != "alice Example" ||
						got.Tenant != "acme" || !slices.Equal(got.Roles, []string{"admin"}) || !slices.Equal(got.Scopes, []string{"orders.read"}) {
						t.Errorf("%s: the service saw %+v", way, got)
					}
					if c, err := client.Get(as(t, token), &pb.GetRequest{}); err != nil || c.Subject != "alice" {
						t.Errorf("%s: gRPC: %v, %v", way, c, err)
					}
				}
				if got := decode(t, get("/whoami", machine)); got.Subject != "machine" || got.Kind != "service" {
					t.Errorf("%s: the service saw %+v", way, got)
				}
				if r := get("/admin", machine); r.status != 403 {
					t.Errorf("%s: a program without the role: status %d", way, r.status)
				}
				for what, token := range map[string]string{"an ID token": alice.IDToken, "a refresh token": alice.RefreshToken} {
					if r := get("/whoami", token); r.status != 401 {
						t.Errorf("%s: %s: status %d, body %s", way, what, r.status, r.body)
					}
				}
				if r := send(t, "GET", s.whoami+"/whoami", "Authorization: Bearer "+machine); r.status != 401 {
					t.Errorf("%s: around the gateway: status %d", way, r.status)
				}
			}
		})
	}
}
