package jwtauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// endpoint is an introspection endpoint that answers what a test says.
type endpoint struct {
	*httptest.Server
	asked   atomic.Int64
	handler atomic.Pointer[http.HandlerFunc]
}

func newEndpoint(t *testing.T, answer http.HandlerFunc) *endpoint {
	t.Helper()
	e := new(endpoint)
	e.handler.Store(&answer)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		(*e.handler.Load())(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) answers(h http.HandlerFunc) { e.handler.Store(&h) }

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

// clock is a time that only a test moves.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.at.Store(time.Unix(1767225600, 0).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func introspectionConfig(url string, c *clock) jwtauth.IntrospectionConfig {
	return jwtauth.IntrospectionConfig{
		Endpoint: url, ClientID: "orders api", ClientSecret: "s%c+re:t/ü",
		Issuer: "https://as.example.com", Audiences: []string{"orders"}, Now: c.now,
	}
}

func newIntrospector(t *testing.T, cfg jwtauth.IntrospectionConfig) *jwtauth.Introspector {
	t.Helper()
	i, err := jwtauth.NewIntrospector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	return i
}

// good is the answer about a token of alice.
const good = `{"active":true,"sub":"alice","aud":["orders","billing"],"iss":"https://as.example.com","client_id":"web",` +
	`"username":"Alice","scope":"orders.read orders.write","token_type":"Bearer","exp":1767226200,"iat":1767225000,"roles":["editor"],"act":{"sub":"bot"}}`

func TestAnActiveTokenBecomesAPrincipal(t *testing.T) {
	e, c := newEndpoint(t, answer(good)), newClock()
	got, err := newIntrospector(t, introspectionConfig(e.URL, c)).VerifyToken(t.Context(), "opaque-1")
	if err != nil {
		t.Fatal(err)
	}
	want, err := authctx.New(authctx.Attributes{
		Issuer: "https://as.example.com", Subject: "alice", Provenance: authctx.Verified, Name: "Alice", ClientID: "web",
		Scopes: []string{"orders.read", "orders.write"}, Roles: []string{"editor"},
		IssuedAt: time.Unix(1767225000, 0), Expires: time.Unix(1767226230, 0),
		Actors: []authctx.Actor{{Issuer: "https://as.example.com", Subject: "bot"}}, Claims: []byte(good),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Principal.Equal(want) {
		t.Errorf("got %+v\nwant %+v", got.Principal.Attributes(), want.Attributes())
	}
	if got.Cached || !got.Confirmation.IsZero() {
		t.Errorf("cached %v, confirmation %v", got.Cached, got.Confirmation)
	}
}

func TestTheQuestionIsThatOfRFC7662(t *testing.T) {
	var got *http.Request
	var form string
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, form = r, string(body)
		answer(good)(w, r)
	})
	if _, err := newIntrospector(t, introspectionConfig(e.URL+"/introspect?x=1", newClock())).Verify(t.Context(), "a+b/c=&d"); err != nil {
		t.Fatal(err)
	}
	id, secret, _ := got.BasicAuth()
	if id != "orders+api" || secret != "s%25c%2Bre%3At%2F%C3%BC" {
		t.Errorf("credentials %q %q are not form-encoded (RFC 6749 section 2.3.1)", id, secret)
	}
	if got.Method != http.MethodPost || got.URL.String() != "/introspect?x=1" ||
		got.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || got.Header.Get("Accept") != "application/json" {
		t.Errorf("%s %s %v", got.Method, got.URL, got.Header)
	}
	if want := "token=a%2Bb%2Fc%3D%26d&token_type_hint=access_token"; form != want {
		t.Errorf("body %s, want %s", form, want)
	}
}

