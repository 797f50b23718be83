package httpctx_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/jwtauth"
)

// discard is a response writer that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// browserHeader is what a request of a browser carries besides its credential.
func browserHeader() http.Header {
	return http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"gzip, deflate, br"}, "Accept-Language": {"en-GB,en;q=0.5"},
		"Cache-Control": {"no-cache"}, "Cookie": {"theme=dark; lang=en"}, "Referer": {"https://app.example/orders"},
		"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"same-site"}, "Origin": {"https://app.example"},
		"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
	}
}

func ordersMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		if p, ok := authctx.FromContext(r.Context()); ok && p.Subject() == "" {
			panic("no subject")
		}
	})
	return mux
}

// BenchmarkHandler measures one request through a mux: bare, with a token
// verified anew (first) and again (repeat), and with plain fields of a trusted
// peer. The limit of first is the bare signature check.
func BenchmarkHandler(b *testing.B) {
	key, token := benchToken(b)
	verifier := func(cache jwtauth.CacheConfig) authctx.Authenticator {
		public, err := jwtauth.NewPublicKey("k1", jwtauth.RS256, key.Public())
		if err != nil {
			b.Fatal(err)
		}
		keys, err := jwtauth.NewStaticKeys(public)
		if err != nil {
			b.Fatal(err)
		}
		v, err := jwtauth.NewVerifier(jwtauth.VerifierConfig{
			Issuer: issuer, Audiences: []string{"https://api.example"}, Algorithms: []jwtauth.Algorithm{jwtauth.RS256},
			Keys: keys, Cache: cache, Now: clock,
		})
		if err != nil {
			b.Fatal(err)
		}
		a, err := jwtauth.NewBearer(v, nil)
		if err != nil {
			b.Fatal(err)
		}
		return a
	}
	fields, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone(), Now: clock})
	if err != nil {
		b.Fatal(err)
	}
	bearerHeader := browserHeader()
	bearerHeader.Set("Authorization", "Bearer "+token)

	b.Run("limit", func(b *testing.B) { benchSignature(b, &key.PublicKey, token) })
	b.Run("bare", func(b *testing.B) { benchHandler(b, ordersMux(), bearerHeader) })
	b.Run("first", func(b *testing.B) {
		benchHandler(b, guarded(b, verifier(jwtauth.CacheConfig{Disabled: true})), bearerHeader)
	})
	b.Run("repeat", func(b *testing.B) { benchHandler(b, guarded(b, verifier(jwtauth.CacheConfig{})), bearerHeader) })
	b.Run("fields", func(b *testing.B) { benchHandler(b, guarded(b, fields), fieldsHeader(b)) })
}

