package jwtauth

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/authctx/authctx/internal/exactname"
	"github.com/authctx/authctx/internal/loopback"
)

// externalURL is where clients reach this service, in normal form.
type externalURL struct {
	origin string // scheme, host and port
	base   string // what every path begins with, without a slash at the end
}

func parseExternalURL(s string) (externalURL, error) {
	if s == "" {
		return externalURL{}, errors.New("ExternalURL is required")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || strings.ContainsAny(s, "?#"):
		return externalURL{}, errors.New("ExternalURL must have a scheme, a host, perhaps a path, and nothing else")
	case !exactname.Valid(s):
		return externalURL{}, errors.New("ExternalURL " + exactname.Rule)
	case !hasPort(u):
		return externalURL{}, errors.New("ExternalURL must have a port that can be, or none")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback.Is(u.Hostname())):
		return externalURL{}, errors.New("ExternalURL must be https; http is for loopback addresses")
	case strings.Contains(u.Host, "%"):
		return externalURL{}, errors.New("ExternalURL must have a host that is known elsewhere, without a zone")
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r >= 0x80 }):
		return externalURL{}, errors.New("ExternalURL must have its host in ASCII, as clients send it (xn--…)")
	}
	path, _ := normalPath(u.EscapedPath()) // of a URL with a host, that is one
	return externalURL{normalOrigin(u.Scheme, u.Host), strings.TrimRight(path, "/")}, nil
}

// of returns the normal form of the URL of a request, and false when its target
// is no path. The path is made normal by itself, so that no dots in it lead out
// of the base.
func (e externalURL) of(target string) (string, bool) {
	path, ok := normalPath(target)
	return e.origin + e.base + path, ok
}

// sameURL reports whether claimed, without its query and fragment, is another
// way to write normal.
func sameURL(claimed, normal string) bool {
	if i := strings.IndexAny(claimed, "?#"); i >= 0 {
		claimed = claimed[:i]
	}
	scheme, rest, ok := strings.Cut(claimed, "://")
	if !ok {
		return false
	}
	host, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	path, ok = normalPath(path)
	return ok && normalOrigin(scheme, host)+path == normal
}

// normalOrigin folds the case of ASCII letters, drops the port that the scheme
// implies (RFC 3986 sections 6.2.2.1 and 6.2.3), and makes one of the ways to
// write a port or an IPv6 address, of which a browser's has no dots.
func normalOrigin(scheme, host string) string {
	scheme, host = lowerASCII(scheme), lowerASCII(host)
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name, port = host[:i], host[i:]
	}
	if strings.Contains(name, ":") && !strings.HasSuffix(name, "]") {
		return scheme + "://" + host // a second port, or an IPv6 address without brackets: no host
	}
	return scheme + "://" + normalAddress(name) + normalPort(scheme, port)
}

// normalAddress returns host as it is, unless it is an IPv6 address in brackets.
func normalAddress(host string) string {
	if !strings.HasPrefix(host, "[") || !strings.HasSuffix(host, "]") {
		return host
	}
	ip, err := netip.ParseAddr(host[1 : len(host)-1])
	if err != nil || !ip.Is6() {
		return host
	}
	return "[" + ip.String() + "]"
}

// normalPort returns port, which begins with a colon if there is one, without leading
// zeros, and empty where the scheme implies it. What is no port it leaves alone.
func normalPort(scheme, port string) string {
	if port == "" || port == ":" {
		return ""
	}
	n, err := strconv.ParseUint(port[1:], 10, 16)
	switch {
	case err != nil || n == 0:
		return port
	case n == 443 && scheme == "https", n == 80 && scheme == "http":
		return ""
	}
	return ":" + strconv.FormatUint(n, 10)
}

// lowerASCII leaves alone what is not ASCII, where a letter of another script
// could become one of ours.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// normalPath gives equal paths one form (RFC 3986 sections 6.2.2 and 6.2.3):
// only what must be percent-encoded is, in upper case, there are no dot
// segments, and the empty path is "/". It returns false for what is no path.
func normalPath(p string) (string, bool) {
	if p == "" {
		return "/", true
	}
	if p[0] != '/' {
		return "", false
	}
	var b strings.Builder
	b.Grow(len(p))
	for i := 0; i < len(p); i++ {
		c := p[i]
		decoded := c == '%'
		if decoded {
			if i+2 >= len(p) {
				return "", false
			}
			n, err := strconv.ParseUint(p[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c, i = byte(n), i+2
		}
		if !decoded && (c <= ' ' || c == 0x7f || c == '?' || c == '#') {
			return "", false
		}
		if unreserved(c) || !decoded && strings.IndexByte("/:@!$&'()*+,;=", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte("0123456789ABCDEF"[c>>4])
			b.WriteByte("0123456789ABCDEF"[c&15])
		}
	}
	return withoutDots(b.String()), true
}

// withoutDots removes dot segments (RFC 3986 section 5.2.4).
func withoutDots(p string) string {
	if !strings.Contains(p, "/.") {
		return p
	}
	segments := strings.Split(p[1:], "/")
	kept := segments[:0]
	for i, segment := range segments {
		if segment != "." && segment != ".." {
			kept = append(kept, segment)
			continue
		}
		if segment == ".." && len(kept) > 0 {
			kept = kept[:len(kept)-1]
		}
		if i == len(segments)-1 {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
