package httpctx_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// TestAnswers goes through every reason and what a client is told.
func TestAnswers(t *testing.T) {
	const invalid = `Bearer realm="my \"api\"", error="invalid_token", error_description="The access token is not valid.", DPoP realm="my \"api\""`
	age := 90 * time.Second
	answered := map[authctx.Reason]bool{}
	for _, tc := range []struct {
		name      string
		err       error
		status    int
		challenge string
	}{
		{"no credentials", authctx.NoCredentials, 401, `Bearer realm="my \"api\"", DPoP realm="my \"api\""`},
		{"invalid request", authctx.InvalidRequest, 400, `Bearer realm="my \"api\"", error="invalid_request", error_description="The credentials are malformed or ambiguous.", DPoP realm="my \"api\""`},
		{"invalid token", authctx.InvalidToken, 401, invalid},
		{"not yet valid", authctx.TokenNotYetValid, 401, invalid},
		{"bad signature", authctx.BadSignature, 401, invalid},
		{"unknown key", authctx.UnknownKey, 401, invalid},
		{"wrong issuer", authctx.WrongIssuer, 401, invalid},
		{"wrong audience", authctx.WrongAudience, 401, invalid},
		{"wrong type", authctx.WrongType, 401, invalid},
		{"revoked", authctx.TokenRevoked, 401, `Bearer realm="my \"api\"", error="invalid_token", error_description="The access token has been revoked.", DPoP realm="my \"api\""`},
		{"expired", authctx.TokenExpired, 401, `Bearer realm="my \"api\"", error="invalid_token", error_description="The access token has expired.", DPoP realm="my \"api\""`},
		{"proof", authctx.InvalidProof, 401, `Bearer realm="my \"api\"", DPoP realm="my \"api\"", error="invalid_dpop_proof", error_description="The DPoP proof is not valid."`},
		{"nonce", authctx.NonceRequired, 401, `Bearer realm="my \"api\"", DPoP realm="my \"api\"", error="use_dpop_nonce", error_description="The DPoP proof must use the given nonce."`},
		{"step up", &authctx.Error{Reason: authctx.InsufficientAuthentication, ACRValues: []string{"gold", "sil\"ver", "urn:x"}, MaxAge: &age}, 401,
			`Bearer realm="my \"api\"", error="insufficient_user_authentication", error_description="A stronger or more recent login is required.", acr_values="gold urn:x", max_age="90", DPoP realm="my \"api\""`},
		{"scope", &authctx.Error{Reason: authctx.InsufficientScope, Scopes: []string{"a", "b\r\nX: y", "c"}}, 403,
			`Bearer realm="my \"api\"", error="insufficient_scope", error_description="The access token lacks a required scope.", scope="a c", DPoP realm="my \"api\""`},
		{"denied", authctx.PermissionDenied, 403, ""},
		{"unavailable", authctx.Unavailable, 503, ""},
		{"no reason", errors.New("boom"), 503, ""},
		{"no error", nil, 503, ""},
	} {
		answered[authctx.ReasonOf(tc.err)] = true
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t, httpctx.ServerConfig{Realm: `my "api"`})
			w := httptest.NewRecorder()
			w.Header().Set("WWW-Authenticate", "Basic") // of somebody who began another answer
			w.Header().Set("Content-Length", "3")
			w.Header().Set("Etag", `"1"`)
			w.Header().Set("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT")
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Content-Encoding", "gzip") // of middleware that does it, see http.Error
			s.WriteError(w, httptest.NewRequest("GET", "/", nil), tc.err)
			res := w.Result()
			if res.StatusCode != tc.status {
				t.Errorf("status %d, want %d", res.StatusCode, tc.status)
			}
			if got := strings.Join(res.Header["Www-Authenticate"], "\n"); got != tc.challenge {
				t.Errorf("challenge\n got %q\nwant %q", got, tc.challenge)
			}
			if wait := res.Header.Get("Retry-After"); (wait != "") != (tc.status == 503) {
				t.Errorf("Retry-After %q", wait)
			}
			for _, name := range []string{"Content-Length", "Etag", "Last-Modified"} {
				if value := res.Header.Get(name); value != "" {
					t.Errorf("another body is described by %s: %s", name, value)
				}
			}
			if res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", res.Header)
			}
			checkProblem(t, res, w.Body.String())
		})
	}
	for _, reason := range authctx.Reasons() {
		if !answered[reason] {
			t.Errorf("%v has no row", reason)
		}
	}
}

