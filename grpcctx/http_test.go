package grpcctx_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
)

// serveHTTP runs h on one address for HTTP/1.1 and for HTTP/2 without TLS, as a
// gateway does.
func serveHTTP(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, Protocols: &protocols, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(lis)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return lis.Addr().String()
}

func TestEveryReasonReachesAGRPCClientOfAnHTTPHandler(t *testing.T) {
	var refusal error
	cc := dial(t, serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !grpcctx.IsRequest(r) {
			t.Errorf("not taken for gRPC: %v", r.Header)
		}
		grpcctx.WriteError(w, refusal)
	})))
	for _, reason := range authctx.Reasons() {
		refusal = &authctx.Error{Reason: reason, Cause: context.Canceled, Scopes: []string{"a", "b"}}
		for _, method := range kinds {
			wantRefusal(t, call(t.Context(), cc, method), reason.Public())
		}
	}
}

// A handler that refuses and has forgotten why does not report a success.
func TestARefusalForNoErrorIsNoSuccess(t *testing.T) {
	cc := dial(t, serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("by") == "" {
			grpcctx.WriteError(w, nil)
		} else if !grpcctx.Refuse(w, r, nil) {
			t.Error("not taken for gRPC")
		}
	})))
	for _, method := range kinds {
		wantRefusal(t, call(t.Context(), cc, method), authctx.Unavailable)
		wantRefusal(t, call(metadata.AppendToOutgoingContext(t.Context(), "by", "Refuse"), cc, method), authctx.Unavailable)
	}
}

// gRPC calls it Trailers-Only: one HEADERS frame that ends the stream.
func TestAnErrorIsOneBlockOfHeaders(t *testing.T) {
	c := newRawClient(t, serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		grpcctx.WriteError(w, authctx.TokenExpired)
	})))
	first := c.answer(t, unary)
	if !first.StreamEnded() {
		t.Errorf("the stream goes on after %v", first.Fields)
	}
	fields := map[string]string{}
	for _, f := range first.Fields {
		fields[f.Name] = f.Value
	}
	for name, want := range map[string]string{":status": "200", "content-type": "application/grpc", "grpc-status": "16", "grpc-message": "The access token has expired."} {
		if fields[name] != want {
			t.Errorf("%s is %q, want %q", name, fields[name], want)
		}
	}
	if details := fields["grpc-status-details-bin"]; details == "" || strings.Contains(details, "=") {
		t.Errorf("details are %q, want base64 without padding", details)
	}
}

func TestWhatIsAGRPCRequest(t *testing.T) {
	for _, test := range []struct {
		contentType string
		proto       int
		want        bool
	}{
		{"application/grpc", 2, true},
		{"application/grpc+proto", 2, true},
		{"application/grpc+json; charset=utf-8", 2, true},
		{"application/grpc;x=y", 2, true},
		{"Application/GRPC", 2, true},
		{"application/grpc", 1, false},
		{"application/grpc-web", 2, false},
		{"application/grpc-web+proto", 2, false},
		{"application/grpcx", 2, false},
		{"application/json", 2, false},
		{"text/plain; application/grpc", 2, false},
		{"", 2, false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.ProtoMajor = test.proto
		r.Header.Set("Content-Type", test.contentType)
		if got := grpcctx.IsRequest(r); got != test.want {
			t.Errorf("%q over HTTP/%d: %v, want %v", test.contentType, test.proto, got, test.want)
		}
	}
}

// A grpc.Server behind net/http, as one address for everything needs it.
func TestTheServerWorksBehindServeHTTP(t *testing.T) {
	alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = time.Now().Add(time.Second) })
	e, seen := &echo{onStream: blocked["in a receive"]}, new(journal)
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice, "bob": newPrincipal(t)}, nil)
		c.Observer = seen
	})
	srv := grpc.NewServer(s.ServerOptions()...)
	srv.RegisterService(e.desc(), nil)
	cc := dial(t, serveHTTP(t, srv))
	if err := call(withToken(t.Context(), "bob"), cc, unary); err != nil {
		t.Fatal(err)
	}
	wantCleanContext(t, e.one(t))
	if !seen.All()[0].Peer.Addr().IsLoopback() {
		t.Errorf("the peer is %v", seen.All()[0].Peer)
	}
	wantRefusal(t, call(t.Context(), cc, unary), authctx.NoCredentials)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	wantRefusal(t, drain(open(t, withToken(ctx, "alice"), cc, bidiStream)), authctx.TokenExpired)
}

func TestTheStatusOfNoErrorIsOK(t *testing.T) {
	if st := grpcctx.Status(nil); st.Code() != codes.OK || len(st.Details()) != 0 {
		t.Errorf("got %v", st)
	}
	for _, err := range []error{nil, context.Canceled, status.Error(codes.Unauthenticated, "by somebody else")} {
		if e, ok := grpcctx.FromError(err); ok {
			t.Errorf("%v reads as %v", err, e)
		}
	}
}
