package jwtauth_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/jwtauth"
)

// proveURL reports whether a proof for htu passes at a service that is reached
// under external, for a request for target.
func proveURL(t testing.TB, c *dpopCase, target, htu string) bool {
	t.Helper()
	r := c.request(c.key.Proof("GET", htu, c.token).Sign())
	r.Target = target
	_, err := c.dpop.Authenticate(t.Context(), r)
	if reason := authctx.ReasonOf(err); reason != 0 && reason != authctx.InvalidProof {
		t.Fatalf("%q, %q: %v", target, htu, err)
	}
	return err == nil
}

func TestRFC9449_Section4_3_Check9_URLsAreComparedInNormalForm(t *testing.T) {
	const kelvin = "\u212a" // its lower case is k
	for _, test := range []struct {
		external, target, htu string
		want                  bool
	}{
		{"https://api.example", "/orders", "https://api.example/orders", true},
		{"https://api.example/", "/orders", "https://api.example/orders", true},
		{"https://api.example", "/orders", "https://api.example/orders?page=2#top", true},
		{"https://api.example", "/orders", "https://api.example/orders#?", true},
		{"https://api.example", "/orders", "HTTPS://API.Example:443/orders", true},
		{"https://API.example:443", "/orders", "https://api.example:/orders", true},
		{"https://api.example", "/orders", "https://api.example:80/orders", false},
		{"http://localhost:80", "/orders", "http://localhost/orders", true},
		{"http://localhost:8080", "/orders", "http://localhost:8080/orders", true},
		{"http://localhost:8080", "/orders", "http://localhost/orders", false},
		{"https://[::1]:8443", "/", "https://[::1]:8443", true},
		{"https://[2001:DB8:0::1]", "/x", "https://[2001:db8::1]/x", true},
		{"https://[2001:db8::1]", "/x", "https://[2001:DB8:0:0:0:0:0:0001]:443/x", true},
		{"https://[0:0:0:0:0:0:0:1]:8443", "/x", "https://[::1]:8443/x", true},
		{"https://[::ffff:10.0.0.1]", "/x", "https://[::ffff:a00:1]/x", true},
		{"https://[::ffff:10.0.0.1]", "/x", "https://10.0.0.1/x", false},
		{"https://10.0.0.1", "/x", "https://[::ffff:a00:1]/x", false},
		{"https://10.0.0.1", "/x", "https://[10.0.0.1]/x", false},
		{"https://10.0.0.1", "/x", "https://10.0.0.01/x", false},
		{"https://[2001:db8::1]", "/x", "https://[2001:db8::2]/x", false},
		{"https://[2001:db8::1]", "/x", "https://2001:db8::1/x", false},
		{"https://[2001:db8::1]", "/x", "https://[2001:db8::1%251]/x", false},
		{"https://[2001:db8::1]", "/x", "https://[2001:db8::1]x/x", false},
		{"https://[2001:db8::1]", "/x", "https://[2001:db8::1]:444/x", false},
		{"https://api.example:0443", "/x", "https://api.example/x", true},
		{"https://api.example:8443", "/x", "https://api.example:08443/x", true},
		{"https://api.example:8443", "/x", "https://api.example:8443:0443/x", false},
		{"http://localhost:8080", "/x", "http://localhost:8080:80/x", false},
		{"https://[::1]:8443", "/x", "https://[::1]:8443:443/x", false},
		{"https://[::1]", "/x", "https://[::1]:/x", true},
		{"https://api.example", "/x", "https://api.example:0/x", false},
		{"https://api.example", "/x", "https://api.example:66979/x", false}, // 65536+443
		{"https://api.example", "/x", "https://api.example:+443/x", false},
		{"https://api.example", "/x", "https://api.example:443:443/x", false},
		{"https://api.example", "", "https://api.example/", true},
		{"https://api.example", "/", "https://api.example", true},
		{"https://api.example", "/", "https://api.example?x", true},
		{"https://api.example", "/Orders", "https://api.example/orders", false},
		{"https://api.example", "/%7Ealice", "https://api.example/~alice", true},
		{"https://api.example", "/caf%c3%a9", "https://api.example/caf%C3%A9", true},
		{"https://api.example", "/caf%C3%A9", "https://api.example/café", true},
		{"https://api.example", "/a%7Cb", "https://api.example/a|b", true},
		{"https://api.example", "/a%2Fb", "https://api.example/a/b", false},
		{"https://api.example", "/a/b", "https://api.example/a%2Fb", false},
		{"https://api.example", "/a%3Fb", "https://api.example/a?b", false},
		{"https://api.example", "/a%2525", "https://api.example/a%25", false},
		{"https://api.example", "/a/./b/../c", "https://api.example/a/c", true},
		{"https://api.example", "/a/c", "https://api.example/x/%2e%2E/a/c", true},
		{"https://api.example", "/a/", "https://api.example/a/b/..", true},
		{"https://api.example", "/a//b", "https://api.example/a/b", false},
		{"https://api.example", "/a;v=1", "https://api.example/a;v=1", true},
		{"https://api.example", "/a;v=1", "https://api.example/a%3Bv=1", false},
		{"https://api.example/base", "/orders", "https://api.example/base/orders", true},
		{"https://api.example/base/", "/orders", "https://api.example/base/orders", true},
		{"https://api.example/base", "/orders", "https://api.example/orders", false},
		{"https://api.example/base", "/../orders", "https://api.example/orders", false},
		{"https://api.example/base", "/%2e%2e/orders", "https://api.example/orders", false},
		{"https://api.example/base", "/../orders", "https://api.example/base/orders", true},
		{"https://api.example", "/a\x01/../orders", "https://api.example/orders", false},
		{"https://api.example", "/orders", "https://api.example/a\x7f/../orders", false},
		{"https://api.example", "/a/b", "https://api.example/a//../b", true},
		{"https://api.example", "/b", "https://api.example/a//../b", false},
		{"https://api.example", "/a#/../orders", "https://api.example/orders", false},
		{"https://api.example", "*", "https://api.example*", false},
		{"https://api.example", "orders", "https://api.exampleorders", false},
		{"https://api.example", "/orders", "https:/api.example/orders", false},
		{"https://api.example", "/orders", "//api.example/orders", false},
		{"https://api.example", "/orders", " https://api.example/orders", false},
		{"https://api.example", "/orders", "https://api.example/orders ", false},
		{"https://api.example", "/a%20b", "https://api.example/a%20b", true},
		{"https://api.example", "/a%7f%23%3f", "https://api.example/a%7F%23%3F", true},
		{"https://api.example", "/a?/../orders", "https://api.example/orders", false},
		{"https://api.example", "/a /../orders", "https://api.example/orders", false},
		{"https://api.example", "/a\x7f/../orders", "https://api.example/orders", false},
		{"https://api.example/base", "*", "https://api.example/base", false},
		{"https://api.example/base", "orders", "https://api.example/base", false},
		{"https://api.example/base", "/%zz", "https://api.example/base", false},
		{"https://api.example/base", "?", "https://api.example/base", false},
		{"https://api.example", "/%G1", "https://api.example/%G1", false},
		{"https://api.example", "/%1G", "https://api.example/%1G", false},
		{"https://api.example", "/%g1", "https://api.example/%g1", false},
		{"https://api.example", "/%1g", "https://api.example/%1g", false},
		{"https://api.example", "/%:1", "https://api.example/%:1", false},
		{"https://api.example", "/%/1", "https://api.example/%/1", false},
		{"https://api.example", "/%`1", "https://api.example/%`1", false},
		{"https://api.example", "/%@1", "https://api.example/%@1", false},
		{"https://bank.example", "/orders", "https://ban" + kelvin + ".example/orders", false},
	} {
		c := newDPoPCase(t, func(cfg *jwtauth.DPoPConfig) { cfg.ExternalURL = test.external })
		if got := proveURL(t, c, test.target, test.htu); got != test.want {
			t.Errorf("%s, %q: %q passes: %v", test.external, test.target, test.htu, got)
		}
	}
}

