package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/authctx/authctx/examples/internal/program"
)

// upstreams is the services behind the gateway.
type upstreams struct {
	httpFlag, grpcFlag program.Once
	plaintext          bool

	http, grpc *url.URL // nil if not given
}

func (u *upstreams) flags(fs *flag.FlagSet) {
	fs.Var(&u.httpFlag, "upstream", "`URL` of the HTTP service, as http://127.0.0.1:8081")
	fs.Var(&u.grpcFlag, "grpc-upstream", "`ADDR` of the gRPC service, as 127.0.0.1:9091")
	fs.BoolVar(&u.plaintext, "allow-plaintext", false, "tell upstreams on other machines who is calling without TLS too, where whoever\n"+
		"is on the path can read and change that; for networks that encrypt by\n"+
		"themselves, such as a service mesh")
}

// check reads the flags. No error shows what they hold but for a host: it may be a
// secret.
func (u *upstreams) check() error {
	errs := []error{u.httpFlag.Check("upstream"), u.grpcFlag.Check("grpc-upstream")}
	var err error
	if u.httpFlag.Text != "" {
		u.http, err = parseUpstream(u.httpFlag.Text)
		errs = append(errs, u.checkHost("-upstream", u.http, err))
	}
	if u.grpcFlag.Text != "" {
		u.grpc, err = parseGRPCUpstream(u.grpcFlag.Text)
		errs = append(errs, u.checkHost("-grpc-upstream", u.grpc, err))
	}
	if errors.Join(errs...) == nil && u.http == nil && u.grpc == nil {
		errs = append(errs, errors.New("-upstream or -grpc-upstream is required, or both"))
	}
	return errors.Join(errs...)
}

// checkHost judges one upstream, or passes on why it is none. The proxy would refuse
// every request for one that it may not send the caller to; this program does not
// start.
func (u *upstreams) checkHost(name string, upstream *url.URL, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case upstream.Scheme == "http" && !thisMachine(upstream.Hostname()) && !u.plaintext:
		return fmt.Errorf("%s %s is on another machine and has no TLS: needs -allow-plaintext", name, upstream.Host)
	}
	return nil
}

// parseUpstream reads a URL. One without a host is about this machine, as it is to
// whoever dials.
func parseUpstream(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("want http://HOST:PORT or an https URL")
	case u.User != nil:
		return nil, errors.New("it holds a user name, which nobody would be sent")
	case u.Fragment != "":
		return nil, errors.New("it has a fragment, which nobody would be sent")
	case strings.HasSuffix(u.Host, ":") || u.Port() != "" && !program.IsPort(u.Port()):
		return nil, errPort
	case u.Hostname() == "":
		u.Host = "localhost" + u.Host
	}
	return u, nil
}

// parseGRPCUpstream returns the URL of an address.
func parseGRPCUpstream(s string) (*url.URL, error) {
	u := &url.URL{Scheme: "http", Host: s}
	host, port, err := net.SplitHostPort(s)
	if _, noHost := url.Parse(u.String()); err != nil || host == "" || port == "" || noHost != nil {
		return nil, errors.New("want HOST:PORT")
	}
	if !program.IsPort(port) {
		return nil, errPort
	}
	return u, nil
}

var errPort = errors.New("want a port from 1 to 65535")

// checkListening refuses upstreams that are the gateway itself: it would take its own
// requests for those of clients without a token.
func (u *upstreams) checkListening(l net.Addr) error {
	var errs []error
	for name, upstream := range map[string]*url.URL{"-upstream": u.http, "-grpc-upstream": u.grpc} {
		if upstream != nil && isAt(upstream, l.(*net.TCPAddr), net.LookupHost) {
			errs = append(errs, fmt.Errorf("%s %s is where the gateway itself listens", name, upstream.Host))
		}
	}
	return errors.Join(errs...)
}

// isAt reports whether an upstream leads to what listens at an address of this machine,
// as far as that can be told: of names, localhost alone is looked up. One of its
// addresses is enough, since whoever dials it takes any that answers.
func isAt(upstream *url.URL, at *net.TCPAddr, lookup func(host string) ([]string, error)) bool {
	port, _ := strconv.Atoi(cmp.Or(upstream.Port(), map[string]string{"http": "80", "https": "443"}[upstream.Scheme]))
	hosts := []string{upstream.Hostname()}
	if hosts[0] == "localhost" {
		hosts, _ = lookup(hosts[0]) // none: it cannot be told
	}
	here := func(host string) bool { return listensFor(host, at) }
	return port == at.Port && slices.ContainsFunc(hosts, here)
}

// listensFor reports whether what listens at an address has connections to host.
func listensFor(host string, at *net.TCPAddr) bool {
	addr, err := netip.ParseAddr(host)
	switch addr = addr.Unmap(); addr { // an unspecified address is this machine to whoever dials it
	case netip.IPv4Unspecified():
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified(): // in IPv4 too, where nobody answers in IPv6
		return listensFor("::1", at) || listensFor("127.0.0.1", at)
	}
	if err != nil || !at.IP.IsUnspecified() {
		return err == nil && addr == at.AddrPort().Addr().Unmap()
	}
	return addr.IsLoopback() && (addr.Is4() || at.IP.To4() == nil) // [::] has both
}

// thisMachine reports whether an upstream on host is told who is calling without
// TLS.
func thisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
