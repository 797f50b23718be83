package httpctx_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// TestRule6_TrailersAreStripped sends trailers that were announced and trailers
// that were not, all after the body.
func TestRule6_TrailersAreStripped(t *testing.T) {
	server := serve(t, newServer(t, httpctx.ServerConfig{}).Handler(spy))
	body := "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-User-Id: eve\r\nx_user_roles: admin\r\nTxn-Token: eve\r\n\r\n"
	for name, announced := range map[string]string{
		"announced":      "Trailer: X-Sum, X-User-Id",
		"half announced": "Trailer: X-Sum",
		"only ours":      "Trailer: X-User-Id, X-User-Roles",
		"not announced":  "X-A: b",
	} {
		t.Run(name, func(t *testing.T) {
			_, answer := raw(t, server, request("POST /", "Authorization: Bearer alice", "Transfer-Encoding: chunked", announced)+body)
			got := decode(t, answer)
			if got.Subject != "alice" || len(identityIn(got.Trailer)) > 0 {
				t.Errorf("seen by %q: trailers %v", got.Subject, got.Trailer)
			}
			if strings.Contains(announced, "X-Sum") && !slices.Equal(got.Trailer["X-Sum"], []string{"1"}) {
				t.Errorf("another trailer was lost: %v", got.Trailer)
			}
		})
	}
}

func TestRule6_TrailersOfHTTP2AreStripped(t *testing.T) {
	server := unencryptedHTTP2(t, newServer(t, httpctx.ServerConfig{}).Handler(spy))
	r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL, io.NopCloser(strings.NewReader("abc")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = token("alice")
	r.Trailer = http.Header{"X-User-Id": {"eve"}, "X-Sum": {"1"}}
	got := decode(t, send(t, server.Client(), r))
	if got.Subject != "alice" || len(identityIn(got.Trailer)) > 0 || !slices.Equal(got.Trailer["X-Sum"], []string{"1"}) {
		t.Errorf("%+v", got)
	}
}

func TestAProxyPassesNoIdentityInTrailers(t *testing.T) {
	upstream := serve(t, spy)
	gate := gateway(t, upstream.URL, httpctx.ServerConfig{})
	_, answer := raw(t, gate, request("POST /", "Authorization: Bearer alice", "Transfer-Encoding: chunked", "Trailer: X-Sum, X-User-Id")+
		"3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-User-Id: eve\r\n\r\n")
	if got := decode(t, answer); len(identityIn(got.Trailer)) > 0 {
		t.Errorf("upstream got trailers %v", got.Trailer)
	}
}

func TestIdentityInAnUpstreamsAnswerStaysInside(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["X_user_roles"] = []string{"admin"}
				w.Header().Set("X-User-Id", "alice")
				w.Header().Set("X-Other", "kept")
				w.Header().Set("Grpc-Metadata-X-User-Id", "alice")          // a header by way of grpc-gateway
				w.Header().Set("Trailer-X-User-Roles", "admin")             // a trailer by way of Connect
				w.Header()["grpc_trailer.x_user_roles"] = []string{"admin"} // and one by way of grpc-gateway
				w.Header().Set("Trailer-Txn-Token-Bin", "dA==")
				w.Header().Set("Trailer-X-Other", "kept")
				w.Header().Set("Trailer", "X-User-Tenant, X-Sum, Grpc-Trailer-X-User-Tenant")
				_, _ = io.WriteString(w, "body")
				_ = http.NewResponseController(w).Flush() // a Content-Length would leave HTTP/1.1 no room for trailers
				w.Header().Set("X-User-Tenant", "t1")
				w.Header().Set("X-Sum", "1")
				w.Header().Set("Grpc-Trailer-X-User-Tenant", "t1")
				w.Header().Set(http.TrailerPrefix+"Txn-Token", "t")
			})
			upstream := serve(t, h)
			if protocol == "HTTP/2" {
				upstream = unencryptedHTTP2(t, h)
			}
			gate := gatewayOver(t, upstream)
			res, body := do(t, "GET", gate.URL, token("alice"))
			if res.StatusCode != 200 || body != "body" || res.Header.Get("X-Other") != "kept" || res.Header.Get("Trailer-X-Other") != "kept" || res.Trailer.Get("X-Sum") != "1" {
				t.Fatalf("%d %q %v %v", res.StatusCode, body, res.Header, res.Trailer)
			}
			if found := append(identityIn(res.Header), identityIn(res.Trailer)...); len(found) > 0 {
				t.Errorf("the client was told %v", found)
			}
			if announced := res.Header.Get("Trailer"); strings.Contains(announced, "User") {
				t.Errorf("announced %q", announced)
			}
		})
	}
}

