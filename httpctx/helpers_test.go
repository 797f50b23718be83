package httpctx_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
	"github.com/authctx/authctx/internal/observertest"
)

// epoch is the clock of these tests.
var epoch = time.Unix(1_700_000_000, 0).UTC()

func clock() time.Time { return epoch }

const issuer = "https://issuer.example"

// attributes of the callers that the test authenticator knows by token.
var callers = map[string]authctx.Attributes{
	"alice": {Issuer: issuer, Subject: "alice", Roles: []string{"admin"}, Permissions: []string{"orders:create"}, Provenance: authctx.Verified},
	"bob":   {Issuer: issuer, Subject: "bob", Scopes: []string{"read"}, Provenance: authctx.Verified},
	"carol": {Issuer: issuer, Subject: "carol", Expires: epoch.Add(time.Hour), Provenance: authctx.Verified},
	"ended": {Issuer: issuer, Subject: "ended", Expires: epoch.Add(-time.Second), Provenance: authctx.Verified},
}

// refusals of the test authenticator by token.
var refusals = map[string]error{
	"forged":  &authctx.Error{Reason: authctx.BadSignature, Cause: errors.New("secret detail")},
	"expired": &authctx.Error{Reason: authctx.TokenExpired, Cause: errors.New("secret detail")},
	"foreign": &authctx.Error{Reason: authctx.WrongIssuer, Cause: errors.New("secret detail")},
	"down":    &authctx.Error{Reason: authctx.Unavailable, Cause: errors.New("secret detail"), RetryAfter: 1500 * time.Millisecond},
	"nonce":   &authctx.Error{Reason: authctx.NonceRequired, Cause: errors.New("secret detail")},
	"proof":   &authctx.Error{Reason: authctx.InvalidProof, Cause: errors.New("secret detail")},
	"crash":   errors.New("secret detail without a reason"),
}

// bearer is an authenticator with tokens from the tables above, read from the
// Authorization field, the cookie "session" or a subprotocol "bearer.TOKEN".
func bearer() authctx.Authenticator {
	fields := authctx.FieldSet{
		Names:        []string{"authorization"},
		Cookies:      []string{"session"},
		Subprotocols: []string{"bearer."},
		Schemes:      []string{"Bearer", "DPoP"},
	}
	return authctx.NewAuthenticator(fields, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		tokens := slices.Concat(r.Cookies("session"), r.Subprotocols("bearer."))
		for _, v := range r.Values("authorization") {
			_, token, _ := strings.Cut(v, " ")
			tokens = append(tokens, token)
		}
		if len(tokens) == 0 {
			return authctx.Result{}, authctx.NoCredentials
		}
		if len(tokens) > 1 {
			return authctx.Result{}, &authctx.Error{Reason: authctx.InvalidRequest}
		}
		var res authctx.Result
		if tokens[0] == "nonce" {
			res.Response = []authctx.Field{{Name: "dpop-nonce", Value: "n-1"}}
		}
		if err := refusals[tokens[0]]; err != nil {
			return res, err
		}
		attrs, ok := callers[tokens[0]]
		if !ok {
			return authctx.Result{}, &authctx.Error{Reason: authctx.InvalidToken}
		}
		var err error
		res.Principal, err = authctx.New(attrs)
		return res, err
	})
}

// caller returns the principal of a token.
func caller(t testing.TB, token string) authctx.Principal {
	t.Helper()
	p, err := authctx.New(callers[token])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newServer(t testing.TB, cfg httpctx.ServerConfig) *httpctx.Server {
	t.Helper()
	if cfg.Authenticator == nil {
		cfg.Authenticator = bearer()
	}
	if cfg.Policy == nil && !cfg.AllowAnonymous {
		cfg.Policy = authctx.DefaultPolicy(authctx.Authenticated())
	}
	if cfg.Now == nil {
		cfg.Now = clock
	}
	return must(t)(httpctx.NewServer(cfg))
}

func newPolicy(t testing.TB, cfg authctx.PolicyConfig) *authctx.Policy {
	t.Helper()
	p, err := authctx.NewPolicy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newFields(t testing.TB) *authctx.FieldsPropagator { return fieldsAt(t, clock) }

// fieldsAt returns a propagator with another clock than that of the server, as
// if time had passed between the two.
func fieldsAt(t testing.TB, now func() time.Time) *authctx.FieldsPropagator {
	t.Helper()
	p, err := authctx.NewFieldsPropagator(authctx.FieldsPropagatorConfig{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func must(t testing.TB) func(*httpctx.Server, error) *httpctx.Server {
	return func(s *httpctx.Server, err error) *httpctx.Server {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// seen is what a handler saw.
type seen struct {
	Subject string
	Header  http.Header
	Trailer http.Header
}

// spy answers with what it sees, after reading the body to its end. In an answer
// to OPTIONS, which may lose its body, that is in the field "Seen" as well.
var spy = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	p, _ := authctx.FromContext(r.Context())
	what, _ := json.Marshal(seen{p.Subject(), r.Header, r.Trailer})
	if r.Method == http.MethodOptions {
		w.Header().Set("Seen", string(what))
	}
	_, _ = w.Write(what)
})

// patience is how long a test waits for what comes at once.
const patience = 10 * time.Second

// next returns the next of what comes from ch at once.
func next[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatalf("no %T comes", v)
	}
	return v
}

// serve starts a real server for h.
func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// do sends a request and returns the answer with its body read.
func do(t testing.TB, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// get sends a GET that must be answered with what a spy saw.
func get(t testing.TB, url string, header http.Header) seen {
	t.Helper()
	res, body := do(t, http.MethodGet, url, header)
	if res.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", res.StatusCode, body)
	}
	return decode(t, body)
}

func decode(t testing.TB, body string) seen {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return s
}

func token(name string) http.Header { return http.Header{"Authorization": {"Bearer " + name}} }

// with returns h with further fields, keys taken as they are.
func with(h http.Header, pairs ...string) http.Header {
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(h[pairs[i]], pairs[i+1])
	}
	return h
}

var punctuation = regexp.MustCompile("[^a-z0-9]")

// identityIn returns the names in h that some server might take for identity.
func identityIn(h http.Header) []string {
	var found []string
	for name := range h {
		flat := punctuation.ReplaceAllString(strings.ToLower(name), "-")
		if strings.Contains(flat, "x-user-") || strings.Contains(flat, "txn-token") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

type journal struct{ observertest.Journal }

// last returns the last event.
func (j *journal) last(t testing.TB) authctx.Event {
	t.Helper()
	all := j.All()
	if len(all) == 0 {
		t.Fatal("no event")
	}
	return all[len(all)-1]
}
