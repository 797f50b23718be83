package grpcctx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/internal/uncarried"
	"github.com/authctx/authctx/jwtauth"
)

// blocked are handlers that are stuck when their caller's end comes. Each
// reports how its last operation ended.
var blocked = map[string]func(ss grpc.ServerStream) error{
	"in a receive": func(ss grpc.ServerStream) error {
		for {
			if err := ss.RecvMsg(new(wrapperspb.StringValue)); err != nil {
				return err
			}
		}
	},
	"in a send that flow control holds back": func(ss grpc.ServerStream) error {
		page := wrapperspb.String(strings.Repeat("x", 32<<10))
		for {
			if err := ss.SendMsg(page); err != nil {
				return err
			}
		}
	},
	"on its context": func(ss grpc.ServerStream) error {
		<-ss.Context().Done()
		return context.Cause(ss.Context())
	},
}

// open starts a stream of the kind of method and leaves it open: for a day, in
// which those of these tests have come to their ends.
func open(t *testing.T, ctx context.Context, cc *grpc.ClientConn, method string) grpc.ClientStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 24*time.Hour)
	t.Cleanup(cancel)
	desc := &grpc.StreamDesc{ClientStreams: method != serverStream, ServerStreams: method != clientStream}
	cs, err := cc.NewStream(ctx, desc, method)
	if err != nil {
		t.Fatal(err)
	}
	return cs
}

// drain reads until the status.
func drain(cs grpc.ClientStream) error {
	for {
		if err := cs.RecvMsg(new(wrapperspb.StringValue)); err != nil {
			return err
		}
	}
}

func TestRule9_AStreamEndsWithItsCallerWhateverItsHandlerWaitsFor(t *testing.T) {
	for where, handler := range blocked {
		for _, method := range streams {
			if method == clientStream && strings.Contains(where, "send") {
				continue // it sends one message at most
			}
			t.Run(where+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					seen := new(journal)
					unblocked := make(chan error, 1)
					e := &echo{onStream: func(ss grpc.ServerStream) error {
						err := handler(ss)
						unblocked <- err
						return err
					}}
					alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(90 * time.Minute) })
					s := newServer(t, func(c *grpcctx.ServerConfig) {
						c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
						c.Observer = seen
					})
					cs := open(t, withToken(t.Context(), "alice"), pipe(t, e, s.ServerOptions()), method)
					start := time.Now()
					err := <-unblocked
					if got := time.Since(start); got != 90*time.Minute {
						t.Errorf("the handler went on for %v", got)
					}
					if err == nil {
						t.Error("the handler saw no error")
					}
					if cause := context.Cause(e.one(t)); !errors.Is(cause, authctx.TokenExpired) {
						t.Errorf("the handler's context says %v", cause)
					}
					wantRefusal(t, drain(cs), authctx.TokenExpired)
					synctest.Wait()
					list := seen.All()
					last := list[len(list)-1]
					if len(list) != 2 || last.Outcome != authctx.Ended || last.Reason != authctx.TokenExpired || last.Principal.Subject() != "alice" || last.Target != method {
						t.Errorf("the observer was told %+v", list)
					}
				})
			})
		}
	}
}

// Interceptors of options before these may keep in a stream of their own what
// they read once theirs has returned.
func TestRule9_AStreamThatHasEndedReachesNoStreamOfOuterInterceptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outer counting
		opts := []grpc.ServerOption{grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			outer.ServerStream = ss
			return next(srv, &outer)
		})}
		done := make(chan struct{})
		e := &echo{onStream: func(ss grpc.ServerStream) error {
			defer close(done)
			for err := error(nil); err == nil; time.Sleep(time.Minute) {
				err = ss.SendMsg(wrapperspb.String("hello"))
			}
			ss.SetTrailer(metadata.Pairs("name", "value"))
			for what, err := range map[string]error{
				"SendMsg": ss.SendMsg(wrapperspb.String("hello")), "RecvMsg": ss.RecvMsg(new(wrapperspb.StringValue)),
				"SetHeader": ss.SetHeader(metadata.MD{}), "SendHeader": ss.SendHeader(metadata.MD{}),
			} {
				if !errors.Is(err, authctx.TokenExpired) || status.Code(err) != codes.Unauthenticated {
					t.Errorf("%s returns %v", what, err)
				}
			}
			return nil
		}}
		alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(9*time.Minute + time.Second) })
		s := newServer(t, func(c *grpcctx.ServerConfig) {
			c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
		})
		cs := open(t, withToken(t.Context(), "alice"), pipe(t, e, append(opts, s.ServerOptions()...)), bidiStream)
		wantRefusal(t, drain(cs), authctx.TokenExpired)
		<-done
		if outer.calls != 10 {
			t.Errorf("%d calls reached the outer stream, want 10", outer.calls)
		}
	})
}

