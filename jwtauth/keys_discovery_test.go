package jwtauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authctx/authctx/jwtauth"
)

// discover loads keys through the metadata of issuer. pages are the answers by
// URL; whatever they do not have is not found.
func discover(t *testing.T, issuer string, pages map[string]string, change ...func(*jwtauth.RemoteKeysConfig)) (*jwtauth.RemoteKeys, *keyServer) {
	t.Helper()
	s := newKeyServer("404")
	for url, page := range pages {
		s.bodies[url] = page
	}
	return keysFrom(t, s, append([]func(*jwtauth.RemoteKeysConfig){func(c *jwtauth.RemoteKeysConfig) {
		c.JWKSURL, c.Issuer = "", issuer
	}}, change...)...), s
}

func metadata(issuer, jwksURI string) string {
	return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"token_endpoint":"https://a.example/token"}`, issuer, jwksURI)
}

func TestDiscoveryFindsTheMetadataWhereTheStandardsPutIt(t *testing.T) {
	for _, c := range []struct{ name, issuer, at string }{
		{"OpenID", "https://a.example", "https://a.example/.well-known/openid-configuration"},
		{"OpenID, slash at the end", "https://a.example/", "https://a.example/.well-known/openid-configuration"},
		{"OpenID, path", "https://a.example/realms/x", "https://a.example/realms/x/.well-known/openid-configuration"},
		{"OpenID, port", "https://a.example:8443/x/", "https://a.example:8443/x/.well-known/openid-configuration"},
		{"RFC 8414", "https://a.example", "https://a.example/.well-known/oauth-authorization-server"},
		{"RFC 8414, slash at the end", "https://a.example/", "https://a.example/.well-known/oauth-authorization-server"},
		{"RFC 8414, path", "https://a.example/issuer1", "https://a.example/.well-known/oauth-authorization-server/issuer1"},
		{"RFC 8414, escaped path", "https://a.example/a%2Fb", "https://a.example/.well-known/oauth-authorization-server/a%2Fb"},
		{"loopback without TLS", "http://127.0.0.1:8080", "http://127.0.0.1:8080/.well-known/openid-configuration"},
		{"loopback by name", "http://localhost:8080/x", "http://localhost:8080/x/.well-known/openid-configuration"},
		{"IPv6 loopback", "http://[::1]:8080", "http://[::1]:8080/.well-known/openid-configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				keys, s := discover(t, c.issuer, map[string]string{c.at: metadata(c.issuer, jwksURL), jwksURL: edSet(1)})
				wantFind(t, keys, "k1", "found")
				if got := s.asked(); got[len(got)-2].URL.String() != c.at || len(got) > 3 {
					t.Errorf("asked %d times, before the keys for %s", len(got), got[len(got)-2].URL)
				}
			})
		})
	}
}

// A bare "context deadline exceeded" would not say whose deadline it was.
func TestALoadThatTimesOutSaysWhoGaveNoAnswerAndForHowLong(t *testing.T) {
	const issuer = "https://a.example"
	for name, c := range map[string]struct {
		cfg  jwtauth.RemoteKeysConfig
		want string
	}{
		"discovery": {jwtauth.RemoteKeysConfig{Issuer: issuer},
			`metadata: "` + issuer + `/.well-known/openid-configuration": the provider gave no whole answer within 7s: context deadline exceeded`},
		"the keys": {jwtauth.RemoteKeysConfig{JWKSURL: jwksURL},
			"the provider gave no whole answer within 7s: context deadline exceeded"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newKeyServer(edSet(1))
			s.hang = make(chan struct{})
			keys := keysFrom(t, s, func(cfg *jwtauth.RemoteKeysConfig) {
				cfg.JWKSURL, cfg.Issuer, cfg.Timeout = c.cfg.JWKSURL, c.cfg.Issuer, 7*time.Second
			})
			time.Sleep(8 * time.Second)
			if err := keys.Stats().LastError; !errors.Is(err, context.DeadlineExceeded) || err.Error() != c.want {
				t.Errorf("%s: got  %v\nwant %s", name, err, c.want)
			}
		})
	}
}

// Single-page applications answer every path with themselves.
func TestDiscoveryTakesAPageForPeopleAsNoMetadata(t *testing.T) {
	const issuer = "https://a.example"
	const openID, rfc8414 = issuer + "/.well-known/openid-configuration", issuer + "/.well-known/oauth-authorization-server"
	synctest.Test(t, func(t *testing.T) {
		keys, _ := discover(t, issuer, map[string]string{openID: "<html>", rfc8414: metadata(issuer, jwksURL), jwksURL: edSet(1)})
		wantFind(t, keys, "k1", "found")
		keys, _ = discover(t, issuer, map[string]string{openID: "<html>", rfc8414: "<html>"})
		wantFind(t, keys, "k1", "unavailable")
		if err := keys.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "JSON object") {
			t.Error(err)
		}
	})
}

// Who mistyped an issuer looks for what was asked, and reads every word once.
func TestDiscoveryErrorsNameWhatWasAsked(t *testing.T) {
	const issuer = "https://a.example/x"
	const openID, rfc8414 = issuer + "/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server/x"
	const keysAt = `"` + jwksURL + `"`
	for name, c := range map[string]struct {
		pages map[string]string
		want  string
	}{
		"no metadata":        {nil, `metadata: "` + openID + `" and "` + rfc8414 + `": the provider answered 404`},
		"pages for people":   {map[string]string{openID: "<html>", rfc8414: "<html>"}, `metadata: "` + openID + `" and "` + rfc8414 + `": it is not a JSON object`},
		"one of each":        {map[string]string{openID: "<html>"}, `metadata: "` + openID + `": it is not a JSON object; "` + rfc8414 + `": the provider answered 404`},
		"a failure":          {map[string]string{openID: "503"}, `metadata: "` + openID + `": the provider answered 503`},
		"a failure behind":   {map[string]string{rfc8414: "503"}, `metadata: "` + openID + `": the provider answered 404; "` + rfc8414 + `": the provider answered 503`},
		"another's metadata": {map[string]string{openID: metadata("https://b.example", jwksURL)}, `metadata: "` + openID + `": it is the metadata of "https://b.example", not of "` + issuer + `"`},
		"no keys":            {map[string]string{openID: metadata(issuer, jwksURL+"?token=secret")}, keysAt + ": the provider answered 404"},
		"no key set":         {map[string]string{openID: metadata(issuer, jwksURL), jwksURL: "<html>"}, keysAt + ": JWK Set: it is not a JSON object"},
	} {
		synctest.Test(t, func(t *testing.T) {
			keys, _ := discover(t, issuer, c.pages)
			synctest.Wait()
			if err := keys.Stats().LastError; err == nil || err.Error() != c.want {
				t.Errorf("%s: got  %v\nwant %s", name, err, c.want)
			}
		})
	}
}

func TestDiscoveryRefusesMetadataThatIsNotTheIssuersOwn(t *testing.T) {
	const issuer = "https://a.example/x"
	for _, c := range []struct{ name, page, why string }{
		{"another issuer", metadata("https://evil.example/x", jwksURL), "evil.example"},
		{"a slash more", metadata(issuer+"/", jwksURL), "not of"},
		{"a slash less", metadata("https://a.example", jwksURL), "not of"},
		{"other case", metadata("https://A.example/x", jwksURL), "not of"},
		{"http", metadata("http://a.example/x", jwksURL), "not of"},
		{"no issuer", `{"jwks_uri":"` + jwksURL + `"}`, "not of"},
		{"a list", `{"issuer":["` + issuer + `"],"jwks_uri":"` + jwksURL + `"}`, "not of"},
		{"issuer twice", `{"issuer":"https://evil.example","issuer":"` + issuer + `","jwks_uri":"` + jwksURL + `"}`, "two members"},
		{"other spelling", `{"Issuer":"` + issuer + `","jwks_uri":"` + jwksURL + `"}`, "not of"},
		{"a template nobody allowed", metadata("https://a.example/{tenantid}", jwksURL), "not of"},
		{"no keys", `{"issuer":"` + issuer + `"}`, "jwks_uri"},
		{"keys over http", metadata(issuer, "http://a.example/jwks"), "not https"},
		{"keys on loopback", metadata(issuer, "http://127.0.0.1/jwks"), "inside"},
		{"keys on loopback by name", metadata(issuer, "https://localhost/jwks"), "inside"},
		{"keys on mapped loopback", metadata(issuer, "https://[::ffff:127.0.0.1]/jwks"), "inside"},
		{"keys at the cloud's metadata", metadata(issuer, "https://169.254.169.254/latest"), "inside"},
		{"keys on loopback by name, with a dot", metadata(issuer, "https://LocalHost./jwks"), "inside"},
		{"keys below localhost", metadata(issuer, "https://a.localhost/jwks"), "inside"},
		{"keys on loopback, abbreviated", metadata(issuer, "https://127.1/jwks"), "inside"},
		{"keys on loopback, as one number", metadata(issuer, "https://2130706433/jwks"), "inside"},
		{"keys on loopback, in hexadecimal", metadata(issuer, "https://0x7f000001/jwks"), "inside"},
		{"keys on loopback, in wide digits", metadata(issuer, "https://127.0.0.\uff11/jwks"), "ASCII"},
		{"keys on loopback, with wide dots", metadata(issuer, "https://127\u30020\u30020\u30021/jwks"), "ASCII"},
		{"keys on loopback by name, in wide letters", metadata(issuer, "https://%EF%BD%8Cocalhost/jwks"), "ASCII"},
		{"keys on the link", metadata(issuer, "https://[fe80::1%25eth0]/jwks"), "inside"},
		{"keys for everybody", metadata(issuer, "https://224.0.0.1/jwks"), "inside"},
		{"keys nowhere", metadata(issuer, "https://0.0.0.0/jwks"), "inside"},
		{"keys in a file", metadata(issuer, "file:///etc/passwd"), "absolute"},
		{"keys in the document", metadata(issuer, "data:application/json,{}"), "absolute"},
		{"a relative address", metadata(issuer, "/jwks"), "absolute"},
		{"credentials in the address", metadata(issuer, "https://u:topsecret@a.example/"), "user name"},
		{"a name that is a number", strings.Replace(metadata(issuer, jwksURL), "{", "{1:2,", 1), "not JSON"},
		{"a name without an end", metadata(issuer, jwksURL)[:20], "not JSON"},
		{"trailing junk", metadata(issuer, jwksURL) + "x", "follows"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				keys, s := discover(t, issuer, map[string]string{
					issuer + "/.well-known/openid-configuration":                 c.page,
					"https://a.example/.well-known/oauth-authorization-server/x": metadata(issuer, jwksURL),
				})
				wantFind(t, keys, "k1", "unavailable")
				err := keys.Ready(t.Context())
				if err == nil || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "topsecret") {
					t.Errorf("%v does not say %q", err, c.why)
				}
				for _, req := range s.asked() {
					if !strings.HasSuffix(req.URL.Path, "/openid-configuration") {
						t.Errorf("asked %s", req.URL)
					}
				}
			})
		})
	}
}

func TestDiscoveryWithATenantTemplateOnlyByConfiguration(t *testing.T) {
	const common = "https://login.microsoftonline.com/common/v2.0"
	const template = "https://login.microsoftonline.com/{tenantid}/v2.0"
	pages := map[string]string{common + "/.well-known/openid-configuration": metadata(template, jwksURL), jwksURL: edSet(1)}
	allow := func(value string) func(*jwtauth.RemoteKeysConfig) {
		return func(c *jwtauth.RemoteKeysConfig) { c.MetadataIssuer = value }
	}
	synctest.Test(t, func(t *testing.T) {
		without, _ := discover(t, common, pages)
		wantFind(t, without, "k1", "unavailable")
		other, _ := discover(t, common, pages, allow("https://login.microsoftonline.com/{tenant}/v2.0"))
		wantFind(t, other, "k1", "unavailable")
		keys, _ := discover(t, common, pages, allow(template))
		wantFind(t, keys, "k1", "found")
	})
}

func TestInsecureAllowHTTPIsForBothAddresses(t *testing.T) {
	const issuer = "http://idp.internal"
	synctest.Test(t, func(t *testing.T) {
		keys, _ := discover(t, issuer, map[string]string{
			issuer + "/.well-known/openid-configuration": metadata(issuer, issuer+"/jwks"), issuer + "/jwks": edSet(1),
		}, func(c *jwtauth.RemoteKeysConfig) { c.InsecureAllowHTTP = true })
		wantFind(t, keys, "k1", "found")
	})
}

func TestKeysMoveWithTheMetadata(t *testing.T) {
	const issuer, meta, moved = "https://a.example", "https://a.example/.well-known/openid-configuration", "https://a.example/moved"
	synctest.Test(t, func(t *testing.T) {
		keys, s := discover(t, issuer, map[string]string{meta: metadata(issuer, jwksURL), jwksURL: edSet(1)})
		wantFind(t, keys, "k1", "found")
		s.change(func(s *keyServer) {
			s.bodies = map[string]string{"": "404", meta: metadata(issuer, moved), moved: edSet(2)}
		})
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		wantFind(t, keys, "k2", "found")
		wantFind(t, keys, "k1", "unknown_key")
	})
}

// Metadata that can no longer be had does not keep the keys from being loaded
// from where they were, and what it says of a sudden is not believed.
func TestRule4_BrokenMetadataDoesNotStopKeysFromBeingRefreshed(t *testing.T) {
	const issuer, meta = "https://a.example", "https://a.example/.well-known/openid-configuration"
	for name, page := range map[string]string{
		"gone": "404", "junk": "<html>", "another's": metadata("https://evil.example", "https://evil.example/jwks"),
		"elsewhere": metadata(issuer, "http://169.254.169.254/"),
	} {
		synctest.Test(t, func(t *testing.T) {
			keys, s := discover(t, issuer, map[string]string{meta: metadata(issuer, jwksURL), jwksURL: edSet(1, 2)})
			removed := must(keys.Key(t.Context(), "k1", ""))
			s.change(func(s *keyServer) { s.bodies[meta], s.bodies[jwksURL] = page, edSet(2, 3) })
			time.Sleep(15 * time.Minute)
			synctest.Wait()
			wantFind(t, keys, "k3", "found")
			if !removed.Withdrawn() {
				t.Errorf("%s: the removed key is still believed", name)
			}
			if st := keys.Stats(); st.LastError == nil || st.Failures != 0 {
				t.Errorf("%s: the operator is not told: %+v", name, st)
			}
		})
	}
}

func TestALoadThatARequestCausesFollowsKeysThatMoved(t *testing.T) {
	const issuer, meta, moved = "https://a.example", "https://a.example/.well-known/openid-configuration", "https://a.example/moved"
	for _, status := range []int{301, 302, 308, 404, 410} {
		synctest.Test(t, func(t *testing.T) {
			keys, s := discover(t, issuer, map[string]string{meta: metadata(issuer, jwksURL), jwksURL: edSet(1)})
			wantFind(t, keys, "k1", "found")
			s.change(func(s *keyServer) {
				s.bodies = map[string]string{jwksURL: fmt.Sprint(status), meta: metadata(issuer, moved), moved: edSet(1, 2)}
			})
			before := s.fetches()
			wantFind(t, keys, "k2", "found")
			if got := s.fetches() - before; got != 3 { // where they were, the metadata, where they are
				t.Errorf("%d: %d fetches", status, got)
			}
		})
	}
}

// A provider that refuses must not be asked more often for it.
func TestRule4_KeysThatAreRefusedAndHaveNotMovedCostOneLoadPerCoolDown(t *testing.T) {
	const issuer, meta = "https://a.example", "https://a.example/.well-known/openid-configuration"
	for status, fetches := range map[int]int{
		302: 2, 404: 2, 410: 2, // the metadata may know another place
		304: 1, 400: 1, 401: 1, 403: 1, 408: 1, 429: 1, 500: 1, 503: 1,
	} {
		synctest.Test(t, func(t *testing.T) {
			keys, s := discover(t, issuer, map[string]string{meta: metadata(issuer, jwksURL), jwksURL: edSet(1)})
			wantFind(t, keys, "k1", "found")
			s.change(func(s *keyServer) { s.bodies[jwksURL] = fmt.Sprint(status) })
			before := s.fetches()
			for i := range 100 {
				wantFind(t, keys, fmt.Sprintf("random%d", i), "unavailable")
			}
			if got := s.fetches() - before; got != fetches {
				t.Errorf("%d: %d fetches, want %d", status, got, fetches)
			}
			wantFind(t, keys, "k1", "found")
		})
	}
}

func TestALoadThatARequestCausesAsksForKeysOnly(t *testing.T) {
	const issuer, meta = "https://a.example", "https://a.example/.well-known/openid-configuration"
	synctest.Test(t, func(t *testing.T) {
		keys, s := discover(t, issuer, map[string]string{meta: metadata(issuer, jwksURL), jwksURL: edSet(1)})
		wantFind(t, keys, "k1", "found")
		before := s.fetches()
		wantFind(t, keys, "k2", "unknown_key")
		if got := s.fetches() - before; got != 1 {
			t.Errorf("%d fetches", got)
		}
	})
}

// FuzzMetadata holds what is taken from metadata to what is promised: the
// issuer's own, an address over https, and not one of this machine.
func FuzzMetadata(f *testing.F) {
	const issuer = "https://a.example/x"
	for _, address := range []string{jwksURL, "http://a.example/", "https://127.1/", "https://[::]/", "https://u@a.example", "https://a.example#", "HTTPS://LOCALHOST/", "https:a.example", "//a.example", ""} {
		f.Add([]byte(metadata(issuer, address)))
	}
	f.Add([]byte(`{"issuer":"https://evil.example","issuer":"` + issuer + `","jwks_uri":"` + jwksURL + `"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		address, err := jwtauth.ReadMetadata(issuer, body)
		if err != nil {
			if address != "" || len(err.Error()) > 2000 {
				t.Fatalf("%q, and %v", address, err)
			}
			return
		}
		var doc map[string]any
		if err := json.Unmarshal(body, &doc); err != nil || doc["issuer"] != issuer || doc["jwks_uri"] != address {
			t.Fatalf("took %q from %s", address, body)
		}
		req, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatalf("%q: %v", address, err)
		}
		host := req.URL.Hostname()
		ip := net.ParseIP(host)
		if req.URL.Scheme != "https" || req.URL.User != nil || host == "" || strings.EqualFold(host, "localhost") ||
			ip != nil && (ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast()) {
			t.Fatalf("took %q", address)
		}
	})
}
