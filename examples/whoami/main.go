// Whoami is a service that answers with the caller it sees, over HTTP and gRPC.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/examples/internal/program"
)

const about = `whoami answers with the caller it sees, over HTTP and gRPC.

  HTTP  GET /whoami (any caller), GET /admin (role admin),
        POST /orders (permission orders:create), GET /health (public)
  gRPC  authctx.examples.v1.WhoAmI: Get, Watch, Chat (any caller),
        Admin (role admin); health and reflection (public)

It knows nothing of identity providers: it believes what a gateway in front of it
says, and -trust says who that is. Decisions are logged as JSON on standard error.

  go run ./examples/whoami -http 127.0.0.1:8081 -grpc 127.0.0.1:9091 -trust cidr:127.0.0.0/8`

type whoami struct {
	trustFlags
	httpAddress string
	grpcAddress string
}

func main() { program.Main("whoami", about, &whoami{}) }

func (w *whoami) Flags(fs *flag.FlagSet) {
	program.AddressVar(fs, &w.httpAddress, "http", "127.0.0.1:8081", "serve HTTP on `ADDR`; port 0 takes a free one")
	program.AddressVar(fs, &w.grpcAddress, "grpc", "127.0.0.1:9091", "serve gRPC on `ADDR`; port 0 takes a free one")
	w.trustFlags.flags(fs)
}

func (w *whoami) Run(ctx context.Context) error {
	trusted, err := w.trustFlags.parse()
	defer trusted.close()
	if err != nil {
		return program.Usage(err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	slog.SetDefault(log) // what net/http has to say becomes JSON too
	observer := authctx.NewSlogObserver(log)
	httpHandler, err := newHTTPHandler(trusted.authenticator, observer)
	if err != nil {
		return err
	}
	grpcServer, err := newGRPCServer(trusted.authenticator, observer, trusted.tls)
	if err != nil {
		return err
	}
	httpListener, err := program.Listen("http", w.httpAddress)
	if err != nil {
		return err
	}
	grpcListener, err := program.Listen("grpc", w.grpcAddress)
	if err != nil {
		return err
	}
	if trusted.tls != nil {
		httpListener = tls.NewListener(httpListener, trusted.tls)
	}
	fmt.Println("http listening on", httpListener.Addr())
	fmt.Println("grpc listening on", grpcListener.Addr())
	return program.Serve(ctx, program.HTTP(httpListener, httpHandler), program.GRPC(grpcListener, grpcServer))
}
