package grpcctx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/inbound"
	"github.com/authctx/authctx/internal/uncarried"
)

// ClientConfig configures [NewClient].
type ClientConfig struct {
	// Propagator writes the caller on outgoing calls. It is required.
	Propagator authctx.Propagator
	// InsecureAllowPlaintext lets callers travel over connections without
	// transport security to other machines, where whoever is on the path can
	// read and change who is calling. It is for networks that encrypt by
	// themselves, such as a service mesh.
	//
	// Connections within the machine need no permission: those to Unix sockets and
	// to loopback addresses, whatever the target is called, except the forward
	// proxy that grpc takes from the environment (HTTPS_PROXY). Any other tunnel
	// that begins on this machine, such as one of ssh or of your own dialer, cannot
	// be told from a service on this machine, and needs none either.
	//
	// Set it in tests over bufconn, whose address says nothing, and to use an
	// interceptor alone, which sees no connection, see [Client.UnaryInterceptor].
	InsecureAllowPlaintext bool
}

// Client carries the caller of a context on the calls that are made with it. It
// is safe for concurrent use and may serve several connections: a caller is
// sent to whatever these are dialed to, and nowhere else. A nil or zero Client sends
// nothing: its methods panic before there is a call.
type Client struct {
	propagator authctx.Propagator
	fields     authctx.FieldSet // what it owns
	names      map[string]bool  // those of fields, for the usual case
	strip      stripper
	plaintext  bool // is allowed
	guard      guard
	writers    sync.Pool
}

// NewClient returns a client for cfg, or an error that names what is missing or
// wrong.
func NewClient(cfg ClientConfig) (*Client, error) {
	if absent.Unmade(cfg.Propagator) {
		return nil, errors.New("grpcctx: client: Propagator is required")
	}
	fields := cfg.Propagator.Fields()
	if err := fields.Validate(); err != nil {
		return nil, fmt.Errorf("grpcctx: client: Propagator: %w", err)
	}
	names := make(map[string]bool, len(fields.Names))
	for _, name := range fields.Names {
		names[name] = true
	}
	return &Client{
		propagator: cfg.Propagator,
		fields:     fields,
		names:      names,
		strip:      newStripper(fields),
		plaintext:  cfg.InsecureAllowPlaintext,
		writers:    sync.Pool{New: newWriter},
	}, nil
}

// DialOptions returns the interceptors, for unary calls and streams together,
// and a check of the connection's security. Pass all of them to
// [grpc.NewClient].
//
// On every call, all identity fields are removed from the outgoing metadata,
// whoever wrote them and however they are spelled; then the caller of the context
// is written. A call without a caller goes out without one. The credential that the
// caller came with, over gRPC or HTTP, is not passed on as metadata, even if a
// server kept it for the handler; nor is an authorization field that came in and
// that nobody read. Other metadata, the application's own authorization field and
// per-RPC credentials are not touched. If the application's own authorization equals
// the one that came in, the two cannot be told apart and it is removed: put a secret
// that all services share into Strip of [ServerConfig].
//
// Interceptors run in the order in which options are given. Give these last, for
// two reasons. An interceptor behind them has the caller in its outgoing metadata,
// and calls of its own over other connections would carry it. And nothing checks what
// it adds, nor what per-RPC credentials add: a field that the caller has too is
// doubled, which the receiver refuses; any other one, such as x-user-roles for a
// caller without roles, the receiver believes.
//
// A call fails, and is not sent, when its caller cannot be written: because the caller's
// effective end has come, for example, or because a value is not printable ASCII, which
// is all that gRPC metadata holds, and the propagator, such as one of a Verbatim layout,
// does not encode it.
//
// The caller is written when a call is made. One that waits for its connection
// ([grpc.WaitForReady]) longer than a Transaction Token lives arrives with a
// token that has ended: give it a deadline before that.
//
// It panics, as both interceptors do, if [NewClient] has not made c.
func (c *Client) DialOptions() []grpc.DialOption {
	c.mustBeMade()
	opts := []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.stream),
	}
	if !c.plaintext {
		opts = append(opts, grpc.WithPerRPCCredentials(&c.guard))
	}
	return opts
}

// UnaryInterceptor returns the interceptor for unary calls. It is for a channel that is
// no [grpc.ClientConn], such as one within the process; a grpc.ClientConn takes
// [Client.DialOptions]. It does the same to metadata as these, and may be used
// concurrently. It does not see streams: without [Client.StreamInterceptor] they carry no
// caller, and keep whatever identity somebody wrote. Make both the innermost, behind
// anything that writes metadata.
//
// An interceptor cannot see which connection a call goes out on: the check of that is
// another part of DialOptions. So with the interceptor alone, a call that has a caller
// fails, and is not sent, unless InsecureAllowPlaintext of [ClientConfig] is set. A
// Client with that setting checks no connection at all: make one for such channels alone.
func (c *Client) UnaryInterceptor() grpc.UnaryClientInterceptor {
	c.mustBeMade()
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if err := c.unchecked(ctx); err != nil {
			return err
		}
		return c.unary(ctx, method, req, reply, cc, invoke, opts...)
	}
}

