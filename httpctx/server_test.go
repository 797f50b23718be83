package httpctx_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

func TestNewServerNamesEverySettingThatIsWrong(t *testing.T) {
	_, err := httpctx.NewServer(httpctx.ServerConfig{
		AllowAnonymous: true,
		Policy:         newPolicy(t, authctx.PolicyConfig{Public: []string{"/"}}),
		Realm:          "two\nlines",

		RecheckInterval: -1,
	})
	for _, want := range []string{"Authenticator is required", "AllowAnonymous contradicts Policy", "Realm", "RecheckInterval"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

// What a program has that does not look at the error of NewPolicy.
func TestRule10_AServerWithoutAPolicyDoesNotStart(t *testing.T) {
	for what, policy := range map[string]*authctx.Policy{"none": nil, "no rule": authctx.DefaultPolicy(nil)} {
		if _, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: bearer(), Policy: policy}); err == nil || !strings.Contains(err.Error(), "Policy is") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRule1_TheZeroConfigIsRefused(t *testing.T) {
	if _, err := httpctx.NewServer(httpctx.ServerConfig{}); err == nil {
		t.Error("NewServer accepted a zero config")
	}
	if _, err := httpctx.NewTransport(httpctx.TransportConfig{}); err == nil {
		t.Error("NewTransport accepted a zero config")
	}
	if _, err := httpctx.NewProxy(httpctx.ProxyConfig{}); err == nil {
		t.Error("NewProxy accepted a zero config")
	}
}

// watcher and wire fail when they are nil, as most types do.
type (
	watcher struct{ seen int }
	wire    struct{ sent int }
)

func (w *watcher) Observe(context.Context, authctx.Event) { w.seen++ }

func (w *wire) RoundTrip(*http.Request) (*http.Response, error) {
	w.sent++
	return nil, http.ErrServerClosed
}

func TestRule1_ADurationWithoutAUnitIsNoSetting(t *testing.T) {
	for _, d := range []time.Duration{-1, 30, time.Millisecond - 1} {
		_, err := httpctx.NewServer(httpctx.ServerConfig{RecheckInterval: d})
		if err == nil || !strings.Contains(err.Error(), "RecheckInterval must be at least 1ms and is "+d.String()) {
			t.Errorf("%v: %v", d, err)
		}
	}
}

func TestNoCredentialIsBothKeptAndStripped(t *testing.T) {
	plain, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()})
	if err != nil {
		t.Fatal(err)
	}
	several := authctx.NewAuthenticator(authctx.FieldSet{Prefixes: []string{"session-", "x-user-extra-"}}, nil)
	for name, c := range map[string]struct {
		strip authctx.FieldSet
		want  string // "" for nothing wrong
	}{
		"by name":                {authctx.FieldSet{Names: []string{"Authorization"}}, "authorization"},
		"by prefix":              {authctx.FieldSet{Prefixes: []string{"auth"}}, "authorization"},
		"one of several":         {authctx.FieldSet{Names: []string{"session-id", "x-user-extra-a", "other-id"}}, "session-id"},
		"several at once":        {authctx.FieldSet{Prefixes: []string{"sess"}}, "session-"},
		"a cookie":               {authctx.FieldSet{Cookies: []string{"SESSION"}}, "the cookie session"},
		"all cookies":            {authctx.FieldSet{Names: []string{"cookie"}}, "the cookie session"},
		"others":                 {authctx.FieldSet{Names: []string{"x-remote-user"}, Cookies: []string{"b"}}, ""},
		"identity, never kept":   {authctx.IdentityFields(), ""},
		"a field of the program": {authctx.FieldSet{Prefixes: []string{"x-"}}, ""},
	} {
		for _, keep := range []bool{true, false} {
			_, err := httpctx.NewServer(httpctx.ServerConfig{
				Authenticator: authctx.OneOf(bearer(), plain, several), AllowAnonymous: true, KeepCredentials: keep, Strip: c.strip,
			})
			wrong := keep && c.want != ""
			if wrong != (err != nil) || wrong && !strings.HasSuffix(err.Error(), "KeepCredentials contradicts Strip, which removes what Authenticator reads: "+c.want) {
				t.Errorf("%s, kept %v: %v", name, keep, err)
			}
		}
	}
}

