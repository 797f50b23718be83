package httpctx_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// Tests of single advisories that need more than a line of data.

func TestCVE_2023_27493_HostileValuesArriveAsTheyAre(t *testing.T) {
	fields, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	var got authctx.Principal
	service := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: fields}).Handler(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = authctx.FromContext(r.Context()) })))
	client := &http.Client{Transport: newTransport(t, httpctx.TransportConfig{Destinations: []string{"127.0.0.1"}})}
	for _, hostile := range []string{
		"a\r\nX-User-Roles: admin", "a\nb", "a\x00b", "\x7f", "a,b", "a;b", `"a"`, `a\b`, "a=b", "50%", "%0d%0a", " a ", "\ta", "é", "日本", "a  b", ",", "=",
	} {
		want, err := authctx.New(authctx.Attributes{
			Issuer: issuer, Subject: hostile, Name: hostile, Roles: []string{hostile, "b"},
			Extra: map[string][]string{hostile: {hostile}}, Actors: []authctx.Actor{{Issuer: hostile, Subject: hostile}},
		})
		if err != nil {
			t.Fatal(err)
		}
		r, _ := http.NewRequestWithContext(authctx.NewContext(t.Context(), want), "GET", service.URL, nil)
		send(t, client, r)
		if !got.Equal(want) {
			t.Errorf("%q arrived as %q with roles %q", hostile, got.Subject(), got.Roles())
		}
	}
}

// Two ends that believe another one of the two see another request behind it.
func TestCVE_2015_5741_ALengthBesideChunksIsNotPassedOn(t *testing.T) {
	gate := gateway(t, serve(t, spy).URL, httpctx.ServerConfig{})
	hidden := "\r\n\r\n0\r\n\r\n" + request("GET /", "X-User-Id: eve")
	for _, length := range []string{"0", fmt.Sprint(len(hidden))} {
		res, body := raw(t, gate, request("GET /", "Authorization: Bearer alice", "Content-Length: "+length, "Transfer-Encoding: chunked"+hidden))
		got := decode(t, body).Header
		if res.StatusCode != 200 || got["Content-Length"] != nil || got.Get("X-User-Id") != "alice" {
			t.Errorf("length %s: status %d, upstream got %v", length, res.StatusCode, got)
		}
	}
}

// CVE-2022-23469, CVE-2020-36567, CVE-2025-25294 and CVE-2024-45808 were the same in
// Traefik, gin, Envoy Gateway and Envoy.
func TestCVE_2026_42507_NothingOfATokenOrALineReachesALog(t *testing.T) {
	var out bytes.Buffer
	s := newServer(t, httpctx.ServerConfig{Observer: authctx.NewSlogObserver(slog.New(slog.NewTextHandler(&out, nil)))})
	server := serve(t, s.Handler(spy))
	for _, fields := range [][]string{
		{"Authorization: Bearer alice"},
		{"Authorization: Bearer topsecret-unknown"},
		{"Authorization: Bearer forged", "Cookie: session=topsecret"},
		{"X-User-Id: topsecret", "Txn-Token: topsecret"},
	} {
		raw(t, server, request("GET /a%0alevel=ERROR%0d?token=topsecret", fields...))
	}
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("a forged line: %q", line)
		}
		if strings.Contains(line, "topsecret") || strings.Contains(line, "Bearer") {
			t.Errorf("a secret: %q", line)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("%d lines for 4 requests", n)
	}
}

func TestCVE_2025_65015_AHugeRequestIsNoLongLogLine(t *testing.T) {
	var out bytes.Buffer
	s := newServer(t, httpctx.ServerConfig{Observer: authctx.NewSlogObserver(slog.New(slog.NewTextHandler(&out, nil)))})
	server := serve(t, s.Handler(spy))
	huge := strings.Repeat("a", 500<<10)
	for name, request := range map[string]string{
		"a token":           request("GET /", "Authorization: Bearer "+huge),
		"three segments":    request("GET /", "Authorization: Bearer "+huge[:1000]+"."+huge+"."+huge[:1000]),
		"a scheme":          request("GET /", "Authorization: "+huge),
		"a path":            request("GET /" + huge),
		"a query":           request("GET /?" + huge),
		"a method":          request(huge + " /"),
		"an identity field": request("GET /", "X-User-"+huge+": a", "X_User_"+huge[1:]+": a"),
		"a value of one":    request("GET /", "X-User-Id: "+huge),
	} {
		out.Reset()
		raw(t, server, request)
		if n := out.Len(); n == 0 || n > 2<<10 {
			t.Errorf("%s: %d bytes were logged", name, n)
		}
	}
}

