package dex

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"golang.org/x/crypto/bcrypt"
)

// provider is a Dex on a free port of this machine. It has the user alice, who
// has a password, and behind the connector "mock" a user with groups.
type provider struct {
	*httptest.Server
	issuer  string
	storage storage.Storage
	running atomic.Pointer[running]
	loads   atomic.Int64 // of keys
}

type running struct {
	http.Handler
	stop context.CancelFunc
}

const (
	web, callback = "web", "http://127.0.0.1/callback" // a client, in which users log in
	api           = "orders-api"                       // a client too: Dex has no other name for a service
	secret        = "a secret"
)

// startDex starts Dex. It makes another signing key whenever it is restarted.
func startDex(t *testing.T) *provider {
	p := &provider{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := p.running.Load()
		if strings.HasSuffix(r.URL.Path, "/keys") {
			p.loads.Add(1)
		}
		if now == nil {
			http.Error(w, "being restarted", http.StatusServiceUnavailable)
			return
		}
		now.ServeHTTP(w, r)
	}))
	p.issuer = p.URL + "/dex"
	t.Cleanup(func() { p.stop(); p.Close() })

	password := must(bcrypt.GenerateFromPassword([]byte("swordfish"), 10))
	p.storage = storage.WithStaticClients(memory.New(quiet), []storage.Client{
		{ID: web, Secret: secret, RedirectURIs: []string{callback}},
		{ID: api, Secret: secret, TrustedPeers: []string{web}},
	})
	p.storage = storage.WithStaticPasswords(p.storage, []storage.Password{
		{Email: "alice@example.com", Username: "alice", UserID: "4711", Hash: password},
	}, quiet)
	p.storage = storage.WithStaticConnectors(p.storage, []storage.Connector{
		{ID: "mock", Type: "mockCallback", Name: "Mock"},
		{ID: server.LocalConnector, Type: server.LocalConnector, Name: "Password"},
	})
	p.restart(t)
	return p
}

var quiet = slog.New(slog.DiscardHandler)

func (p *provider) restart(t *testing.T) {
	t.Helper()
	p.stop()
	ctx, stop := context.WithCancel(context.Background())
	refresh, err := server.NewRefreshTokenPolicy(quiet, false, "", "1h", "")
	if err != nil {
		t.Fatal(err)
	}
	dex, err := server.NewServer(ctx, server.Config{
		Issuer: p.issuer, Storage: p.storage, SkipApprovalScreen: true, PasswordConnector: server.LocalConnector,
		SupportedResponseTypes: []string{"code", "id_token", "token"}, RefreshTokenPolicy: refresh,
		RotateKeysAfter: time.Nanosecond, IDTokensValidFor: time.Hour, Logger: quiet,
	})
	if err != nil {
		stop()
		t.Fatal(err)
	}
	p.running.Store(&running{dex, stop})
}

func (p *provider) stop() {
	if was := p.running.Swap(nil); was != nil {
		was.stop()
	}
}

// tokens is the answer of the token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
}

// login is the authorization code flow of the client web for the user behind
// the connector mock.
func (p *provider) login(t *testing.T, scope string) tokens {
	t.Helper()
	jar := must(cookiejar.New(nil))
	var code string
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			code = r.URL.Query().Get("code")
			return http.ErrUseLastResponse
		}
		return nil
	}}
	query := url.Values{"client_id": {web}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {scope}, "state": {"s"}, "nonce": {"n"}}
	resp, err := browser.Get(p.issuer + "/auth/mock?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if code == "" {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("no code, but %s from %s: %s", resp.Status, resp.Request.URL.Path, text)
	}
	return p.token(t, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}})
}

// password is the flow of the client web that sends alice's password.
func (p *provider) password(t *testing.T, scope string) tokens {
	t.Helper()
	return p.token(t, url.Values{"grant_type": {"password"}, "username": {"alice@example.com"}, "password": {"swordfish"}, "scope": {scope}})
}

// token asks the token endpoint as the client web.
func (p *provider) token(t *testing.T, form url.Values) (got tokens) {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, p.issuer+"/token", strings.NewReader(form.Encode())))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(web, url.QueryEscape(secret))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text := must(io.ReadAll(resp.Body))
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the token endpoint answered %s: %s", resp.Status, text)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// endpoint returns an address out of the provider's metadata.
func (p *provider) endpoint(t *testing.T, name string) string {
	t.Helper()
	resp, err := http.Get(p.issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var metadata map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&metadata); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(metadata[name])
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}
