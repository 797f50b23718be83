// Gateway verifies the tokens of clients once, for any HTTP and any gRPC service
// behind it, and tells those services who is calling.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/authctx/authctx/examples/internal/program"
)

const about = `gateway verifies access tokens and tells the services behind it who is calling.

One address serves HTTP/1.1, HTTP/2 without TLS and gRPC. Calls with the content
type application/grpc go to -grpc-upstream, any method, unary and streaming;
everything else, gRPC-Web and Connect too, goes to -upstream, in HTTP/1.1 unless
that is https:// and offers HTTP/2. GET /healthz (alive) and GET /readyz (there
are keys of any issuer) are answered by the gateway itself, without a token.
Decisions, and why it is not ready or its keys are old, are logged as JSON on
standard error.

Identity fields and Transaction Tokens that a client sends are removed on every
path. So is its token: services believe the gateway, not the client.

  go run ./examples/gateway -listen 127.0.0.1:8080 \
      -issuer https://idp.example.com -audience https://api.example.com \
      -upstream http://127.0.0.1:8081 -grpc-upstream 127.0.0.1:9091`

type gateway struct {
	tokens
	forwarding
	upstreams
	listen string
}

func main() {
	program.Main("gateway", about, &gateway{})
}

func (g *gateway) Flags(fs *flag.FlagSet) {
	program.AddressVar(fs, &g.listen, "listen", "127.0.0.1:8080", "serve on `ADDR`; port 0 takes a free one")
	g.tokens.flags(fs)
	g.upstreams.flags(fs)
	g.forwarding.flags(fs)
}

func (g *gateway) Run(ctx context.Context) error {
	if err := g.check(); err != nil {
		return program.Usage(err)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	slog.SetDefault(log) // what net/http has to say becomes JSON too
	auth, err := g.authenticator()
	defer g.tokens.close()
	if err != nil {
		return program.Usage(err)
	}
	forward, err := g.newForwarder(g.soleIssuer())
	if err != nil {
		return err
	}
	proxy, err := g.newProxy(auth, forward.propagator, log)
	if err != nil {
		return program.Usage(err)
	}
	l, err := program.Listen("listen", g.listen)
	if err != nil {
		return err
	}
	if err := g.upstreams.checkListening(l.Addr()); err != nil {
		return program.Usage(err)
	}
	fmt.Println("listening on", l.Addr())
	if forward.internal != nil {
		fmt.Println("internal listening on", forward.internal.Addr())
	}
	go forward.rotateKeys(ctx, log)
	health := &health{keys: g.tokens.ready, loads: g.tokens.loads, log: log}
	go health.watch(ctx)
	main := program.HTTP(l, health.handler(proxy))
	return program.Serve(ctx, append([]program.Server{main}, forward.servers()...)...)
}

// check reports everything that is missing at once.
func (g *gateway) check() error {
	return errors.Join(g.tokens.check(), g.forwarding.check(), g.upstreams.check())
}
