package httpctx_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// Tests of credentials that came in, and that a handler may try to send on.

func TestTheInboundCredentialIsNotSentOn(t *testing.T) {
	var s sink
	tr := newTransport(t, httpctx.TransportConfig{Base: &s, Destinations: []string{"a.internal"}})
	send := func(r *http.Request) http.Header {
		if _, err := tr.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		return s.last.Header
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		for _, target := range []string{"https://a.internal/", "https://elsewhere.example/"} {
			out := outgoing(r.Context(), target)
			out.Header = r.Header.Clone()
			out.Header.Add("Cookie", "mine=1")
			got := send(out)
			if got["Authorization"] != nil || strings.Contains(strings.Join(got["Cookie"], ";"), "session") {
				t.Errorf("%s got %v", target, got)
			}
			if !strings.Contains(strings.Join(got["Cookie"], ";"), "mine=1") {
				t.Errorf("%s lost a cookie: %v", target, got)
			}
			out.Header.Set("Authorization", "Bearer of-my-own")
			out.Header.Add("Cookie", "session=of-my-own; Session=alice")
			got = send(out)
			if got.Get("Authorization") != "Bearer of-my-own" {
				t.Errorf("%s got Authorization %q", target, got["Authorization"])
			}
			if sessions := strings.Join(got["Cookie"], "; "); !strings.Contains(sessions, "session=of-my-own") {
				t.Errorf("%s lost the program's own session: %q", target, sessions)
			} else if kept := strings.Contains(r.Header.Get("Cookie"), "session"); kept && strings.Contains(sessions, "alice") {
				t.Errorf("%s got %q", target, sessions)
			}
		}
	}
	for _, keep := range []bool{false, true} {
		url := serve(t, newServer(t, httpctx.ServerConfig{KeepCredentials: keep}).Handler(http.HandlerFunc(handler))).URL
		for _, header := range []http.Header{token("alice"), {"Cookie": {"a=b; session=alice"}}, {"Cookie": {`session="alice"`}}} {
			if res, _ := do(t, "GET", url, header); res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
		}
	}
}

// A handler that puts the field together spells it as it likes.
func TestTheInboundCredentialIsNotSentOnHoweverItIsSpelled(t *testing.T) {
	var s sink
	tr := newTransport(t, httpctx.TransportConfig{Base: &s, Destinations: []string{"a.internal"}})
	for field, c := range map[string]struct {
		a      authctx.Authenticator
		came   []string
		copied map[string]bool // whether it is sent
	}{
		"Authorization": {bearer(), []string{"Bearer alice", "bearer alice", "DPoP alice"}, map[string]bool{
			"Bearer alice": false, "bearer alice": false, "BEARER  alice ": false, "DPoP alice": false, "alice": false,
			"Bearer Alice": true, "Bearer alice2": true, "Bearer": true, "Basic YWxpY2U=": true,
		}},
		"X-Api-Key": {keyed(t), []string{"key alice"}, map[string]bool{
			"key alice": false, "mine alice": true, "alice": true, // nothing here says that "key" is a scheme
		}},
	} {
		var out string
		handler := func(_ http.ResponseWriter, r *http.Request) {
			req := outgoing(r.Context(), "https://a.internal/")
			req.Header.Set(field, out)
			if _, err := tr.RoundTrip(req); err != nil {
				t.Error(err)
			}
		}
		url := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: c.a, KeepCredentials: true}).Handler(http.HandlerFunc(handler))).URL
		for _, in := range c.came {
			for text, stays := range c.copied {
				out = text
				if res, _ := do(t, "GET", url, http.Header{field: {in}}); res.StatusCode != 200 {
					t.Fatalf("status %d", res.StatusCode)
				}
				if got := s.last.Header.Get(field); (got != "") != stays {
					t.Errorf("%s came as %q, copied as %q, sent as %q", field, in, text, got)
				}
			}
		}
	}
}

// keyed reads a credential from a field of its own.
func keyed(t *testing.T) authctx.Authenticator {
	alice := caller(t, "alice")
	return authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x-api-key"}}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		if len(r.Values("x-api-key")) == 0 {
			return authctx.Result{}, authctx.NoCredentials
		}
		return authctx.Result{Principal: alice}, nil
	})
}