// checkProblem checks a body against RFC 9457 and against leaking.
func checkProblem(t *testing.T, res *http.Response, body string) {
	t.Helper()
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	var p struct {
		Type, Title, Detail, Reason string
		Status                      int
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	if p.Status != res.StatusCode || p.Title != http.StatusText(p.Status) || p.Type == "" || p.Detail == "" || p.Reason == "" {
		t.Errorf("problem %+v with status %d", p, res.StatusCode)
	}
	if strings.Contains(body, "secret detail") {
		t.Errorf("the body tells the cause: %s", body)
	}
}

func TestEveryReasonHasAnAnswerThatTellsNoMoreThanItsPublicForm(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{})
	answer := func(reason authctx.Reason) (*http.Response, string) {
		w := httptest.NewRecorder()
		s.WriteError(w, httptest.NewRequest("GET", "/", nil), &authctx.Error{Reason: reason, Cause: errors.New("secret detail")})
		return w.Result(), w.Body.String()
	}
	for _, reason := range authctx.Reasons() {
		res, body := answer(reason)
		checkProblem(t, res, body)
		publicRes, public := answer(reason.Public())
		if body != public || res.StatusCode != publicRes.StatusCode {
			t.Errorf("%v can be told from %v", reason, reason.Public())
		}
	}
}

func TestAnswersOverTheWire(t *testing.T) {
	s := serve(t, newServer(t, httpctx.ServerConfig{}).Handler(spy))
	for name, tc := range map[string]struct {
		header http.Header
		status int
		has    map[string]string
	}{
		"nothing":           {nil, 401, map[string]string{"WWW-Authenticate": `Bearer realm="api", DPoP realm="api"`}},
		"unknown":           {token("zoe"), 401, nil},
		"forged":            {token("forged"), 401, nil},
		"foreign issuer":    {token("foreign"), 401, nil},
		"provider down":     {token("down"), 503, map[string]string{"Retry-After": "2"}},
		"crash":             {token("crash"), 503, map[string]string{"Retry-After": "5"}},
		"nonce wanted":      {token("nonce"), 401, map[string]string{"DPoP-Nonce": "n-1"}},
		"two authorization": {http.Header{"Authorization": {"Bearer alice", "Bearer bob"}}, 400, nil},
		"header and cookie": {with(token("alice"), "Cookie", "session=bob"), 400, nil},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := do(t, "GET", s.URL, tc.header)
			if res.StatusCode != tc.status || res.ContentLength != int64(len(body)) {
				t.Errorf("status %d, want %d, length %d", res.StatusCode, tc.status, res.ContentLength)
			}
			for k, v := range tc.has {
				if got := res.Header.Get(k); got != v {
					t.Errorf("%s: %q, want %q", k, got, v)
				}
			}
			checkProblem(t, res, body)
		})
	}
}