// BenchmarkTransport measures writing a caller, without and with.
func BenchmarkTransport(b *testing.B) {
	base := roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })
	tr := newTransport(b, httpctx.TransportConfig{Base: base, Destinations: []string{"a.internal"}})
	for name, ctx := range map[string]context.Context{"none": b.Context(), "fields": authctx.NewContext(b.Context(), benchCaller(b))} {
		r := outgoing(ctx, "https://a.internal/")
		r.Header = browserHeader()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tr.RoundTrip(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLongSegment measures refusing nobody's request for a path of 1 MiB, by a
// table of one pattern (limit) and of many: the peer chooses how long a segment is,
// and it is not to be cut for each pattern.
func BenchmarkLongSegment(b *testing.B) {
	r := httptest.NewRequest("GET", "/"+strings.Repeat("a", 1<<20), nil)
	for _, bench := range []struct {
		name     string
		patterns int
	}{{"limit", 1}, {"5000", 5000}} {
		var names []string
		for i := range bench.patterns {
			names = append(names, fmt.Sprintf("GET /{tenant}/r%d/{id}", i))
		}
		h := gatewayOf(b, authenticated(names...), spy)
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				h.ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
}

func guarded(b testing.TB, a authctx.Authenticator) http.Handler {
	policy := newPolicy(b, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"GET /orders/{id}": authctx.Scope("orders:read")}})
	return newServer(b, httpctx.ServerConfig{Authenticator: a, Policy: policy}).Handler(ordersMux())
}

func benchHandler(b *testing.B, h http.Handler, header http.Header) {
	r := httptest.NewRequest("GET", "/orders/7", nil)
	r.Header = header
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	if recorder.Code != http.StatusOK {
		b.Fatalf("status %d: %s", recorder.Code, recorder.Body)
	}
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}

func benchSignature(b *testing.B, key *rsa.PublicKey, token string) {
	end := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil {
		b.Fatal(err)
	}
	input := []byte(token[:end])
	b.ReportAllocs()
	for b.Loop() {
		sum := sha256.Sum256(input)
		if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}

var benchScopes = []string{"orders:read", "orders:write", "users:read", "openid", "profile", "email"}

// benchCaller is a caller with 6 scopes, 4 roles and 8 permissions.
func benchCaller(b testing.TB) authctx.Principal {
	p, err := authctx.New(authctx.Attributes{
		Issuer: issuer, Subject: "8f14e45f-ceea-467f-9575-3d5d2a1b7c11", Name: "Alice Example", Email: "alice@example.com", Tenant: "acme",
		ClientID: "web", SessionID: "s-8f14e45f", TokenID: "t-ceea467f", Scopes: benchScopes,
		Roles: []string{"admin", "editor", "viewer", "auditor"},
		Permissions: []string{"orders:create", "orders:cancel", "orders:list", "users:list", "users:invite",
			"billing:view", "billing:edit", "reports:run"},
		Expires: epoch.Add(time.Hour), Provenance: authctx.Verified,
	})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func fieldsHeader(b testing.TB) http.Header {
	h := browserHeader()
	err := newFields(b).Inject(b.Context(), benchCaller(b), func(name, value string) { h.Add(name, value) })
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// benchToken signs a realistic access token of 700 to 900 bytes, the one that
// BenchmarkVerify of jwtauth measures.
func benchToken(b testing.TB) (*rsa.PrivateKey, string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": issuer, "sub": "5ba552d67", "aud": "https://api.example", "iat": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix(),
		"jti": "dbe39bf3a3ba4238a5-000000", "client_id": "s6BhdRkqt3", "scope": strings.Join(benchScopes, " "),
		"roles":       []string{"admin", "editor", "viewer", "audit"},
		"permissions": []string{"a:read", "a:write", "b:read", "b:write", "c:read", "c:write", "d:read", "d:write"},
	})
	t.Header["typ"], t.Header["kid"] = "at+jwt", "k1"
	token, err := t.SignedString(key)
	if err != nil || len(token) < 700 || len(token) > 900 {
		b.Fatalf("a token of %d bytes, %v", len(token), err)
	}
	return key, token
}

func TestAllocationsOfTheHotPath(t *testing.T) {
	alice := caller(t, "alice")
	a := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		if len(r.Values("authorization")) != 1 {
			return authctx.Result{}, authctx.NoCredentials
		}
		return authctx.Result{Principal: alice}, nil
	})
	h := newServer(t, httpctx.ServerConfig{Authenticator: a}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest("GET", "/", nil)
	w := discard{http.Header{}}
	handle := func() { h.ServeHTTP(w, r) }

	// What no middleware can avoid that changes a header.
	r.Header = with(browserHeader(), "Authorization", "Bearer alice")
	header := testing.AllocsPerRun(100, func() { w.header = maps.Clone(r.Header) })
	// Besides: the authenticator's request, the context with the caller, the request
	// that has them, and the writer by which shared caches learn whose the answer is.
	w.header = http.Header{}
	if got := testing.AllocsPerRun(100, handle); got > header+4 {
		t.Errorf("a request with a caller: %v allocations, want %v", got, header+4)
	}

	// Who reads nothing from Authorization looks whether there is one.
	other := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x-forwarded-user"}}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{Principal: alice}, nil
	})
	h = newServer(t, httpctx.ServerConfig{Authenticator: other}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r.Header = with(browserHeader(), "X-Forwarded-User", "alice")
	if got := testing.AllocsPerRun(100, handle); got > header+4 {
		t.Errorf("a request without an Authorization: %v allocations, want %v", got, header+4)
	}

	// A table asks about the path, and tells a proxy inside that it has done so.
	r.Header = with(browserHeader(), "Authorization", "Bearer alice")
	h = newServer(t, httpctx.ServerConfig{Authenticator: a, Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"GET /orders/{id}": authctx.Authenticated(), "/": authctx.Role("admin")}, Public: []string{"/orders/"},
	})}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r.URL.Path = "/orders/4711"
	if got := testing.AllocsPerRun(100, handle); got > header+6 {
		t.Errorf("a request by a table: %v allocations, want %v", got, header+6)
	}

	tr := newTransport(t, httpctx.TransportConfig{
		Base:         roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil }),
		Destinations: []string{"a.internal"},
	})
	out := outgoing(authctx.NewContext(t.Context(), benchCaller(t)), "https://a.internal/")
	if got := testing.AllocsPerRun(100, func() { _, _ = tr.RoundTrip(out) }); got > 9 {
		t.Errorf("sending a caller: %v allocations", got)
	}
}
