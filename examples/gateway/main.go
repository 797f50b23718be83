// Gateway verifies the tokens of clients once, for any HTTP and any gRPC service
// behind it, and tells those services who is calling.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"

	"github.com/authctx/authctx/examples/internal/program"
)

const about = `gateway verifies access tokens and tells the services behind it who is calling.

One address serves HTTP/1.1, HTTP/2 without TLS and gRPC. Calls with the content
type application/grpc go to -grpc-upstream, any method, unary and streaming;
everything else, gRPC-Web and Connect too, goes to -upstream, in HTTP/1.1 unless
that is https:// and offers HTTP/2. GET /healthz (alive) and GET /readyz (there
are keys of any issuer) are answered by the gateway itself, without a token.
Decisions, and why it is not ready, are logged as JSON on standard error.

Identity fields and Transaction Tokens that a client sends are removed on every
path. So is its token: services believe the gateway, not the client.

  go run ./examples/gateway -listen 127.0.0.1:8080 \
      -issuer https://idp.example.com -audience https://api.example.com \
      -upstream http://127.0.0.1:8081 -grpc-upstream 127.0.0.1:9091`

type gateway struct {
	tokens
	forwarding
	listen       string
	upstream     *url.URL
	grpcUpstream *url.URL
	plaintext    bool
}

func main() {
	program.Main("gateway", about, &gateway{})
}

func (g *gateway) Flags(fs *flag.FlagSet) {
	program.AddressVar(fs, &g.listen, "listen", "127.0.0.1:8080", "serve on `ADDR`; port 0 takes a free one")
	g.tokens.flags(fs)
	fs.Func("upstream", "`URL` of the HTTP service, as http://127.0.0.1:8081", g.setUpstream)
	fs.Func("grpc-upstream", "`ADDR` of the gRPC service, as 127.0.0.1:9091", g.setGRPCUpstream)
	fs.BoolVar(&g.plaintext, "allow-plaintext", false, "tell upstreams on other machines who is calling without TLS too, where whoever\n"+
		"is on the path can read and change that; for networks that encrypt by\n"+
		"themselves, such as a service mesh")
	g.forwarding.flags(fs)
}

func (g *gateway) setUpstream(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("want http://ADDR")
	}
	g.upstream = u
	return nil
}

func (g *gateway) setGRPCUpstream(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" || port == "" {
		return errors.New("want HOST:PORT")
	}
	g.grpcUpstream = &url.URL{Scheme: "http", Host: s}
	return nil
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
	l, err := net.Listen("tcp", g.listen)
	if err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	if forward.internal != nil {
		fmt.Println("internal listening on", forward.internal.Addr())
	}
	go forward.rotateKeys(ctx, log)
	health := &health{keys: g.tokens.ready, log: log}
	go health.begin(ctx)
	main := program.HTTP(l, health.handler(proxy))
	return program.Serve(ctx, append([]program.Server{main}, forward.servers()...)...)
}

// check reports everything that is missing at once.
func (g *gateway) check() error {
	errs := []error{g.tokens.check(), g.forwarding.check()}
	if g.upstream == nil && g.grpcUpstream == nil {
		errs = append(errs, errors.New("-upstream or -grpc-upstream is required, or both"))
	}
	for name, u := range map[string]*url.URL{"-upstream": g.upstream, "-grpc-upstream": g.grpcUpstream} {
		if u != nil && u.Scheme == "http" && !thisMachine(u.Hostname()) && !g.plaintext {
			errs = append(errs, fmt.Errorf("%s %s is on another machine and has no TLS: needs -allow-plaintext", name, u.Host))
		}
	}
	return errors.Join(errs...)
}

// thisMachine reports whether an upstream on host is told who is calling without
// TLS. For another one the proxy would refuse every request; this program does not
// start.
func thisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
