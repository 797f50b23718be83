package examples_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const audience = "https://api.example.com"

// provider is an identity provider that is not made of this module: keys are
// published by hand and tokens signed by golang-jwt.
type provider struct {
	issuer string

	mu    sync.Mutex
	key   ed25519.PrivateKey
	keyID string
	down  bool // it has no keys to give
}

// rotate replaces the key by another.
func (p *provider) rotate(t *testing.T, keyID string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key, p.keyID = key, keyID
}

func (p *provider) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

func (p *provider) isDown() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down
}

func (p *provider) current() (ed25519.PrivateKey, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.key, p.keyID
}

// newProvider returns a provider that is not running yet, and its address.
func newProvider(t *testing.T) *provider {
	t.Helper()
	return providerAt(t, freeAddress(t))
}

func providerAt(t *testing.T, address string) *provider {
	t.Helper()
	p := &provider{issuer: "http://" + address}
	p.rotate(t, "k1")
	return p
}

// startProvider returns one that is running. Its address was never free for
// another test to take.
func startProvider(t *testing.T) *provider {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	p := providerAt(t, l.Addr().String())
	p.serve(t, l)
	return p
}

// run starts a new provider.
func (p *provider) run(t *testing.T) {
	t.Helper()
	p.serve(t, listen(t, p.issuer[len("http://"):]))
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve serves discovery and keys; it stops with the test.
func (p *provider) serve(t *testing.T, l net.Listener) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"issuer": p.issuer, "jwks_uri": p.issuer + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		if p.isDown() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		key, keyID := p.current()
		writeJSON(w, map[string]any{"keys": []any{map[string]any{
			"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": keyID,
			"x": base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey)),
		}}})
	})
	server := &http.Server{Handler: mux}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// token signs an access token for testuser, changed by the claims given.
func (p *provider) token(t *testing.T, changes jwt.MapClaims) string {
	t.Helper()
	return p.typedToken(t, "at+jwt", changes)
}

func (p *provider) typedToken(t *testing.T, typ string, changes jwt.MapClaims) string {
	t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": p.issuer, "aud": audience, "sub": "testuser", "client_id": "web", "jti": "t-1",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"name": "Test User", "email": "test@example.com", "tenant": "acme",
		"roles": []string{"user"}, "permissions": []string{"orders:read"},
		"groups": []string{"staff"}, "scope": "orders profile",
	}
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	key, keyID := p.current()
	token.Header["kid"] = keyID
	token.Header["typ"] = typ
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}
