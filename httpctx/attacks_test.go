package httpctx_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// attack is one request from testdata, as raw header lines.
type attack struct {
	ID      string
	Comment string
	Status  int // that the server refuses it with; 0 when it must arrive
	Lines   []string
}

func attacks(t *testing.T) []attack { return vectors[attack](t, "testdata/hostile_fields.json") }

// vectors reads a file of attacks, which must have some.
func vectors[V any](t *testing.T, file string) []V {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []V
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("no attacks")
	}
	return list
}

// raw sends a request byte for byte over a socket of its own.
func raw(t testing.TB, server *httptest.Server, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer to %q: %v", request, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// request writes a request head; latin1 bytes stand for themselves.
func request(line string, fields ...string) string {
	var b strings.Builder
	b.WriteString(line + " HTTP/1.1\r\nHost: test\r\n")
	for _, f := range fields {
		for _, c := range f {
			b.WriteByte(byte(c))
		}
		b.WriteString("\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// gateway is a server with a policy in front of a reverse proxy.
func gateway(t testing.TB, upstream string, cfg httpctx.ServerConfig) *httptest.Server {
	t.Helper()
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	return gatewayWith(t, cfg, &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }})
}

// gatewayOver is a gateway that speaks to upstream as its Client does.
func gatewayOver(t testing.TB, upstream *httptest.Server) *httptest.Server {
	t.Helper()
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	return gatewayWith(t, httpctx.ServerConfig{}, &httputil.ReverseProxy{
		Transport: upstream.Client().Transport,
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
	})
}

func gatewayWith(t testing.TB, cfg httpctx.ServerConfig, rp *httputil.ReverseProxy) *httptest.Server {
	t.Helper()
	if cfg.Policy == nil && !cfg.AllowAnonymous {
		cfg.Policy = newPolicy(t, authctx.PolicyConfig{Default: authctx.Authenticated(), Public: []string{"/public/"}})
	}
	s := newServer(t, cfg)
	rp.ErrorLog = log.New(io.Discard, "", 0)
	h, err := newProxy(t, s, newFields(t)).Handler(rp)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.Handle("/public/", h)
	return serve(t, s.Handler(mux))
}

func TestRule6_IdentityFieldsAreStrippedOnEveryPath(t *testing.T) {
	var refused http.Header
	withPolicy := httpctx.ServerConfig{
		Policy: newPolicy(t, authctx.PolicyConfig{
			Rules:  map[string]authctx.Rule{"/": authctx.Authenticated(), "/admin": authctx.Role("nobody")},
			Public: []string{"/public"},
		}),
		Refuse: func(w http.ResponseWriter, r *http.Request, _ error) bool {
			refused = r.Header
			w.WriteHeader(http.StatusTeapot)
			return true
		},
	}
	mux := http.NewServeMux()
	mux.Handle("/", spy)
	mux.Handle("/public", spy)
	mux.Handle("/admin", spy)
	routed := serve(t, newServer(t, withPolicy).Handler(mux))
	anonymous := serve(t, newServer(t, httpctx.ServerConfig{AllowAnonymous: true}).Handler(spy))
	kept := serve(t, newServer(t, httpctx.ServerConfig{KeepCredentials: true}).Handler(spy))

	paths := []struct {
		name   string
		server *httptest.Server
		line   string
		fields []string
		caller string
		fails  bool
	}{
		{"authenticated", routed, "GET /", []string{"Authorization: Bearer alice"}, "alice", false},
		{"credentials kept", kept, "GET /", []string{"Authorization: Bearer alice"}, "alice", false},
		{"public", routed, "GET /public", nil, "", false},
		{"public with a token", routed, "GET /public", []string{"Authorization: Bearer alice"}, "", false},
		{"anonymous", anonymous, "GET /", nil, "", false},
		{"preflight", routed, "OPTIONS /", []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}, "", false},
		{"preflight with a token", routed, "OPTIONS /", []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT", "Authorization: Bearer alice", "Cookie: session=alice"}, "", false},
		{"no credentials", routed, "GET /", nil, "", true},
		{"bad credentials", routed, "GET /", []string{"Authorization: Bearer forged"}, "", true},
		{"denied", routed, "GET /admin", []string{"Authorization: Bearer alice"}, "", true},
	}
	for _, path := range paths {
		for _, a := range attacks(t) {
			t.Run(path.name+"/"+a.ID, func(t *testing.T) {
				refused = nil
				res, body := raw(t, path.server, request(path.line, slices.Concat(path.fields, a.Lines)...))
				if a.Status != 0 {
					if res.StatusCode != a.Status {
						t.Errorf("status %d, want %d", res.StatusCode, a.Status)
					}
					return
				}
				header, subject := refused, ""
				if !path.fails {
					if res.StatusCode != 200 {
						t.Fatalf("status %d: %s", res.StatusCode, body)
					}
					got := decode(t, cmp.Or(body, res.Header.Get("Seen")))
					header, subject = got.Header, got.Subject
				}
				if header == nil {
					t.Fatal("nobody saw the request")
				}
				if found := identityIn(header); len(found) > 0 || subject != path.caller {
					t.Errorf("seen as %q with %v", subject, found)
				}
				if _, ok := header["Authorization"]; ok && path.server != kept {
					t.Error("the credential was seen")
				}
			})
		}
	}
}

func TestAttacksOnTheWayThroughAProxy(t *testing.T) {
	upstream := serve(t, spy)
	gate := gateway(t, upstream.URL, httpctx.ServerConfig{})
	for _, a := range attacks(t) {
		t.Run(a.ID, func(t *testing.T) {
			res, body := raw(t, gate, request("GET /", slices.Concat([]string{"Authorization: Bearer alice"}, a.Lines)...))
			if a.Status != 0 {
				if res.StatusCode != a.Status {
					t.Errorf("status %d, want %d", res.StatusCode, a.Status)
				}
				return
			}
			want := []string{"X-User-Id", "X-User-Issuer", "X-User-Permissions", "X-User-Roles"}
			got := decode(t, body).Header
			if found := identityIn(got); !slices.Equal(found, want) {
				t.Errorf("upstream got %v, want %v", found, want)
			}
			for name, value := range map[string]string{"X-User-Id": "alice", "X-User-Issuer": issuer, "X-User-Roles": "admin"} {
				if !slices.Equal(got[name], []string{value}) {
					t.Errorf("%s = %q, want only %q", name, got[name], value)
				}
			}
			if _, ok := got["Authorization"]; ok {
				t.Error("the client's token was passed on")
			}
		})
		t.Run(a.ID+" on a public route", func(t *testing.T) {
			res, body := raw(t, gate, request("GET /public/", slices.Concat([]string{"Authorization: Bearer alice"}, a.Lines)...))
			if a.Status != 0 {
				return // said above
			}
			if res.StatusCode != 200 {
				t.Fatalf("status %d", res.StatusCode)
			}
			got := decode(t, body).Header
			if found := identityIn(got); len(found) > 0 || got["Authorization"] != nil {
				t.Errorf("upstream got %v", got)
			}
		})
	}
}
