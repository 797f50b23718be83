package conformance

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/httpctx"
)

// lastEvent is an observer that keeps the last event.
type lastEvent struct {
	mu    sync.Mutex
	event authctx.Event
}

func (l *lastEvent) Observe(_ context.Context, e authctx.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.event = e
}

func (l *lastEvent) get() authctx.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.event
}

// sentTo are ways to send fields to a server of each transport.
var sentTo = map[string]func(*testing.T, authctx.Authenticator, authctx.Observer, map[string]string){
	"HTTP": func(t *testing.T, auth authctx.Authenticator, o authctx.Observer, fields map[string]string) {
		s := must[*httpctx.Server](t)(httpctx.NewServer(httpctx.ServerConfig{Authenticator: auth, Policy: authctx.DefaultPolicy(authctx.Authenticated()), Observer: o}))
		r := httptest.NewRequest("GET", "/", nil)
		for name, value := range fields {
			r.Header.Set(name, value)
		}
		s.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	},
	"gRPC": func(t *testing.T, auth authctx.Authenticator, o authctx.Observer, fields map[string]string) {
		policy := authctx.DefaultPolicy(authctx.Authenticated())
		s := must[*grpcctx.Server](t)(grpcctx.NewServer(grpcctx.ServerConfig{Authenticator: auth, Policy: policy, Observer: o}))
		addr := runGRPC(t, func(any, grpc.ServerStream) error { return nil }, s.ServerOptions()...)
		cc := must[*grpc.ClientConn](t)(grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials())))
		defer cc.Close()
		ctx := metadata.NewOutgoingContext(t.Context(), metadata.New(fields))
		_ = cc.Invoke(ctx, "/test.Test/Call", new(emptypb.Empty), new(emptypb.Empty))
	},
}

// Kubernetes and oauth2-proxy write fields that nobody here reads, beside those of
// every caller. An operator is told of what neither is known to write.
func TestWhatATrustedProxyWritesBesideTheCallerIsNotReported(t *testing.T) {
	for name, c := range map[string]struct {
		layout  authctx.FieldLayout
		known   string
		unknown []string
	}{
		"Kubernetes":   {authctx.KubernetesLayout(), "x-remote-uid", []string{"x-remote-role", "x_remote_uid"}},
		"oauth2-proxy": {authctx.OAuth2ProxyLayout(), "x-forwarded-access-token", []string{"x-user-id", "x_forwarded_access_token"}},
	} {
		fields := map[string]string{c.layout.Subject: "alice", c.known: "secret"}
		for _, name := range c.unknown {
			fields[name] = "forged"
		}
		for transport, send := range sentTo {
			for _, by := range []struct {
				from    string
				trust   authctx.Trust
				ignored []string
			}{
				{"whom all trust", authctx.TrustNetworkAlone(), lowerNames(c.unknown)},
				{"whom nobody trusts", must[authctx.Trust](t)(authctx.TrustPeerCIDR("203.0.113.0/24")), slices.Sorted(maps.Keys(fields))},
			} {
				t.Run(transport+"/"+name+" from "+by.from, func(t *testing.T) {
					auth := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
						Trust: by.trust, Layout: &c.layout, Issuer: "i",
					}))
					var last lastEvent
					send(t, auth, &last, fields)
					if got := lowerNames(last.get().Ignored); !slices.Equal(got, by.ignored) {
						t.Errorf("ignored %q, want %q", got, by.ignored)
					}
				})
			}
		}
	}
}

// What an authenticator reads beside another that it asks is read, too.
func TestWhatAWrapperReadsIsNotReported(t *testing.T) {
	layout := authctx.KubernetesLayout()
	fields := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: authctx.TrustNetworkAlone(), Layout: &layout, Issuer: "i",
	}))
	key := authctx.FieldSet{Names: []string{"x-gateway-key"}}
	wrapper := authctx.NewAuthenticator(fields.Fields().Union(key), func(ctx context.Context, r *authctx.Request) (authctx.Result, error) {
		res, err := authctx.Authenticate(ctx, fields, r)
		res.Read = res.Read.Union(key)
		return res, err
	})
	for transport, send := range sentTo {
		var last lastEvent
		send(t, wrapper, &last, map[string]string{
			"x-gateway-key": "k", "x-remote-user": "alice", "x-remote-uid": "7", "x-remote-role": "forged",
		})
		if got := lowerNames(last.get().Ignored); !slices.Equal(got, []string{"x-remote-role"}) {
			t.Errorf("%s: ignored %q", transport, got)
		}
	}
}

// lowerNames returns names in order, whatever a transport makes of their case.
func lowerNames(names []string) []string {
	var lower []string
	for _, name := range names {
		lower = append(lower, strings.ToLower(name))
	}
	slices.Sort(lower)
	return lower
}

func TestFieldsThatWereReadAreNotIgnoredWhateverTheyWereWorth(t *testing.T) {
	_, plain := plainFields(t)
	_, txn := txnTokens(t)
	far := must[*authctx.FieldsAuthenticator](t)(authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{
		Trust: must[authctx.Trust](t)(authctx.TrustPeerCIDR("203.0.113.0/24")),
	}))
	alice := map[string]string{"x-user-id": "alice", "x-user-issuer": "i"}
	expired := map[string]string{"x-user-id": "alice", "x-user-issuer": "i", "x-user-expires": "1000"}
	bearer := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, nil)
	forged := map[string]string{"txn-token": "e30.e30.e30"}
	both := map[string]string{"x-user-id": "alice", "txn-token": "e30.e30.e30"}
	for _, c := range []struct {
		name    string
		auth    authctx.Authenticator
		fields  map[string]string
		reason  authctx.Reason
		ignored []string
	}{
		{"a caller", plain, alice, 0, nil},
		{"a caller whose end has come", plain, expired, authctx.TokenExpired, nil},
		{"half a caller", plain, map[string]string{"x-user-id": "alice"}, authctx.InvalidRequest, nil},
		{"a bad token", txn, forged, authctx.InvalidToken, nil},
		{"a bad token of one of two kinds", authctx.OneOf(txn, far), forged, authctx.InvalidToken, nil},
		{"a token that is not looked for", plain, both, authctx.InvalidRequest, []string{"txn-token"}},
		{"fields of whom nobody trusts", far, alice, authctx.NoCredentials, []string{"x-user-id", "x-user-issuer"}},
		{"fields that nobody reads", txn, alice, authctx.NoCredentials, []string{"x-user-id", "x-user-issuer"}},
		{"fields of whom nobody trusts beside two kinds", authctx.OneOf(txn, bearer, far),
			map[string]string{"x-user-id": "alice", "txn-token": "e30.e30.e30", "authorization": "Bearer x"}, authctx.InvalidRequest, []string{"x-user-id"}},
		{"fields of whom nobody trusts beside a bad token", authctx.OneOf(txn, far), both, authctx.InvalidRequest, []string{"x-user-id"}},
	} {
		for transport, send := range sentTo {
			t.Run(transport+"/"+c.name, func(t *testing.T) {
				var last lastEvent
				send(t, c.auth, &last, c.fields)
				e := last.get()
				if c.reason == 0 && e.Err != nil || c.reason != 0 && e.Reason.Public() != c.reason || !slices.Equal(lowerNames(e.Ignored), c.ignored) {
					t.Errorf("%v (%v), ignored %v", e.Reason, e.Err, e.Ignored)
				}
			})
		}
	}
}