// counting is a stream that counts calls, but for the context.
type counting struct {
	grpc.ServerStream
	calls int
}

func (c *counting) counted() grpc.ServerStream {
	c.calls++
	return c.ServerStream
}

func (c *counting) SendMsg(m any) error             { return c.counted().SendMsg(m) }
func (c *counting) RecvMsg(m any) error             { return c.counted().RecvMsg(m) }
func (c *counting) SetHeader(md metadata.MD) error  { return c.counted().SetHeader(md) }
func (c *counting) SendHeader(md metadata.MD) error { return c.counted().SendHeader(md) }
func (c *counting) SetTrailer(md metadata.MD)       { c.counted().SetTrailer(md) }

// The same over a real socket, where nothing is simulated.
func TestRule9_AStreamEndsOverARealConnection(t *testing.T) {
	alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(time.Second) })
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
	})
	e := &echo{onStream: blocked["in a receive"]}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cs := open(t, withToken(ctx, "alice"), dial(t, serve(t, e, s.ServerOptions()...)), bidiStream)
	wantRefusal(t, drain(cs), authctx.TokenExpired)
}

func TestRule9_AStreamEndsWhenARecheckSaysSo(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		reason authctx.Reason
	}{
		"revoked":         {authctx.TokenRevoked, authctx.TokenRevoked},
		"cannot be asked": {errors.New("connection refused"), authctx.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := new(journal)
				var asked atomic.Int32
				recheck := func(context.Context) error {
					if asked.Add(1) < 5 {
						return nil
					}
					return test.answer
				}
				s := newServer(t, func(c *grpcctx.ServerConfig) {
					c.Authenticator = bearer(map[string]authctx.Principal{"alice": newPrincipal(t)}, recheck)
					c.Observer, c.RecheckInterval = seen, 10*time.Second
				})
				e := &echo{onStream: blocked["in a receive"]}
				start := time.Now()
				cs := open(t, withToken(t.Context(), "alice"), pipe(t, e, s.ServerOptions()), bidiStream)
				wantRefusal(t, drain(cs), test.reason)
				if got := time.Since(start); got != 50*time.Second || asked.Load() != 5 {
					t.Errorf("ended after %v and %d rechecks", got, asked.Load())
				}
				synctest.Wait()
				list := seen.All()
				if last := list[len(list)-1]; last.Outcome != authctx.Ended || last.Reason != test.reason {
					t.Errorf("the observer was told %+v", last)
				}
			})
		})
	}
}

// An observer is told of an end when the stream has ended, so that it cannot hold
// that up, and nobody around could recover what it panics with.
func TestRule9_AStreamEndsWithItsCallerWhateverTheObserverDoes(t *testing.T) {
	for name, test := range map[string]struct {
		observe func()
		logged  string
	}{
		"takes its time": {func() { time.Sleep(time.Hour) }, ""},
		"panics":         {func() { panic("oops") }, "panic of the observer: oops"},
	} {
		t.Run(name, func(t *testing.T) {
			var logged strings.Builder
			log.SetOutput(&logged)
			defer log.SetOutput(os.Stderr)
			synctest.Test(t, func(t *testing.T) {
				alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(time.Minute) })
				s := newServer(t, func(c *grpcctx.ServerConfig) {
					c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
					c.Observer = authctx.ObserverFunc(func(_ context.Context, e authctx.Event) {
						if e.Outcome == authctx.Ended {
							test.observe()
						}
					})
				})
				unblocked := make(chan struct{})
				e := &echo{onStream: func(ss grpc.ServerStream) error {
					defer close(unblocked)
					return blocked["on its context"](ss)
				}}
				start := time.Now()
				cs := open(t, withToken(t.Context(), "alice"), pipe(t, e, s.ServerOptions()), bidiStream)
				wantRefusal(t, drain(cs), authctx.TokenExpired)
				<-unblocked
				if got := time.Since(start); got != time.Minute {
					t.Errorf("ended after %v", got)
				}
				if cause := context.Cause(e.one(t)); !errors.Is(cause, authctx.TokenExpired) {
					t.Errorf("the handler's context says %v", cause)
				}
				time.Sleep(time.Hour) // the observer is done, too
			})
			if text := logged.String(); !strings.Contains(text, test.logged) || (test.logged == "") != (text == "") {
				t.Errorf("logged %q", text)
			}
		})
	}
}

