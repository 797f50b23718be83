package conformance

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

// A peer's address is never one that the peer claims: not in X-Forwarded-For,
// and not by binding its end of a Unix socket to a path that reads like one.
func TestThePeerIsNeverWhatAClientClaims_UnixSocket(t *testing.T) {
	t.Chdir(t.TempDir())
	trust := must[authctx.Trust](t)(authctx.TrustPeerCIDR("10.0.0.0/8"))
	auth := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust}))
	for name, serve := range map[string]func(*testing.T, authctx.Observer, net.Listener, *atomic.Int32){
		"HTTP": func(t *testing.T, o authctx.Observer, lis net.Listener, reached *atomic.Int32) {
			s := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, Policy: authctx.DefaultPolicy(authctx.Authenticated()), Observer: o}))
			serveH2C(t, lis, s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) })))
		},
		"gRPC": func(t *testing.T, o authctx.Observer, lis net.Listener, reached *atomic.Int32) {
			srv := countingGRPC(t, auth, o, reached)
			go srv.Serve(lis)
			t.Cleanup(srv.Stop)
		},
		"gRPC behind net/http": func(t *testing.T, o authctx.Observer, lis net.Listener, reached *atomic.Int32) {
			serveH2C(t, lis, countingGRPC(t, auth, o, reached))
		},
	} {
		for _, bound := range []string{"client.sock", "10.0.0.1:443", "[::ffff:10.0.0.1]:443"} {
			t.Run(name+"/"+bound, func(t *testing.T) {
				var reached atomic.Int32
				done := make(chan authctx.Event, 1)
				observer := authctx.ObserverFunc(func(_ context.Context, e authctx.Event) { done <- e })
				lis := must[net.Listener](t)(net.Listen("unix", "server.sock"))
				defer os.Remove(bound)
				serve(t, observer, lis, &reached)
				cc := must[*grpc.ClientConn](t)(grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
					grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
						d := net.Dialer{LocalAddr: &net.UnixAddr{Name: bound, Net: "unix"}}
						return d.DialContext(ctx, "unix", "server.sock")
					})))
				defer cc.Close()
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user-id", "root", "x-user-issuer", "i")
				if err := cc.Invoke(ctx, "/test.Test/Call", new(emptypb.Empty), new(emptypb.Empty)); err == nil {
					t.Error("the call succeeded")
				}
				if e := <-done; e.Peer.IsValid() || e.Reason != authctx.NoCredentials || reached.Load() > 0 {
					t.Errorf("peer %v, reason %v, handler reached %d times", e.Peer, e.Reason, reached.Load())
				}
			})
		}
	}
}

// countingGRPC counts the calls that reach a handler.
func countingGRPC(t *testing.T, auth authctx.Authenticator, o authctx.Observer, reached *atomic.Int32) *grpc.Server {
	policy := authctx.DefaultPolicy(authctx.Authenticated())
	s := must[*grpcctx.Server](t)(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: auth, Policy: policy, Observer: o}))
	return grpc.NewServer(append(s.ServerOptions(), grpc.UnknownServiceHandler(func(_ any, ss grpc.ServerStream) error {
		reached.Add(1)
		return errors.Join(ss.RecvMsg(new(emptypb.Empty)), ss.SendMsg(new(emptypb.Empty)))
	}))...)
}

// The same for a gRPC server behind net/http, which has of the peer no more than
// what RemoteAddr says, unless the http.Server has a ConnContext.
func TestThePeerIsNeverWhatAClientClaims_GRPCBehindHTTP(t *testing.T) {
	trust := must[authctx.Trust](t)(authctx.TrustPeerCIDR("10.1.0.0/16"))
	auth := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust}))
	for believed, connContext := range map[string]func(context.Context, net.Conn) context.Context{
		"10.1.0.5:80": nil, // as TrustPeerCIDR says
		"127.0.0.1":   httpctx.ConnContext,
	} {
		var reached atomic.Int32
		var seen journal
		lis := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
		serveH2C(t, lis, claiming("10.1.0.5:80", countingGRPC(t, auth, &seen, &reached)), func(srv *http.Server) { srv.ConnContext = connContext })
		cc := must[*grpc.ClientConn](t)(grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())))
		defer cc.Close()
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user-id", "root", "x-user-issuer", "i")
		err := cc.Invoke(ctx, "/test.Test/Call", new(emptypb.Empty), new(emptypb.Empty))
		if peer := seen.All()[0].Peer.String(); !strings.HasPrefix(peer, believed) || (err == nil) != (connContext == nil) || (reached.Load() > 0) != (err == nil) {
			t.Errorf("peer %s, %v, reached %d times", peer, err, reached.Load())
		}
	}
}