func TestRule1_NilPointersAreNoSettings(t *testing.T) {
	_, observer := httpctx.NewServer(httpctx.ServerConfig{Observer: (*watcher)(nil)})
	_, base := httpctx.NewTransport(httpctx.TransportConfig{Base: (*wire)(nil)})
	for want, err := range map[string]error{"Observer holds a nil pointer": observer, "Base holds a nil pointer": base} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say that %s", err, want)
		}
	}
}

func TestRule1_WhatARequestNeedsIsNotStripped(t *testing.T) {
	_, strip := httpctx.NewServer(httpctx.ServerConfig{Strip: authctx.FieldSet{Prefixes: strings.Split("", ","), Names: []string{"content-type"}}})
	_, read := httpctx.NewServer(httpctx.ServerConfig{Authenticator: authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"Host"}}, nil)})
	for want, err := range map[string]error{`the prefix ""`: strip, `the name "content-type"`: strip, `Authenticator: authctx: field set: the name "Host"`: read} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say that %s", err, want)
		}
	}
}

func TestRule1_NoPropagatorWritesWhatARequestNeeds(t *testing.T) {
	server := newServer(t, httpctx.ServerConfig{})
	for want, fields := range map[string]authctx.FieldSet{
		`the prefix ""`:           {Prefixes: []string{""}},
		`the name "content-type"`: {Names: []string{"x-caller", "content-type"}},
		`the name "x caller"`:     {Names: []string{"x caller"}},
	} {
		prop := owning{newFields(t), fields}
		_, transport := httpctx.NewTransport(httpctx.TransportConfig{Propagator: prop, Destinations: []string{"a.internal"}})
		_, proxy := httpctx.NewProxy(httpctx.ProxyConfig{Server: server, Propagator: prop})
		for what, err := range map[string]error{"transport": transport, "proxy": proxy} {
			if err == nil || !strings.Contains(err.Error(), "httpctx: "+what+": Propagator: authctx: field set: "+want) {
				t.Errorf("%v does not say that %s", err, want)
			}
		}
	}
}

// owning is a propagator that says it writes fields.
type owning struct {
	authctx.Propagator
	fields authctx.FieldSet
}

func (o owning) Fields() authctx.FieldSet { return o.fields }

// It asks no policy, which a proxy behind a mux relies on, and strips nothing.
func TestRule1_AServerThatNobodyMadeStandsInFrontOfNoProxy(t *testing.T) {
	_, err := httpctx.NewProxy(httpctx.ProxyConfig{Server: new(httpctx.Server), Propagator: newFields(t)})
	if err == nil || !strings.Contains(err.Error(), "Server is required") {
		t.Error(err)
	}
}

func TestTheHandlerSeesTheCallerAndNotTheCredential(t *testing.T) {
	s := serve(t, newServer(t, httpctx.ServerConfig{}).Handler(spy))
	for name, header := range map[string]http.Header{
		"bearer":      token("alice"),
		"lower case":  {"authorization": {"bearer alice"}},
		"cookie":      {"Cookie": {"a=1; session=alice; b=2"}},
		"subprotocol": {"Sec-WebSocket-Protocol": {"bearer.alice, chat"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := get(t, s.URL, header)
			if got.Subject != "alice" {
				t.Errorf("subject %q", got.Subject)
			}
			for name, values := range got.Header {
				if strings.Contains(strings.Join(values, " "), "alice") {
					t.Errorf("the handler sees the token in %s: %q", name, values)
				}
			}
		})
	}
}

func TestStrippingLeavesOtherCookiesAndSubprotocolsAlone(t *testing.T) {
	s := serve(t, newServer(t, httpctx.ServerConfig{}).Handler(spy))
	got := get(t, s.URL, http.Header{"Cookie": {"a=1; session=alice; b=2"}, "Sec-WebSocket-Protocol": {"chat, v2"}})
	if c := got.Header["Cookie"]; !slices.Equal(c, []string{"a=1; b=2"}) {
		t.Errorf("Cookie = %q", c)
	}
	if p := got.Header["Sec-Websocket-Protocol"]; !slices.Equal(p, []string{"chat, v2"}) {
		t.Errorf("Sec-WebSocket-Protocol = %q", p)
	}
	got = get(t, s.URL, http.Header{"Sec-WebSocket-Protocol": {"bearer.alice, chat"}})
	if p := got.Header["Sec-Websocket-Protocol"]; !slices.Equal(p, []string{"chat"}) {
		t.Errorf("what is negotiated = %q", p)
	}
	got = get(t, s.URL, http.Header{"Cookie": {"session=alice"}})
	if c, ok := got.Header["Cookie"]; ok {
		t.Errorf("an emptied Cookie field is left: %q", c)
	}
}

