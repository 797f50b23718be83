package httpctx_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

func TestIgnoredFieldsAreReportedAndBounded(t *testing.T) {
	var j journal
	s := newServer(t, httpctx.ServerConfig{Observer: &j})
	h := s.Handler(spy)
	ignored := func(header http.Header) []string {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = header
		h.ServeHTTP(httptest.NewRecorder(), r)
		return j.last(t).Ignored
	}
	if got := ignored(token("alice")); got != nil {
		t.Errorf("nothing came in and %v was reported", got)
	}
	if got := ignored(with(token("alice"), "X-User-Id", "eve", "X_user_id", "eve", "Txn-Token", "eve")); !slices.Equal(got, []string{"Txn-Token", "X-User-Id", "X_user_id"}) {
		t.Errorf("reported %v", got)
	}
	if got := ignored(with(token("forged"), "X-User-Id", "eve")); !slices.Equal(got, []string{"X-User-Id"}) {
		t.Errorf("a refused request reported %v", got)
	}
	many := token("alice")
	for c := 'a'; c <= 'z'; c++ {
		many["X-User-"+string(c)] = []string{"v"}
	}
	if got := ignored(many); len(got) != 16 {
		t.Errorf("%d names reported of 26", len(got))
	}
}

func TestFieldsOfAnotherSystemAreReportedToo(t *testing.T) {
	var j journal
	s := serve(t, newServer(t, httpctx.ServerConfig{Observer: &j, Strip: authctx.FieldSet{Prefixes: []string{"x-remote-"}}}).Handler(spy))
	if got := get(t, s.URL, with(token("alice"), "X-Remote-User", "eve", "Cookie", "a=b")); got.Header["X-Remote-User"] != nil {
		t.Errorf("seen %v", got.Header)
	}
	if e := j.last(t); !slices.Equal(e.Ignored, []string{"X-Remote-User"}) {
		t.Errorf("ignored %v", e.Ignored)
	}
}

func TestFieldsOfATrustedPeerAreReadAndNotReported(t *testing.T) {
	var j journal
	a, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: a, Observer: &j}).Handler(spy))
	got := get(t, s.URL, http.Header{"X-User-Id": {"dora"}, "X-User-Issuer": {issuer}, "Txn_Token": {"t"}})
	if got.Subject != "dora" || len(identityIn(got.Header)) > 0 {
		t.Errorf("seen %+v", got)
	}
	if e := j.last(t); !slices.Equal(e.Ignored, []string{"Txn_token"}) {
		t.Errorf("ignored %v", e.Ignored)
	}
	if res, _ := do(t, "GET", s.URL, http.Header{"X-User-Id": {"dora"}, "X-User-Issuer": {issuer}, "Txn-Token": {"t"}}); res.StatusCode != 400 {
		t.Errorf("a Transaction Token beside the fields: %d", res.StatusCode)
	}
	if res, _ := do(t, "GET", s.URL, http.Header{"X-User-Id": {"dora", "eve"}, "X-User-Issuer": {issuer}}); res.StatusCode != 400 {
		t.Errorf("a doubled field: %d", res.StatusCode)
	}
	get(t, s.URL, http.Header{"X-User-Id": {"dora"}, "X-User-Issuer": {issuer}, "X_user_id": {"eve"}})
	if e := j.last(t); !slices.Equal(e.Ignored, []string{"X_user_id"}) {
		t.Errorf("beside the real one, a look-alike: ignored %v", e.Ignored)
	}
	if res, _ := do(t, "GET", s.URL, http.Header{"X_user_id": {"dora"}, "X-User-Issuer": {issuer}}); res.StatusCode != 400 {
		t.Errorf("half an identity beside a look-alike: %d", res.StatusCode)
	}
}

func TestCVE_2026_40575_NoHeaderMakesAPeerTrusted(t *testing.T) {
	trust, err := authctx.TrustPeerCIDR("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	a, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: trust, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: a}).Handler(spy))
	header := http.Header{"X-User-Id": {"eve"}, "X-User-Issuer": {issuer}}
	for _, name := range []string{
		"X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Forwarded-By", "X-Forwarded-Host", "X-Forwarded-Uri",
		"X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Method", "X-Forwarded-Prefix", "X-Forwarded-Proto",
		"X-Envoy-Internal", "X-Client-Ip", "True-Client-Ip", "User-Agent", "Via",
	} {
		for _, value := range []string{"10.0.0.1", "for=10.0.0.1", "/public", "GoogleHC/1.0"} {
			if res, _ := do(t, "GET", s.URL, with(header, name, value)); res.StatusCode != 401 {
				t.Errorf("%s: %s made the peer trusted: %d", name, value, res.StatusCode)
			}
		}
	}
}
