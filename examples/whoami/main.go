// Whoami is a service that answers with the caller it sees, over HTTP and gRPC.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/program"
)

const about = `whoami answers with the caller it sees, over HTTP and gRPC.

  HTTP  GET /whoami (any caller), GET /admin (role admin),
        POST /orders (permission orders:create), GET /health (public)
  gRPC  authctx.examples.v1.WhoAmI: Get, Watch, Chat (any caller),
        Admin (role admin); health and reflection (public)

It holds no keys and reads no tokens: it believes what a gateway in front of it
says, and -trust says who that is.

  go run ./examples/whoami -http 127.0.0.1:8081 -grpc 127.0.0.1:9091 -trust cidr:127.0.0.0/8`

type whoami struct {
	httpAddress string
	grpcAddress string
	trust       string
}

func main() { program.Main("whoami", about, &whoami{}) }

func (w *whoami) Flags(fs *flag.FlagSet) {
	fs.StringVar(&w.httpAddress, "http", "127.0.0.1:8081", "serve HTTP on `ADDR`; port 0 takes a free one")
	fs.StringVar(&w.grpcAddress, "grpc", "127.0.0.1:9091", "serve gRPC on `ADDR`; port 0 takes a free one")
	fs.StringVar(&w.trust, "trust", "", "believe plain identity fields from `WHOM` (required):\n"+
		"  cidr:PREFIX[,PREFIX...]  peers with such an address, as cidr:127.0.0.0/8\n"+
		"  network                  everybody who can connect; the network is all that protects you")
}

func (w *whoami) Run(ctx context.Context) error {
	auth, err := w.authenticator()
	if err != nil {
		return program.Usage(err)
	}
	httpHandler, err := newHTTPHandler(auth)
	if err != nil {
		return err
	}
	grpcServer, err := newGRPCServer(auth)
	if err != nil {
		return err
	}
	httpListener, err := net.Listen("tcp", w.httpAddress)
	if err != nil {
		return err
	}
	grpcListener, err := net.Listen("tcp", w.grpcAddress)
	if err != nil {
		return err
	}
	fmt.Println("http listening on", httpListener.Addr())
	fmt.Println("grpc listening on", grpcListener.Addr())
	return program.Serve(ctx, program.HTTP(httpListener, httpHandler), program.GRPC(grpcListener, grpcServer))
}

// authenticator returns how callers are known.
func (w *whoami) authenticator() (authctx.Authenticator, error) {
	trust, err := parseTrust(w.trust)
	if err != nil {
		return nil, err
	}
	return authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust})
}

func parseTrust(flag string) (authctx.Trust, error) {
	kind, arg, _ := strings.Cut(flag, ":")
	switch {
	case flag == "":
		return nil, errors.New("-trust is required: say who may vouch for callers")
	case kind == "cidr":
		prefixes := strings.Split(arg, ",")
		return authctx.TrustPeerCIDR(prefixes[0], prefixes[1:]...)
	case flag == "network":
		return authctx.TrustNetworkAlone(), nil
	}
	return nil, fmt.Errorf("-trust %q: want cidr:PREFIX or network", flag)
}