// A client cannot end the watch over a handler that does not notice that it left.
func TestAHandlerThatIgnoresItsContextIsStillWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(time.Hour) })
		seen := new(journal)
		s := newServer(t, func(c *grpcctx.ServerConfig) {
			c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
			c.Observer = seen
		})
		e := &echo{onStream: func(grpc.ServerStream) error {
			time.Sleep(2 * time.Hour)
			return nil
		}}
		ctx, leave := context.WithTimeout(t.Context(), time.Minute)
		defer leave()
		if err := drain(open(t, withToken(ctx, "alice"), pipe(t, e, s.ServerOptions()), bidiStream)); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("ended with %v", err)
		}
		time.Sleep(3 * time.Hour)
		list := seen.All()
		if last := list[len(list)-1]; last.Outcome != authctx.Ended {
			t.Errorf("the observer was told %+v", last)
		}
	})
}

// With the verifier of package jwtauth, a revoked token ends the streams that
// it opened, and no others.
func TestRule9_ARevokedTokenEndsItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := new(jwtauth.MemoryRevocations)
		issuer, authenticator := accessTokens(t, revoked)
		s := newServer(t, func(c *grpcctx.ServerConfig) {
			c.Authenticator, c.RecheckInterval = authenticator, 15*time.Second
		})
		cc := pipe(t, &echo{onStream: blocked["in a receive"]}, s.ServerOptions())
		token := func(id string) context.Context {
			p := newPrincipal(t, func(a *authctx.Attributes) { a.TokenID = id })
			return withToken(t.Context(), accessToken(t, issuer, p))
		}
		start := time.Now()
		one, other := open(t, token("one"), cc, bidiStream), open(t, token("other"), cc, bidiStream)
		synctest.Wait()
		revoked.RevokeToken(idp, "one", start.Add(time.Hour))
		wantRefusal(t, drain(one), authctx.TokenRevoked)
		if got := time.Since(start); got != 15*time.Second {
			t.Errorf("the revoked stream ended after %v", got)
		}
		wantRefusal(t, drain(other), authctx.TokenExpired)
		if got := time.Since(start); got < time.Hour {
			t.Errorf("the other stream ended after %v", got)
		}
	})
}

func TestARecheckThatHangsDoesNotHoldAStreamPastItsEndNorItsHandler(t *testing.T) {
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	config := func(p authctx.Principal) func(*grpcctx.ServerConfig) {
		return func(c *grpcctx.ServerConfig) {
			c.Authenticator = bearer(map[string]authctx.Principal{"alice": p}, hang)
			c.RecheckInterval = 45 * time.Second
		}
	}
	t.Run("past its end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(time.Minute) })
			e := &echo{onStream: blocked["in a receive"]}
			cs := open(t, withToken(t.Context(), "alice"), pipe(t, e, newServer(t, config(alice)).ServerOptions()), bidiStream)
			start := time.Now()
			wantRefusal(t, drain(cs), authctx.TokenExpired)
			if got := time.Since(start); got != time.Minute {
				t.Errorf("ended after %v", got)
			}
		})
	})
	t.Run("past its handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := &echo{onStream: func(grpc.ServerStream) error {
				<-time.After(time.Minute)
				return nil
			}}
			cs := open(t, withToken(t.Context(), "alice"), pipe(t, e, newServer(t, config(newPrincipal(t))).ServerOptions()), bidiStream)
			start := time.Now()
			if err := drain(cs); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			if got := time.Since(start); got != time.Minute {
				t.Errorf("ended after %v", got)
			}
		})
	})
}

// A stream whose caller may act long enough ends as its handler says, and its
// messages pass unchanged.
func TestAStreamWithinItsCallersLifeIsUndisturbed(t *testing.T) {
	alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(time.Hour) })
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
	})
	e := &echo{onStream: func(ss grpc.ServerStream) error {
		for {
			m := new(wrapperspb.StringValue)
			if err := ss.RecvMsg(m); errors.Is(err, io.EOF) {
				return status.Error(codes.AlreadyExists, "said enough")
			} else if err != nil {
				return err
			}
			if err := ss.SendMsg(m); err != nil {
				return err
			}
		}
	}}
	cs := open(t, withToken(t.Context(), "alice"), dial(t, serve(t, e, s.ServerOptions()...)), bidiStream)
	for i := range 100 {
		want := fmt.Sprint("message ", i)
		if err := cs.SendMsg(wrapperspb.String(want)); err != nil {
			t.Fatal(err)
		}
		got := new(wrapperspb.StringValue)
		if err := cs.RecvMsg(got); err != nil || got.Value != want {
			t.Fatalf("got %q, %v", got.Value, err)
		}
	}
	if err := cs.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := drain(cs); status.Code(err) != codes.AlreadyExists {
		t.Errorf("ended with %v", err)
	}
}