// Firefox gives a page no WWW-Authenticate that comes in two lines, and with it no
// nonce for a proof.
func TestRFC9110_11_6_1_TwoChallengesAreInOneLine(t *testing.T) {
	s := serve(t, newServer(t, httpctx.ServerConfig{}).Handler(spy))
	for name, want := range map[string]string{
		"":        `Bearer realm="api", DPoP realm="api"`,
		"expired": `Bearer realm="api", error="invalid_token", error_description="The access token has expired.", DPoP realm="api"`,
		"nonce":   `Bearer realm="api", DPoP realm="api", error="use_dpop_nonce", error_description="The DPoP proof must use the given nonce."`,
	} {
		var header http.Header
		if name != "" {
			header = token(name)
		}
		res, _ := do(t, "GET", s.URL, header)
		if got := res.Header["Www-Authenticate"]; !slices.Equal(got, []string{want}) {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

var nextChallenge = regexp.MustCompile(`, (\w+ realm=)`)

// challenges returns those of res, one for each scheme.
func challenges(res *http.Response) []string {
	return strings.Split(nextChallenge.ReplaceAllString(res.Header.Get("WWW-Authenticate"), "\n$1"), "\n")
}

func TestTheTriedSchemeHasTheError(t *testing.T) {
	s := serve(t, newServer(t, httpctx.ServerConfig{}).Handler(spy))
	res, _ := do(t, "GET", s.URL, http.Header{"Authorization": {"dpop forged"}})
	got := challenges(res)
	if len(got) != 2 || strings.Contains(got[0], "error") || !strings.Contains(got[1], `DPoP realm="api", error="invalid_token"`) {
		t.Errorf("challenges %q", got)
	}
}

// A cookie is no credential of a scheme, but for Bearer.
func TestNoSchemeHasTheErrorOfACookie(t *testing.T) {
	cookie := authctx.NewAuthenticator(authctx.FieldSet{Cookies: []string{"sid"}}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		if len(r.Cookies("sid")) == 0 {
			return authctx.Result{}, authctx.NoCredentials
		}
		return authctx.Result{}, map[string]authctx.Reason{
			"invalid_token": authctx.TokenExpired, "invalid_request": authctx.InvalidRequest,
			"insufficient_user_authentication": authctx.InsufficientAuthentication,
		}[r.Cookies("sid")[0]]
	})
	scheme := func(name string) authctx.Authenticator {
		return authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}, Schemes: []string{name}},
			func(context.Context, *authctx.Request) (authctx.Result, error) {
				return authctx.Result{}, authctx.NoCredentials
			})
	}
	for name, c := range map[string]struct {
		authenticator authctx.Authenticator
		want          map[string]string
	}{
		"alone":         {cookie, map[string]string{"invalid_token": "Bearer", "invalid_request": "Bearer", "insufficient_user_authentication": "Bearer"}},
		"beside DPoP":   {authctx.OneOf(cookie, scheme("DPoP")), map[string]string{"invalid_token": "", "invalid_request": "", "insufficient_user_authentication": "DPoP"}},
		"beside Bearer": {authctx.OneOf(cookie, scheme("DPoP"), scheme("Bearer")), map[string]string{"invalid_token": "Bearer"}},
	} {
		s := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: c.authenticator}).Handler(spy))
		for code, want := range c.want {
			res, _ := do(t, "GET", s.URL, http.Header{"Cookie": {"sid=" + code}})
			got := ""
			for _, line := range challenges(res) {
				if strings.Contains(line, `error="`+code+`"`) {
					got, _, _ = strings.Cut(line, " ")
				}
			}
			if got != want {
				t.Errorf("%s: the error is that of %q, want %q: %q", name, got, want, res.Header["Www-Authenticate"])
			}
		}
	}
}

// Behind the Server the field is stripped, and the error is still told to the
// scheme that was used.
func TestTheTriedSchemeHasTheErrorOfARuleToo(t *testing.T) {
	server := newServer(t, httpctx.ServerConfig{})
	s := serve(t, server.Handler(server.Require(authctx.Scope("write"))(spy)))
	for i, scheme := range []string{"Bearer", "DPoP"} {
		res, _ := do(t, "GET", s.URL, http.Header{"Authorization": {scheme + " bob"}})
		got := challenges(res)
		if len(got) != 2 || !strings.Contains(got[i], `error="insufficient_scope"`) || strings.Contains(got[1-i], "error") {
			t.Errorf("%s: challenges %q", scheme, got)
		}
	}
}

