package grpcctx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/internal/uncarried"
)

func TestRule11_ARefusalTellsTheClientNothingOfTheCause(t *testing.T) {
	seen := new(journal)
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Observer = seen })
	wrapping := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		resp, err := next(ctx, req)
		if !errors.Is(err, authctx.InvalidToken) && !errors.Is(err, authctx.Unavailable) {
			t.Errorf("the interceptor around cannot tell %v", err)
		}
		return resp, fmt.Errorf("wrapped: %w", err)
	}
	cc := dial(t, serve(t, new(echo), append(s.ServerOptions(), grpc.UnaryInterceptor(wrapping))...))
	for token, cause := range map[string]string{"mallory": "secret-detail", "outage": "10.0.0.1"} {
		err := call(withToken(t.Context(), token), cc, unary)
		if text := fmt.Sprintf("%v %+v", err, status.Convert(err).Proto()); strings.Contains(text, cause) || strings.Contains(text, token) {
			t.Errorf("the client reads %q", text)
		}
		event := seen.All()[len(seen.All())-1]
		if !strings.Contains(event.Err.Error(), cause) {
			t.Errorf("the operator reads %v, want %q in it", event.Err, cause)
		}
	}
}

// A gateway that could not write its caller is at fault itself: the code is not
// one of those that clients try again.
func TestACallerWhoWasNotCarriedOnIsInternal(t *testing.T) {
	st := grpcctx.Status(&uncarried.Error{Cause: errors.New("secret-detail")})
	if st.Code() != codes.Internal || st.Message() != uncarried.Detail || len(st.Details()) > 0 {
		t.Error(st)
	}
	st = grpcctx.Status(&uncarried.Error{Cause: errors.New("secret-detail"), TooLarge: true})
	if st.Code() != codes.ResourceExhausted || st.Message() != uncarried.TooLargeDetail || len(st.Details()) > 0 {
		t.Error(st)
	}
}

// A reason that no server of this module tells is not one that a client learns,
// nor is one under another code.
func TestAClientReadsNoReasonThatServersDoNotTell(t *testing.T) {
	said := func(code codes.Code, reason, domain string) error {
		st, err := status.New(code, "no").WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: domain})
		if err != nil {
			t.Fatal(err)
		}
		return st.Err()
	}
	for _, reason := range authctx.Reasons() {
		name, told := strings.ToUpper(reason.String()), reason.Public() == reason
		e, ok := grpcctx.FromError(said(grpcctx.Status(reason).Code(), name, grpcctx.ErrorDomain))
		if ok != told || ok && e.Reason != reason {
			t.Errorf("%s: %v, %v", reason, e, ok)
		}
		for _, other := range []error{
			said(codes.NotFound, name, grpcctx.ErrorDomain), said(grpcctx.Status(reason).Code(), name, "googleapis.com"),
			said(grpcctx.Status(reason).Code(), strings.ToLower(name), grpcctx.ErrorDomain),
		} {
			if e, ok := grpcctx.FromError(other); ok {
				t.Errorf("%v is read as %v", other, e)
			}
		}
	}
}

func TestAClientReadsBackWhatWouldHaveSufficed(t *testing.T) {
	for maxAge, want := range map[string]string{
		"90": "1m30s", "0": "0s", "2147483647": "596523h14m7s",
		"": "none", "-1": "none", "1.5": "none", "90s": "none", "2147483648": "none",
	} {
		said, err := status.New(codes.Unauthenticated, "no").WithDetails(&errdetails.ErrorInfo{
			Reason: "INSUFFICIENT_AUTHENTICATION", Domain: grpcctx.ErrorDomain,
			Metadata: map[string]string{"requiredScope": "a b", "acrValues": "gold silver", "maxAge": maxAge},
		})
		if err != nil {
			t.Fatal(err)
		}
		e, ok := grpcctx.FromError(said.Err())
		if !ok || !slices.Equal(e.Scopes, []string{"a", "b"}) || !slices.Equal(e.ACRValues, []string{"gold", "silver"}) {
			t.Fatalf("read as %v, %+v", ok, e)
		}
		got := "none"
		if e.MaxAge != nil {
			got = e.MaxAge.String()
		}
		if got != want {
			t.Errorf("maxAge %q: a login of the last %s would do, want %s", maxAge, got, want)
		}
	}
}

