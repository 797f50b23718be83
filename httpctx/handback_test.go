package httpctx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"reflect"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// upload is a form with a file, and its content type.
func upload(t *testing.T) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	file, err := form.CreateFormFile("f", "big.bin")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = file.Write(make([]byte, 4<<10))
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), form.FormDataContentType()
}

func filesIn(t *testing.T, dir string) int {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestFilesOfAFormAreRemovedAfterTheRequest has handlers that parse a form whose
// file is too large for memory. net/http removes it, and knows it by the request
// that it has made.
func TestFilesOfAFormAreRemovedAfterTheRequest(t *testing.T) {
	written := 0
	parse := func(r *http.Request) {
		_ = r.ParseMultipartForm(1)
		written += filesIn(t, os.TempDir())
	}
	parses := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { parse(r) })
	parsesAndPanics := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		parse(r)
		panic("oops")
	})
	recoverer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { _ = recover() }()
			next.ServeHTTP(w, r)
		})
	}
	replaces := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, nil))
			next.ServeHTTP(w, r)
		})
	}
	refuse := func(_ http.ResponseWriter, r *http.Request, err error) bool {
		parse(r)
		return errors.Is(err, authctx.NoCredentials) // and otherwise the Server answers
	}
	s := newServer(t, httpctx.ServerConfig{})
	refusing := newServer(t, httpctx.ServerConfig{Refuse: refuse})
	other := newServer(t, httpctx.ServerConfig{Observer: new(journal), AllowAnonymous: true})
	ruled := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"/ruled": authctx.Authenticated()}, Public: []string{"POST /public"},
	})})
	mux := ruled.NewMux()
	mux.Handle("/ruled", parses)
	mux.Handle("POST /public", parses)
	routes, err := mux.Handler()
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := newProxy(t, s, newFields(t)).Handler(&httputil.ReverseProxy{
		Rewrite:   func(pr *httputil.ProxyRequest) { parse(pr.In) },
		Transport: roundTripper(func(r *http.Request) (*http.Response, error) { return ok(r), nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		h      http.Handler
		path   string
		header http.Header
	}{
		"a handler":                     {s.Handler(parses), "/", token("alice")},
		"a mux":                         {s.Handler(muxOf("/", parses)), "/", token("alice")},
		"a route that is ruled":         {routes, "/ruled", token("alice")},
		"a public route":                {routes, "/public", nil},
		"behind a rule":                 {s.Handler(s.Require(authctx.Role("admin"))(parses)), "/", token("alice")},
		"anonymous":                     {other.Handler(parses), "/", nil},
		"one in another":                {s.Handler(other.Handler(parses)), "/", token("alice")},
		"a connection with an end":      {s.Handler(parses), "/", with(token("carol"), "Upgrade", "h2c")},
		"a request replaced in place":   {s.Handler(replaces(other.Handler(replaces(parses)))), "/", token("alice")},
		"a panic":                       {recoverer(s.Handler(other.Handler(parsesAndPanics))), "/", token("alice")},
		"Refuse":                        {refusing.Handler(spy), "/", nil},
		"Refuse, asked by a rule":       {refusing.Handler(refusing.Require(nil)(spy)), "/", token("alice")},
		"a proxy that reads":            {s.Handler(proxy), "/", token("alice")},
		"a proxy that reads an upgrade": {s.Handler(proxy), "/", with(token("alice"), "Upgrade", "h2c")},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			for protocol, server := range map[string]*httptest.Server{"HTTP/1.1": serve(t, tc.h), "HTTP/2": unencryptedHTTP2(t, tc.h)} {
				if protocol == "HTTP/2" && tc.header["Upgrade"] != nil { // which it has not
					continue
				}
				written = 0
				body, contentType := upload(t)
				r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+tc.path, bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				maps.Copy(r.Header, tc.header)
				r.Header.Set("Content-Type", contentType)
				res, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				server.Close() // and so until the request is over
				if left := filesIn(t, dir); written == 0 || left > 0 {
					t.Errorf("%s: %d written, %d left", protocol, written, left)
				}
			}
		})
	}
}

// A request may be served twice, the second time by another path, as where there is
// something to fall back on. Were the pattern of the first time left on it, that
// would take the place of the default rule.
func TestRule10_APatternInsideRulesNothingOutside(t *testing.T) {
	for _, fallback := range []authctx.Rule{nil, authctx.Role("nobody")} {
		s := newServer(t, httpctx.ServerConfig{Policy: newPolicy(t, authctx.PolicyConfig{Public: []string{"/public/"}, Default: fallback})})
		site, anything := s.Handler(muxOf("/public/", spy)), s.Handler(http.HandlerFunc(spy.ServeHTTP))
		r := httptest.NewRequest("GET", "/public/reports", nil)
		first := httptest.NewRecorder()
		site.ServeHTTP(first, r)
		if first.Code != 200 || r.Pattern != "" {
			t.Errorf("status %d, pattern %q", first.Code, r.Pattern)
		}
		r.URL.Path = "/reports"
		again := httptest.NewRecorder()
		if anything.ServeHTTP(again, r); again.Code != 401 {
			t.Errorf("by another path: status %d", again.Code)
		}
	}
}

// A handler's header is its own also where nothing had to be taken out of it.
func TestRule12_TheHeaderOfAHandlerIsItsOwn(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"X-Other": {"1"}}
	newServer(t, httpctx.ServerConfig{AllowAnonymous: true}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-New", "1")
		r.Header.Del("X-Other")
	})).ServeHTTP(httptest.NewRecorder(), r)
	if len(r.Header) != 1 || r.Header.Get("X-Other") != "1" {
		t.Errorf("the lender has %v", r.Header)
	}
}

func TestRule12_NothingIsHandedBackButFiles(t *testing.T) {
	body, contentType := upload(t)
	r := httptest.NewRequest("POST", "/form?a=b", bytes.NewReader(body))
	r.Header = with(token("alice"), "Content-Type", contentType, "X-User-Id", "eve")
	before, header := *r, r.Header.Clone()
	newServer(t, httpctx.ServerConfig{}).Handler(muxOf("/{page}", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseMultipartForm(1 << 20)
		r.SetPathValue("page", "other")
		r.Method, r.Host, r.RemoteAddr, r.RequestURI = "PUT", "other", "other", "/other"
		r.Header.Set("X-A", "b")
		r.Body = http.NoBody
	}))).ServeHTTP(httptest.NewRecorder(), r)
	if r.MultipartForm == nil {
		t.Error("no form")
	}
	r.MultipartForm = nil
	if !reflect.DeepEqual(*r, before) || !maps.EqualFunc(r.Header, header, equal) {
		t.Errorf("changed: %+v", r)
	}
}
