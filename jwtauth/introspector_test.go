package jwtauth_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

func newEndpoint(t testing.TB, answer http.HandlerFunc) *endpoint {
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

func introspectionConfig(url string, c *clock) jwtauth.IntrospectorConfig {
	return jwtauth.IntrospectorConfig{
		Endpoint: url, ClientID: "orders api", ClientSecret: "s%c+re:t/ü",
		Issuer: "https://as.example.com", Audiences: []string{"orders"}, Now: c.now,
	}
}

func newIntrospector(t testing.TB, cfg jwtauth.IntrospectorConfig) *jwtauth.Introspector {
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
		Actors: []authctx.Actor{{Issuer: "https://as.example.com", Subject: "bot"}}, Claims: good,
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
	if _, sent := got.Header["Idempotency-Key"]; sent {
		t.Error("what is for net/http alone was sent")
	}
	if want := "token=a%2Bb%2Fc%3D%26d&token_type_hint=access_token"; form != want {
		t.Errorf("body %s, want %s", form, want)
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
	if _, err := i.Verify(t.Context(), "opaque"); !errors.Is(err, authctx.Unavailable) || !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "the endpoint gave no whole answer within 50ms: ") {
		t.Errorf("slow: %v", err)
	}
	cfg.Endpoint = "http://127.0.0.1:1"
	if _, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque"); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("down: %v", err)
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

func TestAFloodOfTokensIsBoundedAndLeavesRoomForThoseThatAreKnown(t *testing.T) {
	for limit, strangers := range map[int]int{2: 1, 3: 2, 4: 3, 5: 3, 8: 6} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) { floodIsBounded(t, limit, strangers) })
	}
}

func TestABoundOfHoweverManyTokensKeepsNobodyOut(t *testing.T) {
	for _, limit := range []int{math.MaxInt/3 + 1, math.MaxInt/2 + 1, math.MaxInt} {
		synctest.Test(t, func(t *testing.T) { strangersAskTogether(t, limit, 5) })
	}
}

// strangersAskTogether has no question answered before all of them are asked.
func strangersAskTogether(t *testing.T, limit, strangers int) {
	var asked atomic.Int32
	together := make(chan struct{})
	cfg := introspectionConfig("https://as.example.com/introspect", newClock())
	cfg.MaxPending = limit
	cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if asked.Add(1) == int32(strangers) {
			close(together)
		}
		select {
		case <-together:
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(good)), Request: r}, nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	})
	i := newIntrospector(t, cfg)
	var asking sync.WaitGroup
	for n := range strangers {
		asking.Go(func() {
			if _, err := i.Verify(t.Context(), fmt.Sprint("stranger-", n)); err != nil {
				t.Errorf("with a bound of %d: %v", limit, err)
			}
		})
	}
	asking.Wait()
}

