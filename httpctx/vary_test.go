package httpctx_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/httpctx"
)

// privateCache is one that takes itself for that of a single user, as those for
// [http.Client] do, and keeps to RFC 9111: it gives out for ever what says anything
// of how long it is good, to requests with the fields that Vary names.
type privateCache struct {
	next http.RoundTripper
	kept map[string][]keptAnswer
}

type keptAnswer struct {
	to     http.Header
	answer *http.Response
	body   []byte
}

func (c *privateCache) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, k := range c.kept[r.URL.String()] {
		if k.isFor(r.Header) {
			answer := *k.answer
			answer.Header, answer.Body = k.answer.Header.Clone(), io.NopCloser(bytes.NewReader(k.body))
			answer.Header.Set("Hit", "yes")
			return &answer, nil
		}
	}
	answer, err := c.next.RoundTrip(r)
	if err != nil || !goodForAWhile(answer.Header) {
		return answer, err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	c.kept[r.URL.String()] = append(c.kept[r.URL.String()], keptAnswer{r.Header.Clone(), answer, body})
	return answer, nil
}

func goodForAWhile(h http.Header) bool {
	return strings.Contains(h.Get("Cache-Control"), "max-age") || h.Get("Expires") != "" || h.Get("Last-Modified") != ""
}

func (k keptAnswer) isFor(h http.Header) bool {
	for name := range strings.SplitSeq(strings.Join(k.answer.Header["Vary"], ","), ",") {
		if name = strings.TrimSpace(name); name == "*" || !slices.Equal(k.to[http.CanonicalHeaderKey(name)], h[http.CanonicalHeaderKey(name)]) {
			return false
		}
	}
	return true
}

func TestRFC9111_4_1_APrivateCacheOfAClientGivesNobodyTheAnswerOfAnother(t *testing.T) {
	fields, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []http.Header{
		{"Cache-Control": {"max-age=60"}}, {"Cache-Control": {"private, max-age=60"}}, {"Cache-Control": {"max-age=60"}, "Vary": {"Accept-Encoding"}},
		{"Cache-Control": {"private, max-age=60, s-maxage=0"}}, {"Cache-Control": {"s-maxage=60, max-age=60, private"}}, {"Cache-Control": {"max-age=60, s-maxage=0"}},
		{"Expires": {"Fri, 01 Jan 2100 00:00:00 GMT"}}, {"Last-Modified": {"Sat, 01 Jan 2000 00:00:00 GMT"}},
	} {
		service := serve(t, newServer(t, httpctx.ServerConfig{Authenticator: fields}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, _ := authctx.FromContext(r.Context())
			maps.Copy(w.Header(), says)
			_, _ = io.WriteString(w, p.Subject())
		})))
		upstream, _ := url.Parse(service.URL)
		edge := newServer(t, httpctx.ServerConfig{})
		proxy, err := newProxy(t, edge, newFields(t)).Handler(&httputil.ReverseProxy{
			Transport: &privateCache{http.DefaultTransport, map[string][]keptAnswer{}},
			Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(upstream) },
		})
		if err != nil {
			t.Fatal(err)
		}
		tr := newTransport(t, httpctx.TransportConfig{
			Base: &privateCache{http.DefaultTransport, map[string][]keptAnswer{}}, Destinations: []string{"127.0.0.1"},
		})
		gate := serve(t, edge.Handler(proxy))
		for i, name := range []string{"alice", "bob", "alice", "bob"} {
			r, _ := http.NewRequestWithContext(as(t, name), "GET", service.URL, nil)
			res, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			if got := string(body); got != name || (res.Header.Get("Hit") != "") != (i > 1) {
				t.Errorf("%v, below a Transport: %s got the answer of %s, from the cache: %q", says, name, got, res.Header.Get("Hit"))
			}
			res, got := do(t, "GET", gate.URL, token(name))
			if got != name || (res.Header.Get("Hit") != "") != (i > 1) {
				t.Errorf("%v, below a Proxy: %s got the answer of %s, from the cache: %q", says, name, got, res.Header.Get("Hit"))
			}
		}
	}
}

