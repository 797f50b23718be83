package httpctx

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/authctx/authctx/internal/loopback"
)

// destination is a parsed host pattern.
type destination struct {
	host string // exact, or the suffix with its leading dot
	port string // empty for any
	any  bool   // below a suffix
}

// parseDestination reads "host", "host:port", "*.suffix" or "*.suffix:port". An
// IPv6 address stands in brackets.
func parseDestination(pattern string) (destination, error) {
	u := url.URL{Host: strings.ToLower(pattern)}
	d := destination{host: u.Hostname(), port: u.Port()}
	rest, wild := strings.CutPrefix(d.host, "*")
	if wild {
		d.host, d.any = rest, true
	}
	switch {
	case !isASCII(pattern):
		return destination{}, errors.New("its host is not in ASCII (xn--…)")
	case d.host == "" || strings.ContainsAny(d.host, "*/@?#% \t") || strings.HasSuffix(d.host, "."):
		return destination{}, errors.New(`it is not "host", "host:port" or "*.suffix"`)
	case d.any && (len(d.host) < 2 || d.host[0] != '.'):
		return destination{}, errors.New(`a wildcard is a whole label with a suffix, "*.suffix"`)
	case canonicalHost(d.host, d.port) != strings.TrimPrefix(strings.ToLower(pattern), "*"):
		return destination{}, errors.New("it is not a host with an optional port")
	}
	if _, err := strconv.ParseUint(d.port, 10, 16); d.port != "" && (err != nil || d.port[0] == '0') {
		return destination{}, errors.New("no port is written like that")
	}
	return d, nil
}

// canonicalHost writes host and port as a URL does.
func canonicalHost(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" {
		return host
	}
	return host + ":" + port
}

// parseDestinations reports every pattern that is wrong.
func parseDestinations(patterns []string) ([]destination, error) {
	if len(patterns) == 0 {
		return nil, errors.New("httpctx: transport: Destinations is required")
	}
	var list []destination
	var errs []error
	for _, pattern := range patterns {
		d, err := parseDestination(pattern)
		if err != nil {
			errs = append(errs, fmt.Errorf("httpctx: transport: Destinations: %q: %w", pattern, err))
		}
		list = append(list, d)
	}
	return list, errors.Join(errs...)
}

// matches reports whether u is the destination, by its URL alone: a Host header
// does not say where a request goes.
func (d destination) matches(u *url.URL) bool {
	host := hostOf(u)
	if !isASCII(host) || d.port != "" && d.port != portOf(u) {
		return false
	}
	if d.any { // a zone, which may look like names, is part of an address
		return len(host) > len(d.host) && strings.HasSuffix(host, d.host) && !strings.ContainsAny(host, ":%")
	}
	return host == d.host
}

// authority returns host and port of u, the same for all ways to write them, and
// nothing where u has no host.
func authority(u *url.URL) string {
	if host := hostOf(u); host != "" {
		return net.JoinHostPort(host, portOf(u))
	}
	return ""
}

// sameHost reports whether a and b lead to one port of one host. The default ports of
// http and https count as one.
func sameHost(a, b *url.URL) bool {
	return hostOf(a) == hostOf(b) && (portOf(a) == portOf(b) || isDefaultPort(a) && isDefaultPort(b))
}

func isDefaultPort(u *url.URL) bool { return portOf(u) == portOf(&url.URL{Scheme: u.Scheme}) }

// hostOf leaves alone what is not ASCII: net/http asks for it in xn--…, and that is not
// always the host that lower case would make of it, which for "\u0130" is "i".
func hostOf(u *url.URL) string {
	host := strings.TrimSuffix(u.Hostname(), ".")
	if !isASCII(host) {
		return host
	}
	return strings.ToLower(host)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= utf8.RuneSelf })
}

func portOf(u *url.URL) string {
	port := u.Port()
	switch {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	case u.Scheme == "http":
		return "80"
	}
	return ""
}

// checkPlaintext returns why the caller is not to be sent on r, which base is to
// send.
func checkPlaintext(r *http.Request, base http.RoundTripper, allowed bool) error {
	if allowed || r.URL.Scheme == "https" || staysHere(r, base) {
		return nil
	}
	return fmt.Errorf("the caller is not sent to %q in plaintext, since it is not this machine or a proxy is on the way; use https or set InsecureAllowPlaintext", r.URL.Host)
}

// staysHere reports whether r does not leave this machine.
func staysHere(r *http.Request, base http.RoundTripper) bool {
	if !loopback.Is(r.URL.Hostname()) {
		return false
	}
	t, ok := base.(*http.Transport)
	if !ok || t.Proxy == nil {
		return true
	}
	proxy, err := t.Proxy(r)
	return proxy == nil && err == nil
}