// A recovering interceptor, which may tell its client what it recovered, sees the
// same value whether or not the caller has an end. Where it came from is logged.
func TestAPanicOfAStreamHandlerReachesTheInterceptorsAround(t *testing.T) {
	var logged strings.Builder
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	var recovered any
	recovering := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
		defer func() {
			recovered = recover()
			err = status.Errorf(codes.Internal, "%v", recovered)
		}()
		return next(srv, ss)
	}
	for _, value := range []any{"boom", errors.New("boom"), status.Error(codes.NotFound, "boom"), new(int)} {
		for name, end := range map[string]time.Time{"without an end": {}, "with an end": time.Now().Add(time.Hour)} {
			logged.Reset()
			alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = end })
			s := newServer(t, func(c *grpcctx.ServerConfig) {
				c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
			})
			e := &echo{onStream: func(grpc.ServerStream) error { panic(value) }}
			opts := append([]grpc.ServerOption{grpc.ChainStreamInterceptor(recovering)}, s.ServerOptions()...)
			err := call(withToken(t.Context(), "alice"), dial(t, serve(t, e, opts...)), bidiStream)
			if st := status.Convert(err); st.Message() != fmt.Sprint(value) {
				t.Errorf("%s: the client reads %q", name, st.Message())
			}
			if recovered != value {
				t.Errorf("%s: recovered %v, a %[2]T, want %v, a %[3]T", name, recovered, value)
			}
			if text := logged.String(); !end.IsZero() && (!strings.Contains(text, fmt.Sprint(value)) || !strings.Contains(text, "stream_test.go")) {
				t.Errorf("%s: logged %q, want what and where it happened", name, text)
			}
		}
	}
}

// A Transaction Token ends before a long stream that came with it. Its client is
// not told that its access token has expired, for that is as good as before.
func TestALongStreamThatCannotCarryItsCallerOnIsNotItsClientsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mint, in := txnTokens(t, 0)
		reads := func(c *grpcctx.ServerConfig) { c.Authenticator = in }
		for name, forward := range map[string]authctx.Propagator{"forwarder": jwtauth.TxnForwarder{}, "minter": mint} {
			onward := pipe(t, new(echo), newServer(t, reads).ServerOptions(),
				newClient(t, grpcctx.ClientConfig{Propagator: forward, InsecureAllowPlaintext: true}).DialOptions()...)
			calling := &echo{onStream: func(ss grpc.ServerStream) error {
				for {
					if err := ss.RecvMsg(nothing()); err != nil {
						return err
					}
					if err := call(ss.Context(), onward, unary); err != nil {
						return fmt.Errorf("get user: %w", err)
					}
					if err := ss.SendMsg(nothing()); err != nil {
						return err
					}
				}
			}}
			cc := pipe(t, calling, newServer(t, reads).ServerOptions(),
				newClient(t, grpcctx.ClientConfig{Propagator: mint, InsecureAllowPlaintext: true}).DialOptions()...)
			alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(time.Hour) })
			cs := open(t, authctx.NewContext(t.Context(), alice), cc, bidiStream)
			ask := func() error {
				_ = cs.SendMsg(nothing())
				return cs.RecvMsg(nothing())
			}
			if err := ask(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			time.Sleep(jwtauth.DefaultTxnLifetime + time.Minute)
			if st := status.Convert(ask()); st.Code() != codes.Internal || st.Message() != uncarried.Detail || len(st.Details()) > 0 {
				t.Errorf("%s: the client reads %v", name, st)
			}
		}
	})
}

func TestTheEndOfAUnaryCallersTimeDoesNotCutTheCall(t *testing.T) {
	alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(time.Hour) })
	e := new(echo)
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
	})
	if err := call(withToken(t.Context(), "alice"), dial(t, serve(t, e, s.ServerOptions()...)), unary); err != nil {
		t.Fatal(err)
	}
	if deadline, ok := e.one(t).Deadline(); ok {
		t.Errorf("the handler was given the deadline %v", deadline)
	}
}