func TestHandlersRefuseWithTheReasonOfARule(t *testing.T) {
	plain := status.Error(codes.NotFound, "no such order")
	for _, test := range []struct {
		name   string
		err    error
		code   codes.Code
		reason authctx.Reason
	}{
		{"a reason", authctx.PermissionDenied, codes.PermissionDenied, authctx.PermissionDenied},
		{"a wrapped refusal", fmt.Errorf("order 7: %w", &authctx.Error{Reason: authctx.InsufficientScope, Scopes: []string{"a"}}), codes.PermissionDenied, authctx.InsufficientScope},
		{"a status of its own", plain, codes.NotFound, 0},
		{"a wrapped status", fmt.Errorf("order 7: %w", plain), codes.NotFound, 0},
		{"a status of its own for a refusal", hidden{authctx.PermissionDenied}, codes.NotFound, 0},
		{"any other error", errors.New("disk full"), codes.Unknown, 0},
	} {
		for _, method := range kinds {
			cc := dial(t, serve(t, &echo{result: test.err}, newServer(t).ServerOptions()...))
			err := call(withToken(t.Context(), "alice"), cc, method)
			if got := status.Code(err); got != test.code {
				t.Errorf("%s, %s: code %v, want %v", test.name, method, got, test.code)
			}
			if e, ok := grpcctx.FromError(err); ok != (test.reason != 0) || ok && e.Reason != test.reason {
				t.Errorf("%s, %s: reads back as %v", test.name, method, e)
			}
		}
	}
}

// ServerOptions says so.
func TestAnInterceptorAroundGivesRefusalsCodesOfItsOwn(t *testing.T) {
	own := func(err error) error {
		switch {
		case errors.Is(err, authctx.NoCredentials):
			return status.Error(codes.Code(1001), "log in first")
		case errors.Is(err, authctx.InvalidToken): // and every reason that is one
			return status.Error(codes.Code(1002), "log in again")
		}
		return err
	}
	around := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			resp, err := next(ctx, req)
			return resp, own(err)
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return own(next(srv, ss))
		}),
	}
	for _, test := range []struct {
		name, token string
		result      error // of the handler
		code        codes.Code
		text        string
	}{
		{"no token", "", nil, 1001, "log in first"},
		{"a forged token", "mallory", nil, 1002, "log in again"},
		{"a refusal of the handler", "alice", &authctx.Error{Reason: authctx.TokenRevoked, Cause: errors.New("secret-detail")}, 1002, "log in again"},
		{"another refusal", "alice", authctx.PermissionDenied, codes.PermissionDenied, authctx.PermissionDenied.Description()},
		{"a status of the handler", "alice", status.Error(codes.NotFound, "no such order"), codes.NotFound, "no such order"},
		{"none", "alice", nil, codes.OK, ""},
	} {
		cc := dial(t, serve(t, &echo{result: test.result}, append(around, newServer(t).ServerOptions()...)...))
		for _, method := range kinds {
			ctx := t.Context()
			if test.token != "" {
				ctx = withToken(ctx, test.token)
			}
			if st := status.Convert(call(ctx, cc, method)); st.Code() != test.code || !strings.HasSuffix(st.Message(), test.text) || strings.Contains(st.Message(), "secret") {
				t.Errorf("%s, %s: %v %q", test.name, method, st.Code(), st.Message())
			}
		}
	}
}

// hidden is a handler's own error for what a caller may not even know of.
type hidden struct{ error }

func (h hidden) GRPCStatus() *status.Status { return status.New(codes.NotFound, "no such order") }
func (h hidden) Unwrap() error              { return h.error }

