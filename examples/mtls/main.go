// Mtls shows a gateway and a service that know each other by their certificates:
// the service believes plain identity fields from the gateway alone, and the
// gateway sends them to the service alone.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/democa"
	"github.com/authctx/authctx/examples/internal/program"
	"github.com/authctx/authctx/httpctx"
)

const about = `mtls shows a gateway and a service that trust each other by SPIFFE ID.

It makes a certificate authority of its own, starts a service on a free loopback
port, and calls it as the gateway and as others who should not be believed. Its
exit status is 0 only if every call came out as it should.

  go run ./examples/mtls`

const (
	gatewayID = "spiffe://shop.example/gateway"
	ordersID  = "spiffe://shop.example/orders"
	batchID   = "spiffe://shop.example/batch" // of the same domain, but no gateway
)

func main() { program.Main("mtls", about, demo{}) }

type demo struct{}

func (demo) Flags(*flag.FlagSet) {}

func (demo) Run(ctx context.Context) error {
	log.SetOutput(io.Discard) // servers report refused handshakes; the list below does too
	ca, err := democa.New()
	if err != nil {
		return err
	}
	stranger, err := democa.New()
	if err != nil {
		return err
	}
	orders, err := startService(ctx, ca, ordersID)
	if err != nil {
		return err
	}
	batch, err := startService(ctx, ca, batchID)
	if err != nil {
		return err
	}
	var wrong error
	for _, try := range []struct {
		what, as string
		ca       *democa.Authority
		service  string
		want     string
	}{
		{"the gateway calls the orders service", gatewayID, ca, orders, "200 hello alice"},
		{"another workload says it calls for alice", batchID, ca, orders, "401 not known"},
		{"somebody without a certificate says so", "", ca, orders, "401 not known"},
		{"a stranger's authority vouches for a gateway", gatewayID, stranger, orders, "no connection"},
		{"the gateway finds another workload where orders should be", gatewayID, ca, batch, "no connection"},
	} {
		got := call(ctx, try.ca, ca, try.as, try.service)
		fmt.Printf("%-60s %s\n", try.what+":", got)
		if got != try.want {
			wrong = errors.Join(wrong, fmt.Errorf("%s: %s, expected %s", try.what, got, try.want))
		}
	}
	return wrong
}

// startService starts a service that believes the gateway's certificate, and
// returns its URL. It ends with ctx.
func startService(ctx context.Context, ca *democa.Authority, id string) (url string, err error) {
	trust, err := authctx.TrustSPIFFEID(gatewayID)
	if err != nil {
		return "", err
	}
	auth, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust})
	if err != nil {
		return "", err
	}
	server, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, Policy: authctx.DefaultPolicy(authctx.Authenticated())})
	if err != nil {
		return "", err
	}
	config, err := ca.Server(id)
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := authctx.FromContext(r.Context())
		fmt.Fprint(w, "hello ", caller.Subject())
	})
	go program.Serve(ctx, program.HTTP(tls.NewListener(l, config), program.EndWithCertificate(server.Handler(hello))))
	return "https://" + l.Addr().String(), nil
}

// call makes a request for alice with the certificate of a workload, to a server
// that must be the orders service.
func call(ctx context.Context, issuer, roots *democa.Authority, id, service string) string {
	client, err := newClient(issuer, roots, id, service)
	if err != nil {
		return err.Error()
	}
	alice, err := authctx.New(authctx.Attributes{Issuer: "https://idp.example", Subject: "alice"})
	if err != nil {
		return err.Error()
	}
	req, err := http.NewRequestWithContext(authctx.NewContext(ctx, alice), "GET", service, nil)
	if err != nil {
		return err.Error()
	}
	res, err := client.Do(req)
	if err != nil {
		return "no connection"
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusUnauthorized {
		return "401 not known"
	}
	body, _ := io.ReadAll(res.Body)
	return fmt.Sprintf("%d %s", res.StatusCode, body)
}

// newClient returns a client that carries the caller of a context to one
// service. It shows the certificate of a workload, or none.
func newClient(issuer, roots *democa.Authority, id, service string) (*http.Client, error) {
	config := roots.Anonymous()
	if id != "" {
		shown, err := issuer.Client(id)
		if err != nil {
			return nil, err
		}
		config.Certificates = shown.Certificates
	}
	config.VerifyConnection = mustBe(ordersID)
	fields, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		return nil, err
	}
	transport, err := httpctx.NewTransport(httpctx.TransportConfig{
		Base:         &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
		Propagator:   fields,
		Destinations: []string{strings.TrimPrefix(service, "https://")},
	})
	return &http.Client{Transport: transport}, err
}

// mustBe lets a connection come about only with one workload, in addition to
// what TLS verifies anyway.
func mustBe(id string) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if uris := state.PeerCertificates[0].URIs; len(uris) != 1 || uris[0].String() != id {
			return fmt.Errorf("the server is not %s", id)
		}
		return nil
	}
}