func TestAnAnswerThatMayBeKeptNamesTheFieldsThatWereRead(t *testing.T) {
	policy := newPolicy(t, authctx.PolicyConfig{Rules: map[string]authctx.Rule{"/": authctx.Authenticated()}, Public: []string{"/public"}})
	const read = "Authorization, Cookie, Sec-Websocket-Protocol"
	shared := []string{"accept", "COOKIE"}
	for name, test := range map[string]struct {
		says http.Header
		want []string
	}{
		"nothing":               {nil, nil},
		"whose it is":           {http.Header{"Cache-Control": {"private"}}, nil},
		"nothing, with a Vary":  {http.Header{"Vary": {"Accept"}}, []string{"Accept"}},
		"that nobody keeps it":  {http.Header{"Cache-Control": {"private, no-store"}, "Expires": {"0"}}, nil},
		"that it is for all":    {http.Header{"Cache-Control": {"public, max-age=60"}}, nil},
		"for shared caches":     {http.Header{"Cache-Control": {"s-maxage=60"}}, nil},
		"whose and for shared":  {http.Header{"Cache-Control": {"private, max-age=60, s-maxage=60"}}, []string{read}},
		"for shared and whose":  {http.Header{"Cache-Control": {"s-maxage=60", "Private"}}, []string{read}},
		"for all and whose":     {http.Header{"Cache-Control": {"public, max-age=60, private"}}, []string{read}},
		"for no shared caches":  {http.Header{"Cache-Control": {"s-maxage=0"}}, []string{read}},
		"how long":              {http.Header{"Cache-Control": {"max-age=60"}}, []string{read}},
		"how long, in two":      {http.Header{"Cache-Control": {"private", "max-age=60"}}, []string{read}},
		"that it is to ask":     {http.Header{"Cache-Control": {"no-cache"}}, []string{read}},
		"until when":            {http.Header{"Expires": {"Fri, 01 Jan 2100 00:00:00 GMT"}}, []string{read}},
		"since when":            {http.Header{"Last-Modified": {"Sat, 01 Jan 2000 00:00:00 GMT"}}, []string{read}},
		"which version":         {http.Header{"Etag": {`"v1"`}}, []string{read}},
		"with a Vary":           {http.Header{"Cache-Control": {"max-age=60"}, "Vary": shared}, []string{"accept, COOKIE, Authorization, Sec-Websocket-Protocol"}},
		"with a Vary of all":    {http.Header{"Cache-Control": {"max-age=60"}, "Vary": {"Accept, *"}}, []string{"Accept, *"}},
		"with the Vary of this": {http.Header{"Cache-Control": {"max-age=60"}, "Vary": {"Cookie,Authorization", "Sec-WebSocket-Protocol"}}, []string{"Cookie,Authorization", "Sec-WebSocket-Protocol"}},
		"with an empty Vary":    {http.Header{"Cache-Control": {"max-age=60"}, "Vary": {""}}, []string{read}},
	} {
		s := newServer(t, httpctx.ServerConfig{Policy: policy, KeepCredentials: true})
		url := serve(t, s.Handler(s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			maps.Copy(w.Header(), test.says)
			_, _ = io.WriteString(w, "text")
		})))).URL
		for request, want := range map[string][]string{
			"GET /": test.want, "HEAD /": test.want, "POST /": test.says["Vary"], "GET /public": test.says["Vary"],
		} {
			method, path, _ := strings.Cut(request, " ")
			res, _ := do(t, method, url+path, token("alice"))
			if got := res.Header["Vary"]; !slices.Equal(got, want) {
				t.Errorf("the answer to %s says %s: Vary %q, want %q", request, name, got, want)
			}
		}
	}
	if !slices.Equal(shared, []string{"accept", "COOKIE"}) {
		t.Errorf("the handler's own has become %q", shared)
	}
}

// Of an answer with both, [http.ServeContent] leaves a 304 the Etag alone.
func TestRFC9110_15_4_5_A304HasTheVaryOfIts200(t *testing.T) {
	for name, etag := range map[string]string{"Last-Modified alone": "", "both": `"v1"`} {
		url := serve(t, newServer(t, httpctx.ServerConfig{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if etag != "" {
				w.Header().Set("Etag", etag)
			}
			http.ServeContent(w, r, "a.txt", epoch, strings.NewReader("text"))
		}))).URL
		whole, _ := do(t, "GET", url, token("alice"))
		again := with(token("alice"), "If-Modified-Since", whole.Header.Get("Last-Modified"))
		if etag != "" {
			again = with(token("alice"), "If-None-Match", etag)
		}
		res, _ := do(t, "GET", url, again)
		if res.StatusCode != 304 || res.Header.Get("Vary") == "" || !slices.Equal(res.Header["Vary"], whole.Header["Vary"]) {
			t.Errorf("%s: %d with Vary %q, of a 200 with %q", name, res.StatusCode, res.Header["Vary"], whole.Header["Vary"])
		}
	}
}

// An answer that may be kept costs no more for it, however many fields are read.
func TestAllocationsOfTheNamesOfTheFieldsThatWereRead(t *testing.T) {
	fields, err := authctx.NewFieldsAuthenticator(authctx.FieldsAuthenticatorConfig{Trust: authctx.TrustNetworkAlone(), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = fieldsHeader(t)
	allocations := func(says http.Header) float64 {
		h := newServer(t, httpctx.ServerConfig{Authenticator: fields}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			maps.Copy(w.Header(), says)
			_, _ = w.Write(nil)
		}))
		w := discard{http.Header{}}
		return testing.AllocsPerRun(100, func() {
			clear(w.header)
			h.ServeHTTP(w, r)
			if got := strings.Contains(w.header.Get("Vary"), "X-User-Id"); got != (says != nil) {
				t.Fatalf("%v: Vary %q", says, w.header["Vary"])
			}
		})
	}
	least := allocations(nil)
	if got := allocations(http.Header{"Expires": {"0"}}); got > least {
		t.Errorf("%v allocations, and %v for an answer that nobody keeps", got, least)
	}
	if got := allocations(http.Header{"Expires": {"0"}, "Vary": {"Accept-Encoding"}}); got > least+3 {
		t.Errorf("with a Vary of the handler: %v allocations, and %v for an answer that nobody keeps", got, least)
	}
}
