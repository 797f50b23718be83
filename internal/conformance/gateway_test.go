package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/internal/moment/momenttest"
	"github.com/authctx/authctx/internal/observertest"
)

// Tests of a reverse proxy for gRPC, in front of a service that knows nothing of
// this module, over real connections.

// runGRPC starts a gRPC service of which h is every method.
func runGRPC(t *testing.T, h grpc.StreamHandler, opts ...grpc.ServerOption) (addr string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(append(opts, grpc.UnknownServiceHandler(h))...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(lis)
	}()
	t.Cleanup(func() {
		srv.Stop()
		<-done
	})
	return lis.Addr().String()
}

// echoes sends back every message.
func echoes(_ any, ss grpc.ServerStream) error {
	m := new(wrapperspb.StringValue)
	for {
		if err := ss.RecvMsg(m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := ss.SendMsg(m); err != nil {
			return err
		}
	}
}

// grpcGateway starts a gateway in front of upstream and connects to it.
func grpcGateway(t *testing.T, upstream string, cfg httpctx.ServerConfig) *grpc.ClientConn {
	t.Helper()
	return connect(t, runGateway(t, upstream, cfg))
}

// runGateway starts a gateway that speaks HTTP/1.1 and HTTP/2 to its clients, and
// HTTP/2 to upstream.
func runGateway(t *testing.T, upstream string, cfg httpctx.ServerConfig) (addr string) {
	t.Helper()
	if cfg.Policy == nil {
		cfg.Policy = authctx.DefaultPolicy(authctx.Authenticated())
	}
	s, err := httpctx.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	fields, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := httpctx.NewProxy(httpctx.ProxyConfig{Server: s, Propagator: fields})
	if err != nil {
		t.Fatal(err)
	}
	transport := transportFor(t, h2c)
	h, err := p.Handler(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(&url.URL{Scheme: "http", Host: upstream}) },
		ErrorLog:  log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", fmt.Sprint(int(codes.Unavailable)))
			w.Header().Set("Grpc-Message", err.Error())
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(s.Handler(h))
	front.Config.Protocols = protocols(http1, h2c)
	front.Config.ErrorLog = log.New(io.Discard, "", 0)
	front.Start()
	t.Cleanup(front.Close)
	return front.Listener.Addr().String()
}

// Protocols without TLS.
var (
	http1 = (*http.Protocols).SetHTTP1
	h2c   = (*http.Protocols).SetUnencryptedHTTP2
)

func protocols(set ...func(*http.Protocols, bool)) *http.Protocols {
	p := new(http.Protocols)
	for _, set := range set {
		set(p, true)
	}
	return p
}

func transportFor(t *testing.T, protocol func(*http.Protocols, bool)) *http.Transport {
	t.Helper()
	tr := &http.Transport{DisableCompression: true, Protocols: protocols(protocol)}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func connect(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	return cc
}

// knownAs returns an authenticator that takes everybody for the caller of res.
func knownAs(res authctx.Result) authctx.Authenticator {
	return authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return res, nil
	})
}

// patience bounds every wait; it is never reached when all is well.
const patience = 30 * time.Second

// aWhile after it was opened, a stream is what it will be: what is on its way has
// come, and who does not read takes no more.
const aWhile = time.Second

// comesToAnEnd returns the configuration of a gateway whose caller comes to an end
// for reason, at the end of time or at a recheck, when the clock passes that.
func comesToAnEnd(t *testing.T, reason authctx.Reason) (*momenttest.Eve, httpctx.ServerConfig) {
	t.Helper()
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	clock, alice := momenttest.NewEve(end), authctx.Result{Principal: callerUntil(t, end)}
	if reason == authctx.TokenExpired {
		return clock, httpctx.ServerConfig{Authenticator: knownAs(alice), Now: clock.Now}
	}
	alice.Recheck = func(context.Context) error {
		if clock.Since() < 0 {
			return nil
		}
		return reason
	}
	return clock, httpctx.ServerConfig{Authenticator: knownAs(alice), RecheckInterval: 50 * time.Millisecond}
}