func TestRule11_ACredentialIsNotPrintedWithAContext(t *testing.T) {
	a := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{Principal: caller(t, "alice"), Forward: []authctx.Field{{Name: "txn-token", Value: "topsecret"}}}, nil
	})
	h := newServer(t, httpctx.ServerConfig{Authenticator: a, KeepCredentials: true}).Handler(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			type key struct{}
			for _, ctx := range []context.Context{r.Context(), context.WithValue(r.Context(), key{}, 1)} {
				if s := fmt.Sprintf("%v %+v %#v %s %q", ctx, ctx, ctx, ctx, ctx); strings.Contains(s, "topsecret") {
					t.Errorf("printed %s", s)
				}
			}
		}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = token("topsecret")
	h.ServeHTTP(httptest.NewRecorder(), r)
}

func TestKong9946_ATokenElsewhereIsNotAToken(t *testing.T) {
	server := serve(t, newServer(t, httpctx.ServerConfig{}).Handler(spy))
	for target, header := range map[string]http.Header{
		"/?access_token=alice&token=alice&jwt=alice": nil,
		"/;access_token=alice":                       nil,
		"/":                                          {"X-Access-Token": {"alice"}, "Proxy-Authorization": {"Bearer alice"}, "X-Forwarded-Access-Token": {"alice"}},
	} {
		if res, _ := do(t, "GET", server.URL+target, header); res.StatusCode != 401 {
			t.Errorf("%s with %v: %d", target, header, res.StatusCode)
		}
	}
	// Two places that disagree, in either order.
	for _, header := range []http.Header{with(token("alice"), "Cookie", "session=bob"), with(token("forged"), "Cookie", "session=bob")} {
		if res, _ := do(t, "GET", server.URL, header); res.StatusCode != 400 {
			t.Errorf("%v: %d", header, res.StatusCode)
		}
	}
}

func TestHeimdall3424_TheBodyIsLeftToTheHandler(t *testing.T) {
	const form = "access_token=bob&x=1"
	server := serve(t, newServer(t, httpctx.ServerConfig{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})))
	_, body := raw(t, server, request("POST /", "Authorization: Bearer alice", "Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(form)))+form)
	if body != form {
		t.Errorf("the handler read %q", body)
	}
	res, _ := raw(t, server, request("POST /", "Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(form)))+form)
	if res.StatusCode != 401 {
		t.Errorf("a token in the body: %d", res.StatusCode)
	}
}

// TestCVE_2026_40968_NothingIsInheritedOnAConnection sends requests of different
// callers over one connection.
func TestCVE_2026_40968_NothingIsInheritedOnAConnection(t *testing.T) {
	server := serve(t, newServer(t, httpctx.ServerConfig{AllowAnonymous: true}).Handler(spy))
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for _, tc := range []struct {
		token, subject string
		status         int
	}{{"alice", "alice", 200}, {"", "", 200}, {"forged", "", 401}, {"", "", 200}, {"bob", "bob", 200}, {"", "", 200}} {
		fields := []string{"X-A: b"}
		if tc.token != "" {
			fields = append(fields, "Authorization: Bearer "+tc.token)
		}
		_, _ = io.WriteString(conn, request("GET /", fields...))
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != tc.status || res.StatusCode == 200 && decode(t, string(body)).Subject != tc.subject {
			t.Errorf("%q: %d %s", tc.token, res.StatusCode, body)
		}
	}
}

func TestCVE_2024_45806_NoAddressIsTrustedByDefault(t *testing.T) {
	if _, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{}); err == nil {
		t.Error("fields are believed without a trust")
	}
	s := newServer(t, httpctx.ServerConfig{})
	for _, address := range []string{"127.0.0.1:9", "10.0.0.1:9", "192.168.0.1:9", "172.16.0.1:9", "[::1]:9", "[fd00::1]:9", "@"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = address
		r.Header = http.Header{"X-User-Id": {"eve"}, "X-User-Issuer": {issuer}}
		if _, err := s.Check(r); authctx.ReasonOf(err) != authctx.NoCredentials {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Labels that a client chooses filled the memory of whoever counted by them, for each
// method and target that it made up.
func TestCVE_2023_45142_AClientChoosesNoLabel(t *testing.T) {
	var seen journal
	policy := newPolicy(t, authctx.PolicyConfig{
		Rules: map[string]authctx.Rule{"GET /orders": authctx.Authenticated()}, Default: authctx.Role("root"),
	})
	server := serve(t, newServer(t, httpctx.ServerConfig{Policy: policy, Observer: &seen}).Handler(spy))
	for i := range 50 {
		raw(t, server, request(fmt.Sprintf("MADE%d /made/up/%d", i, i), fmt.Sprint("Authorization: Bearer made", i)))
		raw(t, server, request(fmt.Sprintf("GET /orders?made=%d", i), "Authorization: Bearer alice"))
	}
	list := seen.All()
	if len(list) != 100 {
		t.Fatalf("%d events", len(list))
	}
	labels := map[string]bool{}
	for _, e := range list {
		labels[fmt.Sprint(e.Transport, ", ", e.Entry, ", ", e.Outcome, ", ", e.Reason)] = true
	}
	if len(labels) != 2 {
		t.Errorf("labels %v", labels)
	}
}