// floodIsBounded has more strangers than may ask.
func floodIsBounded(t *testing.T, limit, strangers int) {
	c := newClock()
	held, release := make(chan struct{}, strangers), make(chan struct{})
	e := newEndpoint(t, answer(good))
	cfg := introspectionConfig(e.URL, c)
	cfg.MaxPending = limit
	i := newIntrospector(t, cfg)
	if _, err := i.Verify(t.Context(), "known"); err != nil {
		t.Fatal(err)
	}
	e.answers(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.FormValue("token"), "flood") {
			held <- struct{}{}
			<-release
		}
		answer(good)(w, r)
	})
	results := make(chan error, 20)
	for n := range 20 {
		go func() {
			_, err := i.Verify(t.Context(), fmt.Sprint("flood-", n))
			results <- err
		}()
	}
	for range 20 - strangers { // these need no answer
		if err := <-results; !errors.Is(err, authctx.Unavailable) {
			t.Errorf("got %v", err)
		}
	}
	for range strangers {
		<-held
	}
	for range 3 {
		c.advance(30 * time.Second)
		if _, err := i.Verify(t.Context(), "known"); err != nil {
			t.Errorf("the renewal of a token that was active: %v", err)
		}
	}
	if _, err := i.Verify(t.Context(), "new"); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("a token that nobody has seen: %v", err)
	}
	e.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	c.advance(30 * time.Second)
	if _, err := i.Verify(t.Context(), "known"); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("an endpoint that fails: %v", err)
	}
	e.answers(answer(`{"active":false}`))
	if _, err := i.Verify(t.Context(), "known"); !errors.Is(err, authctx.InvalidToken) {
		t.Errorf("after an endpoint that failed: %v", err)
	}
	c.advance(30 * time.Second)
	if _, err := i.Verify(t.Context(), "known"); !errors.Is(err, authctx.Unavailable) {
		t.Errorf("a token that is active no more: %v", err)
	}
	close(release)
	for range strangers {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestAFloodOfRefusedTokensPushesOutNoGoodOne(t *testing.T) {
	e, c := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.FormValue("token"), "good") {
			answer(good)(w, r)
		} else {
			answer(`{"active":false}`)(w, r)
		}
	}), newClock()
	cfg := introspectionConfig(e.URL, c)
	cfg.Cache.MaxEntries = 40
	i := newIntrospector(t, cfg)
	const tokens, flood = 10, 200
	for round := range 3 {
		for n := range tokens {
			if _, err := i.Verify(t.Context(), fmt.Sprint("good-", n)); err != nil {
				t.Fatal(err)
			}
		}
		for n := range flood {
			if _, err := i.Verify(t.Context(), fmt.Sprint("bad-", round, "-", n)); !errors.Is(err, authctx.InvalidToken) {
				t.Fatal(err)
			}
		}
	}
	if n := e.asked.Load(); n != tokens+3*flood {
		t.Errorf("asked %d times", n)
	}
}

// Whoever is woken by an answer may ask the next question at once.
func TestAnAnswerGivesItsPlaceBackBeforeAnybodyKnowsIt(t *testing.T) {
	const callers = 3 // all new ones, who have three quarters
	cfg := introspectionConfig("https://as.example.com/introspect", newClock())
	cfg.MaxPending = 4
	cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(good)), Request: r}, nil
	})
	i := newIntrospector(t, cfg)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for n := range 2000 {
				if _, err := i.Verify(t.Context(), fmt.Sprint("token-", caller, "-", n)); err != nil {
					t.Errorf("question %d: %v", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// What an operator reads of a failure has no query, and all else that the Transport
// says.
func TestRule11_AFailureOfATransportKeepsWhatItSays(t *testing.T) {
	gaveUp := errors.New("gave up")
	inner := &url.Error{Op: "Get", URL: "https://me:pass@vault.internal/v1/sign?token=s3cret", Err: errors.New("connection refused")}
	for name, c := range map[string]struct {
		err  error
		says string
		is   error
	}{
		"nothing else":  {gaveUp, "introspection: gave up", gaveUp},
		"wrapped":       {fmt.Errorf("assertion from vault: %w", inner), `assertion from vault: Get "https://vault.internal/v1/sign": connection refused`, inner},
		"joined":        {errors.Join(gaveUp, inner), "vault.internal", gaveUp},
		"twice":         {&url.Error{Op: "Post", URL: "https://proxy.internal/?s3cret", Err: inner}, `Post "https://proxy.internal/": Get "https://vault.internal/v1/sign": connection refused`, inner},
		"out of time":   {fmt.Errorf("%w (last: %w)", context.DeadlineExceeded, inner), "vault.internal", context.DeadlineExceeded},
		"mirrors":       {errors.Join(inner, &url.Error{Op: "Get", URL: "https://mirror.internal/?s3cret", Err: gaveUp}), `Get "https://mirror.internal/": gave up`, inner},
		"alike":         {&url.Error{Op: "Get", URL: "https://gw.internal/?a=1", Err: &url.Error{Op: "Get", URL: "https://gw.internal/?a=1&k=s3cret", Err: gaveUp}}, `Get "https://gw.internal/": gave up`, gaveUp},
		"no address":    {fmt.Errorf("what? %w", &url.Error{Op: "parse", URL: "?", Err: gaveUp}), `what? parse "": gave up`, gaveUp},
		"with no cause": {&url.Error{Op: "Get", URL: "https://vault.internal/?s3cret", Err: errors.New("")}, "vault.internal", nil},
	} {
		cfg := introspectionConfig("https://as.example.com/introspect", newClock())
		cfg.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, c.err })
		_, err := newIntrospector(t, cfg).Verify(t.Context(), "opaque")
		if authctx.ReasonOf(err) != authctx.Unavailable || !strings.Contains(err.Error(), c.says) || c.is != nil && !errors.Is(err, c.is) ||
			strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "pass") || strings.Contains(err.Error(), "as.example.com/introspect") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What panics on a goroutine of ours would end the program, at a time that a
// stranger chooses.
func TestRule11_APanicInTheTransportIsUnavailableAndShowsNoToken(t *testing.T) {
	for name, c := range map[string]struct {
		panics func(*http.Request)
		cause  string
	}{
		"of the runtime": {func(*http.Request) { _ = *(*int)(nil) }, "introspection: panic: runtime error: invalid memory address"},
		"of its own": {func(r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			panic(string(body))
		}, "introspection: panic with a string"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := introspectionConfig("https://as.example.com/introspect", newClock())
			cfg.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				c.panics(r)
				return nil, nil
			})
			i := newIntrospector(t, cfg)
			for range 2 {
				_, err := i.Verify(t.Context(), "opaque-secret")
				if authctx.ReasonOf(err) != authctx.Unavailable || !strings.Contains(err.Error(), c.cause) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v, want Unavailable with %q", err, c.cause)
				}
			}
		})
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

