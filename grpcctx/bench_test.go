package grpcctx_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/grpcctx"
	"github.com/authctx/authctx/jwtauth"
)

// setting is one way to carry callers; all settings make the same call over
// loopback TCP.
type setting struct {
	server []grpc.ServerOption
	client []grpc.DialOption
	// context returns the context in which callers[i] makes its calls.
	context func(i int) context.Context
}

// benchCallers returns n callers as an identity provider of a middle-sized
// company names them, with everything that usually travels.
func benchCallers(b *testing.B, n int) []authctx.Principal {
	callers := make([]authctx.Principal, n)
	for i := range callers {
		p, err := authctx.New(authctx.Attributes{
			Issuer: "https://idp.example", Subject: fmt.Sprint("248289761", 1000+i), Name: fmt.Sprint("Jane Doe ", i),
			Email: fmt.Sprintf("jane%d@example.com", i), Tenant: "acme", ClientID: "web",
			SessionID: fmt.Sprintf("08a5019c-17e1-4977-8f42-65a12843%04x", i),
			Scopes:    []string{"openid", "profile", "orders.read", "orders.write", "users.read", "reports.read"},
			Roles:     []string{"editor", "approver", "support", "auditor"},
			Permissions: []string{"orders:create", "orders:read", "orders:cancel", "users:read", "users:invite",
				"reports:read", "reports:export", "billing:read"},
			Expires: farFuture,
		})
		if err != nil {
			b.Fatal(err)
		}
		callers[i] = p
	}
	return callers
}

// bare calls with nothing at all.
func bare(*testing.B, []authctx.Principal) setting {
	return setting{context: func(int) context.Context { return context.Background() }}
}

type keys struct{ id, roles, tenant string }

type keysKey struct{}

// keys3 is what people write by hand: three keys, not encoded, not checked, for
// any peer that sends them.
func keys3(_ *testing.B, callers []authctx.Principal) setting {
	values := make([]context.Context, len(callers))
	for i, p := range callers {
		values[i] = context.WithValue(context.Background(), keysKey{}, keys{p.Subject(), "editor,approver", p.Tenant()})
	}
	return setting{
		client: []grpc.DialOption{grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			k := ctx.Value(keysKey{}).(keys)
			ctx = metadata.AppendToOutgoingContext(ctx, "x-user-id", k.id, "x-user-roles", k.roles, "x-user-tenant", k.tenant)
			return invoke(ctx, method, req, reply, cc, opts...)
		})},
		server: []grpc.ServerOption{grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			k := keys{md.Get("x-user-id")[0], md.Get("x-user-roles")[0], md.Get("x-user-tenant")[0]}
			return next(context.WithValue(ctx, keysKey{}, k), req)
		})},
		context: func(i int) context.Context { return values[i] },
	}
}

// plain carries whole callers in plain fields.
func plain(b *testing.B, callers []authctx.Principal) setting {
	out, in := plainFields(b)
	return carried(b, callers, out, in)
}

// carried is this package at work on both sides.
func carried(b *testing.B, callers []authctx.Principal, out authctx.Propagator, in authctx.Authenticator) setting {
	contexts := make([]context.Context, len(callers))
	for i, p := range callers {
		contexts[i] = authctx.NewContext(context.Background(), p)
	}
	return setting{
		client:  newClient(b, grpcctx.ClientConfig{Propagator: out}).DialOptions(),
		server:  newServer(b, func(c *grpcctx.ServerConfig) { c.Authenticator = in }).ServerOptions(),
		context: func(i int) context.Context { return contexts[i] },
	}
}

// txn carries whole callers in Transaction Tokens that are used again for as
// long as reuse says.
func txn(reuse time.Duration) func(*testing.B, []authctx.Principal) setting {
	return func(b *testing.B, callers []authctx.Principal) setting {
		out, in := txnTokens(b, reuse)
		return carried(b, callers, out, in)
	}
}