func TestIdentityInEarlyHintsStaysInside(t *testing.T) {
	upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-User-Id", "alice")
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	}))
	gate := gateway(t, upstream.URL, httpctx.ServerConfig{})
	var hints textproto.MIMEHeader
	r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, header textproto.MIMEHeader) error { hints = header; return nil },
	}), "GET", gate.URL, nil)
	r.Header = token("alice")
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if hints.Get("Link") == "" || len(identityIn(http.Header(hints))) > 0 || len(identityIn(res.Header)) > 0 {
		t.Errorf("hints %v, then %v", hints, res.Header)
	}
}

// TestTheServersOwnFieldsAreInTheFinalAnswerAlone has an authenticator that
// answers with a nonce (RFC 9449 section 8.2) and an upstream that says something
// before it answers.
func TestTheServersOwnFieldsAreInTheFinalAnswerAlone(t *testing.T) {
	nonce := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{Principal: caller(t, "alice"), Response: []authctx.Field{{Name: "dpop-nonce", Value: "n-2"}}}, nil
	})
	for name, early := range map[string][]int{"no hints": nil, "hints": {103}, "hints twice": {103, 103}, "processing": {102}, "continue": {100}} {
		t.Run(name, func(t *testing.T) {
			upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, status := range early {
					if status != http.StatusContinue {
						w.Header().Set("Link", "</style.css>; rel=preload")
						w.WriteHeader(status)
					}
				}
				_, _ = io.Copy(io.Discard, r.Body) // sends 100 where that was asked for
				w.WriteHeader(http.StatusNoContent)
			}))
			gate := gateway(t, upstream.URL, httpctx.ServerConfig{Authenticator: nonce})
			hints := 0
			r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
					hints++
					if header.Get("DPoP-Nonce") != "" || status == http.StatusEarlyHints && header.Get("Link") == "" {
						t.Errorf("%d with %v", status, header)
					}
					return nil
				},
			}), "POST", gate.URL, strings.NewReader("abc"))
			r.Header = token("alice")
			if name == "continue" {
				r.Header.Set("Expect", "100-continue")
			}
			res, err := (&http.Transport{ExpectContinueTimeout: 10 * time.Second, DisableKeepAlives: true}).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if got := res.Header["Dpop-Nonce"]; !slices.Equal(got, []string{"n-2"}) || hints < len(early) {
				t.Errorf("nonce %q after %d hints", got, hints)
			}
		})
	}
}

// unencryptedHTTP2 starts a server of which Client speaks HTTP/2 only.
func unencryptedHTTP2(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	transport := &http.Transport{Protocols: s.Config.Protocols}
	t.Cleanup(transport.CloseIdleConnections)
	s.Client().Transport = transport
	return s
}

// send sends r and returns the body of an answer that must be 200.
func send(t testing.TB, c *http.Client, r *http.Request) string {
	t.Helper()
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%d, %v: %s", res.StatusCode, err, body)
	}
	return string(body)
}

func TestHTTP2RequestsThroughAProxy(t *testing.T) {
	upstream := unencryptedHTTP2(t, spy)
	gate := gatewayOver(t, upstream)
	got := get(t, gate.URL, with(token("alice"), "X-User-Id", "eve", "X_user_id", "eve"))
	if want := []string{"X-User-Id", "X-User-Issuer", "X-User-Permissions", "X-User-Roles"}; !slices.Equal(identityIn(got.Header), want) {
		t.Errorf("upstream got %v", identityIn(got.Header))
	}
	if got.Header.Get("X-User-Id") != "alice" {
		t.Errorf("X-User-Id %q", got.Header["X-User-Id"])
	}
}