func TestAnswersThatLetNobodyIn(t *testing.T) {
	member := func(change string) string { // good with members replaced
		var m, c map[string]json.RawMessage
		if json.Unmarshal([]byte(good), &m) != nil || json.Unmarshal([]byte(change), &c) != nil {
			t.Fatal(change)
		}
		for k, v := range c {
			m[k] = v
			if string(v) == `"-"` {
				delete(m, k)
			}
		}
		b, _ := json.Marshal(m)
		return string(b)
	}
	for name, c := range map[string]struct {
		answer string
		want   authctx.Reason
	}{
		"not active":                      {`{"active":false}`, authctx.InvalidToken},
		"not active, and yet a subject":   {member(`{"active":false}`), authctx.InvalidToken},
		"another issuer":                  {member(`{"iss":"https://evil.example.com"}`), authctx.WrongIssuer},
		"an issuer with a slash more":     {member(`{"iss":"https://as.example.com/"}`), authctx.WrongIssuer},
		"a list of issuers":               {member(`{"iss":["https://as.example.com"]}`), authctx.InvalidToken},
		"another audience":                {member(`{"aud":"billing"}`), authctx.WrongAudience},
		"no audience":                     {member(`{"aud":"-"}`), authctx.WrongAudience},
		"an audience that is a number":    {member(`{"aud":7}`), authctx.InvalidToken},
		"ended":                           {member(`{"exp":1767225500}`), authctx.TokenExpired},
		"an end that is text":             {member(`{"exp":"1767226200"}`), authctx.InvalidToken},
		"an end beyond all calendars":     {member(`{"exp":1e19}`), authctx.InvalidToken},
		"not yet valid":                   {member(`{"nbf":1767225700}`), authctx.TokenNotYetValid},
		"not yet valid, without an end":   {member(`{"nbf":1767225700,"exp":"-"}`), authctx.TokenNotYetValid},
		"no subject":                      {member(`{"sub":"-"}`), authctx.InvalidToken},
		"a subject that is a list":        {member(`{"sub":["alice"]}`), authctx.InvalidToken},
		"a refresh token by token_use":    {member(`{"token_use":"refresh_token"}`), authctx.WrongType},
		"a refresh token by token_type":   {member(`{"token_type":"refresh_token"}`), authctx.WrongType},
		"a refresh token by typ":          {member(`{"typ":"Refresh"}`), authctx.WrongType},
		"an ID token by typ":              {member(`{"typ":"ID"}`), authctx.WrongType},
		"a DPoP token without its key":    {member(`{"token_type":"DPoP"}`), authctx.WrongType},
		"a token_type that is a number":   {member(`{"token_type":1}`), authctx.WrongType},
		"a confirmation nobody knows":     {member(`{"cnf":{"kid":"x"}}`), authctx.InvalidToken},
		"active as text":                  {member(`{"active":"true"}`), authctx.Unavailable},
		"active as a number":              {member(`{"active":1}`), authctx.Unavailable},
		"active null":                     {member(`{"active":null}`), authctx.Unavailable},
		"no active":                       {member(`{"active":"-"}`), authctx.Unavailable},
		"active twice":                    {`{"active":false,"active":true,"sub":"alice"}`, authctx.Unavailable},
		"active in two spellings":         {`{"active":false,"Active":true,"sub":"alice"}`, authctx.Unavailable},
		"a subject in two spellings":      {strings.Replace(good, `"sub"`, `"SUB":"admin","sub"`, 1), authctx.Unavailable},
		"an array":                        {`[true]`, authctx.Unavailable},
		"true":                            {`true`, authctx.Unavailable},
		"nothing":                         {``, authctx.Unavailable},
		"HTML":                            {`<html>active: true</html>`, authctx.Unavailable},
		"data after the end":              {good + `{}`, authctx.Unavailable},
		"cut off":                         {good[:100], authctx.Unavailable},
		"not UTF-8":                       {strings.Replace(good, "alice", "al\xffice", 1), authctx.Unavailable},
		"more than is read":               {strings.Replace(good, "alice", strings.Repeat("a", 64<<10), 1), authctx.Unavailable},
		"nested beyond what anybody does": {strings.Replace(good, `"alice"`, strings.Repeat("[", 5000)+strings.Repeat("]", 5000), 1), authctx.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, answer(c.answer))
			_, err := newIntrospector(t, introspectionConfig(e.URL, newClock())).Verify(t.Context(), "opaque-secret")
			if authctx.ReasonOf(err) != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "opaque-secret") || strings.Contains(err.Error(), "alice")) {
				t.Errorf("%v shows the token or the answer", err)
			}
		})
	}
}

func TestRule8_AnEndpointThatFailsMakesNothingInvalidAndNobodyAnonymous(t *testing.T) {
	elsewhere := newEndpoint(t, answer(good))
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		cause  string
	}{
		"our credentials are refused": {status(401), "refused ClientID and ClientSecret with 401"},
		"we are not allowed to ask":   {status(403), "refused ClientID and ClientSecret with 403"},
		"it finds the question wrong": {status(400), "answered 400"},
		"it is not there":             {status(404), "answered 404"},
		"it fails":                    {status(500), "answered 500"},
		"it has no content":           {status(204), "answered 204"},
		"it redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, "redirected with 307, which is not followed"},
		"it breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, good)
		}, "unexpected EOF"},
		"it hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, c.answer)
			i := newIntrospector(t, introspectionConfig(e.URL, newClock()))
			_, err := i.Verify(t.Context(), "opaque-secret")
			if authctx.ReasonOf(err) != authctx.Unavailable || !strings.Contains(err.Error(), c.cause) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want Unavailable with %q", err, c.cause)
			}
			e.answers(answer(good))
			if _, err := i.Verify(t.Context(), "opaque-secret"); err != nil {
				t.Errorf("after the outage: %v", err)
			}
		})
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("the token went to another address %d times", n)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(code)
		if code != http.StatusNoContent {
			_, _ = io.WriteString(w, good)
		}
	}
}

