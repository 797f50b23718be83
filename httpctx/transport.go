package httpctx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/authctx/authctx"
)

// TransportConfig configures [NewTransport].
type TransportConfig struct {
	// Base sends the requests; nil means [http.DefaultTransport].
	Base http.RoundTripper
	// Propagator writes the caller. It is required.
	Propagator authctx.Propagator
	// Destinations are the hosts that learn who is calling: "orders.internal",
	// on any port, "10.1.2.3:8080", "[::1]:8080", or "*.svc.internal" for every
	// name below svc.internal. At least one is required.
	Destinations []string
	// InsecurePlaintext allows sending the caller without TLS to hosts other
	// than this machine. Whoever can read or change that traffic can then act as
	// any caller who passes.
	InsecurePlaintext bool
}

// Transport is a [http.RoundTripper] that carries the caller of the request's
// context, see [authctx.NewContext], to the destinations that were named. Other
// destinations are told nothing. It is safe for concurrent use.
//
// Every redirect is a request of its own and judged on its own, so a caller
// never follows one to a host that was not named, or from https to http.
//
// Identity fields that are on a request already are removed, wherever it goes:
// a Transport replaces what somebody else wrote. So is the credential that the
// caller presented to [Server], should a handler have been left with it and
// copied it. An Authorization of the program's own is left alone.
type Transport struct {
	base         http.RoundTripper
	propagator   authctx.Propagator
	destinations []destination
	plaintext    bool
	strip        stripper
	keys         map[string]string
}

// NewTransport returns a transport for cfg, or an error that names every setting
// that is missing or wrong.
func NewTransport(cfg TransportConfig) (*Transport, error) {
	destinations, err := parseDestinations(cfg.Destinations)
	errs := []error{err}
	if cfg.Propagator == nil {
		errs = append(errs, errors.New("httpctx: transport: Propagator is required"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	t := &Transport{
		base:         cfg.Base,
		propagator:   cfg.Propagator,
		destinations: destinations,
		plaintext:    cfg.InsecurePlaintext,
		strip:        newStripper(authctx.IdentityFields(), cfg.Propagator.Fields()),
		keys:         canonicalKeys(cfg.Propagator.Fields()),
	}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	return t, nil
}

// RoundTrip sends a copy of r. Without a caller in the context, the request goes
// out without identity. It fails, and sends nothing, when the caller cannot be
// written, for example because the effective end has come
// ([authctx.TokenExpired]), and when a named destination would be told in
// plaintext and that was not allowed.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.WithContext(r.Context())
	out.Header = cloneHeader(r.Header)
	t.strip.delete(out.Header)
	if t.strip.any(r.Trailer) {
		t.strip.trailer(out, r)
	}
	removeInbound(r.Context(), out.Header)
	if err := t.inject(out); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes the body of what it does not send, too
		}
		return nil, err
	}
	return t.base.RoundTrip(out)
}

func (t *Transport) inject(out *http.Request) error {
	p, ok := authctx.FromContext(out.Context())
	if !ok || !slices.ContainsFunc(t.destinations, func(d destination) bool { return d.matches(out.URL) }) {
		return nil
	}
	if out.URL.Scheme != "https" && !t.plaintext && !isLoopback(out.URL) {
		return fmt.Errorf("httpctx: transport: the caller is not sent to %q in plaintext; use https or set InsecurePlaintext", out.URL.Host)
	}
	return inject(out.Context(), t.propagator, p, t.keys, out.Header)
}

// inject writes p into h, in place of what was there under the same names. A
// field that comes several times has several values.
func inject(ctx context.Context, prop authctx.Propagator, p authctx.Principal, keys map[string]string, h http.Header) error {
	var buf [24]authctx.Field
	fields := buf[:0]
	err := prop.Inject(ctx, p, func(name, value string) { fields = append(fields, authctx.Field{Name: name, Value: value}) })
	if err != nil {
		return fmt.Errorf("httpctx: the caller cannot be sent: %w", err)
	}
	values := make([]string, 0, len(fields))
	for i, f := range fields {
		key, ok := keys[f.Name]
		if !ok {
			key = http.CanonicalHeaderKey(f.Name)
		}
		if slices.ContainsFunc(fields[:i], func(o authctx.Field) bool { return o.Name == f.Name }) {
			h[key] = append(h[key], f.Value)
			continue
		}
		values = append(values, f.Value)
		h[key] = values[len(values)-1 : len(values) : len(values)]
	}
	return nil
}

func cloneHeader(h http.Header) http.Header {
	if h == nil {
		return http.Header{}
	}
	return maps.Clone(h)
}
