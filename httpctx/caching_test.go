package httpctx_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// sharedCache is a cache that many callers share, in front of next. It keeps what it
// may, for ever, and answers a HEAD from a GET. Like stock Varnish, it takes no
// Cache-Control for leave to keep an answer; like stock nginx, it does not look at
// Authorization. Which fields an answer is for (Vary) is all the same to it.
func sharedCache(next http.Handler) http.Handler {
	var mu sync.Mutex
	kept := map[string]*httptest.ResponseRecorder{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		answer, hit := kept[r.URL.Path]
		if hit {
			w.Header().Set("Hit", "yes")
		} else {
			answer = httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			if mayKeep(answer) {
				kept[r.URL.Path] = answer
			}
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // none for a HEAD, as net/http has it
	})
}

func mayKeep(answer *httptest.ResponseRecorder) bool {
	control := strings.Join(answer.Header()["Cache-Control"], ",")
	return answer.Code == 200 && !strings.Contains(control, "private") && !strings.Contains(control, "no-store")
}

// whoami answers with the name of who is calling, by the caller of the context or
// by what a gateway wrote.
func whoami(control string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := authctx.FromContext(r.Context())
		if control != "" {
			w.Header().Set("Cache-Control", control)
		}
		w.Header().Add("Vary", "Accept-Encoding")
		w.Header().Set("Who", cmp.Or(p.Subject(), r.Header.Get("X-User-Id")))
	})
}

func cookie(name string) http.Header { return http.Header{"Cookie": {"session=" + name}} }

// controls are what handlers say to caches.
var controls = []string{"", "max-age=60", "no-cache", "max-age=60, must-revalidate", `private="set-cookie", max-age=60`, "private"}

func TestRFC9111_3_5_ASharedCacheGivesNobodyTheAnswerOfAnother(t *testing.T) {
	fields, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	for name, system := range map[string]func(control string) http.Handler{
		"before a server": func(control string) http.Handler {
			return sharedCache(newServer(t, httpctx.ServerConfig{}).Handler(whoami(control)))
		},
		"before a server that lets anybody in": func(control string) http.Handler {
			return sharedCache(newServer(t, httpctx.ServerConfig{AllowAnonymous: true}).Handler(whoami(control)))
		},
		"between a gateway and a service": func(control string) http.Handler {
			service := newServer(t, httpctx.ServerConfig{Authenticator: fields}).Handler(whoami(control))
			return gateway(t, serve(t, sharedCache(service)).URL, httpctx.ServerConfig{}).Config.Handler
		},
		"before a gateway of a service that knows nothing of this": func(control string) http.Handler {
			return sharedCache(gateway(t, serve(t, whoami(control)).URL, httpctx.ServerConfig{}).Config.Handler)
		},
	} {
		for _, control := range controls {
			s := serve(t, system(control))
			for who, header := range map[string]func(string) http.Header{"a cookie": cookie, "a token": token} {
				for i, caller := range []string{"alice", "bob", "alice", "bob", ""} {
					method := []string{"GET", "HEAD"}[i/2%2]
					if caller == "" {
						header = func(string) http.Header { return nil }
					}
					res, _ := do(t, method, s.URL, header(caller))
					if got := res.Header.Get("Who"); got != caller || (res.StatusCode == 200) != (caller != "" || strings.Contains(name, "anybody")) {
						t.Errorf("%s, %q, with %s: %s by %q got the answer of %q, status %d", name, control, who, method, caller, got, res.StatusCode)
					}
				}
			}
		}
	}

	// The cache is one that keeps answers: to nobody in particular, and what a handler
	// says is for all.
	naive := gateway(t, serve(t, sharedCache(whoami(""))).URL, httpctx.ServerConfig{})
	shared := serve(t, sharedCache(newServer(t, httpctx.ServerConfig{}).Handler(whoami("public, max-age=60"))))
	for _, url := range []string{naive.URL, shared.URL} {
		for _, caller := range []string{"alice", "bob"} {
			if res, _ := do(t, "GET", url, cookie(caller)); res.Header.Get("Who") != "alice" {
				t.Errorf("%s got the answer of %q", caller, res.Header.Get("Who"))
			}
		}
	}
}

func TestWhatAnAnswerToACallerSaysToCaches(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{
		Rules:  map[string]authctx.Rule{"/": authctx.Authenticated(), "/admin": authctx.Role("admin")},
		Public: []string{"/public"},
	})
	outside := func(header http.Header, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			maps.Copy(w.Header(), header.Clone())
			next.ServeHTTP(w, r)
		})
	}
	inner := newServer(t, httpctx.ServerConfig{Policy: policy})
	silent := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for name, test := range map[string]struct {
		before       http.Header // by what stands outside
		next         http.Handler
		method, path string
		token        string
		control      []string
	}{
		"a caller":                       {nil, silent, "GET", "/", "alice", []string{"private"}},
		"HEAD":                           {nil, silent, "HEAD", "/", "alice", []string{"private"}},
		"POST, which no cache keeps":     {nil, silent, "POST", "/", "alice", nil},
		"a public entry":                 {nil, silent, "GET", "/public", "alice", nil},
		"a refusal":                      {nil, silent, "GET", "/", "forged", []string{"no-store"}},
		"a refusal by a rule":            {nil, silent, "GET", "/admin", "bob", []string{"no-store"}},
		"a refusal by a rule inside":     {nil, inner.Require(authctx.Role("x"))(silent), "GET", "/", "alice", []string{"no-store"}},
		"a handler that says otherwise":  {nil, whoami("public"), "GET", "/", "alice", []string{"public"}},
		"a handler that says how long":   {nil, whoami("max-age=60"), "GET", "/", "alice", []string{"max-age=60, private"}},
		"what stands outside has said":   {http.Header{"Cache-Control": {"no-cache"}}, silent, "GET", "/", "alice", []string{"no-cache, private"}},
		"two servers":                    {nil, inner.Handler(whoami("max-age=60")), "GET", "/", "alice", []string{"max-age=60, private"}},
		"a handler with a time limit":    {nil, http.TimeoutHandler(whoami("max-age=60"), time.Minute, ""), "GET", "/", "alice", []string{"max-age=60, private"}},
		"a file that is not there":       {nil, http.FileServer(http.Dir(t.TempDir())), "GET", "/x", "alice", []string{"private"}},
		"a handler that copies a reader": {nil, copies, "GET", "/", "alice", []string{"max-age=60, private"}},
		"a handler that writes a string": {nil, writes, "GET", "/", "alice", []string{"max-age=60, private"}},
		"a handler that copies nothing":  {nil, copiesNothing, "GET", "/", "alice", []string{"max-age=60, private"}},
		"a handler that adds a line":     {nil, adds, "GET", "/", "alice", []string{"public, max-age=60"}},
		"a handler that flushes":         {nil, flushes, "GET", "/", "alice", []string{"max-age=60, private"}},
		"a handler with a default":       {nil, defaults, "GET", "/", "alice", []string{"no-store"}},
		"a handler that edits in place":  {nil, edits, "GET", "/", "alice", []string{"max-age=60, private"}},
		"one that says it beneath":       {nil, beneath("no-store"), "GET", "/", "alice", []string{"no-store"}},
		"one that says nothing beneath":  {nil, beneath(), "GET", "/", "alice", []string{"private"}},
	} {
		s := serve(t, outside(test.before, newServer(t, httpctx.ServerConfig{Policy: policy, KeepCredentials: true}).Handler(test.next)))
		for range 2 { // what a handler adds is no other answer's
			res, _ := do(t, test.method, s.URL+test.path, token(test.token))
			varies := strings.Contains(res.Header.Get("Vary"), "Authorization")
			if !slices.Equal(res.Header["Cache-Control"], test.control) || varies != strings.HasSuffix(strings.Join(test.control, ""), ", private") {
				t.Errorf("%s: Cache-Control %q, Vary %q", name, res.Header["Cache-Control"], res.Header["Vary"])
			}
		}
	}
}

// Handlers that begin their answer in other ways than by WriteHeader.
var (
	copies = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.Copy(w, io.LimitReader(strings.NewReader("text"), 2))
	})
	writes = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, "text")
	})
	copiesNothing = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(strings.NewReader("text"), 0))
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, "text")
	})
	adds = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Cache-Control", "public, max-age=60") // as a ReverseProxy does
	})
	flushes = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.(http.Flusher).Flush()
	})
	defaults = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if w.Header().Get("Cache-Control") == "" {
			w.Header().Set("Cache-Control", "no-store")
		}
	})
	edits = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(http.StatusOK)
		w.Header()["Cache-Control"][0] = "public"
	})
)

// beneath says what it has to say to the writer that its own wraps, and then uses that.
func beneath(control ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(interface{ Unwrap() http.ResponseWriter }).Unwrap().Header()["Cache-Control"] = control
		w.Header().Set("Content-Type", "text/plain")
	})
}

// Frameworks may keep to the writer that they had before.
func TestAHandlerThatWritesToTheWriterOutsideSaysPrivate(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{})
	res, _ := do(t, "GET", serve(t, http.HandlerFunc(func(outside http.ResponseWriter, r *http.Request) {
		s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			_, _ = io.WriteString(outside, "text")
		})).ServeHTTP(outside, r)
	})).URL, cookie("alice"))
	if got := res.Header["Cache-Control"]; !slices.Equal(got, []string{"private"}) {
		t.Errorf("Cache-Control %q", got)
	}
}

// What stands outside may send the header later than the handler believes.
func TestAHeaderThatIsSentLateSaysPrivate(t *testing.T) {
	late := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "text")
		w.Header().Set("Cache-Control", "max-age=60")
	})
	res, _ := do(t, "GET", serve(t, http.TimeoutHandler(newServer(t, httpctx.ServerConfig{}).Handler(late), time.Minute, "")).URL, cookie("alice"))
	if got := res.Header["Cache-Control"]; !slices.Equal(got, []string{"max-age=60, private"}) {
		t.Errorf("Cache-Control %q", got)
	}
}

// settings is the writer of HTTP/3 as WebTransport looks for it.
type settings struct{ http.ResponseWriter }

func (settings) ReceivedSettings() {}

// A CONNECT is answered by a handler that needs the writer of the server itself, and
// no cache keeps that.
func TestAConnectHasTheWriterOfTheServer(t *testing.T) {
	alice := caller(t, "alice")
	a := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{Principal: alice, Response: []authctx.Field{{Name: "cache-control", Value: "no-store"}}}, nil
	})
	r, w := httptest.NewRequest("CONNECT", "https://a.internal/", nil), settings{httptest.NewRecorder()}
	newServer(t, httpctx.ServerConfig{Authenticator: a}).Handler(http.HandlerFunc(func(got http.ResponseWriter, _ *http.Request) {
		if got != w {
			t.Errorf("the handler has a %T", got)
		}
	})).ServeHTTP(w, r)
}

// pushing notes what is pushed.
type pushing struct {
	http.ResponseWriter
	targets []string
}

func (p *pushing) Push(target string, _ *http.PushOptions) error {
	p.targets = append(p.targets, target)
	return nil
}

func TestAHandlerPushesWhereTheServerDoes(t *testing.T) {
	w, r := &pushing{ResponseWriter: httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil)
	r.Header = token("alice")
	newServer(t, httpctx.ServerConfig{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := w.(http.Pusher).Push("/a", nil); err != nil {
			t.Error(err)
		}
	})).ServeHTTP(w, r)
	if !slices.Equal(w.targets, []string{"/a"}) {
		t.Errorf("pushed %q", w.targets)
	}
}

// Over a server that lacks one, an interface of a writer fails, and does not panic.
func TestAWriterHasNoMoreThanTheOneItWraps(t *testing.T) {
	s := newServer(t, httpctx.ServerConfig{})
	answer, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Header = token("alice")
	s.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := w.(http.Pusher).Push("/a", nil); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Push: %v", err)
		}
		if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Hijack: %v", err)
		}
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Flush: %v", err)
		}
		w.Header().Set("Cache-Control", "max-age=60") // nothing was sent
		_, _ = io.WriteString(w, "text")
	})).ServeHTTP(plain{answer}, r)
	if got := answer.Result().Header["Cache-Control"]; !slices.Equal(got, []string{"max-age=60, private"}) {
		t.Errorf("Cache-Control %q", got)
	}
}

// A gateway takes the Authorization away, and what its upstream says is then meant
// for a request without it.
func TestRFC9111_3_5_AnUpstreamsAnswerToACallerIsOneToAuthorization(t *testing.T) {
	for said, want := range map[string]string{
		"":                                     "private",
		"max-age=60":                           "max-age=60, private",
		"|":                                    "private",
		"max-age=60|stale-if-error=5":          "max-age=60, stale-if-error=5, private",
		"no-cache":                             "no-cache, private",
		`private="set-cookie", max-age=1`:      `private="set-cookie", max-age=1, private`,
		"publicly, x=public, proxy-revalidate": "publicly, x=public, proxy-revalidate, private",
		"Public, max-age=60":                   "Public, max-age=60",
		`no-cache="a, public, b", x="`:         `no-cache="a, public, b", x=", private`,
		`no-cache="a", x="b, public, c"`:       `no-cache="a", x="b, public, c", private`,
		`no-cache="set-cookie", public`:        `no-cache="set-cookie", public`,
		"max-age=60|S-Maxage = 5":              "max-age=60|S-Maxage = 5",
		"max-age=60|S-Maxage = 0":              "max-age=60, S-Maxage = 0, private",
		"s-maxage=00, max-age=60":              "s-maxage=00, max-age=60, private",
		"s-maxage=0, public":                   "s-maxage=0, public",
		"max-age=60,must-revalidate":           "max-age=60,must-revalidate, private",
		"Private":                              "Private",
		"no-store":                             "no-store",
	} {
		upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hints" {
				w.Header().Set("Link", "</a.css>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
			}
			if said != "" {
				w.Header()["Cache-Control"] = strings.Split(said, "|")
			}
			w.Header().Set("Vary", "Accept")
			if r.URL.Path == "/304" {
				w.WriteHeader(http.StatusNotModified)
			}
		}))
		gate := gateway(t, upstream.URL, httpctx.ServerConfig{})
		anybody := gateway(t, upstream.URL, httpctx.ServerConfig{AllowAnonymous: true})
		for name, test := range map[string]struct {
			method, url string
			header      http.Header
			control     string
		}{
			"a caller":       {"GET", gate.URL, token("alice"), want},
			"HEAD":           {"HEAD", gate.URL, token("alice"), want},
			"not modified":   {"GET", gate.URL + "/304", token("alice"), want},
			"early hints":    {"GET", gate.URL + "/hints", token("alice"), want},
			"nobody":         {"GET", anybody.URL, nil, want},
			"a public entry": {"GET", gate.URL + "/public/", token("alice"), said},
		} {
			res, _ := do(t, test.method, test.url, test.header)
			if got := strings.Join(res.Header["Cache-Control"], "|"); got != test.control {
				t.Errorf("%s, %q: Cache-Control %q, want %q", name, said, got, test.control)
			}
			vary := "Accept"
			if strings.HasSuffix(test.control, ", private") {
				vary += ", Authorization, Cookie, Sec-Websocket-Protocol"
			}
			if got := strings.Join(res.Header["Vary"], "|"); got != vary {
				t.Errorf("%s, %q: Vary %q", name, said, got)
			}
		}
	}
}

func TestAnErrorBehindAProxyIsStillNobodyElses(t *testing.T) {
	const nobody = "http://127.0.0.1:1"
	upstream := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		panic(http.ErrAbortHandler)
	}))
	for name, test := range map[string]struct {
		url, token, upgrade string
		want                string
	}{
		"no upstream":                   {nobody, "alice", "", "502 private"},
		"no answer but early hints":     {upstream.URL, "alice", "", "502 private"},
		"a refusal behind the Server":   {nobody, "alice", "tls/1.0", "403 no-store"},
		"a refusal in front of the way": {nobody, "forged", "", "401 no-store"},
	} {
		header := token(test.token)
		if test.upgrade != "" {
			header = with(header, "Connection", "Upgrade", "Upgrade", test.upgrade)
		}
		res, _ := do(t, "GET", gateway(t, test.url, httpctx.ServerConfig{}).URL, header)
		if got := fmt.Sprint(res.StatusCode, " ", strings.Join(res.Header["Cache-Control"], "|")); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// An answer that is kept would hand out its nonce for as long.
func TestRFC9449_8_2_AnAnswerWithANewNonceIsNotKept(t *testing.T) {
	alice := caller(t, "alice")
	a := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"authorization"}}, func(context.Context, *authctx.Request) (authctx.Result, error) {
		return authctx.Result{Principal: alice, Response: []authctx.Field{{Name: "dpop-nonce", Value: "n-2"}, {Name: "cache-control", Value: "no-store"}}}, nil
	})
	server := newServer(t, httpctx.ServerConfig{Authenticator: a})
	handler := func(then func(w http.ResponseWriter, r *http.Request)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "private, max-age=600")
			then(w, r)
		})
	}
	upstream := serve(t, handler(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
	}))
	target, _ := url.Parse(upstream.URL)
	proxy, err := newProxy(t, server, newFields(t)).Handler(&httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }})
	if err != nil {
		t.Fatal(err)
	}
	for name, next := range map[string]http.Handler{
		"a status": handler(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		"a body":   handler(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }),
		"nothing":  handler(func(http.ResponseWriter, *http.Request) {}),
		"flushed":  handler(func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }),
		"flushed by a controller": handler(func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
		}),
		"a file": handler(func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("x"))
		}),
		"a refusal": server.Require(authctx.Role("nobody"))(spy),
		"a proxy":   proxy,
	} {
		s := serve(t, server.Handler(next))
		for _, method := range []string{"GET", "HEAD", "POST"} {
			res, _ := do(t, method, s.URL, nil)
			if control := res.Header["Cache-Control"]; !slices.Equal(control, []string{"no-store"}) || res.Header.Get("DPoP-Nonce") != "n-2" {
				t.Errorf("%s, %s: %d with Cache-Control %q and nonce %q", name, method, res.StatusCode, control, res.Header.Get("DPoP-Nonce"))
			}
		}
	}

	s := serve(t, server.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
	})))
	if res, _ := do(t, "GET", s.URL, nil); res.StatusCode != 204 {
		t.Errorf("hijacked: %d", res.StatusCode)
	}
}