func callerUntil(t *testing.T, end time.Time) authctx.Principal {
	t.Helper()
	p, err := authctx.New(authctx.Attributes{Issuer: "https://issuer.example", Subject: "alice", Expires: end})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestAGatewayLosesNoCallWhenItsUpstreamLeaves has an upstream that sends its
// clients away all the time, politely (RFC 9113 section 6.8), so that requests
// come back unsent. Once in a while one comes back when its body is under way, of
// which the gateway keeps no copy: that is all that may be lost.
func TestAGatewayLosesNoCallWhenItsUpstreamLeaves(t *testing.T) {
	once := func(_ any, ss grpc.ServerStream) error {
		m := new(wrapperspb.StringValue)
		if err := ss.RecvMsg(m); err != nil {
			return err
		}
		return ss.SendMsg(m)
	}
	upstream := runGRPC(t, once, grpc.KeepaliveParams(keepalive.ServerParameters{
		MaxConnectionAge: 50 * time.Millisecond, MaxConnectionAgeGrace: 5 * time.Second,
	}))
	cc := grpcGateway(t, upstream, httpctx.ServerConfig{Authenticator: knownAs(authctx.Result{Principal: callerUntil(t, time.Time{})})})
	var calls, underWay atomic.Int64
	var workers sync.WaitGroup
	stop := time.Now().Add(3 * time.Second)
	for range 16 {
		workers.Go(func() {
			for time.Now().Before(stop) && !t.Failed() {
				calls.Add(1)
				err := cc.Invoke(t.Context(), "/a.B/C", wrapperspb.String("x"), new(wrapperspb.StringValue))
				if err != nil && strings.Contains(err.Error(), "body was sent in part") {
					underWay.Add(1)
				} else if err != nil {
					t.Errorf("call %d: %v", calls.Load(), err)
				}
			}
		})
	}
	workers.Wait()
	if lost := underWay.Load(); lost > 5 {
		t.Errorf("%d of %d calls were lost", lost, calls.Load())
	}
}

// TestMetadataThatAServiceDoesNotTakeIsNoOutage has a service that takes as much
// as those of some other languages do, and a gateway that knows once it has talked
// to it.
func TestMetadataThatAServiceDoesNotTakeIsNoOutage(t *testing.T) {
	cc := grpcGateway(t, runGRPC(t, echoes, grpc.MaxHeaderListSize(8192)), httpctx.ServerConfig{
		Authenticator: knownAs(authctx.Result{Principal: callerUntil(t, time.Time{})}), Refuse: grpcctx.Refuse,
	})
	for _, test := range []struct {
		size int
		want codes.Code
	}{{100, codes.OK}, {9000, codes.ResourceExhausted}, {100, codes.OK}} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-large", strings.Repeat("x", test.size))
		err := cc.Invoke(ctx, "/a.B/C", wrapperspb.String("x"), new(wrapperspb.StringValue))
		if status.Code(err) != test.want {
			t.Errorf("%d bytes: %v", test.size, err)
		}
	}
}

