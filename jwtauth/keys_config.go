package jwtauth

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/exactname"
	"github.com/authctx/authctx/internal/loopback"
)

// RemoteKeysConfig says where the keys of one issuer are and how they are kept
// up to date. One of Issuer and JWKSURL is required; everything else has a
// default. URLs must be https; http is for loopback addresses.
//
// There is no clock to set. A test moves time with [testing/synctest], where a
// Transport that answers from memory stands in for the network: after a
// time.Sleep of RefreshInterval and a synctest.Wait the keys are new.
type RemoteKeysConfig struct {
	// Issuer finds the keys through the issuer's metadata: OpenID Connect
	// Discovery, and where there is none, RFC 8414. The metadata must name
	// exactly this issuer.
	Issuer string
	// MetadataIssuer is what the metadata must name instead of Issuer. It is
	// for Entra ID, whose metadata for several tenants names the template
	// "https://login.microsoftonline.com/{tenantid}/v2.0", braces included.
	MetadataIssuer string
	// JWKSURL is the address of the JWK Set itself.
	JWKSURL string

	// RefreshInterval is the longest time between the starts of two loads while
	// the provider answers; 15 minutes when zero, at least 100 ms. A key that
	// the provider has removed verifies no longer than this and the time that
	// one load takes. After a machine was suspended, an overdue load begins within a
	// minute.
	//
	// The provider's max-age shortens it, to no less than a minute, which max-age=0
	// means too; no-cache and no-store change nothing. Jitter shortens it by up to a
	// tenth, so that many servers do not load at once. A load that fails is tried
	// again after 1 s, then after longer and longer waits, up to 30 s.
	//
	// The metadata is asked where the keys are at these loads, and at others only if
	// they are no longer where they were. So if the keys move while the old address goes
	// on answering, tokens of new keys are [authctx.UnknownKey] until the next one.
	RefreshInterval time.Duration
	// CoolDown is the shortest time between two loads that requests with
	// unknown keys cause; 10 seconds when zero. Tests that rotate keys want
	// [time.Nanosecond].
	CoolDown time.Duration
	// Timeout bounds one HTTP exchange, and how long a request waits for keys;
	// 5 seconds when zero, at least 1 ms.
	Timeout time.Duration
	// MaxStale is how old keys may be that the provider, being out of reach,
	// has not confirmed; older ones are withdrawn. It must be longer than
	// RefreshInterval. By default they are believed for as long as the outage
	// lasts.
	MaxStale time.Duration

	// MaxBytes bounds what is read of one response; 1 MiB when zero, at most
	// 1 GiB.
	MaxBytes int64
	// MaxKeys bounds the keys of a set, usable or not; 100 when zero.
	MaxKeys int

	// Transport makes the requests. Nil uses one of its own, with timeouts,
	// through the proxy that the environment names. Redirects are not followed
	// and cookies not kept either way.
	Transport http.RoundTripper
	// InsecureAllowHTTP permits http:// to addresses that are not loopback.
	// Whoever is on the network between here and there can then sign tokens.
	InsecureAllowHTTP bool
}

const (
	minRefresh   = 100 * time.Millisecond
	maxSetKeys   = 100 // what verifiers take by default, and SigningKeys publish
	mostKeyBytes = 1 << 30
)

// withDefaults checks everything at once.
func (cfg RemoteKeysConfig) withDefaults() (RemoteKeysConfig, error) {
	problems, label := cfg.checkAddress(), "RemoteKeysConfig"
	if len(problems) == 0 {
		label = cfg.owner() // which nothing is known of that must stay secret
	}
	bad := problems.add
	problems.atLeast(minRefresh, "RefreshInterval", cfg.RefreshInterval)
	problems.atLeast(time.Millisecond, "Timeout", cfg.Timeout)
	cfg.RefreshInterval, cfg.Timeout = cmp.Or(cfg.RefreshInterval, 15*time.Minute), cmp.Or(cfg.Timeout, 5*time.Second)
	if cfg.CoolDown < 0 {
		bad("CoolDown must not be negative")
	}
	if cfg.MaxStale != 0 && cfg.MaxStale <= max(0, cfg.RefreshInterval) {
		bad("MaxStale must be longer than RefreshInterval, which is %v", cfg.RefreshInterval)
	}
	if cfg.MaxBytes < 0 || cfg.MaxBytes > mostKeyBytes {
		bad("MaxBytes must be between 0 and %d", mostKeyBytes)
	}
	if cfg.MaxKeys < 0 {
		bad("MaxKeys must not be negative")
	}
	if absent.Hollow(cfg.Transport) {
		bad("Transport holds a nil pointer; leave it out for one of our own")
	}
	cfg.CoolDown = cmp.Or(cfg.CoolDown, 10*time.Second)
	cfg.MaxBytes, cfg.MaxKeys = cmp.Or(cfg.MaxBytes, 1<<20), cmp.Or(cfg.MaxKeys, maxSetKeys)
	return cfg, problems.of(label)
}

// checkAddress checks where the keys are.
func (cfg RemoteKeysConfig) checkAddress() (p problems) {
	bad := p.add
	switch {
	case cfg.Issuer == "" && cfg.JWKSURL == "":
		bad("one of Issuer and JWKSURL is required")
	case cfg.Issuer != "" && cfg.JWKSURL != "":
		bad("Issuer and JWKSURL exclude each other")
	case cfg.Issuer != "":
		if u, err := parseKeyURL(cfg.Issuer, cfg.InsecureAllowHTTP); err != nil {
			bad("Issuer: %w", err)
		} else if u.RawQuery != "" || u.ForceQuery {
			bad("Issuer: it has a query (RFC 8414 section 2)")
		}
	default:
		if _, err := parseKeyURL(cfg.JWKSURL, cfg.InsecureAllowHTTP); err != nil {
			bad("JWKSURL: %w", err)
		}
	}
	p.issuer("MetadataIssuer", cfg.MetadataIssuer)
	if cfg.MetadataIssuer != "" && cfg.Issuer == "" {
		bad("MetadataIssuer needs Issuer")
	}
	return p
}

// owner says whose keys these are, in a form that is fit for logs.
func (cfg RemoteKeysConfig) owner() string {
	return fmt.Sprintf("keys of %.200q", cmp.Or(cfg.Issuer, shownURL(cfg.JWKSURL)))
}

// shownURL returns of an address what may be shown: no query, which may be a
// secret, and no user, who may have a password.
func shownURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "what is no URL"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// parseKeyURL checks the address of keys or of what leads to them.
func parseKeyURL(raw string, allowHTTP bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL")
	case u.Opaque != "":
		return nil, errors.New("it is not an absolute URL, which begins with https://")
	case u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("%.200q is not an absolute URL", shownURL(raw))
	case u.User != nil:
		return nil, errors.New("the URL holds a user name")
	case !exactname.Valid(raw):
		return nil, fmt.Errorf("the URL %.200q "+exactname.Rule, shownURL(raw))
	case !hasPort(u):
		return nil, fmt.Errorf("%.200q has a port that cannot be", shownURL(raw))
	case strings.Contains(raw, "#"):
		return nil, fmt.Errorf("%.200q has a fragment", shownURL(raw))
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r >= utf8.RuneSelf }):
		// net/http makes another name of it, such as localhost of wide letters.
		return nil, fmt.Errorf("%.200q has a host that is not in ASCII (xn--…)", shownURL(raw))
	case u.Scheme == "https" || u.Scheme == "http" && (allowHTTP || loopback.Is(u.Hostname())):
		return u, nil
	}
	return nil, fmt.Errorf("%.200q is not https, and http is for loopback addresses unless InsecureAllowHTTP is set", shownURL(raw))
}

// hasPort reports whether the port of u is one, or left out.
func hasPort(u *url.URL) bool {
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && port != 0
}

// isInward reports whether a host is an address that only this machine or its
// link can reach, which metadata from elsewhere has no business to name.
func isInward(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		// What ends in a number is no name, but to some resolvers it is an
		// address: 127.1, 0x7f000001.
		last := host[strings.LastIndexByte(host, '.')+1:]
		_, err := strconv.ParseUint(last, 0, 64)
		return err == nil
	}
	addr = addr.Unmap()
	return addr.IsLoopback() || addr.IsUnspecified() || addr.IsLinkLocalUnicast() || addr.IsMulticast()
}
