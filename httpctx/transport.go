package httpctx

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/authctx/authctx"
	"github.com/authctx/authctx/internal/absent"
	"github.com/authctx/authctx/internal/inbound"
)

// TransportConfig configures [NewTransport].
type TransportConfig struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	//
	// It must not follow redirects itself, or the caller goes along to wherever they
	// lead. A RoundTripper with an [http.Client] inside, such as that of
	// hashicorp/go-retryablehttp, stands above, with the Transport in its client.
	//
	// A private cache (RFC 9111), which most caches for [http.Client] are, must not serve
	// several callers, neither here nor above the Transport: it keeps answers that are
	// marked as private, and above the Transport it does not even see who is calling.
	// Here, Vary (see [Server.Handler]) keeps callers apart, but only as far as a service
	// sends it and the cache heeds it; and the Cache-Control of a request, such as
	// "only-if-cached", may bring out an answer whose service said nothing about caching.
	Base http.RoundTripper
	// Propagator writes the caller. It is required.
	Propagator authctx.Propagator
	// Destinations are the hosts that learn who is calling: "orders.internal",
	// on any port, "10.1.2.3:8080", "[::1]:8080", or "*.svc.internal" for every
	// name below svc.internal. At least one is required. They are in ASCII (xn--…),
	// and a request whose URL has another host than that goes to none of them.
	Destinations []string
	// InsecureAllowPlaintext allows sending the caller without TLS to hosts
	// other than this machine, where whoever is on the path can read and change
	// who is calling. It is for networks that encrypt by themselves, such as a
	// service mesh. This machine is a loopback address or "localhost", spelled so,
	// unless Base is an [http.Transport] that sends the request to a forward
	// proxy; a Base of another type is taken to use none.
	InsecureAllowPlaintext bool
}

// Transport is an [http.RoundTripper] that carries the caller of the request's
// context, see [authctx.NewContext], to the destinations that were named. Other
// destinations are told nothing. It is safe for concurrent use.
//
// A caller follows no redirect of an [http.Client] to another host or port, named or not:
// whoever can choose where one service redirects to would otherwise act for the caller at
// all others. The client goes on without the caller, even where a later redirect leads
// back. The default ports of http and https count as one; from https to http, a redirect
// is an error, unless plaintext is allowed by name. Which host a response came from is
// read from its Request. So if Base leaves that nil, the caller follows no redirect; and
// if Base sets another host there, as one that balances load may, the caller follows
// redirects to that host alone, if it was named.
//
// A request loses, wherever it goes,
//
//   - identity fields that it has already: a Transport replaces what somebody else
//     wrote;
//   - the credential that the caller presented to [Server.Handler] or to a gRPC
//     server of package grpcctx, in case a handler kept it and copied it;
//   - the Authorization that came in there and that nobody read, as behind a proxy
//     that says who is calling. A Transport below a [Proxy] leaves this one to the
//     proxy's upstream.
//
// Any other Authorization or cookie is the program's own and is left alone. One that
// equals what came in cannot be told from it and is removed: put a secret that all
// services share into Strip of [ServerConfig].
//
// A Transport below a Proxy takes only the host to which Rewrite sends the request for
// the proxy's upstream. So let a load balancer that chooses another host be the
// Transport's Base; or put it between Proxy and Transport, and let Rewrite leave the host
// empty.
//
// A nil or zero Transport sends nothing: RoundTrip panics.
type Transport struct {
	base         http.RoundTripper
	injector     injector
	destinations []destination
	plaintext    bool
	strip        stripper
}

// NewTransport returns a transport for cfg, or an error that names every setting
// that is missing or wrong.
func NewTransport(cfg TransportConfig) (*Transport, error) {
	destinations, err := parseDestinations(cfg.Destinations)
	errs := []error{err}
	if absent.Unmade(cfg.Propagator) {
		errs = append(errs, errors.New("httpctx: transport: Propagator is required"))
	} else if err := cfg.Propagator.Fields().Validate(); err != nil {
		errs = append(errs, fmt.Errorf("httpctx: transport: Propagator: %w", err))
	}
	if absent.Hollow(cfg.Base) {
		errs = append(errs, errors.New("httpctx: transport: Base holds a nil pointer"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	t := &Transport{
		base:         cfg.Base,
		injector:     newInjector(cfg.Propagator),
		destinations: destinations,
		plaintext:    cfg.InsecureAllowPlaintext,
		strip:        newStripper(cfg.Propagator.Fields()),
	}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	return t, nil
}

// RoundTrip sends a copy of r. Without a caller in the context, the request goes
// out without identity. It fails, and sends nothing, when the caller cannot be
// written, for example because the effective end has come
// ([authctx.TokenExpired]), when a named destination would be told in plaintext and
// that was not allowed, and when it would be told by a TRACE, whose answer shows it.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	caller, err := t.callerFor(r)
	out := r.WithContext(r.Context())
	room := 0
	if !caller.IsZero() {
		room = usualFields
	}
	out.Header = make(http.Header, len(r.Header)+room)
	maps.Copy(out.Header, r.Header)
	t.strip.delete(out.Header)
	if p, ok := proxiedFrom(r.Context()); ok && r.URL != nil && (p.upstream == "" || p.upstream == authority(r.URL)) {
		inbound.RemoveRead(r.Context(), p.Context, out.Header) // as the proxy above has it
	} else {
		inbound.Remove(r.Context(), out.Header)
	}
	t.strip.trailer(out, r)
	if err == nil && !caller.IsZero() {
		err = t.injector.inject(out.Context(), caller, out.Header)
	}
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes the body of what it does not send, too
		}
		return nil, err
	}
	return t.base.RoundTrip(out)
}

// CloseIdleConnections closes those of the base, for
// [http.Client.CloseIdleConnections].
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// callerFor returns whom the destination of r is to be told about, zero for
// nobody.
func (t *Transport) callerFor(r *http.Request) (authctx.Principal, error) {
	p, ok := authctx.FromContext(r.Context())
	if !ok || r.URL == nil || !slices.ContainsFunc(t.destinations, func(d destination) bool { return d.matches(r.URL) }) {
		return authctx.Principal{}, nil
	}
	elsewhere, downgrade := redirected(r)
	if elsewhere {
		return authctx.Principal{}, nil
	}
	err := checkPlaintext(r, t.base, t.plaintext)
	if err == nil && isTrace(r.Method) {
		err = errTrace
	}
	if err == nil && !t.plaintext && downgrade {
		err = errors.New("a redirect leads from https to http, where the caller does not go unless InsecureAllowPlaintext is set")
	}
	if err != nil {
		return authctx.Principal{}, fmt.Errorf("httpctx: transport: %w", err)
	}
	return p, nil
}

// redirected reports whether an [http.Client] made r because of the answer to a
// request, by way of others or not, that did not go to the host of r, and if not,
// whether one went over TLS, which r does not.
func redirected(r *http.Request) (elsewhere, downgrade bool) {
	hops := 0
	for res := r.Response; res != nil; res = res.Request.Response {
		// A transport that answers with one Response for all makes a circle of them.
		if hops++; hops > maxHops || res.Request == nil || res.Request.URL == nil || !sameHost(res.Request.URL, r.URL) {
			return true, false
		}
		downgrade = downgrade || res.Request.URL.Scheme == "https" && r.URL.Scheme != "https"
	}
	return false, downgrade
}

// maxHops is more redirects than any client follows.
const maxHops = 100