// TestRule9_AStreamThroughAGatewayEndsWithItsCaller has upstreams that would go
// on for ever, whoever is calling.
func TestRule9_AStreamThroughAGatewayEndsWithItsCaller(t *testing.T) {
	waits := func(prepare func(grpc.ServerStream) error) grpc.StreamHandler {
		return func(_ any, ss grpc.ServerStream) error {
			if err := prepare(ss); err != nil {
				return err
			}
			<-ss.Context().Done()
			return ss.Context().Err()
		}
	}
	floods := func(_ any, ss grpc.ServerStream) error {
		for {
			if err := ss.SendMsg(wrapperspb.String(strings.Repeat("x", 1000))); err != nil {
				return err
			}
		}
	}
	announces := func(ss grpc.ServerStream) error {
		return ss.SendHeader(metadata.Pairs("trailer", "X-Sum, X-Other, X-Third"))
	}
	for name, upstream := range map[string]grpc.StreamHandler{
		"before it has answered":                   waits(func(grpc.ServerStream) error { return nil }),
		"once it has sent headers":                 waits(func(ss grpc.ServerStream) error { return ss.SendHeader(nil) }),
		"once it has announced trailers":           waits(announces),
		"while it waits for messages":              echoes,
		"while it sends as fast as the client can": floods,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told journal
			released := make(chan struct{})
			clock, cfg := comesToAnEnd(t, authctx.TokenExpired)
			cfg.Refuse, cfg.Observer = grpcctx.Refuse, &told
			addr := runGRPC(t, func(srv any, ss grpc.ServerStream) error {
				defer close(released)
				time.AfterFunc(aWhile, clock.Pass)
				return upstream(srv, ss)
			})
			err := drain(t, grpcGateway(t, addr, cfg))
			<-released

			if e, ok := grpcctx.FromError(err); !ok || e.Reason != authctx.TokenExpired || status.Code(err) != codes.Unauthenticated {
				t.Errorf("ended with %v", err)
			}
			if clock.Since() < 0 {
				t.Error("ended before its caller")
			}
			told.waitEnded(t, authctx.TokenExpired)
		})
	}
}

// TestRule9_NothingOfACallerReachesAServiceAfterTheEnd has a client that does not
// read the answer, so that it is still under way at the end, and goes on sending.
func TestRule9_NothingOfACallerReachesAServiceAfterTheEnd(t *testing.T) {
	t.Parallel()
	clock, cfg := comesToAnEnd(t, authctx.TokenExpired)
	cfg.Refuse = grpcctx.Refuse
	var late atomic.Int64
	released := make(chan struct{})
	addr := runGRPC(t, func(_ any, ss grpc.ServerStream) error {
		defer close(released)
		time.AfterFunc(aWhile, clock.Pass)
		go func() { _ = ss.SendMsg(wrapperspb.String(strings.Repeat("x", 3<<20))) }()
		for {
			m := new(wrapperspb.StringValue)
			if err := ss.RecvMsg(m); err != nil {
				return err
			}
			if m.Value == "too late" {
				late.Add(1)
			}
		}
	})
	cc := grpcGateway(t, addr, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cs, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/a.B/C")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		text := "one more"
		for cs.SendMsg(wrapperspb.String(text)) == nil {
			if clock.Since() > time.Second { // which the gateway has to find it out
				text = "too late"
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	select {
	case <-released:
	case <-time.After(patience):
		t.Error("the service is not released")
	}
	if n := late.Load(); n > 0 {
		t.Errorf("it took %d messages after the end", n)
	}
}

// TestAnUpstreamThatGivesUpWithinTheLastMessageIsNotWaitedFor has one that does so
// a second after the caller's end. The client hears of it then.
func TestAnUpstreamThatGivesUpWithinTheLastMessageIsNotWaitedFor(t *testing.T) {
	for name, test := range map[string]struct {
		reset  bool
		status string
	}{"it ends the stream": {false, "13"}, "it resets the stream": {true, "16"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock, cfg := comesToAnEnd(t, authctx.TokenExpired)
			cfg.Refuse = grpcctx.Refuse
			upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/grpc")
				_, _ = w.Write([]byte("\x00\x00\x00\x03\xe8 of a thousand bytes, some"))
				_ = http.NewResponseController(w).Flush()
				time.AfterFunc(aWhile, clock.Pass)
				<-clock.Passed()
				time.Sleep(time.Second)
				if test.reset {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", test.status)
			}))
			upstream.Config.Protocols = protocols(h2c)
			upstream.Start()
			t.Cleanup(upstream.Close)
			addr := runGateway(t, upstream.Listener.Addr().String(), cfg)
			body, silent := io.Pipe() // a client that has more to say, and does not
			t.Cleanup(func() { _ = silent.Close() })
			req, _ := http.NewRequest("POST", "http://"+addr+"/a.B/C", body)
			req.Header.Set("Content-Type", "application/grpc")
			res, err := transportFor(t, h2c).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			_, err = io.ReadAll(res.Body)
			if late := clock.Since(); err != nil || res.Trailer.Get("Grpc-Status") != test.status || late > 4*time.Second {
				t.Errorf("%v, status %q, %v after the end", err, res.Trailer.Get("Grpc-Status"), late)
			}
		})
	}
}