func TestRetryAfterIsPassedOnWithinBounds(t *testing.T) {
	e := newEndpoint(t, status(503))
	_, err := newIntrospector(t, introspectionConfig(e.URL, newClock())).Verify(t.Context(), "opaque")
	if refused, ok := errors.AsType[*authctx.Error](err); !ok || refused.RetryAfter != time.Minute {
		t.Errorf("got %+v, want one minute", err)
	}
}

func TestAnEndpointThatIsDownOrSlowIsUnavailable(t *testing.T) {
	e := newEndpoint(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		<-r.Context().Done()
	})
	cfg := introspectionConfig(e.URL, newClock())
	cfg.Timeout = 50 * time.Millisecond
	i := newIntrospector(t, cfg)
	if _, err := i.Verify(t.Context(), "opaque"); !errors.Is(err, authctx.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("slow: %v", err)
	}
	e.Close()
	if _, err := i.Verify(t.Context(), "opaque"); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("down: %v", err)
	}
}

func TestF1_F4_AnswersAreRememberedNoLongerThanTheyMay(t *testing.T) {
	e, c := newEndpoint(t, answer(good)), newClock()
	cfg := introspectionConfig(e.URL, c)
	cfg.Cache.MaxAge = 20 * time.Second
	i := newIntrospector(t, cfg)
	ask := func(want int64, wantCached bool) {
		t.Helper()
		got, err := i.VerifyToken(t.Context(), "opaque")
		if n := e.asked.Load(); err != nil || n != want || got.Cached != wantCached {
			t.Fatalf("asked %d times, cached %v, %v; want %d, %v", n, got.Cached, err, want, wantCached)
		}
	}
	ask(1, false)
	c.advance(19 * time.Second)
	ask(1, true) // and being used does not make it live longer
	c.advance(time.Second)
	ask(2, false)
	e.answers(answer(`{"active":false}`))
	c.advance(19 * time.Second)
	ask(2, true)
	c.advance(time.Second)
	if _, err := i.Verify(t.Context(), "opaque"); authctx.ReasonOf(err) != authctx.InvalidToken {
		t.Errorf("a revoked token after MaxAge: %v", err)
	}
}

func TestACachedAnswerEndsWithItsToken(t *testing.T) {
	e, c := newEndpoint(t, answer(strings.Replace(good, "1767226200", "1767225610", 1))), newClock()
	cfg := introspectionConfig(e.URL, c)
	cfg.Cache.MaxAge, cfg.Leeway = time.Hour, jwtauth.NoLeeway
	i := newIntrospector(t, cfg)
	if _, err := i.Verify(t.Context(), "opaque"); err != nil {
		t.Fatal(err)
	}
	c.advance(10 * time.Second)
	if _, err := i.Verify(t.Context(), "opaque"); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("got %v, want expired", err)
	}
	if n := e.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestATokenWithoutAnEndCountsAsLongAsTheAnswer(t *testing.T) {
	e, c := newEndpoint(t, answer(strings.Replace(good, `"exp":1767226200,`, "", 1))), newClock()
	c.advance(700 * time.Millisecond)
	i := newIntrospector(t, introspectionConfig(e.URL, c))
	start := c.now()
	for step := range 400 { // four times 30 s
		p, err := i.Verify(t.Context(), "opaque")
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if left := p.Expires().Sub(c.now()); left <= 0 || left > 31*time.Second {
			t.Fatalf("step %d: %v left", step, left)
		}
		c.advance(300 * time.Millisecond)
	}
	if n, want := e.asked.Load(), int64(c.now().Sub(start)/(30*time.Second)); n != want {
		t.Errorf("asked %d times, want %d", n, want)
	}
}