func TestKeepCredentialsLeavesOnlyWhatWasVerified(t *testing.T) {
	fields, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone()})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, newServer(t, httpctx.ServerConfig{KeepCredentials: true, Authenticator: authctx.OneOf(bearer(), fields)}).Handler(spy))
	got := get(t, s.URL, token("alice"))
	if a := got.Header["Authorization"]; !slices.Equal(a, []string{"Bearer alice"}) {
		t.Errorf("Authorization = %q", a)
	}
	got = get(t, s.URL, http.Header{"Cookie": {"a=b; session=alice"}})
	if c := got.Header["Cookie"]; !slices.Equal(c, []string{"a=b; session=alice"}) {
		t.Errorf("Cookie = %q", c)
	}
	got = get(t, s.URL, http.Header{"X-User-Id": {"eve"}, "X-User-Issuer": {issuer}})
	if got.Subject != "eve" || len(identityIn(got.Header)) > 0 {
		t.Errorf("identity fields stay although they were verified: %+v", got)
	}
	public := newPolicy(t, authctx.PolicyConfig{Default: authctx.Authenticated(), Public: []string{"/open"}})
	mux := http.NewServeMux()
	mux.Handle("/open", spy)
	s = serve(t, newServer(t, httpctx.ServerConfig{KeepCredentials: true, Policy: public}).Handler(mux))
	if got := get(t, s.URL+"/open", token("alice")); got.Header["Authorization"] != nil || got.Subject != "" {
		t.Errorf("a public route sees %+v", got)
	}
}

func TestRequireLetsThroughWhomTheRuleAllows(t *testing.T) {
	var j journal
	s := newServer(t, httpctx.ServerConfig{Observer: &j})
	mux := http.NewServeMux()
	mux.Handle("GET /admin", s.Require(authctx.Role("admin"))(spy))
	mux.Handle("GET /nil", s.Require(nil)(spy))
	mux.Handle("GET /hollow", s.Require((*rule)(nil))(spy))
	srv := serve(t, s.Handler(mux))
	get(t, srv.URL+"/admin", token("alice"))
	if n := len(j.All()); n != 1 {
		t.Errorf("%d events for one allowed request", n)
	}
	for path, want := range map[string]int{"/admin": 403, "/nil": 403, "/hollow": 403} {
		if res, _ := do(t, "GET", srv.URL+path, token("bob")); res.StatusCode != want {
			t.Errorf("%s for bob: %d", path, res.StatusCode)
		}
		if e := j.last(t); e.Reason != authctx.PermissionDenied || e.Entry != "GET "+path || e.Principal.Subject() != "bob" {
			t.Errorf("%s: event %+v", path, e)
		}
	}
	outside := serve(t, s.Require(authctx.Authenticated())(spy))
	if res, _ := do(t, "GET", outside.URL, token("alice")); res.StatusCode != 401 {
		t.Errorf("outside of Handler: %d", res.StatusCode)
	}
	if e := j.last(t); e.Reason != authctx.NoCredentials || !strings.Contains(e.Err.Error(), "no Server of httpctx or grpcctx around this") {
		t.Errorf("outside of Handler: %v", e.Err)
	}
}

// rule is one that looks at itself.
type rule struct{ err error }

func (r *rule) Check(context.Context, authctx.Principal) error { return r.err }

func TestRule1_ANilHandlerIsNone(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{})
	for name, next := range map[string]http.Handler{"nil": nil, "a nil function": http.HandlerFunc(nil), "a nil pointer": (*http.ServeMux)(nil)} {
		for what, wrap := range map[string]func(http.Handler) http.Handler{"Handler": s.Handler, "Require": s.Require(authctx.Authenticated())} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s takes %s", what, name)
					}
				}()
				wrap(next)
			}()
		}
	}
}

// A preflight, which nobody authenticates, would reach the handler with forged
// identity.
func TestRule1_AHandlerOfAServerThatNobodyMadePanicsAtTheStart(t *testing.T) {
	for _, s := range []*httpctx.Server{nil, new(httpctx.Server)} {
		func() {
			defer func() {
				if problem, _ := recover().(string); !strings.Contains(problem, "a Server that NewServer did not make") {
					t.Errorf("%v: %q", s, problem)
				}
			}()
			s.Handler(http.NotFoundHandler())
		}()
	}
}