func TestAStreamThroughAGatewayEndsWhenItsCallerDoesNotPassARecheck(t *testing.T) {
	for name, test := range map[string]struct {
		refusal error
		reason  authctx.Reason
		code    codes.Code
	}{
		"revoked":         {authctx.TokenRevoked, authctx.TokenRevoked, codes.Unauthenticated},
		"not to be known": {errors.New("no answer"), authctx.Unavailable, codes.Unavailable},
	} {
		for answered, upstream := range map[string]grpc.StreamHandler{
			"answered": echoes,
			"not yet answered": func(_ any, ss grpc.ServerStream) error {
				<-ss.Context().Done()
				return nil
			},
		} {
			t.Run(name+", "+answered, func(t *testing.T) {
				var told journal
				cc := grpcGateway(t, runGRPC(t, upstream), httpctx.ServerConfig{
					Authenticator: knownAs(authctx.Result{
						Principal: callerUntil(t, time.Time{}),
						Recheck:   func(context.Context) error { return test.refusal },
					}),
					RecheckInterval: 50 * time.Millisecond, Refuse: grpcctx.Refuse, Observer: &told,
				})
				err := drain(t, cc)
				if e, ok := grpcctx.FromError(err); !ok || e.Reason != test.reason || status.Code(err) != test.code {
					t.Errorf("ended with %v", err)
				}
				told.waitEnded(t, test.reason)
			})
		}
	}
}

// TestRule9_AStreamEndsWithItsCallerHoweverItWasAskedFor has clients that try to
// look to the gateway as if they did not speak gRPC, while the service behind
// takes what they ask for gRPC. They are reset, since nobody knows how to answer
// them.
func TestRule9_AStreamEndsWithItsCallerHoweverItWasAskedFor(t *testing.T) {
	for how, client := range map[string]struct {
		protocol func(*http.Protocols, bool)
		header   http.Header
	}{
		"plainly":                            {h2c, http.Header{"Content-Type": {"application/grpc"}}},
		"by the second of two content types": {h2c, http.Header{"Content-Type": {"text/plain", "application/grpc"}}},
		"over HTTP/1.1":                      {http1, http.Header{"Content-Type": {"application/grpc"}}},
		"over HTTP/1.1 with an offer of HTTP/2": {http1, http.Header{
			"Content-Type": {"application/grpc"}, "Connection": {"Upgrade"}, "Upgrade": {"h2c"},
		}},
		"over HTTP/1.1 with an empty upgrade": {http1, http.Header{"Content-Type": {"application/grpc"}, "Upgrade": {""}}},
	} {
		for when, reason := range map[string]authctx.Reason{"at the end": authctx.TokenExpired, "at a recheck": authctx.TokenRevoked} {
			t.Run(how+", "+when, func(t *testing.T) {
				t.Parallel()
				var told journal
				clock, cfg := comesToAnEnd(t, reason)
				cfg.Observer = &told
				released := make(chan struct{})
				upstream := runGRPC(t, func(_ any, ss grpc.ServerStream) error {
					defer close(released)
					// A server of HTTP/1.1 takes the rest of a body away from whoever
					// is still sending it on when the answer begins.
					for ss.RecvMsg(new(wrapperspb.StringValue)) == nil {
					}
					if err := ss.SendMsg(wrapperspb.String("x")); err != nil {
						return err
					}
					<-ss.Context().Done()
					return ss.Context().Err()
				})
				gateway := runGateway(t, upstream, cfg)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, "POST", "http://"+gateway+"/a.B/C", strings.NewReader("\x00\x00\x00\x00\x00"))
				if err != nil {
					t.Fatal(err)
				}
				r.Header = client.header
				res, err := transportFor(t, client.protocol).RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				if _, err := io.ReadFull(res.Body, make([]byte, 1)); err != nil {
					t.Errorf("%d, %v", res.StatusCode, err)
				}
				clock.Pass()
				if rest, err := io.ReadAll(res.Body); err == nil || ctx.Err() != nil {
					t.Errorf("%d, read %q, %v", res.StatusCode, rest, err)
				}
				_ = res.Body.Close()
				<-released
				told.waitEnded(t, reason)
			})
		}
	}
}

