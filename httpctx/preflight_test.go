package httpctx_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

func TestOnlyARealPreflightPasses(t *testing.T) {
	server := serve(t, newServer(t, httpctx.ServerConfig{}).Handler(spy))
	origin, method := "Origin: https://a.example", "Access-Control-Request-Method: PUT"
	for name, tc := range map[string]struct {
		request string
		want    int
	}{
		"real":              {request("OPTIONS /", origin, method), 200},
		"with headers":      {request("OPTIONS /", origin, method, "Access-Control-Request-Headers: authorization"), 200},
		"no origin":         {request("OPTIONS /", method), 401},
		"no method":         {request("OPTIONS /", origin), 401},
		"empty method":      {request("OPTIONS /", origin, "Access-Control-Request-Method:"), 401},
		"two methods":       {request("OPTIONS /", origin, method, method), 401},
		"two origins":       {request("OPTIONS /", origin, origin, method), 401},
		"underscores":       {request("OPTIONS /", origin, "Access_Control_Request_Method: PUT"), 401},
		"GET":               {request("GET /", origin, method), 401},
		"POST":              {request("POST /", origin, method, "Content-Length: 0"), 401},
		"lower case method": {request("options /", origin, method), 401},
		"with a body":       {request("OPTIONS /", origin, method, "Content-Length: 3") + "abc", 401},
		"with a chunk":      {request("OPTIONS /", origin, method, "Transfer-Encoding: chunked") + "0\r\n\r\n", 401},
		"of gRPC":           {request("OPTIONS /", origin, method, "Content-Type: application/grpc"), 401},
		"with an upgrade":   {request("OPTIONS /", origin, method, "Connection: Upgrade", "Upgrade: websocket"), 401},
		"with an override":  {request("OPTIONS /", origin, method, "X_HTTP_Method_Override: DELETE"), 401},
		"method override":   {request("GET /", origin, method, "X-HTTP-Method-Override: OPTIONS"), 401},
	} {
		t.Run(name, func(t *testing.T) {
			if res, _ := raw(t, server, tc.request); res.StatusCode != tc.want {
				t.Errorf("status %d, want %d", res.StatusCode, tc.want)
			}
		})
	}
}

// TestAnUnauthenticatedPreflightReadsNothing has handlers that do not look at the
// method; what a public route answers is anybody's to read.
func TestAnUnauthenticatedPreflightReadsNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.txt"), []byte("payroll"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := http.StripPrefix("/files", http.FileServer(http.Dir(dir)))
	mux := http.NewServeMux()
	mux.Handle("/files/", files)
	mux.Handle("/public/", http.StripPrefix("/public", http.FileServer(http.Dir(dir))))
	mux.HandleFunc("/flushed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Length", "7")
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "payroll")
	})
	mux.HandleFunc("/streamed", streams)
	mux.HandleFunc("/hijacked", func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npayroll")
			_ = conn.Close()
		}
	})
	mux.HandleFunc("/copied", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, strings.NewReader("payroll"))
	})
	policy := newPolicy(t, authctx.PolicyConfig{Default: authctx.Role("admin"), Public: []string{"/public/"}})
	h := newServer(t, httpctx.ServerConfig{Policy: policy}).Handler(mux)
	preflight := http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"GET"}}
	for protocol, server := range map[string]*httptest.Server{"HTTP/1.1": serve(t, h), "HTTP/2": unencryptedHTTP2(t, h)} {
		for path, want := range map[string]struct {
			status int
			body   string
		}{
			"/files/secret.txt": {200, ""}, "/files/none": {404, ""}, "/flushed": {202, ""}, "/streamed": {200, ""}, "/hijacked": {200, ""}, "/copied": {200, ""},
			"/public/secret.txt": {200, "payroll"},
		} {
			r, err := http.NewRequestWithContext(t.Context(), "OPTIONS", server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = preflight
			res, err := server.Client().Do(r)
			if err != nil {
				t.Fatalf("%s %s: %v", protocol, path, err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if res.StatusCode != want.status || string(body) != want.body || err != nil || res.ContentLength > int64(len(want.body)) {
				t.Errorf("%s %s: %d %q, %v, length %d", protocol, path, res.StatusCode, body, err, res.ContentLength)
			}
			if path == "/flushed" && res.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: header %v", protocol, res.Header)
			}
		}
		if res, _ := do(t, "GET", serve(t, h).URL+"/files/secret.txt", preflight); res.StatusCode != 401 {
			t.Errorf("GET: %d", res.StatusCode)
		}
	}
}

// statuses counts the statuses that are sent.
type statuses struct {
	*httptest.ResponseRecorder
	sent []int
}

func (s *statuses) WriteHeader(status int) {
	s.sent = append(s.sent, status)
	if status >= http.StatusOK {
		s.ResponseRecorder.WriteHeader(status)
	}
}

func TestAnAnswerToAPreflightHasOneStatusAndNoLength(t *testing.T) {
	h := newServer(t, httpctx.ServerConfig{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "7")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "pay")
		_, _ = io.WriteString(w, "roll")
	}))
	r := httptest.NewRequest("OPTIONS", "/", nil)
	r.Header = http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"GET"}}
	w := &statuses{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(w, r)
	if !slices.Equal(w.sent, []int{103, 200}) || w.Header().Get("Content-Length") != "" || w.Body.Len() > 0 {
		t.Errorf("sent %d, header %v, body %q", w.sent, w.Header(), w.Body)
	}
}

// Browsers send no credentials with it, but who asks may have a certificate, say.
func TestNobodyIsAskedWhoSendsAPreflight(t *testing.T) {
	asked := 0
	auth := authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		asked++
		return authctx.Result{}, authctx.Unavailable
	})
	r := httptest.NewRequest("OPTIONS", "/", nil)
	r.Header = http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"GET"}}
	for name, cfg := range map[string]httpctx.ServerConfig{
		"a policy": {Authenticator: auth}, "perhaps nobody": {Authenticator: auth, AllowAnonymous: true},
	} {
		w := httptest.NewRecorder()
		if newServer(t, cfg).Handler(spy).ServeHTTP(w, r); w.Code != 200 || asked != 0 {
			t.Errorf("%s: %d, asked %d times", name, w.Code, asked)
		}
	}
}

func TestRule10_APreflightOpensNoRouteThatNobodyListed(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/listed", spy)
	mux.Handle("/forgotten", spy)
	mux.Handle("GET /read", spy)
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/listed": authctx.Role("admin"), "GET /read": authctx.Authenticated()}})
	server := serve(t, newServer(t, httpctx.ServerConfig{Policy: policy}).Handler(mux))
	for path, want := range map[string]int{"/listed": 200, "/forgotten": 401, "/read": 405} {
		req := request("OPTIONS "+path, "Origin: https://a.example", "Access-Control-Request-Method: PUT")
		if res, _ := raw(t, server, req); res.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, res.StatusCode, want)
		}
	}
}