func TestCheckDecidesAndWritesNothing(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{})
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = token("alice")
	res, err := s.Check(r)
	if err != nil || res.Principal.Subject() != "alice" || r.Header.Get("Authorization") == "" {
		t.Errorf("%v, %v, %v", res.Principal, err, r.Header)
	}
	r.Header = token("nonce")
	if res, err := s.Check(r); !errors.Is(err, authctx.NonceRequired) || len(res.Response) != 1 {
		t.Errorf("%v, %v", res, err)
	}
}

// TestNobodyIsLetInPastTheEffectiveEnd has authenticators that do not look at it,
// as one of session cookies may not.
func TestNobodyIsLetInPastTheEffectiveEnd(t *testing.T) {
	reads := authctx.FieldSet{Names: []string{"authorization"}}
	unaware := authctx.NewAuthenticator(reads, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{Principal: caller(t, "carol"), Response: []authctx.Field{{Name: "x-session", Value: "7"}}}, nil
	})
	for _, a := range []authctx.Authenticator{unaware, authctx.OneOf(bearer(), unaware)} {
		for _, anonymous := range []bool{false, true} {
			for _, tc := range []struct {
				now    time.Duration
				status int
			}{{time.Hour - 1, 200}, {time.Hour, 401}, {24 * time.Hour, 401}} {
				var j journal
				now := func() time.Time { return epoch.Add(tc.now) }
				for _, observer := range []authctx.Observer{nil, &j} {
					s := newServer(t, httpctx.ServerConfig{Authenticator: a, AllowAnonymous: anonymous, Now: now, Observer: observer})
					w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
					s.Handler(spy).ServeHTTP(w, r)
					if w.Code != tc.status || w.Header().Get("X-Session") != "7" {
						t.Errorf("after %v: %d %v", tc.now, w.Code, w.Header())
					}
					res, err := s.Check(r)
					if (err == nil) != (tc.status == 200) || res.Principal.IsZero() != (err != nil) || err != nil && !errors.Is(err, authctx.TokenExpired) {
						t.Errorf("after %v: %v, %v", tc.now, res.Principal, err)
					}
				}
				if e := j.last(t); (e.Outcome == authctx.Allowed) != (tc.status == 200) || e.Duration != 0 {
					t.Errorf("after %v: event %+v", tc.now, e)
				}
			}
		}
	}
}

// A lookup may take until the end has come.
func TestNobodyIsLetInWhoseEndCameDuringTheLookup(t *testing.T) {
	clock := epoch.Add(time.Hour - 1)
	slow := authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		clock = clock.Add(time.Second)
		return authctx.Result{Principal: caller(t, "carol")}, nil
	})
	s := newServer(t, httpctx.ServerConfig{Authenticator: slow, Now: func() time.Time { return clock }})
	if res, err := s.Check(httptest.NewRequest("GET", "/", nil)); !errors.Is(err, authctx.TokenExpired) {
		t.Errorf("%v, %v", res.Principal, err)
	}
}

func TestAnAuthenticatorSeesTheConnectionAndNotWhatHeadersSayOfIt(t *testing.T) {
	leaf, other := &x509.Certificate{}, &x509.Certificate{}
	var got authctx.Request
	a := authctx.NewAuthenticator(authctx.FieldSet{}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		got = *r
		return authctx.Result{}, authctx.NoCredentials
	})
	h := newServer(t, httpctx.ServerConfig{Authenticator: a}).Handler(spy)
	for name, tc := range map[string]struct {
		remote string
		state  *tls.ConnectionState
		peer   string
		chain  []*x509.Certificate
	}{
		"IPv4":                 {"192.0.2.1:99", nil, "192.0.2.1:99", nil},
		"IPv6":                 {"[2001:db8::1]:99", nil, "[2001:db8::1]:99", nil},
		"a Unix socket":        {"@", nil, "invalid AddrPort", nil},
		"nothing":              {"", nil, "invalid AddrPort", nil},
		"shown, not verified":  {"192.0.2.1:99", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, "192.0.2.1:99", nil},
		"verified, not others": {"192.0.2.1:99", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{other}, VerifiedChains: [][]*x509.Certificate{{leaf}}}, "192.0.2.1:99", []*x509.Certificate{leaf}},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("PUT", "http://a.example/a/b?c=d", nil)
			r.RemoteAddr, r.TLS = tc.remote, tc.state
			r.Header.Set("X-Forwarded-For", "10.0.0.1")
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got.Transport != "http" || got.Method != "PUT" || got.Target != "/a/b" {
				t.Errorf("%s %s %s", got.Transport, got.Method, got.Target)
			}
			if got.Peer.String() != tc.peer || !slices.Equal(got.PeerCertificates, tc.chain) {
				t.Errorf("peer %v with %v", got.Peer, got.PeerCertificates)
			}
		})
	}
}