func TestARefusedTokenIsRememberedForSeconds(t *testing.T) {
	e, c := newEndpoint(t, answer(`{"active":false}`)), newClock()
	i := newIntrospector(t, introspectionConfig(e.URL, c))
	for range 3 {
		if _, err := i.Verify(t.Context(), "opaque"); authctx.ReasonOf(err) != authctx.InvalidToken {
			t.Fatal(err)
		}
	}
	if n := e.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	e.answers(answer(good))
	c.advance(5 * time.Second)
	if _, err := i.Verify(t.Context(), "opaque"); err != nil {
		t.Errorf("after five seconds: %v", err)
	}
}

func TestWithoutACacheEveryRequestAsks(t *testing.T) {
	e := newEndpoint(t, answer(good))
	cfg := introspectionConfig(e.URL, newClock())
	cfg.Cache.Disabled = true
	i := newIntrospector(t, cfg)
	for want := range int64(3) {
		if got, err := i.VerifyToken(t.Context(), "opaque"); err != nil || got.Cached || e.asked.Load() != want+1 {
			t.Fatalf("asked %d times, %v", e.asked.Load(), err)
		}
	}
}

func TestRequestsWithOneTokenShareAQuestionThatNoneOfThemCanAbort(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		answer(good)(w, r)
	})
	i := newIntrospector(t, introspectionConfig(e.URL, newClock()))
	first, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := i.Verify(first, "opaque")
		gone <- err
	}()
	<-arrived
	leave()
	if err := <-gone; !errors.Is(err, authctx.Unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("who left was told %v", err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := i.Verify(t.Context(), "opaque"); err != nil {
				t.Error(err)
			}
		})
	}
	close(release)
	wg.Wait()
	if n := e.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAFloodOfTokensIsBounded(t *testing.T) {
	release := make(chan struct{})
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		answer(good)(w, r)
	})
	cfg := introspectionConfig(e.URL, newClock())
	cfg.MaxPending = 4
	i := newIntrospector(t, cfg)
	results := make(chan error, 20)
	for n := range 20 {
		go func() {
			_, err := i.Verify(t.Context(), fmt.Sprint("token-", n))
			results <- err
		}()
	}
	for range 16 { // these need no answer
		if err := <-results; !errors.Is(err, authctx.Unavailable) {
			t.Errorf("got %v", err)
		}
	}
	close(release)
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestCloseEndsWhatIsBeingAskedAndWaits(t *testing.T) {
	arrived := make(chan struct{})
	e := newEndpoint(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	i := newIntrospector(t, introspectionConfig(e.URL, newClock()))
	done := make(chan error)
	go func() {
		_, err := i.Verify(t.Context(), "opaque")
		done <- err
	}()
	<-arrived
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, authctx.Unavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := i.Verify(t.Context(), "another"); !errors.Is(err, authctx.Unavailable) || e.asked.Load() != 1 {
		t.Errorf("after Close: %v, asked %d times", err, e.asked.Load())
	}
	if err := i.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestTokensThatCannotBeTokensAreNotSent(t *testing.T) {
	e := newEndpoint(t, answer(good))
	i := newIntrospector(t, introspectionConfig(e.URL, newClock()))
	for _, token := range []string{"", "a b", "a\nb", "a\x00", "ä", strings.Repeat("a", 16<<10+1)} {
		if _, err := i.Verify(t.Context(), token); authctx.ReasonOf(err) != authctx.InvalidToken {
			t.Errorf("%.10q: %v", token, err)
		}
	}
	if n := e.asked.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestF2_IntrospectorsShareNoAnswers(t *testing.T) {
	e := newEndpoint(t, answer(good))
	one := introspectionConfig(e.URL, newClock())
	two := introspectionConfig(e.URL, newClock())
	two.Audiences = []string{"another service"}
	if _, err := newIntrospector(t, one).Verify(t.Context(), "opaque"); err != nil {
		t.Fatal(err)
	}
	if _, err := newIntrospector(t, two).Verify(t.Context(), "opaque"); !errors.Is(err, authctx.WrongAudience) {
		t.Errorf("got %v", err)
	}
}

func TestRevocationsAreAskedAboutCachedAnswersToo(t *testing.T) {
	e, c := newEndpoint(t, answer(good)), newClock()
	cfg, list := introspectionConfig(e.URL, c), &jwtauth.RevocationList{Now: c.now}
	cfg.Revocations = list
	i := newIntrospector(t, cfg)
	found, err := i.VerifyToken(t.Context(), "opaque")
	if err != nil {
		t.Fatal(err)
	}
	list.RevokeSubject("https://as.example.com", "alice", c.now(), c.now().Add(time.Hour))
	if _, err := i.Verify(t.Context(), "opaque"); !errors.Is(err, authctx.TokenRevoked) {
		t.Errorf("got %v", err)
	}
	if err := found.Recheck(t.Context()); !errors.Is(err, authctx.TokenRevoked) {
		t.Errorf("recheck: %v", err)
	}
}

func TestRecheckAsksAgainWhenTheAnswerIsOld(t *testing.T) {
	e, c := newEndpoint(t, answer(good)), newClock()
	found, err := newIntrospector(t, introspectionConfig(e.URL, c)).VerifyToken(t.Context(), "opaque")
	if err != nil {
		t.Fatal(err)
	}
	e.answers(answer(`{"active":false}`))
	if err := found.Recheck(t.Context()); err != nil {
		t.Errorf("at once: %v", err)
	}
	c.advance(30 * time.Second)
	if err := found.Recheck(t.Context()); authctx.ReasonOf(err) != authctx.InvalidToken {
		t.Errorf("after MaxAge: %v", err)
	}
}

func TestABoundTokenIsRefusedAsPlainBearer(t *testing.T) {
	bound := strings.Replace(good, `"Bearer"`, `"DPoP","cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`, 1)
	i := newIntrospector(t, introspectionConfig(newEndpoint(t, answer(bound)).URL, newClock()))
	if _, err := i.Verify(t.Context(), "opaque"); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("got %v", err)
	}
	if got, err := i.VerifyToken(t.Context(), "opaque"); err != nil || got.Confirmation.KeyThumbprint == "" {
		t.Errorf("%+v, %v", got.Confirmation, err)
	}
}

func TestAudienceByClientOrExplicitlyAny(t *testing.T) {
	none := newEndpoint(t, answer(strings.Replace(good, `"aud":["orders","billing"],`, "", 1)))
	cfg := introspectionConfig(none.URL, newClock())
	cfg.Audiences, cfg.ClientIDs = nil, []string{"web"}
	if _, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); err != nil {
		t.Errorf("by client: %v", err)
	}
	cfg.ClientIDs = []string{"mobile"}
	if _, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); !errors.Is(err, authctx.WrongAudience) {
		t.Errorf("by another client: %v", err)
	}
	cfg.ClientIDs, cfg.InsecureAnyAudience = nil, true
	if _, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); err != nil {
		t.Errorf("any: %v", err)
	}
}