func TestRFC9449_TheHostFieldIsNoWitness(t *testing.T) {
	c := newDPoPCase(t, nil) // every request of dpopCase says it is for evil.example
	if proveURL(t, c, "/orders", "https://evil.example/orders") {
		t.Error("a proof for another host passes")
	}
	if !proveURL(t, c, "/orders", "https://api.example/orders") {
		t.Error("the Host field spoils a good proof")
	}
}

// FuzzDPoPURL compares with what net/url makes of both sides: a proof never
// passes for a URL that net/url takes for another one.
func FuzzDPoPURL(f *testing.F) {
	for _, htu := range []string{"https://api.example/a%2Fb", "HTTPS://api.example:443/a/../b?c#d", "https://api.example//x", "https://api.example/%7e", "https://a@api.example/"} {
		f.Add("/a/b", htu)
		f.Add("/%61/./b", htu)
	}
	f.Fuzz(func(t *testing.T, target, htu string) {
		if !jwtauth.SameURL("https://api.example", target, htu) {
			return
		}
		claimed, err := url.Parse(htu)
		if err != nil {
			return // stricter than we are about what counts for nothing, such as the fragment
		}
		host := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(claimed.Host), ":443"), ":")
		asked, err := url.Parse("https://api.example" + target)
		if err != nil || strings.ToLower(claimed.Scheme) != "https" || host != "api.example" || claimed.User != nil {
			t.Fatalf("a proof for %q passes for %q", htu, target)
		}
		asked.RawQuery, asked.Fragment = "", ""
		if a, b := resolvedPath(asked), resolvedPath(claimed); a != b {
			t.Fatalf("%q passes for %q: %q and %q", htu, target, b, a)
		}
	})
}

