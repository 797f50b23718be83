package conformance

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// refusedFor checks that a call did not get to a handler, and what its client and
// the operator of the service learn of that.
func refusedFor(t *testing.T, far *far, err error, want authctx.Reason) {
	t.Helper()
	if far.reached() > 0 || err == nil {
		t.Fatalf("a handler was reached; the client learnt %v", err)
	}
	if _, _, told := far.last(); authctx.ReasonOf(told) != want {
		t.Errorf("the operator was told %v, want %v", told, want)
	}
	answer, code := http.StatusUnauthorized, codes.Unauthenticated
	switch want {
	case authctx.InvalidRequest:
		answer = http.StatusBadRequest
	case authctx.Unavailable:
		answer, code = http.StatusServiceUnavailable, codes.Unavailable
	}
	if got, ok := errors.AsType[errStatus](err); ok && int(got) != answer {
		t.Errorf("HTTP status %d, want %d", got, answer)
	}
	if st, ok := status.FromError(err); ok && st.Code() != code {
		t.Errorf("gRPC status %v", st)
	}
}

func TestFieldsThatNameNobodyForSureAreRefused(t *testing.T) {
	_, auth := plainFields(t)
	for name, test := range map[string]struct {
		fields map[string][]string
		want   authctx.Reason
	}{
		"nobody":               {nil, authctx.NoCredentials},
		"nobody, but empty":    {map[string][]string{"x-user-id": {""}, "x-user-issuer": {""}}, authctx.NoCredentials},
		"an ID without issuer": {map[string][]string{"x-user-id": {"7"}}, authctx.InvalidRequest},
		"an issuer without ID": {map[string][]string{"x-user-issuer": {"i"}}, authctx.InvalidRequest},
		"roles and no ID":      {map[string][]string{"x-user-roles": {"admin"}}, authctx.InvalidRequest},
		"two IDs":              {map[string][]string{"x-user-id": {"7", "8"}, "x-user-issuer": {"i"}}, authctx.InvalidRequest},
		"the same ID twice":    {map[string][]string{"x-user-id": {"7", "7"}, "x-user-issuer": {"i"}}, authctx.InvalidRequest},
		"two lists of roles":   {map[string][]string{"x-user-id": {"7"}, "x-user-issuer": {"i"}, "x-user-roles": {"a", "b"}}, authctx.InvalidRequest},
		"half an escape":       {map[string][]string{"x-user-id": {"%4"}, "x-user-issuer": {"i"}}, authctx.InvalidRequest},
		"an expired caller":    {map[string][]string{"x-user-id": {"7"}, "x-user-issuer": {"i"}, "x-user-expires": {"1000000000"}}, authctx.TokenExpired},
		"an end that is none":  {map[string][]string{"x-user-id": {"7"}, "x-user-issuer": {"i"}, "x-user-expires": {"never"}}, authctx.InvalidRequest},
	} {
		for _, route := range routes {
			t.Run(name+"/"+route.name, func(t *testing.T) {
				far := route.open(t, auth)
				refusedFor(t, far, far.send(t.Context(), test.fields), test.want)
			})
		}
	}
}

// A peer that is not trusted may write what it likes.
func TestFieldsFromStrangersCountAsAbsent(t *testing.T) {
	nobody := authctx.TrustFunc(func(context.Context, *authctx.Request) error { return errors.New("a stranger") })
	auth := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: nobody}))
	for _, route := range routes {
		far := route.open(t, auth)
		err := far.send(t.Context(), map[string][]string{"x-user-id": {"7"}, "x-user-issuer": {"i"}})
		refusedFor(t, far, err, authctx.NoCredentials)
	}
}

// Whether they count is for nobody to say then, and no transport serves their
// writer as nobody or by another credential.
func TestRule8_FieldsOfAPeerThatNobodyCanJudgeAreUnavailableEverywhere(t *testing.T) {
	unknown := authctx.TrustFunc(func(ctx context.Context, _ *authctx.Request) error {
		return &authctx.Error{Reason: authctx.Unavailable, Cause: errors.New("whois: connection refused"), RetryAfter: time.Second}
	})
	auth := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: unknown}))
	prop, txn := txnTokens(t)
	token := ""
	alice := must[authctx.Principal](t)(authctx.New(authctx.Attributes{Issuer: "i", Subject: "alice"}))
	if err := prop.Inject(t.Context(), alice, func(_, value string) { token = value }); err != nil {
		t.Fatal(err)
	}
	mallory := map[string][]string{"x-user-id": {"mallory"}, "x-user-issuer": {"i"}}
	beside := map[string][]string{"x-user-id": {"mallory"}, "x-user-issuer": {"i"}, "txn-token": {token}}
	for _, route := range routes {
		for _, auth := range []authctx.Authenticator{auth, authctx.OneOf(auth, txn), authctx.OneOf(txn, auth)} {
			for _, fields := range []map[string][]string{mallory, beside} {
				far := route.open(t, auth)
				refusedFor(t, far, far.send(t.Context(), fields), authctx.Unavailable)
			}
		}
	}
	anybody := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, AllowAnonymous: true}))
	r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
	r.Header["X-User-Id"], r.Header["X-User-Issuer"] = mallory["x-user-id"], mallory["x-user-issuer"]
	anybody.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("served as nobody") })).ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("where anonymous callers are let in: %d %v", w.Code, w.Header())
	}
}