// What is told of a request twice is told of one entry.
func TestLaterEventsNameTheEntryThatLetTheRequestIn(t *testing.T) {
	var j journal
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/a/": authctx.Authenticated()}, Default: authctx.Authenticated()})
	s := newServer(t, httpctx.ServerConfig{Policy: policy, Observer: &j})
	h := s.Handler(s.Require(authctx.Role("admin"))(spy))
	for path, want := range map[string]string{"/a/b": "/a/", "/else": "default"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header = token("bob")
		h.ServeHTTP(httptest.NewRecorder(), r)
		events := j.All()
		for _, e := range events[len(events)-2:] {
			if e.Entry != want {
				t.Errorf("%s: %v of entry %q, want %q", path, e.Outcome, e.Entry, want)
			}
		}
	}
}

// The client is told no cause, so somebody has to be. What Check refuses is told by
// Check alone.
func TestTheObserverIsToldWhatAHandlerRefuses(t *testing.T) {
	missing := &authctx.Error{Reason: authctx.PermissionDenied, Cause: errors.New("role gold required")}
	for name, cfg := range map[string]httpctx.ServerConfig{
		"with a policy":    {Policy: newPolicy(t, authctx.PolicyConfig{Default: authctx.Authenticated()})},
		"without a policy": {},
		"of anybody":       {AllowAnonymous: true},
	} {
		for _, err := range []error{missing, errors.New("database is down"), nil} {
			var j journal
			cfg.Observer = &j
			s := newServer(t, cfg)
			h := s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.WriteError(w, r, err) }))
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/gold", nil)
			if !cfg.AllowAnonymous {
				r.Header = token("bob")
			}
			h.ServeHTTP(w, r)
			first, last := j.All()[0], j.last(t)
			if len(j.All()) != 2 || first.Outcome != authctx.Allowed {
				t.Fatalf("%s, %v: %+v", name, err, j.All())
			}
			want := cmp.Or(err, error(authctx.Unavailable))
			if last.Err != want || last.Outcome != authctx.OutcomeOf(want) || last.Reason != authctx.ReasonOf(want) ||
				last.Entry != first.Entry || last.Target != "/gold" || !last.Principal.Equal(first.Principal) || last.Duration != 0 {
				t.Errorf("%s, %v: %+v", name, err, last)
			}
		}
	}

	var j journal
	s := newServer(t, httpctx.ServerConfig{Observer: &j})
	r := httptest.NewRequest("GET", "/", nil)
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := s.Check(r)
		s.WriteError(w, r, err)
	})
	if refuse(httptest.NewRecorder(), r); len(j.All()) != 1 {
		t.Errorf("Check and WriteError: %+v", j.All())
	}
	outer := newServer(t, httpctx.ServerConfig{AllowAnonymous: true, Observer: new(journal)})
	if outer.Handler(refuse).ServeHTTP(httptest.NewRecorder(), r); len(j.All()) != 2 {
		t.Errorf("the same inside of another server: %+v", j.All())
	}
}

// The end of a caller is told of once, though the handler answers with it.
func TestTheObserverIsToldOfAnEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		p, err := authctx.New(authctx.Attributes{Issuer: issuer, Subject: "carol", Expires: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		carol := authctx.NewAuthenticator(authctx.FieldSet{}, func(context.Context, *authctx.Request) (authctx.Result, error) {
			return authctx.Result{Principal: p}, nil
		})
		s := newServer(t, httpctx.ServerConfig{Observer: &j, Authenticator: carol, Now: time.Now})
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := s.StreamContext(r)
			<-ctx.Done()
			s.WriteError(w, r, context.Cause(ctx))
		})).ServeHTTP(w, r)
		synctest.Wait()
		if last := j.last(t); len(j.All()) != 2 || last.Outcome != authctx.Ended || w.Code != http.StatusUnauthorized {
			t.Errorf("%d: %+v", w.Code, j.All())
		}
	})
}
