// Quickstart shows the whole way of a caller in one process: an auth service, a
// gateway, a gRPC service and an HTTP service, and a client that tries what is
// allowed and what is not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/authctx/authctx/examples/internal/program"
)

const about = `quickstart shows the whole way of a caller in one process.

It starts an auth service, a gateway, a gRPC service "users" and an HTTP service
"orders" on free loopback ports, walks through a story as their client, and
prints every step with request and answer. Its exit status is 0 only if every
step came out as it should.

  go run ./examples/quickstart                 the story, with tokens of 60 s
  go run ./examples/quickstart -token-life 3s  the same, waiting less at the end
  go run ./examples/quickstart -serve          keeps running, for your own curl`

type quickstart struct {
	tokenLife time.Duration
	serve     bool
}

func main() { program.Main("quickstart", about, &quickstart{}) }

func (q *quickstart) Flags(fs *flag.FlagSet) {
	program.DurationVar(fs, &q.tokenLife, "token-life", time.Minute, "how long a token is good, a `TIME` in whole seconds from 2s to 1h")
	fs.BoolVar(&q.serve, "serve", false, "keep running and print curl lines instead of the story")
}

func (q *quickstart) Run(ctx context.Context) error {
	if q.tokenLife < 2*time.Second || q.tokenLife > time.Hour || q.tokenLife%time.Second != 0 {
		return program.Usage(fmt.Errorf("-token-life %v: want whole seconds from 2s to 1h", q.tokenLife))
	}
	s, err := newSystem(q.tokenLife)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx) }()
	if q.serve {
		s.printCurl(os.Stdout, q.tokenLife)
		return <-served
	}
	err = s.tell(ctx, os.Stdout, q.tokenLife)
	stop()
	return errors.Join(err, <-served)
}