func TestCVE_2026_33496_IntrospectorsShareNoAnswers(t *testing.T) {
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
	cfg, list := introspectionConfig(e.URL, c), &jwtauth.MemoryRevocations{Now: c.now}
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

// The natural call, though what ends then is the answer and not the token.
func TestRule5_ARevocationOutlastsTheAnswerAboutATokenWithoutAnEnd(t *testing.T) {
	e, c := newEndpoint(t, answer(`{"active":true,"sub":"alice","aud":"orders","jti":"t1"}`)), newClock()
	cfg, list := introspectionConfig(e.URL, c), &jwtauth.MemoryRevocations{Now: c.now}
	cfg.Revocations = list
	i := newIntrospector(t, cfg)
	p := must(i.Verify(t.Context(), "opaque"))
	must(0, list.RevokeToken(p.Issuer(), p.TokenID(), p.Expires()))
	for day := range 8 {
		if _, err := i.Verify(t.Context(), "opaque"); !errors.Is(err, authctx.TokenRevoked) {
			t.Errorf("day %d: %v", day, err)
		}
		c.advance(24 * time.Hour)
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

// An answer costs a question and not a connection.
func TestQuestionsShareConnections(t *testing.T) {
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(answer(good))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	i := newIntrospector(t, introspectionConfig(server.URL, newClock()))
	for n := range 20 {
		if _, err := i.VerifyToken(t.Context(), fmt.Sprint("opaque-", n)); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("20 questions in turn made %d connections", n)
	}
}

// net/http repeats a POST on another connection only if it is told that it may.
func TestAnIdleConnectionThatTheEndpointClosesIsNoFailure(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerOnce(conn)
		}
	}()
	i := newIntrospector(t, introspectionConfig("http://"+listener.Addr().String(), newClock()))
	for n := range 10 {
		if _, err := i.Verify(t.Context(), fmt.Sprint("opaque-", n)); err != nil {
			t.Errorf("question %d: %v", n, err)
		}
	}
}

// answerOnce answers one question and hangs up when the next one arrives, as a
// server does whose idle timeout ends just then.
func answerOnce(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	r, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(good), good)
	_, _ = reader.Peek(1)
}