// FuzzDPoPOrigin compares with what net/url and netip make of both sides: a proof
// never passes for another host or port.
func FuzzDPoPOrigin(f *testing.F) {
	for _, host := range []string{"api.example", "API.example:0443", "[::1]:8443", "[2001:DB8:0::1]", "[::ffff:10.0.0.1]", "10.0.0.1:", "[fe80::1%25a]", "a:0", "a:65979"} {
		for _, other := range []string{host, "[::ffff:a00:1]", "[0:0:0:0:0:0:0:1]:08443", "api.example:443:", "a:"} {
			f.Add(host, other)
		}
	}
	f.Fuzz(func(t *testing.T, external, claimed string) {
		if strings.ContainsAny(external+claimed, "/?#") || !jwtauth.SameURL("https://"+external, "/", "https://"+claimed+"/") {
			return
		}
		a, errA := url.Parse("https://" + external)
		b, errB := url.Parse("https://" + claimed)
		if errA != nil || errB != nil {
			return // net/url is stricter than we are
		}
		if b.User != nil || !sameHost(a.Hostname(), b.Hostname()) || portOf(a) != portOf(b) {
			t.Fatalf("a proof for %q passes at %q", claimed, external)
		}
	})
}

func sameHost(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	return strings.EqualFold(a, b) || errX == nil && errY == nil && x == y
}

func portOf(u *url.URL) string {
	if u.Port() == "" {
		return "443"
	}
	return strings.TrimLeft(u.Port(), "0")
}

// resolvedPath returns a path without percent-encoding and dots, by RFC 3986
// section 5.2.4 to the letter: what net/url does with dots makes one slash of
// two here and there.
func resolvedPath(u *url.URL) string {
	raw := u.RawPath // EscapedPath drops it where it has an odd character
	if raw == "" {
		raw = u.EscapedPath()
	}
	in, out := strings.NewReplacer("%2e", ".", "%2E", ".").Replace(raw), ""
	last := func() string { return out[:max(0, strings.LastIndexByte(out, '/'))] }
	for in != "" {
		switch {
		case strings.HasPrefix(in, "/./"):
			in = in[2:]
		case in == "/.":
			in = "/"
		case strings.HasPrefix(in, "/../"):
			in, out = in[3:], last()
		case in == "/..":
			in, out = "/", last()
		default:
			end := len(in)
			if next := strings.IndexByte(in[1:], '/'); next >= 0 {
				end = next + 1
			}
			in, out = in[end:], out+in[:end]
		}
	}
	path, err := url.PathUnescape(out)
	if err != nil {
		return out
	}
	if path == "" {
		return "/" // section 6.2.3
	}
	return path
}