func TestRule1_EveryMissingOrContradictoryIntrospectionSettingIsReported(t *testing.T) {
	for _, c := range []struct {
		cfg  jwtauth.IntrospectionConfig
		want []string
	}{
		{jwtauth.IntrospectionConfig{}, []string{"Endpoint is required", "ClientID is required", "ClientSecret is required", "Issuer is required",
			"Audiences is required; ClientIDs replaces it for endpoints that leave aud out"}},
		{jwtauth.IntrospectionConfig{Endpoint: "http://as.example.com/introspect", ClientID: "c", ClientSecret: "s", Issuer: "i",
			Audiences: []string{""}, InsecureAnyAudience: true, Leeway: time.Hour, Timeout: -1, Cache: jwtauth.CacheConfig{MaxAge: -1}},
			[]string{`Endpoint: "http://as.example.com/introspect" is not https`, "InsecureAnyAudience contradicts Audiences and ClientIDs",
				"Audiences or ClientIDs has an empty element", "Leeway must be", "Timeout, MaxPending or MaxTokenBytes is out of range", "Cache"}},
	} {
		i, err := jwtauth.NewIntrospector(c.cfg)
		if err == nil || i != nil {
			t.Fatalf("no error for %v", c.cfg)
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(c.want) {
			t.Errorf("got\n%v", err)
		}
		for n, want := range c.want {
			if n < len(lines) && !strings.HasPrefix(lines[n], "jwtauth: IntrospectionConfig: "+want) && !strings.Contains(lines[n], want) {
				t.Errorf("line %d is %s, want %s", n, lines[n], want)
			}
		}
	}
	cfg := introspectionConfig("http://as.example.com/introspect", newClock())
	cfg.InsecureAllowHTTP = true
	newIntrospector(t, cfg)
}

func TestRule11_NeitherConfigNorIntrospectorPrintsASecret(t *testing.T) {
	cfg := introspectionConfig("https://as.example.com/introspect", newClock())
	cfg.ClientSecret = "hunter2"
	i := newIntrospector(t, cfg)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "introspector", i, "config", cfg)
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %s", cfg, cfg, cfg, cfg), fmt.Sprintf("%v %+v %#v %s", i, i, i, i), log.String()} {
		if strings.Contains(s, "hunter2") || strings.Contains(s, "aHVudGVyMg") {
			t.Errorf("%s", s)
		}
	}
}