var ways = []struct {
	name    string
	setting func(*testing.B, []authctx.Principal) setting
}{
	{"bare", bare}, {"keys3", keys3}, {"limit", limit}, {"fields", plain},
	{"txn", txn(0)}, {"txn-reuse", txn(time.Minute)}, {"reverify", reverify},
}

// benchUnary makes calls for n callers that take turns, in every setting. Each
// is made when its turn comes, so that what the one before remembered is garbage.
func benchUnary(b *testing.B, n int) {
	callers := benchCallers(b, n)
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) { benchCalls(b, n, way.setting(b, callers)) })
	}
}

func benchCalls(b *testing.B, callers int, s setting) {
	cc := dial(b, serve(b, &echo{forgetful: true}, s.server...), s.client...)
	in, out := wrapperspb.String("hello"), new(wrapperspb.StringValue)
	for i := range callers {
		if err := cc.Invoke(s.context(i), unary, in, out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := cc.Invoke(s.context(i%callers), unary, in, out); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkUnary compares ways to carry one caller who makes many calls.
func BenchmarkUnary(b *testing.B) { benchUnary(b, 1) }

// BenchmarkUnaryThousand is [BenchmarkUnary] for a thousand callers who take
// turns, so that nothing is remembered from the call before.
func BenchmarkUnaryThousand(b *testing.B) { benchUnary(b, 1000) }

// limit is the least that carrying whole callers in fields can cost: ready
// fields are sent, and nobody reads them.
func limit(b *testing.B, callers []authctx.Principal) setting {
	out, _ := plainFields(b)
	contexts := make([]context.Context, len(callers))
	for i, p := range callers {
		var pairs []string
		if err := out.Inject(context.Background(), p, func(name, value string) { pairs = append(pairs, name, value) }); err != nil {
			b.Fatal(err)
		}
		contexts[i] = metadata.AppendToOutgoingContext(context.Background(), pairs...)
	}
	return setting{context: func(i int) context.Context { return contexts[i] }}
}

// reverify is the naive way, as it is written by hand with golang-jwt and
// keyfunc: the client's own token goes on to the service, which parses and
// verifies it again on every call.
func reverify(b *testing.B, callers []authctx.Principal) setting {
	keys := signingKeys(b, jwtauth.ES256)
	issuer := accessTokenIssuer(b, keys)
	contexts := make([]context.Context, len(callers))
	for i, p := range callers {
		contexts[i] = withToken(context.Background(), accessToken(b, issuer, p))
	}
	recorder := httptest.NewRecorder()
	keys.JWKSHandler().ServeHTTP(recorder, httptest.NewRequest("GET", "/jwks.json", nil))
	known, err := keyfunc.NewJWKSetJSON(recorder.Body.Bytes())
	if err != nil {
		b.Fatal(err)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(idp),
		jwt.WithAudience(apiAudience), jwt.WithExpirationRequired())
	return setting{
		server: []grpc.ServerOption{grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			token, _ := strings.CutPrefix(md.Get("authorization")[0], "Bearer ")
			claims := jwt.MapClaims{}
			if _, err := parser.ParseWithClaims(token, claims, known.Keyfunc); err != nil {
				return nil, err
			}
			return next(context.WithValue(ctx, keysKey{}, claims), req)
		})},
		context: func(i int) context.Context { return contexts[i] },
	}
}

// BenchmarkStream measures one message there and back on a stream that is open.
func BenchmarkStream(b *testing.B) {
	callers := benchCallers(b, 1)
	for _, way := range ways {
		if way.name != "bare" && way.name != "fields" {
			continue
		}
		b.Run(way.name, func(b *testing.B) {
			s := way.setting(b, callers)
			cc := dial(b, serve(b, &echo{onStream: echoMessages}, s.server...), s.client...)
			cs, err := cc.NewStream(s.context(0), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, bidiStream)
			if err != nil {
				b.Fatal(err)
			}
			in, out := wrapperspb.String("hello"), new(wrapperspb.StringValue)
			b.ReportAllocs()
			for b.Loop() {
				if err := cs.SendMsg(in); err != nil {
					b.Fatal(err)
				}
				if err := cs.RecvMsg(out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