// claiming is middleware that takes every peer for address.
func claiming(address string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = address
		next.ServeHTTP(w, r)
	})
}

// serveH2C serves h in HTTP/1.1 and in HTTP/2 without TLS.
func serveH2C(t *testing.T, lis net.Listener, h http.Handler, configure ...func(*http.Server)) {
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	for _, f := range configure {
		f(srv)
	}
	go srv.Serve(lis)
	t.Cleanup(func() { srv.Close() })
}

// Middleware that takes the peer's address from a header has no say inside a
// Server, where it belongs, nor where the http.Server has a ConnContext. In front
// of a Server it decides about the trust without; then the operator reads in the
// cause which peer was judged, or that none was.
func TestARefusalNamesThePeerThatWasJudged(t *testing.T) {
	rewrites := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ip := r.Header.Get("X-Forwarded-For"); ip != "" {
				r.RemoteAddr = ip
			}
			next.ServeHTTP(w, r)
		})
	}
	inside := func(s *httpctx.Server, h http.Handler) http.Handler { return s.Handler(rewrites(h)) }
	inFront := func(s *httpctx.Server, h http.Handler) http.Handler { return rewrites(s.Handler(h)) }
	for name, c := range map[string]struct {
		trusted, claimed string
		handler          func(*httpctx.Server, http.Handler) http.Handler
		connContext      func(context.Context, net.Conn) context.Context
		cause            string // empty where the caller is believed
	}{
		"no middleware":                          {"10.1.0.0/16", "", inside, nil, "peer 127.0.0.1 is in no trusted prefix"},
		"inside, a client's claim":               {"10.1.0.0/16", "10.1.0.5:80", inside, nil, "peer 127.0.0.1 is in no trusted prefix"},
		"inside, an honest gateway's":            {"127.0.0.0/8", "203.0.113.9:80", inside, nil, ""},
		"in front, a claim without a port":       {"10.1.0.0/16", "10.1.0.5", inFront, nil, "peer has no IP address with a port"},
		"in front, an honest one":                {"127.0.0.0/8", "203.0.113.9:80", inFront, nil, "peer 203.0.113.9 is in no trusted prefix"},
		"in front, an honest one without a port": {"127.0.0.0/8", "203.0.113.9", inFront, nil, "peer has no IP address with a port"},
		"of the connection, a claim":             {"10.1.0.0/16", "10.1.0.5:80", inFront, httpctx.ConnContext, "peer 127.0.0.1 is in no trusted prefix"},
		"of the connection, an honest gateway's": {"127.0.0.0/8", "203.0.113.9:80", inFront, httpctx.ConnContext, ""},
	} {
		t.Run(name, func(t *testing.T) {
			trust := must[authctx.Trust](t)(authctx.TrustPeerCIDR(c.trusted))
			auth := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust}))
			var seen journal
			s := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, Policy: authctx.DefaultPolicy(authctx.Authenticated()), Observer: &seen}))
			srv := httptest.NewUnstartedServer(c.handler(s, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			srv.Config.ConnContext = c.connContext
			srv.Start()
			defer srv.Close()
			r := must[*http.Request](t)(http.NewRequest("GET", srv.URL, nil))
			r.Header.Set("X-User-Id", "root")
			r.Header.Set("X-User-Issuer", "i")
			r.Header.Set("X-Forwarded-For", c.claimed)
			res := must[*http.Response](t)(http.DefaultClient.Do(r))
			_ = res.Body.Close()
			want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[c.cause == ""]
			if e := seen.All()[0]; res.StatusCode != want || c.cause != "" && !strings.Contains(e.Err.Error(), c.cause) {
				t.Errorf("%d, %v", res.StatusCode, e.Err)
			}
		})
	}
}

// An IPv4 peer has one address, whatever the listener makes of it.
func TestAnIPv4PeerHasOneAddress(t *testing.T) {
	var peer netip.AddrPort
	auth := authctx.NewAuthenticator(authctx.FieldSet{}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		peer = r.Peer
		return authctx.Result{}, authctx.NoCredentials
	})
	s := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, Policy: authctx.DefaultPolicy(authctx.Authenticated())}))
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "[::ffff:10.0.0.1]:99"
	_, _ = s.Check(r)
	if want := netip.MustParseAddrPort("10.0.0.1:99"); peer != want {
		t.Errorf("%v, want %v", peer, want)
	}
}
