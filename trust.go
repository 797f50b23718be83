package authctx

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Trust says whose word about a caller is believed. Implementations are safe
// for concurrent use.
type Trust interface {
	// Trusts returns nil when the peer of r may say who is calling, and otherwise
	// why not, for operators; what the peer wrote then counts as absent. When nobody
	// can tell, such as after a lookup that failed, the error must be [Unavailable], or
	// the caller may pass for nobody. It judges by the connection and never by fields,
	// which are what is in question.
	//
	// It is asked only about requests that have the fields in question or, where it
	// stands for CertificateProxies of jwtauth, a token that is bound to a certificate.
	// Each [OneOf] around the authenticator asks it once more for the same request, so a
	// Trust that looks its answer up should remember it briefly.
	Trusts(ctx context.Context, r *Request) error
}

// TrustFunc makes a function a [Trust]. A nil TrustFunc trusts nobody, and
// [NewFieldsAuthenticator] refuses it.
type TrustFunc func(ctx context.Context, r *Request) error

// Trusts calls f.
func (f TrustFunc) Trusts(ctx context.Context, r *Request) error {
	if f == nil {
		return errors.New("trust is nil")
	}
	return f(ctx, r)
}

// TrustPeerCIDR trusts peers whose address lies in one of the prefixes, such as
// "10.1.0.0/16" or "::1/128". IPv4 and its IPv6-mapped form are the same. A
// peer without an IP address is not trusted.
//
// It is as strong as the network's promise that nobody else can use those
// addresses. A prefix that holds every address is an error: say [TrustNetworkAlone]
// if you mean that. A prefix of loopback trusts every program on this machine, this
// one included, see [FieldsAuthenticator] about a grpc-gateway in it.
//
// Over net/http, the address is that of the connection if the [net/http.Server] has
// the ConnContext of package httpctx. Otherwise it is [net/http.Request.RemoteAddr],
// which middleware may overwrite. Middleware that takes it from a header, like
// ProxyHeaders of gorilla/handlers or RealIP of chi, then belongs inside a server of
// package httpctx, and never in front of it or of
// [google.golang.org/grpc.Server.ServeHTTP]. In front, anybody can name a trusted
// address and with it any caller; and if the gateway honestly names its client, all
// of its requests are refused. The cause of a refusal says which address was judged.
func TrustPeerCIDR(first string, rest ...string) (Trust, error) {
	var prefixes []netip.Prefix
	var errs []error
	for _, s := range append([]string{first}, rest...) {
		prefix, err := parsePrefix(s)
		if err != nil {
			errs = append(errs, err)
		}
		prefixes = append(prefixes, prefix)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return TrustFunc(func(_ context.Context, r *Request) error {
		if !r.Peer.IsValid() {
			return withoutPeer(r, errNoPeer)
		}
		addr := r.Peer.Addr().Unmap().WithZone("")
		for _, prefix := range prefixes {
			if prefix.Contains(addr) {
				return nil
			}
		}
		return fmt.Errorf("peer %v is in no trusted prefix", addr)
	}), nil
}

var errNoPeer = errors.New("peer has no IP address with a port, as over a Unix socket, or where middleware has rewritten it")

// withoutPeer returns why a request is not trusted that lacks what a trust judges by.
// Messages always lack it.
func withoutPeer(r *Request, otherwise error) error {
	if r.Transport == TransportMessage {
		return errMessage
	}
	return otherwise
}

var errMessage = errors.New("a message has no peer and shows no certificate: TrustNetworkAlone trusts whoever can write to its topic")

func parsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("authctx: trust: %q is not a CIDR prefix; one address is \"10.0.0.1/32\"", s)
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("authctx: trust: write %q as an IPv4 prefix", s)
	case prefix.Bits() == 0:
		return netip.Prefix{}, fmt.Errorf("authctx: trust: %q holds every address; say TrustNetworkAlone if that is meant", s)
	}
	return prefix.Masked(), nil
}

// TrustNetworkAlone trusts every peer that can reach this server. Nothing but
// the network then stands between a caller and any identity it likes: use it
// only where a firewall, a service mesh or a container network lets nobody but
// the gateway connect. Messages have no peer: there, it trusts everybody who can write
// to the topic.
func TrustNetworkAlone() Trust {
	return TrustFunc(func(context.Context, *Request) error { return nil })
}

// TrustAnyOf trusts a peer that at least one of its members trusts. It asks them
// in order and stops at the first that does, even if others could not tell. If none
// does, its answer is that of the first that could not tell ([Unavailable]), or else
// the reasons of the first eight. With a nil member it trusts nobody, and
// [NewFieldsAuthenticator] refuses it.
func TrustAnyOf(first Trust, rest ...Trust) Trust {
	members := append([]Trust{first}, rest...)
	if slices.ContainsFunc(members, isNil) {
		return TrustFunc(nil)
	}
	return TrustFunc(func(ctx context.Context, r *Request) error {
		var errs []error
		var unknown error
		for _, m := range members {
			err := m.Trusts(ctx, r)
			switch {
			case err == nil:
				return nil
			case unknown == nil && errors.Is(err, Unavailable):
				unknown = err
			case len(errs) < maxTrustCauses:
				errs = append(errs, err)
			}
		}
		if unknown != nil {
			return unknown
		}
		if more := len(members) - len(errs); more > 0 {
			errs = append(errs, fmt.Errorf("nor is it trusted by %d more", more))
		}
		return errors.Join(errs...)
	})
}

// maxTrustCauses is how many members tell why they do not trust a peer.
const maxTrustCauses = 8

// TrustAllOf trusts a peer that every one of its members trusts. It asks them in
// order and stops at the first that does not, or cannot tell ([Unavailable]), and
// returns its answer. So a member may rely on what an earlier one has found, such as
// a certificate, and members that look something up belong at the end. With a nil
// member it trusts nobody, and [NewFieldsAuthenticator] refuses it.
func TrustAllOf(first Trust, rest ...Trust) Trust {
	members := append([]Trust{first}, rest...)
	if slices.ContainsFunc(members, isNil) {
		return TrustFunc(nil)
	}
	return TrustFunc(func(ctx context.Context, r *Request) error {
		for _, m := range members {
			if err := m.Trusts(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
}