// StreamInterceptor returns the interceptor for streams. What is said of
// [Client.UnaryInterceptor] is true of it: give both, as the innermost.
func (c *Client) StreamInterceptor() grpc.StreamClientInterceptor {
	c.mustBeMade()
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		if err := c.unchecked(ctx); err != nil {
			return nil, err
		}
		return c.stream(ctx, desc, cc, method, streamer, opts...)
	}
}

// mustBeMade panics before there is a call whose metadata nobody would clean.
func (c *Client) mustBeMade() {
	if c == nil || c.propagator == nil {
		panic("grpcctx: a Client that NewClient did not make")
	}
}

// unchecked refuses to send the caller of ctx over what no guard looks at.
func (c *Client) unchecked(ctx context.Context) error {
	if _, ok := authctx.FromContext(ctx); ok && !c.plaintext {
		return localError(errors.New("grpcctx: client: refusing to send the caller over a connection that an interceptor alone cannot check: " +
			"pass DialOptions to grpc.NewClient or set InsecureAllowPlaintext"))
	}
	return nil
}

func (c *Client) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, err := c.outgoing(ctx, cc)
	if err != nil {
		return err
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

func (c *Client) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx, err := c.outgoing(ctx, cc)
	if err != nil {
		return nil, err
	}
	return streamer(ctx, desc, cc, method, opts...)
}

// outgoing returns ctx, for a call over cc, with outgoing metadata that names the
// caller of ctx and nobody else.
func (c *Client) outgoing(ctx context.Context, cc *grpc.ClientConn) (context.Context, error) {
	ctx = c.clean(ctx)
	p, ok := authctx.FromContext(ctx)
	if !ok {
		return ctx, nil
	}
	w := c.writers.Get().(*writer)
	defer w.release(&c.writers)
	err := c.propagator.Inject(ctx, p, w.open())
	w.close()
	if err != nil {
		return ctx, localError(err)
	}
	if err := c.check(w.pairs); err != nil {
		return ctx, localError(err)
	}
	return &carrying{metadata.AppendToOutgoingContext(withoutPeer(ctx), w.pairs...), cc}, nil
}

// check refuses what the propagator wrote beside its own fields, since nobody
// would have removed that field before, and what metadata cannot hold, of which
// grpc would tell in an error that a handler passes on.
func (c *Client) check(pairs []string) error {
	for i := 0; i < len(pairs); i += 2 {
		name, value := pairs[i], pairs[i+1]
		if !c.names[name] {
			if !c.fields.Owns(name) {
				return fmt.Errorf("grpcctx: client: the propagator wrote %q, which is not among its fields", name)
			}
			if !isKey(strings.ToLower(name)) {
				return fmt.Errorf("grpcctx: client: the propagator wrote %q, which is no key of gRPC metadata", name)
			}
		}
		if !isPrintable(value) && !strings.HasSuffix(strings.ToLower(name), "-bin") {
			return fmt.Errorf("grpcctx: client: the value of %s is not printable ASCII, which is all that gRPC metadata holds: "+
				"use a propagator that encodes it, such as one of a layout that is not Verbatim", name)
		}
	}
	return nil
}

// writer collects what a propagator writes. It is used again, because metadata
// copies the pairs; what a propagator writes too late must not become part of the
// next call, which may be of somebody else.
type writer struct {
	mu    sync.Mutex
	turn  uint64
	pairs []string
}

func newWriter() any { return new(writer) }

// open returns a function that writes until w is closed.
func (w *writer) open() func(name, value string) {
	turn := w.turn
	return func(name, value string) {
		w.mu.Lock()
		if w.turn == turn {
			w.pairs = append(w.pairs, name, value)
		}
		w.mu.Unlock()
	}
}

func (w *writer) close() {
	w.mu.Lock()
	w.turn++
	w.mu.Unlock()
}

// release forgets the pairs, which name a caller, and returns w to pool.
func (w *writer) release(pool *sync.Pool) {
	w.close() // if Inject has panicked, too
	clear(w.pairs)
	w.pairs = w.pairs[:0]
	pool.Put(w)
}

// clean removes identity from outgoing metadata. Keys of a raw [metadata.MD] may
// be in upper case, which would make grpc fail the call; they are folded on the
// way.
func (c *Client) clean(ctx context.Context) context.Context {
	md, ok := metadata.FromOutgoingContext(ctx)
	if !ok {
		return ctx
	}
	md, _ = c.strip.without(md)
	inbound.Remove(ctx, md)
	return metadata.NewOutgoingContext(ctx, md)
}

// unsent is the error of a call that was not sent. Its text is for whoever made
// the call; a handler that returns it tells its own caller no more than the
// status says.
type unsent struct{ refusal }

func (u *unsent) Error() string { return u.cause.Error() }

func localError(err error) error {
	if reason := authctx.Reason(0); errors.As(err, &reason) {
		return &unsent{refusal{err, Status(err)}}
	}
	return &unsent{refusal{err, status.New(codes.Internal, uncarried.Detail)}}
}