// A gateway that was not told how to answer gRPC cuts the stream nevertheless.
func TestAStreamThatCannotBeAnsweredIsReset(t *testing.T) {
	clock, cfg := comesToAnEnd(t, authctx.TokenExpired)
	upstream := func(srv any, ss grpc.ServerStream) error {
		time.AfterFunc(aWhile, clock.Pass)
		return echoes(srv, ss)
	}
	if err := drain(t, grpcGateway(t, runGRPC(t, upstream), cfg)); status.Code(err) != codes.Internal {
		t.Errorf("ended with %v", err)
	}
}

// TestAGatewayKeepsNothingOfACall counts goroutines after calls of a caller whose
// end is far away.
func TestAGatewayKeepsNothingOfACall(t *testing.T) {
	cc := grpcGateway(t, runGRPC(t, echoes), httpctx.ServerConfig{
		Authenticator: knownAs(authctx.Result{Principal: callerUntil(t, time.Now().Add(time.Hour))}), Refuse: grpcctx.Refuse,
	})
	many := func() {
		for range 50 {
			if err := cc.Invoke(t.Context(), "/a.B/C", wrapperspb.String("x"), new(wrapperspb.StringValue)); err != nil {
				t.Fatal(err)
			}
		}
	}
	many()
	before := runtime.NumGoroutine()
	many()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before+5; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
	}
}

// TestAnAnswerOfTrailersOnlyKeepsItsStatus has metadata whose name means
// something to net/http.
func TestAnAnswerOfTrailersOnlyKeepsItsStatus(t *testing.T) {
	upstream := runGRPC(t, func(_ any, ss grpc.ServerStream) error {
		ss.SetTrailer(metadata.Pairs("trailer", "x-sum"))
		return status.Error(codes.NotFound, "no such thing")
	})
	cc := grpcGateway(t, upstream, httpctx.ServerConfig{
		Authenticator: knownAs(authctx.Result{Principal: callerUntil(t, time.Time{})}), Refuse: grpcctx.Refuse,
	})
	for range 20 {
		if err := drain(t, cc); status.Code(err) != codes.NotFound {
			t.Fatalf("ended with %v", err)
		}
	}
}

// drain opens a stream, sends one message, and reads until the end, which is not
// to be a good one.
func drain(t *testing.T, cc *grpc.ClientConn) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cs, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/a.B/C")
	if err != nil {
		t.Fatal(err)
	}
	_ = cs.SendMsg(wrapperspb.String("x")) // how it ended is what RecvMsg says
	for err == nil {
		err = cs.RecvMsg(new(wrapperspb.StringValue))
	}
	if errors.Is(err, io.EOF) {
		t.Error("the stream ended well")
	}
	return err
}

type journal struct{ observertest.Journal }

// waitEnded waits for the event of a stream that was ended, which may come after
// the answer.
func (j *journal) waitEnded(t *testing.T, reason authctx.Reason) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		for _, e := range j.All() {
			if e.Outcome == authctx.Ended && e.Reason == reason && e.Principal.Subject() == "alice" {
				return
			}
		}
	}
	t.Errorf("nobody was told of an end for %v", reason)
}