// asks is an authenticator that asks somebody whose credentials these are.
type asks struct {
	authctx.Authenticator
	err error
}

func (a asks) Presents(context.Context, *authctx.Request) (bool, error) { return false, a.err }

// VerifyToken implements [jwtauth.TokenVerifier].
func (a asks) VerifyToken(context.Context, string) (jwtauth.VerifiedToken, error) {
	return jwtauth.VerifiedToken{}, a.err
}

// An author who asked in several places may join what came of it.
func TestRule8_WhatNobodyCouldTellIsAnonymousOverNoTransport(t *testing.T) {
	answering := func(err error) authctx.Authenticator {
		return authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x-key"}}, func(context.Context, *authctx.Request) (authctx.Result, error) {
			return authctx.Result{}, err
		})
	}
	trusting := func(trust authctx.Trust) authctx.Authenticator {
		return must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust}))
	}
	none, down := &authctx.Error{Reason: authctx.NoCredentials}, &authctx.Error{Reason: authctx.Unavailable}
	header := http.Header{"X-Key": {"k"}, "X-User-Id": {"mallory"}, "X-User-Issuer": {"i"}, "Authorization": {"Bearer a.b.c"}}
	for _, said := range []error{errors.Join(none, down), errors.Join(down, none), errors.Join(authctx.NoCredentials, authctx.InvalidToken, authctx.Unavailable)} {
		trust := authctx.TrustFunc(func(context.Context, *authctx.Request) error { return said })
		for name, auth := range map[string]authctx.Authenticator{
			"an authenticator":  answering(said),
			"a member of OneOf": authctx.OneOf(answering(none), answering(said)),
			"a Presenter":       authctx.OneOf(asks{answering(none), said}),
			"a Trust":           trusting(trust),
			"one of several":    trusting(authctx.TrustAnyOf(trust, trust)),
			"a TokenVerifier":   must[*jwtauth.Bearer](t)(jwtauth.NewBearer(asks{err: said}, nil)),
		} {
			overHTTP := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, AllowAnonymous: true}))
			r, w := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
			r.Header = header
			overHTTP.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%s: served as nobody", name) })).ServeHTTP(w, r)
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("%s, %q: HTTP status %d", name, said, w.Code)
			}
			overGRPC := must[*grpcctx.Server](t)(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: auth, AllowAnonymous: true}))
			ctx := metadata.NewIncomingContext(t.Context(), lower(header))
			if _, err := overGRPC.Check(ctx, "/test.Test/Call"); grpcctx.Status(err).Code() != codes.Unavailable {
				t.Errorf("%s, %q: over gRPC %v", name, said, err)
			}
		}
	}
}

// Plain fields and a Transaction Token could name different callers.
func TestTwoKindsTogetherAreRefused(t *testing.T) {
	_, fields := plainFields(t)
	prop, txn := txnTokens(t)
	alice := must[authctx.Principal](t)(authctx.New(authctx.Attributes{Issuer: "i", Subject: "alice"}))
	token := ""
	if err := prop.Inject(t.Context(), alice, func(_, value string) { token = value }); err != nil {
		t.Fatal(err)
	}
	for _, auth := range []authctx.Authenticator{authctx.OneOf(fields, txn), authctx.OneOf(txn, fields)} {
		for _, route := range routes {
			far := route.open(t, auth)
			refusedFor(t, far, far.send(t.Context(), map[string][]string{
				"txn-token": {token}, "x-user-id": {"alice"}, "x-user-issuer": {"i"},
			}), authctx.InvalidRequest)
			if err := far.send(t.Context(), map[string][]string{"txn-token": {token}}); err != nil {
				t.Errorf("%s: the token alone: %v", route.name, err)
			}
		}
	}
}

// The program that cannot say all of a caller learns which attribute is too
// large; nothing is sent, and a client in front of it learns no detail.
func TestTheBudgetNamesTheLargestAttribute(t *testing.T) {
	prop, auth := plainFields(t)
	large := authctx.Attributes{
		Issuer: "i", Subject: "alice", Name: "Alice", Roles: []string{strings.Repeat("r", 3000)}, Groups: []string{strings.Repeat("g", 2000)},
		Expires: time.Now().Add(time.Hour),
	}
	p := must[authctx.Principal](t)(authctx.New(large))
	for _, route := range routes {
		far := route.open(t, auth)
		err := far.carry(authctx.NewContext(t.Context(), p), prop, nil)
		if err == nil || far.reached() > 0 || !strings.Contains(err.Error(), "x-user-roles") || !strings.Contains(err.Error(), "4096") {
			t.Errorf("%s: %v", route.name, err)
		}
	}
	far := openHTTP(t, auth)
	generous := must[*authctx.FieldsPropagator](t)(authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Budget: 64 << 10}))
	header := http.Header{}
	if err := generous.Inject(t.Context(), p, header.Set); err != nil {
		t.Fatal(err)
	}
	gateway, call := openGateway(t, far.url, auth, prop)
	if err := call(header); !errors.Is(err, errStatus(http.StatusInternalServerError)) || far.reached() > 0 {
		t.Errorf("the client of a gateway: %v", err)
	}
	if _, _, told := gateway.last(); told == nil || !strings.Contains(told.Error(), "x-user-roles") {
		t.Errorf("the operator of the gateway is told %v", told)
	}
}