// A rule may ask somebody over gRPC. Whether it says no in the policy or in the
// handler, the client reads the same.
func TestRule11_TheStatusOfARulesCauseIsNotTheClients(t *testing.T) {
	asked := status.Error(codes.NotFound, "secret-detail")
	for _, test := range []struct {
		name   string
		answer error
		reason authctx.Reason
	}{
		{"a status", asked, authctx.PermissionDenied},
		{"a wrapped status", fmt.Errorf("acl: %w", asked), authctx.PermissionDenied},
		{"a status joined to another error", errors.Join(errors.New("acl"), asked), authctx.PermissionDenied},
		{"a refusal with a status", &authctx.Error{Reason: authctx.Unavailable, Cause: asked}, authctx.Unavailable},
		{"an error that cannot be compared", uncomparable{asked, nil}, authctx.PermissionDenied},
		{"a nil pointer", (*authctx.Error)(nil), authctx.PermissionDenied},
	} {
		rule := authctx.RuleFunc(func(context.Context, authctx.Principal) error { return test.answer })
		refused := authctx.Authorize(authctx.NewContext(t.Context(), newPrincipal(t)), rule)
		byPolicy := newServer(t, func(c *grpcctx.ServerConfig) { c.Policy = newPolicy(t, authctx.PolicyConfig{Default: rule}) })
		for how, addr := range map[string]string{
			"by policy":       serve(t, new(echo), byPolicy.ServerOptions()...),
			"by the handler":  serve(t, &echo{result: refused}, newServer(t).ServerOptions()...),
			"wrapped":         serve(t, &echo{result: fmt.Errorf("order 7: %w", refused)}, newServer(t).ServerOptions()...),
			"joined":          serve(t, &echo{result: errors.Join(errors.New("order 7"), refused)}, newServer(t).ServerOptions()...),
			"behind none":     serve(t, &echo{result: noStatus{refused}}, newServer(t).ServerOptions()...),
			"behind a status": serve(t, &echo{result: errors.Join(asked, refused)}, newServer(t).ServerOptions()...),
		} {
			cc := dial(t, addr)
			for _, method := range kinds {
				t.Run(test.name+"/"+how+method, func(t *testing.T) {
					wantRefusal(t, call(withToken(t.Context(), "alice"), cc, method), test.reason)
				})
			}
		}
	}
}

func TestANilPointerThatAHandlerReturnsIsARefusal(t *testing.T) {
	cc := dial(t, serve(t, &echo{result: (*authctx.Error)(nil)}, newServer(t).ServerOptions()...))
	for _, method := range kinds {
		wantRefusal(t, call(withToken(t.Context(), "alice"), cc, method), authctx.Unavailable)
	}
}

// noStatus looks like a status and has none.
type noStatus struct{ error }

func (noStatus) GRPCStatus() *status.Status { return nil }

func (s noStatus) Unwrap() error { return s.error }

// uncomparable is an error that == panics on.
type uncomparable struct {
	error
	details []string
}

func (u uncomparable) Unwrap() error { return u.error }

func TestTheObserverIsToldOfEveryDecision(t *testing.T) {
	seen := new(journal)
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{
		"/" + echoService + "/*": authctx.Authenticated(), unary: authctx.Role("admin"),
	}})
	s := newServer(t, func(c *grpcctx.ServerConfig) { c.Observer, c.Policy = seen, policy })
	cc := dial(t, serve(t, new(echo), s.ServerOptions()...))
	if err := call(withToken(t.Context(), "alice"), cc, bidiStream); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, call(withToken(t.Context(), "alice"), cc, unary), authctx.PermissionDenied)
	wantRefusal(t, call(withToken(t.Context(), "outage"), cc, unary), authctx.Unavailable)
	type summary struct {
		entry, target, subject string
		outcome                authctx.Outcome
		reason                 authctx.Reason
	}
	want := []summary{
		{"/" + echoService + "/*", bidiStream, "alice", authctx.Allowed, 0},
		{unary, unary, "alice", authctx.Denied, authctx.PermissionDenied},
		{unary, unary, "", authctx.Failed, authctx.Unavailable},
	}
	var got []summary
	for _, e := range seen.All() {
		got = append(got, summary{e.Entry, e.Target, e.Principal.Subject(), e.Outcome, e.Reason})
		if e.Transport != "grpc" || e.Method != "POST" || !e.Peer.Addr().IsLoopback() || (e.Err == nil) != (e.Reason == 0) {
			t.Errorf("event %+v", e)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("events\n%v, want\n%v", got, want)
	}
}

func TestAuthenticatorsSeeTheRequestAsItCame(t *testing.T) {
	var got authctx.Request
	var names []string
	var values [][]string
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Authenticator = authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x-key"}},
			func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
				got = *r
				names = slices.Collect(r.Fields.Names())
				values = [][]string{r.Values("X-Key"), r.Values("x-user-id"), r.Values("missing")}
				return authctx.Result{Principal: newPrincipal(t), Response: []authctx.Field{{Name: "dpop-nonce", Value: "n1"}}}, nil
			})
	})
	cc := dial(t, serve(t, new(echo), s.ServerOptions()...))
	for _, method := range kinds {
		var header metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), "X-Key", "one", "x-key", "two", "x-user-id", "root")
		if err := call(ctx, cc, method, grpc.Header(&header)); err != nil {
			t.Fatal(err)
		}
		if got.Transport != "grpc" || got.Method != "POST" || got.Target != method || got.Peer.Addr() != netip.MustParseAddr("127.0.0.1") || got.PeerCertificates != nil {
			t.Errorf("request %+v", got)
		}
		if want := [][]string{{"one", "two"}, {"root"}, nil}; !reflect.DeepEqual(values, want) {
			t.Errorf("values %v, want %v", values, want)
		}
		if !slices.Contains(names, "x-user-id") {
			t.Errorf("names %v", names)
		}
		if method == unary && !slices.Equal(header.Get("dpop-nonce"), []string{"n1"}) {
			t.Errorf("response header %v", header)
		}
	}
}

// Of a caller who has an end, streams are watched.
func TestTheHeaderAndTrailerOfAHandlerReachItsClient(t *testing.T) {
	send := func(ctx context.Context, header, trailer metadata.MD) error {
		err := errors.Join(grpc.SetHeader(ctx, header), grpc.SetTrailer(ctx, trailer))
		return errors.Join(err, grpc.SendHeader(ctx, metadata.Pairs("sent", "header")))
	}
	header, trailer := metadata.Pairs("set", "header"), metadata.Pairs("set", "trailer")
	behind := grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return req, send(ctx, header, trailer)
	})
	onStreams := map[string]func(grpc.ServerStream) error{
		"by the stream": func(ss grpc.ServerStream) error {
			ss.SetTrailer(trailer)
			return errors.Join(ss.SetHeader(header), ss.SendHeader(metadata.Pairs("sent", "header")), ss.SendMsg(nothing()))
		},
		"by its context": func(ss grpc.ServerStream) error {
			return errors.Join(send(ss.Context(), header, trailer), ss.SendMsg(nothing()))
		},
	}
	for name, end := range map[string]time.Time{"without an end": {}, "with an end": farFuture} {
		alice := newPrincipal(t, func(a *authctx.Attributes) { a.Expires = end })
		s := newServer(t, func(c *grpcctx.ServerConfig) {
			c.Authenticator = bearer(map[string]authctx.Principal{"alice": alice}, nil)
		})
		for how, onStream := range onStreams {
			cc := pipe(t, &echo{onStream: onStream}, append(s.ServerOptions(), behind))
			for _, method := range kinds {
				var h, tr metadata.MD
				if err := call(withToken(t.Context(), "alice"), cc, method, grpc.Header(&h), grpc.Trailer(&tr)); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(h["set"], header["set"]) || !slices.Equal(h["sent"], []string{"header"}) || !slices.Equal(tr["set"], trailer["set"]) {
					t.Errorf("%s, %s, %s: header %v, trailer %v", name, how, method, h, tr)
				}
			}
		}
	}
}

func TestFieldsForTheResponseAreSentWithARefusalToo(t *testing.T) {
	s := newServer(t, func(c *grpcctx.ServerConfig) {
		c.Authenticator = authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"dpop"}},
			func(context.Context, *authctx.Request) (authctx.Result, error) {
				return authctx.Result{Response: []authctx.Field{{Name: "dpop-nonce", Value: "n1"}}}, authctx.NonceRequired
			})
	})
	cc := dial(t, serve(t, new(echo), s.ServerOptions()...))
	for _, method := range kinds {
		ctx, cancel := context.WithCancel(t.Context())
		cs, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
		if err != nil {
			t.Fatal(err)
		}
		// A unary handler is asked once its message is there; a stream may have
		// been refused before.
		if err := cs.SendMsg(wrapperspb.String("hello")); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := cs.CloseSend(); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, drain(cs), authctx.NonceRequired)
		header, err := cs.Header()
		if err != nil || !slices.Equal(header.Get("dpop-nonce"), []string{"n1"}) {
			t.Errorf("%s: response header %v, %v", method, header, err)
		}
		cancel()
	}
}

