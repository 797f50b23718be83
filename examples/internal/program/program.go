// Package program is what the example programs share around their subject:
// flags that explain themselves, listening, and stopping in good order.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Program is one example program.
type Program interface {
	// Flags defines the flags.
	Flags(fs *flag.FlagSet)
	// Run does the work until it is done or ctx ends, which is no failure. An
	// error made by [Usage] says that the flags were wrong.
	Run(ctx context.Context) error
}

// Main runs p and ends the process: with status 0 when all went well, 2 when
// the flags were wrong, and 1 for any other failure. An interrupt or a
// termination signal ends the context of p; a second one ends the process.
func Main(name, about string, p Program) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, name, about, p, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, name, about string, p Program, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	p.Flags(fs)
	err := errors.Join(parse(fs, args), onlyOnce(fs))
	switch {
	case errors.Is(err, flag.ErrHelp):
		explain(fs, about, stdout)
		return 0
	case err != nil:
		err = Usage(err)
	case fs.NArg() > 0:
		err = Usage(fmt.Errorf("%q: only flags are expected", fs.Arg(0)))
	default:
		err = p.Run(ctx)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	if _, wrong := errors.AsType[usageError](err); wrong {
		fmt.Fprintf(stderr, "%s -h explains the flags\n", name)
		return 2
	}
	return 1
}

// parse goes on after a wrong flag, so that it names them all at once. It stops at
// the value of an unknown flag, which may be a secret, and at what is no flag at all.
func parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	rest := fs.Args()
	if err == nil || err == flag.ErrHelp || len(rest) == len(args) {
		return err
	}
	more := parse(fs, rest)
	if more == nil || more.Error() == err.Error() { // both are about the first of rest
		return err
	}
	return errors.Join(err, more)
}

func explain(fs *flag.FlagSet, about string, stdout io.Writer) {
	fmt.Fprintln(stdout, about)
	flags := 0
	fs.VisitAll(func(*flag.Flag) { flags++ })
	if flags > 0 {
		fmt.Fprint(stdout, "\nFlags:\n")
		fs.SetOutput(stdout)
		fs.PrintDefaults()
	}
}

// Usage marks err as a mistake in the flags; nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }
