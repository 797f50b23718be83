package httpctx_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// TestEveryReadingMustBeAllowed has requests that some server takes for another
// one. Nobody, bob and alice, an admin, get what the strictest entry says.
func TestEveryReadingMustBeAllowed(t *testing.T) {
	const all, users, admins = 0, 1, 2
	type entries map[string]int
	for _, tc := range []struct {
		id, host, line string
		policy         entries
		want           int // who may
	}{
		{"a router that does not decode", "", "POST /reports/p%69ng", entries{"POST /reports/ping": all, "POST /reports/{name}": admins}, admins},
		{"nor a directory", "", "GET /publi%63/a", entries{"/public/": all, "/": admins}, admins},
		{"nor one before what is not sure", "", "GET /publi%63/a;b", entries{"/public/": all, "/": admins}, admins},
		{"nor the first of two", "", "GET /publi%63/a/c%20d", entries{"/public/{x}/": all, "/": admins}, admins},
		{"nor what is encoded as it has to be", "", "GET /%C3%A4rzte/a%2Fb", entries{"/ärzte/": all, "/": admins}, admins},
		{"needlessly encoded and nothing else is listed", "", "GET /publi%63/a", entries{"/public/": all}, -1},
		{"encoded as it has to be", "", "GET /%C3%A4rzte/a", entries{"/ärzte/": all, "/": admins}, all},
		{"an ID that is encoded", "", "GET /users/a%40b.example%20c", entries{"/users/{id}": all}, all},

		{"case", "", "GET /ADMIN/x", entries{"/admin/": admins, "/": all}, admins},
		{"case of one that is listed in two", "", "GET /ADMIN/x", entries{"/admin/": admins, "/Admin/": admins, "/": all}, admins},
		{"case as one is listed", "", "GET /Admin/x", entries{"/admin/": admins, "/Admin/": users, "/": all}, admins},
		{"case as the other is listed", "", "GET /admin/x", entries{"/admin/": users, "/Admin/": admins, "/": all}, admins},
		{"case, with names of wildcards", "", "GET /FILES/1", entries{"/Files/{id}": users, "/files/{name}": admins, "/": all}, admins},
		{"case of a longer one", "", "GET /A/b", entries{"/A/{x}": all, "/a/b": admins}, admins},
		{"case of letters", "", "GET /%C3%84rzte/x", entries{"/ärzte/": admins, "/": all}, admins},
		{"case of letters in a pattern", "", "GET /%C3%A4rzte/x", entries{"/Ärzte/": admins, "/": all}, admins},
		{"case of letters in a pattern that is encoded", "", "GET /%C3%A4rzte/x", entries{"/%C3%84rzte/": admins, "/": all}, admins},
		{"case in Turkish", "", "GET /adm%C4%B1n/%C4%B0d", entries{"/admin/id": admins, "/": all}, admins},
		{"case of K, in Kelvin", "", "GET /%E2%84%AAeys", entries{"/keys": admins, "/": all}, admins},
		{"case of a service", "", "POST /SHOP.ORDERS/DELETE", entries{"/shop.Orders/*": admins, "/": all}, admins},
		{"case of a method", "", "POST /shop.Orders/LIST", entries{"/shop.Orders/*": admins, "/shop.Orders/List": users, "/": all}, admins},
		{"case of a method without its service", "", "POST /SHOP.ORDERS/DELETE", entries{"/shop.Orders/Delete": admins, "/": all}, admins},

		{"an encoded slash alone", "", "GET /x/%2F/y/", entries{"/": admins, "/{a}/{b}/": all}, admins},
		{"an encoded slash first", "", "GET /%2F/y", entries{"/": admins, "/{a}": all, "/{a}/{b}": all}, admins},
		{"an encoded slash in an ID", "", "GET /files/a%2Fb", entries{"/files/{name}": all}, -1},
		{"an encoded slash in an ID, with what is below", "", "GET /files/a%2Fb", entries{"/files/{name}": all, "/files/": users}, users},
		{"an encoded slash below", "", "GET /files/a%2Fb", entries{"/files/{name...}": all, "/": admins}, all},
		{"below what is below", "", "GET /files/x/a%2Fb", entries{"/files/x": all, "/files/x/{$}": all, "/files/x/{a}/{b}/{c}": all, "/files/": admins}, admins},
		{"a deeper one", "", "GET /files/x%3B", entries{"/files/": all, "/files/x/secret": admins}, admins},
		{"one with a tilde", "", "GET /~a/x%3B", entries{"/~a/": admins, "/{x}/": all}, admins},
		{"a deeper one of another host", "api", "GET /files/x%3B", entries{"/files/": all, "ops.example/files/x/secret": admins}, all},
		{"a deeper one of another method", "", "GET /files/x%3B", entries{"/files/": all, "DELETE /files/x/secret": admins}, all},
		{"what is before all of it", "", "GET /files/%2F", entries{"/files/": all, "/files": admins}, admins},
		{"a segment that may be gone", "", "GET /files/;a", entries{"/files/": all, "/files/{$}": admins}, admins},
		{"an encoded slash before a bar", "", "GET /public%2Fadmin|", entries{"/public/": all, "/": admins}, admins},

		{"a slash at the end", "", "GET /a/", entries{"/a": admins, "/": all}, admins},
		{"a slash at the end and a wildcard", "", "GET /a/", entries{"/a/": all, "/{x}": admins}, admins},
		{"a segment that may be gone and a wildcard", "", "GET /a/;b", entries{"/a/": all, "/{x}": admins}, admins},
		{"a slash at the end of what is listed with and without", "", "GET /a/", entries{"/a/": all, "/a": users, "/{x}": admins}, users},
		{"a slash behind an ID of the client's choice", "", "GET /users/7/", entries{"/users/{id}/": all, "/users/": admins}, admins},
		{"a slash behind such an ID below another", "", "GET /a/7/", entries{"/{x}/{id}/": all, "/{x}/": users, "/": admins}, users},
		{"a slash behind any name at all", "", "GET /admin/", entries{"/{name}/": all, "/": admins}, admins},
		{"a slash with which any name ends", "", "GET /a/", entries{"/{name}/{$}": all, "/": admins}, all},
		{"something behind such an ID and a slash", "", "GET /users/7/x", entries{"/users/{id}/": all, "/users/": admins}, all},
		{"a slash at the end of a tree's own path", "", "GET /static/", entries{"/static/": all, "/": admins}, all},
		{"none at the end", "", "GET /a", entries{"/a/": admins, "/": all}, admins},
		{"none before the end", "", "GET /a", entries{"/a/{$}": admins, "/{x}": all}, admins},
		{"nothing but one with a slash", "", "GET /a", entries{"/a/": all}, -1},
		{"a slash at the end of one for a method and one for others", "", "GET /a/", entries{"GET /a/{$}": all, "/a/{$}": admins}, all},

		{"a host with a port to connect to", "status.example:80", "CONNECT /x", entries{"/": admins, "status.example/": all}, admins},
		{"a host to connect to", "status.example", "CONNECT /x", entries{"/": admins, "status.example/": all}, all},
		{"an address", "[::1]", "GET /x", entries{"[::1]/": admins, "/": all}, admins},
		{"an address with a port", "[::1]:80", "GET /x", entries{"[::1]/": admins, "/": all}, admins},
		{"an address with a port, as a mux reads it", "[::1]:80", "GET /x", entries{"[::1]/": all, "/": admins}, admins},
		{"an address as a mux reads it", "[::1]:80", "GET /x", entries{"::1/": admins, "/": all}, admins},
		{"no host", "", "GET /x", entries{"a.example/": admins, "/": all}, all},
		{"a host's route beside a method of any", "a.example", "POST /shop.Orders/Cancel", entries{"a.example/shop.Orders/": users, "/shop.Orders/Cancel": admins}, users},

		{"a service and a pattern", "", "POST /shop.Orders/List", entries{"/shop.Orders/*": admins, "/{a}/{b}": all}, admins},
		{"a service and everything else", "", "POST /shop.Orders/List", entries{"/shop.Orders/*": all, "/": admins}, admins},
		{"a service and a method", "", "POST /shop.Orders/List", entries{"/shop.Orders/*": admins, "/shop.Orders/List": all}, all},
		{"a service and a method of HTTP", "", "POST /shop.Orders/List", entries{"/shop.Orders/*": admins, "POST /shop.Orders/List": all}, admins},
		{"a service that is encoded", "", "POST /%2Fshop.Orders/List", entries{"/shop.Orders/*": admins, "/": all}, admins},
	} {
		t.Run(tc.id, func(t *testing.T) {
			cfg := authctx.PolicyConfig{Rules: map[string]authctx.Rule{}}
			for name, who := range tc.policy {
				switch who {
				case all:
					cfg.Public = append(cfg.Public, name)
				case users:
					cfg.Rules[name] = authctx.Authenticated()
				case admins:
					cfg.Rules[name] = authctx.Role("admin")
				}
			}
			h := gatewayOf(t, cfg, spy)
			for who, token := range []string{"", "bob", "alice"} {
				if w := asked(t, h, tc.line, tc.host, token); (w.Code == 200) != (tc.want >= 0 && who >= tc.want) {
					t.Errorf("%q gets %d", token, w.Code)
				}
			}
		})
	}
}

func TestTheObserverHearsWhyAPathIsNotListed(t *testing.T) {
	var j journal
	h := newServer(t, httpctx.ServerConfig{Observer: &j, Policy: newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{
		"GET /channels/{name}": authctx.Authenticated(), "/files/": authctx.Authenticated()}})}).Handler(spy)
	for line, want := range map[string]string{
		"GET /channels/%23general": `below "/channels"`,
		"GET /%2F":                 `below "/"`,
		"GET /channel%73/general":  "another spelling",
		"GET /files":               "a slash at the end",
		"GET /else":                "does not list",
	} {
		asked(t, h, line, "api", "bob")
		if e := j.last(t); e.Reason != authctx.PermissionDenied || !strings.Contains(e.Err.Error(), want) {
			t.Errorf("%s: %v", line, e.Err)
		}
	}
}

// reader is a server in so far as it takes a path for the request of one of its
// patterns. It returns the patterns that it may choose, none if it serves none.
type reader func(*http.Request) []string

// muxReader routes as a mux of patterns that maps them and paths before.
func muxReader(patterns []string, pattern func(string) string, target func(*url.URL) *url.URL) reader {
	mux := http.NewServeMux()
	same := map[string][]string{}
	for _, p := range patterns {
		if same[pattern(p)] = append(same[pattern(p)], p); len(same[pattern(p)]) == 1 {
			mux.HandleFunc(pattern(p), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		}
	}
	return func(r *http.Request) []string {
		r = r.Clone(r.Context())
		r.URL = target(r.URL)
		w := httptest.NewRecorder()
		if mux.ServeHTTP(w, r); w.Code != http.StatusTeapot { // a redirect, or nothing
			return nil
		}
		return same[r.Pattern]
	}
}

func asItIs[T any](v T) T { return v }

// lowerPath returns a pattern with its path in lower case, without the one name
// of a wildcard that makes a difference.
func lowerPath(pattern string) string {
	i := strings.IndexByte(pattern, '/')
	return pattern[:i] + strings.ReplaceAll(strings.ToLower(pattern[i:]), "{rest...}", "")
}

// rawTarget is how routers that do not decode read a URL: chi, or gin and gorilla
// when they are told to.
func rawTarget(u *url.URL) *url.URL {
	if u.RawPath != "" {
		return &url.URL{Path: u.RawPath}
	}
	return u
}

func randomPattern(random *rand.Rand, vocabulary []string) string {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	p := pick("", "", "", "GET ", "POST ", "HEAD ", "DELETE ") + pick("", "", "", "ops.example", "[::1]")
	n := random.IntN(4)
	for i := range n {
		p += "/" + pick(fmt.Sprintf("{w%d}", i), pick(vocabulary...), pick(vocabulary...))
	}
	switch end := pick("", "", "/", "/{$}", "/{rest...}"); {
	case end != "":
		return p + end
	case n == 0:
		return p + "/"
	}
	return p
}

// randomServer returns a server with a random policy, its patterns, and the ones
// that a caller may use: those of the roles that the header X names, and all that
// are public.
func randomServer(t *testing.T, random *rand.Rand, vocabulary []string) (s *httpctx.Server, patterns []string, public map[string]bool) {
	roles := authctx.NewAuthenticator(authctx.FieldSet{Names: []string{"x"}}, func(_ context.Context, r *authctx.Request) (authctx.Result, error) {
		if len(r.Values("x")) == 0 {
			return authctx.Result{}, authctx.NoCredentials
		}
		p, err := authctx.New(authctx.Attributes{Issuer: issuer, Subject: "s", Roles: r.Values("x")})
		return authctx.Result{Principal: p}, err
	})
	for {
		cfg := authctx.PolicyConfig{Rules: map[string]authctx.Rule{}}
		public = map[string]bool{}
		for range 1 + random.IntN(9) {
			if p := randomPattern(random, vocabulary); random.IntN(3) == 0 {
				public[p] = true
				delete(cfg.Rules, p)
			} else if !public[p] {
				cfg.Rules[p] = authctx.Role(p)
			}
		}
		cfg.Public = slices.Collect(maps.Keys(public))
		policy := newPolicy(t, cfg)
		if s, err := httpctx.NewServer(httpctx.ServerConfig{Authenticator: roles, Policy: policy}); err == nil {
			return s, policy.Names(), public
		}
	}
}

// rounds returns how often a test tries what is put together at random. The race
// detector makes that slow, and has nothing to find where all is done in turn.
func rounds(n int) int {
	if raceDetector {
		return n / 10
	}
	return n
}

var wildcards = regexp.MustCompile(`\{[^/]*\}`)

func randomTarget(random *rand.Rand, patterns, pieces []string) string {
	piece := func() string { return pieces[random.IntN(len(pieces))] }
	if random.IntN(2) == 0 { // of a pattern
		p := patterns[random.IntN(len(patterns))]
		p = strings.ReplaceAll(p[strings.IndexByte(p, '/'):], "{$}", "")
		return wildcards.ReplaceAllStringFunc(p, func(string) string { return piece() })
	}
	target := "/"
	for range random.IntN(7) {
		target += piece()
	}
	return target
}

// TestNoHandlerRunsWhoseRuleDoesNotHold has tables and requests put together at
// random. Whatever a server behind runs, its rule must hold; and nobody to whom
// all is allowed is refused what is written in the one way that there is.
func TestNoHandlerRunsWhoseRuleDoesNotHold(t *testing.T) {
	vocabulary := []string{"a", "b", "A", "x.y", "é", "É", "B", "c%20d"}
	pieces := []string{"a", "b", "A", "x.y", "a;b", "é", "%C3%A9", "%2F", "%2f", "/", "/", "/", "/", "/", "//", "%5C", ".", "..", "%2e", ";",
		"%3b", "%25", "%252f", "%20", "%61", "#", "%23", "%3f", "*", "{w0}", "%7B", "|", "c%20d"}
	sure := regexp.MustCompile(`^(/[^/%;#\\]+|/c%20d|/%C3%A9)*/?$`)
	random := rand.New(rand.NewPCG(7, 9))
	passed, free := 0, 0
	for range rounds(400) {
		s, patterns, public := randomServer(t, random, vocabulary)
		readers := map[string]reader{
			"a mux":                               muxReader(patterns, asItIs, asItIs),
			"a router that does not decode":       muxReader(patterns, asItIs, rawTarget),
			"a mux that does not look at case":    muxReader(patterns, lowerPath, func(u *url.URL) *url.URL { return &url.URL{Path: strings.ToLower(u.Path)} }),
			"a router that does neither of these": muxReader(patterns, lowerPath, func(u *url.URL) *url.URL { return &url.URL{Path: strings.ToLower(rawTarget(u).Path)} }),
		}
		proxy := newProxy(t, s, newFields(t))
		var sent *http.Request
		upstream, err := proxy.Handler(&httputil.ReverseProxy{
			Rewrite: func(pr *httputil.ProxyRequest) {
				pr.SetURL(&url.URL{Scheme: "https", Host: "upstream"})
				pr.Out.Host = pr.In.Host
			},
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = overTheWire(t, r)
				return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
			}),
			BufferPool: oneBuffer{0},
		})
		if err != nil {
			t.Fatal(err)
		}
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent = r })
		mux, muxOfProxies := http.NewServeMux(), http.NewServeMux()
		for _, p := range patterns {
			if random.IntN(2) == 0 {
				mux.Handle(p, handler)
				muxOfProxies.Handle(p, upstream)
			}
		}
		ways := map[string]http.Handler{
			"inside":           s.Handler(handler),
			"proxy":            s.Handler(upstream),
			"mux":              s.Handler(mux), // with another one inside of its handlers
			"mux with a proxy": s.Handler(muxOfProxies),
		}
		for range 60 {
			target := randomTarget(random, patterns, pieces)
			method := []string{"GET", "POST", "HEAD", "DELETE", "PUT"}[random.IntN(5)]
			host := []string{"api", "ops.example", "ops.example:80", "OPS.example", "ops.example.", "[::1]:80", "[::1]"}[random.IntN(7)]
			var roles []string
			everything := random.IntN(3) == 0
			for _, p := range patterns {
				if everything || random.IntN(2) == 0 {
					roles = append(roles, p)
				}
			}
			if everything {
				roles = append(roles, "") // for a policy that is all public
			}
			for way, h := range ways {
				r, err := parsed(method+" "+target, host)
				if err != nil {
					break
				}
				if len(roles) > 0 {
					r.Header["X"] = slices.DeleteFunc(slices.Clone(roles), func(r string) bool { return r == "" })
				}
				sent = nil
				h.ServeHTTP(httptest.NewRecorder(), r)
				for name, read := range readers {
					if sent == nil {
						if name == "a mux" && everything && !strings.HasPrefix(way, "mux") && sure.MatchString(target) && r.URL.RawPath == "" && len(read(r)) > 0 && !strings.ContainsAny(host, "O:[") && !strings.HasSuffix(host, ".") {
							t.Errorf("%s: %s %s of %s was refused, of %q", way, method, target, host, patterns)
						}
						continue
					}
					if way == "mux" && name != "a mux" {
						continue // this is for what an outer one does not know of
					}
					passed++
					for _, ran := range read(sent) {
						free++
						if !public[ran] && !slices.Contains(roles, ran) {
							t.Fatalf("%s: %s %s of %s ran %q in %s, with %q of %q", way, method, target, host, ran, name, roles, patterns)
						}
					}
				}
			}
		}
	}
	if passed < rounds(1000) || free < rounds(1000) {
		t.Errorf("%d requests were let in, %d of them to a handler", passed, free)
	}
}

// oneBuffer is for answers without a body, which would have 32 KiB each.
type oneBuffer []byte

func (b oneBuffer) Get() []byte { return b }
func (oneBuffer) Put([]byte)    {}

// overTheWire returns a request as its server sees it.
func overTheWire(t *testing.T, r *http.Request) *http.Request {
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	in, err := http.ReadRequest(bufio.NewReaderSize(&b, 128))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestNoServerReadsAnotherRouteThanTheTable reads what is public in ways put
// together at random, too. Each must be public.
func TestNoServerReadsAnotherRouteThanTheTable(t *testing.T) {
	replace := func(old, new string) func(string) string {
		return func(p string) string { return strings.ReplaceAll(p, old, new) }
	}
	cut := func(end string) func(string) string {
		return func(p string) string { before, _, _ := strings.Cut(p, end); return before }
	}
	drop := func(what string) func(string) string {
		re := regexp.MustCompile(what)
		return func(p string) string { return re.ReplaceAllString(p, "") }
	}
	decodeOnly := func(what string) func(string) string {
		re := regexp.MustCompile(what)
		return func(p string) string {
			return re.ReplaceAllStringFunc(p, func(c string) string { d, _ := url.PathUnescape(c); return d })
		}
	}
	steps := []func(string) string{
		decodeOnly("%[0-9a-fA-F]{2}"), decodeOnly("%[0-9a-fA-F]{2}"), decodeOnly("%[46][0-9a-fA-F]"), decodeOnly("%2[fF]"), decodeOnly("%25"),
		path.Clean, replace("//", "/"), replace(`\`, "/"), replace(";", "/"), replace("?", "/"), replace("#", "/"),
		drop(`;[^/]*`), drop(`%([^0-9a-fA-F]|.[^0-9a-fA-F]|.?$).*`), cut(";"), cut("?"), cut("#"), cut(`\`),
		strings.ToLower, func(p string) string { return strings.TrimSuffix(p, "/") },
	}
	vocabulary := []string{"a", "b", "c", "x.y"}
	pieces := []string{"a", "b", "B", "c", "A", "x.y", "/", "/", "/", "%2f", "%5C", `\`, ";", ";a=", "%3b", "%61", "%2541", "%252f", "%253b", "%23",
		"%3f", "#", "%253F", "%2523", "%25", "+", "%7B", "%7b$%7D", "a%2541", ".", "%2e.", "%252e"}
	slashes := regexp.MustCompile("/+")
	random := rand.New(rand.NewPCG(3, 4))
	passed := 0
	for range rounds(500) {
		s, patterns, public := randomServer(t, random, vocabulary)
		h := s.Handler(spy)
		literally := muxReader(patterns, asItIs, asItIs)
		for range 100 {
			target := randomTarget(random, patterns, pieces)
			r, err := parsed("GET "+target, "api")
			if err != nil {
				continue
			}
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != http.StatusOK {
				continue
			}
			passed++
			seen := map[string]bool{}
			for range 40 {
				read := target
				for range random.IntN(8) {
					read = steps[random.IntN(len(steps))](read)
				}
				if seen[read] {
					continue
				}
				seen[read] = true
				r.URL = &url.URL{Path: slashes.ReplaceAllString("/"+read, "/")}
				for _, p := range literally(r) {
					if !public[p] {
						t.Fatalf("%s is public, and %s, of %q, is not; public are %v of %q", target, read, p, public, patterns)
					}
				}
			}
		}
	}
	if passed < rounds(1000) {
		t.Errorf("%d paths were public", passed)
	}
}

// TestNothingClimbs hides ".." under as many layers as one likes.
func TestNothingClimbs(t *testing.T) {
	h := gatewayOf(t, authctx.PolicyConfig{Public: []string{"/"}}, spy)
	random := rand.New(rand.NewPCG(5, 6))
	for range rounds(2000) {
		hidden := []string{"", "/", `\`, ";x/", "?/", "#", "/./"}[random.IntN(7)] + []string{"..", "."}[random.IntN(2)] + []string{"", "/", `\`, ";x", "?", "#x", "%zz"}[random.IntN(7)]
		for range 1 + random.IntN(4) {
			var layer strings.Builder
			for _, c := range []byte(hidden) {
				if c != '/' && c != '.' || random.IntN(2) == 0 {
					fmt.Fprintf(&layer, "%%%02X", c)
				} else {
					layer.WriteByte(c)
				}
			}
			hidden = layer.String()
		}
		if w := asked(t, h, "GET /public/"+hidden, "api", "bob"); w.Code != http.StatusBadRequest {
			t.Fatalf("%s: %d", hidden, w.Code)
		}
	}
}

// TestAHostilePathCostsLittle counts what a path makes that is long and can be
// read in many ways, before anybody is asked who is calling.
func TestAHostilePathCostsLittle(t *testing.T) {
	rules := map[string]authctx.Rule{}
	for i := range 100 {
		rules[fmt.Sprintf("/a%d/{b}/c/{d...}", i)] = authctx.Authenticated()
	}
	h := gatewayOf(t, authctx.PolicyConfig{Rules: rules}, spy)
	for _, unit := range []string{"a", "a/", "%25", "%2525", "25", "%61", "%2541", ";", "/a;b", "%3b/%23", `\%3f#;/a`, "%5c%255c/", "%252f%3b%23"} {
		for _, start := range []string{"/", "/%", "/a1/", "/;/", "/a1/b/c;/"} {
			target := start + strings.Repeat(unit, 2048/len(unit))
			target = strings.ReplaceAll(target, "?", "%3f")
			u, err := url.ParseRequestURI(strings.ReplaceAll(target, "/%2525", "/%25"))
			if err != nil {
				continue
			}
			r := httptest.NewRequest("GET", "http://api/", nil)
			r.URL = u
			w := discard{http.Header{}}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			const n = 20
			for range n {
				h.ServeHTTP(w, r)
			}
			runtime.ReadMemStats(&after)
			if allocs, size := (after.Mallocs-before.Mallocs)/n, (after.TotalAlloc-before.TotalAlloc)/n; allocs > 60 || size > 40<<10 {
				t.Errorf("%.20s…: %d allocations of %d bytes", target, allocs, size)
			}
		}
	}
}

// TestAPathThatMayBeAnyRouteCostsLittle has one that every entry of a large policy
// must allow. They are not gathered: not for nobody, not where it is refused in any
// case, and not to ask them.
func TestAPathThatMayBeAnyRouteCostsLittle(t *testing.T) {
	for name, test := range map[string]struct {
		also   string
		public bool // all but also
		codes  map[string]int
	}{
		"not all are listed":        {"/else/", false, map[string]int{"": 401, "bob": 403}},
		"all are":                   {"/", false, map[string]int{"": 401, "bob": 200}},
		"all are, and most in vain": {"/", true, map[string]int{"": 401, "bob": 200}},
	} {
		cfg := authctx.PolicyConfig{Rules: map[string]authctx.Rule{test.also: authctx.Authenticated()}}
		for i := range 1000 {
			if name := fmt.Sprintf("GET /a%d/{b}", i); test.public {
				cfg.Public = append(cfg.Public, name)
			} else {
				cfg.Rules[name] = authctx.Authenticated()
			}
		}
		h := gatewayOf(t, cfg, spy)
		for _, path := range []string{"/%25", "/a%252f", "/a1%2Fb/c"} {
			for token, want := range test.codes {
				asked(t, h, "GET "+path, "api", token) // what is made once
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				w := asked(t, h, "GET "+path, "api", token)
				runtime.ReadMemStats(&after)
				if size := after.TotalAlloc - before.TotalAlloc; w.Code != want || size > 24<<10 {
					t.Errorf("%s: %s by %q: %d, and %d bytes", name, path, token, w.Code, size)
				}
			}
		}
	}
}
