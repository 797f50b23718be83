package examples_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/authctx/authctx/jwtauth"
)

// The clients that openid/settings.mjs knows have one secret, which tries how it
// is escaped.
const openIDSecret = "s3cret+/:%& s3cret"

// openID is a certified OpenID provider in a process of its own.
type openID struct {
	*process
	stdin    io.WriteCloser
	issuer   string
	http     *http.Client
	metadata struct {
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
		Introspection string `json:"introspection_endpoint"`
		Revocation    string `json:"revocation_endpoint"`
		UserInfo      string `json:"userinfo_endpoint"`
	}
}

func startOpenID(t *testing.T) *openID {
	t.Helper()
	return startOpenIDAt(t, freeAddress(t), nil)
}

// startOpenIDAt starts it at an address, for clients that speak TLS if there is
// a configuration for them.
func startOpenIDAt(t *testing.T, address string, config *tls.Config, args ...string) *openID {
	t.Helper()
	needNode(t, "openid")
	cmd := exec.Command("node", append([]string{"openid/provider.mjs", "--listen", address}, args...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	o := &openID{process: startCommand(t, cmd), stdin: stdin}
	o.issuer = o.address("listening on")
	o = o.as(config)
	res, err := o.http.Get(o.issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	o.decode(res, &o.metadata)
	return o
}

// as returns the provider for a client that shows a certificate.
func (o openID) as(config *tls.Config) *openID {
	transport := &http.Transport{TLSClientConfig: config}
	o.t.Cleanup(transport.CloseIdleConnections)
	o.http = &http.Client{Transport: transport}
	return &o
}

// sign makes the provider sign with other keys. The first that is named signs,
// the others are published too.
func (o *openID) sign(names string) {
	o.t.Helper()
	fmt.Fprintln(o.stdin, names)
	if got := o.address("signing with"); got != names {
		o.t.Fatalf("the provider signs with %s, not %s", got, names)
	}
}

// stop ends the provider without a farewell.
func (o *openID) stop() {
	o.t.Helper()
	o.cmd.Process.Kill()
	<-o.exited
}

func (o *openID) decode(res *http.Response, into any) {
	o.t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		o.t.Fatalf("%s: status %d, body %s, %v", res.Request.URL, res.StatusCode, body, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		o.t.Fatalf("%s: %v: %s", res.Request.URL, err, body)
	}
}

// issued is an answer of the token endpoint.
type issued struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	TokenType    string `json:"token_type"`
}

// post sends a form in the name of a client; no secret is sent for a client that
// has none.
func (o *openID) post(address, clientID string, form url.Values, header ...string) *http.Response {
	o.t.Helper()
	if clientID == "machine-mtls" || clientID == "machine-self-signed" {
		form.Set("client_id", clientID)
	}
	req, err := http.NewRequestWithContext(o.t.Context(), "POST", address, strings.NewReader(form.Encode()))
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if !form.Has("client_id") {
		req.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(openIDSecret))
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	res, err := o.http.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	return res
}

// machine returns a token of a program for the API, written as one of the ways
// of openid/settings.mjs.
func (o *openID) machine(clientID, way string, header ...string) issued {
	o.t.Helper()
	var got issued
	o.decode(o.post(o.metadata.Token, clientID, url.Values{
		"grant_type": {"client_credentials"}, "resource": {audience + "/" + way}, "scope": {"orders.read"},
	}, header...), &got)
	return got
}

const openIDCallback = "https://app.example.com/callback"

// authorize sends a user's browser to the provider, signs in, agrees to
// everything, and returns what the browser is sent back with.
func (o *openID) authorize(user string, query url.Values) url.Values {
	o.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: o.http.Transport, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), openIDCallback) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	query.Set("client_id", "web")
	query.Set("redirect_uri", openIDCallback)
	res, err := browser.Get(o.metadata.Authorization + "?" + query.Encode())
	for range 3 { // two pages at most: login and consent
		if err != nil {
			o.t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if back, err := res.Location(); err == nil {
			values := back.Query()
			fragment, _ := url.ParseQuery(back.Fragment)
			for name, value := range fragment {
				values[name] = value
			}
			return values
		}
		form := openIDForm.FindStringSubmatch(string(body))
		if form == nil {
			o.t.Fatalf("%s: status %d: %s", res.Request.URL, res.StatusCode, body)
		}
		res, err = browser.PostForm(form[1], url.Values{"prompt": {form[2]}, "login": {user}, "password": {"any"}})
	}
	o.t.Fatal("the provider shows one page after the other")
	return nil
}

var openIDForm = regexp.MustCompile(`(?s)action="([^"]+)".*name="prompt" value="([a-z]+)"`)

// login returns the tokens of a user who has signed in at the client web. They
// are for the provider's own userinfo endpoint if no way to write them is named.
func (o *openID) login(user, way string) issued {
	o.t.Helper()
	verifier := rand.Text() + rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "scope": {"openid profile offline_access orders.read"}, "prompt": {"consent"}, "nonce": {"n-1"},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
	form := url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {openIDCallback}, "code_verifier": {verifier}}
	if way != "" {
		query.Set("resource", audience+"/"+way)
		form.Set("resource", audience+"/"+way)
	}
	form.Set("code", o.authorize(user, query).Get("code"))
	var got issued
	o.decode(o.post(o.metadata.Token, "web", form), &got)
	return got
}

// refresh returns new tokens for a refresh token.
func (o *openID) refresh(token, way string) issued {
	o.t.Helper()
	var got issued
	o.decode(o.post(o.metadata.Token, "web", url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {token}, "resource": {audience + "/" + way},
	}), &got)
	return got
}

// revoke ends a token.
func (o *openID) revoke(clientID, token string) {
	o.t.Helper()
	res := o.post(o.metadata.Revocation, clientID, url.Values{"token": {token}})
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		o.t.Fatalf("revocation: status %d", res.StatusCode)
	}
}

// keys returns the provider's keys, as a service has them.
func (o *openID) keys(t *testing.T, changes ...func(*jwtauth.RemoteKeysConfig)) *jwtauth.RemoteKeys {
	t.Helper()
	cfg := jwtauth.RemoteKeysConfig{Issuer: o.issuer, Transport: o.http.Transport}
	for _, change := range changes {
		change(&cfg)
	}
	keys, err := jwtauth.LoadRemoteKeys(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	return keys
}

// verifier returns one for the API and all that the provider signs with.
func (o *openID) verifier(t *testing.T, changes ...func(*jwtauth.VerifierConfig)) *jwtauth.Verifier {
	t.Helper()
	cfg := jwtauth.VerifierConfig{Issuer: o.issuer, Audiences: []string{audience}, Algorithms: []jwtauth.Algorithm{jwtauth.RS256, jwtauth.ES256, jwtauth.EdDSA}}
	for _, change := range changes {
		change(&cfg)
	}
	if cfg.Keys == nil {
		cfg.Keys = o.keys(t)
	}
	v, err := jwtauth.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