func TestAChallengeHasTheParametersOfItsScheme(t *testing.T) {
	a := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}, Schemes: []string{`DPoP algs="ES256 EdDSA"`}},
		func(context.Context, *authctx.Request) (authctx.Result, error) {
			return authctx.Result{}, authctx.NonceRequired
		})
	s := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: a, Realm: `CORP\api`}).Handler(spy))
	res, _ := do(t, "GET", s.URL, nil)
	want := `DPoP realm="CORP\\api", algs="ES256 EdDSA", error="use_dpop_nonce", error_description="The DPoP proof must use the given nonce."`
	if got := res.Header["Www-Authenticate"]; !slices.Equal(got, []string{want}) {
		t.Errorf("got %q", got)
	}
}

// compressed is middleware of the simplest kind: it says that it compresses, and
// does not look at what the handler says of the body.
func compressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		body := gzip.NewWriter(w)
		defer body.Close()
		next.ServeHTTP(compressor{w, body}, r)
	})
}

type compressor struct {
	http.ResponseWriter
	body io.Writer
}

func (c compressor) Write(b []byte) (int, error) { return c.body.Write(b) }

// The client decompresses what it is told is compressed.
func TestARefusalIsReadableBehindMiddlewareThatCompresses(t *testing.T) {
	server := newServer(t, httpctx.ServerConfig{})
	h := compressed(server.Handler(server.Require(authctx.Role("admin"))(spy)))
	for protocol, s := range map[string]*httptest.Server{"HTTP/1.1": serve(t, h), "HTTP/2": unencryptedHTTP2(t, h)} {
		for token, want := range map[string]int{"forged": 401, "bob": 403, "down": 503} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			res, err := s.Client().Do(r)
			if err != nil {
				t.Fatalf("%s, %s: %v", protocol, token, err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || res.StatusCode != want || !res.Uncompressed {
				t.Errorf("%s, %s: %d, %v, header %v", protocol, token, res.StatusCode, err, res.Header)
			}
			checkProblem(t, res, string(body))
		}
	}
}

func TestAnAnswerToHEADHasNoBody(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{})
	w := httptest.NewRecorder()
	s.Handler(spy).ServeHTTP(w, httptest.NewRequest("HEAD", "/", nil))
	if w.Code != 401 || w.Body.Len() != 0 || w.Result().Header.Get("Content-Length") == "0" {
		t.Errorf("status %d, body %q, header %v", w.Code, w.Body, w.Result().Header)
	}
}

func TestRefuseIsNeverAskedAboutNoError(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{Refuse: func(_ http.ResponseWriter, _ *http.Request, err error) bool {
		return errors.Is(err, authctx.Unavailable)
	}})
	w := httptest.NewRecorder()
	if s.WriteError(w, httptest.NewRequest("GET", "/", nil), nil); w.Body.Len() > 0 {
		t.Error("Refuse was not asked about Unavailable")
	}
}

func TestRefuseAnswersInsteadAndSeesAStrippedRequest(t *testing.T) {
	var got http.Header
	s := newServer(t, httpctx.ServerConfig{Refuse: func(w http.ResponseWriter, r *http.Request, err error) bool {
		if r.Method != "POST" {
			return false
		}
		got = r.Header
		w.WriteHeader(http.StatusTeapot)
		return errors.Is(err, authctx.InvalidToken)
	}})
	srv := serve(t, s.Handler(spy))
	if res, _ := do(t, "POST", srv.URL, with(token("forged"), "X-User-Id", "eve")); res.StatusCode != http.StatusTeapot {
		t.Errorf("status %d", res.StatusCode)
	}
	if got.Get("Authorization") != "" || len(identityIn(got)) > 0 {
		t.Errorf("Refuse saw %v", got)
	}
	if res, _ := do(t, "GET", srv.URL, token("forged")); res.StatusCode != 401 {
		t.Errorf("status %d where Refuse did not answer", res.StatusCode)
	}
}
