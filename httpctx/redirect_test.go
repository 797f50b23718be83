package httpctx_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/authctx/authctx/httpctx"
)

// redirects is a RoundTripper that answers each URL but the last with a redirect to
// the next, and keeps what it was sent.
type redirects struct {
	urls    []string
	reached []string // with who is calling
	silent  bool     // about what an answer is for
	vague   bool     // about where that went
}

func (rd *redirects) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		b, _ := io.ReadAll(r.Body)
		body = " " + string(b)
	}
	rd.reached = append(rd.reached, fmt.Sprint(r.Method, body, " as ", r.Header.Get("X-User-Id")))
	res := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}
	if n := len(rd.reached); n < len(rd.urls) {
		res.StatusCode, res.Header = http.StatusTemporaryRedirect, http.Header{"Location": {rd.urls[n]}}
	}
	if rd.silent {
		res.Request = nil
	}
	if rd.vague {
		res.Request = new(http.Request)
	}
	return res, nil
}

// follow posts to the first of some URLs for alice, by a client that follows
// redirects, and returns what was reached.
func follow(t *testing.T, plaintext bool, base *redirects) ([]string, error) {
	t.Helper()
	client := &http.Client{Transport: newTransport(t, httpctx.TransportConfig{
		Base: base, InsecureAllowPlaintext: plaintext,
		Destinations: []string{"*.internal", "localhost", "127.0.0.1", "[::1]"},
	})}
	r, err := http.NewRequestWithContext(as(t, "alice"), "POST", base.urls[0], strings.NewReader("close"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Do(r)
	return base.reached, err
}

// An open redirect in one service would otherwise write for the caller at all others.
func TestRule7_ACallerFollowsNoRedirectToAnotherHost(t *testing.T) {
	const told, untold = "POST close as alice", "POST close as "
	for _, tc := range []struct {
		urls []string
		want []string
	}{
		{[]string{"https://a.internal/", "https://a.internal/next", "/next"}, []string{told, told, told}},
		{[]string{"https://a.internal/", "https://A.internal.:443/next"}, []string{told, told}},
		{[]string{"https://a.internal:8443/", "https://a.internal:8443/next"}, []string{told, told}},
		{[]string{"http://localhost/", "https://localhost/"}, []string{told, told}},
		{[]string{"http://127.0.0.1:80/", "https://127.0.0.1:443/"}, []string{told, told}},

		{[]string{"https://a.internal/", "https://b.internal/"}, []string{told, untold}},
		{[]string{"https://a.internal/", "https://x.a.internal/"}, []string{told, untold}},
		{[]string{"https://a.internal/", "https://a.internal:8443/"}, []string{told, untold}},
		{[]string{"http://localhost:8080/", "https://localhost:8443/"}, []string{told, untold}},
		{[]string{"http://localhost:8080/", "https://localhost/"}, []string{told, untold}},
		{[]string{"http://localhost/", "http://127.0.0.1/"}, []string{told, untold}},
		{[]string{"http://[::1]:80/", "http://[::1]:81/"}, []string{told, untold}},
		{[]string{"https://billing.internal/", "https://b\u0130lling.internal/"}, []string{told, untold}}, // which is not "i" to net/http
		{[]string{"https://billing.internal/", "https://b%C4%B0lling.internal/", "https://billing.internal/"}, []string{told, untold, untold}},
		{[]string{"https://a.internal/", "http://b.internal/"}, []string{told, untold}},
		{[]string{"https://a.internal/", "https://b.internal/", "https://a.internal/", "/x"}, []string{told, untold, untold, untold}},
		{[]string{"https://elsewhere.example/", "https://a.internal/"}, []string{untold, untold}},
		{[]string{"https://a.internal/", "https://elsewhere.example/", "http://localhost/"}, []string{told, untold, untold}},
	} {
		if got, err := follow(t, false, &redirects{urls: tc.urls}); err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, %v", tc.urls, got, err)
		}
	}
	// Where an answer came from has to be known.
	for _, base := range []*redirects{{silent: true}, {vague: true}} {
		base.urls = []string{"https://a.internal/", "https://a.internal/next"}
		if got, err := follow(t, false, base); err != nil || !slices.Equal(got, []string{told, untold}) {
			t.Errorf("a transport that does not say what its answers are for: %q, %v", got, err)
		}
	}
}

func TestRule7_ACallerFollowsNoRedirectFromHTTPSToHTTP(t *testing.T) {
	for _, urls := range [][]string{
		{"https://localhost/", "http://localhost/"},
		{"https://localhost/", "http://localhost:80/"},
		{"https://localhost:8443/", "http://localhost:8443/"},
		{"http://localhost/", "https://localhost/", "http://localhost/"},
	} {
		if got, err := follow(t, false, &redirects{urls: urls}); err == nil || len(got) != len(urls)-1 {
			t.Errorf("%q: %q, %v", urls, got, err)
		}
		if got, err := follow(t, true, &redirects{urls: urls}); err != nil || len(got) != len(urls) || !strings.HasSuffix(got[len(got)-1], " as alice") {
			t.Errorf("%q, which is allowed: %q, %v", urls, got, err)
		}
	}
}

// A transport that answers with one Response for all makes a circle of them.
func TestACircleOfResponsesEnds(t *testing.T) {
	one := &http.Response{StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://localhost/"}}, Body: http.NoBody}
	told := 0
	tr := newTransport(t, httpctx.TransportConfig{Destinations: []string{"localhost"}, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
		one.Request = r
		told += len(r.Header["X-User-Id"])
		return one, nil
	})})
	r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", "http://localhost/", nil)
	if res, err := (&http.Client{Transport: tr}).Do(r); err == nil || told > 2 {
		t.Errorf("%v, told %d times", res, told)
	}
}