// What an authenticator has of somebody else, such as a nonce of an introspection
// endpoint, does not cost the client its answer.
func TestAFieldThatMetadataCannotHoldIsNotSent(t *testing.T) {
	for name, test := range map[string]struct {
		field authctx.Field
		sent  string // as what
	}{
		"fit":                       {authctx.Field{Name: "DPoP-Nonce", Value: "n1"}, "dpop-nonce"},
		"bytes":                     {authctx.Field{Name: "dpop-nonce-bin", Value: "\x00\n\xff"}, "dpop-nonce-bin"},
		"no name":                   {authctx.Field{Name: "", Value: "n1"}, ""},
		"a space in the name":       {authctx.Field{Name: "dpop nonce", Value: "n1"}, ""},
		"a colon in the name":       {authctx.Field{Name: "dpop:nonce", Value: "n1"}, ""},
		"a name that is not ASCII":  {authctx.Field{Name: "dpop-n\u00f6nce", Value: "n1"}, ""},
		"a pseudo-header":           {authctx.Field{Name: ":status", Value: "500"}, ""},
		"a line break":              {authctx.Field{Name: "dpop-nonce", Value: "n1\r\nx-user-id: root"}, ""},
		"a zero byte":               {authctx.Field{Name: "dpop-nonce", Value: "n1\x00"}, ""},
		"a value that is not ASCII": {authctx.Field{Name: "dpop-nonce", Value: "\u00fc"}, ""},
		"a value that is not UTF-8": {authctx.Field{Name: "dpop-nonce", Value: "\xff"}, ""},
	} {
		answer := func(err error) *grpcctx.Server {
			return newServer(t, func(c *grpcctx.ServerConfig) {
				c.Authenticator = authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"dpop"}},
					func(context.Context, *authctx.Request) (authctx.Result, error) {
						return authctx.Result{Principal: newPrincipal(t), Response: []authctx.Field{test.field}}, err
					})
			})
		}
		refuses, allows := dial(t, serve(t, new(echo), answer(authctx.NonceRequired).ServerOptions()...)), dial(t, serve(t, new(echo), answer(nil).ServerOptions()...))
		for _, method := range kinds {
			t.Run(name+method, func(t *testing.T) {
				var header metadata.MD
				if err := call(t.Context(), allows, method, grpc.Header(&header)); err != nil {
					t.Fatal(err)
				}
				delete(header, "content-type")
				if method == unary && (test.sent == "" && len(header) > 0 || test.sent != "" && !slices.Equal(header[test.sent], []string{test.field.Value})) {
					t.Errorf("the client reads %q", header)
				}
				wantRefusal(t, call(t.Context(), refuses, method), authctx.NonceRequired)
			})
		}
	}
}

func TestAHostileRequestIsNotALongEvent(t *testing.T) {
	seen := new(journal)
	cc := dial(t, serve(t, new(echo), newServer(t, func(c *grpcctx.ServerConfig) { c.Observer = seen }).ServerOptions()...))
	ctx := withToken(t.Context(), "alice")
	for i := range 500 {
		ctx = metadata.AppendToOutgoingContext(ctx, fmt.Sprint("x-user-", i), "root")
	}
	if err := call(ctx, cc, unary); err != nil {
		t.Fatal(err)
	}
	if n := len(seen.All()[0].Ignored); n == 0 || n > 16 {
		t.Errorf("the event names %d fields", n)
	}
	huge := metadata.AppendToOutgoingContext(withToken(t.Context(), "alice"), "x-user-"+strings.Repeat("a", 1<<20), "root")
	if err := call(huge, cc, unary); err != nil {
		t.Fatal(err)
	}
	if names := seen.All()[1].Ignored; len(names) != 1 || len(names[0]) > 100 {
		t.Errorf("the event has names of %d bytes", len(strings.Join(names, "")))
	}
}
